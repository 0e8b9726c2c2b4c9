"""What a record says of a table, added up while it is written."""

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fileflow_async.errors import FormatError
from fileflow_async.formats.column_types import (
    arrow_name,
    combined,
    is_decimal,
    is_float,
    is_integer,
    polars_name,
)
from fileflow_async.formats.format import Summary

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

# A commit record has 64 KiB, for inputs, checks and parts as well: what a very wide table says of itself is
# cut.
_COLUMNS = 24 * 1024
_STATS = 16 * 1024
_INT64 = 2**63
_LONGEST = 128  # bits of an integer: Python does not even parse those of some thousand digits


@dataclass(frozen=True, slots=True)
class Column:
    """One column of some rows.

    Attributes:
        name: Its name.
        type: The name of its type; see `column_types`.
        nulls: How many of its values are missing, or not a number.
        sum: That of its numbers; of truths, how many hold.
        min: The least of its numbers or moments.
        max: The greatest.
    """

    name: str
    type: str
    nulls: int = 0
    sum: Any = None
    min: Any = None
    max: Any = None

    def __add__(self, other: "Column") -> "Column":
        if self.type != other.type and self.type.startswith("duration") and other.type.startswith("duration"):
            raise FormatError(
                f"column {self.name!r} has lengths of time of type {self.type}, later ones of {other.type}: "
                "as numbers they would mean different things"
            )
        both = replace(self, type=combined(self.type, other.type), nulls=self.nulls + other.nulls)
        try:
            return replace(
                both,
                sum=_either(lambda one, two: one + two, self.sum, other.sum),
                min=_either(min, self.min, other.min),
                max=_either(max, self.max, other.max),
            )
        except TypeError:  # a number here, a date there
            return replace(both, sum=None, min=None, max=None)

    def stats(self) -> dict[str, Any]:
        """Return what of it a record can hold: no NaN, nothing infinite."""
        found = {name: _plain(getattr(self, name)) for name in ("sum", "min", "max")}
        return {"nulls": self.nulls, **{name: value for name, value in found.items() if value is not None}}


class Measure:
    """Adds up what the parts of some data say of themselves."""

    def __init__(self) -> None:
        self.rows = 0
        self._columns: dict[str, Column] = {}

    def add(self, rows: int, columns: Iterable[Column]) -> None:
        """Take some more rows."""
        for column in columns:
            known = self._columns.get(column.name)
            if known is None:  # the rows before did not have it
                known = Column(column.name, "null", nulls=self.rows)
            self._columns[column.name] = known + column
        self.rows += rows

    def summary(self) -> Summary:
        """Return all of it, as far as a record has room: of very many columns only the number of rows."""
        columns = [(column.name, column.type) for column in self._columns.values()]
        if len(json.dumps(columns)) > _COLUMNS:
            return Summary(rows=self.rows)
        return Summary(rows=self.rows, columns=columns, stats=dict(self._fitting()))

    def _fitting(self) -> Iterator[tuple[str, dict[str, Any]]]:
        room = _STATS
        for column in self._columns.values():
            stats = column.stats()
            room -= len(json.dumps({column.name: stats}))
            if room >= 0:
                yield column.name, stats


def of_arrow(table: "pa.Table") -> Iterator[Column]:
    """Look at a table of pyarrow's."""
    for name, data in zip(table.column_names, table.columns, strict=True):
        column = Column(name, arrow_name(data.type), data.null_count)
        yield _of_arrow(column, data)


def _of_arrow(column: Column, data: Any) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.type == "bool":
        return replace(column, sum=pc.sum(data).as_py())
    if is_float(column.type):
        data = data.drop_null().cast("double")  # half floats have no arithmetic
        numbers = data.filter(pc.invert(pc.is_nan(data)))
        column = replace(column, nulls=column.nulls + len(data) - len(numbers))
        data = numbers
    # Moments beyond the year 9999 are no Python objects, and sums beyond 38 digits are none of Arrow's.
    with suppress(pa.ArrowException, ValueError, OverflowError):
        if _has_order(column.type):
            ends = pc.min_max(data).as_py() if not column.type.startswith("timestamp") else _moments(data)
            column = replace(column, min=ends["min"], max=ends["max"])
        if is_integer(column.type) or is_float(column.type) or is_decimal(column.type):
            column = replace(column, sum=_arrow_sum(data, column))
    return column


def _moments(data: Any) -> Any:
    """Return the ends; of nanoseconds the microseconds, for whole ones would be objects of pandas."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ends = pc.min_max(data)
    type = pa.timestamp("us", data.type.tz) if data.type.unit == "ns" else data.type
    return {end: ends[end].cast(type, safe=False).as_py() for end in ("min", "max")}


def _arrow_sum(data: Any, column: Column) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_integer(column.type) and _may_overflow(len(data), column):
        data = data.cast(pa.decimal128(38, 0))
        return None if (total := pc.sum(data).as_py()) is None else int(total)
    return pc.sum(data).as_py()


def _may_overflow(rows: int, column: Column) -> bool:
    return bool(rows * max(abs(column.min or 0), abs(column.max or 0)) >= _INT64)


def of_polars(frame: "pl.DataFrame") -> Iterator[Column]:
    """Look at a frame of polars'."""
    for series in frame:
        yield _of_polars(Column(series.name, polars_name(series.dtype), series.null_count()), series)


def _of_polars(column: Column, series: "pl.Series") -> Column:
    import polars as pl

    if column.type == "bool":
        return replace(column, sum=series.sum())
    if is_float(column.type):
        series = series.drop_nulls()
        numbers = series.drop_nans()
        column = replace(column, nulls=column.nulls + len(series) - len(numbers))
        series = numbers
    with suppress(pl.exceptions.PolarsError, ValueError, OverflowError):
        if _has_order(column.type) and len(series) > series.null_count():
            column = replace(column, min=series.min(), max=series.max())
        if is_integer(column.type) and _may_overflow(len(series), column):
            series = series.cast(pl.Int128)
        if is_integer(column.type) or is_float(column.type) or is_decimal(column.type):
            column = replace(column, sum=series.sum() if len(series) > series.null_count() else None)
    return column


def _has_order(type: str) -> bool:
    ordered = type.startswith(("timestamp", "date", "time"))
    return ordered or is_integer(type) or is_float(type) or is_decimal(type)


def _either(both: Any, one: Any, two: Any) -> Any:
    if one is None or two is None:
        return one if two is None else two
    return both(one, two)


def _plain(value: Any) -> Any:
    """Return a value as a record can hold it; None when it cannot."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return (
            _plain(int(value) if value == value.to_integral_value() else float(value))
            if value.is_finite()
            else None
        )
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, int) and value.bit_length() > _LONGEST:
        return None
    return value
