"""Lines of JSON, one a record."""

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from fileflow_async import formats
from fileflow_async.errors import FormatError
from fileflow_async.formats.jsonl import Jsonl
from fileflow_async.testing.format_contract import FormatContract, pieces_of, written
from tests.formats import frames

FACTS = formats.Facts(format="jsonl", name="data.jsonl")
BOTH = {**frames.FLAT, **frames.NESTED}
PANDAS, POLARS, ARROW = frames.frame(), frames.polars(), frames.table()
NESTED = [frames.frame(BOTH), frames.polars(BOTH), frames.table(BOTH)]
PLAIN = [{"a": 1, "b": "é", "c": [1, {"x": None}]}, {"a": None, "b": ""}, {}]
NOT_FINITE: dict[str, list[Any]] = {"a": [1.5, float("nan")], "b": [float("inf"), None]}


class TestJsonl(FormatContract):
    format = Jsonl()

    def samples(self) -> Sequence[tuple[Any, Any]]:
        return [
            (PLAIN, list),
            (PANDAS, pd.DataFrame),
            (POLARS, pl.DataFrame),
            (ARROW, pa.Table),
            (NESTED[1], pl.DataFrame),
            (NESTED[2], pa.Table),
            ([], list),
        ]

    def streams(self) -> Sequence[tuple[Sequence[Any], Any, Any]]:
        rows = [{"a": 1}, {"a": 2}, {"a": 3}]
        tables = [frames.table({"a": [1]}), frames.polars({"a": [2]}), frames.frame({"a": [3]})]
        return [(PLAIN, list, PLAIN), (tables, list, rows), ([rows[:1], rows[1:]], list, rows)]

    def unwritable(self) -> Sequence[Any]:
        return [
            1,
            None,
            "{}",
            {"a": 1},
            [1],
            [{"a": object()}],
            [{"a": float("nan")}],
            frames.polars(NOT_FINITE),
            frames.table(NOT_FINITE),
            frames.table({"a": [[float("nan")]]}),
            frames.polars({"a": [{"x": float("inf")}]}),
            frames.polars({"a": [b"x"]}),
            frames.table({"a": [b"x"]}),
            [{"a": "\ud800"}],
        ]

    def damaged(self) -> Sequence[bytes]:
        return [b"{", b"[]\n", b"1\n", b'{"a": 1} {"a": 2}\n', b'{"a": NaN}\n', b"\xff\n"]

    def same(self, one: Any, other: Any) -> bool:
        return frames.same(one, other)

    def join(self, batches: Sequence[Any]) -> Any:
        return frames.joined(list(batches))


KINDS: Sequence[Any] = (pd.DataFrame, pl.DataFrame, pa.Table)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "value", [*NESTED, frames.records(BOTH)], ids=["pandas", "polars", "pyarrow", "records"]
)
async def test_every_package_reads_what_any_has_written(value: Any, kind: Any) -> None:
    """With the record, every value is what it was."""
    made = await written(value, Jsonl())
    found = await formats.read(made.data, made.facts, kind)
    assert frames.same(found, NESTED[KINDS.index(kind)])


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_record_texts_stay_texts_and_integers_whole(kind: Any) -> None:
    """Pyarrow would make moments of the ones, and rounded numbers of the others."""
    data = b'{"t": "2026-11-20", "i": 12345678901234567891, "f": 1.5}\n\n{"t": null, "i": 1}\n'
    found = await formats.read(data, FACTS, kind)
    rows = (
        found.to_pylist()
        if kind is pa.Table
        else found.to_dict("records")
        if kind is pd.DataFrame
        else found.to_dicts()
    )
    assert rows[0] == {"t": "2026-11-20", "i": 12345678901234567891, "f": 1.5}
    assert rows[1]["i"] == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_not_finite_is_read_when_asked_for(kind: Any) -> None:
    """Else the line is named in which it stands."""
    data = b'{"a": 1.5}\n{"a": NaN}\n{"a": -Infinity}\n'
    with pytest.raises(
        FormatError, match=r"^'data.jsonl' is not valid JSON in line 2: NaN is not a JSON number"
    ):
        await formats.read(data, FACTS, kind)
    found = await formats.read(data, FACTS, kind, allow_nan=True)
    assert float(found["a"][2] if kind is not pa.Table else found["a"][2].as_py()) == float("-inf")


async def test_what_is_not_finite_is_written_when_asked_for() -> None:
    """From any package; polars alone would make null of it."""
    for value in (frames.polars(NOT_FINITE), frames.table(NOT_FINITE)):
        made = await written(value, Jsonl(allow_nan=True))
        assert made.data == b'{"a":1.5,"b":Infinity}\n{"a":NaN,"b":null}\n'
        with pytest.raises(
            FormatError, match=r"^column 'a' has NaN or infinities; allow_nan=True writes them$"
        ):
            await written(value, Jsonl())


async def test_nan_in_pandas_is_nothing() -> None:
    """There it means a missing value."""
    assert (await written(pd.DataFrame({"a": [1.5, np.nan]}), Jsonl())).data == b'{"a":1.5}\n{"a":null}\n'


async def test_columns_of_objects_that_mix_types_are_written_as_they_are() -> None:
    """Pyarrow has no type for them."""
    frame = pd.DataFrame({"a": [1, "x", None, 2**70], "b": [1.5, 2.5, np.nan, 3.5]})
    made = await written(frame, Jsonl())
    assert made.data.splitlines() == [
        b'{"a":1,"b":1.5}',
        b'{"a":"x","b":2.5}',
        b'{"a":null,"b":null}',
        b'{"a":1180591620717411303424,"b":3.5}',
    ]
    assert (await formats.read(made.data, made.facts, pd.DataFrame))["a"].tolist() == [1, "x", None, 2**70]


async def test_values_of_python_that_json_does_not_have_become_texts_or_numbers() -> None:
    """Those that every program understands."""
    row = {
        "date": date(2026, 11, 20),
        "moment": datetime(2026, 11, 20, 10, 15),
        "length": timedelta(seconds=1),
        "decimal": Decimal("1.50"),
        "uuid": UUID(int=1),
        "numpy": np.int64(7),
        "array": np.array([1, 2]),
        "missing": [pd.NA, pd.NaT],
    }
    (line,) = (await written([row], Jsonl())).data.splitlines()
    assert json.loads(line) == {
        "date": "2026-11-20",
        "moment": "2026-11-20T10:15:00",
        "length": 1_000_000,
        "decimal": "1.50",
        "uuid": "00000000-0000-0000-0000-000000000001",
        "numpy": 7,
        "array": [1, 2],
        "missing": [None, None],
    }


async def test_an_error_tells_the_line_however_far_down() -> None:
    """In all batches together."""
    data = b'{"a": 1}\n' * 5 + b"\n" + b'{"a": \n'
    with pytest.raises(FormatError, match=r"^'data.jsonl' is not valid JSON in line 7: Expecting value"):
        await formats.read(data, FACTS)
    async with formats.records(pieces_of(data, 9), FACTS) as records:
        with pytest.raises(FormatError, match="line 7"):
            assert [record async for record in records] == []


async def test_a_file_without_lines_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before."""
    monkeypatch.setattr("fileflow_async.formats.jsonl_reading.LONGEST", 1000)
    monkeypatch.setattr("fileflow_async.formats.jsonl_reading.PIECE", 100)
    async with formats.batches(pieces_of(b"[" * 5000, 100), FACTS) as batches:
        with pytest.raises(FormatError, match=r"^'data.jsonl' has a line of more than 1000 bytes$"):
            await anext(aiter(batches))


async def test_without_the_packages_it_works_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """And gives the same."""
    made = await written(ARROW, Jsonl())
    monkeypatch.setattr("fileflow_async.formats.jsonl.is_installed", lambda package: False)
    monkeypatch.setattr("fileflow_async.formats.jsonl_reading.is_installed", lambda package: False)
    slow = await written(ARROW, Jsonl())
    assert [json.loads(line)["integer"] for line in slow.data.splitlines()] == frames.FLAT["integer"]
    for data in (made.data, slow.data):
        assert frames.same(await formats.read(data, made.facts, pa.Table), ARROW)
        assert frames.same(await formats.read(data, made.facts, pd.DataFrame), PANDAS)


async def test_no_data_has_the_columns_of_its_record() -> None:
    """And their types."""
    facts = formats.Facts(format="jsonl", columns=[("a", "int64"), ("b", "string")])
    for kind in KINDS:
        assert list((await formats.read(b"", facts, kind)).columns if kind is not pa.Table else "ab") == [
            "a",
            "b",
        ]


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
RECORDS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "ü", "c d"]), VALUES), max_size=8)


@settings(deadline=None, max_examples=80)
@given(RECORDS, st.sampled_from([None, "gzip"]), st.integers(1, 60))
async def test_any_records_come_back(
    records: list[dict[str, Any]], compression: str | None, size: int
) -> None:
    """However they are cut."""
    made = await written(iter(records), Jsonl(), compression=compression)
    assert await formats.read(pieces_of(made.data, size), made.facts) == records
    async with formats.records(pieces_of(made.data, size), made.facts) as found:
        assert [record async for record in found] == records
    assert made.summary.rows == len(records)


async def test_a_value_that_contradicts_the_record_is_an_error() -> None:
    """Whichever package notices."""
    facts = formats.Facts(format="jsonl", name="data.jsonl", columns=[("a", "int64")])
    for kind in (pl.DataFrame, pa.Table):
        with pytest.raises(FormatError, match=r"^'data.jsonl' (is not valid jsonl|cannot be made a)"):
            await formats.read(b'{"a": 1}\n{"a": "x"}\n', facts, kind)


async def test_half_precision_and_other_mappings_come_back() -> None:
    """And no rows at all."""
    table = pa.table({"half": pa.array([0.5, None], "halffloat")})
    made = await written(table, Jsonl())
    assert (await formats.read(made.data, made.facts, pa.Table)).to_pylist() == table.to_pylist()
    assert (await formats.read(made.data, made.facts, pl.DataFrame))["half"].to_list() == [0.5, None]
    made = await written([{"a": MappingProxyType({"b": 1})}], Jsonl())
    assert made.data == b'{"a":{"b":1}}\n'
    assert (await written(POLARS.head(0), Jsonl())).data == b""
