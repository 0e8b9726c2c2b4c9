"""A process is killed between the records of its outputs: a set is of one try, or is waited for."""

import asyncio
import random
from pathlib import Path

import pytest

from fileflow_async.clock import SystemClock
from fileflow_async.errors import TargetNotFoundError
from fileflow_async.outcome import Outcome, WaitEvent
from fileflow_async.status import State
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference, Slot
from fileflow_async.target_set import TargetSet
from fileflow_async.triggers import FileTargetTrigger
from tests.crash.tally import LONG, Tally
from tests.crash.works import SET, labelled
from tests.crash.zygote import Zygote

WHAT = "kills between the records of a set"
TRIES = 300 if LONG else 40
ALL = TargetSet(dag_id="shop", task_id="split", slot=Slot(run_id="r"))
NAMED = TargetSet(dag_id="shop", task_id="split", slot=Slot(run_id="r"), names=SET)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (folder := tmp_path / "root").mkdir()
    return folder


def waiter(root: Path, wanted: TargetSet) -> "asyncio.Task[WaitEvent]":
    trigger = FileTargetTrigger(root=root.as_uri(), targets=[wanted.key], poke_interval=1.0)
    return asyncio.create_task(trigger.wait(SystemClock()))


class Log:
    """What a waiter says while it waits."""

    def __init__(self) -> None:
        self.text = ""

    def info(self, event: str, *arguments: object) -> None:
        self.text += event % arguments

    warning = info

    async def says(self, text: str) -> None:
        """Return when it has said so: it has looked, and waits on."""
        async with asyncio.timeout(10):
            while text not in self.text:
                await asyncio.sleep(0.01)


async def try_of(store: TargetStore, references: "list[Reference]") -> int:
    """Return which try a set is from, all of it."""
    assert sorted(each.target.rpartition("/")[2] for each in references) == list(SET)
    values = [await store.read(each) for each in references]
    numbers = [int(value.partition(b"\n")[0].split()[1]) for value in values]
    for each, value, number in zip(references, values, numbers, strict=True):
        assert value == labelled(each.target.rpartition("/")[2], number)
    assert len(set(numbers)) == 1, f"a mixed set of the tries {numbers}"
    return numbers[0]


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [ALL, NAMED], ids=["all", "named"])
@pytest.mark.parametrize("records", range(len(SET) + 1))
async def test_a_waiter_for_a_set_never_gets_a_part_of_it(
    zygote: Zygote,
    root: Path,
    tally: Tally,
    monkeypatch: pytest.MonkeyPatch,
    records: int,
    wanted: TargetSet,
) -> None:
    """It waits on until the retry has committed a whole new set; a set that is whole it takes at once."""
    monkeypatch.setattr(FileTargetTrigger, "log", log := Log())
    async with LocalStorage(root, durability="none") as storage:
        store = TargetStore(storage)
        end = await asyncio.to_thread(zygote.run, "set", root, records=records, **{"try": 1})
        assert end.was_killed
        waiting = waiter(root, wanted)
        if records < len(SET):
            await log.says("partial set" if records else "being written by try 1")
            assert not waiting.done()
            with pytest.raises(TargetNotFoundError):
                await store.versions(wanted)
            assert (await store.state(wanted)).state is State.IN_PROGRESS
            end = await asyncio.to_thread(zygote.run, "set", root, **{"try": 2})
            assert end.was_told
        async with asyncio.timeout(30):
            event = await waiting
        assert event.outcome is Outcome.READY
        assert await try_of(store, list(event.ready)) == (1 if records == len(SET) else 2)
        tally.add("were waited out" if records < len(SET) else "left a whole set")


@pytest.mark.slow
@pytest.mark.timeout(600 if LONG else 60)
async def test_tries_that_are_killed_at_random_leave_no_mixed_set(
    zygote: Zygote, root: Path, tally: Tally
) -> None:
    """One after another in the same folder: what is handed out is of one try, and never goes backwards."""
    whole = await asyncio.to_thread(zygote.run, "set", root, **{"try": 0})
    assert whole.was_told
    newest = 0
    async with LocalStorage(root, durability="none") as storage:
        store = TargetStore(storage)
        for number in range(1, TRIES):
            options = {"try": number, "kill_after": random.uniform(0.3, 1.2) * whole.seconds}
            end = await asyncio.to_thread(zygote.run, "set", root, **options)
            assert (await store.state(ALL)).is_committed == (await store.state(NAMED)).is_committed
            try:
                found = await try_of(store, list(await store.versions(ALL)))
            except TargetNotFoundError:
                tally.add("left a part, which nobody gets")
                assert not end.was_told
                continue
            assert found >= newest
            assert found == number or not end.was_told
            newest = found
            tally.add("left the new set" if found == number else "left the old set")
