"""Somebody cancels at any moment, or the event loop ends: nothing half, and nothing left behind."""

import asyncio
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fileflow_async.errors import TargetNotFoundError
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from tests import airflow_harness as airflow_harness  # before anything else imports Airflow
from tests.conftest import AnyStore
from tests.crash.judging import put, value_of
from tests.crash.tally import Tally, how_many
from tests.crash.waits import RUN, wait
from tests.crash.works import KEY, LARGE, NEW, OLD, PARTS
from tests.watching import others

WHAT = "cancellations at a random moment"
TRIES = how_many(sample=20, normal=150, long=1000)
IN_S3 = how_many(sample=3, normal=25, long=250)  # the server for tests is slow
SLACK = 16, 3  # threads, which pools keep for later, and descriptors


async def small(store: TargetStore) -> None:
    await put(store, KEY, NEW)


async def large(store: TargetStore) -> None:
    async with store.write(KEY, format="csv") as out:
        for start in range(0, len(LARGE), 3000):
            await out.write(LARGE[start : start + 3000])


async def folder(store: TargetStore) -> None:
    async with store.write_folder(KEY, format="csv") as out:
        for name, data in PARTS.items():
            async with out.create(name) as part:
                await part.write(data)


async def read(store: TargetStore) -> None:
    assert await store.read(KEY) == OLD


async def stream(store: TargetStore) -> None:
    async with store.open(KEY) as pieces:
        assert b"".join([piece async for piece in pieces]) == OLD


async def look(store: TargetStore) -> None:
    await store.states([KEY, f"{RUN}/none/output"])
    await store.history(KEY)


WORKS: dict[str, tuple[Callable[[TargetStore], Awaitable[None]], object]] = {
    "write": (small, NEW),
    "write in pieces": (large, LARGE),
    "write a folder": (folder, PARTS),
    "read": (read, OLD),
    "stream": (stream, OLD),
    "look": (look, OLD),
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", WORKS)
async def test_a_task_is_cancelled(any_store: AnyStore, tally: Tally, name: str) -> None:
    """Old or new, whole; no task, thread, descriptor, connection or unfinished upload stays."""
    work, new = WORKS[name]
    store = any_store.store
    await put(store, KEY, OLD)
    longest = 0.0
    for _ in range(3):
        began = time.monotonic()
        await work(store)
        longest = max(longest, time.monotonic() - began)
    before, running = await kept(), others()
    for _ in range(IN_S3 if any_store.kind == "s3" else TRIES):
        task = asyncio.ensure_future(work(store))
        if any_store.kind == "memory":
            for _ in range(random.randrange(60)):
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(random.uniform(0, 1.1 * longest))
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()  # done, or an error of its own
        found = await value_of(store, KEY)
        assert found in (OLD, new)
        assert found == new or task.cancelled()
        tally.add("cancelled" if task.cancelled() else "too late")
        if found != OLD:
            await store.delete(KEY)
            await put(store, KEY, OLD)
    assert others() - running == set()
    await settled(before)
    assert not await store.storage.abandon(before=time.time() + 60, dry_run=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_event_loop_ends_under_waits(tmp_path: Path, tally: Tally) -> None:
    """Whatever they were doing: `asyncio.run` comes back soon, and leaves nothing."""
    root = tmp_path / "root"

    async def begin(seconds: float) -> None:
        async with LocalStorage(root, durability="none", create=True) as storage:
            with pytest.raises(TargetNotFoundError):
                await TargetStore(storage).read(f"{RUN}/none/output")
        for number in range(5):
            wait(root.as_uri(), f"{RUN}/task{number}/output")
        await asyncio.sleep(seconds)

    asyncio.run(begin(0.5))
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(TRIES // 5):
        began = time.monotonic()
        asyncio.run(begin(seconds := random.uniform(0, 0.2)))
        assert time.monotonic() - began - seconds < 3.0
        tally.add("event loops that ended")
    asyncio.run(settled(before))


async def kept() -> tuple[int, int]:
    """Return how many threads and descriptors this process has."""
    return threading.active_count(), len(await asyncio.to_thread(os.listdir, "/proc/self/fd"))


async def settled(before: tuple[int, int]) -> None:
    """Wait until there are no more of them than before; threads and connections take a moment to end."""
    until = time.monotonic() + 20
    while any(now > then + more for now, then, more in zip(await kept(), before, SLACK, strict=True)):
        assert time.monotonic() < until, f"{before} became {await kept()}"
        await asyncio.sleep(0.05)
