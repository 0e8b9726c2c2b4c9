"""An object of a local storage while it is written, hidden until it is whole."""

import errno
import os
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from io import FileIO
from logging import getLogger

from fileflow_async.errors import TargetWriteError
from fileflow_async.storage.local_errors import path_of, translated
from fileflow_async.storage.local_root import Root, anew, opened, sync_folder
from fileflow_async.storage.openat2 import open_straight
from fileflow_async.storage.protocol import Entry
from fileflow_async.storage.renameat2 import rename_new

# O_EXCL makes the hidden name a lock as well: who holds it is the only one that may rename to the final name,
# so that where a look comes before the rename it cannot be overtaken.
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE = 0o640
_TRIES = 16  # as often as a clean-up may remove the folder between its making and its use
_WAIT = 0.02  # seconds between looks at a name that another writer holds …
_LOOKS = 25  # … half a second in all: a put takes milliseconds, and whoever died at one never ends

log = getLogger(__name__)


class HiddenFile:
    """A file `.<name>.part`, which becomes `<name>` or is taken back.

    It owns the descriptors of the file and of its folder from `open` to `publish` or `discard`, one of which
    must follow. All methods but `abandon` block, and none may run beside another.

    Attributes:
        written: How many bytes are in it.
    """

    def __init__(self, root: Root, key: str, *, durable: bool) -> None:
        self._root = root
        self._key = key
        *self._parents, self._name = key.split("/")
        self._part = f".{self._name}.part"
        self._durable = durable
        self._folder: int | None = None
        self._file: int | None = None
        self._abandoned = False
        self.written = 0

    @property
    def path(self) -> str:
        """Where the object will lie, for people."""
        return path_of(self._root.directory, self._key)

    def abandon(self) -> None:
        """Forbid the publishing that may be under way: nobody waits for it any longer."""
        self._abandoned = True

    def translated(self) -> AbstractContextManager[None]:
        """Raise the family's errors for the system's, with what is known of this object."""
        return translated(self._root.directory, self._key, "write", written=lambda: self.written)

    def open(self) -> None:
        """Make the hidden file.

        Raises:
            TargetSupersededError: The object is there already, or another writer is at work on it.
        """
        with self.translated():
            self._open()

    def put(self, data: bytes) -> Entry:
        """Write the whole object; when the same bytes stand there already, that is as good.

        Raises:
            TargetSupersededError: Other bytes are there; or another writer held the hidden name for too long.
        """
        with self.translated():
            if not data and not self._durable:
                with suppress(FileExistsError, FileNotFoundError):  # then as usual
                    return self._make_empty()
            for _ in range(_LOOKS):
                with suppress(FileExistsError):
                    return self._put(data)
                if (entry := self._same(data)) is not None:
                    return entry
                time.sleep(_WAIT)
            return self._put(data)

    def write(self, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
        """Append to the file that `open` has made."""
        with self.translated():
            self._write(pieces)

    def publish(self, rest: Iterable[bytes | bytearray | memoryview]) -> Entry:
        """Write the rest, close the file for good, and give it its name; on any failure take it back.

        Raises:
            TargetSupersededError: The object came to be there in the meantime.
            TargetWriteError: It could not be stored.
        """
        with self.translated():
            return self._publish(rest)

    def discard(self) -> None:
        """Take back whatever there is; does nothing a second time, or once published."""
        with suppress(OSError):
            self._close()
        if self._folder is None:
            return
        try:
            os.unlink(self._part, dir_fd=self._folder)
        except OSError as error:
            log.warning("%s/%s could not be removed: %s", os.path.dirname(self.path), self._part, error)
        finally:
            self._leave()

    def _open(self) -> None:
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):
                return anew(self._open_once)
        return self._open_once()

    def _open_once(self) -> None:
        self._folder = self._root.make(self._parents)
        try:
            self._file = os.open(self._part, _CREATE, _FILE_MODE, dir_fd=self._folder)
        except BaseException:
            self._leave()
            raise
        try:
            self._check_free(self._folder)
        except BaseException:
            self.discard()
            raise

    def _put(self, data: bytes) -> Entry:
        self._open()
        return self._publish([data])

    def _make_empty(self) -> Entry:
        """Make the object under its own name: there is no part of nothing that anybody could see."""
        with opened(self._made()) as file:
            return Entry(self._key, 0, os.fstat(file).st_mtime)

    def _made(self) -> int:
        with suppress(FileNotFoundError):  # its folder
            straight = open_straight(self._root.real_path(self._key), _CREATE, _FILE_MODE)
            if straight is not None:
                return straight
        with opened(self._root.make(self._parents)) as folder:
            return os.open(self._name, _CREATE, _FILE_MODE, dir_fd=folder)

    def _write(self, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
        file = self._held(self._file)
        for piece in pieces:
            view = memoryview(piece)
            while view:
                count = os.write(file, view)
                self.written += count
                view = view[count:]

    def _publish(self, rest: Iterable[bytes | bytearray | memoryview]) -> Entry:
        try:
            status = self._complete(rest)
            self._rename(status)
        except BaseException:
            self.discard()
            raise
        self._settle()
        return Entry(self._key, status.st_size, status.st_mtime)

    def _complete(self, rest: Iterable[bytes | bytearray | memoryview]) -> os.stat_result:
        file = self._held(self._file)
        self._write(rest)
        if self._durable:
            os.fsync(file)
            self._root.keep(self._parents)
        status = os.fstat(file)
        self._close()
        return status

    def _rename(self, status: os.stat_result) -> None:
        folder = self._held(self._folder)
        self._check_wanted()
        try:
            if not rename_new(folder, self._part, self._name):
                self._check_free(folder)
                os.rename(self._part, self._name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            if not self._is_in_place(folder, status):  # on NFS the reply may be what was lost
                raise

    def _settle(self) -> None:
        try:
            if self._durable:
                sync_folder(self._held(self._folder))
        except OSError as error:
            # Not taken back: whoever saw it may have acted on it. A put of the same bytes syncs again.
            raise TargetWriteError(
                f"{self.path!r} is in its place, but may not survive a loss of power: {error.strerror}",
                errno=error.errno,
            ) from error
        finally:
            self._leave()

    def _same(self, data: bytes) -> Entry | None:
        """Return the object if it has these bytes; None if there is none."""
        folder = self._root.enter(self._parents, listing=True)
        with opened(folder), suppress(FileNotFoundError):
            return self._compared(
                folder, FileIO(self._root.open_file_in(folder, self._name, self._key)), data
            )
        return None

    def _compared(self, folder: int, file: FileIO, data: bytes) -> Entry:
        with file:
            status = os.fstat(file.fileno())
            if status.st_size != len(data) or file.read() != data:
                raise self._exists()
            if self._durable:  # whoever wrote it may have died before its sync
                os.fsync(file.fileno())
                self._root.keep(self._parents)
                sync_folder(folder)
            return Entry(self._key, status.st_size, status.st_mtime)

    def _check_free(self, folder: int) -> None:
        with suppress(FileNotFoundError):
            self._root.check_file(os.stat(self._name, dir_fd=folder, follow_symlinks=False), self._key)
            raise self._exists()

    def _check_wanted(self) -> None:
        if self._abandoned:
            raise TargetWriteError(f"{self.path!r}: nobody waits for it any longer; nothing was published")

    def _exists(self) -> FileExistsError:
        return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self._name)

    def _is_in_place(self, folder: int, status: os.stat_result) -> bool:
        try:
            return os.path.samestat(os.stat(self._name, dir_fd=folder, follow_symlinks=False), status)
        except OSError:
            return False

    def _held(self, descriptor: int | None) -> int:
        assert descriptor is not None  # noqa: S101 - between `open` and its end
        return descriptor

    def _close(self) -> None:
        """Close the file once: a second close would hide the number of the first, or close another's file."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _leave(self) -> None:
        folder, self._folder = self._held(self._folder), None
        os.close(folder)
