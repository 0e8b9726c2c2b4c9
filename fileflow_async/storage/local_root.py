"""The way from the root of a local storage to a folder or a file, one descriptor at a time."""

import errno
import os
import re
import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import accumulate
from logging import getLogger
from typing import TypeVar

from fileflow_async.errors import ConfigError, FileflowError, StorageUnavailableError, TargetCorruptError
from fileflow_async.storage.local_errors import path_of, translated
from fileflow_async.storage.openat2 import open_straight

T = TypeVar("T")

# O_PATH asks for no more than the right to pass through; other systems open the folder for reading instead.
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a FIFO that comes between the look and the opening must not hold the thread.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER_MODE = 0o750
_MOST_KEPT = 10_000  # folders that are known to survive: a few MB, then it begins anew
_TRIES = 3  # as often as NFS may say that a descriptor is stale
_NO_KEY = re.compile("[\x00-\x1f\ud800-\udfff]")  # control characters, bytes that are no UTF-8

log = getLogger(__name__)


class Root:
    """The folder under which all keys lie; nothing below it is reached through a link.

    All methods block: they belong on a thread. Descriptors that they return are the caller's to close.

    Args:
        directory: Its absolute path, the name by which messages call it.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._real = directory
        self._kept: dict[str, int] = {}  # inodes of the folders whose names survive a loss of power

    def resolve(self) -> None:
        """Follow the links that lead to the root, once and for all.

        Raises:
            StorageUnavailableError: It does not exist.
            ConfigError: It is not a folder.
            TargetAccessError: It may not be opened.
        """
        with translated(self.directory, "", "list"):
            self._real = os.path.realpath(self.directory)
            os.close(self.open(_LIST))

    def make_root(self, *, durable: bool) -> None:
        """Make the root where it is missing, its parents too.

        Raises:
            TargetAccessError: That is not allowed.
        """
        missing, path = [], self.directory
        while not os.path.lexists(path):
            missing.append(path)
            path = os.path.dirname(path)
        with translated(path, "", "write"):
            for folder in reversed(missing):
                with suppress(FileExistsError):
                    os.mkdir(folder, _FOLDER_MODE)
                if durable:
                    with opened(os.open(os.path.dirname(folder), _LIST & ~os.O_NOFOLLOW)) as parent:
                        sync_folder(parent)

    def real_path(self, key: str) -> str:
        """Return where a key lies, links to the root followed."""
        return f"{self._real}/{key}"

    def open(self, flags: int = _PASS) -> int:
        """Open the root itself, every time anew: it may have been mounted or replaced since."""
        try:
            return os.open(self._real, flags)
        except FileNotFoundError as error:
            raise StorageUnavailableError(
                f"root {self.directory!r} does not exist on host {socket.gethostname()}; is it mounted?",
                hint="Make the folder, or mount it; it is not made by itself.",
                errno=error.errno,
            ) from error
        except NotADirectoryError as error:
            raise ConfigError(f"root {self.directory!r} is not a directory", errno=error.errno) from error

    def check(self) -> None:
        """See whether the root is there.

        Raises:
            StorageUnavailableError: It is not.
        """
        with translated(self.directory, "", "list"):
            os.close(self.open())

    def probe(self) -> None:
        """Look at the root in a way that no cache can answer."""
        with (
            suppress(OSError, FileflowError),
            opened(self.open(_LIST)) as folder,
            os.scandir(folder) as items,
        ):
            next(items, None)

    def enter(self, parts: Sequence[str], *, listing: bool = False) -> int:
        """Open a folder below the root, for passing through or for listing it."""
        try:
            return self._enter(parts, _LIST if listing else _PASS)
        except FileNotFoundError:
            if not os.path.isdir(self._real):
                os.close(self.open())  # which says that it is the root that is missing
            raise

    def _enter(self, parts: Sequence[str], flags: int) -> int:
        straight = open_straight(self.real_path("/".join(parts)), flags) if parts else None
        return self._walk(parts, flags) if straight is None else straight

    def _walk(self, parts: Sequence[str], flags: int) -> int:
        """Open a folder from one to the next, so that an error is that of the folder that it is about."""
        here = self.open(_PASS if parts else flags)
        for depth, part in enumerate(parts, 1):
            here = _step(here, partial(_open_in, name=part, flags=flags if depth == len(parts) else _PASS))
        return here

    def make(self, parts: Sequence[str]) -> int:
        """Open a folder below the root for listing it, made with its parents where it is missing."""
        if not parts:
            return self.open(_LIST)
        with suppress(FileNotFoundError):
            return self._enter(parts, _LIST)
        return _step(self._make_parents(parts), partial(self._make, path="/".join(parts), flags=_LIST))

    def _make_parents(self, parts: Sequence[str]) -> int:
        *parents, _ = parts
        with suppress(FileNotFoundError):
            return self._enter(parents, _PASS)
        return _step(self._make_parents(parents), partial(self._make, path="/".join(parents), flags=_PASS))

    def _make(self, parent: int, path: str, flags: int) -> int:
        name = path.rpartition("/")[2]
        self._kept.pop(path, None)  # the number may come again
        with suppress(FileExistsError):  # made by another just now
            os.mkdir(name, _FOLDER_MODE, dir_fd=parent)
        return os.open(name, flags, dir_fd=parent)

    def keep(self, parts: Sequence[str]) -> None:
        """Make a folder and its parents survive a loss of power, where that is not known of them.

        Of folders that were there it is not: whoever made one may have died before its sync, or not have come
        to it yet, and what is acknowledged inside would be lost with it. To be called behind the sync of a
        file inside, as one commit of the file system's journal will then do for all.
        """
        for depth, path in enumerate(accumulate(parts, "{}/{}".format)):
            number = os.stat(self.real_path(path), follow_symlinks=False).st_ino
            if self._kept.get(path) != number:
                self._sync(parts[:depth])
                if len(self._kept) >= _MOST_KEPT:
                    self._kept.clear()
                self._kept[path] = number

    def _sync(self, parts: Sequence[str]) -> None:
        """Make the names in a folder survive a loss of power, where we may list it."""
        try:
            folder = self.enter(parts, listing=True)
        except PermissionError as error:  # a team's may lie in one that only its owner may list
            log.debug("the names in a folder cannot be synced: %s", error.strerror)
            return
        with opened(folder):
            sync_folder(folder)

    def open_file(self, key: str) -> int:
        """Open an object for reading it.

        Raises:
            TargetCorruptError: It is not a regular file; it was not opened for that to be found out.
        """
        *parents, name = key.split("/")
        folder = self.enter(parents)
        try:
            return self.open_file_in(folder, name, key)
        finally:
            os.close(folder)

    def open_file_in(self, folder: int, name: str, key: str) -> int:
        """Open an object in a folder that is open, for reading it."""
        self.check_file(os.stat(name, dir_fd=folder, follow_symlinks=False), key)
        descriptor = os.open(name, _READ, dir_fd=folder)
        try:
            self.check_file(os.fstat(descriptor), key)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def check_file(self, status: os.stat_result, key: str) -> None:
        """Refuse what is no regular file: a folder is no object, a link leads away, a FIFO or device acts."""
        if stat.S_ISREG(status.st_mode):
            return
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), key)
        if stat.S_ISLNK(status.st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), key)
        raise TargetCorruptError(f"{path_of(self.directory, key)!r} is not a regular file")


def anew(work: Callable[[], T]) -> T:
    """Return what `work` returns, begun anew when NFS says that a descriptor of it has become stale."""
    for _ in range(_TRIES - 1):
        try:
            return work()
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
    return work()


def can_be_key(name: str) -> bool:
    """Tell whether a name found on disk can be a part of a key; what cannot is nobody's object."""
    return not _NO_KEY.search(name)


def sync_folder(folder: int) -> None:
    """Make the names in a folder survive a loss of power, where the file system can do that.

    Args:
        folder: Its descriptor, for listing it: the one for passing through cannot be synced.
    """
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some shares cannot sync a folder, as PostgreSQL knows too
            raise
        log.debug("the names in a folder cannot be synced: %s", error.strerror)


@contextmanager
def opened(descriptor: int) -> Iterator[int]:
    """Close a descriptor when the block ends."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_below(folder: int, name: str) -> int:
    """Open a folder in a folder that is open, for listing it."""
    return os.open(name, _LIST, dir_fd=folder)


def _open_in(folder: int, *, name: str, flags: int) -> int:
    return os.open(name, flags, dir_fd=folder)


def _step(here: int, go: Callable[[int], int]) -> int:
    """Go from one descriptor to the next; the first is closed in any case."""
    with opened(here):
        return go(here)
