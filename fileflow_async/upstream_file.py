"""An input as a file, in bounded memory."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, cast

from fileflow_async.engine import Engine

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_HELD = 16 * 1024 * 1024  # bytes: below, a file on disk costs more than it saves

Open = Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]


class UpstreamFile(io.RawIOBase):
    """Draws an input from the event loop as sync code reads it.

    To go back in it is to begin anew. Its end is verified, as that of any stream: to reach it raises an error
    when the data is not what was committed. What has failed fails again, until somebody goes back.

    Args:
        open_input: Opens the input.
        size: How many bytes it has.
        engine: Whose loop; it may not be called from a coroutine there.
    """

    def __init__(self, open_input: Open, size: int, engine: Engine) -> None:
        self._open_input = open_input
        self._size = size
        self._engine = engine
        self._opened: AbstractAsyncContextManager[AsyncIterator[bytes]] | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self._rest = memoryview(b"")
        self._at = 0
        self._failure: BaseException | None = None
        self._is_over = False

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be sought in."""
        return True

    def tell(self) -> int:
        """Return how many bytes have been read."""
        self._check()
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill a buffer with what there is at once; return how much that was, 0 at the end."""
        taken = self._take(len(wanted := memoryview(buffer).cast("B")))
        wanted[: len(taken)] = taken
        return len(taken)

    def readall(self) -> bytes:
        """Return all that is left."""
        pieces = []
        while piece := self._take(self._size):
            pieces.append(bytes(piece))
        return b"".join(pieces)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere: forward by reading on, back by beginning anew."""
        self._check()
        to = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if to < 0:
            raise ValueError(f"there is nothing {-to} bytes before the beginning")
        if to < self._at or self._failure is not None:
            self._engine.run(self._leave())
            self._at, self._failure = 0, None
        while self._at < to and self._take(to - self._at):
            pass
        return self._at

    def close(self) -> None:
        """Leave the input; nothing more can be read."""
        if self._opened is not None and not self._engine.is_busy:  # else it is left at the end of the try
            self._engine.run(self._leave())
        super().close()

    async def end(self) -> None:
        """Leave the input, on its loop, at the end of the try."""
        self._is_over = True
        await self._leave()

    async def _leave(self) -> None:
        opened, self._opened, self._pieces, self._rest = self._opened, None, None, memoryview(b"")
        if opened is not None:
            await opened.__aexit__(None, None, None)

    def _take(self, most: int) -> memoryview:
        self._check()
        if self._failure is not None:
            raise self._failure
        try:
            if not self._rest:
                self._rest = memoryview(self._engine.run(self._next()))
        except BaseException as error:
            self._failure = error  # what is torn has no more pieces, which must not look like its end
            raise
        taken, self._rest = self._rest[:most], self._rest[most:]
        self._at += len(taken)
        return taken

    async def _next(self) -> bytes:
        if self._pieces is None:
            self._opened = self._open_input()
            self._pieces = await self._opened.__aenter__()
        return await anext(self._pieces, b"")

    def _check(self) -> None:
        if self.closed or self._is_over:
            raise ValueError("an input that is closed, or whose task has ended, cannot be read")


async def spooled(opened: AbstractAsyncContextManager[AsyncIterator[bytes]]) -> IO[bytes]:
    """Return an input, verified, as a file: a small one is held in memory, a large one on disk, unnamed.

    Whoever reads a large one reads a disk, which belongs on a thread.
    """
    file = SpooledTemporaryFile(max_size=_HELD)  # noqa: SIM115  # its caller closes it
    try:
        async with opened as pieces:
            async for piece in pieces:
                await asyncio.to_thread(file.write, piece)
        await asyncio.to_thread(file.seek, 0)
    except BaseException:
        file.close()
        raise
    return cast(IO[bytes], file)
