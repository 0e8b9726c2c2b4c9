"""A file is renamed where nothing stands, or left to a look and a rename."""

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fileflow_async.storage import renameat2
from fileflow_async.storage.renameat2 import rename_new


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    """A folder that is open, with a file in it."""
    (tmp_path / "old").write_bytes(b"1")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def fresh() -> Iterator[None]:
    """Find the call anew, before and afterwards."""
    renameat2._call.cache_clear()
    yield
    renameat2._call.cache_clear()


def test_a_file_is_renamed(folder: int, tmp_path: Path) -> None:
    """Whatever text its name is."""
    assert rename_new(folder, "old", "né")
    assert [path.name for path in tmp_path.iterdir()] == ["né"]


@pytest.mark.parametrize("what", ["file", "folder", "link"])
def test_what_stands_there_stays(folder: int, tmp_path: Path, what: str) -> None:
    """A link that leads nowhere as well."""
    place = tmp_path / "new"
    if what == "link":
        place.symlink_to("nowhere")
    else:
        place.mkdir() if what == "folder" else place.touch()
    with pytest.raises(FileExistsError, match="new") as caught:
        rename_new(folder, "old", "new")
    assert caught.value.errno == errno.EEXIST
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EPERM])
def test_a_share_or_a_container_without_the_call_is_no_error(
    folder: int, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """NFS and FAT, older kernels, and some sandboxes."""

    def refuse(*_: Any) -> int:
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(renameat2, "_call", lambda: refuse)
    assert not rename_new(folder, "old", "new")


@pytest.mark.usefixtures("fresh")
def test_a_library_without_the_call_is_no_error(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems, and older Linuxes."""
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    assert not rename_new(folder, "old", "new")
