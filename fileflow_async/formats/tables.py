"""Tables of one package as those of another, without a change of any value."""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fileflow_async.errors import FileflowError, FormatError
from fileflow_async.formats.chunks import Columns, check_names, columns_of, names_of, records_of
from fileflow_async.formats.column_types import INTEGER, arrow_type, is_integer
from fileflow_async.formats.kinds import Kind
from fileflow_async.formats.package_errors import first_line
from fileflow_async.formats.packages import needed
from fileflow_async.formats.pandas_frames import exact_table, with_index

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_EXACT = 2**53  # integers beyond that are not exact as floating point numbers


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
        raise FormatError(
            f"format {format!r} has no type for all of column {name!r}: {first_line(error)}"
        ) from error


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
