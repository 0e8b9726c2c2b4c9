"""How often Python's garbage collector stops all triggers."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airflow.triggers.base import BaseTrigger

from fileflow_async.testing.storage_contract.patience import eventually
from fileflow_async.triggers import (
    ArrivalTrigger,
    FileTargetEventTrigger,
    FileTargetTrigger,
    HttpTrigger,
    collector,
)
from fileflow_async.triggers.collector import collect_rarely

KEY = "shop/20260921T000000Z/extract/output"


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process as Python starts it, in which no trigger of ours has run."""
    before = gc.get_threshold()
    monkeypatch.setattr(collector, "_is_settled", False)
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize(
    "make",
    [
        lambda root: FileTargetTrigger(root=root, targets=[KEY]),
        lambda root: FileTargetEventTrigger(root=root, targets=[KEY]),
        lambda root: ArrivalTrigger(path=f"{root}/x.csv"),
        lambda root: HttpTrigger(endpoint="x"),
    ],
)
async def test_each_wait_has_all_objects_gone_over_more_rarely(
    make: Callable[[str], BaseTrigger], root: Path
) -> None:
    """The young ones, which stop nobody for long, as often as before."""
    run = make(root.as_uri()).run()
    wait = asyncio.ensure_future(anext(run))

    async def is_done() -> bool:
        return gc.get_threshold() == (700, 10, 100)

    await eventually(is_done)
    wait.cancel()
    await asyncio.wait([wait])


@pytest.mark.parametrize("thresholds", [(700, 10, 11), (0, 10, 20), (50_000, 5, 5)])
async def test_what_somebody_else_has_set_stays(thresholds: tuple[int, int, int]) -> None:
    """They know what else runs in the process."""
    gc.set_threshold(*thresholds)
    await collect_rarely()
    assert gc.get_threshold() == thresholds


async def test_it_is_settled_once_a_process() -> None:
    """Whoever sets another threshold later is not overruled by the next wait."""
    await collect_rarely()
    gc.set_threshold(700, 10, 10)
    await collect_rarely()
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("setting", ["off", "no idea"])
async def test_it_can_be_forbidden(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that is wrong is for others to complain of: a wait does not fail by it."""
    monkeypatch.setenv("AIRFLOW__FILEFLOW__COLLECT_RARELY", setting)
    await collect_rarely()
    assert gc.get_threshold() == (700, 10, 10)


async def test_a_wait_that_is_cancelled_meanwhile_leaves_it_to_the_next() -> None:
    """While the settings are read."""
    first = asyncio.create_task(collect_rarely())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    await collect_rarely()
    assert gc.get_threshold() == (700, 10, 100)
