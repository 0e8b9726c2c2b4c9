"""Six writers, a third of them zombies, against three readers: no wrong bytes, and nothing goes backwards."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fileflow_async.errors import TargetSupersededError
from fileflow_async.manifest import Producer
from fileflow_async.storage.local import LocalStorage
from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.store import TargetStore
from tests.crash.tally import LONG, Tally
from tests.crash.works import KEY, is_labelled, labelled, reader, writer
from tests.crash.zygote import Zygote
from tests.s3_servers.backdoor import Backdoor
from tests.tries import made

WHAT = "reads while writers race"
SECONDS = 60.0 if LONG else 4.0


def writer_options(number: int, seconds: float, *, lasts: float = 1) -> dict[str, Any]:
    """Return how a writer of six behaves: a third of them are zombies."""
    return {
        "name": f"writer-{number}",
        "kind": ("try", "script", "zombie")[number % 3],
        "seconds": seconds,
        "lasts": lasts,
    }


def check(told: Sequence[str], tally: Tally) -> None:
    """What readers told must all be well; count it."""
    for line in told:
        what, _, rest = line.partition(" ")
        assert what in ("reads", "acknowledged", "refused", "ended"), line
        if what == "reads":
            tally.add("right, none wrong, none older than the one before", int(rest))
        else:
            tally.add(
                {"acknowledged": "commits", "refused": "refused commits"}.get(what, "writers at their end")
            )


def newest_acknowledged(told: Sequence[str]) -> Mapping[str, str]:
    """Return which data was the newest to be acknowledged of each target."""
    newest: dict[str, str] = {}
    for line in told:
        if line.startswith("acknowledged "):
            _, key, data = line.split(" ")
            newest[key] = max(data, newest.get(key, ""))
    return newest


async def check_newest(store: TargetStore, told: Sequence[str]) -> None:
    """Every version is whole, and none that is acknowledged is newer than the value."""
    newest = newest_acknowledged(told)
    assert newest
    for key, data in newest.items():
        history = await store.history(key)
        assert history[0].reference is not None
        assert history[0].reference.data >= data
        for status in history:
            assert status.reference is not None
            assert is_labelled(await store.read(status.reference))


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
def test_processes_race_on_one_disk(zygote: Zygote, tmp_path: Path, tally: Tally) -> None:
    """Some writers are killed, some stopped for a while; what was acknowledged is the newest, or below it."""
    (root := tmp_path / "root").mkdir()
    writers = [
        zygote.start("writer", root, durability="none", threads=8, **writer_options(number, SECONDS))
        for number in range(6)
    ]
    readers = [
        zygote.start("reader", root, durability="none", threads=8, seconds=SECONDS, lasts=1) for _ in range(3)
    ]
    until = time.monotonic() + SECONDS * 0.9
    killed: set[int] = set()
    told: list[str] = []
    while time.monotonic() < until:
        victim = random.choice(range(6))
        zygote.signal(writers[victim], signal.SIGSTOP)
        time.sleep(random.uniform(0, SECONDS / 20))
        zygote.signal(writers[victim], signal.SIGCONT)
        tally.add("stops of a writer")
        if random.random() < 0.3:  # and another takes its place
            zygote.signal(writers[victim], signal.SIGKILL)
            end = zygote.wait(writers[victim])
            told += end.told
            left = max(until - time.monotonic(), 0.1)
            writers[victim] = zygote.start(
                "writer", root, durability="none", threads=8, **writer_options(victim, left)
            )
            killed.add(victim)
            tally.add("kills of a writer")
    assert killed or not LONG
    for pid in (*writers, *readers):
        end = zygote.wait(pid)
        assert end.code == 0
        told += end.told
    check(told, tally)
    assert tally["right, none wrong, none older than the one before"] > 50
    assert tally["refused commits"] > 0
    asyncio.run(look(root, told))


async def look(root: Path, told: Sequence[str]) -> None:
    async with LocalStorage(root, durability="none") as storage:
        await check_newest(TargetStore(storage), told)


@pytest.fixture
async def bucket_store(
    s3_port: int, bucket: Backdoor, s3_settings: Callable[..., S3Settings]
) -> AsyncIterator[TargetStore]:
    async with S3Storage(bucket.bucket, "ff", s3_settings(s3_port)) as storage:
        yield TargetStore(storage)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
async def test_tasks_race_in_one_bucket(bucket_store: TargetStore, tally: Tally) -> None:
    """The same in one process: a server for tests answers a hundred requests a second."""
    told: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        for number in range(6):
            tasks.create_task(
                writer(bucket_store, writer_options(number, SECONDS / 2, lasts=600), told.append)
            )
        for _ in range(3):
            tasks.create_task(reader(bucket_store, {"seconds": SECONDS / 2, "lasts": 600}, told.append))
    check(told, tally)
    await check_newest(bucket_store, told)


@pytest.mark.parametrize("step", ["unborn", "begun", "written", "whole"])
@pytest.mark.parametrize("lag", [-30_000, 0, 30_000])
async def test_a_try_that_sleeps_over_its_successor_is_refused(
    tmp_path: Path, tally: Tally, step: str, lag: int
) -> None:
    """At each of its steps: try 1 stops there, try 2 begins and commits, and try 1 goes on."""  # ADR 0015
    at = int(time.time() * 1000) + lag
    first, second = made(at), made(at + 60_000, try_number=2)
    async with LocalStorage(tmp_path / "root", durability="none", create=True) as storage:
        store = TargetStore(storage)
        async with store.write(KEY) as out:
            await out.write(labelled("before", 1))

        async def overtake(here: str) -> None:
            if here == step:
                async with store.write(KEY, producer=second) as out:
                    await out.write(labelled("second", 1))

        with pytest.raises(TargetSupersededError):
            await sleepwalk(store, first, overtake)
        assert await store.read(KEY) == labelled("second", 1)
        assert len(await store.history(KEY)) == 2
        tally.add("zombies refused")


async def sleepwalk(store: TargetStore, producer: Producer, here: Callable[[str], Awaitable[None]]) -> None:
    await here("unborn")
    async with store.begin(KEY, producer=producer) as draft:
        await here("begun")
        await draft.write(labelled("first", 1))
        await here("written")
        await draft.finish()
        await here("whole")
        await store.commit(draft)
