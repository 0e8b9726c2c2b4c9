"""Airflow without a database: its own code, with a supervisor that the test plays."""

import asyncio
import atexit
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

# Before Airflow is imported for the first time: it makes folders there.
if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
handlers, level = logging.root.handlers[:], logging.root.level
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Airflow's own, at its import
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import (
        ConnectionResult,
        ErrorResponse,
        GetConnection,
        MaskSecret,
    )

    from tests.airflow_private import DeadlockImminentError

logging.root.handlers[:] = handlers  # Airflow's writes to stdout, from the event loop too
logging.root.setLevel(level)

from fileflow_async.hooks import aws_extra, connection  # noqa: E402

Answer = Mapping[str, Any] | ErrorType


class Supervisor:
    """What answers a worker's or a triggerer's requests for connections.

    Attributes:
        connections: What it knows, by id; another's answer is that there is no such connection.
        asked: The ids it was asked for, in order.
        masked: What it was told to hide from logs.
    """

    def __init__(self) -> None:
        self.connections: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.masked: list[Any] = []

    def answer(self, request: Any) -> Any:
        if isinstance(request, MaskSecret):
            self.masked.append(request.value)
            return None
        assert isinstance(request, GetConnection)
        self.asked.append(request.conn_id)
        found = self.connections.get(request.conn_id, ErrorType.CONNECTION_NOT_FOUND)
        if isinstance(found, ErrorType):
            return ErrorResponse(error=found)
        fields = dict.fromkeys(("host", "schema", "login", "password", "port", "extra"))
        return ConnectionResult(conn_id=request.conn_id, **{**fields, **found})


class SyncComms(Supervisor):
    """Requests as in `dag.test()`, which has no others; they take their time, so not on an event loop."""

    def send(self, request: Any) -> Any:
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            raise DeadlockImminentError(request)
        return self.answer(request)


class AsyncComms(SyncComms):
    """Requests as in a worker or a triggerer whose event loop is busy with another one."""

    async def asend(self, request: Any) -> Any:
        return self.answer(request)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test looks its connections up anew, and none is configured."""
    monkeypatch.setattr(connection, "_connections", connection.Connections())
    aws_extra._warn_once.cache_clear()
    for name in list(os.environ):
        if name.startswith(("AIRFLOW__FILEFLOW__", "AIRFLOW_CONN_", "AWS_")):
            monkeypatch.delenv(name)


@pytest.fixture
def comms(monkeypatch: pytest.MonkeyPatch) -> AsyncComms:
    """The supervisor of a worker or a triggerer."""
    comms = AsyncComms()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
    return comms


@pytest.fixture
def dag_test_comms(monkeypatch: pytest.MonkeyPatch) -> SyncComms:
    """The supervisor of `dag.test()`."""
    comms = SyncComms()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
    return comms


MakeFolders = Callable[..., Awaitable[list[Path]]]


@pytest.fixture
def folders(tmp_path: Path) -> MakeFolders:
    """Make folders in the test's own."""

    async def make(*names: str) -> list[Path]:
        made = [tmp_path / name for name in names]
        for folder in made:
            await asyncio.to_thread(folder.mkdir)
        return made

    return make


@pytest.fixture
def aws(s3_port: int) -> dict[str, Any]:
    """A connection to the S3 server of the tests, as a deployment with MinIO has one."""
    extra = {
        "endpoint_url": f"http://127.0.0.1:{s3_port}",
        "region_name": "us-east-1",
        "config_kwargs": {"s3": {"addressing_style": "path"}},
    }
    keys = {"login": "AKIA-planted", "password": "s3cret-planted"}
    return {"conn_type": "aws", **keys, "extra": json.dumps(extra)}
