"""Columns of plain Python values: what there is to say of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from numbers import Integral, Rational, Real
from typing import Any

from fileflow_async.formats.column_types import DECIMAL, INTEGER, MIXED, combined
from fileflow_async.formats.measure import Column

# Of numpy and pandas, which are not imported for this: their truths and nothings inherit from nobody, or from
# others.
_BY_NAME = {"bool": "bool", "bool_": "bool", "NAType": "null", "NaTType": "null", "ndarray": "list"}
_KINDS: tuple[tuple[str, Any], ...] = (
    ("null", type(None)),
    ("text", str),
    ("integer", Integral),
    ("other", Rational),
    ("real", Real),
    ("decimal", Decimal),
    ("moment", datetime),
    ("date", date),
    ("time", time),
    ("duration", timedelta),
    ("struct", dict),
    ("list", (list, tuple, set, frozenset)),
    ("binary", (bytes, bytearray, memoryview)),
)
_TYPES = {
    "bool": "bool",
    "text": "string",
    "integer": "int64",
    "real": "double",
    "decimal": DECIMAL,
    "moment": "timestamp[us]",
    "date": "date32[day]",
    "time": "time64[us]",
    "duration": "duration[us]",
    "other": "string",
}


def _kind_of(type: Any) -> str:
    """Return of what kind values of a Python type are: null, bool, text, integer, real, moment, …, other."""
    if type.__name__ in _BY_NAME:
        return _BY_NAME[type.__name__]
    return next((kind for kind, ancestors in _KINDS if issubclass(type, ancestors)), "other")


kind_of: Callable[[Any], str] = lru_cache(maxsize=256)(_kind_of)  # asked for each value


def described(name: str, values: Sequence[Any]) -> tuple[Column, set[str], Sequence[Any]]:
    """Return what there is to say of a column, of which kinds its values are (null is none), and the values.

    NaN among other values than numbers is taken for a missing one, and None in what is returned: pandas says
    it so.
    """
    kinds = {kind_of(type) for type in set(map(type, values))}
    if len(kinds - {"null"}) == 2 and "real" in kinds and not kinds & {"integer", "decimal"}:
        rest = [None if kind_of(type(value)) == "real" and value != value else value for value in values]
        if not any(kind_of(type(value)) == "real" for value in rest):
            return described(name, rest)
    there: Sequence[Any] = values
    if "null" in kinds:
        there = [value for value in values if kind_of(type(value)) != "null"]
        kinds.discard("null")
    nulls = len(values) - len(there)
    if len(kinds) == 1:
        return _uniform(name, next(iter(kinds)), there, nulls), kinds, values
    common = "null"
    for kind in sorted(kinds):
        common = combined(common, _TYPES.get(kind, kind))
    return Column(name, common, nulls), kinds, values


def _uniform(name: str, kind: str, there: Sequence[Any], nulls: int) -> Column:
    """Describe a column whose values are all of one kind."""
    if kind == "bool":
        return Column(name, "bool", nulls, sum=sum(map(bool, there)))
    if kind == "real":
        numbers = [float(value) for value in there if value == value]  # NaN is not
        return Column(name, "double", nulls + len(there) - len(numbers), *_ends(numbers, sum))
    if kind == "integer":
        column = Column(name, "int64", nulls, *_ends(list(map(int, there)), sum))  # numpy's integers overflow
        return column if -(2**63) <= column.min <= column.max < 2**63 else replace(column, type=INTEGER)
    if kind == "decimal":
        return Column(name, DECIMAL, nulls, *_ends([value for value in there if value.is_finite()], sum))
    type = _moment_type(there) if kind in ("moment", "time") else _TYPES.get(kind, kind)
    return Column(
        name, type, nulls, *(_ends(there) if kind in ("moment", "date", "time") and type != MIXED else ())
    )


def _ends(values: Sequence[Any], total: Callable[[Sequence[Any]], Any] | None = None) -> tuple[Any, ...]:
    """Return sum, least and greatest, as far as there are such."""
    if not values:
        return ()
    return total(values) if total else None, min(values), max(values)


def _moment_type(values: Sequence[Any]) -> str:
    """Return the type of moments, or of times of day, of which only the former can have a time zone."""
    zones = {value.tzinfo for value in values}
    if isinstance(values[0], time):
        return _TYPES["time"] if zones == {None} else MIXED
    unit = "ns" if any(getattr(value, "nanosecond", 0) for value in values) else "us"  # those of pandas
    if None not in zones:
        return f"timestamp[{unit}, tz=UTC]"
    return f"timestamp[{unit}]" if len(zones) == 1 else MIXED
