"""A process is killed at every system call of a commit, in turn: the old value or the new one, never half."""

import random
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.crash.judging import CASES, Case, judge, prepare
from tests.crash.tally import LONG, PATIENCE, Tally
from tests.crash.works import PIECE
from tests.crash.zygote import Zygote

WHAT = "kills at a system call"

# In the sample, small commits are killed at each call that changes the disk, others at every second, and what
# only looks around at every so manieth.
CHANGES = {
    "mkdirat",
    "mkdir",
    "write",
    "fsync",
    "rename",
    "renameat",
    "renameat2",
    "unlinkat",
    "unlink",
    "rmdir",
}
LOOKS = {
    "openat": 9,
    "openat2": 9,
    "close": 13,
    "newfstatat": 9,
    "getdents64": 7,
    "sendto": 5,
    "epoll_wait": 7,
    "futex": 11,
}


def points(calls: Counter[str], case: Case) -> list[tuple[str, int]]:
    """Return which calls to kill at: how manieth of its name."""
    found = []
    for name, count in sorted(calls.items()):
        step = LOOKS.get(name)
        if name in CHANGES:
            step = 1 if case.work == "small" else 2
        if LONG:
            step = 1
        if step is not None:
            chosen = {*range(1 + random.randrange(step), count + 1, step)}
            chosen.add(count)  # what is left before the last change, and behind it, is always seen
            found += [(name, nth) for nth in sorted(chosen)]
    return found


def count_calls(log: Path) -> Counter[str]:
    """Return how often each system call was made by the thread that made it most often: strace counts so."""
    by_thread: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in log.read_text(errors="replace").splitlines():
        if found := re.match(r"(\d+) +(\w+)\(", line):
            by_thread[found[1]][found[2]] += 1
    most: Counter[str] = Counter()
    for calls in by_thread.values():
        most |= calls
    return most


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.timeout(PATIENCE)
def test_a_process_is_killed_at_each_system_call_in_turn(
    zygote: Zygote, tmp_path: Path, tally: Tally, case: Case
) -> None:
    """On the way into the nth call of a name, for each name and each n."""
    log = tmp_path / "log"
    prepare(tmp_path / "whole" / "root", case)
    if reason := zygote.why_no_strace(tmp_path / "whole" / "root"):
        tally.add(f"not tried ({reason})")
        pytest.skip(f"no strace ({reason}); only kills at random moments are tried")
    whole = zygote.run(case.work, tmp_path / "whole" / "root", piece=PIECE, strace=["-o", str(log)])
    assert whole.was_told
    assert whole.code == 0
    assert judge(tmp_path / "whole" / "root", case, was_told=True) == "new"
    for number, (name, nth) in enumerate(points(count_calls(log), case)):
        root = tmp_path / str(number) / "root"
        prepare(root, case)
        kill = ["-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:signal=SIGKILL:when={nth}"]
        end = zygote.run(case.work, root, piece=PIECE, strace=kill)
        try:
            left = judge(root, case, was_told=end.was_told)
        except AssertionError as error:
            raise AssertionError(f"killed at {name} number {nth}: {error}") from error
        tally.add(f"left the {left} value" if end.was_killed else "got through")
    assert tally["left the old value"] > 0
    assert tally["left the new value"] > 0


def test_every_call_that_is_made_is_tried_in_the_long_form() -> None:
    """Names that the sample does not know are left out of it, and counted in by the long form."""
    chosen = points(Counter({"fsync": 3, "openat": 3, "odd": 2}), Case("small", has_old=False))
    assert ("fsync", 1) in chosen
    assert ("fsync", 3) in chosen
    assert (("odd", 2) in chosen) is LONG
    assert (sum(name == "openat" for name, _ in chosen) == 3) is LONG
