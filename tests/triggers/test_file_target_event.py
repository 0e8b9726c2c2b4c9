"""Announce commits to DAGs: each once, in order, across restarts of the triggerer."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.triggers.base import BaseEventTrigger

from fileflow_async.errors import ConfigError, FileflowError, StorageUnavailableError, TargetNameError
from fileflow_async.manifest import Producer
from fileflow_async.status import State, Status
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference
from fileflow_async.testing.clock import FakeClock
from fileflow_async.triggers import FileTargetEventTrigger
from fileflow_async.triggers.cursor import Cursor, _key
from tests.airflow_harness import AssetStates
from tests.planting import OLD, plant_commit, put
from tests.triggers.memory_stores import ROOT, Stores, replaced, waiting
from tests.watching import others

KEY = "shop/key=latest/extract/output"
OTHER = "shop/key=latest/other/output"


class Triggerer:
    """Runs the trigger of an `AssetWatcher`, and takes its events."""

    def __init__(self, clock: FakeClock, states: AssetStates | None, *assets: str, **arguments: Any) -> None:
        self.events: list[Reference] = []
        self._clock = clock
        self._states = states
        self._trigger = FileTargetEventTrigger(**{"root": ROOT, "targets": [KEY], **arguments})
        if states is not None:
            self._trigger.asset_state_store = states.of(*(assets or ("orders",)))
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        if self._states is None:
            await self._take()
            return
        with self._states.answering():
            await self._take()

    async def _take(self) -> None:
        async for reference in self._trigger.commits(self._clock):
            self.events.append(Reference.from_payload(json.loads(json.dumps(reference.to_payload()))))

    async def kill(self) -> None:
        """End without any goodbye that the trigger could use."""
        self.task.cancel()
        await asyncio.wait([self.task])


@dataclass(frozen=True)
class Lake:
    """Whatever commits and triggerers have in common.

    Attributes:
        stores: Where commits are made.
        states: What Airflow keeps for assets.
        clock: What all go by.
    """

    stores: Stores
    states: AssetStates
    clock: FakeClock

    async def commit(self, data: bytes = b"1") -> Reference:
        """Commit a value of the one target that most are about."""
        return await put(self.stores[ROOT], KEY, data)

    async def triggerer(self, seconds: float, *assets: str, **arguments: Any) -> Triggerer:
        """Start a triggerer, and let so much time pass."""
        triggerer = Triggerer(self.clock, self.states, *assets, **arguments)
        await self.clock.advance(seconds)
        return triggerer


@pytest.fixture
async def lake(clock: FakeClock) -> AsyncIterator[Lake]:
    """Stores in memory; what still runs in the end is cancelled, and leaves nothing open and no task."""
    with replaced(clock) as stores:
        yield Lake(stores, AssetStates(), clock)
        for task in others():
            task.cancel()
        await clock.settle()
        assert others() == set()
        assert stores.open == 0


def test_it_is_a_trigger_for_assets() -> None:
    """`AssetWatcher` takes no other; it has no queue, as its base has none, and no shared stream."""
    trigger = FileTargetEventTrigger(root=ROOT, targets=[KEY])
    assert isinstance(trigger, BaseEventTrigger)
    assert getattr(trigger, "supports_triggerer_queue", False) is False  # new in Airflow 3.2
    assert not hasattr(trigger, "shared_stream_key") or trigger.shared_stream_key() is None  # ADR 0005
    assert BaseEventTrigger.hash(*trigger.serialize()) == BaseEventTrigger.hash(*trigger.serialize())


async def test_each_commit_is_announced_once(lake: Lake) -> None:
    """The one that is there at the first start as well; then one by one, for ever."""
    first = await lake.commit()
    triggerer = await lake.triggerer(60.0)
    assert triggerer.events == [first]
    expected = [first]
    for number in range(5):
        expected.append(await lake.commit(b"%d" % number))
        await lake.clock.advance(60.0)
        assert triggerer.events == expected
    await lake.clock.advance(3600.0)
    assert triggerer.events == expected
    assert not triggerer.task.done()


async def test_the_same_commit_is_not_announced_again_after_a_restart(lake: Lake) -> None:
    """Nor by another triggerer: which was the last is in Airflow's database."""
    await lake.commit()
    triggerer = await lake.triggerer(30.0)
    assert len(triggerer.events) == 1
    for _ in range(3):
        await triggerer.kill()
        lake.stores.opened.clear()
        triggerer = await lake.triggerer(30.0)
        assert triggerer.events == []
        assert lake.stores.opened == {(ROOT, None): 1}  # nobody had to read the history
    new = await lake.commit(b"2")
    await lake.clock.advance(6.0)
    assert triggerer.events == [new]


async def test_what_was_committed_while_no_triggerer_ran_is_announced(lake: Lake) -> None:
    """Each commit, in order, not only the last."""
    await lake.commit()
    triggerer = await lake.triggerer(30.0)
    await triggerer.kill()
    missed = [await lake.commit(b"%d" % number) for number in range(3)]
    triggerer = await lake.triggerer(30.0)
    assert triggerer.events == missed


async def test_commits_between_two_polls_are_all_announced(lake: Lake) -> None:
    """The watch shows only the newest; the others are in the history."""
    await lake.commit()
    triggerer = await lake.triggerer(1.0)
    lake.stores.storage()._tails.clear()
    expected = [await lake.commit(b"%d" % number) for number in range(3)]
    await lake.clock.advance(700.0)
    assert triggerer.events[1:] == expected


async def test_a_crash_before_the_note_announces_again(lake: Lake) -> None:
    """The event may not be stored yet: twice is better than never; the reference tells it is the same."""
    await lake.commit()
    triggerer = await lake.triggerer(9.0)
    assert lake.states.written == []
    await triggerer.kill()
    again = await lake.triggerer(30.0)
    assert again.events == triggerer.events
    assert len(lake.states.written) == 1


async def test_the_note_names_the_version(lake: Lake) -> None:
    """By data and hash; its key by a hash of the place, since a place may be longer than a key may be."""
    reference = await lake.commit()
    Triggerer(lake.clock, lake.states)
    await lake.clock.advance(12.0)
    assert lake.states.written == [
        {"target": f"{ROOT}/{KEY}", "data": reference.data, "sha256": reference.sha256}
    ]
    ((asset, key),) = lake.states.values
    assert asset == "orders"
    assert key.startswith("fileflow:")
    assert len(key) <= 512


async def test_two_targets_have_a_cursor_each(lake: Lake) -> None:
    """And the same key in two stores is two targets."""
    targets = [KEY, OTHER, f"s3://other/ff/{KEY}"]
    triggerer = Triggerer(lake.clock, lake.states, targets=targets)
    expected = []
    for root, key in ((ROOT, KEY), (ROOT, OTHER), ("s3://other/ff", KEY)):
        expected.append(await put(lake.stores[root], key, b"1"))
        await lake.clock.advance(6.0)
    await lake.clock.advance(20.0)
    assert triggerer.events == expected
    assert len(lake.states.values) == 3
    await triggerer.kill()
    again = await lake.triggerer(20.0, targets=targets)
    assert again.events == []


async def test_several_assets_share_a_trigger(lake: Lake) -> None:
    """Each has the note; one that is new learns it from the others."""
    await lake.commit()
    triggerer = await lake.triggerer(20.0, "orders", "invoices")
    assert len(triggerer.events) == 1
    assert {asset for asset, _ in lake.states.values} == {"orders", "invoices"}
    await triggerer.kill()
    again = await lake.triggerer(20.0, "invoices", "further")
    assert again.events == []


async def test_another_triggerer_that_was_faster_is_noticed(lake: Lake) -> None:
    """After a lost heartbeat both may run: the note is read again before each event."""
    one, other = (Triggerer(lake.clock, lake.states) for _ in range(2))
    await lake.clock.advance(1.0)
    reference = await lake.commit()
    await one.kill()
    lake.states.values["orders", _key(f"{ROOT}/{KEY}")] = {"data": reference.data}
    await lake.clock.advance(30.0)
    assert other.events == []


async def test_without_a_state_store_each_start_announces_what_is_there(lake: Lake) -> None:
    """Airflow 3.1 and 3.2 keep nothing; within one run of the triggerer each commit comes once."""
    first = await lake.commit()
    triggerer = Triggerer(lake.clock, None)
    await lake.clock.advance(60.0)
    second = await lake.commit(b"2")
    await lake.clock.advance(60.0)
    assert triggerer.events == [first, second]
    await triggerer.kill()
    again = Triggerer(lake.clock, None)
    await lake.clock.advance(60.0)
    assert again.events == [second]


async def test_a_state_store_that_cannot_be_read_holds_events_back(
    lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody knows what was announced; it is asked again until it answers, and said once."""
    reference = await lake.commit()
    lake.states.fault = RuntimeError("API server error")
    triggerer = await lake.triggerer(300.0)
    assert triggerer.events == []
    assert caplog.text.count("cannot be announced for now") == 1
    lake.states.fault = None
    await lake.clock.advance(11.0)
    assert triggerer.events == [reference]


async def test_a_state_store_that_cannot_be_written_is_written_later(lake: Lake) -> None:
    """The event is out; the note follows."""
    await lake.commit()
    triggerer = await lake.triggerer(5.0)
    assert len(triggerer.events) == 1
    lake.states.fault = RuntimeError("API server error")
    await lake.clock.advance(60.0)
    lake.states.fault = None
    await lake.clock.advance(11.0)
    assert len(lake.states.written) == 1
    assert len(triggerer.events) == 1


@pytest.mark.parametrize("odd", [None, "text", 5, {}, {"data": 7}])
async def test_a_note_that_is_none_of_ours_means_nothing(lake: Lake, odd: Any) -> None:
    """Somebody else may write there."""
    lake.states.values["orders", _key(f"{ROOT}/{KEY}")] = odd
    await lake.commit()
    triggerer = await lake.triggerer(5.0)
    assert len(triggerer.events) == 1


async def test_outages_of_the_store_end_nothing(lake: Lake) -> None:
    """Neither a refusal, nor one while it reads the history."""
    first = await lake.commit()
    triggerer = await lake.triggerer(30.0)
    for fault in (StorageUnavailableError("503"), ConfigError("no such bucket"), ZeroDivisionError("a bug")):
        lake.stores.storage().fault = fault
        await lake.clock.advance(600.0)
        lake.stores.storage().fault = None
        await lake.clock.advance(30.0)
    new = await lake.commit(b"2")
    lake.stores.fault = StorageUnavailableError("the history cannot be read")
    await lake.clock.advance(60.0)
    assert triggerer.events == [first]
    lake.stores.fault = None
    await lake.clock.advance(11.0)
    assert triggerer.events == [first, new]


@pytest.mark.parametrize(("policy", "announced"), [("accept", 2), ("wait", 1)])
async def test_empty_commits_are_announced_or_not(lake: Lake, policy: Any, announced: int) -> None:
    """As is wanted."""
    triggerer = Triggerer(lake.clock, lake.states, on_empty=policy)
    for data in (b"", b"1"):
        await lake.commit(data)
        await lake.clock.advance(6.0)
    assert len(triggerer.events) == announced


async def test_an_empty_commit_between_two_polls_is_not_announced_where_it_does_not_count(lake: Lake) -> None:
    """Though the history has it."""
    first = await lake.commit()
    triggerer = await lake.triggerer(6.0, on_empty="wait")
    lake.stores.storage()._tails.clear()  # what comes is seen only later
    await lake.commit(b"")
    await lake.clock.advance(1.0)
    last = await lake.commit(b"2")
    await lake.clock.advance(700.0)
    assert triggerer.events == [first, last]


async def test_commits_before_newer_than_are_not_announced(lake: Lake) -> None:
    """So that the first start of a DAG does not work on old data."""
    await lake.commit()
    triggerer = await lake.triggerer(20.0, newer_than=lake.clock.time() + 10)
    assert triggerer.events == []
    new = await lake.commit(b"2")
    await lake.clock.advance(20.0)
    assert triggerer.events == [new]


async def test_a_commit_that_a_failure_hides_is_announced(lake: Lake) -> None:
    """It was made before the failure, between two polls."""
    first = await lake.commit()
    triggerer = await lake.triggerer(6.0)
    lake.stores.storage()._tails.clear()  # it is seen only later
    second = await lake.commit(b"2")
    await lake.clock.advance(1.0)
    await lake.stores[ROOT].fail(KEY, error="no", producer=Producer(task_id="extract"))
    await lake.clock.advance(700.0)
    assert (await lake.stores[ROOT].state(KEY)).state is State.FAILED
    assert triggerer.events == [first, second]
    await lake.clock.advance(700.0)
    assert triggerer.events == [first, second]


async def test_what_is_no_news_asks_nobody(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither Airflow what was announced of the others, nor the store for a history without commits."""
    await lake.commit()
    await put(lake.stores[ROOT], OTHER, b"1")
    triggerer = await lake.triggerer(30.0, targets=[KEY, OTHER])
    assert len(triggerer.events) == 2
    asked: list[str] = []
    last = Cursor.last

    async def noting(self: Cursor, place: str) -> str | None:
        asked.append(place)
        return await last(self, place)

    monkeypatch.setattr(Cursor, "last", noting)
    opened = lake.stores.opened.total()
    await put(lake.stores[ROOT], OTHER, b"2")
    await lake.clock.advance(30.0)
    assert asked == [f"{ROOT}/{OTHER}"]
    assert lake.stores.opened.total() == opened + 1
    for name in list(lake.stores.storage().objects):
        if name.startswith(KEY):
            del lake.stores.storage().objects[name]
    await lake.clock.advance(700.0)
    assert (await lake.stores[ROOT].state(KEY)).state is State.ABSENT
    assert f"{ROOT}/{KEY}" not in asked
    assert len(triggerer.events) == 3


async def test_a_commit_that_was_seen_is_announced_although_the_history_lacks_it(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some stores list late, and a clean-up may come between the two."""
    first = await lake.commit()
    triggerer = await lake.triggerer(6.0)

    async def nothing_yet(self: TargetStore, key: str) -> list[Status]:
        return []

    monkeypatch.setattr(TargetStore, "history", nothing_yet)
    second = await lake.commit(b"2")
    await lake.clock.advance(6.0)
    assert triggerer.events == [first, second]


async def test_damage_is_not_announced(lake: Lake) -> None:
    """What follows is."""
    plant_commit(lake.stores.storage(), KEY, OLD, b"1234", size=5)
    triggerer = await lake.triggerer(60.0)
    assert triggerer.events == []
    new = await lake.commit()
    await lake.clock.advance(6.0)
    assert triggerer.events == [new]


async def test_a_target_that_is_deleted_and_made_anew_is_announced_if_newer(lake: Lake) -> None:
    """An older value that shows again, because a newer one was deleted, is no news."""
    first = await lake.commit()
    await lake.clock.advance(1.0)
    second = await lake.commit(b"2")
    triggerer = await lake.triggerer(6.0)
    assert triggerer.events == [second]
    for name in (f"{KEY}/{second.data}", f"{KEY}/{second.data}.ok"):
        del lake.stores.storage().objects[name]
    await lake.clock.advance(700.0)
    assert (await lake.stores[ROOT].state(KEY)).reference == first
    assert triggerer.events == [second]


async def test_it_shares_the_watch_with_those_who_wait(lake: Lake) -> None:
    """One poll for all of a store."""
    Triggerer(lake.clock, lake.states)
    it = waiting(lake.clock, KEY)
    await lake.clock.advance(3.0)
    assert lake.stores.opened == {(ROOT, None): 1}
    await lake.commit()
    await lake.clock.advance(6.0)
    assert it.outcome == "ready"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"root": "nowhere"}, ConfigError),
        ({"targets": []}, ConfigError),
        ({"targets": [f"{KEY},other"]}, ConfigError),
        ({"targets": ["x"]}, TargetNameError),
        ({"on_empty": "fail"}, ConfigError),
        ({"poke_interval": 0}, ConfigError),
        ({"newer_than": {KEY: 1.0}}, ConfigError),
    ],
)
async def test_a_wrong_argument_is_said_a_minute_late(
    clock: FakeClock, wrong: dict[str, Any], error: type[FileflowError]
) -> None:
    """Airflow makes a watcher that ends anew within a second, for ever."""
    triggerer = Triggerer(clock, None, **wrong)
    await clock.advance(59.0)
    assert not triggerer.task.done()
    await clock.advance(2.0)
    assert isinstance(triggerer.task.exception(), error)


async def test_the_last_is_the_newest_that_anybody_has_announced() -> None:
    """Another triggerer may have been further; and one that cannot be asked may have been, too."""

    class State:
        def __init__(self, value: Any) -> None:
            self.value = value

        async def aget(self, key: str) -> Any:
            if isinstance(self.value, Exception):
                raise self.value
            return {"data": self.value}

        async def aset(self, key: str, value: Any) -> None: ...

    for elsewhere, last in (("a", "b"), ("c", "c")):
        states: Any = [State(elsewhere)]
        cursor = Cursor(states)
        cursor.announce("place", Reference(target="t", data="b", size=1, sha256=""), 0.0)
        assert await cursor.last("place") == last
    broken: Any = [State(KeyError("odd"))]
    with pytest.raises(StorageUnavailableError, match="cannot be read: 'odd'"):
        await Cursor(broken).last("place")
