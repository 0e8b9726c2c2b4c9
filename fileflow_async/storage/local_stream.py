"""The two ends of a stream on disk: what is written piece by piece, what is read so."""

from typing import Self

from aiofiles.threadpool.binary import AsyncFileIO

from fileflow_async.errors import TargetWriteError
from fileflow_async.storage.local_errors import translated
from fileflow_async.storage.local_hidden import HiddenFile
from fileflow_async.storage.protocol import PIECE, Entry

_LARGE = 4 * 1024 * 1024  # bytes: to copy so many costs more than a hop to a thread


class LocalSink:
    """What was written so far: small pieces of it in memory, until they are worth a hop to a thread."""

    def __init__(self, file: AsyncFileIO, hidden: HiddenFile) -> None:
        self._file = file
        self._hidden = hidden
        self._buffer = bytearray()
        self._whole = True
        self._entry: Entry | None = None

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        self._check_whole()
        self._whole = False  # until this has gone well
        rest = memoryview(data).cast("B")
        if len(rest) >= _LARGE:
            await self._flush()
        while len(rest) >= _LARGE:  # as it is: nothing of it is kept once the caller goes on
            await self._send(rest[:PIECE])
            rest = rest[PIECE:]
        self._buffer += rest
        if len(self._buffer) >= PIECE:
            await self._flush()
        self._whole = True

    @property
    def entry(self) -> Entry:
        if self._entry is None:
            raise RuntimeError(f"{self._hidden.path!r}: the block that opened the sink has not ended well")
        return self._entry

    def rest(self) -> bytearray:
        """Return what is not in the file yet, for good."""
        self._check_whole()
        self._whole = False
        return self._buffer

    def finish(self, entry: Entry) -> None:
        """Note what the object has become."""
        self._entry = entry

    async def _flush(self) -> None:
        if self._buffer:
            await self._send(memoryview(self._buffer))
            self._buffer = bytearray()

    async def _send(self, piece: memoryview) -> None:
        with self._hidden.translated():
            sent = 0
            while sent < len(piece):
                rest = piece[sent:]
                count = await self._file.write(rest)
                rest.release()  # the thread keeps it a moment longer: no buffer could be cleared meanwhile
                self._hidden.written += count
                sent += count

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
            piece = await self._file.read(PIECE)
        if not piece:
            raise StopAsyncIteration
        return piece
