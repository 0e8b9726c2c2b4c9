"""The original's tests of reading and writing frames: lossy, and the same with `clean="fileflow"`."""

import csv
import io
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from fileflow_async.formats.csv import clean_and_write_dataframe_to_csv, read_and_clean_csv_to_dataframe
from fileflow_async.storage.s3 import S3Settings
from fileflow_async.storage_drivers import S3StorageDriver
from tests.original.names import keeps
from tests.s3_servers.backdoor import Backdoor

IDS = ("the_dag", "the_task", datetime(2016, 1, 1))
MALFORMED = 'id,text\n1,"a ""quoted"", cell"\n2,"two\nlines"\n3,"a, comma"\n'
EXAMPLE = (
    b"first,second,third,fourth\n"
    b"a,1,x,p\nb,2,x,p\nc,3,x,p\nd,4,x,p\ne,5,x,p\nf,6,x,p\n"
    b"caf\xff,7,x,p\n"
    b"h,8,x,None\n"
    b"i,9,x,p\n"
    b"j,10,,p\n"
)


@pytest.fixture
def driver(bucket: Backdoor, s3_settings: Callable[..., S3Settings]) -> S3StorageDriver:
    return S3StorageDriver(bucket_name=bucket.bucket, settings=s3_settings(bucket.port))


@pytest.fixture
def example(tmp_path: Path) -> Path:
    (path := tmp_path / "example.csv").write_bytes(EXAMPLE)
    return path


def as_csv_reads(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))[1:]


@keeps("pandas", "test_read_and_clean_csv_to_dataframe_with_s3")
def test_malformed_cells_are_read_from_s3(driver: S3StorageDriver) -> None:
    """By the driver; pandas itself takes URLs only with packages of its own, and other credentials."""
    driver.write(*IDS, MALFORMED)
    with driver.get_read_stream(*IDS) as stream:
        frame = read_and_clean_csv_to_dataframe(stream)
    assert frame.values.tolist() == as_csv_reads(MALFORMED)


@keeps("pandas", "test_read_and_clean_csv_to_dataframe_with_s3_write_stream")
def test_a_stream_that_was_written_to_s3_reads_the_same(driver: S3StorageDriver) -> None:
    """As the csv module does."""
    driver.write_from_stream(*IDS, io.BytesIO(MALFORMED.encode()))
    with driver.get_read_stream(*IDS) as stream:
        frame = read_and_clean_csv_to_dataframe(filename_or_stream=stream, encoding="utf-8")
    assert frame.values.tolist() == as_csv_reads(MALFORMED)


@keeps("pandas", "test_read_and_write")
def test_what_was_read_and_written_reads_the_same(example: Path, tmp_path: Path) -> None:
    """Shape and every cell."""
    frame = read_and_clean_csv_to_dataframe(example)
    clean_and_write_dataframe_to_csv(frame, tmp_path / "out.csv")
    again = read_and_clean_csv_to_dataframe(tmp_path / "out.csv")
    assert frame.shape == again.shape == (10, 4)
    assert again.values.tolist() == frame.values.tolist()


@keeps("pandas", "test_read_convert_to_none")
def test_nothing_and_the_word_none_become_none(example: Path) -> None:
    """Which cannot be undone: without `clean` they stay what they are."""
    frame = read_and_clean_csv_to_dataframe(example)
    assert frame.iloc[7, 3] is None
    assert frame.iloc[9, 2] is None
    assert not frame.iloc[:7].isna().to_numpy().any()


@keeps("pandas", "test_read_convert_utf8")
def test_what_is_no_text_becomes_a_mark(example: Path) -> None:
    """The cell is text still."""
    cell = read_and_clean_csv_to_dataframe(example).iloc[6, 0]
    assert isinstance(cell, str)
    assert cell == "caf\ufffd"


@keeps("pandas", "test_read_and_clean_csv_with_empty_content")
def test_a_header_alone_is_an_empty_frame(tmp_path: Path) -> None:
    """With its columns."""
    (tmp_path / "empty.csv").write_text("first,second\n")
    frame = read_and_clean_csv_to_dataframe(tmp_path / "empty.csv")
    assert (list(frame.columns), len(frame)) == (["first", "second"], 0)


@keeps("pandas", "test_write_convert_to_none")
def test_what_is_missing_is_written_as_a_word(tmp_path: Path) -> None:
    """All is quoted, and there is no index."""
    clean_and_write_dataframe_to_csv(pd.DataFrame([float("nan")]), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == ['"0"', '"None"']


@keeps("pandas", "test_write_utf8")
def test_a_mark_is_written_as_it_is(tmp_path: Path) -> None:
    """In UTF-8, quoted."""
    clean_and_write_dataframe_to_csv(pd.DataFrame(["caf\ufffd"]), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[1] == '"caf\ufffd"'
