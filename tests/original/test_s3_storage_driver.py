"""The original's tests of `S3StorageDriver`, against a server; the original had a fake in its process."""

import asyncio
import http.client
import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from fileflow_async.storage.s3 import S3Settings
from fileflow_async.storage_drivers import S3StorageDriver
from tests.original.names import keeps
from tests.s3_servers.backdoor import Backdoor

DAY = datetime(1983, 9, 5)
IDS = ("the_dag", "the_task", DAY)
KEY = "the_dag/the_task/1983-09-05"
JSON = json.dumps({"rows": [{"id": number} for number in range(1000)]})


@pytest.fixture
def driver(bucket: Backdoor, s3_settings: Callable[..., S3Settings]) -> S3StorageDriver:
    return S3StorageDriver(bucket_name=bucket.bucket, settings=s3_settings(bucket.port))


def put(bucket: Backdoor, key: str, data: bytes) -> None:
    asyncio.run(bucket.put(key, data))


def stored(bucket: Backdoor, key: str = KEY) -> tuple[bytes | None, str | None]:
    """Return the bytes of an object, and its content type."""
    connection = http.client.HTTPConnection("127.0.0.1", bucket.port)
    credential = "Credential=anybody/20261120/us-east-1/s3/aws4_request, Signature=0"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 {credential}"}
    connection.request("GET", f"/{bucket.bucket}/{key}", headers=headers)
    reply = connection.getresponse()
    found = reply.read() if reply.status == 200 else None
    connection.close()
    return found, reply.getheader("content-type")


@keeps("S3StorageDriver", "test_get_filename")
def test_an_object_is_called_by_its_url(driver: S3StorageDriver) -> None:
    """Bucket and key."""
    assert driver.get_filename(*IDS) == f"s3://{driver.bucket_name}/{driver.get_key_name(*IDS)}"


@keeps("S3StorageDriver", "test_get_path")
def test_the_objects_of_a_task_have_one_prefix(driver: S3StorageDriver) -> None:
    """Below that of its DAG."""
    assert driver.get_path("the_dag", "the_task") == f"s3://{driver.bucket_name}/the_dag/the_task"


@keeps("S3StorageDriver", "test_get_key_name")
def test_a_key_is_made_of_dag_task_and_day(driver: S3StorageDriver) -> None:
    """Two runs a day share it; a target has a slot instead."""
    assert driver.get_key_name(*IDS) == KEY


@keeps("S3StorageDriver", "test_read")
def test_text_is_read(driver: S3StorageDriver, bucket: Backdoor) -> None:
    """Of an object that others made."""
    put(bucket, KEY, b"this is a test")
    assert driver.read(*IDS) == "this is a test"


@keeps("S3StorageDriver", "test_get_read_stream")
@pytest.mark.parametrize("data", [b"abc", JSON.encode(), b"a b \xe4"])
def test_a_stream_reads_the_same(driver: S3StorageDriver, bucket: Backdoor, data: bytes) -> None:
    """Text, JSON, and bytes that are no text."""
    put(bucket, KEY, data)
    with driver.get_read_stream(*IDS) as stream:
        assert stream.read() == data


@keeps("S3StorageDriver", "test_write")
def test_text_is_written(driver: S3StorageDriver, bucket: Backdoor) -> None:
    """The content type is the fifth positional argument."""
    driver.write(*IDS, "this is a test", "text/html")
    assert stored(bucket) == (b"this is a test", "text/html")


@keeps("S3StorageDriver", "test_write_from_stream")
@pytest.mark.parametrize("data", [b"abc", JSON.encode(), b"a b \xe4"])
def test_a_stream_is_written(driver: S3StorageDriver, bucket: Backdoor, tmp_path: Path, data: bytes) -> None:
    """Without a content type the store has its own; by default it is text."""
    (tmp_path / "source").write_bytes(data)
    with (tmp_path / "source").open("rb") as stream:
        driver.write_from_stream(*IDS, stream, content_type=None)
    assert stored(bucket) == (data, "application/octet-stream")
    driver.write_from_stream(*IDS, io.BytesIO(data))
    assert stored(bucket) == (data, "text/plain")


@keeps("S3StorageDriver", "test_list_filenames_in_path")
def test_objects_are_listed_in_order(driver: S3StorageDriver, bucket: Backdoor) -> None:
    """By a whole URL; what lies deeper is left out, as the original's docs said and its code did not."""
    for name in ("2016-01-02", "2016-01-03", "2016-01-01", "deeper/2016-01-04"):
        put(bucket, f"the_dag/the_task/{name}", b"")
    path = driver.get_path("the_dag", "the_task")
    assert driver.list_filenames_in_path(path) == ["2016-01-01", "2016-01-02", "2016-01-03"]


@keeps("S3StorageDriver", "test_get_or_create_key")
def test_a_key_can_be_had_before_it_is_there(driver: S3StorageDriver, bucket: Backdoor) -> None:
    """The second call finds what the first one wrote."""
    assert stored(bucket, "the/key")[0] is None
    driver.get_or_create_key("the/key").set_contents_from_string("this is a test")
    assert driver.get_or_create_key("the/key").get_contents_as_string() == "this is a test"
