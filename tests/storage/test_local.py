"""LocalStorage keeps the promises of a storage, and those that only a disk can ask for."""

import asyncio
import errno
import logging
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from fileflow_async.errors import (
    ConfigError,
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetNameError,
    TargetSupersededError,
    TargetWriteError,
)
from fileflow_async.storage import local_files, local_hidden, local_root, local_scan
from fileflow_async.storage.local import LocalStorage
from fileflow_async.storage.local_stream import BATCH
from fileflow_async.storage.protocol import PIECE, Listing
from fileflow_async.storage.renameat2 import rename_new
from fileflow_async.testing.storage_contract import StorageContract, eventually
from tests.crash.tally import how_many

aside = asyncio.to_thread  # what the tests themselves do on the disk must not block the loop either
IS_ROOT = os.geteuid() == 0


class TestLocalStorage(StorageContract):
    """The contract, with plain files as the back door."""

    folder: Path

    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[LocalStorage]:
        self.folder = tmp_path
        async with LocalStorage(tmp_path) as storage:
            yield storage

    async def plant(self, key: str, data: bytes) -> None:
        await aside(_plant, self.folder / key, data)

    async def peek(self, key: str) -> bytes | None:
        return await aside(_peek, self.folder / key)

    async def keys(self) -> Sequence[str]:
        return await aside(_files, self.folder)

    async def spoil(self, folder: str) -> bool:
        def replace_by_link() -> None:
            path = self.folder / folder
            path.rename(self.folder.parent / f"{self.folder.name}-away")
            path.symlink_to(self.folder / "a")

        await aside(replace_by_link)
        return True


class TestLocalStorageThatWalks(TestLocalStorage):
    """The same, where the system cannot open or rename in one call: it looks, one step after another."""

    @pytest.fixture
    async def storage(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalStorage]:
        for module in (local_root, local_hidden):
            monkeypatch.setattr(module, "open_straight", lambda *_: None)
        monkeypatch.setattr(local_hidden, "rename_new", lambda *_: False)
        self.folder = tmp_path
        async with LocalStorage(tmp_path) as storage:
            yield storage


class TestLocalStorageThatDoesNotSync(TestLocalStorage):
    """The same, where durability does not matter."""

    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[LocalStorage]:
        self.folder = tmp_path
        async with LocalStorage(tmp_path, durability="none", threads=2) as storage:
            yield storage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A root that is not the test's own folder, so that something can lie beside it."""
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
async def local(folder: Path) -> AsyncIterator[LocalStorage]:
    """A storage on disk."""
    async with LocalStorage(folder) as storage:
        yield storage


# Opening.


async def test_a_root_that_does_not_exist_is_unavailable(tmp_path: Path) -> None:
    """Row 21 of the catalogue: a mount may be missing."""
    with pytest.raises(StorageUnavailableError) as caught:
        async with LocalStorage(tmp_path / "none"):
            pytest.fail("nobody gets in")
    host = socket.gethostname()
    assert str(caught.value) == f"root '{tmp_path}/none' does not exist on host {host}; is it mounted?"
    assert caught.value.errno == errno.ENOENT
    assert caught.value.__notes__


async def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """Row 22 of the catalogue."""
    await aside(_plant, tmp_path / "file", b"x")
    for create in (False, True):
        with pytest.raises(ConfigError) as caught:
            async with LocalStorage(tmp_path / "file", create=create):
                pytest.fail("nobody gets in")
        assert str(caught.value) == f"root '{tmp_path}/file' is not a directory"


def test_a_relative_root_is_refused() -> None:
    """Row 13 of the catalogue: it would depend on where the process was started."""
    with pytest.raises(ConfigError, match=r"^root 'data' must be absolute$"):
        LocalStorage("data")


def test_an_unknown_durability_is_refused(tmp_path: Path) -> None:
    """A misspelt `fsync` must not mean `none`."""
    with pytest.raises(ConfigError, match=r"^durability must be 'fsync' or 'none', got 'sync'$"):
        LocalStorage(tmp_path, durability="sync")  # type: ignore[arg-type]


async def test_the_root_may_be_reached_through_links(folder: Path, tmp_path: Path) -> None:
    """It is named as the user named it, whatever is behind."""
    link = tmp_path / "a link"
    await aside(link.symlink_to, folder)
    async with LocalStorage(f"{link}/") as storage:
        await storage.put("d/x", b"1")
        assert storage.root == f"file://{tmp_path}/a%20link"
        assert storage.uri("d/x") == f"{storage.root}/d/x"
        assert [entry.key for entry in (await storage.list()).entries] == ["d/x"]
    assert await aside(_peek, folder / "d/x") == b"1"


async def test_a_link_to_the_root_is_followed_when_it_is_opened(folder: Path, tmp_path: Path) -> None:
    """Whoever turns the link round later does not move the storage."""
    link = tmp_path / "link"
    await aside(link.symlink_to, folder)
    async with LocalStorage(link) as storage:
        await aside(link.unlink)
        await aside((tmp_path / "other").mkdir)
        await aside(link.symlink_to, tmp_path / "other")
        await storage.put("x", b"1")
    assert await aside(_files, folder) == ["x"]


async def test_a_root_is_made_where_that_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its parents, each of which survives a loss of power."""
    events = _spy(monkeypatch, tmp_path)
    for _ in range(2):
        async with LocalStorage(tmp_path / "a/b", create=True) as storage:
            await storage.put("x", b"1")
    assert events[:4] == [f"mkdir {tmp_path}/a", "fsync .", f"mkdir {tmp_path}/a/b", "fsync a"]
    assert stat.S_IMODE((await aside(os.stat, tmp_path / "a/b")).st_mode) == 0o750


async def test_a_root_is_made_below_a_link(tmp_path: Path) -> None:
    """Whoever names it may go by links; what lies below it may not."""
    await aside((tmp_path / "disk").mkdir)
    await aside((tmp_path / "link").symlink_to, tmp_path / "disk")
    async with LocalStorage(tmp_path / "link/a", create=True) as storage:
        await storage.put("x", b"1")
    assert await aside(_files, tmp_path / "disk") == ["a/x"]


async def test_a_root_may_be_made_by_several_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that another has made in between is as good."""
    make = os.mkdir

    def be_late(*args: Any, **kwargs: Any) -> None:
        make(*args, **kwargs)
        make(*args, **kwargs)

    events = _spy(monkeypatch, tmp_path)
    monkeypatch.setattr(os, "mkdir", be_late)
    async with LocalStorage(tmp_path / "a", create=True):
        assert events == ["fsync ."]  # the other may not have come to it


async def test_a_root_made_for_no_durability_is_not_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is anything else, and the log says so."""
    events = _spy(monkeypatch, tmp_path)
    async with LocalStorage(tmp_path / "a", create=True, durability="none") as storage:
        await storage.put("d/x", b"1")
        await storage.put("d/x", b"1")
        async with storage.create("d/y") as sink:
            await sink.write(b"1")
    assert not [event for event in events if event.startswith("fsync")]


async def test_no_durability_is_said_in_the_log(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever reads it knows what a loss of power may cost."""
    with caplog.at_level(logging.INFO, "fileflow_async"):
        async with LocalStorage(folder, durability="none"):
            pass
    assert f"durability is none: a loss of power may take what is in {folder}" in caplog.messages


async def test_a_root_that_is_removed_and_made_again_is_found(local: LocalStorage, folder: Path) -> None:
    """As after a remount: no descriptor holds on to the one before."""
    await local.put("d/x", b"1")
    await aside(_remove, folder)
    for call in (
        lambda: local.list(),
        lambda: local.stat("d/x"),
        lambda: local.put("d/x", b"1"),
        lambda: local.list_each(["d/"]),
        lambda: local.read_each(["d/x"]),
        lambda: local.delete(["d/x"]),
    ):
        with pytest.raises(StorageUnavailableError, match="does not exist on host"):
            await call()
    await aside(folder.mkdir)
    assert (await local.list()).entries == ()
    await local.put("d/x", b"2")
    assert await local.read("d/x") == b"2"


# Writing.


@pytest.mark.parametrize(("umask", "folders", "files"), [(0o000, 0o750, 0o640), (0o077, 0o700, 0o600)])
async def test_modes_are_never_wider_than_ours_or_the_umask(
    local: LocalStorage, folder: Path, umask: int, folders: int, files: int
) -> None:
    """They are given when the file is made, so that there is no moment before."""
    old = os.umask(umask)
    try:
        await local.put("a/b/x", b"1")
        async with local.create("a/b/y") as sink:
            await sink.write(b"1")
            (part,) = [path for path in await aside(_paths, folder) if path.name.endswith(".part")]
            assert stat.S_IMODE((await aside(os.stat, part)).st_mode) == files
    finally:
        os.umask(old)
    for path in await aside(_paths, folder):
        status = await aside(os.stat, path)
        assert stat.S_IMODE(status.st_mode) == (folders if stat.S_ISDIR(status.st_mode) else files)


async def test_what_is_acknowledged_was_synced(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and new folders before its name, the name before the answer; no more."""
    events = _spy(monkeypatch, folder)
    await local.put("a/b/x", b"1")
    # The folders behind the file, as one commit of a journal does for all.
    first = ["mkdir a", "mkdir b", "fsync a/b/.x.part", "fsync .", "fsync a", "rename .x.part x", "fsync a/b"]
    assert events == first
    events.clear()
    async with local.create("a/b/y") as sink:
        await sink.write(b"1")
    assert events == ["fsync a/b/.y.part", "rename .y.part y", "fsync a/b"]


async def test_the_same_bytes_again_are_synced_again(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever put them first may have died before its own sync."""
    await aside(_plant, folder / "d/x", b"1")
    events = _spy(monkeypatch, folder)
    await local.put("d/x", b"1")
    assert [event for event in events if ".part" not in event] == ["fsync d/x", "fsync .", "fsync d"]


async def test_a_folder_that_was_there_is_synced_once(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever made it may have died before its own sync; what is acknowledged inside would go with it."""
    await aside(_plant, folder / "a/b/w", b"1")
    events = _spy(monkeypatch, folder)
    await local.put("a/b/x", b"1")
    assert events == ["fsync a/b/.x.part", "fsync .", "fsync a", "rename .x.part x", "fsync a/b"]
    events.clear()
    await local.put("a/b/y", b"1")
    assert events == ["fsync a/b/.y.part", "rename .y.part y", "fsync a/b"]
    await aside(_remove, folder / "a")
    events.clear()
    await local.put("a/b/z", b"1")
    assert events.count("fsync .") == events.count("fsync a") == 1  # though their inodes may be the same
    monkeypatch.setattr(local_root, "_MOST_KEPT", 1)
    events.clear()
    await local.put("a/b/v", b"1")
    await local.put("c/d/x", b"1")
    await local.put("c/d/y", b"1")
    assert events.count("fsync .") == 2  # what is known of folders is forgotten before it grows


@pytest.mark.parametrize("by", ["us", "another"])
async def test_a_folder_that_is_made_again_is_synced_again(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """By us, though it may have the number of the one that was removed; by another, since it has not."""
    real = os.stat
    if by == "us":

        def stat_alike(path: Any, **options: Any) -> os.stat_result:
            status = real(path, **options)
            return os.stat_result((status[0], 7, *status[2:]))

        monkeypatch.setattr(os, "stat", stat_alike)
    await local.put("a/x", b"1")
    if by == "us":
        await aside(_remove, folder / "a")
    else:
        await aside((folder / "a").rename, folder / "gone")  # so that its number is taken
        await aside((folder / "a").mkdir)
    events = _spy(monkeypatch, folder)
    await local.put("a/x", b"1")
    assert "fsync ." in events


async def test_a_folder_that_may_not_be_listed_is_used_all_the_same(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A team's often lies in one that only its owner may list, and sync."""
    enter, refused = local_root.Root.enter, list[Sequence[str]]()

    def refuse_to_list(self: local_root.Root, parts: Sequence[str], *, listing: bool = False) -> int:
        if listing and list(parts) == ["a"]:
            refused.append(parts)
            raise PermissionError(errno.EACCES, "Permission denied")
        return enter(self, parts, listing=listing)

    monkeypatch.setattr(local_root.Root, "enter", refuse_to_list)
    await local.put("a/b/x", b"1")
    assert len(refused) == 1
    assert await local.read("a/b/x") == b"1"


async def test_a_failed_sync_of_a_folder_above_publishes_nothing(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name comes later; and no descriptor stays open."""
    monkeypatch.setattr(local_root, "sync_folder", _failing(errno.EIO))
    with pytest.raises(TargetWriteError) as caught:
        await local.put("a/b/x", b"1")
    assert caught.value.errno == errno.EIO
    assert await aside(_files, folder) == []
    assert await _is_let_go(folder)


async def test_a_hint_costs_no_sync(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be lost with the power, and a sync takes longer than all the rest."""
    events = _spy(monkeypatch, folder)
    await local.put("a/x", b"", durable=False)
    assert events == ["mkdir a"]  # nothing is hidden either: of an empty file nobody can see a part
    assert await aside(_files, folder) == ["a/x"]
    await local.put("a/x", b"", durable=False)
    await local.put("a/y", b"1")
    assert "fsync ." in events  # the folder is not known to survive
    with pytest.raises(TargetSupersededError):
        await local.put("a/y", b"", durable=False)
    await local.put("a/z", b"1", durable=False)
    assert events[-1] == "rename .z.part z"


async def test_a_folder_that_another_makes_just_now_is_synced_too(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other may not have come to it, and we acknowledge first."""
    make = os.mkdir

    def be_late(*args: Any, **kwargs: Any) -> None:
        make(*args, **kwargs)
        make(*args, **kwargs)

    events = _spy(monkeypatch, folder)
    monkeypatch.setattr(os, "mkdir", be_late)
    await local.put("a/x", b"1")
    assert "fsync ." in events
    async with local.create("b/y") as sink:
        await sink.write(b"1")
    assert await local.read("b/y") == b"1"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
async def test_a_failed_sync_publishes_nothing(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Over NFS a full disk shows no earlier."""
    await local.put("d/old", b"old")
    monkeypatch.setattr(os, "fsync", _failing(number))
    with pytest.raises(TargetWriteError) as caught:
        await local.put("d/x", b"1")
    assert caught.value.errno == number
    with pytest.raises(TargetWriteError) as caught:
        async with local.create("d/y") as sink:
            await sink.write(b"1")
    assert caught.value.errno == number
    assert await aside(_files, folder) == ["d/old"]


async def test_a_failed_close_keeps_its_number(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second close would find the descriptor gone and say EBADF instead."""
    closed, close = [], os.close

    def fail_for_files(descriptor: int) -> None:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        close(descriptor)
        if is_file:
            closed.append(descriptor)
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "close", fail_for_files)
    with pytest.raises(TargetWriteError, match="the disk quota is used up on") as caught:
        await local.put("d/x", b"1")
    assert caught.value.errno == errno.EDQUOT
    assert len(closed) == 1
    assert await aside(_files, folder) == []


async def test_a_failed_sync_of_the_name_takes_nothing_back(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have seen it; the same put again makes it good."""
    await local.put("d/old", b"old")
    sync = os.fsync

    def fail_for_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    with pytest.raises(TargetWriteError, match="may not survive a loss of power") as caught:
        await local.put("d/x", b"1")
    assert caught.value.errno == errno.EIO
    assert await local.read("d/x") == b"1"
    monkeypatch.setattr(os, "fsync", sync)
    await local.put("d/x", b"1")
    assert await aside(_files, folder) == ["d/old", "d/x"]


async def test_a_file_system_that_cannot_sync_folders_is_used_all_the_same(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some shares answer EINVAL."""
    sync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    await local.put("a/b/x", b"1")
    async with local.create("a/b/y") as sink:
        await sink.write(b"1")
    assert await aside(_files, folder) == ["a/b/x", "a/b/y"]


async def test_a_lost_reply_to_the_rename_is_no_failure(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over NFS the name may be in place although the call failed."""
    rename = os.rename

    def lose_reply(*args: Any, **kwargs: Any) -> None:
        rename(*args, **kwargs)
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(local_hidden, "rename_new", lambda *_: False)
    monkeypatch.setattr(os, "rename", lose_reply)
    await local.put("d/x", b"1")
    assert await local.read("d/x") == b"1"


async def test_a_failed_rename_publishes_nothing(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in the place, if anything, is not ours."""
    monkeypatch.setattr(local_hidden, "rename_new", lambda *_: False)
    monkeypatch.setattr(os, "rename", _failing(errno.EIO))
    with pytest.raises(
        TargetWriteError, match=r"^cannot write '.*/d/x': .*; nothing was published$"
    ) as caught:
        await local.put("d/x", b"1")
    assert caught.value.errno == errno.EIO
    assert await aside(_files, folder) == []


@pytest.mark.parametrize("in_one_call", [True, False])
async def test_what_came_to_be_there_meanwhile_stays(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch, in_one_call: bool
) -> None:
    """Even of somebody who knows nothing of hidden names."""
    if not in_one_call:
        monkeypatch.setattr(local_hidden, "rename_new", lambda *_: False)

    async def create() -> None:
        async with local.create("d/x") as sink:
            await sink.write(b"1")
            await aside(_plant, folder / "d/x", b"2")

    with pytest.raises(TargetSupersededError):
        await create()
    assert await local.read("d/x") == b"2"
    assert await aside(_files, folder) == ["d/x"]


async def test_a_rename_that_another_overtook_is_not_taken_for_ours(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is there, with other bytes than ours."""

    def overtake(*args: Any, **kwargs: Any) -> None:
        _plant(folder / "d/x", b"2")
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(local_hidden, "rename_new", lambda *_: False)
    monkeypatch.setattr(os, "rename", overtake)
    with pytest.raises(TargetWriteError):
        await local.put("d/x", b"1")
    assert await aside(_files, folder) == ["d/x"]
    assert await local.read("d/x") == b"2"


async def test_a_hidden_file_of_the_dead_is_in_the_way(local: LocalStorage, folder: Path) -> None:
    """Both ways of writing say whose way it is, and leave it."""
    await aside(_plant, folder / "d/.x.part", b"half")
    with pytest.raises(TargetSupersededError) as caught:
        await local.put("d/x", b"1")
    assert str(caught.value) == f"'{folder}/d/.x.part' exists already; nothing was published"
    assert caught.value.__notes__ == ["Another writer of the same key is at work, or died at it."]
    with pytest.raises(TargetSupersededError, match=r"\.x\.part' exists already"):
        async with local.create("d/x"):
            pytest.fail("nobody gets in")
    assert await aside(_files, folder) == ["d/.x.part"]


async def test_what_is_there_is_refused_before_anything_is_written(local: LocalStorage, folder: Path) -> None:
    """Gigabytes for nothing would help nobody."""
    await local.put("d/x", b"1")
    with pytest.raises(TargetSupersededError) as caught:
        async with local.create("d/x"):
            pytest.fail("nobody gets in")
    assert str(caught.value) == f"'{folder}/d/x' exists already; nothing was published"
    assert await aside(_files, folder) == ["d/x"]


async def test_put_waits_for_another_put_of_the_key(local: LocalStorage, folder: Path) -> None:
    """It takes a moment, and then there is an answer."""
    await aside(_plant, folder / "d/.x.part", b"")
    putting = asyncio.create_task(local.put("d/x", b"1"))
    for _ in range(100):
        await asyncio.sleep(0)
    await aside(os.rename, folder / "d/.x.part", folder / "d/.x.other")
    assert (await putting).size == 1
    assert await local.read("d/x") == b"1"


async def test_put_is_patient_with_another(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For as long as a put takes on a disk that is busy: 0.4 seconds and more."""
    await aside(_plant, folder / "d/.x.part", b"")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if sum(slept) > 0.4 and (folder / "d/.x.part").exists():
            (folder / "d/.x.part").rename(folder / "d/x")

    monkeypatch.setattr(time, "sleep", sleep)
    assert (await local.put("d/x", b"")).size == 0
    assert sum(slept) > 0.4


async def test_a_folder_stands_where_no_object_can(local: LocalStorage, folder: Path) -> None:
    """And an object where no folder can."""
    await local.put("a/b/c", b"1")
    with pytest.raises(TargetAccessError, match=f"^'{folder}/a/b' is a directory$"):
        await local.put("a/b", b"1")
    for call in (
        local.put("a/b/c/d", b"1"),
        local.read("a/b/c/d"),
        local.list("a/b/c/"),
        local.stat("a/b/c/d"),
    ):
        with pytest.raises(TargetAccessError, match=f"^'{folder}/a/b/c' is not a directory$"):
            await call
    assert await aside(_files, folder) == ["a/b/c"]


async def test_a_name_that_the_file_system_cannot_have_is_refused(local: LocalStorage, folder: Path) -> None:
    """Behind it there is nothing, so that a listing is empty."""
    key = f"d/{'x' * 300}"
    for call in (local.put(key, b"1"), local.read(key), local.stat(key)):
        with pytest.raises(TargetNameError, match="cannot be a file here: File name too long"):
            await call
    assert (await local.list(f"{key}/")).entries == ()
    assert await aside(_files, folder) == []


async def test_a_folder_removed_before_it_is_used_is_made_again(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clean-up takes empty folders away."""
    make, left = local_root.Root.make, [3]

    def make_in_vain(self: local_root.Root, parts: Sequence[str]) -> int:
        descriptor = make(self, parts)
        if left[0]:
            left[0] -= 1
            _remove(folder / "a")
        return descriptor

    monkeypatch.setattr(local_root.Root, "make", make_in_vain)
    await local.put("a/b/x", b"1")
    assert left == [0]
    assert await local.read("a/b/x") == b"1"


async def test_a_folder_removed_again_and_again_is_given_up(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than trying for ever."""
    make = local_root.Root.make

    def make_in_vain(self: local_root.Root, parts: Sequence[str]) -> int:
        descriptor = make(self, parts)
        _remove(folder / "a")
        return descriptor

    monkeypatch.setattr(local_root.Root, "make", make_in_vain)
    with pytest.raises(
        TargetWriteError, match=r"cannot write .* No such file or directory; nothing was published"
    ):
        await local.put("a/b/x", b"1")


async def test_writers_and_a_clean_up_can_work_at_once(local: LocalStorage) -> None:
    """Each put finds or makes its folder, each delete takes the empty ones away."""

    async def come_and_go(writer: int) -> None:
        for number in range(60):
            key = f"a/b/c/{writer}-{number}"
            await local.put(key, b"1")
            assert await local.read(key) == b"1"
            await local.delete([key])

    async with asyncio.TaskGroup() as tasks:
        for writer in range(4):
            tasks.create_task(come_and_go(writer))
    assert (await local.list()).entries == ()


@pytest.mark.parametrize("failures", [1, 2])
async def test_a_stale_descriptor_is_opened_anew(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """NFS says so when the server has forgotten it."""
    await local.put("a/x", b"1")
    for call in (
        lambda: local.read("a/x"),
        lambda: local.read_range("a/x", 0, 1),
        lambda: local.stat("a/x"),
        lambda: local.list(),
        lambda: local.put(f"a/{failures}", b"1"),
    ):
        with monkeypatch.context() as patch:
            left = _stale(patch, failures)
            await call()
            assert left == [0]


async def test_what_is_not_stale_is_not_tried_again(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails is told at once."""
    await local.put("a/x", b"1")
    tried = []

    def fail(*args: Any, **kwargs: Any) -> Any:
        tried.append(args)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(StorageUnavailableError):
        await local.read("a/x")
    assert len(tried) == 1


async def test_a_descriptor_that_stays_stale_is_given_up(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third time it is an outage."""
    await local.put("a/x", b"1")
    for call in (lambda: local.read("a/x"), lambda: local.list(), lambda: local.put("a/y", b"1")):
        with monkeypatch.context() as patch:
            left = _stale(patch, 99)
            with pytest.raises(StorageUnavailableError) as caught:
                await call()
            assert caught.value.errno == errno.ESTALE
            assert left == [96]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if not IS_ROOT:
        pytest.skip("only root can mount a tmpfs; the test with a limit of the process stands in for this")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0755", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_a_full_disk_publishes_nothing(small_disk: Path) -> None:
    """Row 51 of the catalogue; what was there before is still there, and so is the space."""
    async with LocalStorage(small_disk) as storage:
        await storage.put("d/old", b"old")
        for _ in range(2):
            with pytest.raises(TargetWriteError) as caught:
                await storage.put("d/x", b"x" * 2_000_000)
            assert str(caught.value) == (
                f"no space left on '{small_disk}' after {_written(caught.value)} bytes; nothing was published"
            )
            assert 900_000 < _written(caught.value) < 1_048_576
            assert caught.value.errno == errno.ENOSPC
            with pytest.raises(TargetWriteError, match=r"^no space left on .* nothing was published$"):
                await _create(storage, "d/y", [b"x" * 100_000] * 200)
            assert await aside(_files, small_disk) == ["d/old"]
        assert await storage.read("d/old") == b"old"
        await storage.put("d/x", b"x" * 900_000)


async def test_a_write_that_fails_spoils_the_sink(small_disk: Path) -> None:
    """Even where the block goes on as if nothing had happened."""

    async def go_on_regardless(storage: LocalStorage) -> None:
        async with storage.create("d/x") as sink:
            await sink.write(b"x" * PIECE)
            with pytest.raises(TargetWriteError, match="no space left"):  # of the one before
                await sink.write(b"x" * PIECE)

    async with LocalStorage(small_disk) as storage:
        with pytest.raises(TargetWriteError, match="cannot be completed: a write of it failed"):
            await go_on_regardless(storage)
        assert await aside(_files, small_disk) == []


def test_a_limit_of_the_process_publishes_nothing(folder: Path) -> None:
    """Like a full disk, but without one."""
    program = f"""
import asyncio, resource
from fileflow_async.errors import TargetWriteError
from fileflow_async.storage.local import LocalStorage
async def main():
    async with LocalStorage({str(folder)!r}) as storage:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            await storage.put("d/x", b"x" * 2_000_000)
        except TargetWriteError as error:
            print(error.errno, error)
asyncio.run(main())
"""
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert printed == (f"{errno.EFBIG} cannot write '{folder}/d/x': File too large; nothing was published\n")
    assert _files(folder) == []


async def test_a_sink_has_no_entry_before_its_end(local: LocalStorage) -> None:
    """Nobody knows it yet."""
    async with local.create("d/x") as sink:
        with pytest.raises(RuntimeError, match="has not ended well"):
            _ = sink.entry
    assert sink.entry.size == 0


async def test_two_writes_at_once_are_refused(local: LocalStorage, folder: Path) -> None:
    """Nobody could say in which order they come out."""
    with pytest.raises(TargetWriteError, match="is still going on"):
        async with local.create("d/x") as sink:
            await asyncio.gather(sink.write(b"1" * 2 * PIECE), sink.write(b"2" * 2 * PIECE))
    await eventually(lambda: _is(folder, []))


async def test_a_write_after_the_end_is_refused(local: LocalStorage) -> None:
    """It would go nowhere."""
    async with local.create("d/x") as sink:
        await sink.write(b"1")
    with pytest.raises(TargetWriteError, match="came after the end"):
        await sink.write(b"2")
    assert await local.read("d/x") == b"1"


@pytest.mark.parametrize("size", [10, BATCH - 1, 2 * PIECE + 10])
async def test_a_buffer_may_be_used_again_while_its_bytes_are_on_their_way(
    local: LocalStorage, size: int
) -> None:
    """The write has returned: the buffer is its owner's, to be changed or to be cleared."""
    async with local.create("d/x") as sink:
        for number in (b"1", b"2"):
            buffer = bytearray(number * size)
            await sink.write(buffer)
            buffer[:] = b"-" * size
            await sink.write(memoryview(buffer)[:1])
            buffer.clear()
    assert await local.read("d/x") == b"1" * size + b"-" + b"2" * size + b"-"


async def test_a_piece_is_written_while_the_caller_gets_the_next(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But no more than one, so that memory stays bounded; and the end comes after all of them."""
    gate, write = threading.Event(), local_hidden.HiddenFile.write

    def write_late(self: local_hidden.HiddenFile, *args: Any) -> None:
        gate.wait(10)
        write(self, *args)

    monkeypatch.setattr(local_hidden.HiddenFile, "write", write_late)
    pieces = [number * PIECE for number in (b"1", b"2", b"3")]
    async with local.create("d/x") as sink:
        await sink.write(pieces[0])
        second = asyncio.create_task(sink.write(pieces[1]))
        await asyncio.sleep(0.05)
        assert not second.done()
        gate.set()
        await second
        await sink.write(pieces[2])
    assert await local.read("d/x") == b"".join(pieces)


async def test_a_last_piece_that_fails_on_its_way_publishes_nothing(small_disk: Path) -> None:
    """The block has ended well; the disk has not."""
    async with LocalStorage(small_disk) as storage:
        with pytest.raises(TargetWriteError, match="no space left") as caught:
            async with storage.create("d/x") as sink:
                await sink.write(b"x" * PIECE)
        assert caught.value.errno == errno.ENOSPC
        assert await aside(_files, small_disk) == []


async def test_put_copies_what_can_change(local: LocalStorage) -> None:
    """And nothing else."""
    buffer = bytearray(b"1" * 100)
    putting = asyncio.create_task(local.put("d/x", buffer))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    buffer[:] = b"2" * 100
    await putting
    assert await local.read("d/x") == b"1" * 100


# Listing, deleting, reading.


async def test_what_is_no_key_is_not_listed(local: LocalStorage, folder: Path) -> None:
    """Names that are no UTF-8, or have control characters, are nobody's objects."""

    def plant_odd_names() -> None:
        _plant(folder / "d/x", b"1")
        for name in (b"\xff", b"a\nb"):
            (folder / "d" / os.fsdecode(name)).write_bytes(b"")
            (folder / os.fsdecode(name)).mkdir()

    await aside(plant_odd_names)
    assert [entry.key for entry in (await local.list()).entries] == ["d/x"]
    assert [entry.key for entry in (await local.list(shallow=True)).entries] == ["d/"]
    await local.delete(["d/x"])
    assert (await local.list(shallow=True)).entries == ()
    assert (await local.list(os.fsdecode(b"\xff/"))).entries == ()


async def test_hidden_files_are_listed(local: LocalStorage, folder: Path) -> None:
    """So that a clean-up finds what a dead writer has left."""
    await aside(_plant, folder / "d/.x.part", b"half")
    async with local.create("d/y") as sink:
        await sink.write(b"1")
        entries = (await local.list("d/")).entries
        assert [(entry.name, entry.size) for entry in entries] == [(".x.part", 4), (".y.part", 0)]


async def test_folders_without_objects_are_not_listed(local: LocalStorage, folder: Path) -> None:
    """They are nothing that anybody has stored."""
    await aside(os.makedirs, folder / "a/b/c")
    await aside(_plant, folder / "a-/b/x", b"1")
    assert [entry.key for entry in (await local.list(shallow=True)).entries] == ["a-/"]
    assert (await local.list("a/")).entries == ()


@pytest.mark.parametrize("call", ["stat", "open", "fold"])
async def test_what_vanishes_under_a_listing_is_left_out(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Whether it is noticed at the object or at its folder."""
    for key in ("a/x", "b/x", "c"):
        await local.put(key, b"1")
    scan = local_scan.Scan._names
    held: list[object] = []

    def remove_after(self: local_scan.Scan, descriptor: int, stem: str) -> Any:
        names = scan(self, descriptor, stem)
        if not held:
            held.append(names)
            if call == "stat":
                (folder / "c").unlink()
            else:
                _remove(folder / "b")
        return names

    monkeypatch.setattr(local_scan.Scan, "_names", remove_after)
    keys = [entry.key for entry in (await local.list(shallow=call == "fold")).entries]
    assert keys == {"stat": ["a/x", "b/x"], "open": ["a/x", "c"], "fold": ["a/", "c"]}[call]


async def test_a_folder_s_key_ends_in_a_slash(local: LocalStorage) -> None:
    """Without one it could mean two things."""
    found = await local.list_each(["d", "d/"])
    assert isinstance(found["d"], TargetNameError)
    assert isinstance(found["d/"], Listing)


async def test_folders_are_listed_together_as_one_by_one(local: LocalStorage, folder: Path) -> None:
    """What lies below a folder that is missing is not looked for, and still every answer is the same."""

    def plant() -> None:
        for there in ("a/r1/t1/out", "a/r1/t2", "a/r2", "b"):
            (folder / there).mkdir(parents=True)
        (folder / "a/r1/t1/out/x").write_bytes(b"1")
        (folder / "a/file").write_bytes(b"1")
        (folder / "a/link").symlink_to(folder / "a/r1")
        (folder / "a/astray").symlink_to(folder / "nowhere")

    await aside(plant)
    runs = ("a/r1", "a/r2", "a/r3", "a/" + "n" * 300, "a/file", "a/link", "a/astray", "b", "c", "..", "a//r1")
    folders = [f"{run}/{task}/out/" for run in runs for task in ("t1", "t2", "t3")]
    together = await local.list_each([*folders, "c/", "c/d/", "a/r3/"])
    for each, found in together.items():
        try:
            alone: object = (await local.list(each, shallow=True)).entries
        except FileflowError as error:
            alone = repr(error)
        assert (found.entries if isinstance(found, Listing) else repr(found)) == alone, each
    assert [each for each, found in together.items() if isinstance(found, Listing) and found.entries] == [
        "a/r1/t1/out/"
    ]
    assert isinstance(together["a/link/t1/out/"], TargetAccessError)


async def test_a_run_that_has_not_begun_is_looked_for_once(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of its tasks somebody waits for."""
    await aside((folder / "dag").mkdir)
    opened: list[str] = []

    def enter(root: local_root.Root, parts: Sequence[str], *, listing: bool = False) -> int:
        opened.append("/".join(parts))
        return real(root, parts, listing=listing)

    real = local_root.Root.enter
    monkeypatch.setattr(local_root.Root, "enter", enter)
    await local.list_each([f"dag/run/task{number}/output/" for number in range(50)])
    assert opened == ["dag/run/task0/output", "dag", "dag/run"]
    await aside((folder / "dag/run").mkdir)
    del opened[:]
    await local.list_each([f"dag/run/task{number}/output/" for number in range(50)])
    assert opened.count("dag/run") == opened.count("dag") == 1


async def test_what_cannot_be_entered_is_not_taken_for_missing(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it comes to be so while it is looked how much is missing: the others have answers of their own."""
    await aside((folder / "dag/run/task1").mkdir, parents=True)
    await aside((folder / "dag/run/task1/x").write_bytes, b"1")

    def enter(root: local_root.Root, parts: Sequence[str], *, listing: bool = False) -> int:
        if list(parts) == ["dag"]:
            raise PermissionError(errno.EACCES, "away")
        return real(root, parts, listing=listing)

    real = local_root.Root.enter
    monkeypatch.setattr(local_root.Root, "enter", enter)
    found = await local.list_each(["dag/run/task0/", "dag/run/task1/"])
    assert [isinstance(each, Listing) and len(each.entries) for each in found.values()] == [0, 1]


@pytest.mark.slow
async def test_a_folder_of_many_objects_is_listed_beside_the_loop(tmp_path: Path) -> None:
    """The listing of a hundred thousand takes a second or so, and the loop hardly notices."""
    count = how_many(sample=20_000, normal=100_000, long=100_000)

    def plant_many() -> None:
        (tmp_path / "d").mkdir()
        folder = os.open(tmp_path / "d", os.O_RDONLY)
        for number in range(count):
            os.close(os.open(f"{number:06d}", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
        os.close(folder)

    await aside(plant_many)
    async with LocalStorage(tmp_path) as storage:
        listing = asyncio.create_task(storage.list("d/"))
        begun = before = time.perf_counter()
        gaps = []
        while not listing.done():
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - before)
            before = time.perf_counter()
        assert len((await listing).entries) == count
        assert time.perf_counter() - begun < 20
        assert sorted(gaps)[len(gaps) * 99 // 100] < 0.1  # FileTrigger's glob holds the loop for all of it
        page = await storage.list("d/", start_after=f"d/{count - 11:06d}", limit=5)
        assert [entry.name for entry in page.entries] == [f"{count - left:06d}" for left in range(10, 5, -1)]


async def test_delete_takes_empty_folders_away(local: LocalStorage, folder: Path) -> None:
    """Never the root, and none that anything is in."""
    for key in ("a/b/c/x", "a/b/y", "d/x"):
        await local.put(key, b"1")
    await local.delete(["a/b/c/x"])
    assert await aside(_folders, folder) == ["a", "a/b", "d"]
    await aside(os.makedirs, folder / "e/f")
    await local.delete(["a/b/y", "d/x", "e/f/none", "none/x"])
    assert await aside(_folders, folder) == []
    assert await aside(folder.is_dir)


async def test_delete_keeps_the_order_across_folders(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records go before their data, wherever they lie."""
    keys = ["b/2", "a/9", "b/1", "a/3", "c", "a/4"]
    for key in keys:
        await local.put(key, b"1")
    unlink, order = os.unlink, list[str]()

    def note(name: str, **kwargs: Any) -> None:
        order.append(name)
        unlink(name, **kwargs)

    monkeypatch.setattr(os, "unlink", note)
    await local.delete(keys)
    assert order == [key.rpartition("/")[2] for key in keys]


async def test_a_folder_is_not_deleted_as_an_object(local: LocalStorage, folder: Path) -> None:
    """It is none."""
    await local.put("a/b/x", b"1")
    await local.delete(["a/b"])
    assert await aside(_files, folder) == ["a/b/x"]


async def test_a_cancelled_delete_stops(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the object that it is at."""
    for number in range(5):
        await local.put(f"d/{number}", b"1")
    unlink, reached, go_on = os.unlink, threading.Event(), threading.Event()

    def hold(*args: Any, **kwargs: Any) -> None:
        reached.set()
        assert go_on.wait(10)
        unlink(*args, **kwargs)

    monkeypatch.setattr(os, "unlink", hold)
    deleting = asyncio.create_task(local.delete([f"d/{number}" for number in range(5)]))
    assert await aside(reached.wait, 10)
    deleting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deleting
    go_on.set()
    await eventually(lambda: _is_let_go(folder))  # the thread has ended
    assert await aside(_files, folder) == ["d/1", "d/2", "d/3", "d/4"]


async def test_a_read_that_the_system_cuts_short_is_gone_on_with(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a signal, or by a network file system."""
    await local.put("d/x", b"0123456789")
    pread = os.pread
    monkeypatch.setattr(
        os, "pread", lambda descriptor, length, start: pread(descriptor, min(length, 3), start)
    )
    assert await local.read_range("d/x", 1, 7) == b"1234567"
    assert await local.read_range("d/x", 1, 99) == b"123456789"


async def test_a_disk_that_fails_under_a_read_is_an_outage(
    local: LocalStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the file is closed."""

    class Unreadable(FileIO):
        def read(self, *_: object) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    for size in (1, PIECE + 1):
        await local.put(f"d/{size}", b"x" * size)
    monkeypatch.setattr(local_files, "FileIO", Unreadable)
    for size in (1, PIECE + 1):
        with pytest.raises(StorageUnavailableError) as caught:
            await local.read(f"d/{size}")
        assert str(caught.value) == f"'{folder}/d/{size}' does not answer: Input/output error"
    await eventually(lambda: _is_let_go(folder))


async def test_a_disk_that_fails_under_a_stream_is_an_outage(local: LocalStorage, folder: Path) -> None:
    """In the middle of it, too."""
    await local.put("d/x", b"x" * 10)
    async with local.stream("d/x") as pieces:
        pieces._file.read = _failing(errno.EIO)  # type: ignore[attr-defined]
        with pytest.raises(StorageUnavailableError, match="does not answer"):
            await anext(pieces)


async def test_a_large_range_is_read(local: LocalStorage) -> None:
    """One that may take longer than a look."""
    await local.put("d/x", b"x" * (PIECE + 10))
    assert len(await local.read_range("d/x", 5, PIECE + 1)) == PIECE + 1


# Threads and descriptors.


async def test_the_default_executor_is_never_used(local: LocalStorage) -> None:
    """Others fill it, and then every wait would wait for them."""

    class Refusing(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
            pytest.fail("the default executor is used")

    asyncio.get_running_loop().set_default_executor(Refusing())
    await _do_everything(local, "d/x")
    with pytest.raises(ZeroDivisionError):
        async with local.create("d/y"):
            raise ZeroDivisionError


async def test_threads_and_descriptors_come_back(folder: Path) -> None:
    """After every way to use the storage, and every way that fails."""
    async with LocalStorage(folder, durability="none") as storage:
        for number in range(150):
            key = f"d/{number}/x"
            await _do_everything(storage, key)
            for call in (
                storage.put(key, b"2"),
                storage.read("d/none"),
                storage.read("d"),
                storage.put("d", b""),
            ):
                with pytest.raises(FileflowError):
                    await call
            with pytest.raises(ZeroDivisionError):
                async with storage.create(f"d/{number}/y"):
                    raise ZeroDivisionError
            await storage.delete([key])
    assert await aside(_files, folder) == []

    async def is_as_before() -> bool:
        ours = [thread for thread in threading.enumerate() if thread.name.startswith("fileflow")]
        return not ours and await _is_let_go(folder)

    await eventually(is_as_before)


async def _do_everything(storage: LocalStorage, key: str) -> None:
    await storage.put(key, b"1")
    async with storage.create(f"{key}2") as sink:
        await sink.write(b"1")
    assert await storage.read(key) == b"1"
    assert await storage.read_each([key, "none"])
    assert await storage.read_range(key, 0, 1) == b"1"
    async with storage.stream(key) as pieces:
        assert [piece async for piece in pieces] == [b"1"]
    assert (await storage.stat(key)).size == 1
    assert (await storage.list()).entries
    assert await storage.list_each(["d/", "none/"])
    async with storage.tail(".feed/") as tail:
        assert not await tail.names()
    await storage.delete([f"{key}2"])


async def _create(storage: LocalStorage, key: str, pieces: Iterable[bytes]) -> None:
    async with storage.create(key) as sink:
        for piece in pieces:
            await sink.write(piece)


def _plant(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _peek(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _paths(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def _files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in _paths(folder) if not path.is_dir()]


def _folders(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in _paths(folder) if path.is_dir()]


def _remove(folder: Path) -> None:
    for path in reversed(_paths(folder)):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


async def _is(folder: Path, files: Sequence[str]) -> bool:
    return await aside(_files, folder) == list(files)


async def _is_let_go(folder: Path) -> bool:
    """Tell whether no descriptor is open of anything there."""

    def look() -> bool:
        for descriptor in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(folder)):
                    return False
        return True

    return await aside(look)


def _spy(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[str]:
    """Note what is synced, made and renamed, with the paths that the descriptors stand for."""
    events: list[str] = []
    sync, make, rename = os.fsync, os.mkdir, rename_new

    def spy_sync(descriptor: int) -> None:
        events.append(f"fsync {os.path.relpath(os.readlink(f'/proc/self/fd/{descriptor}'), folder)}")
        sync(descriptor)

    def spy_make(path: str, *args: Any, **kwargs: Any) -> None:
        make(path, *args, **kwargs)
        events.append(f"mkdir {path}")

    def spy_rename(below: int, source: str, target: str) -> bool:
        events.append(f"rename {source} {target}")
        return rename(below, source, target)

    monkeypatch.setattr(os, "fsync", spy_sync)
    monkeypatch.setattr(os, "mkdir", spy_make)
    monkeypatch.setattr(local_hidden, "rename_new", spy_rename)
    return events


def _failing(number: int) -> Callable[..., Any]:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def _stale(patch: pytest.MonkeyPatch, failures: int) -> list[int]:
    """Make the next so many openings below the root fail as NFS makes them."""
    patch.setattr(local_root, "open_straight", lambda path, flags: None)
    left, original = [failures], os.open

    def open_stale(path: Any, *args: Any, **kwargs: Any) -> int:
        if left[0] and "dir_fd" in kwargs:
            left[0] -= 1
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return original(path, *args, **kwargs)

    patch.setattr(os, "open", open_stale)
    return left


def _written(error: BaseException) -> int:
    return int(str(error).partition(" after ")[2].partition(" bytes")[0])
