"""Csv text to tables: by pyarrow or polars where they are exact, else cell by cell."""

from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

from fileflow_async.errors import FormatError, quoted
from fileflow_async.formats.cells import Cell, parsed, values_of
from fileflow_async.formats.chunks import Columns, twice
from fileflow_async.formats.column_types import DECIMAL, INTEGER, MIXED, arrow_type, is_float
from fileflow_async.formats.encoding import decoded
from fileflow_async.formats.files import PIECE, all_of
from fileflow_async.formats.format import Facts
from fileflow_async.formats.kinds import Kind
from fileflow_async.formats.packages import is_installed
from fileflow_async.formats.tables import of_columns, of_table

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_EXACT = 2**53  # integers beyond that are not exact as floating point numbers
_AS_TEXT = frozenset({INTEGER, DECIMAL, MIXED})
_EMPTY: list[Cell] = [None]  # an empty line, or a missing value in a single column
_TEXTS = 1024 * 1024  # bytes parsed at a time, cell by cell


class TableReader:
    """Reads one csv text.

    Args:
        kind: What it shall become.
        facts: What is known of it; the types of its columns above all.
    """

    def __init__(self, kind: Kind, facts: Facts) -> None:
        self._kind = kind
        self._name = facts.name
        self._length = facts.length
        self._columns = facts.columns
        self._types: dict[str, str] = dict(facts.columns or ())

    def whole(self, file: Any) -> Any:
        """Return the table.

        Raises:
            FormatError: It is not valid csv, or its cells are not of the recorded types.
        """
        head = file.peek()
        if not head:
            return of_columns({}, {}, self._kind, self._name)
        if self._is_for_cells(head):
            return self._joined(file)
        if self._kind is Kind.POLARS and self._columns is not None:
            return self._by_polars(all_of(file, self._length))
        if not is_installed("pyarrow"):
            return self._joined(file)
        if self._columns is not None:
            return self._of_table(self._by_pyarrow(file))
        return self._inferred(all_of(file, self._length))

    def batches(self, file: Any) -> Iterator[Any]:
        """Return some rows at a time.

        Raises:
            FormatError: It is not valid csv, or its cells are not of the types of those before.
        """
        head = file.peek()
        if not head:
            return
        if self._is_for_cells(head) or not is_installed("pyarrow"):
            for columns in self._by_cells(file):
                yield of_columns(columns, self._types, self._kind, self._name)
            return
        import pyarrow as pa
        import pyarrow.csv

        reader = pyarrow.csv.open_csv(file, **self._options(pyarrow.csv))
        self._check_names(reader.schema.names)
        for batch in reader:
            yield self._of_table(pa.Table.from_batches([batch]))

    def _is_for_cells(self, head: bytes) -> bool:
        # A header without a line end is no table to pyarrow.
        return self._kind is Kind.RECORDS or not (b"\n" in head or b"\r" in head)

    # By pyarrow.

    def _by_pyarrow(self, source: Any, **types: str) -> "pa.Table":
        import pyarrow.csv

        table = pyarrow.csv.read_csv(source, **self._options(pyarrow.csv, **types))
        self._check_names(table.column_names)
        return table

    def _options(self, csv: Any, **types: str) -> dict[str, Any]:
        """Return how pyarrow is to read: quoted line ends are text, and only nothing is nothing."""
        known = {**self._types, **types}
        return {
            # With line ends in values, threads of its own take 40 % more of the processors and save little.
            "read_options": csv.ReadOptions(block_size=PIECE, use_threads=False),
            "parse_options": csv.ParseOptions(
                newlines_in_values=True,
                ignore_empty_lines=len(self._types) != 1,  # in a single column they are what is missing
            ),
            "convert_options": csv.ConvertOptions(
                column_types={name: _read_as(type) for name, type in known.items()},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        }

    def _inferred(self, data: bytes) -> Any:
        """Read with the types that pyarrow infers, which makes rounded numbers of integers beyond 64 bits."""
        import pyarrow as pa
        import pyarrow.compute as pc

        table = self._by_pyarrow(pa.BufferReader(data))
        suspects = [
            name
            for name, column in zip(table.column_names, table.columns, strict=True)
            if is_float(str(column.type)) and (pc.max(pc.abs(column)).as_py() or 0) >= _EXACT
        ]
        if suspects:
            texts = self._by_pyarrow(pa.BufferReader(data), **dict.fromkeys(suspects, "string"))
            for name in suspects:
                if pc.all(pc.match_substring_regex(texts[name], r"^-?\d+$")).as_py():
                    self._types[name] = INTEGER
                    table = table.set_column(table.column_names.index(name), name, texts[name])
        return self._of_table(table)

    def _of_table(self, table: "pa.Table") -> Any:
        """Return a table as what is asked for, with what was read as text made what it was recorded as."""
        import pyarrow as pa

        whole: Columns = {}
        for position, name in enumerate(table.column_names):
            type = self._types.get(name)
            if type == INTEGER:
                whole[name] = [None if text is None else int(text) for text in table[name].to_pylist()]
            if type is not None and (type in _AS_TEXT or type.startswith("decimal256")) and type != MIXED:
                values = values_of(table[name].to_pylist(), name, DECIMAL, self._name)
                table = table.set_column(
                    position,
                    name,
                    pa.array(values, type=None if any(value is not None for value in values) else pa.null()),
                )
            elif type == "halffloat":
                table = table.set_column(position, name, table[name].cast(type))
        result = of_table(table, self._kind)
        return _with_integers(result, whole) if self._kind is Kind.PANDAS else result

    # By polars, which fills rows that are too short: only for what was written by us, and is not.

    def _by_polars(self, data: bytes) -> "pl.DataFrame":
        import polars as pl

        from fileflow_async.formats.polars_types import finished, read_as_text

        types = {name: read_as_text(type) for name, type in self._types.items()}
        frame = pl.read_csv(data, schema_overrides=types, infer_schema=False)
        return finished(frame, self._types)

    # Cell by cell.

    def _joined(self, file: IO[bytes]) -> Any:
        whole: Columns = {}
        for columns in self._by_cells(file):
            for name, values in columns.items():
                whole.setdefault(name, []).extend(values)
        return of_columns(whole, self._types, self._kind, self._name)

    def _by_cells(self, file: IO[bytes]) -> Iterator[Columns]:
        texts = decoded(iter(lambda: file.read(_TEXTS), b""), None, self._name)
        names: list[str] = []
        done = 0
        for rows in parsed(_without_mark(texts), self._name):
            before, done = done, done + len(rows)
            if not names:
                empty = _empty_lines(rows)
                if empty == len(rows):
                    continue
                names = self._header(rows[empty])
                rows, before = rows[empty + 1 :], before + empty + 1
            self._check_widths(rows, names, before)
            if len(names) != 1 or self._columns is None:
                rows = [row for row in rows if row != _EMPTY]
            yield self._values(rows, names)

    def _header(self, row: list[Cell]) -> list[str]:
        names = [cell or "" for cell in row]
        self._check_names(names)
        return names

    def _check_names(self, names: list[str]) -> None:
        if (name := twice(names)) is not None:
            raise FormatError(f"{self._name!r} is not valid csv: it has two columns {quoted(name)}")

    def _check_widths(self, rows: list[list[Cell]], names: list[str], done: int) -> None:
        if not set(map(len, rows)) - {len(names)}:
            return
        for number, row in enumerate(rows, done + 1):
            if len(row) != len(names) and row != _EMPTY:
                raise FormatError(
                    f"{self._name!r} is not valid csv: row {number} has {len(row)} cells, "
                    f"its header {len(names)}"
                )

    def _values(self, rows: list[list[Cell]], names: list[str]) -> Columns:
        columns = map(list, zip(*rows, strict=True)) if rows else ([] for _ in names)
        return {
            name: values_of(cells, name, self._types.get(name), self._name)
            for name, cells in zip(names, columns, strict=True)
        }


def _empty_lines(rows: list[list[Cell]]) -> int:
    """Return how many empty lines there are at the beginning."""
    return next((place for place, row in enumerate(rows) if row != _EMPTY), len(rows))


def _read_as(type: str) -> Any:
    """Return the type of pyarrow's that a column of a recorded type is read as."""
    import pyarrow as pa

    if type == "halffloat":  # which csv is not converted to
        return pa.float32()
    if type in _AS_TEXT or type.startswith("decimal256"):
        return pa.string()
    return arrow_type(type) or pa.string()


def _with_integers(frame: Any, whole: Columns) -> Any:
    import pandas as pd

    for name, values in whole.items():
        frame[name] = pd.Series(values, index=frame.index, dtype=object)
    return frame


def _without_mark(texts: Iterable[str]) -> Iterator[str]:
    """Leave out the mark of the byte order that some programs write before UTF-8."""
    is_first = True
    for text in texts:
        yield text.removeprefix("\ufeff") if is_first else text
        is_first = False
