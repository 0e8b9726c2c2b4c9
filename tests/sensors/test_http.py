"""Wait for an endpoint, then work on what it said: the same answers in every mode."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from fileflow_async import AsyncTaskRunner, Reference, TaskRunner
from fileflow_async.errors import ConfigError, EndpointRefusedError, FormatError
from fileflow_async.http.answer import Answer
from fileflow_async.sensors.http import HttpSensorAsync
from fileflow_async.triggers import http
from fileflow_async.triggers.http import HttpTrigger
from tests.airflow_context import FakeRun
from tests.http_server import HttpServer, connect, says
from tests.sensors.modes import MODES, carried_out, deferral, event_of, modes, resumed

pytestmark = pytest.mark.usefixtures("root", "dag", "no_pause")

SECRET = "what-nobody-may-see"


@pytest.fixture(autouse=True)
def nobody_is_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody starts together here."""
    monkeypatch.setattr(http, "_SPREAD", 0.0)


@pytest.fixture(autouse=True)
def endpoint(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> HttpServer:
    """What the connection `api` is for."""
    connect(monkeypatch, "api", host=http_server.url, login="me", password=SECRET)
    return http_server


def sensor(mode: str = "deferred", **arguments: Any) -> HttpSensorAsync:
    given = {"task_id": "ask", "endpoint": "a", "http_conn_id": "api", "poke_interval": 1, "timeout": 60}
    return HttpSensorAsync(**{**given, **MODES[mode], **arguments})


# When the DAG is parsed.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"endpoint": "http://me:pw@h/"}, "endpoint holds credentials"),
        ({"http_conn_id": None}, "neither a connection with a host nor an endpoint that is a whole URL"),
        ({"headers": {"Cookie": SECRET}}, "the header 'Cookie' looks like a credential"),
        ({"ok_status": 200}, "ok_status must be a list"),
        ({"response_check": len}, "response_check must be the dotted path of a function"),
        ({"json_path": "state"}, r"a JSON path must begin with '\$'"),
        ({"poke_interval": 0.01}, "poke_interval must be at least 1 second"),
        ({"timeout": 0}, "timeout must be a positive number of seconds"),
        ({"python_object": dict}, "python_object must be a TaskRunner or AsyncTaskRunner class"),
        (
            {"mode": "rescheduled", "changed": True},
            "a rescheduled task has nowhere to note what was there before",
        ),
    ],
    ids=str,
)
def test_a_wrong_argument_fails_when_the_dag_is_parsed(arguments: dict[str, Any], message: str) -> None:
    """Not in a triggerer, hours later."""
    with pytest.raises(ConfigError, match=message) as caught:
        sensor(**arguments)
    assert SECRET not in str(caught.value)


def test_a_misspelt_argument_is_refused() -> None:
    """By Airflow."""
    with pytest.raises(TypeError, match="poll_interval"):
        sensor(poll_interval=5)


def test_templates_are_judged_when_they_are_filled_in(run: FakeRun, endpoint: HttpServer) -> None:
    """And not before."""
    endpoint.on("/2026/a", says())
    waiter = sensor(endpoint="{{ params.year }}/a", request_params={"x": "{{ params.x }}"})
    waiter.render_template_fields({"params": {"year": 2026, "x": "y z"}})
    assert waiter.execute(run.context("ask"))["status"] == 200
    assert endpoint.seen["/2026/a"][0].query == "x=y z"
    bad = sensor(task_id="bad", endpoint="{{ params.url }}")
    bad.render_template_fields({"params": {"url": "a b"}})
    with pytest.raises(ConfigError, match="endpoint has spaces"):
        bad.execute(run.context("bad"))


# One answer in every mode.


@modes
def test_what_is_there_already_needs_no_wait(run: FakeRun, endpoint: HttpServer, mode: str) -> None:
    """One look, in the worker where the task is."""
    endpoint.on("/a", says(200, "body", {"ETag": '"1"', "Content-Type": "text/plain"}))
    result = sensor(mode, excerpt=2).execute(run.context("ask"))
    assert result == {
        "url": f"{endpoint.url}/a",
        "status": 200,
        "headers": {"content-type": "text/plain", "etag": '"1"'},
        "size": 4,
        "sha256": "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5",
        "excerpt": "bo",
        "reference": None,
    }
    assert endpoint.count("/a") == 1


@modes
def test_what_comes_later_is_waited_for(run: FakeRun, endpoint: HttpServer, mode: str) -> None:
    """With the same result; a resumed task does not ask again."""
    endpoint.on("/a", says(503), says(200, '{"state": "busy"}'), says(200, '{"state": "done"}'), says(500))
    context = run.context("ask")
    result = carried_out(sensor(mode, json_path="$.state", expected="done"), context)
    assert (result["status"], result["size"]) == (200, 17)
    assert endpoint.count("/a") == 3


def test_a_stored_answer_is_of_this_try(run: FakeRun, endpoint: HttpServer) -> None:
    """The triggerer commits it, and knows nothing of the task but what it is told."""
    context = run.context("ask")
    trigger = sensor("deferred", store_response=True).trigger(context, deadline=1.0, not_before=2.0)
    assert trigger.store_as == run.target("ask", name="response").key
    assert trigger.producer["task_id"] == "ask"
    assert (trigger.deadline, trigger.not_before) == (1.0, 2.0)


@modes
def test_the_time_is_over(run: FakeRun, endpoint: HttpServer, mode: str) -> None:
    """An error that Airflow does not retry, and that says what was seen last."""
    context = run.context("ask")
    waiter = sensor(mode, timeout=2.5)
    with pytest.raises(
        AirflowSensorTimeout, match=r"waited 2 s for http://.*/a; last state 404 \(HTTP 404\)"
    ):
        carried_out(waiter, context, meanwhile=lambda: time.sleep(1.0))


@modes
@pytest.mark.parametrize("arguments", [{"soft_fail": True}, {"never_fail": True}], ids=str)
def test_the_time_is_over_softly(
    run: FakeRun, endpoint: HttpServer, mode: str, arguments: dict[str, Any]
) -> None:
    """What is late may be skipped."""
    with pytest.raises(AirflowSkipException):
        carried_out(sensor(mode, timeout=1.2, **arguments), run.context("ask"), lambda: time.sleep(0.6))


@modes
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, EndpointRefusedError),
        ({"soft_fail": True}, EndpointRefusedError),
        ({"never_fail": True}, AirflowSkipException),
    ],
    ids=str,
)
def test_what_refuses_fails_whatever_is_soft(
    run: FakeRun, endpoint: HttpServer, mode: str, arguments: dict[str, Any], error: type[Exception]
) -> None:
    """After three refusals; a wrong password is not late. A rescheduled task settles that in one go."""
    endpoint.on("/a", says(401))
    with pytest.raises(error, match="HTTP 401"):
        carried_out(sensor(mode, **arguments), run.context("ask"))
    assert 3 <= endpoint.count("/a") <= 4


@modes
def test_what_will_never_be_fails_at_once_and_for_good(run: FakeRun, endpoint: HttpServer, mode: str) -> None:
    """By the author's word, without a retry."""
    endpoint.on("/a", says(410))
    with pytest.raises(AirflowFailException, match="HTTP 410"):
        carried_out(sensor(mode, fail_status=[410]), run.context("ask"))
    assert endpoint.count("/a") == 1


def test_the_deadline_stays_where_it_is(run: FakeRun) -> None:
    """However often the task is deferred."""
    began = datetime.now(UTC) - timedelta(seconds=50)
    deferred = deferral(sensor(timeout=60), run.context("ask", start_date=began))
    assert isinstance(deferred.trigger, HttpTrigger)
    assert deferred.trigger.deadline == pytest.approx(began.timestamp() + 60, abs=0.01)
    assert deferred.timeout is not None
    assert 9 < deferred.timeout.total_seconds() < 200


def test_a_rescheduled_task_begins_its_time_once(run: FakeRun) -> None:
    """When it first looked."""
    began = datetime.now(UTC) - timedelta(seconds=70)
    waiter = sensor("rescheduled", timeout=60)
    with pytest.raises(AirflowSensorTimeout):
        waiter.execute(run.context("ask", rescheduled=began))


def test_an_event_that_is_none_is_an_error(run: FakeRun) -> None:
    """Whoever sent it."""
    events: list[Any] = [None, {}, {"outcome": "ready"}, [], "ready", {"outcome": "late"}]
    for number, event in enumerate(events):
        with pytest.raises(FormatError, match="is not the event of an HTTP wait"):
            resumed(sensor(task_id=f"ask{number}"), run.context("ask"), event)


@pytest.mark.parametrize("body", [{"json": {"c": [1]}}, {"data": "c"}], ids=["json", "data"])
def test_the_trigger_gets_what_the_sensor_is_told(run: FakeRun, body: dict[str, Any]) -> None:
    """Each argument, and no secret."""
    arguments: dict[str, Any] = {
        "method": "POST",
        "request_params": {"a": 1},
        "headers": {"A": "b"},
        **body,
        "ok_status": [200],
        "wait_status": [202],
        "fail_status": [410],
        "json_path": "$.a",
        "expected": 7,
        "response_check": f"{__name__}.is_done",
        "changed": True,
        "etag": '"1"',
        "last_modified": "a",
        "keep_headers": ["Date"],
        "excerpt": 5,
        "request_timeout": 3,
        "max_size": 10,
        "max_redirects": 2,
    }
    waiter = sensor(**arguments, exponential_backoff=True, max_wait=timedelta(minutes=5))
    trigger = deferral(waiter, run.context("ask")).trigger
    _, given = trigger.serialize()
    assert {name: given[name] for name in arguments} == arguments
    assert (given["backoff"], given["max_wait"], given["poke_interval"]) == (True, 300.0, 1)
    assert SECRET not in json.dumps(given)


def is_done(answer: Answer) -> bool:
    return "done" in answer.text


@modes
def test_a_check_works_in_every_mode(run: FakeRun, endpoint: HttpServer, mode: str) -> None:
    """Airflow's sensor is not deferred at all with one."""
    endpoint.on("/a", says(200, "busy"), says(200, "done"))
    waiter = sensor(mode, response_check=f"{__name__}.is_done")
    assert carried_out(waiter, run.context("ask"))["size"] == 4


@pytest.mark.parametrize("mode", ["deferred", "in a slot"])
def test_a_change_is_one_since_the_first_look(run: FakeRun, endpoint: HttpServer, mode: str) -> None:
    """Though the trigger first looks when it has changed already."""
    endpoint.on("/a", says(200, "x", {"ETag": '"1"'}), says(200, "yz", {"ETag": '"2"'}))
    assert carried_out(sensor(mode, changed=True), run.context("ask"))["headers"]["etag"] == '"2"'


def test_a_rescheduled_change_needs_to_know_what_was_before(run: FakeRun, endpoint: HttpServer) -> None:
    """From a run before, by a template."""
    endpoint.on("/a", says(200, "x", {"ETag": '"1"'}), says(200, "yz", {"ETag": '"2"'}))
    waiter = sensor("rescheduled", changed=True, etag='"1"')
    assert carried_out(waiter, run.context("ask"))["headers"]["etag"] == '"2"'


# The body.


def data_of(root: Path, reference: Mapping[str, Any]) -> bytes:
    return Path(root, reference["target"], reference["data"]).read_bytes()


@modes
def test_the_body_may_be_stored(run: FakeRun, root: Path, endpoint: HttpServer, mode: str) -> None:
    """As the output `response`, of which the result and XCom have the reference."""
    endpoint.on("/a", says(404), says(200, '{"n": 1}', {"Content-Type": "application/json"}))
    result = carried_out(sensor(mode, store_response=True), run.context("ask"))
    reference = result["reference"]
    assert Reference.from_payload(reference).target == run.target("ask", name="response").key
    assert data_of(root, reference) == b'{"n": 1}'
    assert run.xcoms["ask", -1, "fileflow"] == {"response": reference}


class Double(TaskRunner):
    def run(self, times: int = 2) -> None:
        self.write_json({"n": self.read("response")["n"] * times})


class DoubleAsync(AsyncTaskRunner):
    async def run(self, times: int = 2) -> None:
        await self.write_json({"n": (await self.read("response"))["n"] * times})


@pytest.mark.parametrize(
    ("mode", "kind"), [("deferred", Double), ("in a slot", DoubleAsync), ("rescheduled", Double)]
)
def test_it_waits_and_then_works(
    run: FakeRun, root: Path, endpoint: HttpServer, mode: str, kind: Any
) -> None:
    """In one task: the logic reads the body that was judged, and what it commits is the result."""
    endpoint.on("/a", says(404), says(200, '{"n": 4}', {"Content-Type": "application/json"}))
    waiter = sensor(mode, python_object=kind, op_kwargs={"times": 3})
    result = carried_out(waiter, run.context("ask"))
    assert json.loads(data_of(root, result)) == {"n": 12}
    assert result["target"] == run.target("ask").key
    record = json.loads((root / result["target"] / f"{result['data']}.ok").read_text())
    assert [each["target"] for each in record["inputs"]] == [run.target("ask", name="response").key]


def test_a_retry_after_its_own_commit_asks_nobody(run: FakeRun, endpoint: HttpServer) -> None:
    """When that is wanted: the answer may be another by now."""
    endpoint.on("/a", says(200, '{"n": 4}', {"Content-Type": "application/json"}), says(500))
    waiter = sensor(python_object=Double, skip_if_committed=True, retries=3)
    result = waiter.execute(run.context("ask", try_number=1, max_tries=3))
    assert waiter.execute(run.context("ask", try_number=2, max_tries=3)) == result
    assert endpoint.count("/a") == 1


MISSED: list[Any] = []


class Late(TaskRunner):
    def on_timeout(self, missing: Any) -> None:
        MISSED.extend(missing)


def test_the_logic_hears_of_the_end(run: FakeRun) -> None:
    """With what was seen last."""
    MISSED.clear()
    with pytest.raises(AirflowSensorTimeout):
        carried_out(sensor("in a slot", python_object=Late, timeout=1.0), run.context("ask"))
    assert [each.state for each in MISSED] == ["404"]


def test_an_endpoint_that_is_not_there_is_waited_for(run: FakeRun, endpoint: HttpServer) -> None:
    """A deployment that restarts is no failure."""
    waiter = sensor(http_conn_id=None, endpoint="http://127.0.0.1:1/a", timeout=5.0)
    deferred = deferral(waiter, run.context("ask"))
    assert deferred.trigger.serialize()[0] == "fileflow_async.triggers.http.HttpTrigger"
    event = event_of(deferred)
    assert event["outcome"] == "timeout"
    assert "no connection" in event["why"]
