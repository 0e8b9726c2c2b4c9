"""What the operating system says, translated by a table of its numbers into what the caller can do."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from fileflow_async.errors import (
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetNameError,
    TargetNotFoundError,
    TargetSupersededError,
    TargetWriteError,
)

Doing = Literal["list", "read", "write", "delete"]

_REFUSED = frozenset({errno.EACCES, errno.EPERM})
_NOT_A_FOLDER = frozenset({errno.ELOOP, errno.ENOTDIR})
_NO_NAME = frozenset({errno.ENAMETOOLONG, errno.EILSEQ})
_FULL = {errno.ENOSPC: "no space left", errno.EDQUOT: "the disk quota is used up"}
# For good, as far as this write is concerned; EIO too: what a disk lost once, fsync does not tell twice.
_UNWRITABLE = frozenset({errno.EIO, errno.EROFS, errno.EFBIG, errno.EMLINK, errno.ENXIO, errno.ENOENT})
_TRANSIENT = frozenset(
    {
        errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.EREMOTEIO,
        errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOLCK,
        errno.ENOTCONN, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED,  # without a server
        errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET,
    }
)  # fmt: skip


@contextmanager
def translated(
    root: str, key: str | Callable[[], str], doing: Doing, *, written: Callable[[], int] = lambda: 0
) -> Iterator[None]:
    """Raise the family's error for what the operating system raises inside; unknown numbers pass untouched.

    Args:
        root: The folder of the storage, as its user named it.
        key: What is looked at or written, or what tells that; empty for the root itself.
        doing: As what.
        written: Tells how many bytes were written before.
    """
    try:
        yield
    except FileflowError:
        raise
    except OSError as error:
        meant = _meant(error, root, key if isinstance(key, str) else key(), doing, written())
        if meant is None:
            raise
        raise meant from error


def path_of(root: str, key: str) -> str:
    """Return where a key lies, for a message."""
    return f"{root}/{key}".rstrip("/") if key else root


def _meant(error: OSError, root: str, key: str, doing: Doing, written: int) -> FileflowError | None:
    path, number = path_of(root, key), error.errno
    writing = doing in ("write", "delete")
    if number in _REFUSED:
        return _access_error(error, root, key, doing)
    if number in _NOT_A_FOLDER:
        return TargetAccessError(_misplaced(root, key) or f"{path!r} is not a directory", errno=number)
    if number in _NO_NAME:
        return TargetNameError(f"{path!r} cannot be a file here: {error.strerror}", errno=number)
    if not writing and number in (errno.ENOENT, errno.EISDIR):
        return TargetNotFoundError(f"{path!r} does not exist", errno=number)
    if writing:
        return _write_error(error, root, path, doing, written)
    return _transient(error, path)


def _write_error(error: OSError, root: str, path: str, doing: Doing, written: int) -> FileflowError | None:
    number = error.errno
    if number in _FULL:
        return TargetWriteError(
            f"{_FULL[number]} on {root!r} after {written} bytes; nothing was published", errno=number
        )
    if number == errno.EEXIST:
        there = f"{os.path.dirname(path)}/{error.filename}"
        hint = "Another writer of the same key is at work, or died at it." if there != path else None
        return TargetSupersededError(
            f"{there!r} exists already; nothing was published", hint=hint, errno=number
        )
    if number == errno.EISDIR:
        return TargetAccessError(f"{path!r} is a directory", errno=number)
    if number in _UNWRITABLE:
        rest = "; nothing was published" if doing == "write" else ""
        return TargetWriteError(f"cannot {doing} {path!r}: {error.strerror}{rest}", errno=number)
    return _transient(error, path)


def _transient(error: OSError, path: str) -> FileflowError | None:
    if error.errno not in _TRANSIENT:
        return None
    return StorageUnavailableError(f"{path!r} does not answer: {error.strerror}", errno=error.errno)


def _access_error(error: OSError, root: str, key: str, doing: Doing) -> TargetAccessError:
    path = path_of(root, key)
    culprit, mode = _unreachable(root, key, doing)
    of = f" of {culprit!r}" if culprit != path else ""
    why = "permission denied" if error.errno == errno.EACCES else str(error.strerror).lower()
    return TargetAccessError(
        f"cannot {doing} {path!r} as uid {os.geteuid()}: {why} (mode {mode:04o}{of})", errno=error.errno
    )


def _steps(root: str, key: str) -> Iterator[tuple[str, os.stat_result]]:
    """Go down from the root without following a link; only for a message, which is all that a race spoils."""
    path = root
    for part in ("", *filter(None, key.split("/"))):
        path = f"{path}/{part}".rstrip("/")
        yield path, os.stat(path, follow_symlinks=path == root)


def _misplaced(root: str, key: str) -> str | None:
    """Say what stands in the way down to the key, a link or something that is no folder."""
    with suppress(OSError):
        for path, status in _steps(root, key):
            if stat.S_ISLNK(status.st_mode):
                return f"{path!r} is a symbolic link; links are not followed"
            if not stat.S_ISDIR(status.st_mode):
                return f"{path!r} is not a directory"
    return None


def _unreachable(root: str, key: str, doing: Doing) -> tuple[str, int]:
    """Return who refuses, with its mode: the last that can be looked at, or the folder that is written to."""
    found = [(root, 0)]
    with suppress(OSError):
        for path, status in _steps(root, key):
            if doing in ("list", "read") or stat.S_ISDIR(status.st_mode):
                found.append((path, stat.S_IMODE(status.st_mode)))
    return found[-1]
