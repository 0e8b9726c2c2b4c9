"""Promises of `tail`."""
# ruff: noqa: S101 - a contract asserts

import asyncio
import time
from datetime import UTC, datetime
from functools import partial

from fileflow_async.storage.protocol import Storage, Tail
from fileflow_async.testing.storage_contract.back_door import BackDoor
from fileflow_async.testing.storage_contract.calls import cancelled_after
from fileflow_async.testing.storage_contract.patience import eventually


class TailPromises(BackDoor):
    """Learning what comes."""

    async def test_a_tail_of_nothing_is_empty(self, storage: Storage) -> None:
        """The prefix need not exist yet, and a name that comes then is found."""
        async with storage.tail(".feed/") as tail:
            assert list(await tail.names()) == []
            assert list(await tail.names()) == []
            name = await _announce(storage, 1)
            await eventually(partial(_gives, tail, name))

    async def test_a_tail_begins_with_the_last_moments(self, storage: Storage) -> None:
        """Whoever opens it late still sees what just came."""
        name = await _announce(storage, 1)
        async with storage.tail(".feed/") as tail:
            assert name in await tail.names()

    async def test_a_tail_gives_new_names(self, storage: Storage) -> None:
        """Each as soon as its `put` returned, and none that nobody put."""
        put = set()
        async with storage.tail(".feed/") as tail:
            for number in range(10):
                name = await _announce(storage, number)
                put.add(name)
                names = await tail.names()
                assert name in names
                assert put.issuperset(names)

    async def test_a_tail_loses_nothing_while_minutes_roll_over(self, storage: Storage) -> None:
        """Names in many folders, put while it looks."""
        found: set[str] = set()
        done = asyncio.Event()

        async def follow() -> None:
            async with storage.tail(".feed/") as tail:
                ended = False
                while not ended:
                    ended = done.is_set()  # before the look: one more must follow the last put
                    found.update(await tail.names())
                    await asyncio.sleep(0.002)

        follower = asyncio.create_task(follow())
        put = {await _announce(storage, number, minutes=number // 3) for number in range(60)}
        done.set()
        await follower
        assert found == put

    async def test_a_tail_survives_the_removal_of_its_folders(self, storage: Storage) -> None:
        """Old minutes are cleaned up while it looks."""
        async with storage.tail(".feed/") as tail:
            for number in range(5):
                name = await _announce(storage, number, minutes=number)
                await eventually(partial(_gives, tail, name))
                await storage.delete([entry.key for entry in (await storage.list(".feed/")).entries])
            assert await self.keys() == []
            name = await _announce(storage, 9)
            await eventually(partial(_gives, tail, name))

    async def test_waiting_for_a_change_can_be_cancelled(self, storage: Storage) -> None:
        """It may return or not; names are found all the same."""
        async with storage.tail(".feed/") as tail:
            await tail.names()
            for number in range(5):
                await cancelled_after(number, tail.changed())
                name = await _announce(storage, number)
                await eventually(partial(_gives, tail, name))


async def _announce(storage: Storage, number: int, *, minutes: int = 0) -> str:
    """Put a feed entry made so many minutes from now, and return its name."""
    milliseconds = int(time.time() * 1000) + 60_000 * minutes
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    name = f"{moment:%Y%m%dT%H%M%S}{milliseconds % 1000:03d}Z-{number:024x}"
    await storage.put(f".feed/{moment:%Y%m%dT%H%M}/{name}", b"")
    return name


async def _gives(tail: Tail, name: str) -> bool:
    return name in await tail.names()
