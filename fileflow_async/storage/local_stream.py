"""The two ends of a stream on disk: what is written piece by piece, what is read so."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Self

from aiofiles.threadpool.binary import AsyncFileIO

from fileflow_async.errors import TargetWriteError
from fileflow_async.storage.local_errors import translated
from fileflow_async.storage.local_hidden import HiddenFile
from fileflow_async.storage.local_threads import Lane
from fileflow_async.storage.protocol import PIECE, Entry

BATCH = 2 * 1024 * 1024  # bytes worth a hop to a thread: of more, the first have left the processor's cache
# Bytes read at a time: of more, the hash of the first waits for the last; fewer are a hop for too little.
_READ = 4 * 1024 * 1024  # ADR 0035
_WORTH_KEEPING = 512 * 1024  # bytes: to copy fewer costs less than that their memory is not used again


class LocalSink:
    """What was written so far: in memory until it is worth a hop to a thread, then on its way to the file.

    One such hop is under way while the caller gets the next piece: so the disk and the caller's source are
    busy at once.
    """  # ADR 0034

    def __init__(self, lane: Lane, hidden: HiddenFile) -> None:
        self._lane = lane
        self._hidden = hidden
        self._pieces: list[bytearray | memoryview] = []
        self._size = 0
        self._under_way: Future[None] | None = None
        self._whole = True
        self._entry: Entry | None = None

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        self._check_whole()
        self._whole = False  # until this has gone well
        rest, keep = memoryview(data).cast("B"), isinstance(data, bytes) and len(data) >= _WORTH_KEEPING
        while rest:
            piece, rest = rest[:PIECE], rest[PIECE:]
            if keep:
                self._pieces.append(piece)  # of bytes, which nobody can change on its way
            else:
                self._copy(piece)
            self._size += len(piece)
            if self._size >= BATCH:
                await self._send()
        self._whole = True

    @property
    def entry(self) -> Entry:
        if self._entry is None:
            raise RuntimeError(f"{self._hidden.path!r}: the block that opened the sink has not ended well")
        return self._entry

    async def rest(self) -> Sequence[bytearray | memoryview]:
        """Return what is not in the file yet, for good, once all before it is."""
        self._check_whole()
        self._whole = False
        await self._settled()
        return self._pieces

    def finish(self, entry: Entry) -> None:
        """Note what the object has become."""
        self._entry = entry

    def _copy(self, piece: memoryview) -> None:
        if not self._pieces or not isinstance(last := self._pieces[-1], bytearray):
            self._pieces.append(last := bytearray())
        last += piece

    async def _send(self) -> None:
        await self._settled()
        pieces, self._pieces, self._size = self._pieces, [], 0
        self._under_way = self._lane.submit(self._hidden.write, pieces)

    async def _settled(self) -> None:
        if self._under_way is not None:
            await asyncio.wrap_future(self._under_way)
            self._under_way = None

    def _check_whole(self) -> None:
        if not self._whole:
            raise TargetWriteError(
                f"{self._hidden.path!r} cannot be completed: a write of it failed, was cancelled, "
                "is still going on, or came after the end"
            )


class Pieces:
    """An open file, piece by piece; a class, since a generator that is left early lives on."""

    def __init__(self, file: AsyncFileIO, root: str, key: str) -> None:
        self._file = file
        self._root = root
        self._key = key

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        with translated(self._root, self._key, "read"):
            piece = await self._file.read(_READ)
        if not piece:
            raise StopAsyncIteration
        return piece

    async def readinto(self, room: memoryview) -> int:
        """Read the next bytes into memory, as many as suit; return how many, none at the end."""
        with translated(self._root, self._key, "read"):
            return await self._file.readinto(room[:_READ]) or 0
