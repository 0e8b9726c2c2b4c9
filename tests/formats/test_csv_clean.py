"""The cleaning of the original fileflow: its tests of frames, one by one."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fileflow_async import formats
from fileflow_async.errors import ConfigError, FormatError
from fileflow_async.formats.csv import (
    Csv,
    clean_and_write_dataframe_to_csv,
    read_and_clean_csv_to_dataframe,
)
from fileflow_async.testing.format_contract import written

EXAMPLE = (
    b"name,city,note,one,two\n"
    b"anna, Oslo,x,1,2\n"
    b'"berg, b",Rome,"a ""quoted"" word",3,4\n'
    b'carl,"two\nlines",y,5,6\n'
    b"dee,NA,z,007,1.50\n"
    b"caf\xff,Paris,w,None,\n"
    b'egon,Bern,v,"",nan\n'
)


def test_what_was_read_and_written_is_read_as_the_same(tmp_path: Path) -> None:
    """Shape and every cell."""
    frame = read_and_clean_csv_to_dataframe(io.BytesIO(EXAMPLE))
    clean_and_write_dataframe_to_csv(frame, tmp_path / "out.csv")
    again = read_and_clean_csv_to_dataframe(tmp_path / "out.csv")
    assert again.shape == frame.shape == (6, 5)
    assert again.to_dict("list") == frame.to_dict("list")


def test_what_is_missing_or_says_none_is_none() -> None:
    """So are the words that pandas takes for missing values."""
    frame = read_and_clean_csv_to_dataframe(io.BytesIO(EXAMPLE))
    assert frame.iloc[4, 3] is None
    assert frame.iloc[4, 4] is None
    assert frame.iloc[3, 1] is None
    assert frame.iloc[5, 3] is None
    assert frame.iloc[5, 4] is None


def test_all_that_is_there_is_text_without_blanks_before_it() -> None:
    """Zeros in front are kept."""
    frame = read_and_clean_csv_to_dataframe(io.BytesIO(EXAMPLE))
    assert frame.iloc[0].tolist() == ["anna", "Oslo", "x", "1", "2"]
    assert frame.iloc[3].tolist() == ["dee", None, "z", "007", "1.50"]
    assert {type(value) for column in frame for value in frame[column]} == {str, type(None)}


def test_bytes_that_are_no_text_become_a_mark() -> None:
    """U+FFFD, as text."""
    value = read_and_clean_csv_to_dataframe(io.BytesIO(EXAMPLE)).iloc[4, 0]
    assert type(value) is str
    assert value == "caf\ufffd"


def test_another_encoding_can_be_named(tmp_path: Path) -> None:
    """As the second argument."""
    (tmp_path / "in.csv").write_bytes("a\né\n".encode("latin-1"))
    assert read_and_clean_csv_to_dataframe(tmp_path / "in.csv", "latin-1").iloc[0, 0] == "é"


def test_a_file_with_nothing_but_a_header_has_its_columns() -> None:
    """And no rows."""
    frame = read_and_clean_csv_to_dataframe(io.StringIO("column1,column2\n"))
    assert list(frame.columns) == ["column1", "column2"]
    assert frame.to_dict() == {"column1": {}, "column2": {}}


def test_malformed_cells_are_what_the_csv_module_reads() -> None:
    """Quotes, commas, line ends."""
    text = 'id,text\n1,"a, ""b""\nc"\n2,"d\r\ne"\n'
    expected = list(csv.reader(io.StringIO(text, newline="")))
    frame = read_and_clean_csv_to_dataframe(io.StringIO(text, newline=""))
    assert frame.values.tolist() == expected[1:]


def test_nan_is_written_as_the_word_none(tmp_path: Path) -> None:
    """All is quoted, and the index left out."""
    clean_and_write_dataframe_to_csv(pd.DataFrame([np.nan]), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == b'"0"\n"None"\n'


def test_any_character_is_kept(tmp_path: Path) -> None:
    """In UTF-8."""
    clean_and_write_dataframe_to_csv(pd.DataFrame(["\ufffd"]), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1] == '"\ufffd"'


def test_without_a_name_the_text_is_returned() -> None:
    """And the frame that was given is as it was."""
    frame = pd.DataFrame(
        {"a": [1.5, np.nan], "b": [1, 2], "c": ["x", None], "d": [pd.Timestamp("2026-11-20"), pd.NaT]}
    )
    before = frame.copy()
    assert clean_and_write_dataframe_to_csv(frame, None) == (
        '"a","b","c","d"\n"1.5","1","x","2026-11-20 00:00:00"\n"None","2","None","None"\n'
    )
    pd.testing.assert_frame_equal(frame, before)


async def test_the_format_does_so_when_asked() -> None:
    """In both directions, whole or in batches."""
    frame = pd.DataFrame({"a": [1.0, None], "b": ["None", ""]})
    made = await written(frame, Csv(clean="fileflow"))
    assert made.data == b'"a","b"\n"1.0","None"\n"None",""\n'
    assert (made.summary.rows, made.summary.columns) == (2, [("a", "string"), ("b", "string")])
    found = await formats.read(made.data, made.facts, clean="fileflow")
    assert found.to_dict("list") == {"a": ["1.0", None], "b": [None, None]}
    async with formats.batches(made.data, made.facts, clean="fileflow") as batches:
        assert [batch.shape async for batch in batches] == [(2, 2)]


async def test_the_format_cleans_frames_of_pandas_only() -> None:
    """As the original did."""
    with pytest.raises(FormatError, match=r"^clean='fileflow' takes a frame of pandas; got list$"):
        await written([{"a": 1}], Csv(clean="fileflow"))
    facts = formats.Facts(format="csv")
    with pytest.raises(ConfigError, match=r"^clean='fileflow' makes frames of pandas; list is asked for$"):
        await formats.read(b"a\n", facts, list, clean="fileflow")
    with pytest.raises(ConfigError, match=r"^clean must be 'fileflow' or None, got 'all'$"):
        formats.get("csv", clean="all")
