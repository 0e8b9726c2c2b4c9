"""Bytes that go straight where they are to stay, where their source can do that."""  # ADR 0037

from collections.abc import AsyncIterator
from typing import Protocol, Self, runtime_checkable


@runtime_checkable
class Filling(Protocol):
    """A stream of bytes that can also be read into memory that is there already."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def readinto(self, room: memoryview) -> int:
        """Read the next bytes into memory, as many as suit; return how many, none at the end."""
        ...


class Filled:
    """Draws a stream in pieces, which lie where they belong once somebody has offered the room for all.

    Args:
        stream: The bytes, from their start.
    """

    def __init__(self, stream: Filling) -> None:
        self._stream = stream
        self._drawn = 0
        self._room = memoryview(b"")

    def offer(self, room: memoryview) -> None:
        """Take memory for the whole stream; whoever has drawn some of it already copies that there."""
        self._room = room

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes | memoryview:
        room = self._room[self._drawn :]
        if not room:
            piece = await anext(self._stream)
            self._drawn += len(piece)
            return piece
        if not (count := await self._stream.readinto(room)):
            raise StopAsyncIteration
        self._drawn += count
        return room[:count]
