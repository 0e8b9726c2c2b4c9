"""The drivers of the original fileflow: its tests, one by one, and what they left out."""

import asyncio
import copy
import http.client
import io
import json
import os
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from fileflow_async import storage_drivers
from fileflow_async.errors import (
    ConfigError,
    FileflowError,
    FormatError,
    StorageError,
    TargetAccessError,
    TargetNameError,
    TargetNotFoundError,
    TargetWriteError,
)
from fileflow_async.formats.csv import read_and_clean_csv_to_dataframe
from fileflow_async.storage.s3 import S3Settings
from fileflow_async.storage_drivers import (
    FileStorageDriver,
    S3StorageDriver,
    StorageDriver,
    StorageDriverError,
    get_storage_driver,
)
from tests.s3_servers.backdoor import Backdoor

DAY = datetime(1983, 9, 5, 17, 30)
IDS = ("the_dag", "the_task", DAY)
JSON = json.dumps([{"id": number, "name": f"näme {number}"} for number in range(500)], ensure_ascii=False)
BAD_IDS = ("", "a/b", "/etc", "..", ".", "a\0", "a\nb", "\ud800", 1, None)


class TestGetStorageDriver:
    """Which driver, and the name of its bucket."""

    @pytest.mark.parametrize(
        ("environment", "bucket"),
        [
            ("production", "the_bucket"),
            ("qa", "the_bucketqa"),
            ("development", "the_bucketdevelopment"),
            ("test", "the_buckettest"),
        ],
    )
    def test_the_environment_is_glued_to_the_bucket(self, environment: str, bucket: str) -> None:
        """Without anything between them; nothing is asked of S3."""
        driver = get_storage_driver("s3", "", environment, "", "", "the_bucket")
        assert isinstance(driver, S3StorageDriver)
        assert driver.bucket_name == bucket

    def test_a_bad_environment_is_an_error(self) -> None:
        """With those that are known; for files it does not matter."""
        with pytest.raises(
            FileflowError, match=r"^unknown environment 'bad'; known: production, qa, development"
        ):
            get_storage_driver("s3", "", "bad", "", "", "the_bucket")
        assert get_storage_driver("file", "/x", "bad").get_path("d", "t") == "/x/d/t"

    def test_a_bad_storage_type_is_an_error(self) -> None:
        """With those that are known."""
        with pytest.raises(
            FileflowError, match=r"^unknown storage_type 'bad_storage_type'; known: file, s3$"
        ):
            get_storage_driver("bad_storage_type", "", "", "", "")

    def test_a_file_driver_keeps_its_prefix_as_it_is(self) -> None:
        """The slash at its end included."""
        driver = get_storage_driver("file", "/the/prefix/", "", "", "")
        assert isinstance(driver, FileStorageDriver)
        assert driver.prefix == "/the/prefix/"
        assert driver.get_filename(*IDS) == "/the/prefix/the_dag/the_task/1983-09-05"

    def test_what_is_left_out_is_configured(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """In the environment, or in airflow.cfg; else it is as it always was."""
        monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
        monkeypatch.setattr("fileflow_async.config.sources._loaded_airflow", lambda: None)
        driver = get_storage_driver()
        assert isinstance(driver, FileStorageDriver)
        assert driver.prefix == "storage"
        (tmp_path / "airflow.cfg").write_text(
            "[fileflow]\nstorage_type = s3\nenvironment = qa\naws_bucket_name = lake\n"
        )
        monkeypatch.setenv("AIRFLOW__FILEFLOW__AWS_ACCESS_KEY_ID", "AKIA")
        monkeypatch.setenv("AIRFLOW__FILEFLOW__AWS_SECRET_ACCESS_KEY", "secret")
        found = get_storage_driver()
        assert isinstance(found, S3StorageDriver)
        assert found.bucket_name == "lakeqa"
        assert found._settings == S3Settings(access_key_id="AKIA", secret_access_key="secret")
        monkeypatch.setenv("AIRFLOW__FILEFLOW__STORAGE_TYPE", "file")
        monkeypatch.setenv("AIRFLOW__FILEFLOW__STORAGE_PREFIX", "/elsewhere")
        assert get_storage_driver().get_path("d", "t") == "/elsewhere/d/t"
        assert get_storage_driver("file", "/given").get_path("d", "t") == "/given/d/t"

    def test_credentials_may_come_from_a_connection(self) -> None:
        """Then no others are looked for."""
        driver = get_storage_driver("s3", aws_bucket_name="lake", environment="production", conn_id="aws")
        assert isinstance(driver, S3StorageDriver)
        assert driver.conn_id == "aws"

    def test_credentials_are_never_shown(self) -> None:
        """Nor is one half of them enough, or two ways to have them allowed."""
        driver = S3StorageDriver("AKIAPLANTED", "secret-planted", "lake")
        assert "planted" not in f"{driver!r} {vars(driver)!r}".lower()
        with pytest.raises(ConfigError, match="together"):
            S3StorageDriver("AKIAPLANTED", None, "lake")
        with pytest.raises(ConfigError, match="not several of them"):
            S3StorageDriver("AKIAPLANTED", "x", "lake", conn_id="aws")
        with pytest.raises(ConfigError, match="needs a bucket_name"):
            S3StorageDriver()


@pytest.fixture
def files(tmp_path: Path) -> FileStorageDriver:
    """A driver for a folder that is not made yet."""
    return FileStorageDriver(str(tmp_path / "storage"))


class TestFileStorageDriver:
    """Files in folders."""

    def test_paths_are_those_of_the_original(self) -> None:
        """Byte by byte, to the day."""
        driver = FileStorageDriver("/this/is/a/test")
        assert driver.get_filename(*IDS) == "/this/is/a/test/the_dag/the_task/1983-09-05"
        assert driver.get_path("the_dag", "the_task") == "/this/is/a/test/the_dag/the_task"
        assert driver.execution_date_string(DAY) == "1983-09-05"
        assert FileStorageDriver("").get_path("a b", "ü.x-1") == "a b/ü.x-1"

    def test_a_file_is_read_as_text(self, files: FileStorageDriver) -> None:
        """The fourth positional argument is the encoding."""
        plant(files, "grüße".encode("latin-1"))
        assert files.read(*IDS, "latin-1") == "grüße"
        with pytest.raises(FormatError, match=r"1983-09-05' is not valid utf-8 at byte 2$"):
            files.read(*IDS)
        with pytest.raises(ConfigError, match="unknown encoding 'utf-9'"):
            files.read(*IDS, "utf-9")

    def test_a_stream_reads_the_same(self, files: FileStorageDriver) -> None:
        """It can be sought in, and is the caller's to close."""
        plant(files, JSON.encode())
        with files.get_read_stream(*IDS) as stream:
            assert stream.read() == JSON.encode()
            stream.seek(0)
            assert stream.read(3) == JSON.encode()[:3]

    def test_text_is_written(self, files: FileStorageDriver, tmp_path: Path) -> None:
        """With its folders, as UTF-8; a content type is taken and has no meaning here."""
        path = tmp_path / "storage/the_dag/the_task/1983-09-05"
        assert not path.exists()
        files.write(*IDS, "this is the dätа to write.", "text/plain")
        assert path.read_text(encoding="utf-8") == "this is the dätа to write."
        files.write(*IDS, b"bytes", content_type=None)
        assert path.read_bytes() == b"bytes"

    @pytest.mark.parametrize("text", [True, False])
    def test_a_stream_is_written(self, files: FileStorageDriver, text: bool) -> None:
        """Of text or bytes, from where it stands."""
        stream: Any = io.StringIO("x" + JSON) if text else io.BytesIO(b"x" + JSON.encode())
        stream.read(1)
        files.write_from_stream(*IDS, stream)
        assert files.read(*IDS) == JSON

    def test_files_are_listed_by_name(self, files: FileStorageDriver, tmp_path: Path) -> None:
        """In order; folders, files below them and files under way are not."""
        for name in ("2016-01-02", "2016-01-01", "2016-01-03", "more/2016-01-04"):
            plant(files, b"x", name)
        (tmp_path / "storage/the_dag/the_task/.2016-01-05.0123456789ab.new").write_bytes(b"x")
        expected = ["2016-01-01", "2016-01-02", "2016-01-03"]
        assert files.list_filenames_in_task("the_dag", "the_task") == expected
        assert files.list_filenames_in_path(str(tmp_path / "storage/the_dag/the_task")) == expected
        assert files.list_filenames_in_path(f"{tmp_path}/storage/the_dag/the_task/") == expected
        assert files.list_filenames_in_path(str(tmp_path / "storage/the_dag/other")) == []
        assert files.list_filenames_in_path(str(tmp_path / "storage")) == []
        assert FileStorageDriver(str(tmp_path / "none")).list_filenames_in_task("d", "t") == []

    def test_a_folder_is_made_once(self, files: FileStorageDriver, tmp_path: Path) -> None:
        """The second time nothing happens."""
        path = tmp_path / "storage/this/does/not/exist"
        for _ in range(2):
            files.check_or_create_dir(str(path))
            assert path.is_dir()

    def test_a_missing_file_is_an_error_of_the_family(self, files: FileStorageDriver) -> None:
        """Which is also what it was to the original: an OSError."""
        for _ in range(2):
            for read in (files.read, files.get_read_stream):
                with pytest.raises(TargetNotFoundError) as caught:
                    read(*IDS)
                assert isinstance(caught.value, StorageDriverError)
                assert isinstance(caught.value, OSError)
            files.write("other", "task", DAY, "x")  # now there is the prefix

    def test_whoever_reads_sees_the_old_file_or_the_new_one(
        self, files: FileStorageDriver, tmp_path: Path
    ) -> None:
        """Never half of one: the original truncated it first."""
        files.write(*IDS, "a" * 100_000)
        torn: list[int] = []
        stop = threading.Event()

        def read() -> None:
            path = tmp_path / "storage/the_dag/the_task/1983-09-05"
            while not stop.is_set():
                data = path.read_bytes()
                if len(data) != 100_000 or len(set(data)) != 1:
                    torn.append(len(data))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for letter in "bcdefghijk":
                files.write(*IDS, letter * 100_000)
        finally:
            stop.set()
            reader.join()
        assert torn == []
        assert files.list_filenames_in_task("the_dag", "the_task") == ["1983-09-05"]
        assert os.listdir(tmp_path / "storage/the_dag/the_task") == ["1983-09-05"]

    def test_a_stream_that_fails_leaves_the_old_file(self, files: FileStorageDriver, tmp_path: Path) -> None:
        """And nothing beside it."""

        class Failing(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                if data := super().read(4):
                    return data
                raise LookupError("theirs")

        files.write(*IDS, "old")
        with pytest.raises(LookupError, match="theirs"):
            files.write_from_stream(*IDS, Failing(b"half of it"))
        assert files.read(*IDS) == "old"
        assert os.listdir(tmp_path / "storage/the_dag/the_task") == ["1983-09-05"]

    def test_a_place_that_is_a_folder_is_not_replaced(self, files: FileStorageDriver, tmp_path: Path) -> None:
        """The error is the family's, and nothing is left behind."""
        path = tmp_path / "storage/the_dag/the_task/1983-09-05"
        path.mkdir(parents=True)
        with pytest.raises(TargetAccessError, match="is a directory"):
            files.write(*IDS, "x")
        assert os.listdir(path.parent) == ["1983-09-05"]

    @pytest.mark.parametrize("bad", BAD_IDS)
    def test_an_id_that_could_mean_another_place_is_refused(
        self, files: FileStorageDriver, bad: Any, tmp_path: Path
    ) -> None:
        """The original left its prefix."""
        for call in (
            lambda: files.get_filename(bad, "t", DAY),
            lambda: files.get_path("d", bad),
            lambda: files.write(bad, "t", DAY, "x"),
            lambda: files.read("d", bad, DAY),
            lambda: files.get_read_stream(bad, "t", DAY),
            lambda: S3StorageDriver(bucket_name="lake").get_key_name("d", bad, DAY),
            lambda: S3StorageDriver(bucket_name="lake").get_path(bad, "t"),
        ):
            with pytest.raises(TargetNameError):
                call()
        assert os.listdir(tmp_path) == []

    def test_a_path_outside_the_prefix_is_refused(self, files: FileStorageDriver, tmp_path: Path) -> None:
        """Also to a subclass with a layout of its own."""

        class Elsewhere(FileStorageDriver):
            def get_filename(self, dag_id: str, task_id: str, execution_date: Any) -> str:
                return f"{self.prefix}/../{dag_id}"

        driver = Elsewhere(files.prefix)
        (tmp_path / "storage").mkdir()
        for call in (
            lambda: driver.write(*IDS, "x"),
            lambda: driver.read(*IDS),
            lambda: driver.get_read_stream(*IDS),
            lambda: files.list_filenames_in_path(str(tmp_path)),
            lambda: files.check_or_create_dir(str(tmp_path / "other")),
        ):
            with pytest.raises(TargetNameError, match="does not lie in the prefix"):
                call()

    def test_a_subclass_may_have_a_layout_of_its_own(self, tmp_path: Path) -> None:
        """All methods ask for the name."""

        class Flat(FileStorageDriver):
            def get_filename(self, dag_id: str, task_id: str, execution_date: Any) -> str:
                return f"{self.prefix}/{dag_id}.txt"

        driver = Flat(str(tmp_path))
        driver.write(*IDS, "x")
        driver.write_from_stream("b", "t", DAY, io.BytesIO(b"y"))
        assert sorted(os.listdir(tmp_path)) == ["b.txt", "the_dag.txt"]
        assert driver.read(*IDS) == "x"
        with driver.get_read_stream("b", "t", DAY) as stream:
            assert stream.read() == b"y"

    def test_links_below_the_prefix_are_not_followed(self, files: FileStorageDriver, tmp_path: Path) -> None:
        """Whoever may write there must not read elsewhere."""
        (tmp_path / "secret").write_text("secret")
        folder = tmp_path / "storage/the_dag/the_task"
        folder.mkdir(parents=True)
        (folder / "1983-09-05").symlink_to(tmp_path / "secret")
        for read in (files.read, files.get_read_stream):
            with pytest.raises(TargetAccessError, match="symbolic link"):
                read(*IDS)
        files.write(*IDS, "new")
        assert (tmp_path / "secret").read_text() == "secret"
        assert files.read(*IDS) == "new"

    def test_a_full_disk_leaves_the_old_file(
        self, files: FileStorageDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And says so in the family's words."""
        files.write(*IDS, "old")
        real = os.rename

        def full(old: Any, new: Any, **more: Any) -> None:
            if str(old).endswith(".new"):
                raise OSError(28, "No space left on device")
            real(old, new, **more)

        monkeypatch.setattr("fileflow_async.storage.replacing.os.rename", full)
        with pytest.raises(TargetWriteError, match="no space left"):
            files.write(*IDS, "new")
        monkeypatch.undo()
        assert files.read(*IDS) == "old"
        assert os.listdir(tmp_path / "storage/the_dag/the_task") == ["1983-09-05"]

    def test_a_relative_prefix_is_one_of_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As the default, `storage`, is."""
        monkeypatch.chdir(tmp_path)
        for prefix, place in (("storage", "storage/the_dag"), ("", "the_dag"), (".", "the_dag")):
            driver = FileStorageDriver(prefix)
            driver.write(*IDS, prefix)
            assert (tmp_path / place / "the_task/1983-09-05").read_text() == prefix
            assert driver.read(*IDS) == prefix

    def test_a_large_stream_is_not_held_in_memory(self, files: FileStorageDriver, tmp_path: Path) -> None:
        """Eight megabytes are read at a time."""
        sizes: list[int] = []

        class Large(io.RawIOBase):
            left = 40 * 2**20

            def read(self, size: int = -1) -> bytes:
                sizes.append(size)
                data = bytes(min(size, self.left))
                self.left -= len(data)
                return data

        files.write_from_stream(*IDS, Large())  # type: ignore[arg-type]
        assert set(sizes) == {8 * 2**20}
        path = tmp_path / "storage/the_dag/the_task/1983-09-05"
        assert path.stat().st_size == 40 * 2**20
        assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def test_a_driver_can_be_copied(self, files: FileStorageDriver) -> None:
        """Airflow copies operators with all that they hold; the original had to be hidden from it."""
        again = copy.deepcopy(files)
        again.write(*IDS, "x")
        assert files.read(*IDS) == "x"

    def test_within_a_block_one_event_loop_serves_all_calls(self, files: FileStorageDriver) -> None:
        """Which is closed with it; without a block, each call has its own."""
        with files as driver:
            engine = driver._engine
            assert engine is not None
            driver.write(*IDS, "x")
            assert driver.read(*IDS) == "x"
            assert driver._engine is engine
        assert files._engine is None
        assert files.read(*IDS) == "x"

    async def test_on_an_event_loop_it_says_what_to_do(self, files: FileStorageDriver) -> None:
        """It would block it."""
        with pytest.raises(RuntimeError, match=r"call it by asyncio.to_thread$"):
            files.write(*IDS, "x")
        await asyncio.to_thread(files.write, *IDS, "x")
        assert await asyncio.to_thread(files.read, *IDS) == "x"


@given(st.text(st.characters(exclude_characters="/", min_codepoint=32), min_size=1), st.dates())
def test_an_id_is_in_the_path_as_it_is_or_not_at_all(name: str, day: Any) -> None:
    """No id changes on its way into a path."""
    try:
        path = FileStorageDriver("/p").get_filename(name, "t", day)
    except TargetNameError:
        assert (
            name in (".", "..")
            or not name.isprintable()
            or any("\ud800" <= each <= "\udfff" for each in name)
        )
        return
    assert path == f"/p/{name}/t/{day:%Y-%m-%d}"
    assert os.path.normpath(path) == path


def plant(driver: FileStorageDriver, data: bytes, name: str = "1983-09-05") -> None:
    """Put a file there without the driver."""
    path = Path(driver.get_path("the_dag", "the_task")) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def s3(bucket: Backdoor, s3_settings: Callable[..., S3Settings]) -> S3StorageDriver:
    """A driver for a new bucket."""
    return S3StorageDriver(bucket_name=bucket.bucket, settings=s3_settings(bucket.port))


@pytest.fixture
def behind(bucket: Backdoor) -> "Behind":
    """The way behind the driver's back."""
    return Behind(bucket)


class Behind:
    """A bucket, synchronously."""

    def __init__(self, bucket: Backdoor) -> None:
        self._bucket = bucket

    def put(self, key: str, data: bytes) -> None:
        asyncio.run(self._bucket.put(key, data))

    def get(self, key: str) -> bytes | None:
        return asyncio.run(self._bucket.get(key))

    def keys(self) -> list[str]:
        return list(asyncio.run(self._bucket.keys()))

    def content_type(self, key: str) -> str | None:
        connection = http.client.HTTPConnection("127.0.0.1", self._bucket.port)
        credential = "Credential=anybody/20261120/us-east-1/s3/aws4_request, Signature=0"
        connection.request(
            "HEAD",
            f"/{self._bucket.bucket}/{key}",
            headers={"Authorization": f"AWS4-HMAC-SHA256 {credential}"},
        )
        found = connection.getresponse().getheader("content-type")
        connection.close()
        return found


class TestS3StorageDriver:
    """Objects in a bucket."""

    def test_names_are_those_of_the_original(self) -> None:
        """A subclass may have keys of its own."""
        driver = S3StorageDriver("", "", "lake")
        assert driver.get_key_name(*IDS) == "the_dag/the_task/1983-09-05"
        assert driver.get_filename(*IDS) == "s3://lake/the_dag/the_task/1983-09-05"
        assert driver.get_path("the_dag", "the_task") == "s3://lake/the_dag/the_task"

        class Own(S3StorageDriver):
            def get_key_name(self, dag_id: str, task_id: str, execution_date: Any) -> str:
                return "the_key_name"

        assert Own("", "", "lake").get_filename(*IDS) == "s3://lake/the_key_name"

    def test_an_object_is_read_as_text(self, s3: S3StorageDriver, behind: Behind) -> None:
        """The fourth positional argument is the encoding."""
        behind.put("the_dag/the_task/1983-09-05", "grüße".encode("latin-1"))
        assert s3.read(*IDS, "latin-1") == "grüße"
        with pytest.raises(FormatError, match=rf"^'s3://{s3.bucket_name}/.*' is not valid utf-8 at byte 2$"):
            s3.read(*IDS)

    @pytest.mark.parametrize("data", [b"abc", JSON.encode(), b"ab\xe4", b""])
    def test_a_stream_reads_the_same(self, s3: S3StorageDriver, behind: Behind, data: bytes) -> None:
        """It stands at its start, and can be sought in."""
        behind.put("the_dag/the_task/2016-01-01", data)
        with s3.get_read_stream(
            dag_id="the_dag", task_id="the_task", execution_date=datetime(2016, 1, 1)
        ) as stream:
            assert stream.read() == data
            stream.seek(0)
            assert stream.read(1) == data[:1]

    def test_text_is_written(self, s3: S3StorageDriver, behind: Behind) -> None:
        """The content type is the fifth positional argument; the same key may be written again."""
        for data in ("this is a test write.", "änother", b"bytes"):
            s3.write(*IDS, data, "text/csv")
            expected = data.encode() if isinstance(data, str) else data
            assert behind.get("the_dag/the_task/1983-09-05") == expected
        assert behind.content_type("the_dag/the_task/1983-09-05") == "text/csv"
        assert behind.keys() == ["the_dag/the_task/1983-09-05"]

    @pytest.mark.parametrize(
        ("stream", "data"),
        [
            (io.BytesIO(b"abc"), b"abc"),
            (io.StringIO(JSON), JSON.encode()),
            (io.BytesIO(b"ab\xe4"), b"ab\xe4"),
        ],
    )
    def test_a_stream_is_written(
        self, s3: S3StorageDriver, behind: Behind, stream: io.BytesIO | io.StringIO, data: bytes
    ) -> None:
        """Without a content type it is S3's own default."""
        stream.seek(0)
        s3.write_from_stream(*IDS, stream, content_type=None)
        assert behind.get("the_dag/the_task/1983-09-05") == data
        assert behind.content_type("the_dag/the_task/1983-09-05") == "application/octet-stream"
        s3.write_from_stream(*IDS, io.BytesIO(b"other"))
        assert behind.get("the_dag/the_task/1983-09-05") == b"other"
        assert behind.content_type("the_dag/the_task/1983-09-05") == "text/plain"

    def test_a_large_stream_is_written_and_read_in_parts(self, s3: S3StorageDriver, behind: Behind) -> None:
        """In the place of another, too."""
        large = os.urandom(1024) * 20 * 1024
        for _ in range(2):
            s3.write_from_stream(*IDS, io.BytesIO(large))
            assert behind.get("the_dag/the_task/1983-09-05") == large
        with s3.get_read_stream(*IDS) as stream:
            assert stream.read() == large

    def test_objects_are_listed_by_name(self, s3: S3StorageDriver, behind: Behind) -> None:
        """In order, and only those directly there, as its docs always said; the path is a whole URL."""
        prefix = "fixtures/some_data/daily"
        for name in ("2016-01-02", "2016-01-01", "2016-01-03", "more/2016-01-04"):
            behind.put(f"{prefix}/{name}", b"this is a test.")
        behind.put(f"{prefix}2/2016-01-05", b"x")
        expected = ["2016-01-01", "2016-01-02", "2016-01-03"]
        for path in (f"s3://{s3.bucket_name}/{prefix}", f"s3://{s3.bucket_name}/{prefix}/"):
            assert s3.list_filenames_in_path(path) == expected
        assert s3.list_filenames_in_path(f"s3://{s3.bucket_name}/none") == []
        assert s3.list_filenames_in_path(f"s3://{s3.bucket_name}") == []
        s3.write(*IDS, "x")
        assert s3.list_filenames_in_task("the_dag", "the_task") == ["1983-09-05"]
        with pytest.raises(TargetNameError, match="does not lie in s3://"):
            s3.list_filenames_in_path("s3://other/path")

    def test_a_key_is_there_or_still_to_be_written(self, s3: S3StorageDriver, behind: Behind) -> None:
        """The same object either way."""
        key_name = "the_dag/the_task/2015-12-01"
        assert behind.get(key_name) is None
        s3.get_or_create_key(key_name).set_contents_from_string("this is the created file.")
        assert s3.get_or_create_key(key_name).get_contents_as_string() == "this is the created file."
        assert s3.get_or_create_key(key_name).name == key_name
        with pytest.raises(TargetNameError):
            s3.get_or_create_key("../x")

    def test_a_missing_object_is_an_error_of_the_family(self, s3: S3StorageDriver) -> None:
        """The same as for files."""
        for read in (s3.read, s3.get_read_stream):
            with pytest.raises(TargetNotFoundError) as caught:
                read(*IDS)
            assert isinstance(caught.value, StorageDriverError)

    def test_a_stream_that_fails_leaves_the_old_object(self, s3: S3StorageDriver, behind: Behind) -> None:
        """And no parts that somebody pays for."""

        class Failing(io.RawIOBase):
            count = 0

            def read(self, size: int = -1) -> bytes:
                self.count += 1
                if self.count > 4:
                    raise LookupError("theirs")
                return bytes(size)

        s3.write(*IDS, "old")
        with pytest.raises(LookupError, match="theirs"):
            s3.write_from_stream(*IDS, Failing())  # type: ignore[arg-type]
        assert s3.read(*IDS) == "old"
        assert asyncio.run(behind._bucket.uploads()) == []

    def test_within_a_block_connections_are_reused(self, s3: S3StorageDriver, behind: Behind) -> None:
        """The client is made once."""
        made: list[int] = []
        from fileflow_async.storage import s3_session

        real = s3_session.client

        def counted(settings: S3Settings) -> Any:
            made.append(1)
            return real(settings)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(s3_session, "client", counted)
            with s3:
                for number in range(3):
                    s3.write(*IDS, str(number))
                    assert s3.read(*IDS) == str(number)
        assert len(made) == 1
        assert behind.get("the_dag/the_task/1983-09-05") == b"2"

    def test_a_connection_says_how_to_reach_it(
        self,
        bucket: Backdoor,
        behind: Behind,
        s3_settings: Callable[..., S3Settings],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """It is looked up at the first call, not before."""
        asked: list[str] = []

        async def settings(hook: Any) -> S3Settings:
            asked.append(hook.conn_id)
            return s3_settings(bucket.port)

        monkeypatch.setattr("fileflow_async.hooks.s3.S3StorageHook.settings", settings)
        driver = S3StorageDriver(bucket_name=bucket.bucket, conn_id="aws_lake")
        assert asked == []
        driver.write(*IDS, "x")
        assert behind.get("the_dag/the_task/1983-09-05") == b"x"
        assert asked == ["aws_lake"]

    def test_a_bucket_that_does_not_exist_is_an_error_of_the_family(self, s3: S3StorageDriver) -> None:
        """Told when it is used."""
        driver = S3StorageDriver(bucket_name=f"{s3.bucket_name}-none", settings=s3._settings)
        with pytest.raises(StorageError, match="does not exist"):
            driver.write(*IDS, "x")
        with pytest.raises(ConfigError, match="'the_bucket' is not a valid S3 bucket name"):
            S3StorageDriver("", "", "the_bucket").read(*IDS)

    def test_a_block_that_cannot_begin_leaves_no_loop(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor is the driver spoilt."""

        async def refused(hook: Any) -> S3Settings:
            raise ConfigError("no such connection")

        monkeypatch.setattr("fileflow_async.hooks.s3.S3StorageHook.settings", refused)
        driver = S3StorageDriver(bucket_name="lake", conn_id="none")
        with pytest.raises(ConfigError, match="no such connection"), driver:
            pytest.fail("it began")
        assert driver._engine is None

    def test_frames_go_the_way_of_the_original(self, s3: S3StorageDriver) -> None:
        """Its test of malformed csv: the cleaner reads from the driver's stream what the csv module reads."""
        text = 'id,text\n1,"a, ""b""\nc"\n2,"d"\n'
        s3.write_from_stream(*IDS, io.StringIO(text), "text/csv")
        with s3.get_read_stream(*IDS) as stream:
            frame = read_and_clean_csv_to_dataframe(stream)
        assert frame.values.tolist() == [["1", 'a, "b"\nc'], ["2", "d"]]


class TestStorageDriver:
    """The base class, for drivers of users' own."""

    @pytest.mark.parametrize(
        "call",
        [
            lambda driver: driver.get_filename(*IDS),
            lambda driver: driver.get_path("d", "t"),
            lambda driver: driver.read(*IDS),
            lambda driver: driver.get_read_stream(*IDS),
            lambda driver: driver.write(*IDS, "x"),
            lambda driver: driver.write_from_stream(*IDS, io.BytesIO()),
            lambda driver: driver.list_filenames_in_task("d", "t"),
            lambda driver: driver.list_filenames_in_path("x"),
        ],
    )
    def test_what_a_subclass_does_not_write_is_not_there(self, call: Callable[[StorageDriver], Any]) -> None:
        """As in the original."""
        with pytest.raises(NotImplementedError):
            call(StorageDriver())

    def test_a_subclass_need_not_know_of_event_loops(self) -> None:
        """It may even be used as a context manager."""

        class Own(StorageDriver):
            def __init__(self) -> None:
                """Not calling its parent's, as old code may not."""

            def get_path(self, dag_id: str, task_id: str) -> str:
                return f"{dag_id}/{task_id}"

            def list_filenames_in_path(self, path: str) -> list[str]:
                return [path]

        with Own() as driver:
            assert driver.list_filenames_in_task("d", "t") == ["d/t"]
        assert driver.execution_date_string(datetime(2026, 11, 20, tzinfo=UTC)) == "2026-11-20"

    def test_the_old_names_are_there(self) -> None:
        """For `from … import` of old code."""
        assert storage_drivers.StorageDriverError is StorageError
        assert set(storage_drivers.__all__) <= set(dir(storage_drivers))


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test sets is set."""
    for name in list(os.environ):
        if name.startswith("AIRFLOW__FILEFLOW__"):
            monkeypatch.delenv(name)
