"""Rows of tables as JSON objects."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fileflow_async.formats.chunks import ROWS, Record, check_names, records_of
from fileflow_async.formats.kinds import Kind
from fileflow_async.formats.pandas_frames import exact_table, python_columns, with_index
from fileflow_async.formats.values import described

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


def rows_of(kind: Kind, frame: Any, format: str) -> Iterator[Sequence[Record]]:
    """Return some rows of a table at a time, as values of which `as_json` makes those that JSON has."""
    if kind is Kind.POLARS:
        return rows_of_polars(frame)
    if kind is Kind.ARROW:
        check_names(frame.column_names, format)
        return rows_of_arrow(frame)
    frame = with_index(frame, format)
    return rows_of_pandas(frame) if (table := exact_table(frame)) is None else rows_of_arrow(table)


def rows_of_pandas(frame: "pd.DataFrame") -> Iterator[Sequence[Record]]:
    """Return some rows at a time of a frame that pyarrow does not take exactly."""
    for columns in python_columns(frame):
        yield records_of({name: list(described(name, values)[2]) for name, values in columns.items()})


def rows_of_arrow(table: "pa.Table") -> Iterator[Sequence[Record]]:
    """Return some rows at a time."""
    table = without_lengths(table)
    for start in range(0, len(table), ROWS):
        yield table.slice(start, ROWS).to_pylist()


def rows_of_polars(frame: "pl.DataFrame") -> Iterator[Sequence[Record]]:
    """Return some rows at a time."""
    from polars import selectors

    for rows in frame.with_columns(selectors.duration().to_physical()).iter_slices(ROWS):
        yield rows.to_dicts()


def without_lengths(table: "pa.Table") -> "pa.Table":
    """Make integers of lengths of time: as many as there are of their unit."""
    import pyarrow as pa

    types = [pa.int64() if pa.types.is_duration(type) else type for type in table.schema.types]
    return table.cast(pa.schema(list(zip(table.column_names, types, strict=True))))


def as_json(value: Any) -> Any:
    """Return a value that JSON does not have as one that it has.

    Raises:
        TypeError: There is none.
    """
    if isinstance(value, datetime | date | time):
        return None if type(value).__name__ == "NaTType" else value.isoformat()
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if type(value).__name__ == "NAType":
        return None
    if type(value).__module__ == "numpy":
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON value")
