"""Opening the places of outsiders."""

import asyncio
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fileflow_async.errors import ConfigError
from fileflow_async.hooks.connection import forget
from fileflow_async.hooks.outside import open_outside
from fileflow_async.storage.outside import Look
from fileflow_async.storage.outside_bucket import OutsideBucket
from fileflow_async.storage.retry import BRIEF
from fileflow_async.storage.s3 import S3Storage
from fileflow_async.storage.search import Search
from tests.hooks.conftest import AsyncComms, MakeFolders
from tests.s3_servers.backdoor import Backdoor


async def found(search: Search, conn_id: str | None = None) -> list[str]:
    async with open_outside(search, conn_id) as outside:
        answer = await outside.look([search], lambda answers: answers[search])
    assert isinstance(answer, Look)
    return [search.uri(seen.path) for seen in answer.seen]


def fs(path: str | None) -> Mapping[str, Any]:
    extra = "{}" if path is None else f'{{"path": "{path}"}}'
    return {"conn_type": "fs", "extra": extra}


@pytest.fixture
def aws(s3_port: int) -> dict[str, Any]:
    """A connection to a server on loopback."""
    config = {"s3": {"addressing_style": "path"}}
    endpoint = f"http://127.0.0.1:{s3_port}"
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1", "config_kwargs": config}
    keys = {"login": "AKIA-planted", "password": "s3cret-planted"}
    return {"conn_type": "aws", **keys, "extra": json.dumps(extra)}


@pytest.fixture
async def inbox(folders: MakeFolders) -> Path:
    """A folder with one file in it."""
    [folder] = await folders("in")
    await asyncio.to_thread((folder / "a.csv").write_text, "x")
    return folder


async def test_a_folder_needs_no_connection(inbox: Path) -> None:
    """It is opened as it is."""
    assert await found(Search.of(pattern=inbox / "*")) == [f"file://{inbox}/a.csv"]


async def test_looks_at_an_open_place_share_a_thread(inbox: Path) -> None:
    """Which is kept as long as any place is open: to start one may hold the loop on a busy machine."""
    search = Search.of(pattern=inbox / "*")
    threads = set()  # of their own kind: the system gives the number of one that has ended to the next
    async with open_outside(search) as outside:
        for _ in range(5):
            threads.add(await outside.look([search], lambda _: threading.current_thread()))
            await asyncio.sleep(0.01)
    assert len(threads) == 1


async def test_a_connection_may_allow_a_folder(inbox: Path, comms: AsyncComms) -> None:
    """That of its path, and those below; all, if it has none."""
    for path in (str(inbox), str(inbox.parent), None):
        comms.connections["drop"] = fs(path)
        assert await found(Search.of(path=inbox / "a.csv"), "drop") == [f"file://{inbox}/a.csv"]
        forget("drop")


async def test_a_connection_may_not_allow_a_folder(
    inbox: Path, folders: MakeFolders, comms: AsyncComms
) -> None:
    """Not even one that gets there by a link."""
    [other] = await folders("other")
    comms.connections["drop"] = fs(str(other))
    await asyncio.to_thread(os.symlink, inbox, other / "link")
    for folder in (inbox, other / "link"):
        with pytest.raises(ConfigError) as caught:
            await found(Search.of(path=folder / "a.csv"), "drop")
        assert str(caught.value) == f"folder '{folder}' is not in '{other}', the path of connection 'drop'"


async def test_a_connection_must_fit_the_place(inbox: Path, comms: AsyncComms, aws: dict[str, Any]) -> None:
    """A folder by `fs`, a bucket by `aws`."""
    comms.connections["lake"] = aws
    comms.connections["drop"] = fs(None)
    with pytest.raises(ConfigError, match="connection 'lake' is of type 'aws'"):
        await found(Search.of(path=inbox / "a.csv"), "lake")
    with pytest.raises(ConfigError, match="connection 'drop' is of type 'fs'"):
        await found(Search.of(path="s3://lake/a.csv"), "drop")
    with pytest.raises(ConfigError, match="connection 'none' does not exist"):
        await found(Search.of(path="s3://lake/a.csv"), "none")


async def test_a_bucket_is_opened_by_its_connection(
    comms: AsyncComms, aws: dict[str, Any], bucket: Backdoor
) -> None:
    """The whole of it, whatever the prefix."""
    comms.connections["lake"] = aws
    await bucket.put("in/a.csv", b"x")
    uri = f"s3://{bucket.bucket}/in/a.csv"
    assert await found(Search.of(path=uri), "lake") == [uri]


async def test_a_bucket_is_opened_with_what_the_machine_has(
    monkeypatch: pytest.MonkeyPatch, bucket: Backdoor
) -> None:
    """Without a connection."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-planted")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bucket.port}")
    await bucket.put("in/a.csv", b"x")
    uri = f"s3://{bucket.bucket}/in/a.csv"
    assert await found(Search.of(path=uri)) == [uri]


@pytest.mark.parametrize("conn_id", [None, "lake"])
async def test_whoever_looks_again_anyway_lets_s3_give_up_soon(
    monkeypatch: pytest.MonkeyPatch, comms: AsyncComms, aws: dict[str, Any], conn_id: str | None
) -> None:
    """Two minutes of retries below each look would be a burden in an outage, and hide it from who waits."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "planted")
    comms.connections["lake"] = aws
    async with open_outside(Search.of(path="s3://lake/a.csv"), conn_id) as outside:
        assert isinstance(outside, OutsideBucket)
        assert isinstance(outside._storage, S3Storage)
        assert outside._storage._budget is BRIEF


async def test_a_bucket_must_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where buckets are restricted at all; that of the configured root always is."""
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ALLOWED_BUCKETS", "lake, pond")
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", "s3://sea/ff")
    for bucket in ("lake", "pond", "sea"):
        async with open_outside(Search.of(path=f"s3://{bucket}/a.csv")):
            pass
    with pytest.raises(ConfigError, match="bucket 'river' is not in allowed_buckets"):
        await found(Search.of(path="s3://river/a.csv"))
