"""Connections: every way Airflow has to answer, asked once, with all secrets kept."""

import asyncio
import json
import logging
import subprocess
import sys
import traceback
from typing import Any

import pytest
from airflow.sdk import Connection
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time.context import _preset_connections

from fileflow_async.errors import ConfigError
from fileflow_async.hooks.connection import (
    ConnectionDetails,
    Connections,
    connection,
    fetch,
    forget,
    run_synchronously,
)
from fileflow_async.testing.clock import FakeClock
from tests.hooks.conftest import AsyncComms, SyncComms

SECRETS = ["AKIA-planted", "s3cret-planted", "token-planted", "external-planted", "host-planted"]
LAKE: dict[str, Any] = {
    "conn_type": "aws",
    "host": "host-planted",
    "login": "AKIA-planted",
    "password": "s3cret-planted",
    "extra": json.dumps({"aws_session_token": "token-planted", "external_id": "external-planted"}),
}
DETAILS = ConnectionDetails(
    conn_id="lake",
    conn_type="aws",
    host="host-planted",
    login="AKIA-planted",
    password="s3cret-planted",
    extra={"aws_session_token": "token-planted", "external_id": "external-planted"},
)


def assert_secret(*shown: object) -> None:
    for each in shown:
        text = f"{each} {each!r}"
        if isinstance(each, BaseException):
            text += "".join(traceback.format_exception(each))
        assert "planted" not in text


async def test_a_connection_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As URI or as JSON, without any database."""
    extra = "aws_session_token=token-planted&external_id=external-planted"
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", f"aws://AKIA-planted:s3cret-planted@host-planted/?{extra}")
    assert await fetch("lake") == DETAILS
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps({**LAKE, "extra": DETAILS.extra}))
    assert await fetch("lake") == DETAILS


async def test_a_busy_event_loop_is_no_obstacle(comms: AsyncComms) -> None:
    """A synchronous request would raise DeadlockImminentError there, even one that only masks a secret.

    Airflow masks what is in the extra as well; we do not do so again.
    """
    comms.connections["lake"] = LAKE
    assert await fetch("lake") == DETAILS
    assert comms.asked == ["lake"]
    assert {"aws_session_token": "token-planted", "external_id": "external-planted"} in comms.masked


async def test_dag_test_has_only_the_synchronous_way(dag_test_comms: SyncComms) -> None:
    """There `aget_connection` says of a connection in the database that it isn't defined."""
    dag_test_comms.connections["lake"] = LAKE
    assert await fetch("lake") == DETAILS


@pytest.mark.parametrize("answer", [ErrorType.CONNECTION_NOT_FOUND, ErrorType.API_SERVER_ERROR])
async def test_a_missing_connection_is_named(comms: AsyncComms, answer: ErrorType) -> None:
    """Row 20 of the catalogue of bad inputs; Airflow does not tell an outage from it, so the hint does."""
    comms.connections["aws_x"] = answer
    with pytest.raises(ConfigError) as caught:
        await fetch("aws_x")
    assert str(caught.value) == "connection 'aws_x' does not exist"
    assert "cannot be asked" in caught.value.__notes__[0]


async def test_a_connection_that_may_not_be_read_is_not_a_missing_one(comms: AsyncComms) -> None:
    """Airflow denies it for good; it is not looked for elsewhere."""
    comms.connections["aws_x"] = ErrorType.PERMISSION_DENIED
    with pytest.raises(ConfigError) as caught:
        await fetch("aws_x")
    assert str(caught.value) == "connection 'aws_x' may not be read here"
    assert comms.asked == ["aws_x"]


async def test_a_connection_without_an_id_is_refused() -> None:
    """Nobody is asked."""
    with pytest.raises(ConfigError, match="conn_id is empty"):
        await fetch("")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Airflow answers, without the way there: it writes to the log about some of it."""
    fields = dict(LAKE)

    async def ask(conn_id: str) -> Connection:
        return Connection(conn_id=conn_id, **fields)

    monkeypatch.setattr("airflow.providers.common.compat.connection.get_async_connection", ask)
    return fields


@pytest.mark.parametrize("extra", ["s3cret-planted", "[1]", '"s3cret-planted"', "5"])
async def test_an_extra_that_is_no_object_is_an_error(answers: dict[str, Any], extra: str) -> None:
    """Airflow would take it for an empty one, and the connection for one without a region or role."""
    answers["extra"] = extra
    with pytest.raises(ConfigError) as caught:
        await fetch("lake")
    assert str(caught.value) == "the extra of connection 'lake' must be a JSON object"
    assert_secret(caught.value)


@pytest.mark.parametrize("extra", [None, "", "  ", "{}"])
async def test_no_extra_is_an_empty_one(answers: dict[str, Any], extra: str | None) -> None:
    """Fields left empty in a form are as good as none."""
    answers.update(conn_type="", login="", password="", host="", extra=extra)
    assert await fetch("lake") == ConnectionDetails(conn_id="lake")


async def test_no_secret_shows(comms: AsyncComms, caplog: pytest.LogCaptureFixture) -> None:
    """Not in the value's text, not in a log, not in an error that comes of it."""
    caplog.set_level(logging.DEBUG)
    comms.connections["lake"] = LAKE
    details = await fetch("lake")
    assert repr(details) == "ConnectionDetails(conn_id='lake', conn_type='aws')"
    with pytest.raises(ConfigError) as caught:
        details.require("fs", "a root on disk")
    assert str(caught.value) == "connection 'lake' is of type 'aws', a root on disk needs 'fs'"
    assert_secret(details, caught.value, caplog.text, comms.asked)


def test_a_generic_connection_is_good_for_anything() -> None:
    """Airflow's command line makes one of `--conn-type aws` where Amazon's provider is not installed."""
    ConnectionDetails(conn_id="lake", conn_type="generic").require("aws", "S3")


async def test_airflow_without_the_helper_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same error as without Airflow."""
    monkeypatch.setitem(sys.modules, "airflow.providers.common.compat.connection", None)
    with pytest.raises(ConfigError) as caught:
        await fetch("lake")
    assert str(caught.value) == (
        "connection 'lake' cannot be looked up without Airflow; install apache-airflow with "
        "apache-airflow-providers-common-compat, or leave conn_id out"
    )


async def test_what_is_known_cannot_be_changed(comms: AsyncComms) -> None:
    """It is shared by all who ask."""
    comms.connections["lake"] = LAKE
    details = await connection("lake")
    with pytest.raises(TypeError):
        details.extra["aws_session_token"] = "other"  # type: ignore[index]


async def test_a_connection_is_asked_for_once(comms: AsyncComms) -> None:
    """Until somebody says that it no longer works."""
    comms.connections["lake"] = LAKE
    assert await connection("lake") is await connection("lake")
    assert comms.asked == ["lake"]
    forget("lake")
    await connection("lake")
    assert comms.asked == ["lake", "lake"]


class Asked:
    """A lookup that the test answers."""

    def __init__(self) -> None:
        self.count = 0
        self.release = asyncio.Event()
        self.error: BaseException | None = None

    async def __call__(self, conn_id: str) -> ConnectionDetails:
        self.count += 1
        await self.release.wait()
        if self.error is not None:
            raise self.error
        return ConnectionDetails(conn_id=conn_id, conn_type=f"answer {self.count}")


async def settled(work: list["asyncio.Task[ConnectionDetails]"]) -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    assert work


async def test_an_answer_is_good_for_minutes() -> None:
    """Then it is asked for again, as credentials change."""
    asked, clock = Asked(), FakeClock()
    asked.release.set()
    known = Connections(asked, clock=clock, kept_for=300)
    await known.get("lake")
    await clock.advance(299)
    assert (await known.get("lake")).conn_type == "answer 1"
    await clock.advance(1)
    assert (await known.get("lake")).conn_type == "answer 2"


async def test_many_who_ask_at_once_make_one_request() -> None:
    """Airflow answers one request after another."""
    asked = Asked()
    known = Connections(asked)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(known.get(name)) for name in ["lake"] * 20 + ["other"] * 20]
        await settled(tasks)
        asked.release.set()
    assert asked.count == 2
    assert len({id(task.result()) for task in tasks}) == 2


async def test_who_is_cancelled_does_not_take_the_others_along() -> None:
    """If it was the first, who led, the next one leads; if another, nobody notices."""
    asked = Asked()
    known = Connections(asked)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(known.get("lake")) for _ in range(5)]
        await settled(tasks)
        tasks[3].cancel()
        tasks[0].cancel()
        await settled(tasks)
        asked.release.set()
    assert [task.cancelled() for task in tasks] == [True, False, False, True, False]
    assert {task.result().conn_type for task in tasks if not task.cancelled()} == {"answer 2"}
    assert asked.count == 2


async def test_a_failure_is_shared_but_not_remembered() -> None:
    """So that a connection can be made while somebody waits for it."""
    asked = Asked()
    asked.error = ConfigError("connection 'lake' does not exist")
    known = Connections(asked)
    tasks = [asyncio.ensure_future(known.get("lake")) for _ in range(5)]
    await settled(tasks)
    asked.release.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["connection 'lake' does not exist"] * 5
    assert asked.count == 1
    asked.error = None
    assert (await known.get("lake")).conn_type == "answer 2"


async def test_a_failure_that_nobody_else_waits_for_leaves_nothing_behind() -> None:
    """No warning of a future whose exception was never retrieved, no entry that grows."""
    asked = Asked()
    asked.error = ConfigError("no")
    asked.release.set()
    known = Connections(asked)
    with pytest.raises(ConfigError):
        await known.get("lake")
    assert not known._asked
    assert not known._known


def test_each_event_loop_asks_for_itself() -> None:
    """A future belongs to its loop; what is known belongs to the process."""
    asked: list[str] = []

    async def ask(conn_id: str) -> ConnectionDetails:
        asked.append(conn_id)
        return DETAILS

    known = Connections(ask)
    assert asyncio.run(known.get("lake")) is asyncio.run(known.get("lake"))
    assert asked == ["lake"]


def test_a_coroutine_runs_for_a_synchronous_caller_in_its_context() -> None:
    """Airflow keeps a connection that is tested before it is stored in a context variable."""
    token = _preset_connections.set({"lake": Connection(conn_id="lake", **LAKE)})
    try:
        assert run_synchronously(fetch("lake")) == DETAILS
    finally:
        _preset_connections.reset(token)


def test_a_coroutine_runs_although_the_callers_thread_runs_a_loop() -> None:
    """In a process of its own, where nothing guards the loop: this blocks it, as all synchronous calls do."""
    code = (
        "import asyncio; from fileflow_async.hooks.connection import run_synchronously\n"
        "async def main(): print(run_synchronously(asyncio.sleep(0, 'ran')))\n"
        "asyncio.run(main())"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == "ran\n"


def test_without_airflow_the_error_names_what_to_install() -> None:
    """In a process of its own: this one has Airflow."""
    code = (
        "import sys, asyncio; sys.modules['airflow'] = None\n"
        "from fileflow_async.hooks.store import open_store\n"
        "async def main():\n"
        "    async with open_store('/data', 'aws_x'): pass\n"
        "try: asyncio.run(main())\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == (
        "ConfigError connection 'aws_x' cannot be looked up without Airflow; install apache-airflow with "
        "apache-airflow-providers-common-compat, or leave conn_id out\n"
    )
