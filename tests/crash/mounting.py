"""File systems that are mounted for one test."""

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOSUID, _NODEV, _DETACH = 2, 4, 2  # the kernel's numbers


class CannotMountError(Exception):
    """This machine, or whoever runs the tests on it, cannot mount file systems; says why."""


@contextmanager
def mounted(*arguments: str | Path) -> Iterator[Path]:
    """Mount a file system while the block lasts, and give its folder.

    Not in pytest's own folder for temporary files: what a killed test leaves there fails all later ones.

    Args:
        arguments: Those of `mount`, without the folder.

    Raises:
        CannotMountError: It cannot be done here.
    """
    path = Path(tempfile.mkdtemp(prefix="fileflow-mount-"))
    try:
        try:
            subprocess.run(["mount", *arguments, path], check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise CannotMountError("there is no mount command") from error
        except subprocess.CalledProcessError as error:
            raise CannotMountError(error.stderr.strip()) from error
        try:
            yield path
        finally:
            # Lazily: a test that has failed may still hold a file open.
            subprocess.run(["umount", "--lazy", path], check=True)
    finally:
        path.rmdir()


@contextmanager
def hung() -> Iterator[Path]:
    """Mount a file system that never answers while the block lasts, and give its folder.

    It is one of FUSE's whose process says nothing. Whoever touches it waits in the kernel until the end.

    Raises:
        CannotMountError: It cannot be done here.
    """
    path = Path(tempfile.mkdtemp(prefix="fileflow-hung-"))
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        process = _fuse()
        try:
            options = f"fd={process},rootmode=40000,user_id=0,group_id=0"
            if libc.mount(b"hung", bytes(path), b"fuse", _NOSUID | _NODEV, options.encode()):
                raise CannotMountError(os.strerror(ctypes.get_errno()))
            try:
                yield path
            finally:
                libc.umount2(bytes(path), _DETACH)
        finally:
            os.close(process)  # lets everybody go
    finally:
        path.rmdir()


def _fuse() -> int:
    try:
        return os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        raise CannotMountError(str(error)) from error
