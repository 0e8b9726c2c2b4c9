"""A file renamed in one call of the system, in which no other's place is taken."""  # ADR 0034

import ctypes
import errno
import os
from functools import cache
from typing import Any

_NEW_ONLY = 1  # RENAME_NOREPLACE


def rename_new(folder: int, old: str, new: str) -> bool:
    """Rename a file in a folder that is open; return whether that was done, or only a look can tell.

    Raises:
        FileExistsError: Something has the new name.
    """
    call = _call()
    if call is None:
        return False
    if call(folder, os.fsencode(old), folder, os.fsencode(new), _NEW_ONLY) == 0:
        return True
    if (number := ctypes.get_errno()) == errno.EEXIST:
        raise FileExistsError(number, os.strerror(number), new)
    return (
        False  # a share, an old kernel, a container that forbids the call; or what a rename will say as well
    )


@cache
def _call() -> Any:
    """Return the call of the C library; None where it has no such."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
        call.restype = ctypes.c_int
    return call
