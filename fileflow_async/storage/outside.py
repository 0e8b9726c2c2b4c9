"""What looking for files of outsiders gives, on every storage alike."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol, TypeVar

from fileflow_async.errors import FileflowError
from fileflow_async.pattern import finished_name
from fileflow_async.storage.search import Search

T = TypeVar("T")

SAMPLE = 3  # temporary names that are told


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A file, an object or a folder that a search means.

    Attributes:
        path: Where it is, below the folder of the search.
        size: Its bytes; those of all files in it, for a folder.
        modified: When it was last written to, in seconds since 1970 by the store's clock.
        etag: What changes whenever its bytes do, or those of a file in the folder; None for a file on disk.
        mtime_ns: The same moment to the nanosecond, for a file on disk.
        inode: Which file it is, on disk: one that is renamed into the place of another is another.
        done: When its done file was written; None when there is none.
        problem: Why it never counts, whatever happens to it.
    """

    path: str
    size: int
    modified: float
    etag: str | None = None
    mtime_ns: int | None = None
    inode: int | None = None
    done: float | None = None
    problem: str | None = None

    @property
    def version(self) -> tuple[object, ...]:
        """What is equal as long as nobody writes to it, replaces it or stores it anew."""
        return self.size, self.modified, self.etag, self.mtime_ns, self.inode


def nobody_writes(_: Seen) -> str | None:
    """Know of nobody who has a file open."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one search found at one moment.

    Attributes:
        seen: All that is meant, in any order.
        now: The store's clock.
        temporary: Some paths that would be meant under a name that is not temporary.
        unseen: What could not be looked at, by path, with the reason.
        absent: Why there can be nothing, where that is known.
        objection: Tells why a file should be left alone at this very moment; asks the storage, which blocks.
    """

    seen: Sequence[Seen]
    now: float
    temporary: Sequence[str] = ()
    unseen: Mapping[str, FileflowError] = field(default_factory=dict)
    absent: str | None = None
    objection: Callable[[Seen], str | None] = nobody_writes


Answer = Look | FileflowError


class Outside(Protocol):
    """A place where outsiders put files."""

    async def look(self, searches: Collection[Search], then: Callable[[Mapping[Search, Answer]], T]) -> T:
        """Look for all of that at once, hand what was found to `then`, and return what that returns.

        `then` runs on a thread where there may be much to go through, in the same hop as the look.

        Raises:
            FileflowError: Nothing can be seen.
        """
        ...


class FolderSum:
    """The files of a folder, added up to one thing that changes whenever one of them does.

    Temporary files do not count, nor does the done file.
    """

    def __init__(self, search: Search) -> None:
        self.size = 0
        self.modified = 0.0
        self._done_file = search.done_file
        self._files: list[str] = []

    def add(self, path: str, size: int, modified: float, version: Iterable[object]) -> None:
        """Add a file by its path in the folder."""
        parts = path.split("/")
        if path == self._done_file or any(finished_name(part) is not None for part in parts):
            return
        self.size += size
        self.modified = max(self.modified, modified)
        self._files.append(f"{path!r} {size} {' '.join(map(str, version))}")

    @property
    def etag(self) -> str:
        """What changes whenever a file does, comes or goes."""
        return sha256("\n".join(sorted(self._files)).encode()).hexdigest()[:32]
