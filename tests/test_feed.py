"""The feed: an empty object a commit, so that one poll serves every waiter."""

import logging
from collections.abc import Iterable
from typing import Any

import pytest

from fileflow_async import feed
from fileflow_async.errors import StorageUnavailableError, TargetAccessError
from fileflow_async.feed import Feed, entry_key, hash_in, target_hash
from fileflow_async.manifest import Producer
from fileflow_async.store import TargetStore
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.conftest import AnyStore, MakeTarget
from tests.planting import kept, plant, put

KEY = "shop/20260921T000000Z/extract/output"


class OnDisk(MemoryStorage):
    """One that looks like a disk, where commits clean the feed up themselves."""

    root = "file:///ff"


def test_an_entry_is_named_by_the_moment_and_the_target() -> None:
    """Its folder is the UTC minute, so that old ones can be left alone."""
    key = entry_key(KEY, 1_790_000_000.9876)
    assert key == f".feed/20260921T1413/20260921T141320987Z-{target_hash(KEY)}"
    assert hash_in(key.rpartition("/")[2]) == target_hash(KEY)
    assert len(target_hash(KEY)) == 24
    assert target_hash(KEY) != target_hash(KEY + "x")


async def test_every_commit_is_announced_after_its_record(any_store: AnyStore, target: MakeTarget) -> None:
    """By the store's clock: that of the record."""
    await put(any_store.store, target(), b"1")
    entries = (await any_store.storage.list(feed.PREFIX)).entries
    (record,) = [key for key in await any_store.keys() if key.endswith(".ok")]
    modified = (await any_store.storage.stat(record)).modified
    assert [(hash_in(entry.name), entry.size) for entry in entries] == [(target_hash(target().key), 0)]
    expected = entry_key(target().key, modified)
    if any_store.kind == "s3":  # LastModified has no fractions, the Date of the PUT may be a second later
        later = entry_key(target().key, modified + 1)
        assert expected[:37] <= entries[0].key[:37] <= later[:37]
    else:
        assert entries[0].key == expected


async def test_the_time_is_the_stores_whatever_the_writers_clock_says(
    storage: MemoryStorage, clock: FakeClock, target: MakeTarget
) -> None:
    """One fast clock would hide everybody else's commits."""
    store = TargetStore(storage, clock=FakeClock(clock.time() + 3600))
    await put(store, target(), b"1")
    assert kept(storage, ".feed/") == [entry_key(target().key, clock.time())]
    await store.fail(target("other"), error="boom", producer=Producer(try_number=2))
    assert entry_key(target("other").key, clock.time()) in kept(storage, ".feed/")


async def test_what_was_committed_before_an_error_is_announced(clock: FakeClock, target: MakeTarget) -> None:
    """Of several outputs the first may stand when the second cannot: whoever waits for it need not."""
    records: list[str] = []

    class Failing(MemoryStorage):
        async def put(self, key: str, data: bytes, **options: Any) -> Any:
            records.append(key)
            if len(records) == 2:
                raise StorageUnavailableError("down")
            return await super().put(key, data, **options)

    storage = Failing(clock=clock)
    store = TargetStore(storage, clock=clock)

    async def write() -> None:
        async with store.begin(target()) as one, store.begin(target("other")) as other:
            await store.commit_all([one, other])

    with pytest.raises(StorageUnavailableError):
        await write()
    assert (await store.state(target())).is_committed
    assert not (await store.state(target("other"))).is_committed
    assert kept(storage, ".feed/") == [entry_key(target().key, clock.time())]


@pytest.mark.parametrize("fault", [StorageUnavailableError("down"), TargetAccessError("no"), KeyError("odd")])
async def test_an_entry_that_cannot_be_written_takes_no_commit_back(
    clock: FakeClock, target: MakeTarget, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    """Whatever went wrong: it is logged and counted, and the commit stands."""

    class Feedless(MemoryStorage):
        async def put(self, key: str, data: bytes, **options: Any) -> Any:
            if key.startswith(feed.PREFIX):
                raise fault
            return await super().put(key, data, **options)

    storage = Feedless(clock=clock)
    store = TargetStore(storage, clock=clock)
    with caplog.at_level(logging.WARNING):
        await put(store, target(), b"1")
    assert await store.read(target()) == b"1"
    assert store.feed is not None
    assert store.feed.failures == 1
    assert caplog.messages == [
        f"{target().key} is committed, but its feed entry could not be written: {fault}"
    ]


class TestPruning:
    """On disk the commit that opens a new minute removes those older than an hour."""

    async def test_old_minutes_go_with_the_first_commit_of_a_new_one(self, clock: FakeClock) -> None:
        """An hour is kept; whatever is in a folder goes with it."""
        storage, now = OnDisk(clock=clock), clock.time()
        feed = Feed(storage)
        for minutes in (200, 61, 60, 59, 0):
            plant(storage, entry_key(KEY, now - 60 * minutes))
            plant(storage, entry_key(KEY + "2", now - 60 * minutes))
        await feed.append(KEY, now)
        kept_minutes = sorted({key.split("/")[1] for key in storage.objects})
        assert kept_minutes == ["20260921T1313", "20260921T1314", "20260921T1413"]

    async def test_within_one_minute_nobody_looks_again(self, clock: FakeClock) -> None:
        """A scan a minute is enough."""
        storage = OnDisk(clock=clock)
        feed = Feed(storage)
        for moment in (0, 1, 39, 40, 41):
            await feed.append(KEY, clock.time() + moment)
        assert storage.calls.count("list") == 2

    async def test_elsewhere_gc_does_it(self, storage: MemoryStorage, clock: FakeClock) -> None:
        """Tasks may lack the right to delete, and a listing costs money."""
        plant(storage, entry_key(KEY, clock.time() - 86_400))
        await Feed(storage).append(KEY, clock.time())
        assert storage.calls == ["put"]
        assert len(storage.objects) == 2

    async def test_a_pruning_that_fails_takes_no_entry_back(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The next minute tries again."""

        class Keeping(OnDisk):
            async def delete(self, keys: Iterable[str]) -> None:
                raise TargetAccessError("no")

        storage = Keeping(clock=clock)
        plant(storage, entry_key(KEY, clock.time() - 86_400))
        feed = Feed(storage)
        await feed.append(KEY, clock.time())
        assert len(storage.objects) == 2
        assert feed.failures == 1
