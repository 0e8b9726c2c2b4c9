"""Wait in the triggerer until an endpoint says yes."""

import asyncio
import hashlib
import json
import logging
import threading
import time
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from fileflow_async import open_store
from fileflow_async.clock import SystemClock
from fileflow_async.errors import (
    ConfigError,
    EndpointAnswerError,
    EndpointRefusedError,
    EndpointUnavailableError,
    FileflowError,
    TargetNameError,
)
from fileflow_async.hooks.http import HttpAsyncHook
from fileflow_async.http import checks
from fileflow_async.http.answer import Answer
from fileflow_async.http.criteria import Criteria
from fileflow_async.http.ended import HttpEnded
from fileflow_async.http.judgement import Judge
from fileflow_async.http.poll import Poll
from fileflow_async.http.request import Request
from fileflow_async.http.settings import HttpSettings
from fileflow_async.outcome import Outcome
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.trigger_contract import TriggerContract
from fileflow_async.triggers.http import HttpTrigger
from fileflow_async.triggers.http_question import Question
from tests.airflow_harness import through_airflow
from tests.http_server import HttpServer, connect, never, says, writes

SECRET = "what-nobody-may-see"
CREDENTIAL = "looks like a credential, and the arguments of a task can be read by many"
KEY = "shop/20260921T000000Z/ask/response"
EVERYTHING: dict[str, Any] = {
    "endpoint": "jobs/7",
    "http_conn_id": "api",
    "method": "POST",
    "request_params": {"a": 1},
    "headers": {"Accept": "text/csv"},
    "data": "body",
    "json": {"a": [1]},
    "ok_status": [200, "202-204"],
    "wait_status": [409],
    "fail_status": ["410-418"],
    "json_path": "$.jobs[0].state",
    "expected": "done",
    "response_check": "tests.triggers.test_http.yes",
    "changed": True,
    "etag": '"1"',
    "last_modified": "Fri, 20 Nov 2026 00:00:00 GMT",
    "keep_headers": ["Date"],
    "excerpt": 10,
    "store_as": KEY,
    "fileflow_root": "/ff",
    "fileflow_conn_id": "disk",
    "producer": {"dag_id": "shop", "task_id": "ask", "try_number": 2},
    "request_timeout": 9.0,
    "max_size": 1000,
    "max_redirects": 3,
    "poke_interval": 7.0,
    "backoff": True,
    "max_wait": 600.0,
    "deadline": 1_790_000_600.0,
    "not_before": 1_790_000_007.0,
}


class TestHttpTrigger(TriggerContract):
    """One event for a wait, as for any other."""

    kind = HttpTrigger
    secrets = (SECRET,)
    url = ""

    @pytest_asyncio.fixture(autouse=True)
    async def an_endpoint(self, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that says yes, and one that says nothing."""
        extra = {"headers": {"X-Api-Key": SECRET}, "params": {"key": SECRET}}
        connect(monkeypatch, "api", host=http_server.url, login="me", password=SECRET, extra=extra)
        monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", "file:///nowhere")
        http_server.on("/yes", says(200, f"yes {SECRET}", {"ETag": '"1"', "X-Echo": SECRET}))
        http_server.on("/silent", never())

    def arguments(self) -> Mapping[str, Any]:
        return EVERYTHING

    def waiting(self) -> HttpTrigger:
        return HttpTrigger(endpoint="silent", http_conn_id="api", poke_interval=1.0)

    def firing(self) -> HttpTrigger:
        kept = ["ETag", "X-Echo"]
        return HttpTrigger(
            endpoint="yes", http_conn_id="api", excerpt=100, keep_headers=kept, poke_interval=1.0
        )

    def through_airflow(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return through_airflow(arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"endpoint": 5}, "endpoint must be a string, got int"),
        ({"endpoint": "a b"}, "endpoint has spaces or control characters; write them as %20"),
        ({"endpoint": "ftp://h/"}, "endpoint must begin with http:// or https:// and a host"),
        (
            {"endpoint": f"http://me:{SECRET}@h/"},
            "endpoint holds credentials; they belong into the connection's login and password",
        ),
        (
            {"http_conn_id": None, "endpoint": "a"},
            "there is neither a connection with a host nor an endpoint that is a whole URL",
        ),
        ({"method": "GET /"}, "method must be a word such as GET, got 'GET /'"),
        ({"request_params": [1]}, "params must be a mapping, got list"),
        ({"request_params": {"a": None}}, "params has 'a', whose value is a NoneType"),
        ({"headers": {"A": "b\r\nC: d"}}, "the header 'A' must be a line of text"),
        ({"headers": {"A B": "c"}}, "headers has 'A B', which is not the name of one"),
        (
            {"headers": {"X-API-Key": SECRET}},
            f"the header 'X-API-Key' {CREDENTIAL}",
        ),
        (
            {"request_params": {"access_token": SECRET}},
            f"the parameter 'access_token' {CREDENTIAL}",
        ),
        (
            {"endpoint": f"a?sig={SECRET}"},
            f"the parameter 'sig' {CREDENTIAL}",
        ),
        ({"data": "a", "json": 1}, "both data and json given; a request has one body"),
        ({"json": float("nan")}, "json cannot be sent: ValueError"),
        ({"ok_status": 200}, "ok_status must be a list such as [200, '4xx', '500-503'], got 200"),
        ({"ok_status": ["2XX", 99]}, "ok_status has 99, which is neither a status nor a range of them"),
        ({"wait_status": [404], "fail_status": ["4xx"]}, "wait_status and fail_status both have 404"),
        ({"json_path": "a"}, "a JSON path must begin with '$', such as $.jobs[0].state; got 'a'"),
        ({"json_path": "$..a"}, "the JSON path '$..a' cannot be understood from '..a' on"),
        ({"expected": 1}, "expected is given, but no json_path where that should be"),
        ({"response_check": "check"}, "response_check must be the dotted path of a function, got 'check'"),
        ({"changed": "yes"}, "changed must be true or false, got 'yes'"),
        ({"keep_headers": "Date"}, "keep_headers must be a list of names, got 'Date'"),
        ({"keep_headers": 3}, "keep_headers must be a list of names, got 3"),
        ({"keep_headers": ["a b"]}, "headers has 'a b', which is not the name of one"),
        (
            {"keep_headers": ["Set-Cookie"]},
            "keep_headers has 'Set-Cookie', which may hold a secret; events can be read by many",
        ),
        ({"excerpt": 5000}, "excerpt must be an integer from 0 to 4000, got 5000"),
        ({"excerpt": 2.5}, "excerpt must be an integer from 0 to 4000, got 2.5"),
        ({"request_timeout": 0}, "total_timeout must be a positive number of seconds, got 0"),
        ({"max_size": -1}, "max_size must be an integer >= 0, got -1"),
        ({"poke_interval": 0.01}, "poke_interval must be at least 1 second, got 0.01"),
        ({"backoff": "yes"}, "backoff must be true or false, got 'yes'"),
        ({"max_wait": 0}, "max_wait must be a positive number of seconds, got 0"),
        ({"deadline": "soon"}, "deadline must be seconds since 1970, got 'soon'"),
        ({"etag": 5}, "etag must be a string, got 5"),
        ({"producer": {"dag": "a"}}, "producer names no try of a task: {'dag': 'a'}"),
        ({"producer": {"dag_id": 7}}, "producer names no try of a task: {'dag_id': 7}"),
        ({"producer": {"try_number": "2"}}, "producer names no try of a task: {'try_number': '2'}"),
    ],
    ids=str,
)
async def test_a_wrong_argument_fails_its_own_task_only(arguments: dict[str, Any], message: str) -> None:
    """The constructor says nothing: there it would end the whole triggerer. No message has a secret."""
    trigger = HttpTrigger(**{"endpoint": "a", **arguments})
    with pytest.raises(ConfigError) as caught:
        await anext(trigger.run())
    assert str(caught.value) == message
    assert SECRET not in repr(caught.value) + "".join(getattr(caught.value, "__notes__", ()))


async def test_a_target_that_cannot_be_one_is_an_error() -> None:
    """Before anything is asked."""
    with pytest.raises(TargetNameError):
        await anext(HttpTrigger(endpoint="a", store_as="../up").run())


@pytest.mark.parametrize("how", ["waiting", "looking once"])
async def test_a_check_that_cannot_be_imported_fails_at_once(how: str) -> None:
    """Waiting would not help; nor is anything asked, not even by a sensor before it defers."""
    trigger = HttpTrigger(http_conn_id=None, endpoint="http://127.0.0.1:1/", response_check="no.such")
    ends: Awaitable[object]
    ends = anext(trigger.run()) if how == "waiting" else trigger.look(Question.of(trigger), SystemClock())
    with pytest.raises(
        ConfigError, match=r"response_check 'no\.such' cannot be imported: ModuleNotFoundError"
    ):
        await ends


# An endpoint in memory, on a clock that stands still.


class Endpoint:
    """What every trigger of a test asks.

    Attributes:
        sight: What comes of a look.
        looks: When there was one.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.sight: Answer | FileflowError = answered(404)
        self.looks: list[float] = []
        self.answering = asyncio.Event()
        self.answering.set()

    async def look(self, hook: HttpAsyncHook, request: Request) -> Answer | FileflowError:
        self.looks.append(self.clock.monotonic())
        await self.answering.wait()
        return self.sight


def answered(
    status: int = 200, body: Any = b"", retry_after: float | None = None, /, **headers: str
) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(
        url="http://api/a",
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=data,
        retry_after=retry_after,
    )


@pytest.fixture
def endpoint(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    made = Endpoint(clock)

    async def look(self: HttpAsyncHook, request: Request) -> Answer | FileflowError:
        return await made.look(self, request)

    monkeypatch.setattr(HttpAsyncHook, "look", look)
    return made


def waiting(place: Endpoint, **arguments: Any) -> "asyncio.Task[HttpEnded]":
    given = {"endpoint": "http://api/a", "http_conn_id": None, "poke_interval": 60.0, **arguments}
    return asyncio.create_task(HttpTrigger(**given).wait(place.clock))


def outcome(task: "asyncio.Task[HttpEnded]") -> Outcome | None:
    return task.result().outcome if task.done() else None


async def end(*tasks: "asyncio.Task[HttpEnded]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


ERRORS = [
    EndpointUnavailableError("no connection"),
    EndpointRefusedError("redirected more than 5 times"),
    EndpointAnswerError("compressed as nobody asked for"),
    ConfigError("connection 'api' does not exist"),
]


@pytest.mark.parametrize(
    "sight",
    [
        *map(answered, [100, 204, 301, 304, 400, 401, 403, 404, 408, 409, 410, 425, 429, 500, 503, 599]),
        *ERRORS,
    ],
    ids=lambda sight: str(getattr(sight, "status", type(sight).__name__)),
)
async def test_whatever_comes_of_a_look_the_next_is_an_interval_away(
    endpoint: Endpoint, sight: Answer | FileflowError
) -> None:
    """In ten minutes ten looks at most; Airflow's sensor makes thousands a second of most of these."""
    endpoint.sight = sight
    task = waiting(endpoint, wait_status=[204], json_path="$.a")
    await endpoint.clock.advance(600.0)
    assert 3 <= len(endpoint.looks) <= 10
    gaps = [later - before for before, later in zip(endpoint.looks, endpoint.looks[1:], strict=False)]
    assert all(59.9 <= gap <= 66.1 for gap in gaps)
    await end(task)


@pytest.mark.parametrize(
    ("sight", "outcomes", "looks"),
    [
        (answered(200), Outcome.READY, 1),
        (answered(299), Outcome.READY, 1),
        (answered(404), None, None),
        (answered(408), None, None),
        (answered(425), None, None),
        (answered(429), None, None),
        (answered(500), None, None),
        (answered(304), None, None),
        (ERRORS[0], None, None),
        (answered(400), Outcome.UNREADABLE, 3),
        (answered(401), Outcome.UNREADABLE, 3),
        (answered(403), Outcome.UNREADABLE, 3),
        (answered(302), Outcome.UNREADABLE, 3),
        (ERRORS[1], Outcome.UNREADABLE, 3),
        (ERRORS[2], Outcome.UNREADABLE, 3),
        (ERRORS[3], Outcome.UNREADABLE, 3),
    ],
    ids=lambda value: str(getattr(value, "status", None) or value),
)
async def test_what_a_look_means(
    endpoint: Endpoint, sight: Answer | FileflowError, outcomes: Outcome | None, looks: int | None
) -> None:
    """2xx is yes; what may pass waits; what refuses three times in a row is believed."""
    endpoint.sight = sight
    task = waiting(endpoint)
    await endpoint.clock.advance(1000.0)
    assert outcome(task) is outcomes
    assert looks is None or len(endpoint.looks) == looks
    await end(task)


async def test_three_refusals_must_be_in_a_row(endpoint: Endpoint) -> None:
    """A deployment that is half done refuses for a moment."""
    task = waiting(endpoint, poke_interval=10.0)
    for status in (403, 403, 404, 403, 403, 503, 403, 401):
        endpoint.sight = answered(status)
        looks = len(endpoint.looks)
        while len(endpoint.looks) == looks:
            await endpoint.clock.advance(0.5)
    assert outcome(task) is None
    await endpoint.clock.advance(12.0)
    assert outcome(task) is Outcome.UNREADABLE
    assert task.result().why == "HTTP 401"


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        ({"ok_status": [200]}, 202, None),
        ({"ok_status": ["200-202"]}, 202, Outcome.READY),
        ({"ok_status": [404]}, 404, Outcome.READY),
        ({"ok_status": ["3xx"]}, 302, Outcome.READY),
        ({"wait_status": [202]}, 202, None),
        ({"wait_status": [409]}, 409, None),
        ({"fail_status": [410]}, 410, Outcome.FAILED),
        ({"fail_status": ["5xx"]}, 503, Outcome.FAILED),
        ({"fail_status": [204]}, 204, Outcome.FAILED),
    ],
    ids=str,
)
async def test_the_author_may_say_otherwise(
    endpoint: Endpoint, arguments: dict[str, Any], status: int, expected: Outcome | None
) -> None:
    """What they say goes before what is usual; what never will be ends the wait at once."""
    endpoint.sight = answered(status)
    task = waiting(endpoint, **arguments)
    await endpoint.clock.advance(6.0)
    assert outcome(task) is expected
    await end(task)


@pytest.mark.parametrize(
    ("body", "path", "expected", "is_ready"),
    [
        ({"a": {"b": [1, "x"]}}, "$.a.b[1]", "x", True),
        ({"a": {"b": [1, "x"]}}, "$.a.b[-2]", 1, True),
        ({"a b": 1}, "$['a b']", 1, True),
        ({"a": True}, "$.a", 1, False),
        ({"a": 1}, "$.a", 1.0, True),
        ({"a": 0}, "$.a", None, True),
        ({"a": None}, "$.a", None, False),
        ({"a": "no"}, "$.a", "yes", False),
        ({"a": 1}, "$.b", 1, False),
        ({"a": [1]}, "$.a[1]", 1, False),
        ({"a": "text"}, "$.a[0]", "t", False),
        ([[{"a": [2]}]], "$[0][0].a", [2], True),
        (b"<html>", "$.a", None, False),
        (b"", "$", None, False),
    ],
    ids=str,
)
async def test_a_value_inside_json_is_waited_for(
    endpoint: Endpoint, body: Any, path: str, expected: Any, is_ready: bool
) -> None:
    """Equal as JSON is; what is not there, or is no JSON, is not there yet."""
    endpoint.sight = answered(200, body)
    task = waiting(endpoint, json_path=path, expected=expected)
    await endpoint.clock.advance(6.0)
    assert outcome(task) is (Outcome.READY if is_ready else None)
    await end(task)


@pytest.mark.parametrize(
    ("value", "told"),
    [(7, "7"), ("busy", "'busy'"), ([1] * 10**5, "a list"), ({"a": 1}, "an object"), ("x" * 10**5, "x…'")],
    ids=["number", "text", "list", "object", "long"],
)
async def test_what_the_json_says_instead_is_told_in_brief(value: Any, told: str) -> None:
    """Without the text of a megabyte."""
    judge = Judge(Criteria.of(json_path="$.a", expected="done"))
    why = (await judge.judge(answered(200, {"a": value}))).why
    assert why.startswith("the JSON says ")
    assert why.endswith(told)
    assert len(why) < 120


THREADS: list[int] = []


def yes(answer: Answer) -> bool:
    THREADS.append(threading.get_ident())
    time.sleep(0.01)  # on the loop this would be a failure
    return bool(answer.json() == {"state": "done"})


async def yes_async(answer: Answer) -> bool:
    THREADS.append(threading.get_ident())
    return answer.text == '{"state": "done"}'


def yes_later(answer: Answer) -> Any:
    return yes_async(answer)


def broken(answer: Answer) -> bool:
    raise KeyError(SECRET)


@pytest.mark.parametrize("check", ["yes", "yes_async", "yes_later"])
async def test_a_check_has_the_last_word(endpoint: Endpoint, check: str) -> None:
    """Sync functions run beside the event loop, async ones on it."""
    THREADS.clear()
    endpoint.sight = answered(200, {"state": "busy"})
    task = waiting(endpoint, response_check=f"{__name__}.{check}")
    await endpoint.clock.advance(6.0)
    await until(lambda: len(THREADS) == 1)
    assert outcome(task) is None
    endpoint.sight = answered(200, {"state": "done"})
    await endpoint.clock.advance(66.0)
    await until(task.done)
    assert outcome(task) is Outcome.READY
    assert (set(THREADS) == {threading.get_ident()}) == (check != "yes")


async def test_a_check_that_raises_refuses_and_tells_no_more_than_that(endpoint: Endpoint) -> None:
    """A bug fails the task after three looks, not after a day, and not as a secret in the event."""
    endpoint.sight = answered(200, {"state": "done"})
    task = waiting(endpoint, response_check=f"{__name__}.broken")
    for _ in range(60):
        await endpoint.clock.advance(4.0)
        await asyncio.sleep(0.005)
    await until(task.done)
    assert len(endpoint.looks) == 3
    assert task.result().why == f"response_check '{__name__}.broken' raised KeyError"
    assert SECRET not in json.dumps(task.result().to_payload())


GOING_ON = threading.Event()


def endless(answer: Answer) -> bool:
    return GOING_ON.wait(20)


async def test_a_check_that_hangs_holds_nobody_up(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its time, and then it is a refusal; nor does a cancelled wait wait for it."""
    monkeypatch.setattr(checks, "_PATIENCE", 0.1)
    GOING_ON.clear()
    endpoint.sight = answered(200, {"state": "done"})
    judge = Judge(Criteria.of(response_check=f"{__name__}.endless"))
    assert "took more than 0.1 s" in (await judge.judge(answered(200))).why
    monkeypatch.setattr(checks, "_PATIENCE", 30.0)
    hanging, other = waiting(endpoint, response_check=f"{__name__}.endless"), waiting(endpoint)
    await endpoint.clock.advance(6.0)
    assert (outcome(hanging), outcome(other)) == (None, Outcome.READY)
    began = time.monotonic()
    await end(hanging)
    assert time.monotonic() - began < 1.0
    GOING_ON.set()


async def test_a_body_that_is_too_large_matters_only_where_it_has_a_say(endpoint: Endpoint) -> None:
    """Else the status is enough, and its hash is not known."""
    large = Answer(url="u", status=200, headers={}, is_whole=False)
    endpoint.sight = large
    status_only, with_path = waiting(endpoint), waiting(endpoint, json_path="$.a")
    await endpoint.clock.advance(200.0)
    assert outcome(status_only) is Outcome.READY
    assert (status_only.result().size, status_only.result().sha256) == (None, None)
    assert outcome(with_path) is Outcome.UNREADABLE
    assert with_path.result().why == "the body is larger than it may be"


# Change.


@pytest.mark.parametrize(
    ("before", "first", "then"),
    [
        ({}, {"ETag": '"1"'}, {"ETag": '"2"'}),
        ({"etag": '"1"'}, {"ETag": '"1"'}, {"ETag": '"2"'}),
        ({"etag": '"1"'}, {"ETag": 'W/"1"'}, {"ETag": '"2"'}),
        ({}, {"Last_Modified": "a"}, {"Last_Modified": "b"}),
        ({"last_modified": "a"}, {"Last_Modified": "a"}, {"Last_Modified": "b"}),
        ({"etag": '"1"', "last_modified": "a"}, {"ETag": '"1"', "Last_Modified": "b"}, {"ETag": '"2"'}),
        ({"etag": '"1"'}, {"ETag": '"1"'}, {"Last_Modified": "b"}),
    ],
    ids=str,
)
async def test_a_change_is_waited_for(
    endpoint: Endpoint, before: dict[str, str], first: dict[str, str], then: dict[str, str]
) -> None:
    """Of the ETag, else of Last-Modified; from what was there before, else from what is there first."""
    endpoint.sight = answered(200, b"x", **first)
    task = waiting(endpoint, changed=True, **before)
    await endpoint.clock.advance(200.0)
    assert outcome(task) is None
    endpoint.sight = answered(404)
    await endpoint.clock.advance(66.0)
    endpoint.sight = answered(200, b"y", **then)
    await endpoint.clock.advance(66.0)
    assert outcome(task) is Outcome.READY


async def test_what_has_no_version_cannot_change(endpoint: Endpoint) -> None:
    """The wait would never end."""
    endpoint.sight = answered(200, b"x")
    task = waiting(endpoint, changed=True)
    await endpoint.clock.advance(200.0)
    assert outcome(task) is Outcome.UNREADABLE
    assert "neither an ETag nor a Last-Modified" in task.result().why


# Time.


async def test_the_deadline_ends_the_wait_with_a_last_look(endpoint: Endpoint) -> None:
    """It is absolute; what the endpoint says in the last second still counts."""
    task = waiting(endpoint, deadline=endpoint.clock.time() + 40.0)
    await endpoint.clock.advance(39.0)
    assert (outcome(task), len(endpoint.looks)) == (None, 1)
    endpoint.sight = answered(200)
    await endpoint.clock.advance(1.5)
    assert (outcome(task), len(endpoint.looks)) == (Outcome.READY, 2)


async def test_a_wait_that_is_over_says_what_was_seen_last(endpoint: Endpoint) -> None:
    """In time, with one event."""
    task = waiting(endpoint, deadline=endpoint.clock.time() + 40.0)
    await endpoint.clock.advance(41.0)
    event = task.result()
    assert (event.outcome, event.status, event.why) == (Outcome.TIMEOUT, 404, "HTTP 404")
    (missing,) = event.missing
    assert (missing.target, missing.state) == ("http://api/a", "404")


async def test_an_endpoint_that_does_not_answer_does_not_move_the_deadline(endpoint: Endpoint) -> None:
    """By more than the seconds that the last look may take."""
    endpoint.answering.clear()
    task = waiting(endpoint, deadline=endpoint.clock.time() + 40.0)
    await endpoint.clock.advance(51.0)
    assert outcome(task) is Outcome.TIMEOUT
    assert task.result().why == "it was not looked at yet"


async def test_nothing_is_fired_before_it_may_be(endpoint: Endpoint) -> None:
    """The task's worker is still on its way out."""
    endpoint.sight = answered(200)
    task = waiting(endpoint, not_before=endpoint.clock.time() + 20.0)
    await endpoint.clock.advance(19.0)
    assert (outcome(task), len(endpoint.looks)) == (None, 1)
    await endpoint.clock.advance(2.0)
    assert outcome(task) is Outcome.READY


async def test_a_wait_may_become_patient(endpoint: Endpoint) -> None:
    """Twice the interval each time that one has passed, up to the longest."""
    task = waiting(endpoint, poke_interval=10.0, backoff=True, max_wait=80.0)
    await endpoint.clock.advance(2000.0)
    gaps = [later - before for before, later in zip(endpoint.looks, endpoint.looks[1:], strict=False)]
    assert gaps[0] < 25.0
    assert all(79.0 <= gap <= 89.0 for gap in gaps[5:])
    await end(task)


async def test_retry_after_moves_the_next_look_for_everybody(endpoint: Endpoint) -> None:
    """Also of those that come later, and the last look at a deadline."""
    endpoint.sight = answered(429, b"", 900.0)
    tasks = [waiting(endpoint) for _ in range(3)]
    await endpoint.clock.advance(10.0)
    tasks.append(waiting(endpoint, deadline=endpoint.clock.time() + 300.0))
    await endpoint.clock.advance(880.0)
    assert len(endpoint.looks) == 1
    assert outcome(tasks[-1]) is Outcome.TIMEOUT
    await endpoint.clock.advance(20.0)
    assert len(endpoint.looks) == 2
    await end(*tasks)


# Sharing.


async def test_a_hundred_waits_for_the_same_are_one_poll(endpoint: Endpoint) -> None:
    """Whenever they come, and whatever each makes of the answer."""
    endpoint.sight = answered(200, {"state": 50})
    tasks = [waiting(endpoint, json_path="$.state", expected=number) for number in range(100)]
    await endpoint.clock.advance(30.0)
    assert len(endpoint.looks) == 1
    assert [number for number, task in enumerate(tasks) if task.done()] == [50]
    late = [waiting(endpoint, json_path="$.state", expected=number) for number in (50, 51)]
    await endpoint.clock.advance(6.0)
    assert len(endpoint.looks) == 1
    assert [task.done() for task in late] == [True, False]
    await endpoint.clock.advance(300.0)
    assert 5 <= len(endpoint.looks) <= 6
    await end(*tasks[:50], *tasks[51:], late[1])
    assert Poll._running._loops[asyncio.get_running_loop()] == {}


@pytest.mark.parametrize(
    "other",
    [
        {"endpoint": "http://api/b"},
        {"request_params": {"a": 1}},
        {"headers": {"Accept": "text/csv"}},
        {"method": "HEAD"},
        {"data": "x"},
        {"max_size": 5},
        {"http_conn_id": "other"},
        {"max_redirects": 1},
    ],
    ids=str,
)
async def test_whatever_the_answer_may_depend_on_is_not_shared(
    endpoint: Endpoint, other: dict[str, Any]
) -> None:
    """Another question is another request."""
    tasks = [waiting(endpoint), waiting(endpoint, **other)]
    await endpoint.clock.advance(6.0)
    assert len(endpoint.looks) == 2
    await end(*tasks)


async def test_another_body_is_another_request(endpoint: Endpoint) -> None:
    """Though all around it is the same."""
    tasks = [waiting(endpoint, data="x"), waiting(endpoint, data="y"), waiting(endpoint, data="x")]
    await endpoint.clock.advance(6.0)
    assert len(endpoint.looks) == 2
    await end(*tasks)


async def test_a_patient_wait_counts_refusals_at_its_own_pace(endpoint: Endpoint) -> None:
    """That somebody else looks every ten seconds does not make its three intervals shorter."""
    endpoint.sight = answered(403)
    quick, patient = waiting(endpoint, poke_interval=10.0), waiting(endpoint, poke_interval=100.0)
    await endpoint.clock.advance(50.0)
    assert (outcome(quick), outcome(patient)) == (Outcome.UNREADABLE, None)
    await endpoint.clock.advance(300.0)
    assert outcome(patient) is Outcome.UNREADABLE


async def test_whoever_leaves_leaves_the_poll_to_the_others(endpoint: Endpoint) -> None:
    """Also while a look is under way, and also whoever came first."""
    endpoint.answering.clear()
    tasks = [waiting(endpoint) for _ in range(3)]
    await endpoint.clock.advance(6.0)
    await end(tasks[0])
    endpoint.sight = answered(200)
    endpoint.answering.set()
    await endpoint.clock.advance(1.0)
    assert [outcome(task) for task in tasks[1:]] == [Outcome.READY, Outcome.READY]
    assert len(endpoint.looks) == 1


async def test_a_mistake_of_ours_fails_the_waits_and_does_not_spin(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loudly, each of them."""

    async def look(self: HttpAsyncHook, request: Request) -> Answer:
        endpoint.looks.append(0.0)
        raise RuntimeError("a bug")

    monkeypatch.setattr(HttpAsyncHook, "look", look)
    tasks = [waiting(endpoint) for _ in range(3)]
    await endpoint.clock.advance(6.0)
    assert all(isinstance(task.exception(), RuntimeError) for task in tasks)
    assert len(endpoint.looks) == 1


# What is told.


class Lines:
    """A log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, event: str, *args: Any) -> None:
        self.lines.append(event % args)

    warning = info


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What all triggers log to the logs of their tasks."""
    log = Lines()
    monkeypatch.setattr(HttpTrigger, "log", log)
    return log.lines


async def test_the_log_tells_changes_only(endpoint: Endpoint, lines: list[str]) -> None:
    """And how the wait ends."""
    task = waiting(endpoint, deadline=endpoint.clock.time() + 3600.0)
    for sight in (answered(404), answered(503), answered(200, b"abc")):
        endpoint.sight = sight
        await endpoint.clock.advance(300.0)
    assert outcome(task) is Outcome.READY
    assert [line.partition("http")[2] for line in lines] == [
        "://api/a: HTTP 404",
        "://api/a: HTTP 503",
        "://api/a: HTTP 200, 3 bytes",
    ]
    assert lines[0].startswith("waiting until 2026-")


async def test_the_event_is_small(endpoint: Endpoint) -> None:
    """Chosen headers, the size and the hash; of the body as much as was asked for, and never too much."""
    body = "é\0" * 500_000
    endpoint.sight = answered(200, body.encode(), ETag='"1"', X_Long="x" * 5000, Content_Type="text/plain")
    plain = waiting(endpoint)
    much = waiting(endpoint, excerpt=4000, keep_headers=["X-Long", "X-None"])
    await endpoint.clock.advance(6.0)
    payload = plain.result().to_payload()
    assert payload["headers"] == {"content-type": "text/plain", "etag": '"1"'}
    assert (payload["size"], payload["excerpt"]) == (1_500_000, None)
    assert payload["sha256"] == hashlib.sha256(body.encode()).hexdigest()
    payload = much.result().to_payload()
    assert list(payload["headers"]) == ["x-long"]
    assert 500 < len(payload["excerpt"]) <= 4000
    assert len(json.dumps(payload)) <= 16_000
    assert HttpEnded.from_payload(json.loads(json.dumps(payload))).to_payload() == payload


async def test_a_connection_that_cannot_be_looked_up_for_a_moment_ends_nothing(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for what is to be hidden; the look itself says what is wrong."""

    async def lost(self: HttpAsyncHook) -> HttpSettings:
        raise EndpointUnavailableError("Airflow does not tell")

    with monkeypatch.context() as patch:
        patch.setattr(HttpAsyncHook, "settings", lost)
        endpoint.sight = EndpointUnavailableError("no connection")
        task = waiting(endpoint)
        await endpoint.clock.advance(200.0)
        assert not task.done()
    endpoint.sight = answered(200)
    await endpoint.clock.advance(70.0)
    assert outcome(task) is Outcome.READY


async def test_the_event_names_who_has_answered(endpoint: Endpoint) -> None:
    """Redirects may have led elsewhere; where nobody has answered, whom it was that was asked."""
    endpoint.sight = EndpointUnavailableError("no connection")
    silent = waiting(endpoint, excerpt=100, deadline=endpoint.clock.time() + 5)
    await endpoint.clock.advance(20.0)
    assert (silent.result().outcome, silent.result().url) == (Outcome.TIMEOUT, "http://api/a")
    assert silent.result().excerpt is None
    endpoint.sight = replace(answered(200), url="http://elsewhere/b")
    led = waiting(endpoint)
    await endpoint.clock.advance(6.0)
    assert led.result().url == "http://elsewhere/b"


@pytest.mark.parametrize("status", [200, 401, 503])
async def test_no_secret_of_the_connection_shows(
    http_server: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    lines: list[str],
    status: int,
) -> None:
    """Not in events, logs or reprs, though the server sends all of them back."""
    secrets = ["pass-planted", "header-planted", "param planted/+", "bWU6cGFzcy1wbGFudGVk"]
    extra = {"headers": {"X-Own": secrets[1]}, "params": {"k": secrets[2]}, "auth_type": "basic"}
    connect(monkeypatch, "say", host=http_server.url, login="me", password=secrets[0], extra=extra)
    http_server.on(
        "/a",
        says(status, json.dumps({"a": " ".join(secrets)}), {"X-Echo": " ".join(secrets), "ETag": secrets[0]}),
    )
    trigger = HttpTrigger(
        endpoint="a",
        http_conn_id="say",
        json_path="$.a",
        expected=None if status == 200 else "x",
        excerpt=1000,
        keep_headers=["X-Echo", "ETag"],
        poke_interval=1.0,
        deadline=time.time() + (60.0 if status == 200 else 0.5),
    )
    with (
        caplog.at_level(logging.DEBUG, logger="fileflow_async"),
        caplog.at_level(logging.DEBUG, logger="airflow"),
    ):
        event = await anext(trigger.run())
    assert http_server.seen["/a"][0].headers["X-Own"] == secrets[1]
    assert lines
    shown = json.dumps(event.payload) + repr(trigger) + repr(trigger.serialize()) + caplog.text + repr(lines)
    assert "***" in event.payload["excerpt"]
    for secret in [*secrets, "param%20planted", "param+planted"]:
        assert secret not in shown


async def test_a_new_password_is_noticed(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal makes the connection be looked up again."""
    connection = {"conn_type": "http", "host": http_server.url, "login": "me", "password": "old"}
    connect(monkeypatch, "renewed", **connection)
    hook = HttpAsyncHook("renewed")
    http_server.on("/a", says(401), says(200))
    first = await hook.look(Request.of(endpoint="a"))
    monkeypatch.setenv("AIRFLOW_CONN_RENEWED", json.dumps({**connection, "password": "new"}))
    second = await hook.look(Request.of(endpoint="a"))
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    before, after = (seen.headers["Authorization"] for seen in http_server.seen["/a"])
    assert before != after


# A target.


async def test_the_body_may_become_a_target(http_server: HttpServer, root: Any) -> None:
    """The very bytes that were judged; the event has its reference."""
    body = '{"state": "done"}'
    headers = {"Content-Type": "application/json; charset=utf-8"}
    url = http_server.on("/a", says(200, body, headers), says(200, "another"))
    producer = {"dag_id": "shop", "task_id": "ask", "run_id": "r", "try_number": 2}
    trigger = HttpTrigger(
        endpoint=url,
        http_conn_id=None,
        json_path="$.state",
        expected="done",
        store_as=KEY,
        fileflow_root=root.as_uri(),
        producer=producer,
        poke_interval=1.0,
    )
    event = HttpEnded.from_payload((await anext(trigger.run())).payload)
    assert event.reference is not None
    async with open_store(root.as_uri()) as store:
        assert await store.read(event.reference) == body.encode()
        (version,) = await store.history(KEY)
    assert version.manifest is not None
    assert (version.manifest.format, version.manifest.content_type) == ("json", "application/json")
    assert (version.manifest.producer.task_id, version.manifest.producer.try_number) == ("ask", 2)
    assert event.sha256 == event.reference.sha256


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({"Content_Type": "application/pdf"}, "application/pdf"), ({}, "application/octet-stream")],
)
async def test_a_target_has_the_media_type_of_its_answer(
    endpoint: Endpoint, root: Any, headers: dict[str, str], expected: str
) -> None:
    """Where there is none, that of bytes."""
    endpoint.sight = answered(200, b"%PDF", **headers)
    task = waiting(endpoint, store_as=KEY, fileflow_root=root.as_uri())
    await endpoint.clock.advance(6.0)
    await asyncio.wait([task])
    async with open_store(root.as_uri()) as store:
        manifest = (await store.version(KEY)).manifest
    assert manifest is not None
    assert (manifest.format, manifest.content_type) == ("bytes", expected)


async def test_what_ends_otherwise_stores_nothing(endpoint: Endpoint, root: Any) -> None:
    """Neither a failure nor what was there at the deadline."""
    endpoint.sight = answered(410, b"gone")
    task = waiting(endpoint, fail_status=[410], store_as=KEY, fileflow_root=root.as_uri())
    await endpoint.clock.advance(6.0)
    assert (outcome(task), task.result().reference) == (Outcome.FAILED, None)
    assert await asyncio.to_thread(lambda: list(root.iterdir())) == []


# Against a server.


@pytest.mark.parametrize(
    "fault",
    [
        says(403),
        says(429),
        writes(b"garbage\r\n\r\n"),
        writes(abort=True),
        writes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz"),
        writes(b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n"),
    ],
    ids=["403", "429", "garbage", "reset", "chunks", "circle"],
)
async def test_a_server_that_misbehaves_is_asked_once_an_interval(
    http_server: HttpServer, fault: Any
) -> None:
    """Really: one request on the wire, though a client may hide more."""
    moments: list[float] = []

    async def noting(request: Any) -> Any:
        moments.append(time.monotonic())
        return await fault(request)

    url = http_server.on("/a", noting)
    trigger = HttpTrigger(endpoint=url, http_conn_id=None, max_redirects=0, poke_interval=1.0)
    task = asyncio.create_task(trigger.wait(SystemClock()))
    await until(lambda: len(moments) >= 3, seconds=20.0)
    task.cancel()
    await asyncio.wait([task])
    assert all(later - sooner > 0.5 for sooner, later in pairwise(moments))


async def until(condition: Any, seconds: float = 5.0) -> None:
    end_ = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_
        await asyncio.sleep(0.005)
