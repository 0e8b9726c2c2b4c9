"""A disk image copied while a commit is under way is what a loss of power leaves."""

import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.crash.judging import Case, judge, prepare
from tests.crash.mounting import CannotMountError, mounted
from tests.crash.tally import LONG, Tally
from tests.crash.zygote import End, Zygote

WHAT = "copies of a live file system"
TRIES = 12 if LONG else 2
MAKERS = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}


@pytest.fixture(params=MAKERS)
def empty(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The image of an empty file system, in a folder that goes with the test."""
    make = MAKERS[request.param]
    if shutil.which(make[0]) is None:
        pytest.skip(f"{make[0]} is not installed")
    with tempfile.TemporaryDirectory(prefix="fileflow-images-") as folder:
        with (image := Path(folder, "empty")).open("wb") as file:
            file.truncate(400 * 1024 * 1024)  # xfs needs 300; hardly any of it is written
        subprocess.run([*make, image], check=True)
        try:
            with loop(image):
                pass
        except CannotMountError as error:
            pytest.skip(f"no image can be mounted here ({error})")
        yield image


def loop(image: Path) -> AbstractContextManager[Path]:
    return mounted("-o", "loop", image)


def copy(image: Path, to: Path) -> Path:
    subprocess.run(["cp", "--sparse=always", image, to], check=True)
    return to


def commit(zygote: Zygote, image: Path, case: Case, *, after: float | None, durability: str = "fsync") -> End:
    """Let a process commit in an image; return how that ended, with a copy of the image beside it."""
    with loop(image) as disk:
        root = disk / "home" / "root"
        prepare(root, case)
        subprocess.run(["sync", "-f", disk], check=True)
        if after is None:
            end = zygote.run(case.work, root, durability=durability)
            copy(image, image.with_suffix(".copy"))
            return end
        pid = zygote.start(case.work, root, durability=durability)
        time.sleep(after)
        copy(image, image.with_suffix(".copy"))
        zygote.wait(pid)
        return End(told=(), code=0)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("has_old", [False, True], ids=["fresh", "with an older value"])
def test_what_was_acknowledged_is_on_the_disk(
    zygote: Zygote, empty: Path, tally: Tally, has_old: bool
) -> None:
    """The power goes at once after the commit, or at any moment of it."""
    case = Case("small", has_old)
    for number in range(2 * TRIES):
        image = copy(empty, empty.with_suffix(f".{number}"))
        after = None if number < TRIES else random.uniform(0, 0.02)
        end = commit(zygote, image, case, after=after)
        assert end.was_told == (after is None)
        with loop(image.with_suffix(".copy")) as disk:
            left = judge(disk / "home" / "root", case, was_told=end.was_told)
        tally.add(f"{'right after the commit' if after is None else 'at a random moment'}: {left} value")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_syncs_it_is_lost(zygote: Zygote, empty: Path) -> None:
    """Otherwise the test above would show nothing."""
    case = Case("small", has_old=False)
    assert commit(zygote, empty, case, after=None, durability="none").was_told
    with loop(empty.with_suffix(".copy")) as disk:
        assert judge(disk / "home" / "root", case, was_told=False) == "old"
