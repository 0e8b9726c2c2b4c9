"""What the copying of old files does when something goes wrong meanwhile; see also tests/cli/test_migrate."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fileflow_async.errors import (
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetCorruptError,
)
from fileflow_async.migration import Fate, Migrated, migrate
from fileflow_async.storage.protocol import Listing
from fileflow_async.store import TargetStore
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.planting import kept, plant

OLD = "shop/orders/2016-01-01"
TARGET = "shop/20160101T000000Z/orders/output"


class Source(MemoryStorage):
    """Old files, of which one changes, or is damaged, between two reads."""

    def __init__(self, *reads: bytes, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.reads = list(reads)
        plant(self, OLD, reads[0])

    @asynccontextmanager
    async def stream(self, key: str, *, etag: str | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        data = self.reads.pop(0)

        async def pieces() -> AsyncIterator[bytes]:
            yield data

        yield pieces()


async def migrated(source: MemoryStorage, store: TargetStore, *, dry_run: bool = False) -> list[Migrated]:
    return [each async for each in migrate(source, store, dry_run=dry_run)]


@pytest.mark.parametrize("second", [b"other", b"longer than before"])
async def test_a_file_that_changes_meanwhile_is_not_committed(
    second: bytes, clock: FakeClock, storage: MemoryStorage, store: TargetStore
) -> None:
    """It is read twice, and has to be the same."""
    (file,) = await migrated(Source(b"value", second, clock=clock), store)
    assert file.fate is Fate.FAILED
    assert OLD in file.why
    assert [key for key in kept(storage) if key.endswith(".ok")] == []


async def test_a_file_that_is_cut_off_in_both_reads_is_not_committed(
    clock: FakeClock, storage: MemoryStorage, store: TargetStore
) -> None:
    """It has to be as long as it was listed."""
    source = Source(b"value", clock=clock)
    source.reads = [b"val", b"val"]
    (file,) = await migrated(source, store)
    assert file.fate is Fate.FAILED
    assert file.why.endswith("has 3 bytes, not 5")
    assert [key for key in kept(storage) if key.endswith(".ok")] == []


async def test_the_record_tells_which_task_it_was(clock: FakeClock, store: TargetStore) -> None:
    """As for whatever a task commits."""
    await migrated(Source(b"value", b"value", clock=clock), store)
    record = (await store.version(TARGET)).manifest
    assert record is not None
    assert (record.producer.dag_id, record.producer.task_id) == ("shop", "orders")


async def test_one_that_fails_does_not_keep_the_others(
    clock: FakeClock, storage: MemoryStorage, store: TargetStore
) -> None:
    source = Source(b"value", b"other", b"2", b"2", clock=clock)
    plant(source, "shop/orders/2016-01-02", b"2")
    assert [file.fate for file in await migrated(source, store)] == [Fate.FAILED, Fate.COPIED]


@pytest.mark.parametrize(
    ("record", "why"),
    [(b"{", "not valid JSON"), (b'{"fileflow": 99}', "uses format 99")],
    ids=["damaged", "of a later version"],
)
async def test_a_target_that_cannot_be_understood_is_left_for_people(
    storage: MemoryStorage, store: TargetStore, clock: FakeClock, record: bytes, why: str
) -> None:
    """It is neither the same data nor nothing."""
    plant(storage, f"{TARGET}/20260921T141319000Z-t01-aaaaaaaaaaaa.ok", record)
    (file,) = await migrated(Source(b"value", clock=clock), store)
    assert file.fate is Fate.DIFFERENT
    assert why in file.why


async def test_what_was_stored_is_read_back(
    clock: FakeClock, store: TargetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that loses what it took is found now, not by a reader in a year."""

    @asynccontextmanager
    async def lost(*_: object, **__: object) -> AsyncIterator[AsyncIterator[bytes]]:
        async def pieces() -> AsyncIterator[bytes]:
            yield b""
            raise TargetCorruptError("it does not match its sha256")

        yield pieces()

    monkeypatch.setattr(store, "open", lost)
    (file,) = await migrated(Source(b"value", b"value", clock=clock), store)
    assert (file.fate, file.why) == (Fate.FAILED, "it does not match its sha256")


@pytest.mark.parametrize("kind", [StorageUnavailableError, TargetAccessError])
async def test_a_store_that_does_not_answer_or_refuses_ends_it(
    clock: FakeClock, store: TargetStore, monkeypatch: pytest.MonkeyPatch, kind: type[FileflowError]
) -> None:
    """Rather than list ten thousand failures."""

    async def gone(*_: object) -> None:
        raise kind("no")

    monkeypatch.setattr(store, "version", gone)
    with pytest.raises(kind):
        await migrated(Source(b"value", clock=clock), store)


async def test_a_file_that_was_replaced_since_it_was_listed_is_not_copied(
    clock: FakeClock, storage: MemoryStorage, store: TargetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is the same in both reads: its size and its name are those of another."""
    source = MemoryStorage(clock=clock)
    plant(source, OLD, b"value")
    listing = await source.list("")
    plant(source, OLD, b"other")

    async def listed(*_: object, **__: object) -> Listing:
        return listing

    monkeypatch.setattr(source, "list", listed)
    (file,) = await migrated(source, store)
    assert file.fate is Fate.FAILED
    assert [key for key in kept(storage) if key.endswith(".ok")] == []


async def test_there_may_be_more_files_than_a_store_lists_at_once(
    clock: FakeClock, store: TargetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each comes once."""
    monkeypatch.setattr("fileflow_async.migration._PAGE", 2)
    source = MemoryStorage(clock=clock)
    keys = [f"shop/orders/2016-01-0{day}" for day in range(1, 6)]
    for key in keys:
        plant(source, key, b"value")
    assert [(file.source, file.fate) for file in await migrated(source, store)] == [
        (key, Fate.COPIED) for key in keys
    ]


@pytest.mark.parametrize("day", ["20160101", "2016-W01-1", "2016-01-01T00"])
async def test_a_day_is_written_as_the_original_did(clock: FakeClock, store: TargetStore, day: str) -> None:
    """Else two files would be one target."""
    source = MemoryStorage(clock=clock)
    plant(source, f"shop/orders/{day}", b"value")
    (file,) = await migrated(source, store)
    assert (file.fate, file.why) == (Fate.UNKNOWN, "it is not <dag>/<task>/<YYYY-MM-DD>")


async def test_the_slot_has_the_time_of_a_run(clock: FakeClock, store: TargetStore) -> None:
    """Midnight in UTC, unless it is said otherwise."""
    (file,) = await migrated(Source(b"value", clock=clock), store, dry_run=True)
    assert (file.fate, file.target, file.sha256) == (Fate.NEW, TARGET, None)
