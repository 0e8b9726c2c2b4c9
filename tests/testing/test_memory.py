"""MemoryStorage keeps the promises of a storage, and fails when it is told to."""

import asyncio
from collections.abc import Sequence

import pytest

from fileflow_async.errors import StorageUnavailableError, TargetWriteError
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from fileflow_async.testing.storage_contract import StorageContract


class TestMemoryStorage(StorageContract):
    """The contract, with the dictionary as the back door."""

    objects: dict[str, tuple[bytes, float]]

    @pytest.fixture
    def storage(self) -> MemoryStorage:
        storage = MemoryStorage()
        self.objects = storage.objects
        self.clock = storage.clock
        return storage

    async def plant(self, key: str, data: bytes) -> None:
        self.objects[key] = (data, self.clock.time())

    async def peek(self, key: str) -> bytes | None:
        return self.objects[key][0] if key in self.objects else None

    async def keys(self) -> Sequence[str]:
        return list(self.objects)


async def test_its_times_are_those_of_its_clock(clock: FakeClock) -> None:
    """A test moves them."""
    storage = MemoryStorage(clock=clock)
    first = await storage.put("a", b"1")
    await clock.advance(60)
    assert (await storage.put("b", b"2")).modified == first.modified + 60
    assert (await storage.list()).now == first.modified + 60


async def test_a_fault_hits_every_call_until_it_is_taken_away(storage: MemoryStorage) -> None:
    """So that a test can say what an outage does."""
    storage.fault = StorageUnavailableError("down")
    with pytest.raises(StorageUnavailableError, match="down"):
        await storage.list()
    with pytest.raises(StorageUnavailableError, match="down"):
        async with storage.create("a"):
            pytest.fail("nobody gets in")
    assert storage.uri("a") == "memory://store/a"
    storage.fault = None
    assert (await storage.list()).entries == ()
    assert storage.calls == ["list", "create", "list"]


async def test_a_tail_sees_only_what_is_below_its_prefix(storage: MemoryStorage) -> None:
    """Commits are put into the same dictionary."""
    async with storage.tail(".feed/") as tail:
        await storage.put("shop/x", b"1")
        await storage.put(".feed/20260921T1413/name", b"")
        await tail.changed()
        assert await tail.names() == ["name"]


async def test_a_sink_has_no_entry_before_its_end(storage: MemoryStorage) -> None:
    """Whoever asks too early has a bug."""
    async with storage.create("a") as sink:
        with pytest.raises(RuntimeError, match="has not ended well"):
            _ = sink.entry
    assert sink.entry.key == "a"


async def test_what_came_late_is_refused_by_a_torn_sink(storage: MemoryStorage) -> None:
    """A write that was cancelled spoils the object."""

    async def write() -> None:
        async with storage.create("a") as sink:
            torn = asyncio.ensure_future(sink.write(b"1"))
            await asyncio.sleep(0)
            torn.cancel()
            await asyncio.wait([torn])
            await sink.write(b"2")

    with pytest.raises(TargetWriteError, match="a write was cancelled"):
        await write()
    assert storage.objects == {}
