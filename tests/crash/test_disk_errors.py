"""Each system call of a commit fails in each way: the right error, nothing half, and the old value stays."""

import errno
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.judging import Case, judge, prepare
from tests.crash.tally import LONG, PATIENCE, Tally
from tests.crash.test_kill_points import count_calls
from tests.crash.works import PIECE
from tests.crash.zygote import Zygote

WHAT = "errors of a disk at a system call"
CALLS = {"mkdirat", "mkdir", "write", "fsync", "rename", "renameat", "renameat2", "openat", "newfstatat"}
ERRORS = ["EIO", "EROFS", "EACCES", "ENOSPC", "EDQUOT"]
TOLD = {"TargetWriteError", "TargetAccessError", "StorageUnavailableError", "ConfigError"}
MOST = 40  # of each case, in the sample


def points(calls: Counter[str]) -> list[tuple[str, int]]:
    """Return which calls fail: how manieth of its name."""
    every = [(name, nth) for name, count in calls.items() if name in CALLS for nth in range(1, count + 1)]
    return every if LONG else random.sample(every, min(MOST, len(every)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("has_old", [False, True], ids=["fresh", "with an older value"])
@pytest.mark.timeout(PATIENCE)
def test_a_system_call_fails(zygote: Zygote, tmp_path: Path, tally: Tally, name: str, has_old: bool) -> None:
    """Whoever is not told of a commit is told why, with the number of the error and the path."""
    case, log, number = Case("small", has_old), tmp_path / "log", getattr(errno, name)
    whole = tmp_path / "whole" / "root"
    prepare(whole, case)
    if reason := zygote.why_no_strace(whole):
        tally.add(f"not tried ({reason})")
        pytest.skip(f"no strace ({reason}); storage/test_local.py makes some of these errors itself")
    assert zygote.run("attempt", whole, piece=PIECE, strace=["-o", str(log)]).was_told
    for count, (call, nth) in enumerate(points(count_calls(log))):
        root = tmp_path / str(count) / "root"
        prepare(root, case)
        inject = ["-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={name}:when={nth}"]
        end = zygote.run("attempt", root, piece=PIECE, strace=inject)
        (told,) = end.told or ("nothing",)
        where = f"{name} at {call} number {nth}: {told}"
        try:
            left = judge(root, case, was_told=end.was_told)
        except AssertionError as error:
            raise AssertionError(f"{where}: {error}") from error
        if end.was_told:  # it was no call of the commit's own, or one that it can do without
            tally.add("did no harm")
        elif told == "nothing":  # the telling itself failed, or what is not ours: the loop's own pipe
            tally.add(f"nobody was told, and the {left} value is there")
        else:
            kind, code, message = told.split(" ", 2)
            assert kind in TOLD, where
            assert code in (str(number), "None"), where
            assert str(root) in message, where
            tally.add("refused with the right error")
    assert tally["refused with the right error"] > 0
