"""File systems that are mounted for one test."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
