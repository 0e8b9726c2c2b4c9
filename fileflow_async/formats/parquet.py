"""Parquet: tables by columns, compressed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, ClassVar, Literal

from fileflow_async.formats.files import all_of
from fileflow_async.formats.format import Facts, Format, Summary
from fileflow_async.formats.kinds import Kind
from fileflow_async.formats.measure import Measure, of_polars
from fileflow_async.formats.package_errors import damage
from fileflow_async.formats.packages import is_installed, needed
from fileflow_async.formats.table_files import (
    BATCH,
    POLARS_GROUP,
    gathered,
    polars_frame,
    spooled,
    write_tables,
)
from fileflow_async.formats.tables import of_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Parquet(Format):
    """A frame of pandas, polars or pyarrow, records, or an iterable of any of them that have the same types.

    Attributes:
        codec: How its columns are compressed.
    """

    name: ClassVar[str] = "parquet"
    extensions: ClassVar[tuple[str, ...]] = ("parquet", "pq")
    content_type: ClassVar[str] = "application/vnd.apache.parquet"
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.PANDAS, Kind.POLARS, Kind.ARROW, Kind.RECORDS)
    is_compressible: ClassVar[bool] = False

    codec: Literal["zstd", "snappy", "gzip", "lz4", "none"] = "zstd"

    def write(self, value: Any, file: IO[bytes]) -> Summary:
        """Write a table.

        Raises:
            FormatError: It is none, or a column has values of several types.
            ConfigError: pyarrow is not installed; only for polars' frames it is not needed.
        """
        if (frame := polars_frame(value)) is not None:
            codec: Any = "uncompressed" if self.codec == "none" else self.codec
            frame.write_parquet(file, compression=codec, row_group_size=POLARS_GROUP)
            measure = Measure()
            measure.add(len(frame), of_polars(frame))
            return measure.summary()

        def open_writer(schema: Any) -> Any:
            import pyarrow.parquet

            return pyarrow.parquet.ParquetWriter(file, schema, compression=self.codec)

        return write_tables(value, self.name, open_writer)

    def read(self, file: IO[bytes], kind: Any, facts: Facts) -> Any:
        """Return the table; its bytes have all been verified before the first is looked at.

        Raises:
            FormatError: It is not valid parquet.
        """
        if kind is Kind.POLARS:
            return _by_polars(all_of(file, facts.length))
        if kind is Kind.RECORDS and not is_installed("pyarrow"):
            return _by_polars(all_of(file, facts.length)).to_dicts()
        with needed("reading parquet"):
            import pyarrow as pa
            import pyarrow.parquet
        source = pa.BufferReader(gathered(file, facts.length))
        with damage(facts.name, self.name):
            return of_table(pyarrow.parquet.read_table(source), kind)

    def batches(self, file: IO[bytes], kind: Any, facts: Facts) -> Iterator[Any]:
        """Return some rows at a time, from a temporary file: what is in parquet stands at its end."""
        if not is_installed("pyarrow"):
            yield self.read(file, kind, facts)
            return
        import pyarrow as pa
        import pyarrow.parquet

        with spooled(file) as copy, damage(facts.name, self.name):
            for batch in pyarrow.parquet.ParquetFile(copy).iter_batches(BATCH):
                yield of_table(pa.Table.from_batches([batch]), kind)


def _by_polars(data: bytes) -> Any:
    with needed("reading as polars.DataFrame"):
        import polars as pl
    return pl.read_parquet(data)
