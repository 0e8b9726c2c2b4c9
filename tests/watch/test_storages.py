"""The watch on every storage there is: what others commit is found, and nothing is left behind."""

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fileflow_async.clock import SystemClock
from fileflow_async.status import State, Status
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from fileflow_async.watch import Inbox, Member, Source, Watch, source_of
from tests.conftest import AnyStore
from tests.crash.tally import how_many
from tests.planting import put
from tests.watching import KEY, RUN, others


@asynccontextmanager
async def joined(store: TargetStore, *, interval: float = 1.0) -> AsyncIterator[Member]:
    """Join the watch of a store; in the end it leaves no task."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Source]:
        async with source_of(store) as source:
            yield source

    before = others()
    async with Watch.join("store", opened, interval=interval, clock=SystemClock()) as member:
        yield member
    assert others() <= before


async def told(inbox: Inbox, name: str, *states: State, seconds: float = 15.0) -> Status:
    """Wait until a target is told to be in one of some states."""
    async with asyncio.timeout(seconds):
        statuses: Mapping[str, Status] = inbox.statuses
        while name not in statuses or statuses[name].state not in states:
            statuses = await inbox.changed()
        return statuses[name]


async def test_a_commit_is_found_on_every_storage(any_store: AnyStore) -> None:
    """The first one in a store as well as the next."""
    async with joined(any_store.store) as member:
        for number in range(2):
            inbox, key = Inbox(), f"{RUN}/task{number}/output"
            member.subscribe({key: "it"}, inbox)
            assert (await told(inbox, "it", State.ABSENT)).key == key
            reference = await put(any_store.store, key, b"1234")
            assert (await told(inbox, "it", State.COMPLETE)).reference == reference
            member._watch.looks.remove(key, inbox)
        member._inbox = None


async def test_a_file_that_grows_is_never_complete(any_store: AnyStore) -> None:
    """Until its record is there: whatever lies under the final name."""
    name = "20260921T141319000Z-t01-aaaaaaaaaaaa.csv"
    async with joined(any_store.store) as member:
        inbox = Inbox()
        member.subscribe({KEY: "it"}, inbox)
        await told(inbox, "it", State.ABSENT)
        for size in (0, 10, 1000):
            await any_store.plant(f"{KEY}/{name}", b"x" * size)
            await member.refresh([KEY])
            assert inbox.statuses["it"].state in (State.IN_PROGRESS, State.ABANDONED)


async def test_a_page_in_the_place_of_a_record_is_damage(any_store: AnyStore) -> None:
    """Seen twice, two seconds apart."""
    name = "20260921T141319000Z-t01-aaaaaaaaaaaa.csv"
    await any_store.plant(f"{KEY}/{name}", b"data")
    await any_store.plant(f"{KEY}/{name}.ok", b"<html>Please log in</html>")
    async with joined(any_store.store) as member:
        inbox = Inbox()
        member.subscribe({KEY: "it"}, inbox)
        await told(inbox, "it", State.CORRUPT)


async def test_many_targets_in_many_runs_are_all_found(any_store: AnyStore) -> None:
    """A few hundred, with a handful of commits among them."""
    keys = [f"dag{number % 7}/20260921T000000Z/task{number}/output" for number in range(300)]
    async with joined(any_store.store) as member:
        inbox = Inbox()
        member.subscribe({key: key for key in keys}, inbox)
        async with asyncio.timeout(20):
            while len(inbox.statuses) < 300:
                await inbox.changed()
        for key in keys[::50]:
            await put(any_store.store, key, b"1")
            await told(inbox, key, State.COMPLETE)
        assert sum(status.is_committed for status in inbox.statuses.values()) == 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder."""
    (folder := tmp_path / "root").mkdir()
    return folder


async def test_on_disk_a_commit_is_found_at_once(folder: Path) -> None:
    """By inotify, whatever the interval."""
    async with LocalStorage(folder, durability="none") as storage:
        store = TargetStore(storage)
        await put(store, f"{RUN}/first/output", b"1")  # so that there is a feed to be watched
        async with joined(store, interval=600.0) as member:
            inbox = Inbox()
            member.subscribe({KEY: "it"}, inbox)
            await told(inbox, "it", State.ABSENT)
            await asyncio.sleep(0.5)  # until it is watched
            await put(store, KEY, b"1")
            await told(inbox, "it", State.COMPLETE, seconds=2.0)


async def test_a_folder_that_is_removed_and_made_again_ends_nothing(folder: Path) -> None:
    """`rm -rf` while somebody waits."""
    async with LocalStorage(folder, durability="none") as storage:
        store = TargetStore(storage)
        async with joined(store) as member:
            inbox = Inbox()
            member.subscribe({KEY: "it"}, inbox)
            await told(inbox, "it", State.ABSENT)
            await asyncio.to_thread(shutil.rmtree, folder)
            await asyncio.sleep(1.2)
            await asyncio.to_thread(folder.mkdir)
            await put(store, KEY, b"1")
            await told(inbox, "it", State.COMPLETE)


@pytest.mark.slow
async def test_many_rounds_leave_nothing(folder: Path) -> None:
    """No task, no thread, no descriptor."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Source]:
        async with (
            LocalStorage(folder, durability="none") as storage,
            source_of(TargetStore(storage)) as source,
        ):
            yield source

    async def kept() -> tuple[int, int]:
        return threading.active_count(), len(await asyncio.to_thread(os.listdir, "/proc/self/fd"))

    clock = SystemClock()
    before = await kept()
    for number in range(how_many(sample=200, normal=1000, long=1000)):
        async with Watch.join("store", opened, interval=1.0, clock=clock) as member:
            inbox = Inbox()
            member.subscribe({KEY: "it"}, inbox)
            if number % 3:
                await told(inbox, "it", State.ABSENT)
        assert others() == set()
    for _ in range(500):
        if all(now <= then + 3 for now, then in zip(await kept(), before, strict=True)):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{before} became {await kept()}")
