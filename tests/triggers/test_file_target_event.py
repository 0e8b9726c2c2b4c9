"""Announce commits to DAGs: each once, in order, across restarts of the triggerer."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from airflow.triggers.base import BaseEventTrigger

from fileflow_async.errors import ConfigError, FileflowError, StorageUnavailableError, TargetNameError
from fileflow_async.manifest import Producer
from fileflow_async.status import State
from fileflow_async.target import Reference
from fileflow_async.testing.clock import FakeClock
from fileflow_async.triggers import FileTargetEventTrigger
from fileflow_async.triggers.cursor import _key
from tests.airflow_harness import AssetStates
from tests.planting import OLD, plant_commit, put
from tests.triggers.memory_stores import ROOT, Stores, replaced, waiting
from tests.watching import others

KEY = "shop/key=latest/extract/output"
OTHER = "shop/key=latest/other/output"


@pytest.fixture
async def stores(clock: FakeClock) -> AsyncIterator[Stores]:
    """Stores in memory; what still runs in the end is cancelled, and leaves nothing open and no task."""
    with replaced(clock) as stores:
        yield stores
        for task in others():
            task.cancel()
        await clock.settle()
        assert others() == set()
        assert stores.open == 0


@pytest.fixture
def states() -> AssetStates:
    """What Airflow keeps for assets."""
    return AssetStates()


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


def test_it_is_a_trigger_for_assets() -> None:
    """`AssetWatcher` takes no other; it has no queue, as its base has none, and no shared stream."""
    trigger = FileTargetEventTrigger(root=ROOT, targets=[KEY])
    assert isinstance(trigger, BaseEventTrigger)
    assert getattr(trigger, "supports_triggerer_queue", False) is False  # new in Airflow 3.2
    assert not hasattr(trigger, "shared_stream_key") or trigger.shared_stream_key() is None  # ADR 0005
    assert BaseEventTrigger.hash(*trigger.serialize()) == BaseEventTrigger.hash(*trigger.serialize())


async def test_each_commit_is_announced_once(stores: Stores, states: AssetStates, clock: FakeClock) -> None:
    """The one that is there at the first start as well; then one by one, for ever."""
    first = await put(stores[ROOT], KEY, b"1")
    triggerer = Triggerer(clock, states)
    await clock.advance(60.0)
    assert triggerer.events == [first]
    expected = [first]
    for number in range(5):
        expected.append(await put(stores[ROOT], KEY, b"%d" % number))
        await clock.advance(60.0)
        assert triggerer.events == expected
    await clock.advance(3600.0)
    assert triggerer.events == expected
    assert not triggerer.task.done()


async def test_the_same_commit_is_not_announced_again_after_a_restart(
    stores: Stores, states: AssetStates, clock: FakeClock
) -> None:
    """Nor by another triggerer: which was the last is in Airflow's database."""
    await put(stores[ROOT], KEY, b"1")
    triggerer = Triggerer(clock, states)
    await clock.advance(30.0)
    assert len(triggerer.events) == 1
    for _ in range(3):
        await triggerer.kill()
        stores.opened.clear()
        triggerer = Triggerer(clock, states)
        await clock.advance(30.0)
        assert triggerer.events == []
        assert stores.opened == {(ROOT, None): 1}  # nobody had to read the history
    new = await put(stores[ROOT], KEY, b"2")
    await clock.advance(6.0)
    assert triggerer.events == [new]


async def test_what_was_committed_while_no_triggerer_ran_is_announced(
    stores: Stores, states: AssetStates, clock: FakeClock
) -> None:
    """Each commit, in order, not only the last."""
    await put(stores[ROOT], KEY, b"1")
    triggerer = Triggerer(clock, states)
    await clock.advance(30.0)
    await triggerer.kill()
    missed = [await put(stores[ROOT], KEY, b"%d" % number) for number in range(3)]
    triggerer = Triggerer(clock, states)
    await clock.advance(30.0)
    assert triggerer.events == missed


async def test_commits_between_two_polls_are_all_announced(
    stores: Stores, states: AssetStates, clock: FakeClock
) -> None:
    """The watch shows only the newest; the others are in the history."""
    await put(stores[ROOT], KEY, b"1")
    triggerer = Triggerer(clock, states)
    await clock.advance(1.0)
    stores.storage()._tails.clear()
    expected = [await put(stores[ROOT], KEY, b"%d" % number) for number in range(3)]
    await clock.advance(700.0)
    assert triggerer.events[1:] == expected


async def test_a_crash_before_the_note_announces_again(
    stores: Stores, states: AssetStates, clock: FakeClock
) -> None:
    """The event may not be stored yet: twice is better than never; the reference tells it is the same."""
    await put(stores[ROOT], KEY, b"1")
    triggerer = Triggerer(clock, states)
    await clock.advance(9.0)
    assert states.written == []
    await triggerer.kill()
    again = Triggerer(clock, states)
    await clock.advance(30.0)
    assert again.events == triggerer.events
    assert len(states.written) == 1


async def test_the_note_names_the_version(stores: Stores, states: AssetStates, clock: FakeClock) -> None:
    """By data and hash; its key by a hash of the place, since a place may be longer than a key may be."""
    reference = await put(stores[ROOT], KEY, b"1")
    Triggerer(clock, states)
    await clock.advance(12.0)
    assert states.written == [{"target": f"{ROOT}/{KEY}", "data": reference.data, "sha256": reference.sha256}]
    ((asset, key),) = states.values
    assert asset == "orders"
    assert key.startswith("fileflow:")
    assert len(key) <= 512


async def test_two_targets_have_a_cursor_each(stores: Stores, states: AssetStates, clock: FakeClock) -> None:
    """And the same key in two stores is two targets."""
    targets = [KEY, OTHER, f"s3://other/ff/{KEY}"]
    triggerer = Triggerer(clock, states, targets=targets)
    expected = []
    for root, key in ((ROOT, KEY), (ROOT, OTHER), ("s3://other/ff", KEY)):
        expected.append(await put(stores[root], key, b"1"))
        await clock.advance(6.0)
    await clock.advance(20.0)
    assert triggerer.events == expected
    assert len(states.values) == 3
    await triggerer.kill()
    again = Triggerer(clock, states, targets=targets)
    await clock.advance(20.0)
    assert again.events == []


async def test_several_assets_share_a_trigger(stores: Stores, states: AssetStates, clock: FakeClock) -> None:
    """Each has the note; one that is new learns it from the others."""
    await put(stores[ROOT], KEY, b"1")
    triggerer = Triggerer(clock, states, "orders", "invoices")
    await clock.advance(20.0)
    assert len(triggerer.events) == 1
    assert {asset for asset, _ in states.values} == {"orders", "invoices"}
    await triggerer.kill()
    again = Triggerer(clock, states, "invoices", "further")
    await clock.advance(20.0)
    assert again.events == []


async def test_another_triggerer_that_was_faster_is_noticed(
    stores: Stores, states: AssetStates, clock: FakeClock
) -> None:
    """After a lost heartbeat both may run: the note is read again before each event."""
    one, other = Triggerer(clock, states), Triggerer(clock, states)
    await clock.advance(1.0)
    reference = await put(stores[ROOT], KEY, b"1")
    await one.kill()
    states.values["orders", _key(f"{ROOT}/{KEY}")] = {"data": reference.data}
    await clock.advance(30.0)
    assert other.events == []


async def test_without_a_state_store_each_start_announces_what_is_there(
    stores: Stores, clock: FakeClock
) -> None:
    """Airflow 3.1 and 3.2 keep nothing; within one run of the triggerer each commit comes once."""
    first = await put(stores[ROOT], KEY, b"1")
    triggerer = Triggerer(clock, None)
    await clock.advance(60.0)
    second = await put(stores[ROOT], KEY, b"2")
    await clock.advance(60.0)
    assert triggerer.events == [first, second]
    await triggerer.kill()
    again = Triggerer(clock, None)
    await clock.advance(60.0)
    assert again.events == [second]


async def test_a_state_store_that_cannot_be_read_holds_events_back(
    stores: Stores, states: AssetStates, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody knows what was announced; it is asked again until it answers, and said once."""
    reference = await put(stores[ROOT], KEY, b"1")
    states.fault = RuntimeError("API server error")
    triggerer = Triggerer(clock, states)
    await clock.advance(300.0)
    assert triggerer.events == []
    assert caplog.text.count("cannot be announced for now") == 1
    states.fault = None
    await clock.advance(11.0)
    assert triggerer.events == [reference]


async def test_a_state_store_that_cannot_be_written_is_written_later(
    stores: Stores, states: AssetStates, clock: FakeClock
) -> None:
    """The event is out; the note follows."""
    await put(stores[ROOT], KEY, b"1")
    triggerer = Triggerer(clock, states)
    await clock.advance(5.0)
    assert len(triggerer.events) == 1
    states.fault = RuntimeError("API server error")
    await clock.advance(60.0)
    states.fault = None
    await clock.advance(11.0)
    assert len(states.written) == 1
    assert len(triggerer.events) == 1


@pytest.mark.parametrize("odd", [None, "text", 5, {}, {"data": 7}])
async def test_a_note_that_is_none_of_ours_means_nothing(
    stores: Stores, states: AssetStates, clock: FakeClock, odd: Any
) -> None:
    """Somebody else may write there."""
    states.values["orders", _key(f"{ROOT}/{KEY}")] = odd
    await put(stores[ROOT], KEY, b"1")
    triggerer = Triggerer(clock, states)
    await clock.advance(5.0)
    assert len(triggerer.events) == 1


async def test_outages_of_the_store_end_nothing(
    stores: Stores, states: AssetStates, clock: FakeClock
) -> None:
    """Neither a refusal, nor one while it reads the history."""
    first = await put(stores[ROOT], KEY, b"1")
    triggerer = Triggerer(clock, states)
    await clock.advance(30.0)
    for fault in (StorageUnavailableError("503"), ConfigError("no such bucket"), ZeroDivisionError("a bug")):
        stores.storage().fault = fault
        await clock.advance(600.0)
        stores.storage().fault = None
        await clock.advance(30.0)
    new = await put(stores[ROOT], KEY, b"2")
    stores.fault = StorageUnavailableError("the history cannot be read")
    await clock.advance(60.0)
    assert triggerer.events == [first]
    stores.fault = None
    await clock.advance(11.0)
    assert triggerer.events == [first, new]


@pytest.mark.parametrize(("policy", "announced"), [("accept", 2), ("wait", 1)])
async def test_empty_commits_are_announced_or_not(
    stores: Stores, states: AssetStates, clock: FakeClock, policy: Any, announced: int
) -> None:
    """As is wanted."""
    triggerer = Triggerer(clock, states, on_empty=policy)
    for data in (b"", b"1"):
        await put(stores[ROOT], KEY, data)
        await clock.advance(6.0)
    assert len(triggerer.events) == announced


async def test_commits_before_newer_than_are_not_announced(
    stores: Stores, states: AssetStates, clock: FakeClock
) -> None:
    """So that the first start of a DAG does not work on old data."""
    await put(stores[ROOT], KEY, b"1")
    triggerer = Triggerer(clock, states, newer_than=clock.time() + 10)
    await clock.advance(20.0)
    assert triggerer.events == []
    new = await put(stores[ROOT], KEY, b"2")
    await clock.advance(20.0)
    assert triggerer.events == [new]


async def test_a_commit_that_a_failure_hides_is_announced(
    stores: Stores, states: AssetStates, clock: FakeClock
) -> None:
    """It was made before the failure, between two polls."""
    first = await put(stores[ROOT], KEY, b"1")
    triggerer = Triggerer(clock, states)
    await clock.advance(6.0)
    stores.storage()._tails.clear()  # it is seen only later
    second = await put(stores[ROOT], KEY, b"2")
    await clock.advance(1.0)
    await stores[ROOT].fail(KEY, error="no", producer=Producer(task_id="extract"))
    await clock.advance(700.0)
    assert (await stores[ROOT].state(KEY)).state is State.FAILED
    assert triggerer.events == [first, second]
    await clock.advance(700.0)
    assert triggerer.events == [first, second]


async def test_damage_is_not_announced(stores: Stores, states: AssetStates, clock: FakeClock) -> None:
    """What follows is."""
    plant_commit(stores.storage(), KEY, OLD, b"1234", size=5)
    triggerer = Triggerer(clock, states)
    await clock.advance(60.0)
    assert triggerer.events == []
    new = await put(stores[ROOT], KEY, b"1")
    await clock.advance(6.0)
    assert triggerer.events == [new]


async def test_a_target_that_is_deleted_and_made_anew_is_announced_if_newer(
    stores: Stores, states: AssetStates, clock: FakeClock
) -> None:
    """An older value that shows again, because a newer one was deleted, is no news."""
    first = await put(stores[ROOT], KEY, b"1")
    await clock.advance(1.0)
    second = await put(stores[ROOT], KEY, b"2")
    triggerer = Triggerer(clock, states)
    await clock.advance(6.0)
    assert triggerer.events == [second]
    for name in (f"{KEY}/{second.data}", f"{KEY}/{second.data}.ok"):
        del stores.storage().objects[name]
    await clock.advance(700.0)
    assert (await stores[ROOT].state(KEY)).reference == first
    assert triggerer.events == [second]


async def test_it_shares_the_watch_with_those_who_wait(
    stores: Stores, states: AssetStates, clock: FakeClock
) -> None:
    """One poll for all of a store."""
    Triggerer(clock, states)
    it = waiting(clock, KEY)
    await clock.advance(3.0)
    assert stores.opened == {(ROOT, None): 1}
    await put(stores[ROOT], KEY, b"1")
    await clock.advance(6.0)
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
