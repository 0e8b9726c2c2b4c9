"""What lies at a path is opened in one call, or left to a walk."""

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fileflow_async.storage import openat2
from fileflow_async.storage.openat2 import open_straight

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder below two others, with a file in it."""
    path = tmp_path.resolve() / "a" / "b"
    path.mkdir(parents=True)
    (path / "x").write_bytes(b"1")
    return path


@pytest.fixture
def fresh() -> Iterator[None]:
    """Find the call anew, before and afterwards."""
    openat2._system_call.cache_clear()
    yield
    openat2._system_call.cache_clear()


def test_a_folder_is_opened(folder: Path) -> None:
    """For listing it, and for this process only."""
    descriptor = open_straight(str(folder), FOLDER)
    assert descriptor is not None
    try:
        assert os.listdir(descriptor) == ["x"]
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


def test_a_folder_that_is_not_there_is_told(folder: Path) -> None:
    """There is no need for a walk to find that out."""
    with pytest.raises(FileNotFoundError, match="missing") as caught:
        open_straight(f"{folder}/missing", FOLDER)
    assert caught.value.errno == errno.ENOENT


def test_no_link_is_followed_wherever_it_stands(folder: Path) -> None:
    """A walk says which one it is."""
    (folder.parent / "link").symlink_to(folder)
    (folder / "deeper").mkdir()
    assert open_straight(f"{folder.parent}/link", FOLDER) is None
    assert open_straight(f"{folder.parent}/link/deeper", FOLDER) is None


def test_a_file_is_made_where_there_is_none(folder: Path) -> None:
    """With the mode that it is to have; of one that is there, and of a link, a walk says so."""
    descriptor = open_straight(f"{folder}/y", NEW, 0o600)
    assert descriptor is not None
    try:
        assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
    finally:
        os.close(descriptor)
    (folder / "link").symlink_to(folder / "z")
    assert open_straight(f"{folder}/y", NEW, 0o600) is None
    assert open_straight(f"{folder}/link", NEW, 0o600) is None
    assert sorted(path.name for path in folder.iterdir()) == ["link", "x", "y"]
    with pytest.raises(FileNotFoundError):
        open_straight(f"{folder}/missing/y", NEW, 0o600)


def test_a_file_is_no_folder(folder: Path) -> None:
    """A walk says what it is."""
    assert open_straight(f"{folder}/x", FOLDER) is None


def test_a_kernel_or_a_container_without_the_call_is_no_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older ones say that they do not know it, some sandboxes that it is not allowed."""
    for number in (errno.ENOSYS, errno.EPERM):

        def refuse(*_: Any, number: int = number) -> int:
            ctypes.set_errno(number)
            return -1

        monkeypatch.setattr(openat2, "_system_call", lambda call=refuse: call)
        assert open_straight(str(folder), FOLDER) is None


@pytest.mark.usefixtures("fresh")
def test_other_systems_are_not_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number means something else there."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert open_straight(str(folder), FOLDER) is None
