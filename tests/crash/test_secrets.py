"""Secrets are planted in connections and arguments, things go well and wrong: none of them shows anywhere."""

import asyncio
import base64
import json
import logging
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fileflow_async import Dependency, DivePythonOperator, DiveSensorAsync, TaskRunner, open_store
from fileflow_async.errors import FileflowError
from fileflow_async.hooks import connection
from fileflow_async.hooks.s3 import S3StorageHook
from fileflow_async.storage_drivers import S3StorageDriver
from fileflow_async.triggers import ArrivalTrigger, FileTargetTrigger
from tests.airflow_harness import Triggerer, Worker, dag
from tests.conftest import LoopGuard
from tests.crash.tally import Tally
from tests.crash.waits import RUN
from tests.s3_servers.backdoor import Backdoor
from tests.s3_servers.proxy import DENIED, Fault, Proxy, Reply, Request

WHAT = "places searched for planted secrets"
SLOT = "20261120T000000Z"
KEY = f"{RUN}/extract/output"
NAMES = (
    "login",
    "password",
    "session token",
    "external id",
    "unknown extra",
    "unknown object",
    "host",
    "schema",
    "fs password",
    "fs login",
    "fs extra",
    "key in the extra",
    "secret in the extra",
    "token in the extra",
    "user of a root",
    "password of a root",
    "signature",
    "credential",
    "driver key",
    "driver secret",
)
# botocore itself writes the id of the key there when it is told to debug; nobody runs a deployment so.
OTHERS = ("botocore", "aiobotocore", "aiohttp", "asyncio", "urllib3", "boto3")


class Shown:
    """All that anybody may get to see, and by what it came."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def add(self, where: str, *things: object) -> None:
        self.texts += [(where, thing if isinstance(thing, str) else repr(thing)) for thing in things]

    def error(self, where: str, error: BaseException) -> None:
        """Note an error as a log shows it, with notes and causes; `str` and `repr` of each too."""
        self.add(where, "".join(traceback.format_exception(error)))
        each: BaseException | None = error
        while each is not None:
            self.add(where, str(each), each, each.args)
            each = each.__cause__ or each.__context__


@pytest.fixture
def secrets() -> Mapping[str, str]:
    """Texts that nobody takes for others."""
    return {name: f"planted{number:02}{uuid.uuid4().hex}" for number, name in enumerate(NAMES)}


@pytest.fixture
def shown(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Shown:
    """An empty one; all is logged that is ours or Airflow's."""
    caplog.set_level(logging.DEBUG)
    for name in OTHERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    monkeypatch.setattr(connection, "_connections", connection.Connections())
    return Shown()


@pytest.fixture(autouse=True)
def logging_is_no_blocking(loop_guard: LoopGuard) -> Iterator[None]:
    """Airflow's log and that of pytest write each record to a file."""
    yield
    loop_guard.blocked[:] = [call for call in loop_guard.blocked if call != "io.TextIOWrapper.write"]
    for name in OTHERS:
        logging.getLogger(name).setLevel(logging.NOTSET)


class Server:
    """An S3 server in a thread of its own, since tasks run loops of theirs."""

    def __init__(self, port: int) -> None:
        self.bucket = f"test-{uuid.uuid4().hex}"
        self.port = port
        asyncio.run(Backdoor(port, self.bucket).make())

    def objects(self) -> dict[str, bytes | None]:
        """Return all that lies there."""

        async def get() -> dict[str, bytes | None]:
            door = Backdoor(self.port, self.bucket)
            return {key: await door.get(key) for key in await door.keys()}

        return asyncio.run(get())


@pytest.fixture
def server(
    s3_port: int, secrets: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Server:
    """A bucket, with connections full of secrets."""
    server = Server(s3_port)
    extra = {
        "endpoint_url": f"http://127.0.0.1:{s3_port}",
        "region_name": "us-east-1",
        "config_kwargs": {"s3": {"addressing_style": "path"}},
        "unknown": secrets["unknown extra"],
        "nested": {"deeper": [secrets["unknown object"]]},
    }
    lake = {
        "conn_type": "aws",
        "login": secrets["login"],
        "password": secrets["password"],
        "host": secrets["host"],
        "schema": secrets["schema"],
        "extra": {**extra, "aws_session_token": secrets["session token"]},
    }
    in_extra = {
        **extra,
        "aws_access_key_id": secrets["key in the extra"],
        "aws_secret_access_key": secrets["secret in the extra"],
        "aws_session_token": secrets["token in the extra"],
    }
    broken = {**lake, "extra": {**extra, "role_arn": 5, "external_id": secrets["external id"]}}
    disk = {
        "conn_type": "fs",
        "login": secrets["fs login"],
        "password": secrets["fs password"],
        "extra": {"path": str(tmp_path), "token": secrets["fs extra"]},
    }
    connections = {
        "lake": lake,
        "lake_in_extra": {"conn_type": "aws", "extra": in_extra},
        "lake_broken": broken,
        "disk": disk,
        "neither": {**disk, "conn_type": "http"},
    }
    for name, facts in connections.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(facts))
    monkeypatch.setenv("AIRFLOW__FILEFLOW__DURABILITY", "none")
    monkeypatch.setenv("AIRFLOW__FILEFLOW__MIN_DEFER_SECONDS", "0")
    return server


class Extract(TaskRunner):
    def run(self) -> None:
        self.write_json({"a": 1})


class Fails(TaskRunner):
    def run(self) -> None:
        raise RuntimeError("out of luck")


def a_task_writes(shown: Shown, root: str, conn_id: str, logic: type[TaskRunner]) -> None:
    """Run an operator in Airflow's worker; note what it is told, and what it raises."""
    worker = Worker()
    operator = DivePythonOperator(
        task_id="extract",
        dag=dag(),
        python_object=logic,
        python_method="run",
        fileflow_root=root,
        fileflow_conn_id=conn_id,
    )
    result = worker.run(operator)
    shown.add("what a task tells Airflow", json.dumps(worker.told, default=repr), result.msg, operator)
    if result.error is not None:
        shown.error("errors of tasks", result.error)


def a_task_waits(shown: Shown, root: str, conn_id: str) -> None:
    """Defer, fire, and resume."""
    worker = Worker()
    sensor = DiveSensorAsync(
        task_id="report",
        dag=dag(),
        data_dependencies={"orders": Dependency("none", slot=SLOT)},
        fileflow_root=root,
        fileflow_conn_id=conn_id,
        timeout=2,
        poke_interval=1,
    )
    result = worker.run(sensor)
    shown.add("what a task tells Airflow", json.dumps(worker.told, default=repr), result.msg, sensor)
    if result.error is not None:
        shown.error("errors of tasks", result.error)
        return
    path, arguments = worker.trigger()
    shown.add("arguments of triggers", json.dumps(arguments, default=repr))

    async def fire() -> Any:
        triggerer = Triggerer()
        triggerer.create(1, (path, arguments))
        await triggerer.run(until=1, seconds=30)
        return triggerer.events[0][1]

    event = asyncio.run(fire())
    shown.add("events", json.dumps(event))
    resumed = worker.resume(sensor, event)
    if resumed.error is not None:
        shown.error("errors of tasks", resumed.error)


async def look_at_objects(shown: Shown, root: str, conn_id: str) -> None:
    """Note how everything shows itself that may be printed while a store is open."""
    async with open_store(root, conn_id) as store:
        settings = getattr(store.storage, "_settings", None)
        shown.add("texts of objects", store, store.storage, settings, str(settings), vars(store.storage))
    details = await connection.connection(conn_id)
    shown.add("texts of objects", details, str(details), f"{details}")


async def go_wrong(shown: Shown, conn_id: str, server: Server) -> None:
    """Note what is raised by a server that answers badly, and that sends back what it was sent."""

    def echo(request: Request, _: Reply | None) -> Reply:
        text = " ".join([request.target, *request.headers.values()])
        body = f"<?xml version='1.0'?><Error><Code>Odd</Code><Message>{text}</Message></Error>"
        return Reply.made("400 Bad Request", body.encode(), Content_Type="application/xml")

    async with Proxy.to(server.port) as proxy:
        for fault in (DENIED, Fault("echo", passes=False, reply=echo)):
            proxy.reset()
            proxy.spoil(fault, times=1000)
            found = await connection.connection(conn_id)
            hook = S3StorageHook(conn_id)
            shown.add("texts of objects", hook, found)
            with pytest.raises(Exception, match=r".") as caught:
                async with open_store(f"s3://{server.bucket}-absent/ff", conn_id, impatient=True) as store:
                    await store.read(KEY)
            shown.error("errors of stores", caught.value)


async def bad_arguments(shown: Shown, secrets: Mapping[str, str]) -> None:
    """Note what is said about credentials where none belong."""
    user, password = secrets["user of a root"], secrets["password of a root"]
    signed = f"X-Amz-Credential={secrets['credential']}&X-Amz-Signature={secrets['signature']}"
    roots = [
        f"s3://{user}:{password}@lake/ff",
        f"https://{user}:{password}@lake.example/ff",
        f"s3://lake/ff?{signed}",
        f"https://lake.s3.amazonaws.com/ff/x.csv?{signed}",
    ]
    for root in roots:
        with pytest.raises(FileflowError) as caught:
            async with open_store(root):
                pytest.fail("it was opened")
        shown.error("errors of arguments", caught.value)
        wrongs: list[FileTargetTrigger | ArrivalTrigger] = [
            FileTargetTrigger(root=root, targets=[KEY]),
            FileTargetTrigger(root="s3://lake/ff", targets=[f"{root}/{KEY}"]),
        ]
        if not root.startswith("s3://lake"):  # an outsider's key may have a question mark in it
            wrongs.append(ArrivalTrigger(path=f"{root}/x.csv"))
        for wrong in wrongs:
            with pytest.raises(FileflowError) as caught:
                await anext(wrong.run())
            shown.error("errors of arguments", caught.value)


def a_driver(shown: Shown, secrets: Mapping[str, str]) -> None:
    """Note how the storage of the original shows itself."""
    driver = S3StorageDriver(secrets["driver key"], secrets["driver secret"], "lake")
    shown.add("texts of objects", driver, str(driver), vars(driver))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_twenty_secrets_show_nowhere(
    server: Server,
    secrets: Mapping[str, str],
    shown: Shown,
    tally: Tally,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In logs, arguments, events, records, errors, texts of objects and XCom: as they are and coded."""
    (tmp_path / "store").mkdir()
    lake, disk = f"s3://{server.bucket}/ff", (tmp_path / "store").as_uri()
    places = [
        (lake, "lake"),
        (lake, "lake_in_extra"),
        (disk, "disk"),
        (lake, "lake_broken"),
        (disk, "neither"),
    ]
    for root, conn_id in places:
        for logic in (Extract, Fails):
            a_task_writes(shown, root, conn_id, logic)
        a_task_waits(shown, root, conn_id)
    for root, conn_id in places[:3]:
        asyncio.run(look_at_objects(shown, root, conn_id))
    for conn_id in ("lake", "lake_in_extra"):
        asyncio.run(go_wrong(shown, conn_id, server))
    asyncio.run(bad_arguments(shown, secrets))
    a_driver(shown, secrets)
    shown.add("objects in S3", *(f"{key} {data!r}" for key, data in server.objects().items()))
    for path in (tmp_path / "store").rglob("*"):
        shown.add("files on disk", f"{path} {path.read_bytes()!r}" if path.is_file() else str(path))
    out, err = capfd.readouterr()
    lines = [repr(vars(record)) for record in caplog.records if record.name not in OTHERS]
    shown.add("log", caplog.text, out, err, *lines)
    for where, text in shown.texts:
        tally.add(where)
        for name, secret in secrets.items():
            for coded in codings(secret):
                assert coded not in text, f"the {name} shows in {where}: {text[:2000]}"
    assert {where for where, _ in shown.texts} >= {
        "log",
        "events",
        "arguments of triggers",
        "what a task tells Airflow",
        "errors of tasks",
        "errors of stores",
        "errors of arguments",
        "texts of objects",
        "objects in S3",
        "files on disk",
    }


def codings(secret: str) -> set[str]:
    """Return a secret as it is, and as it may have been passed on."""
    coded = base64.b64encode(secret.encode()).decode()
    return {secret, quote(secret), secret[::-1], coded.rstrip("=")[:-1], secret.encode().hex()}


def test_a_secret_would_be_found(secrets: Mapping[str, str]) -> None:
    """Otherwise the test above would show nothing."""
    shown, secret = Shown(), secrets["password"]
    with suppress(ValueError):
        raise ValueError(secret)
    try:
        try:
            raise ValueError(secret)
        except ValueError as error:
            raise KeyError("wrapped") from error
    except KeyError as error:
        shown.error("errors", error)
    assert any(secret in text for _, text in shown.texts)
