"""Bytes as they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any, ClassVar

from fileflow_async.errors import FormatError, TargetWriteError
from fileflow_async.formats.files import PIECE
from fileflow_async.formats.format import BINARY, Facts, Format
from fileflow_async.formats.kinds import Kind, kind_of_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes(Format):
    """Bytes, an open binary file, or an iterable of bytes."""

    name: ClassVar[str] = "bytes"
    extensions: ClassVar[tuple[str, ...]] = ("bin",)
    content_type: ClassVar[str] = BINARY
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.BYTES, Kind.RECORDS)

    def write(self, value: Any, file: IO[bytes]) -> None:
        """Write bytes.

        Raises:
            TargetWriteError: They are text.
            FormatError: They are something else.
        """
        for piece in _pieces(value):
            if isinstance(piece, str):
                raise TargetWriteError("write() got str for a binary target; pass encoding=")
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise FormatError(
                    f"format 'bytes' takes bytes, alone or in an iterable; got {type(piece).__name__}"
                )
            file.write(piece)

    def read(self, file: IO[bytes], kind: Any, facts: Facts) -> Any:
        """Return the pieces in which the bytes arrived, more or less."""
        return [piece for pieces in self.batches(file, kind, facts) for piece in pieces]

    def batches(self, file: IO[bytes], kind: Any, facts: Facts) -> Iterator[Any]:
        """Return one piece at a time."""
        for piece in iter(lambda: file.read(PIECE), b""):
            yield [piece]


def _pieces(value: Any) -> Iterable[Any]:
    if callable(read := getattr(value, "read", None)):
        return iter(lambda: read(PIECE), b"")
    return value if kind_of_value(value) in (Kind.RECORDS, Kind.ITERATOR) else [value]
