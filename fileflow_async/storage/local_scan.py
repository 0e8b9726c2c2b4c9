"""The keys of a local storage in the order that S3 would give them."""

import errno
import os
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import accumulate, islice

from fileflow_async.errors import FileflowError, TargetNameError, quoted
from fileflow_async.storage.local_errors import translated
from fileflow_async.storage.local_root import Root, anew, can_be_key, open_below, opened
from fileflow_async.storage.local_threads import Pulse
from fileflow_async.storage.protocol import Entry, Listing

_MISSING = (errno.ENOENT, errno.ENAMETOOLONG)  # what has a name that cannot be is not there


class Scan:
    """One listing, which blocks: it belongs on a thread.

    A folder that has a link, a FIFO, a socket or a device among the names asked for cannot be listed: to
    leave them out would make a waiter wait for what somebody put out of its reach.

    Attributes:
        is_missing: Whether the folder was found not to be there.
    """

    def __init__(
        self, root: Root, prefix: str, *, start_after: str = "", shallow: bool = False, pulse: Pulse
    ) -> None:
        self._root = root
        self._folder, slash, self._stem = prefix.rpartition("/")
        self._base = self._folder + slash
        self._start_after = start_after
        self._shallow = shallow
        self._pulse = pulse
        self._at = self._folder  # what is looked at now, for errors
        self.is_missing = False

    def listing(self, limit: int | None = None) -> Listing:
        """Return the entries, at most so many; a folder that does not exist has none."""
        parts = self._folder.split("/") if self._base else []
        if any(part in ("", ".", "..") or not can_be_key(part) for part in parts):
            return Listing((), time.time())  # no key begins like that
        with translated(self._root.directory, lambda: self._at, "list"):
            found = anew(lambda: self._found(parts, limit))
        complete = limit is None or len(found) <= limit
        return Listing(found[:limit], time.time(), complete)

    def _found(self, parts: Sequence[str], limit: int | None) -> Sequence[Entry]:
        try:
            folder = self._root.enter(parts, listing=True)
        except FileflowError:  # the root itself is not there
            raise
        except OSError as error:
            if error.errno in _MISSING:
                self.is_missing = True
                return ()
            raise
        with opened(folder), closing(self._walk(folder, self._base, self._stem)) as entries:
            return tuple(islice(entries, None if limit is None else limit + 1))

    def _walk(self, folder: int, base: str, stem: str = "") -> Generator[Entry]:
        """Yield what lies in a folder; the keys below a folder sort by its name with the `/`."""
        for name, item in self._names(folder, stem):
            self._at = key = base + name
            if key.endswith("/"):
                yield from (
                    self._folded(folder, item.name, key)
                    if self._shallow
                    else self._below(folder, item.name, key)
                )
            elif key > self._start_after:
                yield from self._file(item, key)

    def _names(self, folder: int, stem: str) -> Sequence[tuple[str, "os.DirEntry[str]"]]:
        named = []
        with os.scandir(folder) as items:
            for item in items:
                self._pulse.beats += 1
                if item.name.startswith(stem) and can_be_key(item.name):
                    is_folder = item.is_dir(follow_symlinks=False)
                    named.append((f"{item.name}/" if is_folder else item.name, item))
        return sorted(named, key=lambda pair: pair[0])

    def _file(self, item: "os.DirEntry[str]", key: str) -> Iterator[Entry]:
        with suppress(FileNotFoundError):  # removed since
            status = item.stat(follow_symlinks=False)
            self._root.check_file(status, key)
            self._pulse.beat()
            yield Entry(key, status.st_size, status.st_mtime)

    def _folded(self, folder: int, name: str, key: str) -> Iterator[Entry]:
        if key > self._start_after and self._holds_any(folder, name):
            yield Entry(key, 0, 0.0)

    def _below(self, folder: int, name: str, key: str) -> Iterator[Entry]:
        if key > self._start_after or self._start_after.startswith(key):
            with suppress(FileNotFoundError), opened(open_below(folder, name)) as below:
                self._pulse.beat()
                yield from self._walk(below, key)

    def _holds_any(self, folder: int, name: str) -> bool:
        """Tell whether there is any object below: folders alone are nothing."""
        self._pulse.beat()
        try:
            with opened(open_below(folder, name)) as below, os.scandir(below) as items:
                inner = []
                for item in items:
                    if can_be_key(item.name):
                        if not item.is_dir(follow_symlinks=False):
                            return True
                        inner.append(item.name)
                return any(self._holds_any(below, each) for each in inner)
        except PermissionError:
            return True  # whatever it is, it is somebody's
        except FileNotFoundError:
            return False


class _Gaps:
    """Folders that were found missing: nothing below them needs to be looked for in the same look.

    Most that is waited for belongs to runs that have not begun, whose folders are missing as a whole.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._there: set[str] = set()
        self._missing: set[str] = set()

    def hold(self, folder: str) -> bool:
        """Tell whether a folder lies below one that was found missing."""
        while folder := folder.rpartition("/")[0]:
            if folder in self._missing:
                return True
        return False

    def widen(self, folder: str) -> None:
        """See which is the first on the way to a missing folder that is missing itself."""
        *parents, _ = folder.split("/")
        for path in accumulate(parents, "{}/{}".format):
            if path in self._there:
                continue
            try:
                os.close(self._root.enter(path.split("/")))
            except OSError as error:
                if error.errno in _MISSING:
                    self._missing.add(path)
                return
            self._there.add(path)


def list_each(root: Root, folders: Iterable[str], pulse: Pulse) -> Mapping[str, Listing | FileflowError]:
    """Return a shallow listing of each folder, or what is wrong with it.

    Raises:
        StorageUnavailableError: The root is not there, so that nothing can be said of any.
    """
    root.check()
    found: dict[str, Listing | FileflowError] = {}
    gaps = _Gaps(root)
    for folder in folders:
        try:
            if not folder.endswith("/"):
                raise TargetNameError(f"{quoted(folder)} is not a folder's key: it must end in '/'")
            if gaps.hold(folder.removesuffix("/")):
                found[folder] = Listing((), time.time())
                continue
            scan = Scan(root, folder, shallow=True, pulse=pulse)
            found[folder] = scan.listing()
            if scan.is_missing:
                gaps.widen(folder.removesuffix("/"))
        except FileflowError as error:
            found[folder] = error
    return found
