"""A disk image copied while a commit is under way is what a loss of power leaves."""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash.judging import Case, judge, prepare
from tests.crash.tally import LONG, Tally
from tests.crash.zygote import End, Zygote

WHAT = "copies of a live file system"
TRIES = 12 if LONG else 2
MAKERS = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[None]:
    at.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-o", "loop", image, at], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no image can be mounted here ({done.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


@pytest.fixture(params=MAKERS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The image of an empty file system."""
    make = MAKERS[request.param]
    if shutil.which(make[0]) is None:
        pytest.skip(f"{make[0]} is not installed")
    with (image := tmp_path / "empty.img").open("wb") as file:
        file.truncate(400 * 1024 * 1024)
    subprocess.run([*make, image], check=True)
    return image


def copy(image: Path, to: Path) -> Path:
    subprocess.run(["cp", "--sparse=always", image, to], check=True)
    return to


def commit(zygote: Zygote, image: Path, case: Case, *, after: float | None, durability: str = "fsync") -> End:
    """Let a process commit in an image; return how that ended, with a copy of the image beside it."""
    home = image.with_suffix(".disk")
    with mounted(image, home):
        prepare(home / "home" / "root", case)
        subprocess.run(["sync", "-f", home], check=True)
        if after is None:
            end = zygote.run(case.work, home / "home" / "root", durability=durability)
            copy(image, image.with_suffix(".copy"))
            return end
        pid = zygote.start(case.work, home / "home" / "root", durability=durability)
        time.sleep(after)
        copy(image, image.with_suffix(".copy"))
        zygote.wait(pid)
        return End(told=(), code=0)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("has_old", [False, True], ids=["fresh", "with an older value"])
def test_what_was_acknowledged_is_on_the_disk(
    zygote: Zygote, empty: Path, tmp_path: Path, tally: Tally, has_old: bool
) -> None:
    """The power goes at once after the commit, or at any moment of it."""
    case = Case("small", has_old)
    for number in range(2 * TRIES):
        image = copy(empty, tmp_path / f"{number}.img")
        after = None if number < TRIES else random.uniform(0, 0.02)
        end = commit(zygote, image, case, after=after)
        assert end.was_told == (after is None)
        with mounted(image.with_suffix(".copy"), tmp_path / "after"):
            left = judge(tmp_path / "after" / "home" / "root", case, was_told=end.was_told)
        tally.add(f"{'right after the commit' if after is None else 'at a random moment'}: {left} value")
        for path in tmp_path.glob(f"{number}.*[!k]"):
            path.unlink()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_syncs_it_is_lost(zygote: Zygote, empty: Path, tmp_path: Path) -> None:
    """Otherwise the test above would show nothing."""
    case = Case("small", has_old=False)
    image = copy(empty, tmp_path / "none.img")
    assert commit(zygote, image, case, after=None, durability="none").was_told
    with mounted(image.with_suffix(".copy"), tmp_path / "after"):
        assert judge(tmp_path / "after" / "home" / "root", case, was_told=False) == "old"
