"""Rows, columns and statistics: exact, finite, and never too many for a record."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from fileflow_async.errors import FormatError
from fileflow_async.formats.column_types import combined
from fileflow_async.formats.measure import Column, Measure, of_arrow, of_polars
from fileflow_async.formats.values import described

LARGE = [2**62, 2**62, 2**62, -5]


def stats(column: Column) -> dict[str, Any]:
    return column.stats()


def all_three(values: list[Any], type: Any = None) -> list[dict[str, Any]]:
    """Return what each of the three ways to look at a column says."""
    (arrow,) = of_arrow(pa.table({"a": pa.array(values, type)}))
    (polars,) = of_polars(pl.DataFrame({"a": values}, strict=False))
    return [stats(arrow), stats(polars), stats(described("a", values)[0])]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, None, 3], {"nulls": 1, "sum": 4, "min": 1, "max": 3}),
        (LARGE, {"nulls": 0, "sum": sum(LARGE), "min": -5, "max": 2**62}),
        ([1.5, None, -0.5], {"nulls": 1, "sum": 1.0, "min": -0.5, "max": 1.5}),
        ([1.5, float("nan"), None], {"nulls": 2, "sum": 1.5, "min": 1.5, "max": 1.5}),
        ([1.5, float("inf")], {"nulls": 0, "min": 1.5}),
        ([float("nan")], {"nulls": 1}),
        ([True, None, True], {"nulls": 1, "sum": 2}),
        (["a", None, "b"], {"nulls": 1}),
        ([None, None], {"nulls": 2}),
        ([Decimal("1.50"), None, Decimal("2.00")], {"nulls": 1, "sum": 3.5, "min": 1.5, "max": 2}),
        ([date(2026, 11, 20), None], {"nulls": 1, "min": "2026-11-20", "max": "2026-11-20"}),
        (
            [datetime(2026, 11, 20, 10)],
            {"nulls": 0, "min": "2026-11-20T10:00:00", "max": "2026-11-20T10:00:00"},
        ),
        ([time(10, 15)], {"nulls": 0, "min": "10:15:00", "max": "10:15:00"}),
    ],
)
def test_every_package_is_looked_at_alike(values: list[Any], expected: dict[str, Any]) -> None:
    """NaN is missing, and what is not finite is left out: a record takes neither."""
    assert all_three(values) == [expected] * 3


def test_sums_are_exact_beyond_64_bits() -> None:
    """Those of pyarrow and polars would wrap around."""
    values = [2**63 - 1] * 5
    assert [each["sum"] for each in all_three(values)] == [5 * (2**63 - 1)] * 3
    unsigned = [2**64 - 1] * 3
    (arrow,) = of_arrow(pa.table({"a": pa.array(unsigned, "uint64")}))
    (polars,) = of_polars(pl.DataFrame({"a": unsigned}, schema={"a": pl.UInt64}))
    assert arrow.sum == polars.sum == 3 * (2**64 - 1)


def test_nanoseconds_and_far_years_do_no_harm() -> None:
    """Python has no objects for them."""
    (nano,) = of_arrow(pa.table({"a": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "UTC"))}))
    assert nano.min == datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)
    (far,) = of_arrow(pa.table({"a": pa.array([2**60], pa.timestamp("s"))}))
    assert (far.type, far.min) == ("timestamp[s]", None)
    (half,) = of_arrow(pa.table({"a": pa.array([0.5, None], "halffloat")}))
    assert (half.type, half.sum, half.nulls) == ("halffloat", 0.5, 1)


def test_numbers_that_no_record_holds_are_left_out() -> None:
    """Integers of thousands of digits are refused by whoever parses them."""
    assert stats(described("a", [10**5000])[0]) == {"nulls": 0}
    assert stats(described("a", [2**100])[0])["max"] == 2**100
    assert stats(described("a", [Decimal("NaN"), Decimal("Infinity")])[0]) == {"nulls": 0}


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (("int64", "int64"), "int64"),
        (("null", "string"), "string"),
        (("string", "null"), "string"),
        (("int8", "int64"), "integer"),
        (("int64", "integer"), "integer"),
        (("int64", "double"), "double"),
        (("decimal128(3, 2)", "decimal128(5, 1)"), "decimal"),
        (("int64", "decimal"), "decimal"),
        (("time64[us]", "time64[ns]"), "time64[ns]"),
        (("timestamp[us]", "timestamp[ns]"), "timestamp[ns]"),
        (("timestamp[ms, tz=UTC]", "timestamp[s, tz=UTC]"), "timestamp[ms, tz=UTC]"),
        (("timestamp[us]", "timestamp[us, tz=UTC]"), "mixed"),
        (("int64", "string"), "mixed"),
        (("double", "decimal"), "mixed"),
    ],
)
def test_parts_of_several_types_have_one_that_suits_both(types: tuple[str, str], expected: str) -> None:
    """Or are mixed."""
    assert combined(*types) == expected


def test_parts_are_added_up() -> None:
    """A column that comes later was missing before."""
    measure = Measure()
    measure.add(2, [Column("a", "int64", 0, 3, 1, 2)])
    measure.add(3, [Column("a", "double", 1, 1.5, 0.5, 1.0), Column("b", "string", 1)])
    measure.add(1, [Column("a", "string"), Column("b", "string")])
    summary = measure.summary()
    assert summary.rows == 6
    assert summary.columns == [("a", "mixed"), ("b", "string")]
    assert summary.stats == {"a": {"nulls": 1, "sum": 4.5, "min": 0.5, "max": 2}, "b": {"nulls": 3}}


def test_values_that_cannot_be_compared_have_no_ends() -> None:
    """Numbers here, days there."""
    measure = Measure()
    measure.add(1, [Column("a", "int64", 0, 1, 1, 1)])
    measure.add(1, [Column("a", "date32[day]", 0, None, date(2026, 1, 1), date(2026, 1, 1))])
    assert measure.summary().stats == {"a": {"nulls": 0}}


def test_lengths_of_time_of_two_units_are_refused() -> None:
    """Their numbers would mean two things."""
    measure = Measure()
    measure.add(1, [Column("a", "duration[us]")])
    with pytest.raises(
        FormatError, match=r"^column 'a' has lengths of time of type duration\[us\], later ones of"
    ):
        measure.add(1, [Column("a", "duration[ns]")])


@pytest.mark.parametrize("count", [1, 100, 300, 5000])
def test_a_record_has_room_for_what_is_told(count: int) -> None:
    """Of many columns only some have statistics, of very many not even the names are told."""
    measure = Measure()
    measure.add(7, [Column(f"column {number:05}", "double", 0, 1.5, 1.5, 1.5) for number in range(count)])
    summary = measure.summary()
    assert summary.rows == 7
    assert len(json.dumps([summary.columns, summary.stats])) < 42 * 1024
    assert summary.columns is None if count == 5000 else len(summary.columns or ()) == count
    assert len(summary.stats) == {1: 1, 100: 100}.get(count, len(summary.stats))
    assert count > 300 or summary.stats


@settings(deadline=None)
@given(st.lists(st.none() | st.floats() | st.integers(-(2**63), 2**63 - 1), max_size=20), st.integers(0, 20))
def test_it_makes_no_difference_how_a_column_is_cut(values: list[Any], at: int) -> None:
    """But for the last digit of a sum."""
    values = [None if value is None else float(value) for value in values]
    whole, parts = Measure(), Measure()
    whole.add(len(values), [described("a", values)[0]])
    for part in (values[:at], values[at:]):
        parts.add(len(part), [described("a", part)[0]])
    one, two = whole.summary().stats.get("a", {}), parts.summary().stats.get("a", {})
    assert {name: one.get(name) for name in ("nulls", "min", "max")} == {
        name: two.get(name) for name in ("nulls", "min", "max")
    }
