"""Lines of JSON: records, one a line."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, ClassVar

from fileflow_async.errors import FormatError
from fileflow_async.formats.chunks import Record, check_names, chunks, columns_of, names_of
from fileflow_async.formats.format import Facts, Format, Summary
from fileflow_async.formats.json_rows import (
    as_json,
    rows_of_arrow,
    rows_of_pandas,
    rows_of_polars,
    without_lengths,
)
from fileflow_async.formats.jsonl_reading import LinesReader
from fileflow_async.formats.kinds import Kind
from fileflow_async.formats.measure import Measure, of_arrow, of_polars
from fileflow_async.formats.packages import is_installed
from fileflow_async.formats.pandas_frames import exact_table, with_index
from fileflow_async.formats.values import described

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Jsonl(Format):
    """Records, a frame of pandas, polars or pyarrow, or an iterable of them; each row is a JSON object.

    Dates, moments and decimals become texts, lengths of time integers of their unit; given the commit record,
    a table that is read has them back as what they were. What is missing in pandas is null.

    Attributes:
        allow_nan: Whether NaN and the infinities are written and read, which JSON does not have.
    """

    name: ClassVar[str] = "jsonl"
    extensions: ClassVar[tuple[str, ...]] = ("jsonl", "ndjson")
    content_type: ClassVar[str] = "application/x-ndjson"
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.RECORDS, Kind.PANDAS, Kind.POLARS, Kind.ARROW)
    is_text: ClassVar[bool] = True

    allow_nan: bool = False

    def write(self, value: Any, file: IO[bytes]) -> Summary:
        """Write records.

        Raises:
            FormatError: There is something else, or a value that JSON does not have.
        """
        writer = _Writer(file, allow_nan=self.allow_nan)
        for kind, chunk in chunks(value, self.name):
            writer.add(kind, chunk)
        return writer.measure.summary()

    def read(self, file: IO[bytes], kind: Any, facts: Facts) -> Any:
        """Return the records, or a table.

        Raises:
            FormatError: A line is not a JSON object.
        """
        return LinesReader(kind, facts, allow_nan=self.allow_nan).whole(file)

    def batches(self, file: IO[bytes], kind: Any, facts: Facts) -> Iterator[Any]:
        """Return some records at a time."""
        yield from LinesReader(kind, facts, allow_nan=self.allow_nan).batches(file)


class _Writer:
    def __init__(self, file: IO[bytes], *, allow_nan: bool) -> None:
        self.measure = Measure()
        self._file = file
        self._allow_nan = allow_nan
        # One encoder for all lines: json.dumps makes a new one for each.
        self._encode: Callable[[Any], str] = json.JSONEncoder(
            ensure_ascii=False, allow_nan=allow_nan, separators=(",", ":"), default=as_json
        ).encode

    def add(self, kind: Kind, chunk: Any) -> None:
        if kind is Kind.RECORDS:
            self._records(chunk)
        elif kind is Kind.POLARS:
            self._polars(chunk)
        elif kind is Kind.ARROW:
            self._arrow(chunk)
        else:
            self._pandas(chunk)

    def _records(self, records: Sequence[Record]) -> None:
        columns = columns_of(records, names_of(records))
        self._lines(records)
        self.measure.add(len(records), [described(str(name), values)[0] for name, values in columns.items()])

    def _lines(self, records: Sequence[Record]) -> None:
        try:
            self._file.write("".join([f"{self._encode(record)}\n" for record in records]).encode())
        except UnicodeError:
            raise
        except (TypeError, ValueError, RecursionError) as error:
            raise FormatError(f"a record cannot be written as JSON: {error}") from error

    def _pandas(self, frame: Any) -> None:
        frame = with_index(frame, "jsonl")
        if (table := exact_table(frame)) is not None:
            self._arrow(table)
            return
        for rows in rows_of_pandas(frame):
            self._records(rows)

    def _arrow(self, table: "pa.Table") -> None:
        check_names(table.column_names, "jsonl")
        self.measure.add(len(table), of_arrow(table))
        if is_installed("polars") and all(map(_is_for_polars, table.schema.types)):
            import polars as pl

            self._by_polars(pl.DataFrame(without_lengths(table)))
            return
        for rows in rows_of_arrow(table):
            self._lines(rows)

    def _polars(self, frame: "pl.DataFrame") -> None:
        from polars import selectors

        self.measure.add(len(frame), of_polars(frame))
        if any(type.is_nested() or str(type) in ("Binary", "Object") for type in frame.dtypes):
            for rows in rows_of_polars(frame):
                self._lines(rows)
            return
        self._by_polars(frame.with_columns(selectors.duration().to_physical()))

    def _by_polars(self, frame: "pl.DataFrame") -> None:
        """Write a frame of simple columns; polars would make null of what is not finite."""
        from polars import selectors

        for series in frame.select(selectors.float()):
            if series.drop_nulls().is_finite().all():
                continue
            if not self._allow_nan:
                raise FormatError(f"column {series.name!r} has NaN or infinities; allow_nan=True writes them")
            for rows in rows_of_polars(frame):
                self._lines(rows)
            return
        if frame.height:
            frame.write_ndjson(self._file)


def _is_for_polars(type: "pa.DataType") -> bool:
    import pyarrow as pa

    kinds = pa.types
    is_plain = kinds.is_primitive(type) or kinds.is_dictionary(type) or kinds.is_null(type)
    is_text = kinds.is_string(type) or kinds.is_large_string(type) or str(type) == "string_view"
    return (is_plain or is_text or kinds.is_decimal128(type)) and not kinds.is_float16(type)
