"""The power goes at any moment of a commit: the old value or the new one, and what was acknowledged stays."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pytest

from fileflow_async.errors import FileflowError
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from fileflow_async.testing.memory import MemoryStorage
from tests.crash.disk import Disk, KilledError, Tree, watched
from tests.crash.judging import CASES, NEWS, Case, put, value_of
from tests.crash.tally import Tally
from tests.crash.works import KEY, OLD, WORKS

WHAT = "disks after a loss of power"
COMMITS = [case for case in CASES if case.work in NEWS]
SMALL = [case for case in COMMITS if case.work == "small"]
FRESH = Case("small", has_old=False)


def do(work: str, root: Path, durability: Literal["fsync", "none"] = "fsync") -> None:
    asyncio.run(_do(work, root, durability))


async def _do(work: str, root: Path, durability: Literal["fsync", "none"]) -> None:
    async with LocalStorage(root, durability=durability, threads=1) as storage:
        store = TargetStore(storage)
        if work == "old":
            await put(store, KEY, OLD)
        else:
            await WORKS[work](store, {}, lambda _: None)


def verdicts(case: Case, trees: Iterable[Tree], tally: Tally) -> set[str]:
    """Return what readers find on the disks that may be left: old, new, damaged, or even something else."""
    return asyncio.run(_verdicts(case, trees, tally))


async def _verdicts(case: Case, trees: Iterable[Tree], tally: Tally) -> set[str]:
    found = set()
    for tree in trees:
        storage = MemoryStorage()
        storage.objects = {key: (data, storage.clock.time()) for key, data in tree}
        try:
            value = await value_of(TargetStore(storage), KEY)
        except (FileflowError, AssertionError):
            verdict = "damaged"
        else:
            verdict = {repr(NEWS[case.work]): "new", repr(case.old): "old"}.get(repr(value), "wrong")
        tally.add(verdict)
        found.add(verdict)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (root := tmp_path / "root").mkdir()
    return root


def begin(disk: Disk, case: Case) -> None:
    if case.has_old:
        do("old", disk.root)
        disk.syncs.clear()
        disk.trees.clear()


@pytest.mark.parametrize("case", COMMITS, ids=str)
def test_what_is_left_is_old_or_new_and_new_once_acknowledged(root: Path, tally: Tally, case: Case) -> None:
    """Every combination that may be left of what was not synced yet, at every moment."""
    with watched(root) as disk:
        begin(disk, case)
        do(case.work, root)
        assert verdicts(case, disk.trees, tally) == {"old", "new"}
        assert verdicts(case, disk.left(), tally) == {"new"}


def test_each_sync_is_needed(root: Path) -> None:
    """Leave any of them out, and a disk is possible on which something is lost or damaged."""
    number = 0
    while number := number + 1:
        where = root / str(number)
        where.mkdir()
        with watched(where) as disk:
            disk.forgets = number
            do("small", where)
            if len(disk.syncs) < number:
                break
            during = verdicts(FRESH, disk.trees, Tally(""))
            after = verdicts(FRESH, disk.left(), Tally(""))
            assert during - {"old", "new"} or after != {"new"}, disk.syncs[number - 1]
    assert number - 1 == 8  # four folders, data, its folder, the record, its folder


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_without_syncs_the_checks_above_fail(root: Path, case: Case) -> None:
    """`durability="none"` has none, and the disks that it may leave show it."""
    with watched(root) as disk:
        begin(disk, case)
        do(case.work, root, durability="none")
        assert disk.syncs == []
        assert verdicts(case, disk.left(), Tally("")) == {"old", "new", "damaged"}


def test_a_try_that_follows_a_killed_one_leaves_nothing_to_luck(root: Path, tally: Tally) -> None:
    """A process that dies has made folders that it did not sync; whoever finds them there must."""
    number = 0
    while number := number + 1:
        where = root / str(number)
        where.mkdir()
        with watched(where) as disk:
            disk.dies_at = number
            try:
                do("small", where)
            except KilledError:
                pass
            else:
                break
            disk.revive()
            do("small", where)
            assert verdicts(FRESH, disk.left(), tally) == {"new"}, (number, disk.syncs)
    assert number > 15
