"""Airflow's contract of a sensor, cell by cell, in its own worker: each sensor ends alike in every mode."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from airflow.sdk import BaseOperator

from fileflow_async import Dependency, DiveSensorAsync, open_store
from fileflow_async.manifest import Producer
from fileflow_async.sensors.arrival import ArrivalSensorAsync
from fileflow_async.sensors.http import HttpSensorAsync
from tests.airflow_harness import Worker, dag, fired
from tests.http_server import HttpServer, connect

KEY = "shop/20260921T000000Z/extract/output"
DONE = "{name}.done"
PATIENCE = 30.0  # seconds until a task is taken to go on for ever


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store that is configured, beside the folder into which others put their files."""
    for name in ("store", "in"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", (tmp_path / "store").as_uri())
    monkeypatch.setenv("AIRFLOW__FILEFLOW__DURABILITY", "none")
    monkeypatch.setenv("AIRFLOW__FILEFLOW__MIN_DEFER_SECONDS", "0")
    return tmp_path


@pytest.fixture(autouse=True)
def endpoint(root: Path, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says yes once there is a file, and refuses once there is another."""

    def status() -> int:
        return 401 if (root / "in/refuse").exists() else 200 if (root / "in/yes").exists() else 404

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=await asyncio.to_thread(status))

    http_server.on("/a", answer)
    connect(monkeypatch, "api", host=http_server.url)


class PatientWorker(Worker):
    """One whose tasks have tries left, and remember since when they wait.

    Attributes:
        since: When the task was first rescheduled.
    """

    since: datetime | None = None

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/start_date"):
            return httpx.Response(200, json=self.since and self.since.isoformat())
        return super()._answer(request)

    def _context(self) -> dict[str, Any]:
        count = 0 if self.since is None else 1
        return {**super()._context(), "should_retry": True, "max_tries": 3, "task_reschedule_count": count}

    def carry_out(self, make: Callable[[], BaseOperator], meanwhile: Callable[[], object]) -> tuple[str, str]:
        """Run a task to its end, through all the ways in which it leaves its worker."""
        result, until = self.run(make()), time.monotonic() + PATIENCE
        while result.state in ("deferred", "up_for_reschedule"):
            assert time.monotonic() < until, "it never ends"
            meanwhile()
            if result.state == "deferred":
                result = self.resume(make(), fired(self.trigger()))
            else:
                self.since = self.since or datetime.now(UTC) - timedelta(seconds=2)
                result = self.run(make())
        return named(result.state), str(result.error)


def named(state: Any) -> str:
    """Return the name of a state, of which Airflow has several kinds."""
    return str(state.value)


async def in_store(act: Callable[[Any], Any]) -> None:
    async with open_store() as store:
        await act(store)


def commit(root: Path) -> None:
    async def write(store: Any) -> None:
        async with store.write(KEY) as out:
            await out.write(b"data")

    asyncio.run(in_store(write))


def fail_for_good(root: Path) -> None:
    producer = Producer(task_id="extract", try_number=3)
    asyncio.run(in_store(lambda store: store.fail(KEY, error="KeyError: 'amount'", producer=producer)))


def damage(root: Path) -> None:
    commit(root)
    [data] = [path for path in (root / "store" / KEY).iterdir() if path.suffix != ".ok"]
    data.chmod(0o640)
    data.write_bytes(b"1")


def drop(root: Path) -> None:
    (root / "in/a.csv").write_text("data")
    (root / "in/a.csv.done").touch()


@dataclass(frozen=True)
class Kind:
    """A sensor, with what it waits for."""

    make: Callable[..., BaseOperator]
    put: Callable[[Path], None]
    wrong: Mapping[str, Any]
    bad: Callable[[Path], None]
    why: str


def dive(root: Path, **arguments: Any) -> DiveSensorAsync:
    orders = Dependency("extract", slot="20260921T000000Z")
    return DiveSensorAsync(data_dependencies={"orders": orders}, **arguments)


def arrival(root: Path, **arguments: Any) -> ArrivalSensorAsync:
    return ArrivalSensorAsync(path=f"{root}/in/a.csv", done_file=DONE, **arguments)


def http(root: Path, **arguments: Any) -> HttpSensorAsync:
    return HttpSensorAsync(**{"http_conn_id": "api", "endpoint": "a", **arguments})


def say_yes(root: Path) -> None:
    (root / "in/yes").touch()


def say_no(root: Path) -> None:
    (root / "in/refuse").touch()


def refuse(root: Path) -> None:
    """A folder that cannot be one: seen so for a minute, it is believed."""
    (root / "in").rmdir()
    (root / "in").write_text("no folder")


KINDS = {
    "DiveSensorAsync": Kind(dive, commit, {"when": "some"}, damage, "has 1 bytes; the manifest says 4"),
    "ArrivalSensorAsync": Kind(arrival, drop, {"looks": 0}, refuse, "is not a directory"),
    "HttpSensorAsync": Kind(http, say_yes, {"ok_status": 200}, say_no, "HTTP 401"),
}
MODES: Mapping[str, Mapping[str, Any]] = {
    "deferred": {"deferrable": True},
    "in a slot": {"deferrable": False},
    "rescheduled": {"deferrable": False, "mode": "reschedule"},
}


@dataclass(frozen=True)
class Cell:
    """What lies there or comes, what the sensor is told, and how its task ends."""

    state: str
    says: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    there: bool = False
    comes: bool = False
    bad: bool = False


SECOND = timedelta(seconds=1)
CELLS = {
    "there": Cell("success", there=True),
    "comes": Cell("success", comes=True),
    "timeout is not retried": Cell("failed", "waited 1 s for", {"timeout": 1}),
    "timeout, soft_fail": Cell("skipped", "", {"timeout": 1, "soft_fail": True}),
    "timeout, never_fail": Cell("skipped", "", {"timeout": 1, "never_fail": True}),
    "execution_timeout is retried": Cell("up_for_retry", "", {"execution_timeout": SECOND}),
    "execution_timeout, soft_fail": Cell("skipped", "", {"execution_timeout": SECOND, "soft_fail": True}),
    "execution_timeout, there": Cell("success", "", {"execution_timeout": SECOND * 60}, there=True),
    "a fault is retried": Cell("up_for_retry", "?", bad=True),
    "a fault, soft_fail": Cell("up_for_retry", "?", {"soft_fail": True}, bad=True),
    "a fault, never_fail": Cell("skipped", "", {"never_fail": True}, bad=True),
    "a pool": Cell("success", "", {"pool": "waits", "pool_slots": 3}, comes=True),
    "patience": Cell("success", "", {"exponential_backoff": True, "max_wait": 60}, comes=True),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_cell_of_the_contract_ends_alike_in_every_mode(
    root: Path, kind: str, cell: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the task becomes depends on what lies there and on its arguments, not on who waits."""
    monkeypatch.setattr("fileflow_async.refusal._FOR", 0.5)  # instead of a minute
    sensor, wanted = KINDS[kind], CELLS[cell]

    def make() -> BaseOperator:
        given = {"task_id": "wait", "dag": dag(), "timeout": 60, "poke_interval": 1}
        return sensor.make(root, **{**given, **MODES[mode], **wanted.arguments})

    if wanted.there or (wanted.comes and mode == "in a slot"):
        sensor.put(root)
    if wanted.bad:
        sensor.bad(root)
    worker = PatientWorker()
    state, error = worker.carry_out(make, lambda: sensor.put(root) if wanted.comes else None)
    says = sensor.why if wanted.says == "?" else wanted.says
    assert (state, says in error) == (wanted.state, True), error


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("soft_fail", [False, True])
def test_a_producer_that_failed_for_good_is_not_waited_for_again(
    root: Path, mode: str, soft_fail: bool
) -> None:
    """No retry either: it would fail again, until the producer was cleared."""
    fail_for_good(root)
    given: dict[str, Any] = {"task_id": "wait", "dag": dag(), "timeout": 60, "poke_interval": 1}
    state, error = PatientWorker().carry_out(
        lambda: dive(root, soft_fail=soft_fail, **given, **MODES[mode]), lambda: None
    )
    assert state == "failed"
    assert "its producer failed: extract, try 3: KeyError: 'amount'" in error


@pytest.mark.parametrize("kind", KINDS)
def test_a_mapped_sensor_waits_for_each_of_its_instances(root: Path, kind: str) -> None:
    """`partial().expand()` makes the same sensor, with the argument of its own."""
    classes: dict[str, type[Any]] = {
        "DiveSensorAsync": DiveSensorAsync,
        "ArrivalSensorAsync": ArrivalSensorAsync,
        "HttpSensorAsync": HttpSensorAsync,
    }
    own: dict[str, list[Any]] = {
        "DiveSensorAsync": [{"a": Dependency("extract", slot=f"2026092{day}T000000Z")} for day in (1, 2)],
        "ArrivalSensorAsync": [f"{root}/in/{name}.csv" for name in "ab"],
        "HttpSensorAsync": ["http://h/a", "http://h/b"],
    }
    names = {
        "DiveSensorAsync": "data_dependencies",
        "ArrivalSensorAsync": "path",
        "HttpSensorAsync": "endpoint",
    }
    name = names[kind]
    with dag():
        mapped = (
            classes[kind].partial(task_id="wait", timeout=60, poke_interval=1).expand(**{name: own[kind]})
        )
    for index, argument in enumerate(own[kind]):
        instance = mapped.unmap({name: argument})
        assert type(instance) is classes[kind]
        assert (instance.timeout, instance.poke_interval, instance.deferrable) == (60, 1, True)
        assert getattr(instance, name) == argument, index


@pytest.mark.parametrize("kind", KINDS)
def test_a_sensor_without_a_timeout_has_airflows_own(root: Path, kind: str) -> None:
    """`[sensors] default_timeout` is a week; how a sensor says that it has none differs between versions."""
    sensor: Any = KINDS[kind].make(root, task_id="wait", dag=dag())
    assert sensor.timeout == timedelta(days=7).total_seconds()


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_argument_fails_in_the_dag_file(root: Path, kind: str) -> None:
    """Of ours as of Airflow's; not when the task runs at night."""
    for wrong in (KINDS[kind].wrong, {"poke_interval": 0}, {"timeout": 0}, {"mode": "sometimes"}):
        with pytest.raises(Exception, match=next(iter(wrong))):
            KINDS[kind].make(root, task_id="wait", dag=dag(), **wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_that_comes_twice_does_the_same_twice(root: Path, kind: str) -> None:
    """Two triggerers may have run the same trigger."""
    sensor, worker = KINDS[kind], PatientWorker()

    def make() -> BaseOperator:
        return sensor.make(root, task_id="wait", dag=dag(), timeout=60, poke_interval=1)

    assert worker.run(make()).state == "deferred"
    sensor.put(root)
    event = json.loads(json.dumps(fired(worker.trigger())))
    assert [named(worker.resume(make(), event).state) for _ in range(2)] == ["success", "success"]
