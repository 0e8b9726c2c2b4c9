"""Lines of JSON to tables: by pyarrow or polars where they are exact, else line by line."""

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from fileflow_async.errors import FormatError
from fileflow_async.formats.cells import values_of
from fileflow_async.formats.chunks import columns_of, names_of
from fileflow_async.formats.column_types import DECIMAL, INTEGER, MIXED, arrow_type, is_decimal, is_float
from fileflow_async.formats.files import PIECE, all_of
from fileflow_async.formats.format import Facts
from fileflow_async.formats.json import Loader
from fileflow_async.formats.kinds import Kind
from fileflow_async.formats.packages import is_installed
from fileflow_async.formats.tables import of_columns, of_table

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_EXACT = 2**53  # integers beyond that are not exact as floating point numbers
LONGEST = 64 * 1024 * 1024  # bytes of one line: a file that has no lines must not fill the memory
_ONLY_PYTHON = frozenset({INTEGER, DECIMAL, MIXED})


class LinesReader:
    """Reads one text of JSON lines.

    Args:
        kind: What it shall become.
        facts: What is known of it; the types of its columns above all.
        allow_nan: Whether NaN is accepted.
    """

    def __init__(self, kind: Kind, facts: Facts, *, allow_nan: bool) -> None:
        self._kind = kind
        self._name = facts.name
        self._length = facts.length
        self._types = dict(facts.columns or ())
        self._loader = Loader(facts.name, allow_nan=allow_nan)
        self._done = 0

    def whole(self, file: IO[bytes]) -> Any:
        """Return the records, or a table of them.

        Raises:
            FormatError: A line is not a JSON object.
        """
        if self._kind is Kind.RECORDS:
            return [record for records in self.batches(file) for record in records]
        return self._table(all_of(file, self._length))

    def batches(self, file: IO[bytes]) -> Iterator[Any]:
        """Return some records at a time, or a table of them.

        Raises:
            FormatError: A line is not a JSON object.
        """
        rest = b""
        for piece in iter(lambda: file.read(PIECE), b""):
            lines, newline, tail = piece.rpartition(b"\n")
            if newline:
                yield self._batch(rest + lines)
                rest = tail
            else:
                rest += piece
            if len(rest) > LONGEST:
                raise FormatError(f"{self._name!r} has a line of more than {LONGEST} bytes")
        if rest:
            yield self._batch(rest)

    def _batch(self, data: bytes) -> Any:
        return self._records(data) if self._kind is Kind.RECORDS else self._table(data)

    def _records(self, data: bytes) -> list[Any]:
        records = []
        lines = data.decode().split("\n")
        for number, line in enumerate(lines, self._done + 1):
            if line and not line.isspace():
                record = self._loader.load(line, line=number)
                if not isinstance(record, dict):
                    raise FormatError(
                        f"{self._name!r} has a JSON {type(record).__name__} in line {number}; "
                        "expected an object"
                    )
                records.append(record)
        self._done += len(lines)
        return records

    def _table(self, data: bytes) -> Any:
        table = None
        if not data or data.isspace():
            pass  # both take that for damage
        elif self._kind is Kind.POLARS:
            table = self._by_polars(data)
        elif is_installed("pyarrow"):
            table = self._by_pyarrow(data)
        # Line by line it is exact, or the error says in which line.
        return self._line_by_line(self._records(data)) if table is None else table

    def _by_pyarrow(self, data: bytes) -> Any:
        """Return a table, cast from the few types of JSON; None where pyarrow would change values."""
        if any(type in _ONLY_PYTHON for type in self._types.values()):
            return None
        import pyarrow as pa
        import pyarrow.json

        final = {name: type for name, text in self._types.items() if (type := arrow_type(text)) is not None}
        schema = pa.schema([(name, _read_as(type)) for name, type in final.items()])
        options = pyarrow.json.ParseOptions(explicit_schema=schema, newlines_in_values=False)
        try:
            table = pyarrow.json.read_json(pa.BufferReader(data), parse_options=options)
        except pa.ArrowException:
            return None
        if any(_is_changed(table[name], is_known=name in final) for name in table.column_names):
            return None
        arrays = {name: _cast(table[name], final.get(name)) for name in table.column_names}
        return of_table(pa.table(arrays), self._kind)

    def _by_polars(self, data: bytes) -> "pl.DataFrame | None":
        import polars as pl

        from fileflow_async.formats.polars_types import finished, read_as_json

        schema = {
            name: read for name, type in self._types.items() if (read := read_as_json(type)) is not None
        }
        is_known = bool(schema) and len(schema) == len(self._types)
        known: Any = (
            {"schema": schema} if is_known else {"schema_overrides": schema, "infer_schema_length": None}
        )
        try:
            frame = pl.read_ndjson(data, **known)
        except pl.exceptions.PolarsError:
            return None
        return finished(frame, self._types)

    def _line_by_line(self, records: list[Any]) -> Any:
        names = list(self._types) or names_of(records)
        columns = {
            name: _from_json(values, self._types.get(name), name, self._name)
            for name, values in columns_of(records, names).items()
        }
        return of_columns(columns, self._types, self._kind, self._name)


def _read_as(type: "pa.DataType") -> "pa.DataType":
    """Return as what a column is read that JSON has no values of."""
    import pyarrow as pa

    if pa.types.is_date(type) or pa.types.is_time(type):
        return pa.string()
    if pa.types.is_float16(type):
        return pa.float32()
    return pa.int64() if pa.types.is_duration(type) else type


def _cast(column: "pa.ChunkedArray", type: "pa.DataType | None") -> "pa.ChunkedArray":
    """Cast a column to what it was recorded as."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if type is None or type.equals(column.type):
        return column
    if pa.types.is_time(type):  # texts are cast to moments, and only these to times of day
        column = pc.binary_join_element_wise("1970-01-01", column, " ").cast(pa.timestamp("ns"))
        column = column.cast(pa.time64("ns"))
    return column.cast(type)


def _is_changed(column: "pa.ChunkedArray", *, is_known: bool) -> bool:
    """Tell whether pyarrow may have made moments of texts or rounded large integers, or has accepted NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_float(str(column.type)):
        greatest = 0 if is_known else pc.max(pc.abs(column)).as_py() or 0
        return bool(greatest >= _EXACT or pc.any(pc.invert(pc.is_finite(column))).as_py())
    if is_known:
        return False
    return bool(pa.types.is_nested(column.type) or pa.types.is_timestamp(column.type))


def _from_json(values: list[Any], type: str | None, column: str, name: str) -> list[Any]:
    """Return values as what they were before they became JSON."""
    if type is None or not (is_decimal(type) or type.startswith(("timestamp", "date", "time", "duration"))):
        return values
    return values_of([None if value is None else str(value) for value in values], column, type, name)
