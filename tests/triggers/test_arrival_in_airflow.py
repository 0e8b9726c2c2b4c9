"""Waiting for files of outsiders in Airflow's own worker and triggerer."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fileflow_async.sensors.arrival import ArrivalSensorAsync
from fileflow_async.triggers import ArrivalTrigger
from tests.airflow_harness import Triggerer, Worker, dag, fired

pytestmark = pytest.mark.usefixtures("no_pause")


def sensor(folder: Path, **arguments: Any) -> ArrivalSensorAsync:
    given: dict[str, Any] = {"pattern": f"{folder}/*.csv", "done_file": "{name}.done", "timeout": 60}
    return ArrivalSensorAsync(task_id="wait", dag=dag(), poke_interval=1, **{**given, **arguments})


def put(folder: Path, name: str = "a.csv") -> None:
    (folder / name).write_text("data")
    (folder / f"{name}.done").touch()


def test_a_sensor_defers_and_resumes(tmp_path: Path) -> None:
    """Through all that Airflow does with what it defers to, and with the event; twice as well as once."""
    worker = Worker()
    result = worker.run(sensor(tmp_path, looks=2, min_age=90, on_arriving="skip"))
    assert result.state == "deferred", result.error
    path, arguments = worker.trigger()
    assert path == "fileflow_async.triggers.arrival.ArrivalTrigger"
    assert (arguments["pattern"], arguments["min_age"]) == (f"{tmp_path}/*.csv", 90.0)
    put(tmp_path)
    event = fired(worker.trigger())
    for _ in range(2):
        result = worker.resume(sensor(tmp_path), event)
        assert result.state == "success", result.error


def test_an_event_that_is_no_longer_true_defers_again(tmp_path: Path) -> None:
    """The file went away meanwhile."""
    worker = Worker()
    worker.run(sensor(tmp_path))
    put(tmp_path)
    event = fired(worker.trigger())
    (tmp_path / "a.csv").unlink()
    assert worker.resume(sensor(tmp_path), event).state == "deferred"


@pytest.mark.parametrize(("soft_fail", "state"), [(False, "failed"), (True, "skipped")])
def test_the_time_is_over(tmp_path: Path, soft_fail: bool, state: str) -> None:
    """Under soft_fail that skips."""
    worker = Worker()
    waiter = sensor(tmp_path, timeout=5, soft_fail=soft_fail)
    assert worker.run(waiter).state == "deferred"
    event = fired(worker.trigger())
    assert event["outcome"] == "timeout"
    assert worker.resume(sensor(tmp_path, timeout=5, soft_fail=soft_fail), event).state == state


async def test_many_wait_in_one_triggerer(tmp_path: Path) -> None:
    """One that is wrong fails its own task only."""
    triggerer = Triggerer()
    for number in range(50):
        trigger = ArrivalTrigger(path=f"{tmp_path}/{number}.csv", done_file="{name}.done", poke_interval=1.0)
        triggerer.create(number, trigger)
    triggerer.create(99, ArrivalTrigger(path="no path", looks="many"))  # type: ignore[arg-type]
    await triggerer.run(until=1)
    assert [*triggerer.failures] == [99]
    await asyncio.to_thread(put, tmp_path, "7.csv")
    await triggerer.run(until=2)
    assert [number for number, _ in triggerer.events] == [7]
    assert len(triggerer.running) == 49
    await triggerer.stop()
