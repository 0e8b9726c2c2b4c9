"""LocalStorage refuses links, FIFOs, sockets and devices, and says what it may not do."""

import asyncio
import errno
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fileflow_async.errors import (
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetCorruptError,
    TargetNameError,
    TargetWriteError,
)
from fileflow_async.storage import local_root
from fileflow_async.storage.local import LocalStorage
from fileflow_async.storage.protocol import Entry
from tests.leftovers import held

aside = asyncio.to_thread
IS_ROOT = os.geteuid() == 0
NOBODY = 65534
KEY = "dag/slot/task/name/x.csv"
LEVELS = ("dag", "dag/slot", "dag/slot/task", "dag/slot/task/name")
Call = Callable[[LocalStorage], Awaitable[object]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The root; whatever lies beside it is out of bounds."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What nobody may reach: it looks like what lies below the root at any level."""
    outside = tmp_path / "outside"
    for depth in range(len(LEVELS) + 1):
        path = outside.joinpath(*KEY.split("/")[depth:])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"secret")
    return outside


@pytest.fixture
async def local(folder: Path) -> AsyncIterator[LocalStorage]:
    """A storage on disk."""
    async with LocalStorage(folder) as storage:
        yield storage


async def _create(storage: LocalStorage, key: str) -> Entry:
    async with storage.create(key) as sink:
        await sink.write(b"1")
    return sink.entry


async def _stream(storage: LocalStorage, key: str) -> bytes:
    async with storage.stream(key) as pieces:
        return b"".join([piece async for piece in pieces])


async def _read_each(storage: LocalStorage, key: str) -> object:
    (found,) = (await storage.read_each([key])).values()
    if isinstance(found, FileflowError):
        raise found
    return found


async def _list_each(storage: LocalStorage, folder: str) -> object:
    (found,) = (await storage.list_each([folder])).values()
    if isinstance(found, FileflowError):
        raise found
    return found


READS: Sequence[Call] = (
    lambda storage: storage.read(KEY),
    lambda storage: storage.read_range(KEY, 0, 9),
    lambda storage: storage.stat(KEY),
    lambda storage: _stream(storage, KEY),
    lambda storage: _read_each(storage, KEY),
)
WRITES: Sequence[Call] = (
    lambda storage: storage.put(KEY, b"secret"),
    lambda storage: _create(storage, KEY),
)
DELETE: Call = lambda storage: storage.delete([KEY])  # noqa: E731 - one of a kind with the others
LIST: Call = lambda storage: storage.list()  # noqa: E731
LISTS: Sequence[Call] = (
    lambda storage: storage.list("dag/slot/task/name/"),
    lambda storage: storage.list("dag/slot/task/name/", shallow=True),
    lambda storage: _list_each(storage, "dag/slot/task/name/"),
)


@pytest.mark.parametrize("leads", ["outside", "inside", "nowhere", "round"])
@pytest.mark.parametrize("level", LEVELS)
async def test_no_link_to_a_folder_is_followed(
    local: LocalStorage, folder: Path, outside: Path, level: str, leads: str
) -> None:
    """Row 24 of the catalogue, at each level: nothing is read, written, listed or removed behind it."""
    ends = {
        "outside": outside.joinpath(*LEVELS[0 : LEVELS.index(level) + 1][-1].split("/")),
        "inside": folder / "real",
        "nowhere": folder / "none",
        "round": folder / level,
    }
    before = await aside(_content, outside)

    def plant() -> None:
        (folder / "real").mkdir()
        (folder / level).parent.mkdir(parents=True, exist_ok=True)
        (folder / level).symlink_to(ends[leads])

    await aside(plant)
    for call in (*READS, *WRITES, *LISTS, DELETE):
        with pytest.raises(TargetAccessError) as caught:
            await call(local)
        assert str(caught.value) == f"'{folder / level}' is a symbolic link; links are not followed"
    for prefix in ("", level[:-1]):
        with pytest.raises(TargetAccessError, match="is a symbolic link; links are not followed"):
            await local.list(prefix)
    assert await aside(_content, outside) == before
    assert await aside(os.path.islink, folder / level)


@pytest.mark.parametrize("leads", ["outside", "inside", "nowhere"])
async def test_no_link_to_a_file_is_followed(
    local: LocalStorage, folder: Path, outside: Path, leads: str
) -> None:
    """Nor is it listed, so that nobody waits for it; deleting removes the link alone."""
    ends = {"outside": outside / "x.csv", "inside": folder / "real", "nowhere": folder / "none"}
    before = await aside(_content, outside)

    def plant() -> None:
        (folder / "real").write_bytes(b"secret")
        (folder / KEY).parent.mkdir(parents=True)
        (folder / KEY).symlink_to(ends[leads])

    await aside(plant)
    for call in (*READS, *WRITES, *LISTS):
        with pytest.raises(TargetAccessError) as caught:
            await call(local)
        assert str(caught.value) == f"'{folder / KEY}' is a symbolic link; links are not followed"
    await local.delete([KEY])
    assert await aside(_content, outside) == before
    assert (await local.list(shallow=True)).entries[0].key == "real"


async def test_a_link_in_the_place_of_the_hidden_file_is_not_written_through(
    local: LocalStorage, folder: Path, outside: Path
) -> None:
    """O_EXCL refuses it like any other name that is taken."""

    def plant() -> None:
        (folder / KEY).parent.mkdir(parents=True)
        (folder / KEY).with_name(".x.csv.part").symlink_to(outside / "new")

    await aside(plant)
    for call in WRITES:
        with pytest.raises(FileflowError, match=r"\.x\.csv\.part' exists already"):
            await call(local)
    assert not await aside((outside / "new").exists)


async def test_a_folder_that_becomes_a_link_again_and_again_leads_nowhere(
    local: LocalStorage, folder: Path, outside: Path
) -> None:
    """Whatever the race, all that comes out is ours or an error."""
    stop = threading.Event()
    await aside((outside / "dag/slot/task/name/only-outside").write_bytes, b"")
    await local.put("real/slot/task/name/x.csv", b"ours")
    before = await aside(_content, outside)

    def turn() -> None:
        real, link, place = folder / "real", folder / "link", folder / "dag"
        link.symlink_to(outside / "dag")
        while not stop.is_set():
            for each in (real, link):
                with suppress(OSError):  # a put may have made a folder in the place
                    os.rename(each, place)
                    time.sleep(0.0001)
                    os.rename(place, each)

    async def use(number: int) -> bool:
        """Return whether what is ours was there."""
        try:
            await local.put(f"dag/slot/task/name/{number}", b"new")
            names = [entry.name for entry in (await local.list("dag/slot/task/name/")).entries]
            assert "only-outside" not in names
            assert await local.read(KEY) == b"ours"
        except FileflowError:
            return False
        finally:
            with suppress(FileflowError):
                await local.delete([f"dag/slot/task/name/{each}" for each in (number, "only-outside")])
        return True

    turning = asyncio.create_task(aside(turn))
    try:
        used = [await use(number) for number in range(600)]
    finally:
        stop.set()
        await turning
    assert await aside(_content, outside) == before
    assert set(used) == {False, True}  # else the race was none


@pytest.fixture(params=["fifo", "socket", "device"])
def special(request: pytest.FixtureRequest, folder: Path) -> str:
    """Something at KEY that is no file."""
    path = folder / KEY
    path.parent.mkdir(parents=True)
    if request.param == "fifo":
        os.mkfifo(path)
    elif request.param == "socket" or not IS_ROOT:  # only root makes devices: others have the socket twice
        here = os.open(path.parent, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"/proc/self/fd/{here}/{path.name}")  # the path itself may be too long for it
        os.close(here)
    else:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    return str(request.param)


@pytest.mark.usefixtures("special")
async def test_what_is_no_file_is_refused_unopened(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 25 of the catalogue: a FIFO would block, opening a device can do something."""
    names, original = [], os.open

    def spy(path: Any, *args: Any, **kwargs: Any) -> int:
        names.append(path)
        return original(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", spy)
    async with asyncio.timeout(10):
        for call in (*READS, *WRITES, *LISTS, LIST):
            with pytest.raises(TargetCorruptError) as caught:
                await call(local)
            assert str(caught.value) == f"'{folder / KEY}' is not a regular file"
    assert "name" in names
    assert "x.csv" not in names
    await local.delete([KEY])
    assert (await local.list()).entries == ()


@pytest.mark.usefixtures("special")
async def test_what_is_no_file_is_no_folder_either(local: LocalStorage, folder: Path) -> None:
    """It stands in the way of keys below it."""
    for call in (local.read(f"{KEY}/y"), local.put(f"{KEY}/y", b""), local.list(f"{KEY}/")):
        with pytest.raises(TargetAccessError, match=r"/x\.csv' is not a directory"):
            await call


async def test_a_fifo_that_comes_between_the_look_and_the_opening_does_not_block(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at once more when it is open."""
    await local.put(KEY, b"1")
    check, swapped = local_root.Root.check_file, list[str]()

    def swap(self: local_root.Root, status: os.stat_result, key: str) -> None:
        check(self, status, key)
        if not swapped:
            swapped.append(key)
            (folder / KEY).unlink()
            os.mkfifo(folder / KEY)

    monkeypatch.setattr(local_root.Root, "check_file", swap)
    before = await aside(held)
    async with asyncio.timeout(10):
        with pytest.raises(TargetCorruptError, match="is not a regular file"):
            await local.read(KEY)
    assert swapped == [KEY]
    assert not {each for each in await aside(held) if KEY in str(each)} - before  # nor is it kept open


async def test_a_link_that_comes_between_the_look_and_the_opening_is_not_followed(
    local: LocalStorage, folder: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The opening itself does not follow."""
    await local.put(KEY, b"1")
    check = local_root.Root.check_file

    def swap(self: local_root.Root, status: os.stat_result, key: str) -> None:
        check(self, status, key)
        (folder / KEY).unlink()
        (folder / KEY).symlink_to(outside / "x.csv")

    monkeypatch.setattr(local_root.Root, "check_file", swap)
    with pytest.raises(TargetAccessError, match="is a symbolic link; links are not followed"):
        await local.read(KEY)


@pytest.mark.parametrize(
    ("number", "reading", "writing"),
    [
        (errno.EIO, StorageUnavailableError, TargetWriteError),
        (errno.ENOSPC, OSError, TargetWriteError),
        (errno.EDQUOT, OSError, TargetWriteError),
        (errno.EROFS, OSError, TargetWriteError),
        (errno.EFBIG, OSError, TargetWriteError),
        (errno.ETIMEDOUT, StorageUnavailableError, StorageUnavailableError),
        (errno.EAGAIN, StorageUnavailableError, StorageUnavailableError),
        (errno.ENOTCONN, StorageUnavailableError, StorageUnavailableError),
        (errno.EMFILE, StorageUnavailableError, StorageUnavailableError),
        (errno.EACCES, TargetAccessError, TargetAccessError),
        (errno.EPERM, TargetAccessError, TargetAccessError),
        (errno.ELOOP, TargetAccessError, TargetAccessError),
        (errno.ENOTDIR, TargetAccessError, TargetAccessError),
        (errno.ENAMETOOLONG, TargetNameError, TargetNameError),
        (errno.EILSEQ, TargetNameError, TargetNameError),
        (errno.EDOM, OSError, OSError),
    ],
)
async def test_errors_are_told_by_their_numbers(
    local: LocalStorage,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    reading: type[Exception],
    writing: type[Exception],
) -> None:
    """What is not in the table comes out untouched; the system's own error is always behind ours."""
    await local.put("d/x", b"1")
    original = os.open

    def fail(path: Any, *args: Any, **kwargs: Any) -> int:
        if path in ("x", ".y.part"):
            raise OSError(number, os.strerror(number))
        return original(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", fail)
    for call, kind in ((local.read("d/x"), reading), (local.put("d/y", b"1"), writing)):
        with pytest.raises(kind) as caught:
            await call
        assert isinstance(caught.value, FileflowError) == (kind is not OSError)
        assert caught.value.errno == number  # type: ignore[attr-defined]
        if kind is not OSError:
            assert isinstance(caught.value.__cause__, OSError)
            assert caught.value.__cause__.errno == number


async def test_a_file_system_that_is_read_only_cannot_be_cleaned_up(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what was tried."""
    await local.put("d/x", b"1")

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "unlink", fail)
    with pytest.raises(TargetWriteError) as caught:
        await local.delete(["d/x"])
    assert str(caught.value) == f"cannot delete '{folder}/d': Read-only file system"
    assert caught.value.errno == errno.EROFS


_AS_ANOTHER = """
import asyncio, os, sys
from fileflow_async.errors import FileflowError
from fileflow_async.storage.local import LocalStorage

root, uid = sys.argv[1], int(sys.argv[2])
if os.geteuid() == 0:
    os.chown(root, uid, uid)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)

async def tell(call):
    try:
        print(await call)
    except FileflowError as error:
        print(f"{type(error).__name__}: {error}")

async def main():
    async with LocalStorage(root) as storage:
        await storage.put("a/b/x", b"1")
        os.chmod(f"{root}/a/b/x", 0o000)
        await tell(storage.read("a/b/x"))
        os.chmod(f"{root}/a/b", 0o000)
        await tell(storage.list("a/b/"))
        await tell(storage.list("a/"))
        print([entry.key for entry in (await storage.list("a/", shallow=True)).entries])
        found = await storage.list_each(["a/b/", "c/"])
        print(type(found["a/b/"]).__name__, len(found["c/"].entries))
        await tell(storage.put("a/b/y", b"1"))
        await tell(storage.delete(["a/b/x"]))
        os.chmod(f"{root}/a/b", 0o700)
        os.chmod(f"{root}/a", 0o000)
        await tell(storage.stat("a/b/x"))
        os.chmod(f"{root}/a", 0o500)
        await tell(storage.put("a/c/x", b"1"))
        os.chmod(f"{root}/a", 0o100)
        print((await storage.stat("a/b/x")).size)
        os.chmod(root, 0o000)
        await tell(storage.list(""))
        await tell(LocalStorage(root).__aenter__())
        await tell(LocalStorage(f"{root}/new", create=True).__aenter__())
        os.chmod(root, 0o500)
        await tell(LocalStorage(f"{root}/new/deep", create=True).__aenter__())
        os.chmod(root, 0o700)
        os.chmod(f"{root}/a", 0o700)

asyncio.run(main())
"""


def test_whoever_may_not_is_told_who_and_what() -> None:
    """Row 23 of the catalogue, as somebody to whom modes mean something."""
    uid = NOBODY if IS_ROOT else os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        done = subprocess.run(
            [sys.executable, "-c", _AS_ANOTHER, folder, str(uid)], check=False, capture_output=True, text=True
        )
    denied = f"as uid {uid}: permission denied"
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"TargetAccessError: cannot read '{folder}/a/b/x' {denied} (mode 0000)",
        f"TargetAccessError: cannot list '{folder}/a/b' {denied} (mode 0000)",
        f"TargetAccessError: cannot list '{folder}/a/b' {denied} (mode 0000)",
        "['a/b/']",
        "TargetAccessError 0",
        f"TargetAccessError: cannot write '{folder}/a/b/y' {denied} (mode 0000 of '{folder}/a/b')",
        f"TargetAccessError: cannot delete '{folder}/a/b' {denied} (mode 0000)",
        f"TargetAccessError: cannot read '{folder}/a/b/x' {denied} (mode 0000 of '{folder}/a')",
        f"TargetAccessError: cannot write '{folder}/a/c/x' {denied} (mode 0500 of '{folder}/a')",
        "1",
        f"TargetAccessError: cannot list '{folder}' {denied} (mode 0000)",
        f"TargetAccessError: cannot list '{folder}' {denied} (mode 0000)",
        f"TargetAccessError: cannot write '{folder}' {denied} (mode 0000)",
        f"TargetAccessError: cannot write '{folder}' {denied} (mode 0500)",
    ]


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
