"""Files for synchronous code whose bytes come from elsewhere, or go there."""

import io
from collections.abc import Callable, Iterable
from itertools import chain
from typing import IO, Any

# Handed on at a time: a hop to the event loop costs 50 µs, and storages write 4 to 8 MiB at once the fastest.
PIECE = 4 * 1024 * 1024


class Inlet(io.RawIOBase):
    """Reads a stream of pieces as a file.

    Args:
        pieces: The bytes; drawn from as they are asked for.
        offer: Takes memory for all of them: pieces that lie there already when they come are not copied.
    """

    def __init__(
        self, pieces: Iterable[bytes | memoryview], offer: Callable[[memoryview], object] | None = None
    ) -> None:
        super().__init__()
        self._pieces = iter(pieces)
        self._piece = memoryview(b"")
        self._offer = offer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._offer = None  # it would have to be for all
        return self._place(memoryview(buffer))

    def fill(self, room: memoryview) -> int:
        """Read into memory, as much as there is room for; return how many bytes."""
        if self._offer is not None:
            self._offer(room)
        filled = 0
        while filled < len(room) and (count := self._place(room[filled:])):
            filled += count
        return filled

    def readall(self) -> bytes:
        head, self._piece = bytes(self._piece), memoryview(b"")
        first = head or next(self._pieces, b"")
        if (second := next(self._pieces, None)) is None:
            return bytes(first)
        whole = (
            io.BytesIO()
        )  # copied as they come, while the next is read and hashed: joining is a pass of its own
        for piece in chain((first, second), self._pieces):
            whole.write(piece)
        return whole.getvalue()

    def _place(self, room: memoryview) -> int:
        while not self._piece:
            if (piece := next(self._pieces, None)) is None:
                return 0
            self._piece = memoryview(piece)
        count = min(len(room), len(self._piece))
        if self._piece.obj is not room.obj:
            room[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count


class Reader(io.BufferedReader):
    """A file that reads a stream of pieces, lines included, as one on a disk would be read.

    Args:
        inlet: The stream.
    """

    def __init__(self, inlet: Inlet) -> None:
        super().__init__(inlet, PIECE // 4)
        self._inlet = inlet

    def fill(self, room: memoryview) -> int:
        """Read into memory before anything else is read, as much as there is room for; return how much."""
        return self._inlet.fill(room)


def reader(
    pieces: Iterable[bytes | memoryview], offer: Callable[[memoryview], object] | None = None
) -> Reader:
    """Return a file that reads a stream of pieces; see `Inlet`."""
    return Reader(Inlet(pieces, offer))


def all_of(file: IO[bytes], size: int | None) -> bytes:
    """Return all that is left of a file, which is then at its end.

    Args:
        file: It.
        size: How many bytes that are likely to be: room for them is made once, and not again and again as
            they come. None where it is not known.
    """
    data = b"" if size is None or size <= PIECE else file.read(size)
    rest = file.read()
    return data + rest if data and rest else data or rest


class Outlet(io.RawIOBase):
    """Hands on what is written in pieces of a few megabytes.

    Once that has failed it takes anything and hands on nothing: some writers end their files when they are
    deleted.

    Args:
        give: Takes the pieces.
    """

    def __init__(self, give: Callable[[bytes], object]) -> None:
        super().__init__()
        self._give = give
        self._waiting = io.BytesIO()
        self._position = 0
        self._is_broken = False

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")  # copied: the caller may use its buffer again
        for start in range(0, len(view), PIECE):
            self._add(view[start : start + PIECE])
        self._position += len(view)
        return len(view)

    def finish(self) -> None:
        """Hand on what is left."""
        if piece := self._waiting.getvalue():
            self._waiting = io.BytesIO()
            self._is_broken = True
            self._give(piece)
            self._is_broken = False

    def _add(self, part: memoryview) -> None:
        if self._is_broken:
            return
        self._waiting.write(part)
        if self._waiting.tell() >= PIECE:
            self.finish()
