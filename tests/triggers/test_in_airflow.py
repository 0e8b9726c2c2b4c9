"""Our triggers in Airflow's own triggerer, beside others that behave badly; our sensor in its worker."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk import Asset, AssetWatcher
from airflow.triggers.base import BaseTrigger, TriggerEvent

from fileflow_async import DiveSensorAsync, Reference, open_store
from fileflow_async.dependency import Dependency
from fileflow_async.outcome import WaitEvent
from fileflow_async.testing.trigger_contract import ODD
from fileflow_async.triggers import FileTargetEventTrigger, FileTargetTrigger
from tests.airflow_harness import AssetStates, Triggerer, Worker, dag, revived
from tests.watching import others

RUN = "shop/20260921T000000Z"
KEY = f"{RUN}/extract/output"


class PoisonTrigger(BaseTrigger):
    """Ends the triggerer: that is how Airflow 3.3 takes any exception of a constructor but a TypeError."""

    def __init__(self) -> None:
        raise ValueError("poison")

    def serialize(self) -> tuple[str, dict[str, Any]]:
        raise NotImplementedError

    async def run(self) -> AsyncIterator[TriggerEvent]:
        raise NotImplementedError
        yield


class BlockingTrigger(BaseTrigger):
    """Blocks the event loop of everybody."""

    def __init__(self, seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.BlockingTrigger", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        for _ in range(3):
            until = time.monotonic() + self.seconds
            while time.monotonic() < until:  # the guard of the tests would not let it sleep
                pass
            await asyncio.sleep(0)
        yield TriggerEvent("blocked")


@pytest.fixture
async def triggerer(root: Path) -> AsyncIterator[Triggerer]:
    """A triggerer; in the end it leaves no task."""
    triggerer = Triggerer()
    yield triggerer
    await triggerer.stop()
    assert others() == set()


@pytest.fixture
def uri(root: Path) -> str:
    """The root of the store."""
    return root.as_uri()


async def commit(uri: str, key: str = KEY, data: bytes = b"data") -> Reference:
    """Commit a target as a task elsewhere would."""
    async with open_store(uri) as store:
        async with store.write(key) as out:
            await out.write(data)
        assert out.reference is not None
        return out.reference


# In the triggerer.


async def test_a_wait_fires_in_the_triggerer(triggerer: Triggerer, uri: str) -> None:
    """Once, with the reference; then it is gone."""
    triggerer.create(1, FileTargetTrigger(root=uri, targets=[KEY], poke_interval=1.0))
    for _ in range(20):
        await triggerer.step()
        await asyncio.sleep(0.01)
    assert triggerer.running == [1]
    reference = await commit(uri)
    await triggerer.run(until=1)
    ((number, payload),) = triggerer.events
    assert number == 1
    assert WaitEvent.from_payload(json.loads(json.dumps(payload))).ready == (reference,)
    assert triggerer.failures == {}
    assert triggerer.running == []


async def test_wrong_arguments_in_the_database_fail_their_own_task_only(
    triggerer: Triggerer, uri: str
) -> None:
    """None of them ends the triggerer; whoever else waits is served."""
    await commit(uri)
    good = FileTargetTrigger(root=uri, targets=[KEY])
    path, arguments = good.serialize()
    triggerer.create(0, good)
    number = 0
    for name in arguments:
        for odd in ODD:
            number += 1
            triggerer.create(number, (path, {**arguments, name: odd}))
    triggerer.create(number + 1, (path, {**arguments, "misspelt": 1}))
    triggerer.create(number + 2, (path, {"root": uri}))
    for _ in range(40):
        await triggerer.step()
        await asyncio.sleep(0.01)
    assert 0 in dict(triggerer.events)
    assert isinstance(triggerer.failures[number + 1], TypeError)
    assert isinstance(triggerer.failures[number + 2], TypeError)
    assert len(triggerer.failures) > number / 3


async def test_a_poison_sibling_ends_the_triggerer_but_not_our_waits(uri: str, root: Path) -> None:
    """The next triggerer makes them anew, and they fire."""
    trigger = FileTargetTrigger(root=uri, targets=[KEY], poke_interval=1.0)
    first = Triggerer()
    first.create(1, trigger)
    await first.step()
    first.create(2, (f"{__name__}.PoisonTrigger", {}))
    with pytest.raises(ValueError, match="poison"):
        await first.step()
    await first.stop()
    assert others() == set()
    reference = await commit(uri)
    second = Triggerer()
    second.create(1, trigger)
    await second.run(until=1)
    assert WaitEvent.from_payload(second.events[0][1]).ready == (reference,)
    assert others() == set()


async def test_a_sibling_that_blocks_the_loop_delays_our_event_no_longer_than_that(
    triggerer: Triggerer, uri: str
) -> None:
    """What happened meanwhile is not lost."""
    triggerer.create(1, FileTargetTrigger(root=uri, targets=[KEY], poke_interval=1.0))
    await triggerer.run(until=0)
    await asyncio.sleep(0.2)
    reference = await commit(uri)
    triggerer.create(2, BlockingTrigger(0.5))
    began = time.monotonic()
    await triggerer.run(until=2)
    assert time.monotonic() - began < 1.5 + 1.1 + 1.0
    assert dict(triggerer.events)[2] == "blocked"
    assert WaitEvent.from_payload(dict(triggerer.events)[1]).ready == (reference,)


async def test_two_copies_of_a_wait_fire_alike(triggerer: Triggerer, uri: str) -> None:
    """Triggers that move to another triggerer may run in both for a while."""
    trigger = FileTargetTrigger(root=uri, targets=[KEY], poke_interval=1.0)
    other = Triggerer()
    for each in (triggerer, other):
        each.create(1, trigger)
        await each.step()
    await asyncio.sleep(0.1)
    await commit(uri)
    await triggerer.run(until=1)
    await other.run(until=1)
    assert triggerer.events == other.events


async def test_a_wait_that_is_cancelled_ends_without_an_event(triggerer: Triggerer, uri: str) -> None:
    """Somebody cleared its task; the waits beside it go on."""
    for number in (1, 2):
        triggerer.create(number, FileTargetTrigger(root=uri, targets=[KEY], poke_interval=1.0))
    for _ in range(10):
        await triggerer.step()
        await asyncio.sleep(0.01)
    triggerer.cancel(1)
    for _ in range(10):
        await triggerer.step()
        await asyncio.sleep(0.01)
    assert triggerer.running == [2]
    await commit(uri)
    await triggerer.run(until=1)
    assert [number for number, _ in triggerer.events] == [2]
    assert triggerer.failures == {}


KILLED = """
import asyncio, json, sys
sys.path.insert(0, {here!r})
from tests.airflow_harness import Triggerer

async def main():
    triggerer = Triggerer()
    for number, (path, arguments) in enumerate(json.loads(sys.stdin.read())):
        triggerer.create(number, (path, arguments))
    while True:
        await triggerer.step()
        await asyncio.sleep(0.05)
        if len(triggerer.running) + len(triggerer.events) == 50:
            print("running", flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_fifty_waits_of_a_triggerer_that_is_killed_fire_in_another_one(
    triggerer: Triggerer, uri: str, tmp_path: Path
) -> None:
    """Committed before, while or after nobody watched: from their stored arguments alone all are served."""
    keys = [f"{RUN}/task{number}/output" for number in range(50)]
    triggers = [FileTargetTrigger(root=uri, targets=[key], deadline=time.time() + 600) for key in keys]
    rows = [trigger.serialize() for trigger in triggers]
    here = str(Path(__file__).parent.parent.parent)

    def killed() -> None:
        script = KILLED.format(here=here)
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(rows))
        process.stdin.close()
        while process.stdout.readline().strip() != "running":
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()

    await asyncio.to_thread(killed)
    for key in keys[:20]:
        await commit(uri, key)
    for number, (path, arguments) in enumerate(rows):
        triggerer.create(number, revived(path, arguments))
    await triggerer.run(until=20, seconds=30)
    for key in keys[20:]:
        await commit(uri, key)
    await triggerer.run(until=50, seconds=30)
    assert sorted(number for number, _ in triggerer.events) == list(range(50))
    assert triggerer.failures == {}


# For assets.


async def test_a_watcher_announces_commits_in_the_triggerer(
    triggerer: Triggerer, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the state store that Airflow gives it; its payload is the reference."""
    monkeypatch.setattr("fileflow_async.triggers.cursor._STORED", 0.2)
    trigger = FileTargetEventTrigger(root=uri, targets=[KEY], poke_interval=1.0)
    states = AssetStates()
    with states.answering():
        triggerer.create(1, trigger, assets={"orders": "x-test://orders"})
        first = await commit(uri)
        await triggerer.run(until=1)
        second = await commit(uri)
        await triggerer.run(until=2)
        while not states.written or states.written[-1]["data"] != second.data:
            await triggerer.step()
            await asyncio.sleep(0.02)
        await triggerer.stop()
        again = Triggerer()
        again.create(1, trigger, assets={"orders": "x-test://orders"})
        for _ in range(30):
            await again.step()
            await asyncio.sleep(0.02)
        await again.stop()
    assert [Reference.from_payload(payload) for _, payload in triggerer.events] == [first, second]
    assert again.events == []


def test_a_watcher_can_be_declared() -> None:
    """In a DAG file, for an asset."""
    trigger = FileTargetEventTrigger(root="s3://lake/ff", targets=["shop/key=latest/extract/output"])
    asset = Asset("orders", watchers=[AssetWatcher(name="orders", trigger=trigger)])
    assert asset.watchers[0].trigger is trigger


# In the worker.


def sensor(**arguments: Any) -> DiveSensorAsync:
    """Return a sensor that waits for the output of another task."""
    return DiveSensorAsync(
        task_id="report",
        dag=dag(),
        data_dependencies={"orders": Dependency("extract", slot="20260921T000000Z")},
        timeout=60,
        poke_interval=1,
        **arguments,
    )


@pytest.fixture
def configured(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is the configured one."""
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", uri)
    monkeypatch.setenv("AIRFLOW__FILEFLOW__MIN_DEFER_SECONDS", "0")


@pytest.mark.usefixtures("configured")
def test_a_sensor_defers_and_resumes(uri: str) -> None:
    """Through all that Airflow does with what it defers to, and with the event; twice as well as once."""
    worker = Worker()
    result = worker.run(sensor())
    assert result.state == "deferred", result.error
    path, arguments = worker.trigger()
    assert path == "fileflow_async.triggers.file_target.FileTargetTrigger"
    assert arguments["targets"] == [KEY]
    assert worker.deferred is not None
    assert worker.deferred["next_method"] == "execute_complete"

    async def fire() -> Any:
        triggerer = Triggerer()
        triggerer.create(1, (path, arguments))
        await triggerer.step()
        await commit(uri)
        await triggerer.run(until=1)
        return triggerer.events[0][1]

    event = asyncio.run(fire())
    for _ in range(2):
        result = worker.resume(sensor(), event)
        assert result.state == "success", result.error


@pytest.mark.usefixtures("configured")
def test_a_sensor_whose_data_is_there_does_not_defer(uri: str) -> None:
    """No triggerer is needed then."""
    asyncio.run(commit(uri))
    worker = Worker()
    result = worker.run(sensor())
    assert result.state == "success", result.error
    assert worker.deferred is None


def test_what_a_worker_stores_makes_the_same_trigger() -> None:
    """Through Airflow's serialization, its database and back."""
    trigger = FileTargetTrigger(
        root="s3://lake/ff", targets=[KEY], deadline=time.time(), newer_than={KEY: 1.5}
    )
    with pytest.raises(TaskDeferred) as caught:
        raise TaskDeferred(trigger=trigger, method_name="execute_complete")
    again = revived(*caught.value.trigger.serialize())
    assert again.serialize() == trigger.serialize()
