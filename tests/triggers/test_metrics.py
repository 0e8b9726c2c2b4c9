"""What waiting counts, under the names that the page about it gives."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fileflow_async import _compat
from fileflow_async.errors import StorageUnavailableError
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.planting import plant_commit, put
from tests.triggers.memory_stores import ROOT, Stores, replaced, waiting

HERE = Path(__file__).parents[2]
DATA = "20260921T141320000Z-t01-7c9e1f02ab44.csv"
KEY = "shop/20260921T000000Z/extract/output"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What Airflow's metrics are told."""
    told: Counter[str] = Counter()

    class Stats:
        @staticmethod
        def incr(metric: str, number: int, *, tags: Mapping[str, str] | None) -> None:
            told[metric] += number

        @staticmethod
        def timing(metric: str, duration: Any, *, tags: Mapping[str, str] | None) -> None:
            told[metric] += 1

    monkeypatch.setattr(_compat, "_stats", Stats)
    return told


def names_in_the_table() -> set[str]:
    """Return those that the page documents."""
    return set(
        re.findall(r"^\| `(fileflow\.[a-z_.]+)`", (HERE / "docs/waiting.md").read_text(), re.MULTILINE)
    )


async def test_every_documented_name_is_counted(clock: FakeClock, counted: Counter[str]) -> None:
    """And none but those: a feed that tells, one that loses a commit, one that cannot be read."""
    documented = await asyncio.to_thread(names_in_the_table)
    with replaced(clock) as stores:
        await _announced(stores, clock)
        await _unannounced(stores, clock)
        await _unreadable(stores, clock)
    assert {name for name, number in counted.items() if number} == documented
    assert counted["fileflow.waits.begun"] == counted["fileflow.waits.ended"] == 3
    assert counted["fileflow.wait_seconds"] == 3
    assert counted["fileflow.rechecks.found"] == 1
    assert counted["fileflow.hints"] == 1
    assert 1 <= counted["fileflow.polls.failed"] < counted["fileflow.polls"]


async def _announced(stores: Stores, clock: FakeClock) -> None:
    it = waiting(clock, KEY)
    await clock.advance(10.0)
    await put(stores[ROOT], KEY, b"1")
    await clock.advance(10.0)
    assert it.outcome == "ready"


async def _unannounced(stores: Stores, clock: FakeClock) -> None:
    """The entry in the feed is lost; a recheck finds the commit."""
    it = waiting(clock, KEY.replace("extract", "lost"))
    await clock.advance(10.0)
    plant_commit(stores.storage(), KEY.replace("extract", "lost"), DATA, b"1")
    await clock.advance(610.0)
    assert it.outcome == "ready"


async def _unreadable(stores: Stores, clock: FakeClock) -> None:
    it = waiting(clock, KEY.replace("extract", "never"), deadline=clock.time() + 60)
    await clock.advance(10.0)
    _break(stores.storage())
    await clock.advance(100.0)
    assert it.outcome == "timeout"


def _break(storage: MemoryStorage) -> None:
    async def called(method: str) -> None:
        raise StorageUnavailableError("503")

    storage._called = called  # type: ignore[method-assign]
