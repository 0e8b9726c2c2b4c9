"""The bytes of a body, in pieces that cannot explode."""

import asyncio
import zlib
from collections.abc import AsyncIterator

from fileflow_async.errors import EndpointAnswerError, EndpointUnavailableError

ACCEPTED = "gzip, deflate"
PIECE = 64 * 1024  # bytes unpacked between two turns of the loop: a tenth of a millisecond

_GZIP, _DEFLATE, _RAW = 31, 15, -15  # what zlib calls the formats


class TooLargeError(EndpointAnswerError):
    """The body is larger than it may be."""


async def unpacked(pieces: AsyncIterator[bytes], encoding: str, what: str) -> AsyncIterator[bytes]:
    """Yield what a body is without its compression.

    Args:
        pieces: As they are sent.
        encoding: How they are compressed.
        what: The request, as it may be shown.

    Raises:
        EndpointAnswerError: It is compressed as nobody asked for, or is not what it says.
        EndpointUnavailableError: It ends too soon.
    """
    kind = encoding.strip().lower()
    if kind in ("", "identity"):
        async for piece in pieces:
            yield piece
        return
    if kind not in ("gzip", "x-gzip", "deflate"):
        raise EndpointAnswerError(f"{what}: the body is compressed as {kind[:40]!r}, which was not asked for")
    unpacking = _Unpacking(kind, what)
    async for piece in pieces:
        rest = piece
        while rest:
            data, rest = unpacking.some(rest)
            if data:
                yield data
            await asyncio.sleep(0)
    if not unpacking.is_whole:
        raise EndpointUnavailableError(f"{what}: the body ends in the middle of its {kind}")


async def bounded(pieces: AsyncIterator[bytes], most: int | None, what: str) -> AsyncIterator[bytes]:
    """Yield the pieces as long as they are no more than so many bytes.

    Raises:
        TooLargeError: They are. What came before was yielded.
    """
    size = 0
    async for piece in pieces:
        size += len(piece)
        if most is not None and size > most:
            raise TooLargeError(f"{what}: the body is larger than {most} bytes")
        yield piece


class _Unpacking:
    """A stream of zlib's, of which a little is unpacked at a time."""

    def __init__(self, kind: str, what: str) -> None:
        self._kind = kind
        self._what = what
        self._stream: zlib._Decompress | None = None
        self._was_begun = False

    @property
    def is_whole(self) -> bool:
        """Whether it may end here; a body of no bytes is one, whatever its head says."""
        return self._stream is None or self._stream.eof

    def some(self, data: bytes) -> tuple[bytes, bytes]:
        """Return a piece of what is in there, and what is left to be unpacked."""
        if self._stream is None or self._stream.eof:
            if self._was_begun and not data.strip(b"\0"):
                return b"", b""  # padding
            self._stream = zlib.decompressobj(self._format(data))
            self._was_begun = True
        try:
            piece = self._stream.decompress(data, PIECE)
        except zlib.error:
            raise EndpointAnswerError(
                f"{self._what}: the body says that it is {self._kind}, and is not"
            ) from None
        return piece, self._stream.unconsumed_tail or self._stream.unused_data

    def _format(self, data: bytes) -> int:
        if self._kind != "deflate":
            return _GZIP
        # Some servers send it without zlib's head, whose first byte says method 8.
        return _DEFLATE if data[0] & 0x0F == 8 else _RAW
