"""Comma-separated text: tables of texts, numbers, truths, moments."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal

from fileflow_async.errors import ConfigError, FormatError, quoted
from fileflow_async.formats.cells import cells_of, no_cells, row, rows, text_cell, texts_of
from fileflow_async.formats.chunks import Columns, Record, check_names, chunks, columns_of, names_of
from fileflow_async.formats.csv_clean import (
    clean_and_write_dataframe_to_csv,
    cleaned_text,
    read_and_clean_csv_to_dataframe,
)
from fileflow_async.formats.csv_reading import TableReader
from fileflow_async.formats.format import Facts, Format, Summary
from fileflow_async.formats.kinds import Kind, kind_of_value
from fileflow_async.formats.measure import Column, Measure, of_arrow, of_polars
from fileflow_async.formats.packages import is_installed
from fileflow_async.formats.pandas_frames import exact_arrays, python_columns, python_values, with_index

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

__all__ = ["Csv", "clean_and_write_dataframe_to_csv", "read_and_clean_csv_to_dataframe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Csv(Format):
    """A table with a header: a frame of pandas, polars or pyarrow, records, or an iterable of any of them.

    What was written comes back exactly, given the commit record, which has the types of the columns: `007` as
    a text stays one, and nothing is not the empty text, for which there is `""`. Without a record, tables get
    the types that pyarrow infers (but integers beyond 64 bits stay whole), and records are of texts.

    Frames of pandas are written by pyarrow, ten times as fast as by pandas. Where that would not be exact
    (columns of objects that mix types, integers beyond 64 bits) or pyarrow is missing, they are written value
    by value. The index is written when it has a name. Lists, dicts and bytes have no cells: they are refused.

    Attributes:
        clean: `"fileflow"` for what the original fileflow did to frames: all quoted, nothing as the text
            `None`; read back all are texts, and both nothing and `None` are None. It loses what these stood
            for.
    """

    name: ClassVar[str] = "csv"
    extensions: ClassVar[tuple[str, ...]] = ("csv",)
    content_type: ClassVar[str] = "text/csv"
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.PANDAS, Kind.POLARS, Kind.ARROW, Kind.RECORDS)
    is_text: ClassVar[bool] = True

    clean: Literal["fileflow"] | None = None

    def __post_init__(self) -> None:
        if self.clean not in (None, "fileflow"):
            raise ConfigError(f"clean must be 'fileflow' or None, got {quoted(self.clean)}")

    def write(self, value: Any, file: IO[bytes]) -> Summary:
        """Write a table.

        Raises:
            FormatError: It is none, or it holds values that csv has no cells for.
        """
        if self.clean:
            return _write_cleaned(value, file)
        writer = _Writer(file)
        for kind, chunk in chunks(value, self.name):
            writer.add(kind, chunk)
        return writer.measure.summary()

    def read(self, file: IO[bytes], kind: Any, facts: Facts) -> Any:
        """Return the table.

        Raises:
            FormatError: It is not valid csv, or its cells are not of the recorded types.
        """
        if self.clean and kind is Kind.PANDAS:
            return read_and_clean_csv_to_dataframe(file)
        self._check_kind(kind)
        return TableReader(kind, facts).whole(file)

    def batches(self, file: IO[bytes], kind: Any, facts: Facts) -> Iterator[Any]:
        """Return some rows at a time; types that are not known are inferred from the first megabytes."""
        if self.clean and kind is Kind.PANDAS:
            yield read_and_clean_csv_to_dataframe(file)
            return
        self._check_kind(kind)
        yield from TableReader(kind, facts).batches(file)

    def _check_kind(self, kind: Kind) -> None:
        if self.clean:
            raise ConfigError(f"clean='fileflow' makes frames of pandas; {kind.value} is asked for")


class _Writer:
    """Writes one part of a table after another below one header."""

    def __init__(self, file: IO[bytes]) -> None:
        self.measure = Measure()
        self._file = file
        self._names: list[str] | None = None

    def add(self, kind: Kind, chunk: Any) -> None:
        if kind is Kind.RECORDS:
            self._records(chunk)
        elif kind is Kind.POLARS:
            self._polars(chunk)
        elif kind is Kind.ARROW:
            self._arrow(chunk)
        else:
            self._pandas(chunk)

    def _header(self, names: list[str]) -> None:
        """Write the header before the first rows; later ones must have the same columns."""
        if self._names is None:
            self._names = check_names(names, "csv")
            self._file.write(row(map(text_cell, names)).encode())
        elif names != self._names:
            raise FormatError(
                f"csv has one header: {quoted(self._names)}; further rows have the columns {quoted(names)}"
            )

    def _records(self, records: list[Record]) -> None:
        if self._names is None:
            self._header([str(name) for name in names_of(records)])
        names = self._names or []
        for record in records:
            if not record.keys() <= set(names):
                new = next(name for name in record if name not in names)
                raise FormatError(
                    f"csv has one header: {quoted(names)}; a later record has {quoted(new)} too"
                )
        self._values(columns_of(records, names))

    def _values(self, columns: Columns) -> None:
        cells = [cells_of(name, values) for name, values in columns.items()]
        self.measure.add(_length(columns), [column for _, column in cells])
        self._file.write(rows([texts for texts, _ in cells]).encode())

    def _pandas(self, frame: Any) -> None:
        frame = with_index(frame, "csv")
        if not is_installed("pyarrow"):
            self._header(list(frame.columns))
            for columns in python_columns(frame):
                self._values(columns)
            return
        import pyarrow as pa

        arrays, known = exact_arrays(frame), {}
        for name in [name for name, array in arrays.items() if array is None]:
            texts, known[name] = texts_of(name, python_values(frame[name]))
            arrays[name] = pa.array(texts, "string")
        self._arrow(pa.table(arrays), known)

    def _arrow(self, table: "pa.Table", known: Mapping[str, Column] = MappingProxyType({})) -> None:
        """Write a table by pyarrow.

        Args:
            table: It.
            known: What there is to say of columns that were something else before they became texts.
        """
        import pyarrow.csv

        self._header(table.column_names)
        columns = [known.get(column.name, column) for column in of_arrow(table)]
        for column in columns:
            _check_type(column.name, column.type)
        self.measure.add(len(table), columns)
        options = pyarrow.csv.WriteOptions(include_header=False, batch_size=_BATCH)
        pyarrow.csv.write_csv(table, self._file, options)

    def _polars(self, frame: "pl.DataFrame") -> None:
        from polars import selectors

        self._header(frame.columns)
        columns = list(of_polars(frame))
        for column in columns:
            _check_type(column.name, column.type)
        self.measure.add(len(frame), columns)
        frame.with_columns(selectors.duration().to_physical()).write_csv(self._file, include_header=False)


_BATCH = 16_384  # rows that pyarrow writes at a time; by default a thousand, each with a call of ours


def _length(columns: Columns) -> int:
    return len(next(iter(columns.values()), ()))


def _check_type(column: str, type: str) -> None:
    if type.partition("<")[0].partition("[")[0] in _NO_CELLS or type.startswith(
        ("List(", "Struct(", "Array(")
    ):
        raise no_cells(column, type)


_NO_CELLS = frozenset(
    {"binary", "fixed_size_binary", "list", "large_list", "fixed_size_list", "list_view", "large_list_view"}
    | {"struct", "map", "Object", "dense_union", "sparse_union", "run_end_encoded"}
)


def _write_cleaned(value: Any, file: IO[bytes]) -> Summary:
    if kind_of_value(value) is not Kind.PANDAS:
        raise FormatError(f"clean='fileflow' takes a frame of pandas; got {type(value).__name__}")
    file.write(cleaned_text(value).encode())
    return Summary(rows=len(value), columns=[(str(name), "string") for name in value.columns])
