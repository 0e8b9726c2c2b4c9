"""Text, of any encoding."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any, ClassVar

from fileflow_async.errors import FormatError
from fileflow_async.formats.encoding import decoded
from fileflow_async.formats.files import PIECE
from fileflow_async.formats.format import Facts, Format
from fileflow_async.formats.kinds import Kind, kind_of_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Format):
    """A str, or an iterable of them; read record by record it is its lines, with their ends."""

    name: ClassVar[str] = "text"
    extensions: ClassVar[tuple[str, ...]] = ("txt", "text", "log")
    content_type: ClassVar[str] = "text/plain"
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.TEXT, Kind.RECORDS)
    is_text: ClassVar[bool] = True

    def write(self, value: Any, file: IO[bytes]) -> None:
        """Write text.

        Raises:
            FormatError: It is none.
        """
        for text in _texts(value):
            for start in range(0, len(text), PIECE):
                file.write(text[start : start + PIECE].encode())

    def read(self, file: IO[bytes], kind: Any, facts: Facts) -> Any:
        """Return the text, or its lines."""
        return [line for lines in self.batches(file, kind, facts) for line in lines]

    def batches(self, file: IO[bytes], kind: Any, facts: Facts) -> Iterator[Any]:
        """Return some lines at a time."""
        rest = ""
        for text in decoded(iter(lambda: file.read(PIECE), b""), None, facts.name):
            *lines, rest = (rest + text).split("\n")
            yield [f"{line}\n" for line in lines]
        if rest:
            yield [rest]


def _texts(value: Any) -> Iterable[str]:
    kind = kind_of_value(value)
    pieces = [value] if kind is Kind.TEXT else value if kind in (Kind.RECORDS, Kind.ITERATOR) else [None]
    for piece in pieces:
        if not isinstance(piece, str):
            culprit = value if piece is None else piece
            raise FormatError(
                f"format 'text' takes str, alone or in an iterable; got {type(culprit).__name__}"
            )
        yield piece
