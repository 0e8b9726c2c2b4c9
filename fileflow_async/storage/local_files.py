"""Whole objects of a local storage, read, looked at or removed in one go."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from io import FileIO
from itertools import groupby

from fileflow_async.errors import FileflowError
from fileflow_async.storage.local_errors import translated
from fileflow_async.storage.local_root import Root, anew, opened
from fileflow_async.storage.local_threads import Pulse
from fileflow_async.storage.protocol import Entry, check_key


def read_small(root: Root, key: str, *, limit: int | None = None) -> bytes | FileIO:
    """Return the object, or where it has more bytes than `limit` the open file, the caller's to close."""
    with translated(root.directory, key, "read"):
        return anew(lambda: _read_small(root, key, limit))


def _read_small(root: Root, key: str, limit: int | None) -> bytes | FileIO:
    file = FileIO(root.open_file(key))
    try:
        if limit is not None and os.fstat(file.fileno()).st_size > limit:
            return file
        data = file.read()
    except BaseException:
        file.close()
        raise
    file.close()
    return data


def read_rest(root: Root, key: str, file: FileIO) -> bytes:
    """Return what is left of an open file."""
    with translated(root.directory, key, "read"):
        return file.read()


def read_each(root: Root, keys: Iterable[str], pulse: Pulse) -> Mapping[str, bytes | FileflowError]:
    """Return each object, or what is wrong with it.

    Raises:
        StorageUnavailableError: The root is not there, so that nothing can be said of any.
    """
    root.check()
    found: dict[str, bytes | FileflowError] = {}
    for key in keys:
        pulse.beat()
        try:
            data = read_small(root, check_key(key))
            assert isinstance(data, bytes)  # noqa: S101 - there was no limit
            found[key] = data
        except FileflowError as error:
            found[key] = error
    return found


def read_range(root: Root, key: str, start: int, length: int) -> bytes:
    """Return so many bytes from `start`, or fewer where the object ends before."""

    def read() -> bytes:
        with opened(root.open_file(key)) as descriptor:
            return _pread(descriptor, start, length)

    with translated(root.directory, key, "read"):
        return anew(read)


def _pread(descriptor: int, start: int, length: int) -> bytes:
    data = os.pread(descriptor, length, start)
    if len(data) == length or not data:
        return data
    pieces = [data]  # a signal or a network file system may cut a read short
    while pieces[-1] and (left := length - sum(map(len, pieces))):
        pieces.append(os.pread(descriptor, left, start + length - left))
    return b"".join(pieces)


def stat_one(root: Root, key: str) -> Entry:
    """Return the object without its bytes."""
    *parents, name = key.split("/")

    def look() -> os.stat_result:
        with opened(root.enter(parents)) as folder:
            return os.stat(name, dir_fd=folder, follow_symlinks=False)

    with translated(root.directory, key, "read"):
        status = anew(look)
        root.check_file(status, key)
    return Entry(key, status.st_size, status.st_mtime)


def remove(root: Root, keys: Sequence[str], is_wanted: Callable[[], bool]) -> None:
    """Remove objects in the order given, with the folders that become empty, for as long as it is wanted."""
    for folder, names in groupby(keys, key=lambda key: key.rpartition("/")[0]):
        parts = folder.split("/") if folder else []
        with translated(root.directory, folder, "delete"), suppress(FileNotFoundError):
            _remove_in(root, parts, [key.rpartition("/")[2] for key in names], is_wanted)
            _prune(root, parts)


def _remove_in(root: Root, parts: Sequence[str], names: Sequence[str], is_wanted: Callable[[], bool]) -> None:
    with opened(anew(lambda: root.enter(parts))) as folder:
        for name in names:
            if not is_wanted():
                return
            with suppress(FileNotFoundError, IsADirectoryError):  # a folder is no object
                os.unlink(name, dir_fd=folder)


def _prune(root: Root, parts: Sequence[str]) -> None:
    """Remove the folders that are empty; the system refuses others, so that a writer loses nothing by it."""
    with suppress(OSError):
        for depth in range(len(parts), 0, -1):
            with opened(root.enter(parts[: depth - 1])) as folder:
                os.rmdir(parts[depth - 1], dir_fd=folder)
