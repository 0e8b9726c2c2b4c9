"""Parquet: tables by columns."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings, strategies as st

from fileflow_async import formats
from fileflow_async.errors import ConfigError, FormatError
from fileflow_async.formats.arrow import Arrow
from fileflow_async.formats.format import Format
from fileflow_async.formats.package_errors import damage
from fileflow_async.formats.parquet import Parquet
from fileflow_async.testing.format_contract import FormatContract, pieces_of, written
from tests.formats import frames

BOTH = {**frames.FLAT, **frames.NESTED}
PANDAS, POLARS, ARROW = frames.frame(), frames.polars(BOTH), frames.table(BOTH)
FLAT, FLAT_POLARS = frames.table(), frames.polars()
RECORDS = frames.records(BOTH)
TWICE = pa.concat_tables([ARROW, ARROW])
FORMATS: Sequence[Format] = (Parquet(), Arrow())
KINDS: Sequence[Any] = (pd.DataFrame, pl.DataFrame, pa.Table, list)


class TableContract(FormatContract):
    """What parquet and arrow have in common."""

    def samples(self) -> Sequence[tuple[Any, Any]]:
        return [
            (PANDAS, pd.DataFrame),
            (POLARS, pl.DataFrame),
            (ARROW, pa.Table),
            (RECORDS, list),
            ([], list),
            (ARROW.slice(0, 0), pa.Table),
        ]

    def streams(self) -> Sequence[tuple[Sequence[Any], Any, Any]]:
        return [
            (RECORDS, list, RECORDS),
            ([ARROW, *RECORDS], pa.Table, TWICE),
            (ARROW.to_batches(max_chunksize=2), pa.Table, ARROW),
            (
                [{"a": None}, {"a": 1}, {"b": "x"}],
                list,
                [{"a": a, "b": b} for a, b in ((None, None), (1, None), (None, "x"))],
            ),
        ]

    def unwritable(self) -> Sequence[Any]:
        return [
            1,
            None,
            "a",
            {"a": [1]},
            [1],
            [{"a": 1}, {"a": "x"}],
            [{"a": 2**70}],
            pd.DataFrame({"a": [1, "x"]}),
            pd.DataFrame({"a": [2**70]}),
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            pa.table([[1], [2]], names=["a", "a"]),
            pl.DataFrame({"a": [object()]}, schema={"a": pl.Object}),
        ]

    def damaged(self) -> Sequence[bytes]:
        return [b"", b"x", b"PAR1" * 5, b"ARROW1\0\0" * 5, b"\0" * 100]

    def same(self, one: Any, other: Any) -> bool:
        return frames.same(one, other)

    def join(self, batches: Sequence[Any]) -> Any:
        return frames.joined(list(batches))


class TestParquet(TableContract):
    format = Parquet()


class TestArrow(TableContract):
    format = Arrow()


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
@pytest.mark.parametrize(
    "value", [PANDAS, FLAT_POLARS, FLAT, frames.records()], ids=["pandas", "polars", "pyarrow", "list"]
)
async def test_every_package_reads_what_any_has_written(value: Any, format: Format) -> None:
    """Every value as it was."""
    made = await written(value, format)
    expected = [PANDAS, FLAT_POLARS, FLAT, frames.records()]
    for kind, same in zip(KINDS, expected, strict=True):
        assert frames.same(await formats.read(made.data, made.facts, kind), same)
    assert made.summary.rows == 4
    assert [name for name, _ in made.summary.columns or ()] == list(frames.FLAT)


@pytest.mark.parametrize("codec", ["zstd", "snappy", "gzip", "lz4", "none"])
@pytest.mark.parametrize("value", [FLAT, FLAT_POLARS], ids=["pyarrow", "polars"])
async def test_the_columns_are_compressed_as_is_asked_for(codec: Any, value: Any) -> None:
    """Whoever writes."""
    made = await written(value, Parquet(codec=codec))
    found = pyarrow.parquet.read_metadata(io.BytesIO(made.data)).row_group(0).column(2).compression.lower()
    assert found == {"none": "uncompressed"}.get(codec, codec)
    if codec not in ("snappy", "gzip"):
        made = await written(value, Arrow(codec=codec))
        assert frames.same(await formats.read(made.data, made.facts, pa.Table), FLAT)


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
async def test_small_tables_are_put_together_in_groups(
    format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of some megabytes; each that is written has the types of the first."""
    monkeypatch.setattr("fileflow_async.formats.table_files._GATHERED", 1000)
    tables = [pa.table({"a": pa.array(range(start, start + 50), "int64")}) for start in range(0, 500, 50)]
    made = await written(iter(tables), format)
    async with formats.batches(made.data, made.facts, pa.Table) as batches:
        found = [batch async for batch in batches]
    assert pa.concat_tables(found)["a"].to_pylist() == list(range(500))
    assert made.summary.stats["a"] == {"nulls": 0, "sum": 124_750, "min": 0, "max": 499}
    if isinstance(format, Parquet):
        assert 3 <= pyarrow.parquet.read_metadata(io.BytesIO(made.data)).num_row_groups <= 5


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
async def test_types_that_change_later_are_refused(format: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the values fit into the type of the first rows."""
    monkeypatch.setattr("fileflow_async.formats.table_files._GATHERED", 1)
    made = await written(iter([pa.table({"a": [1.5]}), pa.table({"a": [2]})]), format)
    assert await formats.read(made.data, made.facts, list) == [{"a": 1.5}, {"a": 2.0}]
    for later in (pa.table({"a": ["x"]}), pa.table({"a": [1.5]}), pa.table({"b": [1]})):
        with pytest.raises(
            FormatError, match=rf"^format '{format.name}' has one type for each column; later rows"
        ):
            await written(iter([pa.table({"a": [1]}), later]), format)


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
async def test_categories_survive_alone_and_are_written_out_together(format: Format) -> None:
    """Each table has its own."""
    one = pd.DataFrame({"a": pd.Categorical(["x", "y", "x"])})
    made = await written(one, format)
    found = await formats.read(made.data, made.facts, pd.DataFrame)
    assert str(found["a"].dtype) == "category"
    assert made.summary.columns == [("a", "string")]
    made = await written(iter([one, pd.DataFrame({"a": pd.Categorical(["z"])})]), format)
    assert await formats.read(made.data, made.facts, list) == [{"a": each} for each in "xyxz"]


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
async def test_a_lazy_frame_is_collected(format: Format) -> None:
    """It is what polars would write."""
    made = await written(FLAT_POLARS.lazy().head(2), format)
    assert frames.same(await formats.read(made.data, made.facts, pl.DataFrame), FLAT_POLARS.head(2))


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
async def test_polars_needs_no_pyarrow(format: Format, hide: Callable[..., None]) -> None:
    """It writes and reads these files itself."""
    made = await written(FLAT, format)
    hide("pyarrow")
    for data in (made.data, (await written(FLAT_POLARS, format)).data):
        assert frames.same(await formats.read(data, made.facts, pl.DataFrame), FLAT_POLARS)
        assert len(await formats.read(data, made.facts, list)) == 4
        async with formats.batches(data, made.facts, pl.DataFrame) as batches:
            assert [len(batch) async for batch in batches] == [4]
    for work in (
        written([], format),
        written([{"a": 1}], format),
        formats.read(made.data, made.facts, pa.Table),
    ):
        with pytest.raises(ConfigError, match=r"pip install 'fileflow-async\[arrow\]'$"):
            await work


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
async def test_a_missing_package_is_named_with_its_extra(format: Format, hide: Callable[..., None]) -> None:
    """So that whoever reads the log knows what to install."""
    made = await written(FLAT, format)
    hide("polars", "pandas")
    for kind, extra in (("polars", "polars"), ("pandas", "pandas")):
        with pytest.raises(ConfigError) as caught:
            await formats.read(made.data, made.facts, kind)
        assert str(caught.value) == (
            f"reading as {kind}.DataFrame needs {kind}, which is not installed: "
            f"pip install 'fileflow-async[{extra}]'"
        )


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
async def test_nothing_is_parsed_before_all_of_it_is_verified(format: Format) -> None:
    """A parser of binary files need not bear damage."""
    made = await written(FLAT, format)
    parsed: list[str] = []

    class Spied(type(format)):  # type: ignore[misc]
        def read(self, file: Any, kind: Any, facts: Any) -> Any:
            data = file.read()
            parsed.append("whole")
            return data

    async def torn() -> Any:
        async for piece in pieces_of(made.data, 64):
            yield piece
        raise RuntimeError("the hash differs")

    formats.register(Spied(), replace=True)
    try:
        with pytest.raises(RuntimeError, match="hash"):
            await formats.read(torn(), made.facts)
    finally:
        formats.unregister(format.name)
    assert parsed == []


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
async def test_any_flipped_bit_is_an_error_or_another_table_but_no_crash(format: Format) -> None:
    """For those who read what is not verified."""
    made = await written(FLAT, format)
    for position in range(0, len(made.data), 97):
        data = bytearray(made.data)
        data[position] ^= 0x41
        for kind in (pa.Table, list):
            try:
                await formats.read(bytes(data), made.facts, kind)
            except (FormatError, ValueError, OverflowError, UnicodeError):
                continue


COLUMNS = {
    "i": st.none() | st.integers(-(2**63), 2**63 - 1),
    "f": st.none() | st.floats(allow_nan=False),
    "s": st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    "b": st.none() | st.booleans(),
    "d": st.none() | st.dates(),
    "t": st.none() | st.datetimes(),
    "x": st.none() | st.binary(),
}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.fixed_dictionaries(COLUMNS), max_size=6), st.sampled_from(FORMATS), st.integers(1, 500))
async def test_any_records_come_back(records: list[dict[str, Any]], format: Format, size: int) -> None:
    """In order, in batches or whole."""
    made = await written(iter(records), format)
    assert await formats.read(pieces_of(made.data, size), made.facts, list) == records
    async with formats.records(pieces_of(made.data, size), made.facts) as found:
        assert [record async for record in found] == records


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
async def test_frames_of_any_package_can_follow_one_another(format: Format) -> None:
    """With the types of all of them."""
    made = await written(iter([FLAT_POLARS, PANDAS]), format)
    found = await formats.read(made.data, made.facts, list)
    assert [row["integer"] for row in found] == frames.FLAT["integer"] * 2


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
async def test_types_that_only_pandas_has_are_named(format: Format) -> None:
    """Where no value is to blame."""
    frame = pd.DataFrame({"a": pd.interval_range(0, 2)})
    with pytest.raises(FormatError, match=rf"^format '{format.name}' has no types for this frame: "):
        await written(frame, format)


@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
async def test_a_disk_without_room_for_the_copy_is_no_damage(
    format: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An OSError with a number is the operating system's."""
    made = await written(FLAT, format)

    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", refuse)
    async with formats.batches(made.data, made.facts) as batches:
        with pytest.raises(OSError, match="No space left") as caught:
            await anext(aiter(batches))
    assert not isinstance(caught.value, FormatError)


def test_what_pyarrow_cannot_understand_is_told_from_what_the_system_refuses() -> None:
    """Both are an OSError to it; only one has a number."""
    with pytest.raises(FormatError, match=r"^'x' is not valid parquet: strange$"), damage("x", "parquet"):
        raise OSError("strange\nvery")
    with pytest.raises(OSError, match="Input/output error") as caught, damage("x", "parquet"):
        raise OSError(5, "Input/output error")
    assert not isinstance(caught.value, FormatError)
