"""Files whose bytes come from, and go, elsewhere."""

import io

import pytest
from hypothesis import given, strategies as st

from fileflow_async.formats import files
from fileflow_async.formats.files import PIECE, Inlet, Outlet, reader


@given(st.lists(st.binary(max_size=30)), st.lists(st.integers(-1, 40), max_size=10))
def test_a_stream_is_read_as_a_file(pieces: list[bytes], sizes: list[int]) -> None:
    """In any portions."""
    expected = io.BytesIO(b"".join(pieces))
    with reader(pieces) as file:
        assert file.readable()
        for size in sizes:
            assert file.read(size) == expected.read(size)
        assert file.read() == expected.read()


def test_lines_are_read_across_pieces() -> None:
    """As from a file on disk."""
    with reader([b"a\nb", b"", b"c\n", b"d"]) as file:
        assert list(file) == [b"a\n", b"bc\n", b"d"]


def test_a_single_piece_is_not_copied() -> None:
    """It may be large."""
    piece = b"x" * 1000
    assert Inlet([piece]).readall() is piece
    inlet = Inlet([b"abc", b"def"])
    assert inlet.read(2) == b"ab"
    assert inlet.readall() == b"cdef"


def test_small_writes_are_handed_on_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """And large ones in parts."""
    monkeypatch.setattr(files, "PIECE", 10)
    given: list[bytes] = []
    outlet = Outlet(given.append)
    assert outlet.writable()
    assert [outlet.write(b"abcd"), outlet.write(memoryview(b"efg"))] == [4, 3]
    assert given == []
    outlet.write(bytearray(b"h" * 25))
    assert outlet.tell() == 32
    outlet.finish()
    outlet.finish()
    assert b"".join(given) == b"abcdefg" + b"h" * 25
    assert [len(piece) for piece in given] == [17, 10, 5]
    assert PIECE == 4 * 1024 * 1024


def test_what_is_written_may_be_changed_afterwards() -> None:
    """A writer may use its buffer again."""
    given: list[bytes] = []
    outlet = Outlet(given.append)
    buffer = bytearray(b"abc")
    outlet.write(buffer)
    buffer[:] = b"xyz"
    outlet.finish()
    assert given == [b"abc"]


def test_other_than_bytes_in_a_buffer_are_its_bytes() -> None:
    """Numbers, say."""
    import array

    given: list[bytes] = []
    outlet = Outlet(given.append)
    assert outlet.write(array.array("i", [1, 2])) == 8
    outlet.finish()
    assert len(given[0]) == 8


def test_once_it_has_failed_it_takes_anything_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some writers end their files when they are deleted, and there is nobody to catch what that raises."""
    monkeypatch.setattr(files, "PIECE", 2)

    def refuse(piece: bytes) -> None:
        raise LookupError

    outlet = Outlet(refuse)
    with pytest.raises(LookupError):
        outlet.write(b"abc")
    assert outlet.write(b"def") == 3
    outlet.finish()
