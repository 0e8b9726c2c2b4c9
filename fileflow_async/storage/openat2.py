"""A path opened in one call of the Linux kernel, no part of which may be a link."""  # ADR 0034

import ctypes
import errno
import os
import sys
from functools import cache
from typing import Any

_NUMBER = 437  # of the call, on every architecture that Python runs on
_NO_LINKS = 0x04  # RESOLVE_NO_SYMLINKS


class _How(ctypes.Structure):
    """`struct open_how`."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_straight(path: str, flags: int, mode: int = 0) -> int | None:
    """Return a descriptor of what lies at an absolute path; None where only a walk can tell.

    Args:
        path: Where.
        flags: As `os.open` has them.
        mode: Of a file that is made.

    Raises:
        FileNotFoundError: There is nothing, or no folder to make it in.
    """
    system_call, how = _system_call(), _how(flags, mode)
    if system_call is None:
        return None
    descriptor = int(system_call(_NUMBER, -1, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how)))
    if descriptor >= 0:
        return descriptor
    if (number := ctypes.get_errno()) == errno.ENOENT:
        raise FileNotFoundError(number, os.strerror(number), path)
    return None  # a link, what may not be there, no right, an old kernel, a container that forbids the call


@cache
def _system_call() -> Any:
    """Return the C library's way to the kernel; None on systems whose calls have other numbers."""
    if sys.platform != "linux":
        return None
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    call.restype = ctypes.c_long
    return call


@cache
def _how(flags: int, mode: int) -> _How:
    return _How(flags=flags, mode=mode, resolve=_NO_LINKS)
