"""Which file system a path is on, as the kernel lists it."""

from pathlib import Path

import pytest

from fileflow_async.storage import mounts as module
from fileflow_async.storage.mounts import file_system_of, is_of_this_machine


def test_the_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    """Of two on one point, the later; a name that only begins alike is another folder."""
    (mounts := tmp_path / "mountinfo").write_text(
        "22 1 8:1 / / rw - ext4 /dev/root rw\n"
        "30 22 0:50 / /data rw,noatime shared:5 - xfs /dev/sdb rw\n"
        "31 30 0:51 / /data/my\\040share rw - nfs4 host:/share rw\n"
        "32 30 0:52 / /data/my\\040share rw - fuse.sshfs host:/share rw\n"
    )
    for path, expected in {
        "/data/my share/lake": "fuse.sshfs",
        "/data/lake": "xfs",
        "/database": "ext4",
        "/": "ext4",
    }.items():
        assert file_system_of(path, mounts) == expected, path
    assert file_system_of("/", tmp_path / "nothing") is None


def test_shares_and_what_is_not_known_are_not_this_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others change them, and nobody here hears of it."""
    for kind, expected in {"ext4": True, "overlay": True, "nfs4": False, "9p": False, "new": False}.items():
        monkeypatch.setattr(module, "file_system_of", lambda _path, kind=kind: kind)
        assert is_of_this_machine(str(tmp_path)) is expected, kind
    monkeypatch.setattr(module, "file_system_of", lambda _path: None)
    assert not is_of_this_machine(str(tmp_path))
