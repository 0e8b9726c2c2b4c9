"""The text of csv cells: quoted, parsed, turned into values."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from fileflow_async.errors import FormatError, quoted
from fileflow_async.formats.column_types import is_decimal, is_float, is_integer, zone_of
from fileflow_async.formats.measure import Column
from fileflow_async.formats.values import described, kind_of

Cell = str | None
LONGEST = 64 * 1024 * 1024  # characters of one row: a quote that is never closed must not fill the memory

_SPECIAL = re.compile('[",\r\n]')
_CELL = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|((?!")[^,\r\n]*))(,|\r\n|\n|\r|\Z)')
_OPEN = re.compile(r'"[^"]*(?:""[^"]*)*\Z')  # a quote that text to come may close
_NESTED = frozenset({"struct", "list", "binary"})


def cells_of(name: str, values: Sequence[Any]) -> tuple[Sequence[str], Column]:
    """Return the cells of a column of Python values, quoted where they must be, and what to say of them.

    Nothing stands for None, `""` for the empty text.

    Raises:
        FormatError: There are values that csv has no cells for: lists, bytes and the like.
    """
    texts, column = texts_of(name, values)
    if None not in texts and all(texts) and not _SPECIAL.search("".join(map(str, texts))):
        return texts, column  # type: ignore[return-value]
    return ["" if text is None else text_cell(text) for text in texts], column


def texts_of(name: str, values: Sequence[Any]) -> tuple[Sequence[Cell], Column]:
    """Return a column of Python values as texts, and what there is to say of them; see `cells_of`."""
    column, kinds, values = described(name, values)
    if kinds & _NESTED:
        raise no_cells(name, column.type)
    if kinds == {"text"}:
        return [None if kind_of(type(value)) == "null" else value for value in values], column
    try:
        return [_WRITERS[kind_of(type(value))](value) for value in values], column
    except ValueError as error:  # an integer of thousands of digits
        raise FormatError(f"column {name!r} cannot be written as csv: {error}") from error


def no_cells(column: str, type: str) -> FormatError:
    """Return what to raise for values that csv has no cells for."""
    return FormatError(f"column {column!r} holds {type}, which csv has no cells for; use parquet or jsonl")


def row(cells: Iterable[str]) -> str:
    """Return one row."""
    return ",".join(cells) + "\n"


def rows(columns: Sequence[Sequence[str]]) -> str:
    """Return the rows that columns of cells make."""
    return "".join(map("{}\n".format, map(",".join, zip(*columns, strict=True))))


def text_cell(text: str) -> str:
    """Return the cell of a text."""
    return '"' + text.replace('"', '""') + '"' if not text or _SPECIAL.search(text) else text


_WRITERS: dict[str, Callable[[Any], Cell]] = {
    "null": lambda _: None,
    "bool": lambda value: "true" if value else "false",
    "text": str,
    "integer": "{:d}".format,
    "real": lambda value: repr(float(value)),
    "decimal": str,
    "moment": lambda value: str(value.isoformat(sep=" ")),
    "date": lambda value: str(value.isoformat()),
    "time": lambda value: str(value.isoformat()),
    "duration": lambda value: str(value // timedelta(microseconds=1)),
    "other": str,
}


def parsed(texts: Iterable[str], name: str) -> Iterator[list[list[Cell]]]:
    """Parse csv text as it arrives, into rows of cells; an empty cell is None, a quoted empty one `""`.

    Raises:
        FormatError: A row cannot be understood.
    """
    rest, done = "", 0
    for text in texts:
        found, used = _rows(rest + text, name, done, final=False)
        rest, done = (rest + text)[used:], done + len(found)
        if len(rest) > LONGEST:
            raise FormatError(f"{name!r} has a row of more than {LONGEST} characters; is a quote not closed?")
        if found:
            yield found
    if rest:
        yield _rows(rest, name, done, final=True)[0]


def _rows(text: str, name: str, done: int, *, final: bool) -> tuple[list[list[Cell]], int]:
    if '"' in text:
        return _quoted_rows(text, name, done, final=final)
    # A carriage return at the end may be the first half of a line's end.
    used = len(text) if final else max(text.rfind("\n"), text.rfind("\r", 0, -1)) + 1
    lines = (
        text[:used].replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n") if used else []
    )
    return [[cell or None for cell in line.split(",")] for line in lines], used


def _quoted_rows(text: str, name: str, done: int, *, final: bool) -> tuple[list[list[Cell]], int]:
    found: list[list[Cell]] = []
    cells: list[Cell] = []
    used = position = 0
    while position < len(text) or cells:
        match = _CELL.match(text, position)
        if match is None or (not final and match.end() == len(text) and match[3] != "\n"):
            if match is None and (final or not _OPEN.match(text, position)):
                raise FormatError(
                    f"{name!r} is not valid csv in row {done + len(found) + 1}: a quote is out of place"
                )
            break
        cells.append(match[1].replace('""', '"') if match[1] is not None else match[2] or None)
        position = match.end()
        if match[3] != ",":
            found.append(cells)
            cells, used = [], position
    return found, used


def reader_of(type: str | None) -> Callable[[str], Any]:
    """Return what turns cells of that type into Python values; those of an unknown type stay text."""
    if type is None:
        return str
    if is_integer(type):
        return int
    if is_float(type):
        return float
    if is_decimal(type):
        return Decimal
    if type.startswith("timestamp"):
        return _moment_reader(zone_of(type))
    if type.startswith("duration"):
        return _duration_reader(type)
    return _READERS.get(type.partition("[")[0], str)


def _truth(cell: str) -> bool:
    return {"true": True, "false": False}[cell.lower()]


def _moment_reader(zone: str | None) -> Callable[[str], datetime]:
    if zone is None:
        return datetime.fromisoformat
    known = UTC if zone == "UTC" else ZoneInfo(zone)
    return lambda cell: datetime.fromisoformat(cell).astimezone(known)


def _duration_reader(type: str) -> Callable[[str], timedelta]:
    unit = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 0.001}[type[9:-1]]
    return lambda cell: timedelta(microseconds=int(cell) * unit)


_READERS: dict[str, Callable[[str], Any]] = {
    "bool": _truth,
    "date32": date.fromisoformat,
    "date64": date.fromisoformat,
    "time32": time.fromisoformat,
    "time64": time.fromisoformat,
}


def values_of(cells: Sequence[Cell], column: str, type: str | None, name: str) -> list[Any]:
    """Return the values of a column of cells.

    Raises:
        FormatError: A cell holds something else than its column's type.
    """
    read = reader_of(type)
    if read is str:
        return list(cells)
    try:
        return [None if cell is None else read(cell) for cell in cells]
    except (ValueError, KeyError, InvalidOperation, OverflowError) as error:
        wrong = next(cell for cell in cells if cell is not None and not _is_read(read, cell))
        raise FormatError(f"{name!r} has {quoted(wrong)} in column {column!r}; expected {type}") from error


def _is_read(read: Callable[[str], Any], cell: str) -> bool:
    try:
        read(cell)
    except (ValueError, KeyError, InvalidOperation, OverflowError):
        return False
    return True
