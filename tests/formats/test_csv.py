"""Comma-separated text: exact, whichever package writes and whichever reads."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from fileflow_async import formats
from fileflow_async.errors import ConfigError, FormatError
from fileflow_async.formats.csv import Csv
from fileflow_async.testing.format_contract import FormatContract, pieces_of, written
from tests.formats import frames

# Made here and not in a test: whoever makes a table may read the files of time zones, which blocks the loop.
PANDAS, POLARS, ARROW, RECORDS = frames.frame(), frames.polars(), frames.table(), frames.records()
TWICE = frames.table({name: values * 2 for name, values in frames.FLAT.items()})
NESTED = [
    make({name: values})
    for name, values in frames.NESTED.items()
    for make in (frames.table, frames.frame, frames.polars, frames.records)
]


class TestCsv(FormatContract):
    format = Csv()

    def samples(self) -> Sequence[tuple[Any, Any]]:
        return [
            (PANDAS, "pandas"),
            (POLARS, pl.DataFrame),
            (ARROW, "pyarrow"),
            (RECORDS, list),
            ([], list),
            (ARROW.slice(0, 0), "pyarrow"),
        ]

    def streams(self) -> Sequence[tuple[Sequence[Any], Any, Any]]:
        return [
            (RECORDS, list, RECORDS),
            ([RECORDS[:1], RECORDS[1:]], list, RECORDS),
            ([ARROW, PANDAS, POLARS], list, RECORDS * 3),
            ([POLARS, *RECORDS], "pyarrow", TWICE),
        ]

    def unwritable(self) -> Sequence[Any]:
        return [
            1,
            None,
            "a,b",
            b"a,b",
            {"a": [1]},
            [1],
            *NESTED,
            [{"a": b"x"}],
            frames.table({"a": [b"x"]}),
            [*[{"a": 1}] * 9000, {"b": 1}],
            [frames.table({"a": [1]}), frames.table({"b": [1]})],
            [{"a": "\ud800"}],
        ]

    def damaged(self) -> Sequence[bytes]:
        return [b"a,b\n1\n", b"a,b\n1,2,3\n", b"a\n\xff\n", b"a,a\n1,2\n"]

    def same(self, one: Any, other: Any) -> bool:
        return frames.same(one, other)

    def join(self, batches: Sequence[Any]) -> Any:
        return frames.joined(list(batches))


CSV = formats.Facts(format="csv", name="data.csv")
EXPECTED: dict[Any, Any] = {pd.DataFrame: PANDAS, pl.DataFrame: POLARS, pa.Table: ARROW, list: RECORDS}


@pytest.mark.parametrize("kind", EXPECTED, ids=str)
@pytest.mark.parametrize(
    "value", [PANDAS, POLARS, ARROW, RECORDS], ids=["pandas", "polars", "pyarrow", "records"]
)
async def test_every_package_reads_what_any_has_written(value: Any, kind: Any) -> None:
    """With the record, every value is what it was: nothing is nothing, "" is a text, 007 keeps its zeros."""
    made = await written(value, Csv())
    assert frames.same(await formats.read(made.data, made.facts, kind), EXPECTED[kind])
    async with formats.batches(pieces_of(made.data, 100), made.facts, kind) as batches:
        assert frames.same(frames.joined([batch async for batch in batches]), EXPECTED[kind])


@pytest.mark.parametrize("kind", EXPECTED, ids=str)
@pytest.mark.parametrize("value", [PANDAS, RECORDS], ids=["pandas", "records"])
async def test_without_pyarrow_it_works_cell_by_cell(
    value: Any, kind: Any, hide: Callable[..., None]
) -> None:
    """And gives the same."""
    if kind is pa.Table:
        pytest.skip("there is none without pyarrow")
    hide("pyarrow")
    made = await written(value, Csv())
    assert frames.same(await formats.read(made.data, made.facts, kind), EXPECTED[kind])
    async with formats.batches(pieces_of(made.data, 100), made.facts, kind) as batches:
        assert frames.same(frames.joined([batch async for batch in batches]), EXPECTED[kind])


async def test_without_any_package_records_are_written_and_read(hide: Callable[..., None]) -> None:
    """A table of another kind names what it needs."""
    hide("pyarrow", "pandas", "polars")
    made = await written(RECORDS, Csv())
    assert await formats.read(made.data, made.facts, list) == RECORDS
    for kind, extra in (("pandas", "pandas"), ("polars", "polars"), ("pyarrow", "arrow")):
        with pytest.raises(ConfigError, match=rf"pip install 'fileflow-async\[{extra}\]'$"):
            await formats.read(made.data, CSV, kind)


async def test_records_without_a_commit_record_are_of_texts() -> None:
    """As in any other program; only that nothing is None."""
    data = b'a,b,c\r\n1,,""\r\n"x""y",2026-11-20,NA\n'
    assert await formats.read(data, CSV, list) == [
        {"a": "1", "b": None, "c": ""},
        {"a": 'x"y', "b": "2026-11-20", "c": "NA"},
    ]


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
async def test_tables_without_a_commit_record_have_types_that_suit_all_values(kind: str) -> None:
    """But no number is rounded: integers beyond 64 bits stay whole."""
    rows = ["1,1.5,12345678901234567891,2026-11-20,true,x,1e300", "-2,,,,,,", "3,inf,1,2026-11-21,false,1,2"]
    data = "\n".join(["i,f,big,d,t,s,large", *rows, ""]).encode()
    table = await formats.read(data, CSV, kind)
    columns = {
        name: list(table[name].to_pylist() if kind == "pyarrow" else table[name])
        for name in ["i", "f", "big", "d", "s"]
    }
    assert columns["i"] == [1, -2, 3]
    assert columns["f"][0] == 1.5
    assert [int(value) for value in (columns["big"][0], columns["big"][2])] == [12345678901234567891, 1]
    assert columns["d"][0] == date(2026, 11, 20)
    assert columns["s"][2] == "1"


async def test_large_numbers_that_are_no_integers_stay_numbers() -> None:
    """The second look costs time, and changes nothing."""
    table = await formats.read(b"a\n1e300\n1.5\n", CSV, "pyarrow")
    assert table["a"].to_pylist() == [1e300, 1.5]


async def test_integers_that_are_missing_do_not_round_the_others() -> None:
    """Pandas has floating point numbers for such columns; here only where they are exact."""
    made = await written([{"a": 2**53 + 1, "b": 1}, {"a": None, "b": None}], Csv())
    frame = await formats.read(made.data, made.facts)
    assert frame["a"].tolist() == [2**53 + 1, pd.NA]
    assert str(frame["b"].dtype) == "float64"
    small = pa.table({"a": pa.array([2**64 - 1, None], "uint64")})
    made = await written(small, Csv())
    assert (await formats.read(made.data, made.facts))["a"].tolist() == [2**64 - 1, pd.NA]


MIXED: dict[str, list[Any]] = {
    "mixed": [1, "x", None, 2.5],
    "big": [2**70, None, -1, 0],
    "days": [date(2026, 11, 20), datetime(2026, 11, 20, 10, 15), None, None],
    "truths": [True, 2, None, "x"],
    "uuid": [UUID(int=1), None, UUID(int=2), None],
}


async def test_columns_of_objects_that_pyarrow_would_change_are_written_value_by_value() -> None:
    """It makes days of moments, and fails for the others; the rest of the frame it writes all the same."""
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in MIXED.items()})
    frame["plain"] = [0.1, 0.2, float("nan"), 1e300]
    made = await written(frame, Csv())
    assert [type for _, type in made.summary.columns or ()] == [
        "mixed",
        "integer",
        "mixed",
        "mixed",
        "string",
        "double",
    ]
    assert made.data.decode().splitlines() == [
        "mixed,big,days,truths,uuid,plain",
        '"1","1180591620717411303424","2026-11-20","true","00000000-0000-0000-0000-000000000001",0.1',
        '"x",,"2026-11-20 10:15:00","2",,0.2',
        ',"-1",,,"00000000-0000-0000-0000-000000000002",',
        '"2.5","0",,"x",,1e+300',
    ]
    found = await formats.read(made.data, made.facts)
    assert found["big"].tolist() == MIXED["big"]
    assert found["mixed"].tolist()[:2] == ["1", "x"]
    assert made.summary.stats["big"] == {"nulls": 1, "sum": 2**70 - 1, "min": -1, "max": 2**70}


async def test_types_that_only_pandas_has_are_written_as_their_text() -> None:
    """Periods, intervals."""
    frame = pd.DataFrame({"a": pd.period_range("2026-11", periods=2, freq="M"), "b": pd.interval_range(0, 2)})
    made = await written(frame, Csv())
    assert made.data.decode().splitlines()[1:] == ['"2026-11","(0, 1]"', '"2026-12","(1, 2]"']


async def test_nan_means_nothing_in_pandas_and_itself_elsewhere() -> None:
    """In records it is nothing beside texts: so pandas tells it."""
    values: dict[str, list[Any]] = {"a": [float("nan"), 1.5]}
    assert (await written(pd.DataFrame(values), Csv())).data == b"a\n\n1.5\n"
    for value in (pa.table(values), pl.DataFrame(values), frames.records(values)):
        made = await written(value, Csv())
        found = await formats.read(made.data, made.facts, list)
        assert math.isnan(found[0]["a"])
        assert made.summary.stats["a"] == {"nulls": 1, "sum": 1.5, "min": 1.5, "max": 1.5}
    made = await written([{"a": "x"}, {"a": float("nan")}, {"a": None}], Csv())
    assert made.data == b"a\nx\n\n\n"
    assert made.summary.columns == [("a", "string")]


@pytest.mark.parametrize("kind", EXPECTED, ids=str)
async def test_in_a_single_column_an_empty_line_is_a_row(kind: Any) -> None:
    """If the column is known; in a file of others it is an empty line."""
    values: dict[str, list[Any]] = {"a": [None, "", "x", None]}
    for value in (frames.records(values), frames.table(values), frames.polars(values), frames.frame(values)):
        made = await written(value, Csv())
        found = await formats.read(made.data, made.facts, kind)
        assert len(found) == 4
        assert len(await formats.read(made.data, CSV, kind)) == 2


async def test_what_the_original_wrote_can_be_read() -> None:
    """A mark of the byte order, carriage returns, blank lines, no line end at the end."""
    for data in (b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4", b"a,b\r1,2\r3,4\r", b'\xef\xbb\xbf"a",b\n1,2\n\n3,4'):
        assert await formats.read(data, CSV, list) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
        assert (await formats.read(data, CSV, "pandas")).to_dict("list") == {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize("kind", EXPECTED, ids=str)
async def test_a_file_with_nothing_but_a_header_is_a_table_without_rows(kind: Any) -> None:
    """And one without a header has no columns."""
    facts = formats.Facts(format="csv", columns=[("a", "int64"), ("b", "string")])
    for data in (b"a,b\n", b"a,b", b'"a","b"\r\n'):
        for known in (facts, CSV):
            assert len(await formats.read(data, known, kind)) == 0
            if kind is not list:
                table = await formats.read(data, known, kind)
                assert list(table.column_names if kind is pa.Table else table.columns) == ["a", "b"]
    assert len(await formats.read(b"", CSV, kind)) == 0
    async with formats.batches(b"", CSV, kind) as batches:
        assert [batch async for batch in batches] == []


async def test_a_cell_that_contradicts_the_record_is_named() -> None:
    """By its column, and what was expected."""
    facts = formats.Facts(format="csv", name="data.csv", columns=[("a", "int64"), ("b", "date32[day]")])
    with pytest.raises(FormatError) as caught:
        await formats.read(b"a,b\n1,2026-11-20\nx,2026-11-20\n", facts, list)
    assert str(caught.value) == "'data.csv' has 'x' in column 'a'; expected int64"
    for kind in ("pandas", "polars", "pyarrow"):
        with pytest.raises(FormatError, match=r"^'data.csv' is not valid csv: .*x"):
            await formats.read(b"a,b\n1,2026-11-20\nx,2026-11-20\n", facts, kind)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,b\n1,2\n3\n", "row 3 has 1 cells, its header 2"),
        (b'a,b\n1,"x\n', "in row 2: a quote is out of place"),
        (b'a,b\n1,2\n"x"y,2\n', "in row 3: a quote is out of place"),
        (b"a,b\n\xff,1\n", "'data.csv' is not valid utf-8 at byte 4"),
        (b"a,a\n1,2\n", "it has two columns 'a'"),
    ],
)
async def test_an_error_tells_the_row(data: bytes, message: str) -> None:
    """However the bytes arrive."""
    for source in (data, pieces_of(data, 1), pieces_of(data, 5)):
        with pytest.raises(FormatError) as caught:
            await formats.read(source, CSV, list)
        assert message in str(caught.value)


async def test_a_quote_that_is_never_closed_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before."""
    monkeypatch.setattr("fileflow_async.formats.cells.LONGEST", 1000)
    monkeypatch.setattr("fileflow_async.formats.csv_reading._TEXTS", 100)
    async with formats.batches(pieces_of(b'a\n"' + b"x" * 5000, 100), CSV, list) as batches:
        with pytest.raises(FormatError, match=r"^'data.csv' has a row of more than 1000 characters"):
            [batch async for batch in batches]


async def test_an_index_with_a_name_is_written_and_one_that_only_counts_is_not() -> None:
    """One with values and no name cannot be: whoever wrote it would not get it back."""
    frame = pd.DataFrame({"a": [1, 2, 3]})
    assert (await written(frame[frame["a"] > 1], Csv())).data == b"a\n2\n3\n"
    named = frame.set_index(pd.Index(["x", "y", "z"], name="key"))
    assert (await written(named, Csv())).data == b'key,a\n"x",1\n"y",2\n"z",3\n'
    for format in ("csv", "jsonl", "parquet", "arrow", "json"):
        with pytest.raises(FormatError, match="the index of the frame has values, but no name") as caught:
            await written(frame.set_index(pd.Index(["x", "y", "z"])), formats.get(format))
        assert "rename_axis" in caught.value.__notes__[0]
    assert (await written(pd.DataFrame({0: [1]}), Csv())).data == b"0\n1\n"
    with pytest.raises(FormatError, match="there are two '0'"):
        await written(pd.DataFrame([[1, 2]], columns=[0, "0"]), Csv())


async def test_lengths_of_time_of_several_units_are_not_mixed() -> None:
    """As numbers they would mean different things."""
    tables = [pa.table({"a": pa.array([1], f"duration[{unit}]")}) for unit in ("s", "ms")]
    with pytest.raises(
        FormatError, match=r"^column 'a' has lengths of time of type duration\[s\], later ones of"
    ):
        await written(iter(tables), Csv())


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
async def test_every_unit_of_time_comes_back(unit: Any) -> None:
    """From pyarrow; polars has no seconds."""
    stamps = pa.array([0, 1_700_000_000, None], "int64")
    table = pa.table(
        {
            "moment": stamps.cast(pa.timestamp(unit)),
            "zoned": stamps.cast(pa.timestamp(unit, "Europe/Berlin")),
            "length": stamps.cast(pa.duration(unit)),
            "time": pa.array([0, 1, None]).cast("int32").cast("time32[s]") if unit == "s" else [None] * 3,
        }
    )
    for format in ("csv", "jsonl"):
        made = await written(table, formats.get(format))
        assert (await formats.read(made.data, made.facts, pa.Table)).equals(table)
        found = await formats.read(made.data, made.facts, pl.DataFrame)
        assert found["moment"].to_list() == pl.DataFrame(table)["moment"].to_list()
        assert found["length"].to_list() == pl.DataFrame(table)["length"].to_list()
        if unit != "ns":
            assert (await formats.read(made.data, made.facts, list))[1]["moment"]


@pytest.mark.parametrize(
    ("text", "type", "moment"),
    [
        ("2026-11-20T10:00:00.123456789", "timestamp[us]", datetime(2026, 11, 20, 10, 0, 0, 123456)),
        ("2026-11-20T10:00:00Z", "timestamp[us, tz=UTC]", datetime(2026, 11, 20, 10, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("hidden", [(), ("pyarrow",)], ids=["pyarrow", "polars"])
async def test_a_moment_is_read_as_others_write_it_too(
    text: str, type: str, moment: datetime, hidden: tuple[str, ...], hide: Callable[..., None]
) -> None:
    """By pyarrow, which is the faster; what that does not take, such as finer units, polars may."""
    hide(*hidden)
    facts = formats.Facts(format="csv", columns=[("at", type)])
    found = await formats.read(f"at\n{text}\n".encode(), facts, pl.DataFrame)
    assert found["at"].to_list() == [moment]


async def test_half_precision_and_wide_decimals_come_back() -> None:
    """Csv is not converted to the one, and polars has no room for the other."""
    table = pa.table(
        {
            "half": pa.array([0.5, None], "halffloat"),
            "wide": pa.array([Decimal(10**60) / 100, None], pa.decimal256(70, 2)),
        }
    )
    made = await written(table, Csv())
    assert (await formats.read(made.data, made.facts, pa.Table)).to_pylist() == table.to_pylist()
    assert (await formats.read(made.data, made.facts, list))[0]["wide"] == Decimal(10**58)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('",\r\n\0 é\ufeff'))
CELLS: dict[str, Any] = {
    "i": st.none() | st.integers(-(2**63), 2**63 - 1),
    "big": st.none() | st.integers(),
    "f": st.none() | st.floats(allow_nan=False),
    "s": st.none() | TEXTS,
    "b": st.none() | st.booleans(),
    "d": st.none() | st.dates(),
    "t": st.none() | st.datetimes(),
    "z": st.none() | st.datetimes(timezones=st.just(UTC)),
    "x": st.none()
    | st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9),
}
ANY_RECORDS = st.sets(st.sampled_from(sorted(CELLS)), min_size=1).flatmap(
    lambda names: st.lists(
        st.fixed_dictionaries({name: CELLS[name] for name in sorted(names)}), min_size=1, max_size=6
    )
)


@settings(deadline=None, max_examples=150)
@given(ANY_RECORDS, st.integers(1, 80), st.sampled_from([None, "utf-16", "gb18030"]))
async def test_any_records_come_back(records: list[dict[str, Any]], size: int, encoding: str | None) -> None:
    """Cell by cell, however they are cut, in any encoding that has words for them."""
    made = await written(iter(records), Csv(), encoding=encoding)
    assert await formats.read(pieces_of(made.data, size), made.facts, list) == records
    async with formats.records(pieces_of(made.data, size), made.facts) as found:
        assert [record async for record in found] == records


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(ANY_RECORDS)
async def test_any_records_are_the_same_to_every_package(records: list[dict[str, Any]]) -> None:
    """What cell by cell has written, pyarrow and polars read; what they write, all read."""
    made = await written(records, Csv())
    table = await formats.read(made.data, made.facts, pa.Table)
    plain = [{name: _integer(value, name) for name, value in row.items()} for row in table.to_pylist()]
    assert plain == records
    frame = await formats.read(made.data, made.facts, pd.DataFrame)
    for again in (table, frame):
        other = await written(again, Csv())
        back = await formats.read(other.data, other.facts, list)
        assert [{name: _integer(value, name) for name, value in row.items()} for row in back] == records


def _integer(value: Any, name: str) -> Any:
    return int(value) if name == "big" and value is not None else value


async def test_one_header_serves_all_parts() -> None:
    """Parts of other columns are refused."""
    for parts in (
        [POLARS, POLARS.select("integer")],
        [ARROW, pa.table({"x": [1]})],
        [PANDAS, PANDAS[["real"]]],
    ):
        with pytest.raises(FormatError, match=r"^csv has one header: .*; further rows have the columns "):
            await written(iter(parts), Csv())


async def test_a_lazy_frame_is_collected() -> None:
    """As polars would to write it."""
    made = await written(POLARS.lazy().select("integer").head(1), Csv())
    assert made.data == b"integer\n1\n"


async def test_moments_of_pandas_keep_their_nanoseconds_in_records() -> None:
    """And times of day with a zone stay texts."""
    rows = [{"a": pd.Timestamp(1), "b": pd.Timestamp(1, tz="UTC"), "c": time(1, tzinfo=UTC), "d": pd.NaT}]
    made = await written(rows, Csv())
    assert made.summary.columns == [
        ("a", "timestamp[ns]"),
        ("b", "timestamp[ns, tz=UTC]"),
        ("c", "mixed"),
        ("d", "null"),
    ]
    table = await formats.read(made.data, made.facts, pa.Table)
    assert [table[name].cast("int64")[0].as_py() for name in "ab"] == [1, 1]
    mixed = await written([{"a": datetime(2026, 1, 1)}, {"a": datetime(2026, 1, 1, tzinfo=UTC)}], Csv())
    assert mixed.summary.columns == [("a", "mixed")]


async def test_an_integer_of_thousands_of_digits_is_refused() -> None:
    """Python does not write it."""
    with pytest.raises(FormatError, match=r"^column 'a' cannot be written as csv: Exceeds the limit"):
        await written([{"a": 10**5000}, {"a": "x"}], Csv())
    facts = formats.Facts(format="csv", columns=[("a", "integer"), ("b", "string")])
    with pytest.raises(FormatError, match=r"in column 'a'; expected integer$"):
        await formats.read(b"a,b\n" + b"1" * 5000 + b",x\n", facts, list)


async def test_numbers_of_numpy_are_numbers() -> None:
    """Their sums do not overflow."""
    rows = [{"a": np.int64(2**62), "b": np.float32(0.1), "c": np.bool_(True)}] * 4
    made = await written(rows, Csv())
    assert made.data.splitlines()[1] == b"4611686018427387904,0.10000000149011612,true"
    assert made.summary.columns == [("a", "int64"), ("b", "double"), ("c", "bool")]
    assert made.summary.stats["a"]["sum"] == 2**64
    assert made.summary.stats["c"]["sum"] == 4


async def test_lines_that_are_empty_before_the_header_are_none_of_it() -> None:
    """Nor are those between the rows counted as rows."""
    for source in (b"\n\na,b\n\n1,2\n", pieces_of(b"\n\r\na,b\n\n1,2\n", 1)):
        assert await formats.read(source, CSV, list) == [{"a": "1", "b": "2"}]
    assert await formats.read(b"\n\n", CSV, list) == []
    with pytest.raises(FormatError, match="row 5 has 1 cells"):
        await formats.read(b"\na,b\n\n1,2\n3\n", CSV, list)
