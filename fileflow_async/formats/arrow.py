"""Arrow's own file format: tables as they lie in memory."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal

from fileflow_async.formats.files import all_of
from fileflow_async.formats.format import Facts, Format, Summary
from fileflow_async.formats.kinds import Kind
from fileflow_async.formats.measure import Measure, of_polars
from fileflow_async.formats.package_errors import damage
from fileflow_async.formats.packages import is_installed, needed
from fileflow_async.formats.table_files import gathered, polars_frame, spooled, write_tables
from fileflow_async.formats.tables import of_table

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow(Format):
    """A frame of pandas, polars or pyarrow, records, or an iterable of any of them that have the same types.

    The fastest of all, and not the smallest.

    Attributes:
        codec: How its columns are compressed; by default not at all.
    """

    name: ClassVar[str] = "arrow"
    extensions: ClassVar[tuple[str, ...]] = ("arrow", "feather", "ipc")
    content_type: ClassVar[str] = "application/vnd.apache.arrow.file"
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.PANDAS, Kind.POLARS, Kind.ARROW, Kind.RECORDS)
    is_compressible: ClassVar[bool] = False

    codec: Literal["zstd", "lz4", "none"] = "none"

    def write(self, value: Any, file: IO[bytes]) -> Summary:
        """Write a table.

        Raises:
            FormatError: It is none, or a column has values of several types.
            ConfigError: pyarrow is not installed; only for polars' frames it is not needed.
        """
        if (frame := polars_frame(value)) is not None:
            frame.write_ipc(file, compression="uncompressed" if self.codec == "none" else self.codec)
            measure = Measure()
            measure.add(len(frame), of_polars(frame))
            return measure.summary()

        def open_writer(schema: Any) -> Any:
            import pyarrow as pa

            codec = None if self.codec == "none" else self.codec
            options = pa.ipc.IpcWriteOptions(compression=codec, unify_dictionaries=True)
            return pa.ipc.new_file(file, schema, options=options)

        return write_tables(value, self.name, open_writer)

    def read(self, file: IO[bytes], kind: Any, facts: Facts) -> Any:
        """Return the table; its bytes have all been verified before the first is looked at.

        Raises:
            FormatError: It is not valid.
        """
        if kind in (Kind.POLARS, Kind.RECORDS) and not is_installed("pyarrow"):
            frame = _by_polars(all_of(file, facts.length))
            return frame if kind is Kind.POLARS else frame.to_dicts()
        with needed("reading arrow"):
            import pyarrow as pa
        data = gathered(file, facts.length)
        if kind is Kind.POLARS:
            return _polars_of(data)
        with damage(facts.name, self.name):
            return of_table(pa.ipc.open_file(data).read_all(), kind)

    def batches(self, file: IO[bytes], kind: Any, facts: Facts) -> Iterator[Any]:
        """Return one record batch at a time, from a temporary file: what is in it stands at its end."""
        if not is_installed("pyarrow"):
            yield self.read(file, kind, facts)
            return
        import pyarrow as pa

        with spooled(file) as copy, damage(facts.name, self.name):
            batches = pa.ipc.open_file(copy)
            for number in range(batches.num_record_batches):
                yield of_table(pa.Table.from_batches([batches.get_batch(number)]), kind)


def _polars_of(data: "pa.Buffer") -> Any:
    import pyarrow as pa

    # Nothing is copied: 0.3 ms for 90 MB, where polars takes 25.
    with suppress(pa.ArrowException):  # it does not know integers of 128 bits; what is damaged polars says
        table = pa.ipc.open_file(data).read_all()
        if _is_plain(table.schema):
            return of_table(table, Kind.POLARS)
    return _by_polars(data.to_pybytes())


def _by_polars(data: bytes) -> Any:
    with needed("reading as polars.DataFrame"):
        import polars as pl
    return pl.read_ipc(data)


def _is_plain(schema: Any) -> bool:
    """Tell whether polars has no words of its own for any column, as it has for categories."""
    import pyarrow as pa

    return not any(
        pa.types.is_dictionary(each.type) or each.type.num_fields or each.metadata for each in schema
    )
