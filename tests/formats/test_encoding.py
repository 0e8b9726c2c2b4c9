"""Any encoding as UTF-8, and back."""

import codecs
import sys

import pytest
from hypothesis import given, strategies as st

from fileflow_async.errors import ConfigError, FormatError, TargetWriteError
from fileflow_async.formats.encoding import Transcoder, as_utf8, check_encoding, decoded, is_utf8

ENCODINGS = (
    "utf-8",
    "UTF8",
    "utf-16",
    "utf-16-le",
    "utf-32",
    "utf-7",
    "utf-8-sig",
    "gb18030",
    "iso2022_jp_2004",
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(TEXT, st.sampled_from(ENCODINGS[:-1]), st.integers(1, 9))
def test_any_text_is_the_same_in_utf_8(text: str, encoding: str, size: int) -> None:
    """Cut wherever it may be."""
    data = text.encode(encoding)
    assert b"".join(as_utf8(cut(data, size), encoding, "x")) == text.encode()
    assert "".join(decoded(cut(data, size), encoding, "x")) == text


@given(TEXT, st.sampled_from(ENCODINGS[:-1]), st.integers(1, 9))
def test_utf_8_becomes_any_encoding(text: str, encoding: str, size: int) -> None:
    """With one mark of the byte order, at its start."""
    taken: list[bytes] = []
    transcoder = Transcoder(encoding, taken.append)
    for piece in cut(text.encode(), size):
        transcoder.write(piece)
    transcoder.finish()
    assert b"".join(taken).decode(encoding) == text


@given(st.binary(max_size=60), st.integers(1, 9), st.booleans())
def test_bytes_that_are_no_utf_8_are_found_where_they_are(data: bytes, size: int, with_pyarrow: bool) -> None:
    """Exactly where Python would find them, whoever looks."""
    hidden = None if with_pyarrow else sys.modules.pop("pyarrow", None)
    try:
        found: str | bytes = b"".join(as_utf8(cut(data, size), None, "x"))
    except FormatError as error:
        found = str(error)
    finally:
        if hidden is not None:
            sys.modules["pyarrow"] = hidden
    assert found == expected(data)


def expected(data: bytes) -> str | bytes:
    try:
        return data.decode().encode()
    except UnicodeDecodeError as error:
        return f"'x' is not valid utf-8 at byte {error.start}"


def test_an_error_without_a_place_is_told_all_the_same() -> None:
    """Some codecs know none; which ones depends on the version of Python."""

    class Placeless(codecs.IncrementalDecoder):
        def decode(self, data: object, final: bool = False) -> str:
            raise UnicodeError("so it is")

    def find(name: str) -> codecs.CodecInfo | None:
        if name != "placeless":
            return None
        return codecs.CodecInfo(codecs.utf_8_encode, codecs.utf_8_decode, incrementaldecoder=Placeless)

    codecs.register(find)
    try:
        with pytest.raises(FormatError, match=r"^'x' is not valid placeless: so it is$"):
            list(as_utf8([b"a"], "placeless", "x"))
    finally:
        codecs.unregister(find)


def test_what_an_encoding_has_no_word_for_is_not_written() -> None:
    """As a draft says it."""
    transcoder = Transcoder("latin-1", print)
    with pytest.raises(TargetWriteError, match=r"^write\(\) got text that is not valid latin-1: "):
        transcoder.write("日".encode())


@pytest.mark.parametrize("encoding", ["utf-9", "hex", "rot13", "", "a\0b"])
def test_an_encoding_that_is_none_for_text_is_refused(encoding: str) -> None:
    """Before anything is written."""
    with pytest.raises(ConfigError) as caught:
        check_encoding(encoding)
    assert str(caught.value) == f"unknown encoding {encoding!r}"


def test_utf_8_is_known_by_all_its_names() -> None:
    """And it is the default."""
    assert [is_utf8(each) for each in (None, "utf-8", "UTF8", "utf_8", "utf-8-sig", "ascii")] == [
        True,
        True,
        True,
        True,
        False,
        False,
    ]
    assert check_encoding(None) is None


def test_text_that_only_ends_at_the_end_is_whole() -> None:
    """UTF-7 keeps what may go on to itself."""
    assert list(decoded([b"+AGE"], "utf-7", "x")) == ["a"]
