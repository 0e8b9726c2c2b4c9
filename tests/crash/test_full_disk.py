"""The disk is full at any step of a commit: the right error, nothing half, and the old value stays."""

import asyncio
import errno
import os
import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fileflow_async.errors import TargetWriteError
from fileflow_async.status import State
from fileflow_async.storage import local_stream
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from tests.crash.judging import put
from tests.crash.mounting import CannotMountError, mounted
from tests.crash.tally import Tally
from tests.crash.works import KEY, LARGE, NEW, NEXT, OLD, PARTS, PIECE
from tests.crash.zygote import Zygote

WHAT = "commits on a full disk"
PAGE = os.sysconf("SC_PAGE_SIZE")
Commit = Callable[[TargetStore], Awaitable[None]]


class SmallDisk:
    """A file system of 1 MiB, of which a test says how much is left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = path / "root"

    def leave(self, *, files: int | None = None, pages: int | None = None) -> None:
        """Leave room for so many new files, or pages of data; otherwise for plenty."""
        (self.path / "filler").write_bytes(b"")
        used = os.statvfs(self.path)
        inodes = used.f_files - used.f_ffree
        limit = inodes + (1000 if files is None else files)
        options = f"remount,size=1m,nr_inodes={limit}"
        subprocess.run(["mount", "-o", options, self.path], check=True, capture_output=True)
        if pages is not None:
            (self.path / "filler").write_bytes(bytes((os.statvfs(self.path).f_bfree - pages) * PAGE))


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    """One; where none can be made, only the limit of a file's size is tried."""
    try:
        with mounted("-t", "tmpfs", "-o", "size=1m", "fileflow-test") as path:
            disk = SmallDisk(path)
            disk.root.mkdir()
            yield disk
    except CannotMountError as error:
        pytest.skip(f"no file system can be mounted here ({error}); the limit of a file's size is tried")


@asynccontextmanager
async def opened(root: Path) -> AsyncIterator[TargetStore]:
    async with LocalStorage(root) as storage:
        yield TargetStore(storage)


async def one_piece(store: TargetStore) -> None:
    await put(store, KEY, NEW)


async def many_pieces(store: TargetStore) -> None:
    await put(store, KEY, LARGE)


async def folder(store: TargetStore) -> None:
    async with store.write_folder(KEY, format="csv") as out:
        for name, data in PARTS.items():
            async with out.create(name) as part:
                await part.write(data)


async def is_refused(disk: SmallDisk, commit: Commit) -> tuple[bool, int]:
    """Try to commit; return whether that failed as it must, and how many feed entries are missing."""
    async with opened(disk.root) as store:
        assert store.feed is not None
        try:
            await commit(store)
        except TargetWriteError as error:
            refusal = error
        else:
            return False, store.feed.failures
    assert refusal.errno == errno.ENOSPC
    text = f"no space left on '{disk.root}' after [0-9]+ bytes; nothing was published"
    assert re.fullmatch(text, str(refusal))
    return True, 0


async def seen(disk: SmallDisk) -> bytes | None:
    async with opened(disk.root) as store:
        status = await store.state(KEY)
        if not status.is_committed:
            assert status.state in (State.ABSENT, State.IN_PROGRESS)
            return None
        if status.manifest is not None and status.manifest.parts is not None:
            return b"".join([await store.read(KEY, part=name) for name in PARTS])
        return await store.read(KEY)


async def prepare(disk: SmallDisk, has_old: bool) -> None:
    async with opened(disk.root) as store:
        if has_old:
            await put(store, KEY, OLD)


async def then(disk: SmallDisk) -> None:
    async with opened(disk.root) as store:
        await put(store, KEY, NEXT)
        assert await store.read(KEY) == NEXT
        await store.delete(KEY)


COMMITS: dict[Commit, bytes] = {one_piece: NEW, many_pieces: LARGE, folder: b"".join(PARTS.values())}


@pytest.mark.parametrize("what", ["files", "pages"])
@pytest.mark.parametrize("has_old", [False, True], ids=["fresh", "with an older value"])
@pytest.mark.parametrize("commit", COMMITS, ids=lambda commit: commit.__name__)
def test_the_disk_is_full_at_each_step(
    disk: SmallDisk,
    monkeypatch: pytest.MonkeyPatch,
    tally: Tally,
    commit: Commit,
    has_old: bool,
    what: str,
) -> None:
    """Room for one more file or page at a time, until the commit fits, and its feed entry too."""
    monkeypatch.setattr(local_stream, "BATCH", PIECE)
    monkeypatch.setattr(local_stream, "PIECE", PIECE)
    old = OLD if has_old else None
    refusals = 0
    for room in range(40):
        disk.leave()
        asyncio.run(prepare(disk, has_old))
        disk.leave(**{what: room})
        refused, unfed = asyncio.run(is_refused(disk, commit))
        refusals += refused
        tally.add("refused" if refused else "without its feed entry" if unfed else "done")
        assert asyncio.run(seen(disk)) == (old if refused else COMMITS[commit])
        assert [path for path in disk.root.rglob("*") if path.name.endswith(".part")] == []
        disk.leave()
        asyncio.run(then(disk))
        for path in (disk.root / ".feed").rglob("*"):
            if path.is_file():
                path.unlink()
        if not refused and not unfed:
            break
    else:
        pytest.fail("it never fits")
    assert refusals >= 2  # at the data and at the record


def test_a_file_may_grow_no_further(zygote: Zygote, tmp_path: Path, tally: Tally) -> None:
    """A limit of the process, where no file system can be mounted."""
    (root := tmp_path / "root").mkdir()
    for size, limit in [(len(LARGE), limit) for limit in range(0, len(LARGE), 3000)] + [(100, 300)]:
        (told,) = zygote.run("too large", root, piece=PIECE, size=size, largest_file=limit).told
        assert told.startswith(f"TargetWriteError {errno.EFBIG} cannot write '{root}/{KEY}/")
        assert re.search(r"\.csv(\.ok)?': File too large; nothing was published$", told)
        assert told.endswith(".csv.ok': File too large; nothing was published") is (size < limit)
        files = [path.name for path in root.rglob("*") if path.is_file()]
        assert len(files) == (size < limit)  # data without a record
        tally.add("refused")
