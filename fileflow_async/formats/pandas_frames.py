"""Frames of pandas as what pyarrow or Python has for them, without a change of any value."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fileflow_async.errors import FormatError
from fileflow_async.formats.chunks import ROWS, Columns, check_names
from fileflow_async.formats.packages import is_installed

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def with_index(frame: "pd.DataFrame", format: str) -> "pd.DataFrame":
    """Return a frame without its index: one with a name becomes columns, one that only counts is dropped.

    Raises:
        FormatError: There are values in it that have no name; or two columns have the same.
    """
    from pandas.api.types import is_integer_dtype

    index = frame.index
    if any(name is not None for name in index.names):
        frame = frame.reset_index()
    elif index.nlevels > 1 or (len(index) and not is_integer_dtype(index.dtype)):
        raise FormatError(
            "the index of the frame has values, but no name to write them under",
            hint="Give it one with frame.rename_axis('name'), or drop it with frame.reset_index(drop=True).",
        )
    names = check_names(list(frame.columns), format)
    return frame if names == list(frame.columns) else frame.set_axis(names, axis="columns")


def exact_table(frame: "pd.DataFrame") -> "pa.Table | None":
    """Return a frame as a table of pyarrow's; None when that would change a value, or it is not there."""
    if not is_installed("pyarrow") or any(array is None for array in exact_arrays(frame).values()):
        return None
    import pyarrow as pa

    return pa.Table.from_pandas(frame, preserve_index=False)


def exact_arrays(frame: "pd.DataFrame") -> "dict[str, pa.Array | None]":
    """Return the columns of a frame as arrays of pyarrow's; None for those that it cannot take exactly."""
    return {name: _exact_array(frame[name]) for name in frame.columns}


def _exact_array(values: "pd.Series[Any]") -> "pa.Array | None":
    import pyarrow as pa

    if values.dtype == object and not _is_uniform(values):
        return None
    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return None
    return None if isinstance(array.type, pa.BaseExtensionType) else array


def _is_uniform(values: "pd.Series[Any]") -> bool:
    """Tell whether pyarrow takes objects as they are: of dates and moments it makes dates, of zones one."""
    there = values.dropna()
    types = set(map(type, there))
    if len(types) > 1:
        return False
    return not any(issubclass(type, datetime) for type in types) or len({each.tzinfo for each in there}) == 1


def python_columns(frame: "pd.DataFrame") -> Iterator[Columns]:
    """Return some rows of a frame at a time as columns of Python values."""
    for start in range(0, len(frame), ROWS):
        rows = frame.iloc[start : start + ROWS]
        yield {name: python_values(rows[name]) for name in frame.columns}


def python_values(series: "pd.Series[Any]") -> list[Any]:
    """Return a column of a frame as Python values, with None for what is missing."""
    return [None if gone else value for value, gone in zip(series.tolist(), series.isna(), strict=True)]
