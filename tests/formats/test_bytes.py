"""Bytes as they are."""

import io
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from fileflow_async import formats
from fileflow_async.errors import FormatError, TargetWriteError
from fileflow_async.formats.bytes import Bytes
from fileflow_async.testing.format_contract import FormatContract, pieces_of, written


class TestBytes(FormatContract):
    format = Bytes()

    def samples(self) -> Sequence[tuple[Any, Any]]:
        return [(b"\x00\xff" * 5000, bytes), (b"", None), ([b"abc"], list)]

    def streams(self) -> Sequence[tuple[Sequence[Any], Any, Any]]:
        return [([b"a", b"", bytearray(b"b"), memoryview(b"c")], bytes, b"abc")]

    def unwritable(self) -> Sequence[Any]:
        return ["text", 1, None, [b"a", 1], {b"a": 1}]

    def same(self, one: Any, other: Any) -> bool:
        if isinstance(one, list):
            one, other = b"".join(one), b"".join(other)
        return bool(one == other)

    def join(self, batches: Sequence[Any]) -> Any:
        return b"".join(batches) if isinstance(batches[0], bytes) else super().join(batches)


async def test_text_is_refused_in_a_drafts_own_words() -> None:
    """Row 46."""
    for value in ("text", [b"a", "text"], io.StringIO("text")):
        with pytest.raises(TargetWriteError) as caught:
            await written(value, Bytes())
        assert str(caught.value) == "write() got str for a binary target; pass encoding="


async def test_an_open_file_is_written_from_where_it_stands() -> None:
    """In bounded memory."""
    file = io.BytesIO(b"0123456789")
    file.seek(3)
    assert (await written(file, Bytes())).data == b"3456789"


async def test_what_is_no_bytes_is_named() -> None:
    """By its type."""
    with pytest.raises(FormatError, match=r"^format 'bytes' takes bytes, alone or in an iterable; got int$"):
        await written([b"a", 7], Bytes())


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.binary(max_size=200), max_size=8),
    st.sampled_from([None, "gzip", "zstd"]),
    st.integers(1, 300),
)
async def test_any_bytes_come_back(parts: list[bytes], compression: str | None, size: int) -> None:
    """Compressed or not, cut wherever they may be."""
    made = await written(parts, Bytes(), compression=compression)
    assert await formats.read(pieces_of(made.data, size), made.facts) == b"".join(parts)
