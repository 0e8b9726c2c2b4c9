"""Ask the kernel whether somebody on this host has a file open for writing."""

import errno
import fcntl
import logging
import os
import signal

from fileflow_async.storage.local_root import opened

# O_NONBLOCK: a FIFO put into its place must not hold the thread.
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

log = logging.getLogger(__name__)
_said: set[int] = set()


def open_writer(path: str, *, size: int, mtime_ns: int, inode: int) -> str | None:
    """Return why a file should be left alone: somebody writes to it, or it is no longer the same.

    None is no proof that nobody writes: the kernel knows of this host only, and tells only a file's owner (or
    who has CAP_LEASE), on file systems that have leases. Where it does not tell, that is logged once.
    """
    try:
        with opened(os.open(path, _OPEN)) as file:
            status = os.fstat(file)
            if (status.st_size, status.st_mtime_ns, status.st_ino) != (size, mtime_ns, inode):
                return "it changed while it was looked at"
            return "somebody has it open for writing" if _is_written_to(file, status.st_dev) else None
    except FileNotFoundError:
        return "it went away while it was looked at"
    except OSError as error:
        # Whoever goes on may be allowed to read it: an unreadable file is theirs to complain about.
        log.debug("cannot open %r to ask who writes to it: %s", path, error.strerror)
        return None


def _is_written_to(file: int, device: int) -> bool:
    try:
        # A writer that comes in the microseconds of the lease makes the kernel send a signal: by default
        # SIGIO, which ends the process; SIGURG is ignored. The writer goes on once the file is closed here.
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return True
        _say_once(device, str(error.strerror))
    except AttributeError:
        _say_once(device, "this system has none")
    return False


def _say_once(device: int, why: str) -> None:
    if device not in _said:
        _said.add(device)
        log.debug("no file leases on device %d, so nobody tells who writes there: %s", device, why)
