"""Tables in files that need random access: their bytes in memory."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from fileflow_async.formats import files, table_files
from fileflow_async.formats.files import all_of, reader
from fileflow_async.formats.table_files import gathered


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take four bytes for many."""
    monkeypatch.setattr(files, "PIECE", 4)
    monkeypatch.setattr(table_files, "PIECE", 4)


@pytest.mark.parametrize("size", [None, 1, 5, 6, 7, 100])
@pytest.mark.parametrize("gather", [all_of, gathered])
def test_all_bytes_are_gathered_whatever_was_said_of_their_number(
    gather: Callable[..., bytes | pa.Buffer], size: int | None
) -> None:
    """A record that is wrong about it is found out at the end of the stream, to which it is drawn."""
    ended = []

    def pieces() -> Iterator[bytes]:
        yield from (b"abc", b"", b"de", b"f")
        ended.append(True)

    with reader(pieces()) as file:
        found = gather(file, size)
    assert bytes(found) == b"abcdef"
    assert ended == [True]
    with reader([]) as file:
        assert bytes(gather(file, size)) == b""


def test_room_is_made_once_where_the_size_is_known() -> None:
    """In pyarrow's pool, which has given it back when the table is gone."""
    before = pa.total_allocated_bytes()
    with reader([b"x" * 1000, b"y" * 1000]) as file:
        buffer = gathered(file, 2000)
    assert pa.total_allocated_bytes() - before >= 2000
    assert buffer.size == 2000
    del buffer
    assert pa.total_allocated_bytes() == before


def test_a_file_that_gives_less_than_it_has_leaves_no_gap() -> None:
    """What was filled counts, not what there was room for."""

    class Hesitant(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            buffer[:2] = self.read(2)
            return 2

    assert gathered(Hesitant(b"abcdefgh"), 8).to_pybytes() == b"abcdefgh"
