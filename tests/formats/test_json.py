"""JSON: one value."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from fileflow_async import formats
from fileflow_async.errors import FormatError
from fileflow_async.formats.json import Json
from fileflow_async.testing.format_contract import FormatContract, pieces_of, written

FACTS = formats.Facts(format="json", name="data.json")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=20,
).filter(lambda value: "\\ud" not in json.dumps(value))


class TestJson(FormatContract):
    format = Json()

    def samples(self) -> Sequence[tuple[Any, Any]]:
        return [
            ({"a": [1, 2.5, None, True, "é"], "": {}}, dict),
            ([{"a": 1}, {"a": 2}], list),
            ("text", None),
            (2**100, object),
            (None, Any),
        ]

    def unwritable(self) -> Sequence[Any]:
        nested: list[Any] = []
        for _ in range(100_000):
            nested = [nested]
        return [{1, 2}, object(), float("nan"), [float("inf")], {"a": b"x"}, {(1, 2): 3}, "\ud800", nested]

    def damaged(self) -> Sequence[bytes]:
        digits = b"1" * 5000
        return [b"", b"{", b"{}x", b"\xff", b"NaN", b"[Infinity]", b"[" * 100_000, b"{'a': 1}", digits]

    def join(self, batches: Sequence[Any]) -> Any:
        (value,) = batches
        return value


async def test_nan_is_written_and_read_when_asked_for() -> None:
    """It is no JSON, but some need it."""
    made = await written([float("inf"), float("-inf")], Json(allow_nan=True))
    assert made.data == b"[Infinity,-Infinity]"
    assert await formats.read(made.data, FACTS, allow_nan=True) == [float("inf"), float("-inf")]
    with pytest.raises(FormatError) as caught:
        await formats.read(b'{"a": NaN}', FACTS)
    assert str(caught.value) == (
        "'data.json' is not valid JSON: NaN is not a JSON number; allow_nan=True accepts it"
    )


async def test_lines_are_indented_when_asked_for() -> None:
    """For people to read."""
    assert (await written({"a": 1}, Json(indent=2))).data == b'{\n  "a": 1\n}'
    assert (await written({"a": [1, "é"]}, Json())).data == '{"a":[1,"é"]}'.encode()


_CUT = "'data.json' is not valid JSON: Expecting ',' delimiter: line 1 column 8 (char 7)"


@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        (b'{"a": "\xff"}', None, "'data.json' is not valid utf-8 at byte 7"),
        (b'{"a": "\xff"}', "ascii", "'data.json' is not valid ascii at byte 7"),
        (
            b'{"a": 1',
            None,
            "'data.json' is not valid JSON: Expecting ',' delimiter: line 1 column 8 (char 7)",
        ),
    ],
)
async def test_an_error_tells_the_place(data: bytes, encoding: str | None, message: str) -> None:
    """Row 47, and where the text stops being JSON."""
    facts = formats.Facts(format="json", name="data.json", encoding=encoding)
    with pytest.raises(FormatError) as caught:
        await formats.read(data, facts)
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", [dict, list])
async def test_another_value_than_was_asked_for_is_an_error(kind: Any) -> None:
    """Whoever asks for a dict goes on with one."""
    data = b"[]" if kind is dict else b"{}"
    with pytest.raises(FormatError, match=r"^'data.json' holds a JSON (list|dict); expected a (dict|list)$"):
        await formats.read(data, FACTS, kind)


async def test_a_mark_of_the_byte_order_is_no_part_of_the_value() -> None:
    """Some programs write one before UTF-8."""
    assert await formats.read(b'\xef\xbb\xbf{"a": 1}', FACTS) == {"a": 1}


async def test_a_list_of_objects_is_a_table() -> None:
    """With what is missing missing, and integers as large as they are."""
    data = json.dumps([{"a": 2**70, "b": "x"}, {"a": 1, "c": [1]}]).encode()
    frame = await formats.read(data, FACTS, pd.DataFrame)
    assert frame["a"].tolist() == [2**70, 1]
    assert (await formats.read(data, FACTS, pl.DataFrame)).to_dicts() == [
        {"a": 2**70, "b": "x", "c": None},
        {"a": 1, "b": None, "c": [1]},
    ]
    table = await formats.read(data, FACTS, pa.Table)
    assert [int(value) for value in table["a"].to_pylist()] == [2**70, 1]


async def test_a_list_of_something_else_is_no_table() -> None:
    """The first that is wrong is told."""
    with pytest.raises(FormatError, match=r"^'data.json' has a JSON int as record 2; expected an object$"):
        await formats.read(b'[{"a": 1}, 2]', FACTS, pd.DataFrame)
    with pytest.raises(FormatError, match=r"^'data.json' cannot be made a pyarrow.Table: "):
        await formats.read(b'[{"a": 1}, {"a": "x"}]', FACTS, pa.Table)


async def test_a_frame_is_written_as_a_list_of_objects() -> None:
    """As jsonl writes it, but as one value."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    for value in (frame, pl.from_pandas(frame), pa.Table.from_pandas(frame)):
        assert (await written(value, Json())).data == b'[{"a":1,"b":"x"},{"a":2,"b":null}]'


@settings(deadline=None, max_examples=80)
@given(VALUES, st.sampled_from([None, "utf-16", "utf-8-sig"]), st.integers(1, 100))
async def test_any_value_comes_back(value: Any, encoding: str | None, size: int) -> None:
    """However it is encoded, and cut."""
    made = await written(value, Json(), encoding=encoding)
    assert await formats.read(pieces_of(made.data, size), made.facts) == value
