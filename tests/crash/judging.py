"""What must hold in a folder after a writer died there, whatever it was doing."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fileflow_async.errors import TargetNotFoundError
from fileflow_async.retention import gc
from fileflow_async.status import FAILED_SUFFIX, State, attempt_in, unfinished_in
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from fileflow_async.target import Attempt
from tests.crash.works import EVERYTHING, KEY, LARGE, NEW, NEXT, OLD, PARTS, SECOND

Value = bytes | Mapping[str, bytes] | None
NEWS: Mapping[str, Value] = {"small": NEW, "stream": LARGE, "folder": PARTS, "two": NEW}


@dataclass(frozen=True, slots=True)
class Case:
    """A work on a target that has an older value, or none yet."""

    work: str
    has_old: bool

    @property
    def old(self) -> Value:
        return OLD if self.has_old else None

    def __str__(self) -> str:
        return f"{self.work}, {'with an older value' if self.has_old else 'fresh'}"


CASES = [
    *(Case(work, has_old) for work in (*NEWS, "failed") for has_old in (False, True)),
    *(Case(work, True) for work in ("gc", "delete")),
]


async def put(store: TargetStore, key: str, data: bytes) -> None:
    async with store.write(key, format="csv") as out:
        await out.write(data)


def prepare(root: Path, case: Case) -> None:
    """Make the root, and in it what was there before."""
    root.mkdir(parents=True)
    if case.has_old:
        asyncio.run(_prepare(root, case))


async def _prepare(root: Path, case: Case) -> None:
    async with LocalStorage(root, durability="none") as storage:
        store = TargetStore(storage)
        if case.work in ("gc", "delete"):
            await put(store, KEY, NEXT)  # older still: only the newest matters
        await put(store, KEY, OLD)
        await put(store, SECOND, OLD)


def judge(root: Path, case: Case, *, was_told: bool) -> str:
    """Check everything that must hold; return which value there is, `old` or `new`."""
    check_names(root)
    verdict = asyncio.run(_judge(root, case, was_told=was_told))
    check_names(root)
    return verdict


async def _judge(root: Path, case: Case, *, was_told: bool) -> str:
    async with LocalStorage(root, durability="none") as storage:
        store = TargetStore(storage)
        found = await value_of(store, KEY)
        assert all(status.is_committed for status in await store.history(KEY))
        verdict = await _verdict(store, case, found, was_told=was_told)
        if case.work == "two":
            second = await value_of(store, SECOND)
            assert second in (case.old, NEW)
            assert second == NEW or not was_told
        await put(store, KEY, NEXT)  # the next try succeeds, and is the value
        assert await store.read(KEY) == NEXT
        await gc(store, dry_run=False, rules=EVERYTHING)  # what died is cleared away
        assert await store.read(KEY) == NEXT
        left = [entry.key for entry in (await storage.list(f"{KEY}/")).entries]
        assert len(left) == 2, left
        assert left[0] + ".ok" == left[1], left
    return verdict


async def _verdict(store: TargetStore, case: Case, found: Value, *, was_told: bool) -> str:
    if case.work == "failed":
        assert found == case.old  # never hidden
        has_failed = (await store.state(KEY)).state is State.FAILED
        assert has_failed or not was_told
        return "new" if has_failed else "old"
    if case.work == "gc":
        assert found == OLD
        assert len(await store.history(KEY)) == 1 or not was_told
        return "new" if was_told else "old"
    if case.work == "delete":
        assert found in (OLD, None)
        assert found is None or not was_told
        return "old" if found else "new"
    new = NEWS[case.work]
    assert found in (case.old, new)
    assert found == new or not was_told  # the acknowledged one is never lost
    versions = await store.history(KEY)
    assert len(versions) == (found is not None) + (case.has_old and found == new)
    return "new" if found == new else "old"


async def value_of(store: TargetStore, key: str) -> Value:
    """Return the value, read in every way there is."""
    status = await store.state(key)
    if status.state is not State.FAILED:
        assert status.is_committed or status.state in (State.ABSENT, State.IN_PROGRESS), status
    try:
        version = await store.version(key)
    except TargetNotFoundError:
        assert not status.is_committed
        return None
    assert version.manifest is not None
    assert version.reference is not None
    if version.manifest.parts is not None:
        names = [part.name for part in version.manifest.parts]
        return {name: await store.read(version.reference, part=name) for name in names}
    data = await store.read(version.reference)
    assert await store.read(key) == data
    async with store.open(key) as pieces:
        assert b"".join([piece async for piece in pieces]) == data
    return data


def check_names(root: Path) -> None:
    """Nothing lies outside the root, and in it only what the protocol knows."""
    assert [path.name for path in root.parent.iterdir()] == [root.name]
    for path in root.rglob("*"):
        assert not path.is_symlink()
        assert not path.stat().st_mode & 0o027, path  # nobody else may write, strangers may not even look
        if path.is_file():
            assert _is_known(path.relative_to(root)), path


def _is_known(path: Path) -> bool:
    if path.parts[0] == ".feed":
        return len(path.parts) == 3
    folder = "/".join(path.parts[:4])
    name = path.parts[4]
    if folder not in (KEY, SECOND):
        return False
    if len(path.parts) > 5:  # a part of a folder, hidden or not
        return Attempt.parse(name) is not None
    return bool(
        Attempt.parse(name)
        or unfinished_in(name)
        or attempt_in(name, suffix=".ok")
        or attempt_in(name, suffix=FAILED_SUFFIX)
    )
