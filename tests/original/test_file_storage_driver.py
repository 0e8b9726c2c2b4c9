"""The original's tests of `FileStorageDriver`."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from fileflow_async.storage_drivers import FileStorageDriver
from tests.original.names import keeps

DAY = datetime(1983, 9, 5)
IDS = ("the_dag", "the_task", DAY)


@pytest.fixture
def driver(tmp_path: Path) -> FileStorageDriver:
    return FileStorageDriver(str(tmp_path / "storage"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the driver's file of that day is."""
    return tmp_path / "storage" / "the_dag" / "the_task" / "1983-09-05"


def plant(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


@keeps("FileStorageDriver", "test_get_filename")
def test_a_file_is_called_by_dag_task_and_day() -> None:
    """Two runs a day share it; a target has a slot instead."""
    expected = "/this/is/a/test/the_dag/the_task/1983-09-05"
    assert FileStorageDriver("/this/is/a/test").get_filename(*IDS) == expected


@keeps("FileStorageDriver", "test_get_path")
def test_the_files_of_a_task_lie_in_one_folder() -> None:
    """Of its DAG's."""
    path = FileStorageDriver("/this/is/a/test").get_path("the_dag", "the_task")
    assert path == "/this/is/a/test/the_dag/the_task"


@keeps("FileStorageDriver", "test_read")
def test_text_is_read(driver: FileStorageDriver, file: Path) -> None:
    """The fourth positional argument is its encoding."""
    plant(file, "this is a tést".encode("latin-1"))
    assert driver.read(*IDS, "latin-1") == "this is a tést"


@keeps("FileStorageDriver", "test_get_read_stream_simple")
def test_a_stream_reads_the_same(driver: FileStorageDriver, file: Path) -> None:
    """The caller closes it."""
    plant(file, b"this is a test")
    with driver.get_read_stream(*IDS) as stream:
        assert stream.read() == b"this is a test"


@keeps("FileStorageDriver", "test_write")
def test_text_is_written(driver: FileStorageDriver, file: Path) -> None:
    """Where nothing was; at once or not at all, which the original did not promise."""
    assert not file.exists()
    driver.write(*IDS, "this is a test")
    assert file.read_text() == "this is a test"
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@keeps("FileStorageDriver", "test_write_from_stream")
def test_a_stream_is_written(driver: FileStorageDriver, file: Path, tmp_path: Path) -> None:
    """One of JSON; it is not held in memory, as the original's was."""
    source = tmp_path / "source.json"
    source.write_text(json.dumps({"rows": [{"id": number} for number in range(1000)]}))
    assert not file.exists()
    with source.open("rb") as stream:
        driver.write_from_stream(*IDS, stream)
    assert file.read_bytes() == source.read_bytes()


@keeps("FileStorageDriver", "test_list_filenames_in_path")
def test_files_are_listed_in_order(driver: FileStorageDriver, file: Path) -> None:
    """Which the original hoped for, and the file system did not promise; a missing folder has none."""
    for day in ("2016-01-03", "2016-01-01", "2016-01-02"):
        plant(file.parent / day, b"")
    assert driver.list_filenames_in_path(str(file.parent)) == ["2016-01-01", "2016-01-02", "2016-01-03"]
    assert driver.list_filenames_in_task("the_dag", "other_task") == []


@keeps("FileStorageDriver", "test_check_or_create_dir")
def test_a_folder_is_made_once(driver: FileStorageDriver, file: Path) -> None:
    """The second call does no harm, even if both come at the same time."""
    driver.check_or_create_dir(str(file.parent))
    assert file.parent.is_dir()
    driver.check_or_create_dir(str(file.parent))
