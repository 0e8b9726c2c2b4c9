"""The types that polars reads columns as, by the names that records have for them."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import polars as pl

from fileflow_async.formats.column_types import DECIMAL, INTEGER, is_decimal
from fileflow_async.formats.packages import is_installed

_UNITS = re.compile(r"(timestamp|duration)\[(s|ms|us|ns)(?:, tz=(.+))?\]")
_DECIMALS = re.compile(r"decimal\d+\((\d+), (\d+)\)")
_SIMPLE: dict[str, Any] = {
    "bool": pl.Boolean,
    "halffloat": pl.Float32,
    "float": pl.Float32,
    "double": pl.Float64,
    "string": pl.String,
    "date32[day]": pl.Date,
    "date64[ms]": pl.Date,
    INTEGER: pl.Int128,
    **{f"int{bits}": getattr(pl, f"Int{bits}") for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": getattr(pl, f"UInt{bits}") for bits in (8, 16, 32, 64)},
}


def polars_type(name: str) -> Any:
    """Return polars' type of that name; text where it has none."""
    if found := _UNITS.fullmatch(name):
        unit: Any = "ms" if found[2] == "s" else found[2]  # polars has no seconds
        return pl.Datetime(unit, found[3]) if found[1] == "timestamp" else pl.Duration(unit)
    if (found := _DECIMALS.fullmatch(name)) and int(found[1]) <= 38:
        return pl.Decimal(int(found[1]), int(found[2]))
    return pl.Time if name.startswith("time") else _SIMPLE.get(name, pl.String)


def read_as_text(name: str) -> Any:
    """Return what a column of that type is read as from csv, before it is finished."""
    if name == "null" or name.startswith("timestamp"):
        return pl.String  # moments polars parses faster afterwards
    return pl.Int64 if name.startswith("duration") else polars_type(name)


def read_as_json(name: str) -> Any:
    """Return what a column of that type is read as from JSON; None where polars should find out."""
    if name.startswith("timestamp") or _is_text_in_json(name):
        return pl.String
    return read_as_text(name) if name in _SIMPLE or name.startswith("duration") else None


def _is_text_in_json(name: str) -> bool:
    return name.startswith(("time32", "time64")) or is_decimal(name)


def finished(frame: pl.DataFrame, types: Mapping[str, str]) -> pl.DataFrame:
    """Make what was read as something else what it was recorded as."""
    for name, read in frame.schema.items():
        type = types.get(name, "")
        if type.startswith("duration"):
            seconds = 1000 if type == "duration[s]" else 1
            frame = frame.with_columns((pl.col(name) * seconds).cast(polars_type(type)))
        if read == pl.String and (finish := _FINISH.get(type.partition("[")[0].partition("(")[0])):
            frame = frame.with_columns(finish(frame[name], type).alias(name))
    return frame


def _moments(texts: pl.Series, type: str) -> pl.Series:
    final = polars_type(type)
    if (found := _by_pyarrow(texts, final)) is not None:
        return found
    texts = texts.str.replace("T", " ", literal=True).str.replace(
        "Z", "+0000", literal=True
    )  # as others write
    if final.time_zone is None:
        return texts.str.to_datetime(_MOMENT, time_unit=final.time_unit)
    return texts.str.to_datetime(f"{_MOMENT}%z", time_unit=final.time_unit).dt.convert_time_zone(
        final.time_zone
    )


def _by_pyarrow(texts: pl.Series, final: Any) -> pl.Series | None:
    """Return moments; None where pyarrow is not there, or does not take them all for such."""
    if not is_installed("pyarrow"):
        return None
    import pyarrow as pa

    # A tenth of the time that polars takes for texts.  ADR 0035
    column = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
    with suppress(pa.ArrowException):
        return pl.Series(column.cast(pa.timestamp(final.time_unit, final.time_zone)))
    return None


def _decimals(texts: pl.Series, type: str) -> pl.Series:
    if type != DECIMAL:
        return texts.cast(polars_type(type))
    values = [None if text is None else Decimal(text) for text in texts]
    return pl.Series(values, dtype=None if any(value is not None for value in values) else pl.Null)


_MOMENT = "%Y-%m-%d %H:%M:%S%.f"
_FINISH: dict[str, Callable[[pl.Series, str], pl.Series]] = {
    "timestamp": _moments,
    "time32": lambda texts, _: texts.str.to_time("%H:%M:%S%.f"),
    "time64": lambda texts, _: texts.str.to_time("%H:%M:%S%.f"),
    "decimal128": _decimals,
    DECIMAL: _decimals,
    "null": lambda texts, _: pl.Series([None] * len(texts), dtype=pl.Null),
}
