"""Kinds of values, known without importing any package."""

from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fileflow_async.errors import ConfigError
from fileflow_async.formats.kinds import Kind, check_kind, kind_of, kind_of_value


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        (pd.DataFrame, Kind.PANDAS),
        ("pandas", Kind.PANDAS),
        ("pandas.DataFrame", Kind.PANDAS),
        ("pd.DataFrame", Kind.PANDAS),
        (pl.DataFrame, Kind.POLARS),
        ("polars.DataFrame", Kind.POLARS),
        ("pl.DataFrame", Kind.POLARS),
        (pa.Table, Kind.ARROW),
        ("pyarrow", Kind.ARROW),
        ("pa.Table", Kind.ARROW),
        (pa.RecordBatch, Kind.ARROW),
        (list, Kind.RECORDS),
        (list[dict[str, Any]], Kind.RECORDS),
        ("records", Kind.RECORDS),
        (dict, Kind.MAPPING),
        (dict[str, int], Kind.MAPPING),
        (Mapping[str, Any], Kind.MAPPING),
        (Any, Kind.ANY),
        (object, Kind.ANY),
        ("json", Kind.ANY),
        (str, Kind.TEXT),
        ("text", Kind.TEXT),
        (bytes, Kind.BYTES),
        (Iterator[dict[str, Any]], Kind.ITERATOR),
        (AsyncIterator, Kind.ITERATOR),
        (Iterable, Kind.ITERATOR),
        (Generator, Kind.ITERATOR),
        ("iterator", Kind.ITERATOR),
        (Kind.ARROW, Kind.ARROW),
        (None, None),
        ("DataFrame", None),
        (complex, None),
        (pd.Series, None),
        ([], None),
        (3, None),
    ],
)
def test_a_kind_is_asked_for_by_a_type_an_annotation_or_a_name(wanted: Any, kind: Kind | None) -> None:
    """`DataFrame` alone could be two."""
    assert kind_of(wanted) is kind


class Sub(pd.DataFrame):
    """Such as GeoPandas has."""


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (pd.DataFrame(), Kind.PANDAS),
        (Sub(), Kind.PANDAS),
        (pl.DataFrame(), Kind.POLARS),
        (pa.table({}), Kind.ARROW),
        (pa.record_batch({"a": [1]}), Kind.ARROW),
        (pa.table({"a": [1]}).to_reader(), Kind.ITERATOR),
        ("x", Kind.TEXT),
        (b"x", Kind.BYTES),
        (bytearray(), Kind.BYTES),
        (memoryview(b""), Kind.BYTES),
        ({}, Kind.MAPPING),
        ([], Kind.RECORDS),
        ((), Kind.RECORDS),
        (iter([]), Kind.ITERATOR),
        (3, None),
        (None, None),
    ],
)
def test_the_kind_of_a_value(value: Any, kind: Kind | None) -> None:
    """Subclasses are what they inherit from."""
    assert kind_of_value(value) is kind


@pytest.mark.parametrize(
    ("wanted", "called"),
    [
        (complex, "builtins.complex"),
        ("xml", "'xml'"),
        (dict, "builtins.dict"),
        (Kind.ANY, "object"),
        (3, "3"),
    ],
)
def test_a_kind_that_is_not_allowed_is_named_with_those_that_are(wanted: Any, called: str) -> None:
    """The first of them is the default."""
    allowed = (Kind.PANDAS, Kind.RECORDS)
    with pytest.raises(ConfigError) as caught:
        check_kind(wanted, allowed, "csv")
    assert str(caught.value) == f"format 'csv' is not read as {called}; known: pandas.DataFrame, list"
    assert check_kind(None, allowed, "csv") is Kind.PANDAS
    assert check_kind(list, allowed, "csv") is Kind.RECORDS
