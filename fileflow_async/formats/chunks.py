"""Values that are tables, one part at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fileflow_async.errors import FormatError, quoted
from fileflow_async.formats.kinds import Kind, kind_of_value

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 8192  # handled at a time where Python objects are made of them: some megabytes

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
