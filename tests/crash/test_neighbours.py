"""Other triggers of the same process behave badly: ours are served all the same."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from airflow.triggers.base import BaseTrigger, TriggerEvent

from fileflow_async import open_store
from fileflow_async.testing.trigger_contract import ODD
from fileflow_async.triggers import (
    ArrivalTrigger,
    FileTargetEventTrigger,
    FileTargetStartTrigger,
    FileTargetTrigger,
)
from tests.airflow_harness import Triggerer
from tests.conftest import LoopGuard
from tests.crash.tally import Tally
from tests.crash.waits import RUN, wait

WHAT = "waits beside bad triggers"
KEY = f"{RUN}/extract/output"
HUNG = 60


class SpinningTrigger(BaseTrigger):
    """Never sleeps, though it lets others run."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.SpinningTrigger", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while True:
            await asyncio.sleep(0)
        yield


@pytest.fixture(autouse=True)
def logging_is_no_blocking(loop_guard: LoopGuard, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Airflow's log and that of pytest write each record to a file."""
    monkeypatch.setenv("AIRFLOW__FILEFLOW__DURABILITY", "none")
    yield
    loop_guard.blocked[:] = [call for call in loop_guard.blocked if call != "io.TextIOWrapper.write"]


@pytest.fixture
async def triggerer() -> AsyncIterator[Triggerer]:
    triggerer = Triggerer()
    yield triggerer
    await triggerer.stop()


@pytest.fixture
def uri(tmp_path: Path) -> str:
    (folder := tmp_path / "store").mkdir()
    return folder.as_uri()


async def commit(uri: str) -> None:
    async with open_store(uri) as store, store.write(KEY) as out:
        await out.write(b"1")


async def fires_soon(triggerer: Triggerer, uri: str) -> float:
    """Return how long after its commit a wait fires."""
    triggerer.create(0, FileTargetTrigger(root=uri, targets=[KEY], poke_interval=1.0))
    for _ in range(20):
        await triggerer.step()
        await asyncio.sleep(0.02)
    await commit(uri)
    began = time.monotonic()
    await triggerer.run(until=1, seconds=20)
    assert [number for number, _ in triggerer.events] == [0]
    return time.monotonic() - began


@pytest.mark.slow
async def test_one_that_spins(triggerer: Triggerer, uri: str, tally: Tally) -> None:
    """It takes the processor, but not our turn."""
    for number in range(1, 4):
        triggerer.create(number, SpinningTrigger())  # type: ignore[no-untyped-call]
    assert await fires_soon(triggerer, uri) < 3.0
    tally.add("fired beside three that spin")


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["anyio", "asyncio"])
async def test_sixty_that_hold_every_shared_thread(uri: str, tally: Tally, pool: str) -> None:
    """As those do that look at a hung mount: a wait that begins then needs none of them, to its end.

    Not in Airflow's triggerer: its own log of an event needs one of asyncio's.
    """
    release = threading.Event()
    hold = anyio.to_thread.run_sync if pool == "anyio" else asyncio.to_thread
    holding = [asyncio.create_task(hold(partial(release.wait, 30))) for _ in range(HUNG)]
    await asyncio.sleep(0.1)
    try:
        async with asyncio.timeout(20):
            task = wait(uri, KEY)
            await asyncio.sleep(0.5)
            await commit(uri)
            began = time.monotonic()
            assert (await task).outcome == "ready"
        assert time.monotonic() - began < 3.0
    finally:
        release.set()
        await asyncio.wait(holding)
    tally.add(f"fired while {HUNG} hold the threads of {pool}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [FileTargetTrigger, FileTargetStartTrigger, FileTargetEventTrigger, ArrivalTrigger]
)
async def test_malformed_arguments(
    triggerer: Triggerer, uri: str, tally: Tally, kind: type[BaseTrigger]
) -> None:
    """Types, ranges, what is missing, too much or of another version: each fails its own task, or waits."""
    await commit(uri)
    triggerer.create(0, FileTargetTrigger(root=uri, targets=[KEY]))
    path, good = f"{kind.__module__}.{kind.__name__}", arguments(kind, uri)
    rows: list[dict[str, Any]] = [{**good, name: odd} for name in good for odd in ODD]
    rows += [{key: value for key, value in good.items() if key != name} for name in good]
    rows += [{**good, "misspelt": 1}, {**good, "version": 2}, {}, {"": None}]
    for number, row in enumerate(rows, 1):
        triggerer.create(number, (path, row))
    # The one for assets says what is wrong a minute later: Airflow makes it anew at once.
    least = 1 if kind is FileTargetEventTrigger else len(rows) / 4
    async with asyncio.timeout(40):
        while 0 not in dict(triggerer.events) or len(triggerer.failures) < least:
            await triggerer.step()
            await asyncio.sleep(0.01)
    tally.add("malformed arguments", len(rows))
    tally.add("tasks that failed by theirs", len(triggerer.failures))


def arguments(kind: type[BaseTrigger], uri: str) -> dict[str, Any]:
    """Return arguments that a trigger takes."""
    if kind is ArrivalTrigger:
        return {"path": f"{uri}/none.csv", "conn_id": None, "looks": 3, "min_age": 1.0, "poke_interval": 5.0}
    if kind is FileTargetStartTrigger:
        return {"slot": "{}", "dag_id": "shop", "dependencies": [], "fileflow_root": uri, "when": "all"}
    more: dict[str, Any] = {"poke_interval": 5.0, "newer_than": 1.5, "on_empty": "accept", "conn_id": None}
    if kind is FileTargetTrigger:
        more |= {"when": "all", "deadline": 1e12, "not_before": 1.0, "max_wait": 60.0}
    return {"root": uri, "targets": [f"{RUN}/none/output"], **more}
