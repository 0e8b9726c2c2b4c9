"""What appears in some folders, as the Linux kernel tells it."""  # ADR 0025

import ctypes
import errno
import os
import select
import struct
from collections.abc import Callable, Iterator, Sequence

_APPEARS = 0x100 | 0x80  # IN_CREATE, IN_MOVED_TO
_GOES = 0x400 | 0x800 | 0x2000  # IN_DELETE_SELF, IN_MOVE_SELF, IN_UNMOUNT
_LOST = 0x4000  # IN_Q_OVERFLOW: the queue was full
_FOLDERS = 0x1000000 | 0x2000000  # IN_ONLYDIR, IN_DONT_FOLLOW: nobody turns our eyes elsewhere by a link
_EVENT = struct.Struct("iIII")  # the watch, what happened, a cookie, the length of the name that follows
_READ = 1 << 16  # bytes of events at a time

GONE = ""  # stands for the name where the folder itself is no longer there
ANY = "*"  # stands for the name where that was lost


class Inotify:
    """Watches folders from one thread; only `interrupt` may be called from another one.

    Raises:
        OSError: The system has no inotify, or a limit of it is reached.
    """

    def __init__(self) -> None:
        self._add = _function("inotify_add_watch")
        self._remove = _function("inotify_rm_watch")
        self._paths: dict[int, str] = {}
        self._file = _function("inotify_init1")(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self._interruption = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError:
            os.close(self._file)
            raise
        self._either = select.poll()
        for file in (self._file, self._interruption):
            self._either.register(file, select.POLLIN)

    def close(self) -> None:
        """Watch no longer."""
        os.close(self._file)
        os.close(self._interruption)

    def watch(self, paths: Sequence[str]) -> None:
        """Watch these folders from now on, and no others.

        Raises:
            FileNotFoundError: One of them is not there; others are watched perhaps.
            OSError: One cannot be watched.
        """
        before, self._paths = self._paths, {}
        try:
            for path in paths:
                self._paths[self._add(self._file, os.fsencode(path), _APPEARS | _GOES | _FOLDERS)] = path
        finally:
            for number in before.keys() - self._paths.keys():
                try:
                    self._remove(self._file, number)
                except OSError as error:
                    if error.errno != errno.EINVAL:  # it went with its folder
                        raise

    def changes(self, seconds: float) -> Sequence[tuple[str, str]]:
        """Return in which folder what has appeared; nothing after so many seconds."""
        self._either.poll(seconds * 1000)
        try:
            return list(self._read(os.read(self._file, _READ)))
        except BlockingIOError:
            return ()

    def interrupt(self) -> None:
        """Let `changes` return at once, now and from now on."""
        os.eventfd_write(self._interruption, 1)

    def _read(self, events: bytes) -> Iterator[tuple[str, str]]:
        start = 0
        while start < len(events):
            number, what, _, length = _EVENT.unpack_from(events, start)
            start += _EVENT.size + length
            if what & _LOST:
                yield from ((path, ANY) for path in self._paths.values())
            elif (path := self._paths.get(number)) is not None:
                if what & _GOES:
                    yield path, GONE
                elif what & _APPEARS:
                    yield path, os.fsdecode(events[start - length : start].rstrip(b"\0"))


def _function(name: str) -> Callable[..., int]:
    """Return a function of the C library, with its errors as exceptions."""
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except AttributeError:
        raise OSError(errno.ENOSYS, "this system has no inotify") from None

    def call(*arguments: int | bytes) -> int:
        if (result := int(function(*arguments))) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")
        return result

    return call
