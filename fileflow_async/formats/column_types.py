"""The types of columns by the names that Arrow gives them, whichever package holds the data."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

# What Arrow has no name for: integers beyond 64 bits, decimals of any precision, and values that differ in
# type.
INTEGER, DECIMAL, MIXED = "integer", "decimal", "mixed"

_STRINGS = frozenset({"string", "large_string", "string_view"})
_BINARIES = frozenset({"binary", "large_binary", "binary_view"})
_MOMENT = re.compile(r"timestamp\[(s|ms|us|ns)(, tz=.+)?\]")
_UNITS = ("s", "ms", "us", "ns")
_ZONED = re.compile(r"timestamp\[(s|ms|us|ns), tz=(.+)\]")
_DECIMAL = re.compile(r"decimal(32|64|128|256)\((\d+), (-?\d+)\)")
_INTEGERS = re.compile(r"u?int(8|16|32|64|128)|integer")
_FLOATS = frozenset({"halffloat", "float", "double"})


def is_integer(name: str) -> bool:
    """Tell whether a column of this type holds integers."""
    return _INTEGERS.fullmatch(name) is not None


def is_float(name: str) -> bool:
    """Tell whether a column of this type holds floating point numbers."""
    return name in _FLOATS


def is_decimal(name: str) -> bool:
    """Tell whether a column of this type holds decimal numbers."""
    return name == DECIMAL or _DECIMAL.fullmatch(name) is not None


def zone_of(name: str) -> str | None:
    """Return the time zone of a column of moments; None where they have none."""
    return found[2] if (found := _ZONED.fullmatch(name)) else None


def combined(name: str, other: str) -> str:
    """Return the type of a column that is made of two."""
    if name == other or other == "null":
        return name
    if name == "null":
        return other
    if is_integer(name) and is_integer(other):
        return INTEGER
    if all(is_integer(each) or is_float(each) for each in (name, other)):
        return "double"
    if all(is_integer(each) or is_decimal(each) for each in (name, other)):
        return DECIMAL
    if all(each.startswith(("time32", "time64")) for each in (name, other)):
        return "time64[ns]"
    return _finer(name, other)


def _finer(name: str, other: str) -> str:
    """Return the type of moments that are told more or less exactly; of anything else, that it is mixed."""
    one, two = _MOMENT.fullmatch(name), _MOMENT.fullmatch(other)
    if one is None or two is None or one[2] != two[2]:
        return MIXED
    return max(name, other, key=lambda each: _UNITS.index(each[10:].partition("]")[0].partition(",")[0]))


def arrow_name(type: "pa.DataType") -> str:
    """Return the name of one of Arrow's types: how text or values are laid out makes no difference."""
    value = str(getattr(type, "value_type", type)) if str(type).startswith("dictionary") else str(type)
    if value in _STRINGS:
        return "string"
    return "binary" if value in _BINARIES else value


def arrow_type(name: str) -> "pa.DataType | None":
    """Return Arrow's type of that name; None when it has none for it, or we do not know it."""
    import pyarrow as pa

    if zoned := _ZONED.fullmatch(name):
        return pa.timestamp(zoned[1], zoned[2])
    if decimal := _DECIMAL.fullmatch(name):
        make: Any = getattr(pa, f"decimal{decimal[1]}", pa.decimal128)  # 32 and 64 are new in Arrow 19
        return make(int(decimal[2]), int(decimal[3]))
    try:
        return pa.type_for_alias(name)
    except ValueError:
        return None


def polars_name(type: "pl.DataType") -> str:
    """Return the name of one of polars' types; a nested one is called as polars calls it."""
    import polars as pl

    if isinstance(type, pl.Datetime):
        return (
            f"timestamp[{type.time_unit}, tz={type.time_zone}]"
            if type.time_zone
            else f"timestamp[{type.time_unit}]"
        )
    if isinstance(type, pl.Duration):
        return f"duration[{type.time_unit}]"
    if isinstance(type, pl.Decimal):
        return f"decimal128({type.precision or 38}, {type.scale})"
    return _POLARS.get(str(type.base_type()), str(type))


_POLARS = {
    **{f"Int{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
    "Int128": INTEGER,
    "UInt128": INTEGER,
    "Float16": "halffloat",
    "Float32": "float",
    "Float64": "double",
    "String": "string",
    "Categorical": "string",
    "Enum": "string",
    "Binary": "binary",
    "Boolean": "bool",
    "Date": "date32[day]",
    "Time": "time64[ns]",
    "Null": "null",
}
