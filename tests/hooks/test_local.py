"""Folders through connections of type `fs`: the path of the connection is a fence."""

import asyncio
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseHook

from fileflow_async.errors import ConfigError, StorageUnavailableError
from fileflow_async.hooks.local import LocalStorageHook
from tests.hooks.conftest import AsyncComms, MakeFolders


def fs(path: object = None) -> dict[str, Any]:
    return {"conn_type": "fs", "extra": json.dumps({"path": path} if path is not None else {})}


async def test_a_root_in_the_fence_is_opened(comms: AsyncComms, tmp_path: Path, folders: MakeFolders) -> None:
    """The folder of the connection itself, or one below it; the connection changes nothing about it."""
    comms.connections["files"] = fs(str(tmp_path))
    for root in (tmp_path, *(await folders("ff"))):
        async with LocalStorageHook("files").open_storage(str(root), durability="none") as storage:
            await storage.put("a", b"b")
            assert storage.root == f"file://{root}"
        assert await asyncio.to_thread((root / "a").read_bytes) == b"b"


@pytest.mark.parametrize("path", [None, "", "/"])
async def test_without_a_fence_every_folder_is_allowed(
    comms: AsyncComms, tmp_path: Path, path: object
) -> None:
    """As with the fs_default that Airflow makes by itself."""
    comms.connections["files"] = fs(path)
    async with LocalStorageHook("files").open_storage(str(tmp_path / "new"), create=True) as storage:
        assert storage.root == f"file://{tmp_path}/new"


async def test_a_root_outside_of_the_fence_is_refused(
    comms: AsyncComms, tmp_path: Path, folders: MakeFolders
) -> None:
    """A neighbour whose name begins alike is outside, and what a link leads to; nothing is made there."""
    fence, outside = await folders("data", "data2")
    await asyncio.to_thread((fence / "link").symlink_to, outside)
    comms.connections["files"] = fs(str(fence))
    for root in (outside, tmp_path, fence / "link", fence / "link" / "new"):
        with pytest.raises(ConfigError) as caught:
            async with LocalStorageHook("files").open_storage(str(root), create=True):
                pass
        assert str(caught.value) == f"root '{root}' is not in '{fence}', the path of connection 'files'"
    assert await asyncio.to_thread(os.listdir, outside) == []


async def test_a_fence_may_be_reached_through_a_link(
    comms: AsyncComms, tmp_path: Path, folders: MakeFolders
) -> None:
    """What counts is where both really are."""
    await folders("real")
    await asyncio.to_thread((tmp_path / "link").symlink_to, tmp_path / "real")
    comms.connections["files"] = fs(str(tmp_path / "link"))
    async with LocalStorageHook("files").open_storage(str(tmp_path / "real")):
        pass


async def test_a_disk_that_hangs_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, comms: AsyncComms, tmp_path: Path
) -> None:
    """Nor does it take a thread along that others need."""
    answering = threading.Event()
    comms.connections["files"] = fs(str(tmp_path))
    monkeypatch.setattr("fileflow_async.hooks.local._lies_in", lambda *_: answering.wait(30))
    monkeypatch.setattr("fileflow_async.hooks.local._PATIENCE", 0.1)
    with pytest.raises(StorageUnavailableError, match="has not answered for"):
        async with LocalStorageHook("files").open_storage(str(tmp_path)):
            pass
    threads = [thread.name for thread in threading.enumerate()]
    answering.set()
    assert any(name.startswith("fileflow-local") for name in threads)


@pytest.mark.parametrize("path", ["data", 5, ["/data"], {}])
async def test_a_fence_must_be_an_absolute_path(comms: AsyncComms, path: object) -> None:
    """Otherwise it would depend on where a process was started."""
    comms.connections["files"] = fs(path)
    with pytest.raises(ConfigError) as caught:
        await LocalStorageHook("files").settings()
    assert str(caught.value) == f"the path of connection 'files' must be absolute, got {path!r}"


async def test_only_roots_on_disk_are_opened(comms: AsyncComms) -> None:
    """And only by connections that are about disks."""
    comms.connections["lake"] = {"conn_type": "aws"}
    with pytest.raises(ConfigError) as caught:
        async with LocalStorageHook("lake").open_storage("/data"):
            pass
    assert str(caught.value) == "connection 'lake' is of type 'aws', a root on disk needs 'fs'"
    with pytest.raises(ConfigError) as caught:
        async with LocalStorageHook("lake").open_storage("s3://lake/ff"):
            pass
    assert str(caught.value) == "connection 'lake' is of type 'fs', which does not open s3://lake/ff"


def test_the_button_test_lists_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And says what is wrong in one line; every time anew, as somebody edits the connection meanwhile."""
    answers = []
    for value in (fs(str(tmp_path)), fs(str(tmp_path / "absent")), fs(), fs("data"), {"conn_type": "aws"}):
        monkeypatch.setenv("AIRFLOW_CONN_FS_DEFAULT", json.dumps(value))
        answers.append(LocalStorageHook().test_connection())
    assert answers == [
        (True, f"'{tmp_path}' can be listed"),
        (False, f"cannot list '{tmp_path}/absent': No such file or directory"),
        (False, "connection 'fs_default' has no path in its extra: it allows every folder"),
        (False, "the path of connection 'fs_default' must be absolute, got 'data'"),
        (False, "connection 'fs_default' is of type 'aws', a root on disk needs 'fs'"),
    ]
    monkeypatch.delenv("AIRFLOW_CONN_FS_DEFAULT")
    assert LocalStorageHook().test_connection() == (False, "connection 'fs_default' does not exist")


def test_airflow_finds_what_it_needs_on_the_hook() -> None:
    """The names by which forms and `get_hook` go."""
    assert issubclass(LocalStorageHook, BaseHook)
    assert LocalStorageHook(**{LocalStorageHook.conn_name_attr: "x"}).conn_id == "x"
    assert LocalStorageHook().conn_id == LocalStorageHook.default_conn_name == "fs_default"
    assert (LocalStorageHook.conn_type, LocalStorageHook.hook_name) == ("fs", "File (path)")
    assert set(LocalStorageHook.get_ui_field_behaviour()) == {"hidden_fields", "relabeling", "placeholders"}
