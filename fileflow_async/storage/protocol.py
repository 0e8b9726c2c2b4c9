"""What a storage promises: few verbs over flat keys, each executed by `testing.storage_contract`."""

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from fileflow_async.errors import FileflowError, TargetNameError, quoted

PIECE = 8 * 1024 * 1024  # bytes a read or a part: 64 KiB pieces cost nine times as much on disk
BINARY = "application/octet-stream"
_NO_KEY = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)|[\x00-\x1f]")


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as a storage lists it.

    Attributes:
        key: Its key; that of a folder ends in `/`.
        size: Its bytes; 0 for a folder.
        modified: When it was last changed, in seconds since 1970 by the store's clock; 0.0 for a folder.
        etag: What changes whenever its bytes do; None where the backend has no such thing.
    """

    key: str
    size: int
    modified: float
    etag: str | None = None

    @property
    def name(self) -> str:
        """The last part of the key, without the `/` of a folder."""
        return self.key.rstrip("/").rpartition("/")[2]

    @property
    def is_folder(self) -> bool:
        """Whether it stands for all the keys below it."""
        return self.key.endswith("/")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a storage answers when it is asked for keys.

    Attributes:
        entries: In the order of the keys' UTF-8 bytes.
        now: The store's clock when it answered: ages are counted by it, never by ours.
        complete: Whether there is nothing behind the last entry.
    """

    entries: Sequence[Entry]
    now: float
    complete: bool = True


class Sink(Protocol):
    """An object while it is written."""

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take more bytes; waits while too many are under way, so that memory stays bounded.

        A write that failed or was cancelled spoils the object: the block can no longer end well. What is
        wrong with the last bytes may be told by the next write, or at the end of the block.
        """
        ...

    @property
    def entry(self) -> Entry:
        """The object, once the block that opened the sink has ended well."""
        ...


class Tail(Protocol):
    """New names below a prefix, as hints: late, twice or not at all, but cheap to ask for."""

    @property
    def is_prompt(self) -> bool:
        """Whether `changed` returns at every new name; it returns once more when that ends."""
        ...

    async def names(self) -> Sequence[str]:
        """Return the last parts of the keys that appeared since the last call.

        The first call returns those of the last moments; where the backend cannot tell what is new, names of
        the last moments come again.

        Raises:
            StorageUnavailableError: The store does not answer.
            TargetAccessError: It refuses.
        """
        ...

    async def changed(self) -> None:
        """Return when `names` is likely to have something new; may never return."""
        ...


@runtime_checkable
class Storage(Protocol):
    """Bytes by key, in one folder, bucket or prefix.

    Keys are parts joined by `/`; a part is not empty, not `.` or `..`, and has no control character. All
    methods but `uri` and `check_key` may raise `StorageUnavailableError` (ask again later),
    `TargetAccessError` (the store refuses) and `TargetNameError` (the key cannot be one). Cancelling any of
    them leaves nothing half done under its key, and no task, thread or connection busy for it.
    """

    @property
    def root(self) -> str:
        """The URI under which the keys lie, without a `/` at its end and without credentials."""
        ...

    def uri(self, key: str) -> str:
        """Return where a key lies, for people."""
        ...

    async def put(self, key: str, data: bytes, *, content_type: str = BINARY, durable: bool = True) -> Entry:
        """Store `data` under a new key, at once and for good.

        Nobody ever sees a part of it, and once this returns it survives a loss of power. Storing the same
        bytes under the same key again is no error (a reply may have been lost).

        Args:
            key: Where.
            data: What.
            content_type: What it is.
            durable: False where a loss of power may take it: a hint need not cost two syncs.

        Raises:
            TargetSupersededError: Other bytes stand there already, as far as the store can tell; they stay.
            TargetWriteError: They could not be stored (a full disk); nothing stands there.
        """
        ...

    def create(self, key: str, *, content_type: str = BINARY) -> AbstractAsyncContextManager[Sink]:
        """Open a new key for writing a stream of any length in bounded memory.

        The object appears, as by `put`, when the block ends well; when it ends by an exception, cancellation
        included, nothing appears under the key and what was written so far is taken back.
        """
        ...

    async def read(self, key: str) -> bytes:
        """Return the whole object.

        Raises:
            TargetNotFoundError: There is none.
            TargetCorruptError: What is there is not a regular file.
        """
        ...

    async def read_each(self, keys: Sequence[str]) -> Mapping[str, bytes | FileflowError]:
        """Read several small objects for the price of as few requests as the backend needs.

        One that cannot be read has its error in the place of its bytes, so that it spoils no other.
        """
        ...

    async def read_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes:
        """Return `length` bytes from `start`, or fewer where the object ends before.

        Raises:
            TargetNotFoundError: There is no such object.
            TargetSupersededError: It no longer is the one that had this `etag`.
        """
        ...

    def stream(
        self, key: str, *, etag: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open an object for reading it from its start in pieces, in bounded memory.

        Raises:
            TargetNotFoundError: There is no such object.
            TargetSupersededError: It no longer is the one that had this `etag`.
        """
        ...

    async def stat(self, key: str) -> Entry:
        """Return the object without its bytes.

        Raises:
            TargetNotFoundError: There is none.
        """
        ...

    async def list(
        self, prefix: str = "", *, start_after: str = "", limit: int | None = None, shallow: bool = False
    ) -> Listing:
        """Return the objects whose keys begin with `prefix`, in the order of the keys.

        An object is listed as soon as the call that stored it has returned. Writes under way show, if at all,
        under hidden names that end in `.part`. No objects is an empty listing, whatever the prefix.

        Args:
            prefix: Any text; `a/b` also matches `a/bc`.
            start_after: Only entries behind this key: no folder that it names or lies in.
            limit: At most so many entries; None for all.
            shallow: Fold all keys that go on behind the next `/` into one folder each.
        """
        ...

    async def list_each(self, folders: Sequence[str]) -> Mapping[str, Listing | FileflowError]:
        """Return a complete shallow listing of each folder (its key ends in `/`), in few requests.

        One that cannot be listed has its error in the place of its listing.
        """
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, in the order given; those that are not there are no error."""
        ...

    async def abandon(self, *, before: float, prefix: str = "", dry_run: bool = True) -> Sequence[str]:
        """Take back streams that their writers left open before that moment; return their objects' keys.

        Only those to keys that begin with the prefix, and that `list` cannot show: multipart uploads.
        """
        ...

    def tail(self, prefix: str) -> AbstractAsyncContextManager[Tail]:
        """Follow the keys that appear below a prefix that ends in `/`.

        The keys are made of two parts behind the prefix: a UTC minute (`20261120T1015`) and a name that
        begins with the UTC millisecond of that minute at which the key was made, by the store's clock.
        """
        ...


def check_key(key: str) -> str:
    """Return `key` when every storage can have it.

    Raises:
        TargetNameError: It could leave the root or mean two things.
    """
    if not isinstance(key, str):
        raise TargetNameError(f"a key must be a string, got {type(key).__name__}")
    if _NO_KEY.search(key):
        raise TargetNameError(f"{quoted(key)} is not a key: its parts must not be empty, '.' or '..'")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise TargetNameError(f"{quoted(key)} is not a key: it is not valid Unicode text") from error
    return key
