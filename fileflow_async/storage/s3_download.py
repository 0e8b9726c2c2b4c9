"""Read the bytes of objects, by as many requests as it takes."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from typing import Any

from fileflow_async.errors import TargetNotFoundError
from fileflow_async.storage.crew import Crew, Job, crew
from fileflow_async.storage.protocol import PIECE, Entry
from fileflow_async.storage.s3_checksum import crc32
from fileflow_async.storage.s3_errors import ContradictionError, DamagedError, NotS3Error, is_silent
from fileflow_async.storage.s3_explain import READ, OutOfRangeError, ReplacedError
from fileflow_async.storage.s3_place import Place
from fileflow_async.storage.s3_reply import (
    content_type,
    crc32_of,
    etag_of,
    headers_of,
    modified_of,
    quoted,
    range_of,
)
from fileflow_async.storage.s3_requests import Requests

WINDOW = 4  # pieces under way: with the one that the caller has, and one being copied, 48 MiB
LARGE = 2 * PIECE  # what is larger is read in pieces at once


class Downloader:
    """Reads the objects of one storage."""

    def __init__(self, requests: Requests, place: Place) -> None:
        self._requests = requests
        self._place = place

    async def head(self, key: str) -> dict[str, Any]:
        """Return what S3 says about an object."""
        name = self._place.key(key)

        async def look(client: Any) -> dict[str, Any]:
            try:
                return await self._requests.ask(
                    client, "head_object", needs="ETag", Key=name, ChecksumMode="ENABLED"
                )
            except Exception as error:
                if not is_silent(error):
                    raise
            await self._ask_aloud(client, name)
            raise ContradictionError

        return await self._requests.run(READ, self._place.uri(key), look)

    async def _ask_aloud(self, client: Any, name: str) -> None:
        """Raise the reason that a HEAD is not told: no such key, no such bucket, denied, expired."""
        answer = await self._requests.ask(client, "get_object", Key=name)
        answer["Body"].close()

    async def stat(self, key: str) -> Entry:
        """Return an object without its bytes."""
        answer = await self.head(key)
        return Entry(key, int(answer["ContentLength"]), modified_of(answer), etag_of(answer))

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        try:
            await self.head(key)
        except TargetNotFoundError:
            return False
        return True

    async def read(self, key: str) -> bytes:
        """Return the whole object, checked against its CRC32 where the store has one."""
        try:
            return (await self._read(key, 0, None, None)).bytes
        except _LargeError as large:
            etag = large.etag
        async with self.stream(key, etag=etag) as pieces:
            return b"".join([piece async for piece in pieces])

    async def read_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes:
        """Return some bytes; see `Storage.read_range`."""
        if start < 0 or length < 0:
            raise ValueError(f"a range needs start >= 0 and length >= 0, got {start} and {length}")
        try:
            read = await self._read(key, start, start + max(1, length), etag)  # S3 has no range of no bytes
        except OutOfRangeError:
            return b""
        return read.bytes[:length]

    @asynccontextmanager
    async def stream(self, key: str, *, etag: str | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open an object for reading it in pieces; see `Storage.stream`."""
        try:
            first = await self._read(key, 0, PIECE, etag)
        except OutOfRangeError:  # it is empty
            first = None
        async with crew() as workers, aclosing(self._pieces(key, first, workers)) as pieces:
            yield pieces

    async def _pieces(self, key: str, first: "_Read | None", workers: Crew) -> AsyncGenerator[bytes, None]:
        if first is None:
            return
        starts = iter(range(PIECE, first.total or 0, PIECE))

        def begin(start: int) -> Job[_Read]:
            return workers.start(self._read, key, start, start + PIECE, first.etag)

        under_way = deque(begin(start) for start in islice(starts, WINDOW))
        yield first.bytes
        first.bytes = b""  # what was given is not ours to keep
        while under_way:
            piece = await under_way.popleft().result()
            under_way.extend(begin(start) for start in islice(starts, 1))
            yield piece.bytes

    async def _read(self, key: str, start: int, end: int | None, etag: str | None) -> "_Read":
        uri = self._place.uri(key)
        read = _Read(self._requests, uri, self._place.key(key), start, end, etag)
        await self._requests.run(READ, uri, read.attempt, size=LARGE if end is None else end - start)
        return read


class _LargeError(Exception):
    """The object is too large for one request."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


class _Read:
    """Bytes of one object; a request that breaks off is followed by one for the rest.

    Args:
        start: The first byte.
        end: The one behind the last, at most; None for all of the object.
        etag: Of the object that it must be.

    Attributes:
        total: The size of the object, once it is known.
        bytes: The bytes, once they are there and right.
    """

    def __init__(
        self, requests: Requests, uri: str, key: str, start: int, end: int | None, etag: str | None
    ) -> None:
        self._requests = requests
        self._uri = uri
        self._key = key
        self._start = start
        self._end = end
        self._crc32: str | None = None
        self.etag = etag
        self.total: int | None = None
        self.bytes = b""
        self._chunks: list[bytes] = []
        self._length = 0

    async def attempt(self, client: Any) -> None:
        """Read on from where the attempt before this one broke off."""
        if self.total is None or self._missing:
            answer = await self._requests.ask(
                client, "get_object", needs="ETag", Key=self._key, **self._wanted()
            )
            body = answer["Body"]
            try:
                self._accept(answer)
                async for (
                    chunk
                ) in body.raw_stream.content.iter_any():  # botocore's own way costs three copies
                    self._chunks.append(chunk)
                    self._length += len(chunk)
            finally:
                body.close()  # a connection that was read to its end has been given back before
        await self._check()

    @property
    def _next(self) -> int:
        return self._start + self._length

    @property
    def _missing(self) -> int:
        total = self.total or 0
        return (total if self._end is None else min(self._end, total)) - self._next

    def _wanted(self) -> dict[str, str]:
        wanted = {"IfMatch": quoted(self.etag)} if self.etag else {}
        if self._end is None and not self._length:
            return wanted | {"ChecksumMode": "ENABLED"}
        return wanted | {"Range": f"bytes={self._next}-{'' if self._end is None else self._end - 1}"}

    def _accept(self, answer: dict[str, Any]) -> None:
        """Take note of what is going to come, or refuse it."""
        etag = etag_of(answer)
        if self.etag is not None and self.etag != etag:
            raise ReplacedError(f"{self._uri!r} was replaced while it was read")
        first, self.total = range_of(answer)
        self.etag = etag
        if self._end is None and not self._length:
            self._crc32 = crc32_of(answer)
            if self.total > LARGE:
                raise _LargeError(etag)
        if first != self._next or answer["ContentLength"] > self._missing:  # the server does not know ranges
            raise NotS3Error(content_type(headers_of(answer)))

    async def _check(self) -> None:
        if self._missing:
            raise DamagedError
        data = b"".join(self._chunks)
        self._chunks, self._length = [], 0
        if self._crc32 and self._crc32 != await crc32(data):
            raise DamagedError
        self.bytes = data
