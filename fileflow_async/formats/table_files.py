"""Tables in files that need random access: written group by group, read from a temporary file."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any

from fileflow_async.errors import FormatError
from fileflow_async.formats.chunks import chunks
from fileflow_async.formats.files import PIECE, Reader
from fileflow_async.formats.format import Summary
from fileflow_async.formats.kinds import Kind, kind_of_value
from fileflow_async.formats.measure import Measure, of_arrow
from fileflow_async.formats.package_errors import first_line
from fileflow_async.formats.packages import needed
from fileflow_async.formats.tables import arrow_table

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

# Rows a group: both packages' own defaults. Smaller groups cost pyarrow up to half as much again, in
# dictionaries.
GROUP = 1024 * 1024
POLARS_GROUP = 512 * 512
BATCH = 64 * 1024  # rows handed out at a time
_GATHERED = 32 * 1024 * 1024  # bytes of small tables that are put together before their types are settled
_IN_MEMORY = 64 * 1024 * 1024  # bytes of a file that is read in batches; larger ones go to a temporary file

OpenWriter = Callable[["pa.Schema"], Any]


def polars_frame(value: Any) -> "pl.DataFrame | None":
    """Return the value if it is a frame of polars', which writes such files itself."""
    if type(value).__name__ == "LazyFrame":
        value = value.collect()
    return value if kind_of_value(value) is Kind.POLARS else None


def write_tables(value: Any, format: str, open_writer: OpenWriter) -> Summary:
    """Write whatever `chunks` understands as tables of one schema, in bounded memory.

    Raises:
        FormatError: There is something else, or a later table does not have the columns and types of the
            first.
        ConfigError: pyarrow is not installed.
    """
    with ExitStack() as stack:
        writer = _Writer(format, lambda schema: stack.enter_context(open_writer(schema)))
        for kind, chunk in chunks(value, format):
            writer.add(arrow_table(kind, chunk, format))
        return writer.finish()


class _Writer:
    def __init__(self, format: str, open_writer: OpenWriter) -> None:
        self._format = format
        self._open = open_writer
        self._writer: Any = None
        self._schema: Any = None
        self._measure = Measure()
        self._waiting: list[pa.Table] = []

    def add(self, table: "pa.Table") -> None:
        self._waiting.append(table)
        if sum(table.nbytes for table in self._waiting) >= _GATHERED:
            self._write()

    def finish(self) -> Summary:
        with needed(f"format {self._format!r}"):
            import pyarrow as pa

        if self._waiting or self._writer is None:
            self._waiting = self._waiting or [pa.table({})]
            self._write()
        return self._measure.summary()

    def _write(self) -> None:
        table = self._together()
        if self._writer is None:
            self._schema = table.schema
            self._writer = self._open(table.schema)
        self._measure.add(len(table), of_arrow(table))
        self._writer.write_table(table, GROUP)
        self._waiting = []

    def _together(self) -> "pa.Table":
        """Put tables together, with the types of the first that was written, else with what suits all."""
        import pyarrow as pa

        try:
            if len(self._waiting) > 1:
                self._waiting = [pa.concat_tables(map(_plain, self._waiting), promote_options="permissive")]
            (table,) = self._waiting
            if self._schema is None or table.schema.equals(self._schema):
                return table
            return _plain(table).select(self._schema.names).cast(self._schema)
        except (pa.ArrowException, KeyError) as error:
            raise FormatError(
                f"format {self._format!r} has one type for each column; later rows have another: "
                f"{first_line(error)}",
                hint="Give tables with a schema, or the first rows with values in all columns.",
            ) from error


def _plain(table: "pa.Table") -> "pa.Table":
    """Write categories out: each table has its own."""
    import pyarrow as pa

    types = [
        each.type.value_type if pa.types.is_dictionary(each.type) else each.type for each in table.schema
    ]
    return table.cast(pa.schema(list(zip(table.column_names, types, strict=True))))


def gathered(file: IO[bytes], size: int | None) -> "pa.Buffer":
    """Return a stream as a buffer of pyarrow's; it is then at its end, and so verified.

    Args:
        file: The stream.
        size: How many bytes it is likely to have; None where that is not known.
    """
    import pyarrow as pa

    if size is None or size <= PIECE:
        return pa.py_buffer(file.read())
    # Of pyarrow's pool, which has its memory in large pages and keeps it: to get small ones from the system
    # takes as long as to hash what is in them.  ADR 0035
    buffer = pa.allocate_buffer(size)
    fill = file.fill if isinstance(file, Reader) else file.readinto  # type: ignore[attr-defined]
    filled = buffer.slice(0, fill(memoryview(buffer).cast("B")))
    rest = file.read()
    return pa.py_buffer(filled.to_pybytes() + rest) if rest else filled


@contextmanager
def spooled(file: IO[bytes]) -> Iterator[Any]:
    """Open a copy of a stream for random access; the stream is then at its end, and so verified."""
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
        shutil.copyfileobj(file, copy, PIECE)
        copy.seek(0)
        yield copy
