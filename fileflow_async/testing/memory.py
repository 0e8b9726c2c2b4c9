"""A storage in memory, which keeps every promise but that of outliving the process."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from fileflow_async.clock import Clock, SystemClock
from fileflow_async.errors import (
    FileflowError,
    TargetNotFoundError,
    TargetSupersededError,
    TargetWriteError,
)
from fileflow_async.storage.protocol import BINARY, PIECE, Entry, Listing, Sink, Tail, check_key


class MemoryStorage:
    """A `Storage` whose objects are in a dictionary.

    Args:
        clock: Where the times of the objects come from.

    Attributes:
        objects: What is stored: bytes with the time they were stored at, by key. Tests may change it.
        fault: When set, it is raised by every call but `uri`.
        calls: The names of the methods called so far, in order.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.fault: Exception | None = None
        self.calls: list[str] = []
        self._tails: set[_MemoryTail] = set()

    root = "memory://store"

    def uri(self, key: str) -> str:
        """Return where a key lies, for people."""
        return f"{self.root}/{key}"

    async def put(self, key: str, data: bytes, *, content_type: str = BINARY, durable: bool = True) -> Entry:
        """Store `data` under a new key."""
        await self._called("put")
        return self._store(key, data)

    @asynccontextmanager
    async def create(self, key: str, *, content_type: str = BINARY) -> AsyncIterator[Sink]:
        """Open a new key for writing a stream."""
        await self._called("create")
        check_key(key)
        sink = _MemorySink()
        yield sink
        sink.check()
        await self._called("created")
        sink.finished = self._store(key, bytes(sink.buffer))

    async def read(self, key: str) -> bytes:
        """Return the whole object."""
        await self._called("read")
        return self._object(key)[0]

    async def read_each(self, keys: Sequence[str]) -> Mapping[str, bytes | FileflowError]:
        """Read several objects."""
        await self._called("read_each")
        found: dict[str, bytes | FileflowError] = {}
        for key in keys:
            try:
                found[key] = self._object(key)[0]
            except FileflowError as error:
                found[key] = error
        return found

    async def read_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes:
        """Return a range of an object."""
        await self._called("read_range")
        return self._object(key, etag)[0][start : start + length]

    @asynccontextmanager
    async def stream(self, key: str, *, etag: str | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open an object for reading it in pieces."""
        await self._called("stream")
        yield self._pieces(self._object(key, etag)[0])

    async def stat(self, key: str) -> Entry:
        """Return the object without its bytes."""
        await self._called("stat")
        self._object(key)
        return self._entry(key)

    async def list(
        self, prefix: str = "", *, start_after: str = "", limit: int | None = None, shallow: bool = False
    ) -> Listing:
        """Return the objects whose keys begin with `prefix`."""
        await self._called("list")
        return self._listing(prefix, start_after=start_after, limit=limit, shallow=shallow)

    async def list_each(self, folders: Sequence[str]) -> Mapping[str, Listing | FileflowError]:
        """Return a complete shallow listing of each folder."""
        await self._called("list_each")
        return {folder: self._listing(folder, start_after="", limit=None, shallow=True) for folder in folders}

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove objects."""
        await self._called("delete")
        for key in keys:
            self.objects.pop(check_key(key), None)
            await asyncio.sleep(0)  # as elsewhere, others see what is half deleted

    async def abandon(self, *, before: float, prefix: str = "", dry_run: bool = True) -> Sequence[str]:
        """Return nothing: a stream that is left open here is nowhere."""
        await self._called("abandon")
        return ()

    @asynccontextmanager
    async def tail(self, prefix: str) -> AsyncIterator[Tail]:
        """Follow the keys that appear below a prefix."""
        tail = _MemoryTail(self, prefix)
        self._tails.add(tail)
        try:
            yield tail
        finally:
            self._tails.discard(tail)

    async def called(self, method: str) -> None:
        """Note a call, and fail when a fault is set."""
        await self._called(method)

    async def _called(self, method: str) -> None:
        self.calls.append(method)
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault

    def _object(self, key: str, etag: str | None = None) -> tuple[bytes, float]:
        try:
            data, modified = self.objects[check_key(key)]
        except KeyError:
            raise TargetNotFoundError(f"{self.uri(key)} does not exist") from None
        if etag is not None and etag != _etag(data):
            raise TargetSupersededError(f"{self.uri(key)!r} was replaced while it was read")
        return data, modified

    def _store(self, key: str, data: bytes) -> Entry:
        check_key(key)
        if key in self.objects and self.objects[key][0] != data:
            raise TargetSupersededError(f"{self.uri(key)!r} exists already with other bytes")
        if key not in self.objects:
            self.objects[key] = (bytes(data), self.clock.time())
        for tail in self._tails:
            tail.see(key)
        return self._entry(key)

    def _entry(self, key: str) -> Entry:
        data, modified = self.objects[key]
        return Entry(key, len(data), modified, _etag(data))

    def _listing(self, prefix: str, *, start_after: str, limit: int | None, shallow: bool) -> Listing:
        found: dict[str, Entry] = {}
        for key in sorted((key for key in self.objects if key.startswith(prefix)), key=str.encode):
            head, slash, _ = key[len(prefix) :].partition("/")
            folded = f"{prefix}{head}/" if shallow and slash else key
            if folded.encode() > start_after.encode():
                found[folded] = Entry(key=folded, size=0, modified=0.0) if folded != key else self._entry(key)
        entries = tuple(found.values())
        return Listing(entries[:limit], self.clock.time(), limit is None or len(entries) <= limit)

    @staticmethod
    async def _pieces(data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), PIECE):
            await asyncio.sleep(0)
            yield data[start : start + PIECE]


class _MemorySink:
    def __init__(self) -> None:
        self.buffer = bytearray()
        self.finished: Entry | None = None
        self._is_torn = False

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        was_torn, self._is_torn = self._is_torn, True
        await asyncio.sleep(0)
        self.buffer += data
        self._is_torn = was_torn

    def check(self) -> None:
        if self._is_torn:
            raise TargetWriteError("a write was cancelled: nobody knows how much of it was stored")

    @property
    def entry(self) -> Entry:
        if self.finished is None:
            raise RuntimeError("the block that opened the sink has not ended well")
        return self.finished


class _MemoryTail:
    is_prompt = False  # as on a share: waits look as often as they were told to

    def __init__(self, storage: MemoryStorage, prefix: str) -> None:
        self._storage = storage
        self._prefix = prefix
        self._names = [key.rpartition("/")[2] for key in storage.objects if key.startswith(prefix)]
        self._news = asyncio.Event()

    def see(self, key: str) -> None:
        if key.startswith(self._prefix):
            self._names.append(key.rpartition("/")[2])
            self._news.set()

    async def names(self) -> Sequence[str]:
        await self._storage.called("tail.names")
        self._news.clear()
        names, self._names = self._names, []
        return names

    async def changed(self) -> None:
        await self._news.wait()


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
