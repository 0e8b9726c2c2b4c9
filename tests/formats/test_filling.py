"""Bytes that go straight where they are to stay."""

import asyncio
import gzip
import random
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from fileflow_async import formats
from fileflow_async.errors import TargetCorruptError
from fileflow_async.formats import Facts, Format, files, table_files
from fileflow_async.formats.files import Reader, reader
from fileflow_async.formats.filling import Filled


class Source:
    """A stream that can be read into memory, so many bytes at a time."""

    def __init__(self, data: bytes, step: int, *, ends: Exception | None = None) -> None:
        self._left = data
        self._step = step
        self._ends = ends
        self.filled = 0

    def __aiter__(self) -> "Source":
        return self

    async def __anext__(self) -> bytes:
        if not (piece := self._taken(self._step)):
            raise StopAsyncIteration
        return piece

    async def readinto(self, room: memoryview) -> int:
        piece = self._taken(min(self._step, len(room)))
        room[: len(piece)] = piece
        self.filled += len(piece)
        return len(piece)

    def _taken(self, count: int) -> bytes:
        piece, self._left = self._left[:count], self._left[count:]
        if not piece and self._ends is not None:
            raise self._ends
        return piece


@given(st.binary(max_size=40), st.integers(1, 9), st.integers(0, 4), st.integers(0, 50))
def test_all_bytes_come_once_wherever_they_go(data: bytes, step: int, before: int, size: int) -> None:
    """Some were drawn before there was room, the rest goes there, and what does not fit comes as before."""

    async def drawn() -> Sequence[bytes | memoryview]:
        filled, room = Filled(Source(data, step)), memoryview(bytearray(size))
        pieces = [piece for _ in range(before) if (piece := await anext(filled, None))]
        filled.offer(room)
        pieces += [piece async for piece in filled]
        at = 0
        for piece in pieces:
            if isinstance(piece, memoryview):
                assert bytes(room[at : at + len(piece)]) == piece
            at += len(piece)
        return pieces

    assert b"".join(asyncio.run(drawn())) == data


def test_what_lies_there_is_not_copied_and_nothing_else_is_left_out() -> None:
    """The reader puts into the room what came before it was offered."""
    room = memoryview(bytearray(6))
    offered: list[memoryview] = []
    with reader([b"ab", room[2:4], b"efgh"], offered.append) as file:
        room[2:4] = b"cd"
        assert file.fill(room) == 6
        assert bytes(room) == b"abcdef"
        assert file.read() == b"gh"
    assert offered == [room]


def test_there_is_no_offer_once_something_was_read() -> None:
    """The room would have to be for all."""
    offered: list[memoryview] = []
    with reader([b"abcd", b"efgh"], offered.append) as file:
        assert file.raw.read(1) == b"a"
        room = memoryview(bytearray(7))
        assert file.fill(room) == 7
    assert bytes(room) == b"bcdefgh"
    assert offered == []


def ipc(rows: int) -> bytes:
    table, sink = pa.table({"n": range(rows)}), pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


async def test_a_table_is_read_where_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the pieces that were on their way before its reader had begun."""
    monkeypatch.setattr(files, "PIECE", 1024)
    monkeypatch.setattr(table_files, "PIECE", 1024)
    data = ipc(10_000)
    source = Source(data, 1024)
    table = await formats.read(source, Facts(format="arrow", size=len(data)), pa.Table)
    assert table["n"].to_pylist() == list(range(10_000))
    assert len(data) - 2 * 1024 <= source.filled <= len(data)


async def test_a_table_that_is_damaged_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream says so at its end, whatever the table looked like."""
    monkeypatch.setattr(table_files, "PIECE", 1024)
    data = ipc(10_000)
    source = Source(data, 1024, ends=TargetCorruptError("damaged"))
    with pytest.raises(TargetCorruptError, match="damaged"):
        await formats.read(source, Facts(format="arrow", size=len(data)), pa.Table)
    assert source.filled


class Whole(Format):
    """Bytes, read into memory of its own."""

    name = "whole"
    extensions = ("whole",)

    def write(self, value: Any, file: IO[bytes]) -> None:
        file.write(value)

    def read(self, file: IO[bytes], kind: Any, facts: Facts) -> bytes:
        assert isinstance(file, Reader)
        room = bytearray(10_000)
        return bytes(room[: file.fill(memoryview(room))])


@pytest.fixture
def whole() -> Iterator[None]:
    formats.register(Whole())
    yield
    formats.unregister("whole")


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.usefixtures("whole")
async def test_what_is_compressed_goes_another_way(compression: str | None) -> None:
    """It is not stored as it is read."""
    data = random.randbytes(9_000)
    stored = data if compression is None else gzip.compress(data)
    source = Source(stored, 1024)
    assert await formats.read(source, Facts(format="whole", compression=compression)) == data
    assert (source.filled == 0) == (compression is not None)
