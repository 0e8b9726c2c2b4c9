"""The command, run in this process, and stores that it finds things in."""

import asyncio
import json
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from fileflow_async import open_store
from fileflow_async.cli import main
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference
from tests.planting import put
from tests.s3_servers.backdoor import Backdoor

KEY = "shop/20261120T000000Z/extract/output"


@dataclass(frozen=True)
class Ended:
    """How a command has ended."""

    code: int
    out: str
    err: str

    @property
    def payload(self) -> Any:
        """The JSON document that it printed."""
        return json.loads(self.out)

    @property
    def payloads(self) -> list[Any]:
        """The JSON documents that it printed, a line each."""
        return [json.loads(line) for line in self.out.splitlines()]


class Run(Protocol):
    """How the fixture `fileflow` is called."""

    def __call__(self, *arguments: str) -> Ended: ...


@pytest.fixture
def fileflow(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command."""

    def run(*arguments: str) -> Ended:
        try:
            code = main(arguments)
        except SystemExit as ended:  # argparse's
            code = int(ended.code or 0)
        printed = capfd.readouterr()
        return Ended(code, printed.out, printed.err)

    return run


@dataclass(frozen=True)
class Planted:
    """The store that is configured, and the way to put something there."""

    root: str

    def work(self, work: Callable[[TargetStore], Coroutine[Any, Any, Any]]) -> Any:
        """Do something with the store."""

        async def opened() -> Any:
            async with open_store(self.root) as store:
                return await work(store)

        return asyncio.run(opened())

    def put(self, data: bytes, key: str = KEY, **options: Any) -> Reference:
        """Commit a value."""
        reference: Reference = self.work(lambda store: put(store, key, data, **options))
        return reference

    @property
    def folder(self) -> Path:
        """Where a store on disk is."""
        return Path(self.root.removeprefix("file://"))


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the machine's own configuration in, nor out what the command sets for its process."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    monkeypatch.setenv("AIRFLOW__FILEFLOW__DURABILITY", "none")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planted:
    """A store on disk."""
    (root := tmp_path / "store").mkdir()
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", root.as_uri())
    return Planted(root.as_uri())


@pytest.fixture
def bucket_of_store(s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Backdoor:
    """A bucket, which is configured as the store, with credentials that the machine has."""
    made = Backdoor(s3_port, f"test-{uuid.uuid4().hex}")
    asyncio.run(made.make())
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3_port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-planted")
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", f"s3://{made.bucket}/lake")
    return made


@pytest.fixture(params=["local", "s3"])
def any_store(request: pytest.FixtureRequest) -> Planted:
    """A store on disk, and one in S3."""
    if request.param == "local":
        planted: Planted = request.getfixturevalue("store")
        return planted
    return Planted(f"s3://{request.getfixturevalue('bucket_of_store').bucket}/lake")
