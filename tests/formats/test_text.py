"""Text, of any encoding."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from fileflow_async import formats
from fileflow_async.errors import FormatError, TargetWriteError
from fileflow_async.formats.text import Text
from fileflow_async.testing.format_contract import FormatContract, pieces_of, written

TEXT = Text()


class TestText(FormatContract):
    format = TEXT

    def samples(self) -> Sequence[tuple[Any, Any]]:
        return [("Grüße\n日本\r\n", str), ("", str), ("a\nb", str), (["a\n", "\n", "b"], list)]

    def streams(self) -> Sequence[tuple[Sequence[Any], Any, Any]]:
        return [(["a", "ö" * 10, "\n"], str, "a" + "ö" * 10 + "\n")]

    def unwritable(self) -> Sequence[Any]:
        return [b"x", 1, None, ["a", 1], {"a": "b"}, "\ud800"]

    def join(self, batches: Sequence[Any]) -> Any:
        return "".join(batches) if isinstance(batches[0], str) else super().join(batches)


@pytest.mark.parametrize("size", [1, 2, 5, 2000])
@pytest.mark.parametrize(
    ("encoding", "data", "at"),
    [
        ("utf-8", b"a" * 1042 + b"\xff", 1042),
        ("utf-8", "é".encode() * 10 + b"\xc3", 20),
        ("utf-8", "é".encode() * 10 + b"\xc3(", 20),
        ("utf-16-le", b"a\0" * 7 + b"\0\xd8a\0", 14),
        ("ascii", b"abc\x80", 3),
        ("shift_jis", "日本".encode("shift_jis") + b"\xff", 4),
    ],
)
async def test_bytes_that_are_no_text_are_told_by_their_place(
    encoding: str, data: bytes, at: int, size: int
) -> None:
    """Row 47, however the bytes arrive."""
    facts = formats.Facts(format="text", name="20261120T101502123Z-t01-7c9e1f02ab44.txt", encoding=encoding)
    with pytest.raises(FormatError) as caught:
        await formats.read(pieces_of(data, size), facts)
    assert str(caught.value) == f"'{facts.name}' is not valid {encoding} at byte {at}"


async def test_text_that_the_encoding_has_no_word_for_is_not_written() -> None:
    """The error is a draft's own."""
    with pytest.raises(TargetWriteError, match=r"^write\(\) got text that is not valid latin-1: .*€|\\u20ac"):
        await written("10 €", TEXT, encoding="latin-1")
    with pytest.raises(TargetWriteError, match=r"^write\(\) got text that is not valid utf-8: "):
        await written("a\ud800", TEXT)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5),
    st.sampled_from(["utf-8", "utf-16", "utf-32-be", "utf-7", "gb18030", "utf-8-sig"]),
    st.integers(1, 50),
)
async def test_any_text_in_any_encoding_comes_back(parts: list[str], encoding: str, size: int) -> None:
    """Cut wherever it may be."""
    made = await written(iter(parts), TEXT, encoding=encoding)
    assert await formats.read(pieces_of(made.data, size), made.facts) == "".join(parts)
    assert made.data == "".join(parts).encode(encoding) or not made.data
