"""Bytes of any encoding as UTF-8, or the reverse."""

import codecs
import struct
import sys
from collections.abc import Callable, Iterable, Iterator

from fileflow_async.errors import ConfigError, FormatError, TargetWriteError, quoted

UTF8 = "utf-8"


def check_encoding(encoding: str | None) -> str | None:
    """Return the encoding when there is such a one.

    Raises:
        ConfigError: There is not, or it is not one of text.
    """
    if encoding is not None:
        try:
            "".encode(encoding)  # codecs.lookup knows some that are not for text, such as hex
        except (LookupError, ValueError) as error:
            raise ConfigError(f"unknown encoding {quoted(encoding)}") from error
    return encoding


def is_utf8(encoding: str | None) -> bool:
    """Tell whether it is UTF-8, which is the default, by whatever name."""
    return encoding is None or codecs.lookup(encoding).name == UTF8


class Decoder:
    """Decodes text piece by piece, and tells where it is damaged.

    Args:
        encoding: That of the text; None is UTF-8.
        name: What messages call it.
    """

    def __init__(self, encoding: str | None, name: str) -> None:
        self._encoding = encoding or UTF8
        self._name = name
        self._decoder = codecs.getincrementaldecoder(self._encoding)()
        self._fed = 0
        self._is_between = True

    def decode(self, piece: bytes, *, final: bool = False) -> str:
        """Return the text of more bytes.

        Raises:
            FormatError: They are not valid in this encoding.
        """
        self._fed += len(piece)
        try:
            return self._decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            # What the codec saw ends where we are, and begins with what it had kept of the pieces before.
            at = self._fed - len(error.object) + error.start
            raise FormatError(f"{self._name!r} is not valid {self._encoding} at byte {at}") from error
        except UnicodeError as error:
            raise FormatError(f"{self._name!r} is not valid {self._encoding}: {error}") from error

    def check(self, piece: bytes) -> None:
        """Look at more bytes of UTF-8 without keeping their text.

        Raises:
            FormatError: They are not valid.
        """
        if self._is_between and _is_whole(piece):
            self._fed += len(piece)
            return
        self.decode(piece)
        self._is_between = not self._decoder.getstate()[0]


def _is_whole(piece: bytes) -> bool:
    """Tell whether bytes are UTF-8 to the end; False where it takes decoding to find out."""
    if piece.isascii():
        return True
    if (pa := sys.modules.get("pyarrow")) is None:
        return False
    # Its validation is five times as fast as decoding; it takes the bytes for one text.
    offsets = pa.py_buffer(struct.pack("=qq", 0, len(piece)))
    try:
        pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(piece)).validate(full=True)
    except ValueError:
        return False
    return True


def decoded(pieces: Iterable[bytes], encoding: str | None, name: str) -> Iterator[str]:
    """Decode a stream.

    Raises:
        FormatError: It is not valid in this encoding.
    """
    decoder = Decoder(encoding, name)
    for piece in pieces:
        if text := decoder.decode(piece):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


def as_utf8(pieces: Iterable[bytes], encoding: str | None, name: str) -> Iterator[bytes]:
    """Turn a stream into UTF-8; one that is so already is checked only.

    Raises:
        FormatError: It is not valid in its encoding.
    """
    if not is_utf8(encoding):
        for text in decoded(pieces, encoding, name):
            yield text.encode()
        return
    checker = Decoder(encoding, name)
    for piece in pieces:
        checker.check(piece)
        yield piece
    checker.decode(b"", final=True)


class Transcoder:
    """Takes UTF-8, and hands on the same text in another encoding.

    Args:
        encoding: The other encoding.
        give: Takes the bytes.
    """

    def __init__(self, encoding: str, give: Callable[[bytes], object]) -> None:
        self._decoder = codecs.getincrementaldecoder(UTF8)()
        self._encoder = codecs.getincrementalencoder(encoding)()
        self._encoding = encoding
        self._give = give

    def write(self, data: bytes) -> None:
        """Take more bytes.

        Raises:
            TargetWriteError: The encoding has no word for what they say.
        """
        self._encode(data, final=False)

    def finish(self) -> None:
        """Write what is left."""
        self._encode(b"", final=True)

    def _encode(self, data: bytes, *, final: bool) -> None:
        try:
            encoded = self._encoder.encode(self._decoder.decode(data, final), final)
        except UnicodeError as error:
            raise not_valid(self._encoding, error) from error
        if encoded:
            self._give(encoded)


def not_valid(encoding: str, error: UnicodeError) -> TargetWriteError:
    """Return what to raise for text that an encoding has no word for."""
    return TargetWriteError(f"write() got text that is not valid {encoding}: {error}")
