"""Tables for tests, and what it means that two of them are the same."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import polars as pl
import pyarrow as pa
from pandas.testing import assert_frame_equal

BERLIN = ZoneInfo("Europe/Berlin")
MOMENT = datetime(2026, 11, 20, 10, 15, 2, 123456)

# Every kind of value that a cell can hold, and what is often lost: nothing beside the empty text, texts that
# look like something else, quotes, line ends, the first and the last day, the least and the greatest numbers.
FLAT: dict[str, list[Any]] = {
    "integer": [1, None, -(2**63), 2**63 - 1],
    "real": [0.1, None, 1e-300, -1.7976931348623157e308],
    "text": ["", None, "007", "NA"],
    "quoted": ['a "b"', "c,d", "e\nf", "g\r\nh\r"],
    "unicode": ["é", "日本", "\u2028", " x "],
    "truth": [True, None, False, True],
    "date": [date(2026, 11, 20), None, date(1, 1, 1), date(9999, 12, 31)],
    "moment": [MOMENT, None, datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)],
    "zoned": [MOMENT.replace(tzinfo=UTC), None, datetime(1970, 1, 1, tzinfo=UTC), MOMENT.replace(tzinfo=UTC)],
    "time": [time(1, 2, 3), None, time(0), time(23, 59, 59, 999999)],
    "length": [timedelta(days=1, microseconds=1), None, timedelta(0), timedelta(days=-3)],
    "decimal": [Decimal("1.50"), None, Decimal("-0.01"), Decimal("99999999.99")],
    "nothing": [None, None, None, None],
}
NESTED: dict[str, list[Any]] = {
    "list": [[1, 2], None, [], [3]],
    "struct": [{"a": 1}, None, {"a": None}, {"a": 2}],
}


def table(columns: dict[str, list[Any]] | None = None) -> pa.Table:
    """Return columns as a table of pyarrow's."""
    return pa.table({name: pa.array(values) for name, values in (columns or FLAT).items()})


def frame(columns: dict[str, list[Any]] | None = None) -> pd.DataFrame:
    """Return columns as a frame of pandas', with the types that it has for them."""
    made: pd.DataFrame = table(columns).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return made


def polars(columns: dict[str, list[Any]] | None = None) -> pl.DataFrame:
    """Return columns as a frame of polars'."""
    return pl.DataFrame(columns or FLAT)


def records(columns: dict[str, list[Any]] | None = None) -> list[dict[str, Any]]:
    """Return columns as records."""
    chosen = columns or FLAT
    return [dict(zip(chosen, row, strict=True)) for row in zip(*chosen.values(), strict=True)]


def same(one: Any, other: Any) -> bool:
    """Tell whether two tables, of one package, hold the same values under the same names."""
    if isinstance(one, pd.DataFrame):
        return _same_frames(one, other)
    if isinstance(one, pl.DataFrame):
        return isinstance(other, pl.DataFrame) and one.equals(other) and one.columns == other.columns
    if isinstance(one, pa.Table):
        return bool(one.column_names == other.column_names and one.to_pylist() == other.to_pylist())
    return bool(one == other)


def _same_frames(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    left, right = (
        each.astype(object).where(each.notna(), None).reset_index(drop=True) for each in (one, other)
    )
    assert_frame_equal(left, right, check_index_type=False, check_column_type=False)
    return True


def joined(batches: list[Any]) -> Any:
    """Put parts of a table together."""
    if isinstance(batches[0], pd.DataFrame):
        return pd.concat(batches, ignore_index=True)
    if isinstance(batches[0], pl.DataFrame):
        return pl.concat(batches)
    if isinstance(batches[0], pa.Table):
        return pa.concat_tables(batches)
    return [record for batch in batches for record in batch]
