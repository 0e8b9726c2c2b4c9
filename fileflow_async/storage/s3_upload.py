"""Store a stream of any length in bounded memory."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fileflow_async.errors import TargetWriteError
from fileflow_async.storage.crew import Crew, Job, crew, sheltered
from fileflow_async.storage.protocol import PIECE, Entry
from fileflow_async.storage.s3_checksum import update
from fileflow_async.storage.s3_multipart import Multipart
from fileflow_async.storage.s3_write import Writer

SINGLE = 2 * PIECE  # up to here one PUT will do
WINDOW = 4  # parts under way: with the one that is being filled, and one being copied, 48 MiB
# S3 takes 10,000 parts and 5 TiB. The first thousand (8 GiB) are of one size; then each is a little larger.
_STEADY = 1000
_GROWTH = 136 * 1024
_LAST_CALL = 10.0  # seconds that a request gets to its end when we are cancelled under it


def part_size(number: int) -> int:
    """Return how many bytes the part of that number has."""
    return PIECE + _GROWTH * max(0, number - _STEADY)


@asynccontextmanager
async def upload(writer: Writer, key: str, *, content_type: str) -> AsyncIterator["S3Sink"]:
    """Open a key for writing; see `Storage.create`."""
    can = await writer.abilities()
    multipart = Multipart(writer, key, content_type=content_type, can=can)
    sink: S3Sink | None = None
    try:
        async with crew() as workers:
            sink = S3Sink(writer, key, multipart, workers, content_type=content_type)
            yield sink
            await sink.finish()
    except BaseException:
        # Awaited, although this is a clean-up: parts that nobody completes are paid for and hard to see.
        # It begins when no part is under way any more, and ends within seconds.
        if sink is not None:
            await sink.give_up()
        raise


class S3Sink:
    """An object while it is written: small ones wait for their end, large ones leave in parts."""

    def __init__(
        self, writer: Writer, key: str, multipart: Multipart, workers: Crew, *, content_type: str
    ) -> None:
        self._writer = writer
        self._key = key
        self._uri = writer.place.uri(key)
        self._multipart = multipart
        self._workers = workers
        self._content_type = content_type
        self._chunks: list[bytes] = []  # of the part that is being filled
        self._held = 0
        self._ready: list[bytes] = []  # parts that wait for whether there will be more than one PUT's worth
        self._size = 0
        self._crc32 = 0
        self._begun = False
        self._ended = False
        self._broken = False
        self._under_way: deque[Job[dict[str, Any]]] = deque()
        self._parts: list[dict[str, Any]] = []
        self._entry: Entry | None = None

    @property
    def entry(self) -> Entry:
        """The object, once the block that opened the sink has ended well."""
        if self._entry is None:
            raise RuntimeError("the block that opened the sink has not ended well")
        return self._entry

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take more bytes; waits while four parts are under way."""
        if self._ended:
            raise TargetWriteError(f"{self._uri!r} was already committed")
        try:
            await self._take(data)
        except BaseException:
            # Some of it may be lost: whoever goes on regardless must not publish the rest.
            self._broken = True
            raise

    async def _take(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data).cast("B")
        while view:
            piece = view[: part_size(self._next_part) - self._held]
            whole = isinstance(data, bytes) and len(piece) == len(data)
            self._chunks.append(data if whole else bytes(piece))  # type: ignore[arg-type]
            self._held += len(piece)
            self._size += len(piece)
            view = view[len(piece) :]
            if self._held == part_size(self._next_part):
                await self._fill()

    @property
    def _next_part(self) -> int:
        return len(self._parts) + len(self._under_way) + len(self._ready) + 1

    async def _fill(self) -> None:
        self._ready.append(b"".join(self._chunks))
        self._chunks, self._held = [], 0
        if self._size > SINGLE:
            await self._send_ready()

    async def _send_ready(self) -> None:
        if not self._begun:
            self._begun = True
            await sheltered(self._multipart.begin(), seconds=_LAST_CALL)
        while self._ready:
            part = self._ready[0]
            while len(self._under_way) >= max(1, min(WINDOW, WINDOW * PIECE // len(part))):
                await self._settle()
            self._crc32 = await update(part, self._crc32)
            number = len(self._parts) + len(self._under_way) + 1
            self._under_way.append(self._workers.start(self._multipart.send, number, self._ready.pop(0)))

    async def _settle(self) -> None:
        self._parts.append(await self._under_way.popleft().result())

    async def finish(self) -> None:
        """Make the object of what was written."""
        self._ended = True
        if self._broken:
            raise TargetWriteError(f"a write to {self._uri!r} had failed; nothing was published")
        if self._chunks:
            await self._fill()
        if not self._begun:
            data = b"".join(self._ready)
            self._entry = await self._writer.put(self._key, data, content_type=self._content_type)
            return
        await self._send_ready()
        while self._under_way:
            await self._settle()
        await sheltered(self._complete(), seconds=_LAST_CALL)

    async def _complete(self) -> None:
        self._entry = await self._multipart.complete(self._parts, size=self._size, crc32=self._crc32)
        await self._multipart.tidy()

    async def give_up(self) -> None:
        """Leave nothing behind."""
        self._ended = True
        if self._begun and self._entry is None:
            await sheltered(self._multipart.take_back(), seconds=_LAST_CALL)
