"""Tables of one package as those of another, without a change of any value."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fileflow_async.errors import FileflowError, FormatError, quoted
from fileflow_async.formats.column_types import INTEGER, arrow_type, is_integer
from fileflow_async.formats.kinds import Kind, kind_of_value
from fileflow_async.formats.packages import is_installed, needed

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

ROWS = 8192  # handled at a time where Python objects are made of them: some megabytes
_EXACT = 2**53  # integers beyond that are not exact as floating point numbers

Record = Mapping[str, Any]
Columns = dict[str, list[Any]]


def chunks(value: Any, format: str) -> Iterator[tuple[Kind, Any]]:
    """Return a value, or what an iterable yields, as tables and lists of records, one at a time.

    Raises:
        FormatError: There is something else in it.
    """
    kind = kind_of_value(value)
    if type(value).__name__ == "LazyFrame":
        kind, value = Kind.POLARS, value.collect()
    if kind is Kind.ARROW:
        yield kind, _whole(value)
    elif kind is not None and kind.is_frame:
        yield kind, value
    elif kind in (Kind.RECORDS, Kind.ITERATOR):
        yield from _grouped(value, format)
    else:
        raise FormatError(
            f"format {format!r} takes tables of pandas, polars or pyarrow and records (dicts), alone or in "
            f"an iterable; got {type(value).__name__}"
        )


def _whole(value: Any) -> "pa.Table":
    import pyarrow as pa

    return pa.Table.from_batches([value]) if isinstance(value, pa.RecordBatch) else value


def _grouped(items: Iterable[Any], format: str) -> Iterator[tuple[Kind, Any]]:
    batch: list[Record] = []
    for item in items:
        if type(item) is dict or isinstance(item, Mapping):
            batch.append(item)
            if len(batch) < ROWS:
                continue
        if batch:
            yield Kind.RECORDS, batch
            batch = []
        if not isinstance(item, Mapping):
            yield from chunks(item, format)
    if batch:
        yield Kind.RECORDS, batch


def check_names(names: Sequence[Any], format: str) -> list[str]:
    """Return the names of columns as texts.

    Raises:
        FormatError: Two are the same: what is written could not be told apart when it is read.
    """
    texts = list(map(str, names))
    if (name := twice(texts)) is not None:
        raise FormatError(
            f"format {format!r} needs different names for columns; there are two {quoted(name)}"
        )
    return texts


def twice(names: Sequence[str]) -> str | None:
    """Return a name that comes twice; None when all are different."""
    return (
        next((name for name in names if names.count(name) > 1), None)
        if len(set(names)) < len(names)
        else None
    )


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


def arrow_table(kind: Kind, chunk: Any, format: str) -> "pa.Table":
    """Return what `chunks` returned as a table of pyarrow's.

    Raises:
        FormatError: A column has values of several types.
        ConfigError: pyarrow is not installed.
    """
    with needed(f"format {format!r}"):
        import pyarrow as pa

    if kind is Kind.RECORDS:
        columns = {str(name): values for name, values in columns_of(chunk, names_of(chunk)).items()}
        return pa.table({name: _array(values, name, format) for name, values in columns.items()})
    if kind is Kind.POLARS:
        return chunk.to_arrow()
    if kind is Kind.PANDAS:
        frame = with_index(chunk, format)
        if (table := exact_table(frame)) is None:
            for name in frame.columns:
                _array(frame[name], name, format)
            raise FormatError(f"format {format!r} has no types for this frame: {dict(frame.dtypes)}")
        return table
    check_names(chunk.column_names, format)
    return chunk


def _array(values: Any, name: str, format: str) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise FormatError(f"format {format!r} has no type for all of column {name!r}: {reason}") from error


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


def of_table(table: "pa.Table", kind: Kind) -> Any:
    """Return a table of pyarrow's as one of another package's, or as records.

    Raises:
        ConfigError: That package is not installed.
    """
    if kind is Kind.POLARS:
        with needed("reading as polars.DataFrame"):
            import polars as pl
        return pl.from_arrow(table)
    if kind is Kind.PANDAS:
        return _to_pandas(table)
    return table.to_pylist() if kind is Kind.RECORDS else table


def _to_pandas(table: "pa.Table") -> "pd.DataFrame":
    with needed("reading as pandas.DataFrame"):
        import pandas as pd
    import pyarrow.compute as pc

    frame: pd.DataFrame = table.to_pandas()
    for position, column in enumerate(table.columns):
        if column.null_count and is_integer(str(column.type)) and frame.dtypes.iloc[position] == "float64":
            ends = pc.min_max(column).as_py().values()
            if max((abs(end) for end in ends if end is not None), default=0) > _EXACT:
                exact: Any = pd.array(
                    column.to_pylist(), dtype=str(column.type).replace("i", "I").replace("u", "U")
                )
                frame[frame.columns[position]] = exact
    return frame


def of_columns(columns: Columns, types: Mapping[str, str | None], kind: Kind, name: str) -> Any:
    """Return columns of Python values as a table of some package, or as records.

    Args:
        columns: The values, None for what is missing.
        types: The types of the columns, as far as they are known.
        kind: What they shall be.
        name: What messages call the data.

    Raises:
        FormatError: That package has no type for them.
        ConfigError: It is not installed.
    """
    if kind is Kind.RECORDS:
        return records_of(columns)
    try:
        return _MAKERS[kind](columns, types)
    except FileflowError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{name!r} cannot be made a {kind.value}: {error}") from error


def records_of(columns: Columns) -> list[dict[str, Any]]:
    """Return the rows of columns."""
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def columns_of(records: Iterable[Record], names: Sequence[str]) -> Columns:
    """Return records by columns; what a record does not have is missing."""
    records = list(records)
    return {name: [record.get(name) for record in records] for name in names}


def names_of(records: Iterable[Record]) -> list[str]:
    """Return the names of all that records have, in the order in which they first come."""
    return list(dict.fromkeys(name for record in records for name in record))


def _pandas_of(columns: Columns, types: Mapping[str, str | None]) -> "pd.DataFrame":
    with needed("reading as pandas.DataFrame"):
        import pandas as pd

    return pd.DataFrame({name: _pandas_series(values, types.get(name)) for name, values in columns.items()})


def _pandas_series(values: list[Any], type: str | None) -> Any:
    import pandas as pd

    numbers = {each for each in map(_class_of, values) if each is not None}
    if numbers != {int}:
        return pd.Series(values, dtype=None if values else _EMPTY.get(type or "", "object"))
    if not all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pd.Series(values, dtype="object")
    return pd.Series(values, dtype="Int64" if None in values else "int64")


_EMPTY = {"int64": "int64", "double": "float64", "bool": "bool", "string": "str"}


def _class_of(value: Any) -> type | None:
    return None if value is None else type(value)


def _polars_of(columns: Columns, types: Mapping[str, str | None]) -> "pl.DataFrame":
    with needed("reading as polars.DataFrame"):
        import polars as pl

    wide = {name: pl.Int128 for name in columns if types.get(name) == INTEGER}
    return pl.DataFrame(columns, schema_overrides=wide, infer_schema_length=None)


def _table_of(columns: Columns, types: Mapping[str, str | None]) -> "pa.Table":
    with needed("reading as pyarrow.Table"):
        import pyarrow as pa

    known = {name: arrow_type(type_name) if (type_name := types.get(name)) else None for name in columns}
    return pa.table({name: _values_of(values, known[name]) for name, values in columns.items()})


def _values_of(values: list[Any], type: Any) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values, type=type)
    except OverflowError:  # integers beyond 64 bits are decimals to Arrow
        return pa.array([None if value is None else Decimal(value) for value in values])


_MAKERS = {Kind.PANDAS: _pandas_of, Kind.POLARS: _polars_of, Kind.ARROW: _table_of}
