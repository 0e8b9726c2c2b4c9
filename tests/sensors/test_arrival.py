"""Wait for files of outsiders: the same answers in every mode."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from airflow.sdk import Context

from fileflow_async._compat import AirflowRescheduleException
from fileflow_async.arrival import Arrival
from fileflow_async.arrived import Arrived, Trust
from fileflow_async.errors import (
    ConfigError,
    FormatError,
    StorageUnavailableError,
    TargetAccessError,
)
from fileflow_async.sensors import arrival, waiting
from fileflow_async.sensors.arrival import ArrivalSensorAsync
from fileflow_async.triggers.arrival import ArrivalTrigger
from tests.airflow_context import FakeRun
from tests.sensors.modes import MODES, carried_out, deferral, event_of, modes, resumed

pytestmark = pytest.mark.usefixtures("dag", "no_pause")

DONE = "{name}.done"


def sensor(mode: str = "deferred", **arguments: Any) -> ArrivalSensorAsync:
    given = {"task_id": "wait", "poke_interval": 1, "timeout": 60}
    return ArrivalSensorAsync(**{**given, **MODES[mode], **arguments})


def put(folder: Path, name: str, data: bytes = b"data", *, done: bool = True) -> Path:
    (folder / name).write_bytes(data)
    if done:
        (folder / f"{name}.done").touch()
    return folder / name


# When the DAG is parsed.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "neither path nor pattern given"),
        ({"path": "/a", "pattern": "/b"}, "both path and pattern given"),
        ({"path": "in/a.csv"}, "path 'in/a.csv' must be absolute"),
        ({"path": "/in/a.tmp"}, "path '/in/a.tmp' means temporary files only, which never count"),
        ({"path": "/a", "looks": 0}, "looks must be an integer >= 1, got 0"),
        ({"path": "/a", "min_count": 2}, "min_count is 2, but '/a' means one file only"),
        ({"path": "/a", "poke_interval": 0.01}, "poke_interval must be at least 1 second, got 0.01"),
        ({"path": "/a", "timeout": 0}, "timeout must be a positive number of seconds, got 0"),
        ({"path": "/a", "timeout": -1}, "timeout must be a positive number of seconds, got -1"),
        ({"path": "/{{ ds }}", "looks": 0}, "looks must be an integer >= 1, got 0"),
    ],
    ids=str,
)
def test_a_wrong_argument_fails_when_the_dag_is_parsed(arguments: dict[str, Any], message: str) -> None:
    """With the text of the catalogue."""
    with pytest.raises(ConfigError) as caught:
        sensor(**arguments)
    assert str(caught.value) == message


def test_a_misspelt_argument_is_refused() -> None:
    """By Airflow."""
    with pytest.raises(TypeError, match="poll_interval"):
        sensor(path="/in/a.csv", poll_interval=5)


def test_templates_are_not_judged_before_they_are_rendered(run: FakeRun, tmp_path: Path) -> None:
    """But afterwards they are."""
    waiter = sensor(path="{{ params.path }}", done_file=DONE, conn_id="{{ params.conn_id }}")
    assert set(waiter.template_fields) == {"path", "pattern", "conn_id", "done_file"}
    waiter.render_template_fields({"params": {"path": f"{tmp_path}/a.csv", "conn_id": "x"}})
    assert (waiter.path, waiter.conn_id, waiter.done_file) == (f"{tmp_path}/a.csv", "x", DONE)
    bad = sensor(task_id="bad", path="{% if false %}x{% endif %}")
    bad.render_template_fields({})
    with pytest.raises(ConfigError, match="path is empty"):
        bad.execute(run.context("wait"))


def test_a_path_object_is_a_path(run: FakeRun, tmp_path: Path) -> None:
    """In the trigger's arguments it is text."""
    trigger = deferral(sensor(path=tmp_path / "a.csv"), run.context("wait")).trigger
    assert isinstance(trigger, ArrivalTrigger)
    assert trigger.path == f"{tmp_path}/a.csv"


# What is there.


@modes
def test_what_is_there_is_returned_at_once(run: FakeRun, tmp_path: Path, mode: str) -> None:
    """With what tells one version from another; nothing is deferred that need not wait."""
    file = put(tmp_path, "a.csv")
    [found] = sensor(mode, path=file, done_file=DONE).execute(run.context("wait"))
    status = file.stat()
    assert found == {
        "uri": f"file://{file}",
        "size": 4,
        "modified": status.st_mtime,
        "trust": "done_file",
        "mtime_ns": status.st_mtime_ns,
        "inode": status.st_ino,
    }
    assert json.loads(json.dumps(found)) == found


@modes
def test_what_comes_later_is_waited_for(run: FakeRun, tmp_path: Path, mode: str) -> None:
    """In whichever way."""
    if mode == "in a slot":
        put(tmp_path, "a.csv")
    waiter = sensor(mode, pattern=tmp_path / "*.csv", done_file=DONE)
    [found] = carried_out(waiter, run.context("wait"), lambda: put(tmp_path, "a.csv"))
    assert found["uri"] == f"file://{tmp_path}/a.csv"


@modes
def test_a_guess_is_made_in_every_mode(run: FakeRun, tmp_path: Path, mode: str) -> None:
    """With the same looks; where the slot was to be given back, they hold it."""
    put(tmp_path, "a.csv", done=False)
    waiter = sensor(mode, path=tmp_path / "a.csv", looks=2, look_interval=1, min_age=0)
    began = time.monotonic()
    [found] = carried_out(waiter, run.context("wait"))
    assert found["trust"] == "stable"
    assert 1.0 <= time.monotonic() - began < 10.0


def test_the_looks_of_a_guess_hold_the_slot_long_enough(
    run: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it was to be given back; but never beyond the deadline, and not at all while there is nothing."""
    held: list[float] = []

    def hold(self: Any, context: Context, deadline: float) -> Arrived:
        held.append(deadline - time.time())
        return Arrival(self._search(), self._rules()).timeout()

    monkeypatch.setattr(waiting.WaitingSensor, "_hold", hold)
    waiter = sensor("rescheduled", path=tmp_path / "a.csv", looks=11, look_interval=60, timeout=3600)
    with pytest.raises(AirflowRescheduleException):
        waiter.execute(run.context("wait"))
    assert held == []
    put(tmp_path, "a.csv")
    with pytest.raises(AirflowRescheduleException):
        waiter.execute(run.context("wait"))
    assert held == [pytest.approx(600 + 1 + 15, abs=5)]
    with pytest.raises(AirflowRescheduleException):
        waiter.execute(run.context("wait", rescheduled=datetime.now(UTC) - timedelta(seconds=3500)))
    assert held[1] == pytest.approx(100, abs=5)


@modes
def test_many_files_are_all_returned(run: FakeRun, tmp_path: Path, mode: str) -> None:
    """Although an event holds only some."""

    def plant() -> None:
        for n in range(60):
            put(tmp_path, f"{n:02}.csv")

    if mode == "in a slot":
        plant()
    waiter = sensor(mode, pattern=tmp_path / "*.csv", min_count=60, done_file=DONE)
    found = carried_out(waiter, run.context("wait"), plant)
    assert [each["uri"][-6:] for each in found] == [f"{n:02}.csv" for n in range(60)]


def test_many_files_of_a_wait_in_a_slot_are_all_returned(run: FakeRun, tmp_path: Path) -> None:
    """Of a guess, which is never made at the first look."""
    for n in range(60):
        put(tmp_path, f"{n:02}.csv", done=False)
    waiter = sensor("in a slot", pattern=tmp_path / "*.csv", looks=2, look_interval=1, min_age=0)
    assert len(carried_out(waiter, run.context("wait"))) == 60


# What the event says.


def test_what_changed_since_the_event_is_waited_for_again(run: FakeRun, tmp_path: Path) -> None:
    """The guess was wrong."""
    file = put(tmp_path, "a.csv", done=False)
    waiter = sensor(path=file, looks=2, look_interval=1, min_age=0)
    context = run.context("wait")
    event = event_of(deferral(waiter, context))
    assert event["outcome"] == "ready"
    put(tmp_path, "a.csv", b"more data", done=False)
    with pytest.raises(TaskDeferred) as again:
        resumed(waiter, context, event)
    [found] = resumed(waiter, context, event_of(again.value))
    assert found["size"] == 9


def test_what_went_away_since_the_event_is_waited_for_again(run: FakeRun, tmp_path: Path) -> None:
    """Somebody took it."""
    file = put(tmp_path, "a.csv")
    waiter, context = sensor(path=file, done_file=DONE), run.context("wait")
    file.rename(tmp_path / "b.csv")
    deferred = deferral(waiter, context)
    (tmp_path / "b.csv").rename(file)
    event = event_of(deferred)
    file.unlink()
    with pytest.raises(TaskDeferred):
        resumed(waiter, context, event)


def test_what_has_been_replaced_by_what_is_whole_too_is_taken(run: FakeRun, tmp_path: Path) -> None:
    """A done file vouches for it as well."""
    waiter, context = sensor(path=tmp_path / "a.csv", done_file=DONE), run.context("wait")
    deferred = deferral(waiter, context)
    put(tmp_path, "a.csv")
    event = event_of(deferred)
    put(tmp_path, "a.csv", b"newer data")
    [found] = resumed(waiter, context, event)
    assert found["size"] == 10


@pytest.mark.parametrize("event", [None, "success", {}, {"status": "success"}, {"outcome": "great"}], ids=str)
def test_what_is_no_event_of_ours_is_an_error(run: FakeRun, tmp_path: Path, event: object) -> None:
    """Never success, whatever is there."""
    waiter = sensor(path=put(tmp_path, "a.csv"), done_file=DONE)
    with pytest.raises(FormatError, match="is not the event of an arrival"):
        resumed(waiter, run.context("wait"), event)


@pytest.mark.parametrize("soft_fail", [True, False])
def test_a_place_that_refuses_fails_the_task(run: FakeRun, tmp_path: Path, soft_fail: bool) -> None:
    """Also under soft_fail, which is for the time being over."""
    waiter = sensor(path=tmp_path / "a.csv", soft_fail=soft_fail)
    missing = [{"target": "/in/a.csv", "state": "UNREADABLE", "why": "permission denied"}]
    event = {"outcome": "unreadable", "ready": [], "missing": missing, "ready_count": 0, "missing_count": 1}
    with pytest.raises(TargetAccessError, match="permission denied"):
        resumed(waiter, run.context("wait"), event)


# When the time is over.


@modes
@pytest.mark.parametrize(
    ("arguments", "ending"),
    [
        ({}, AirflowSensorTimeout),
        ({"soft_fail": True}, AirflowSkipException),
        ({"never_fail": True}, AirflowSkipException),
    ],
    ids=["fail", "soft_fail", "never_fail"],
)
def test_the_time_is_over(
    run: FakeRun, tmp_path: Path, mode: str, arguments: dict[str, Any], ending: type[Exception]
) -> None:
    """The same in every mode; it says what was missing."""
    put(tmp_path, "a.csv.tmp", done=False)
    began = datetime.now(UTC) - timedelta(seconds=0.7)
    context = run.context("wait", start_date=began, rescheduled=began)
    with pytest.raises(ending) as caught:
        carried_out(sensor(mode, pattern=tmp_path / "*.csv", timeout=1, **arguments), context)
    said = f"waited 1 s for {tmp_path}/*.csv; last state ABSENT (only temporary names match: 'a.csv.tmp')"
    assert said in str(caught.value)


def test_the_deadline_is_kept_over_deferrals(run: FakeRun, tmp_path: Path) -> None:
    """Airflow's S3KeySensor starts its time again at each."""
    began = datetime.now(UTC) - timedelta(seconds=1000)
    deferred = deferral(sensor(path=tmp_path / "a.csv", timeout=3600), run.context("wait", start_date=began))
    assert isinstance(deferred.trigger, ArrivalTrigger)
    assert deferred.trigger.deadline == pytest.approx(began.timestamp() + 3600, abs=1)
    assert deferred.timeout is not None
    assert 2600 < deferred.timeout.total_seconds() < 2700


def test_all_arguments_reach_the_trigger(run: FakeRun, tmp_path: Path) -> None:
    """As JSON values."""
    given: dict[str, Any] = {
        "pattern": f"{tmp_path}/*", "looks": 4, "look_interval": 20, "min_age": 90, "min_size": 2,
        "min_count": 3, "done_file": DONE, "on_arriving": "skip", "poke_interval": 7,
    }  # fmt: skip
    waiter = sensor(**given, exponential_backoff=True, max_wait=600)
    path, arguments = deferral(waiter, run.context("wait")).trigger.serialize()
    assert path == "fileflow_async.triggers.arrival.ArrivalTrigger"
    assert json.loads(json.dumps(arguments)) == arguments
    expected = given | {"path": None, "conn_id": None, "backoff": True, "max_wait": 600.0}
    assert {name: arguments[name] for name in expected} == expected
    assert arguments["not_before"] <= time.time() < arguments["deadline"]


# What cannot be looked at.


def test_a_place_that_cannot_be_opened_is_waited_for(
    run: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What that means is for the wait to find out; the trigger has the time for it."""
    fence = {"conn_type": "fs", "extra": {"path": "/elsewhere"}}
    monkeypatch.setenv("AIRFLOW_CONN_ELSEWHERE", json.dumps(fence))
    file = put(tmp_path, "a.csv")
    deferral(sensor(path=file, done_file=DONE, conn_id="elsewhere"), run.context("wait"))


def test_an_event_is_not_believed_without_a_look(
    run: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk does not answer when the task resumes."""
    waiter, context = sensor(path=tmp_path / "a.csv", done_file=DONE), run.context("wait")
    deferred = deferral(waiter, context)
    put(tmp_path, "a.csv")
    event = event_of(deferred)

    async def failing(*_: Any) -> StorageUnavailableError:
        return StorageUnavailableError("the disk does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(arrival, "_answer", failing)
        with pytest.raises(TaskDeferred) as again:
            resumed(waiter, context, event)
    [found] = resumed(waiter, context, event_of(again.value))
    assert Trust(found["trust"]) is Trust.DONE_FILE


def test_names_that_are_no_text_come_as_uris(run: FakeRun, tmp_path: Path) -> None:
    """Which go through XCom."""
    name = os.fsdecode(b"\xff.csv")
    put(tmp_path, name)
    [found] = sensor(pattern=tmp_path / "*.csv", done_file=DONE).execute(run.context("wait"))
    assert found["uri"] == f"file://{tmp_path}/%FF.csv"
    again = sensor(task_id="again", path=found["uri"], done_file=DONE)
    assert again.execute(run.context("again")) == [found]
