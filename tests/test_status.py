"""What a look at a target shows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fileflow_async import manifest
from fileflow_async.errors import StorageError, StorageUnavailableError, TargetAccessError
from fileflow_async.manifest import Manifest, Part
from fileflow_async.status import State, Status, Writing, folder_in_question, judge_folder, unreadable
from fileflow_async.storage.protocol import Listing
from fileflow_async.store import TargetStore
from fileflow_async.target import Attempt, token_at
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.conftest import AnyStore, MakeTarget
from tests.planting import DAY, HOUR, NEW, OLD, kept, plant, put
from tests.tries import T0, made


class TestState:
    """What a look shows."""

    async def test_nothing_is_absent(self, any_store: AnyStore, target: MakeTarget) -> None:
        """Whatever lies in other folders."""
        await put(any_store.store, target("other"), b"1")
        await put(any_store.store, target("output.x"), b"1")
        status = await any_store.store.state(target())
        assert (status.state, status.why) == (State.ABSENT, "nothing is there")
        assert (status.is_committed, status.reference, status.manifest) == (False, None, None)

    async def test_names_that_are_not_ours_mean_nothing(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """Files of people, temporary names, folders that look like records."""
        for name in (
            "notes.txt",
            "x.ok",
            f"{OLD}.ok.csv.ok.ok",
            f".{OLD}.csv.tmp",
            f"{OLD}.csv.ok/x",
            f"{OLD}.failed/x",
            f".{OLD}.csv.part/x",
            f"sub/{OLD}.csv.ok",
        ):
            plant(storage, f"{target().key}/{name}", b"{}")
        assert (await store.state(target())).state is State.ABSENT

    async def test_a_writer_shows_its_try_its_start_and_its_bytes(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """A wait explains itself."""
        plant(storage, f"{target().key}/.20260921T113900871Z-t02-b03d55e2910c.csv.part", b"x" * 5_200_000)
        status = await store.state(target())
        assert status.state is State.IN_PROGRESS
        assert status.why == "being written by try 2 since 2026-09-21 11:39:00Z, 5.2 MB"
        assert status.writing is not None
        assert status.writing.attempt.try_number == 2

    @pytest.mark.parametrize("name", [f"{OLD}.csv", f".{OLD}.csv.part", f".{OLD}.csv.ok.part"])
    async def test_a_writer_that_is_silent_for_a_day_has_abandoned_it(
        self, store: TargetStore, storage: MemoryStorage, clock: FakeClock, target: MakeTarget, name: str
    ) -> None:
        """By the store's clock: from when the bytes last changed, however old the try is."""
        plant(storage, f"{target().key}/{name}", b"x", age=DAY)
        assert (await store.state(target())).state is State.IN_PROGRESS
        await clock.advance(1)
        status = await store.state(target())
        assert (status.state, status.why[:18]) == (State.ABANDONED, "abandoned by try 1")
        assert status.writing is not None
        await put(store, target(), b"1")
        assert (await store.state(target())).state is State.COMPLETE

    async def test_a_failure_that_is_being_told_is_no_writer(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """Half a `.failed` counts only for the next token."""
        plant(storage, f"{target().key}/.{NEW}.failed.part", b"{")
        assert (await store.state(target())).state is State.ABSENT
        async with store.begin(target()) as draft:
            assert draft.attempt.token > NEW[:19]

    async def test_a_try_from_the_future_is_abandoned_too(
        self, store: TargetStore, storage: MemoryStorage, clock: FakeClock, target: MakeTarget
    ) -> None:
        """Its token says when its server thought it was, not how long it is silent."""
        plant(storage, f"{target().key}/20991231T000000000Z-t01-aaaaaaaaaaaa.csv", b"x")
        await clock.advance(DAY + 1)
        assert (await store.state(target())).state is State.ABANDONED

    async def test_how_long_that_is_can_be_said(self, storage: MemoryStorage, target: MakeTarget) -> None:
        """For deployments whose tasks run longer, or never so long."""
        store = TargetStore(storage, clock=storage.clock, abandoned_after=HOUR)
        plant(storage, f"{target().key}/{OLD}.csv", b"x", age=HOUR + 1)
        assert (await store.state(target())).state is State.ABANDONED

    async def test_ages_are_those_of_the_store(self, storage: MemoryStorage, target: MakeTarget) -> None:
        """A reader whose clock is days ahead sees no dead writers."""
        store = TargetStore(storage, clock=FakeClock(storage.clock.time() + 10 * DAY))
        plant(storage, f"{target().key}/{OLD}.csv", b"x")
        assert (await store.state(target())).state is State.IN_PROGRESS

    async def test_a_writer_beside_a_value_is_told_of(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """The value stands; an older try that was never committed is no matter."""
        await put(store, target(), b"1")
        assert (await store.state(target())).writing is None
        plant(storage, f"{target().key}/{OLD}.csv", b"x")
        assert (await store.state(target())).writing is None
        plant(storage, f"{target().key}/{NEW}.csv", b"x")
        status = await store.state(target())
        assert status.state is State.COMPLETE
        assert status.writing is not None
        assert status.writing.attempt.stem == NEW

    @pytest.mark.parametrize(
        ("data", "rows", "state"),
        [
            (b"1", None, State.COMPLETE),
            (b"1", 1, State.COMPLETE),
            (b"", None, State.EMPTY),
            (b"id\n", 0, State.EMPTY),
        ],
    )
    async def test_no_bytes_or_no_rows_is_empty(
        self, store: TargetStore, target: MakeTarget, data: bytes, rows: int | None, state: State
    ) -> None:
        """A header without rows is as empty as nothing."""
        async with store.write(target(), format="csv") as out:
            await out.write(data)
            out.rows = rows
        status = await store.state(target())
        assert status.state is state
        assert status.is_committed

    async def test_when_it_was_committed_is_told_by_the_stores_clock(
        self, store: TargetStore, storage: MemoryStorage, clock: FakeClock, target: MakeTarget
    ) -> None:
        """Not by the writer's."""
        async with store.write(target()) as out:
            await out.write(b"1")
            await clock.advance(30)
        assert (await store.state(target())).committed == clock.time()

    async def test_the_newest_record_counts_though_it_be_damaged(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """No older value is ever served in its place."""
        await put(store, target(), b"old")
        plant(storage, f"{target().key}/{NEW}.csv", b"new")
        plant(storage, f"{target().key}/{NEW}.csv.ok", b"{")
        status = await store.state(target())
        assert status.state is State.CORRUPT
        assert status.why == f"'{NEW}.csv.ok' is not valid JSON (1 bytes)"
        assert (status.manifest, status.reference) == (None, None)

    async def test_a_record_that_is_too_large_is_not_even_read(
        self, clock: FakeClock, target: MakeTarget
    ) -> None:
        """Whatever was planted there must not fill a triggerer's memory."""
        asked: list[str] = []

        class Noting(MemoryStorage):
            async def read_each(self, keys: Sequence[str]) -> Any:
                asked.extend(keys)
                return await super().read_each(keys)

        storage = Noting(clock=clock)
        store = TargetStore(storage, clock=clock)
        plant(storage, f"{target().key}/{NEW}.csv.ok", b"x" * (manifest.LIMIT + 1))
        assert (await store.state(target())).state is State.CORRUPT
        assert asked == []
        plant(storage, f"{target().key}/{NEW}.csv.ok", b"x" * manifest.LIMIT)
        assert (await store.state(target())).state is State.CORRUPT
        assert len(asked) == 1

    async def test_damage_is_seen_on_every_storage(self, any_store: AnyStore, target: MakeTarget) -> None:
        """A look compares size and ETag; only reading compares the hash."""
        store = any_store.store
        data = f"{target().key}/{(await put(store, target(), b'12345')).data}"
        await any_store.plant(data, b"123")
        status = await store.state(target())
        assert status.state is State.CORRUPT
        assert status.why == f"{data.rpartition('/')[2]!r} has 3 bytes; the manifest says 5"
        await any_store.plant(data, b"54321")
        assert (await store.state(target())).state is (
            State.COMPLETE if any_store.kind == "local" else State.CORRUPT
        )

    async def test_a_store_that_cannot_be_seen_is_an_error(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """Never "absent"."""
        storage.fault = StorageUnavailableError("down")
        with pytest.raises(StorageUnavailableError, match="down"):
            await store.state(target())
        with pytest.raises(StorageUnavailableError, match="down"):
            await store.history(target())

    async def test_one_that_cannot_be_seen_spoils_no_other(
        self, clock: FakeClock, target: MakeTarget
    ) -> None:
        """Neither its folder nor its record."""

        class Partly(MemoryStorage):
            async def list_each(self, folders: Sequence[str]) -> Any:
                found = dict(await super().list_each(folders))
                return found | {folder: TargetAccessError("no") for folder in folders if "/hidden/" in folder}

            async def read_each(self, keys: Sequence[str]) -> Any:
                found = dict(await super().read_each(keys))
                return found | {key: StorageUnavailableError("down") for key in keys if "/dark/" in key}

        storage = Partly(clock=clock)
        store = TargetStore(storage, clock=clock)
        places = [target(name) for name in ("hidden", "dark", "light")]
        for place in places:
            await put(store, place, b"1")
        seen = await store.states([place.key for place in places])
        kinds = [getattr(each, "state", type(each)) for each in seen.values()]
        assert kinds == [TargetAccessError, StorageUnavailableError, State.COMPLETE]
        with pytest.raises(TargetAccessError):
            await store.state(places[0])
        with pytest.raises(StorageUnavailableError):
            await store.state(places[1])
        with pytest.raises(StorageUnavailableError):
            await store.history(places[1])
        with pytest.raises(StorageUnavailableError):
            await store.version(places[1])

    async def test_many_targets_cost_few_requests(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """One listing and one reading for all of them."""
        places = [target(f"n{number}") for number in range(20)]
        for place in places[:10]:
            await put(store, place, b"1")
        del storage.calls[:]
        seen = await store.states([place.key for place in places])
        assert list(seen) == [place.key for place in places]
        assert [each.key for each in seen.values() if isinstance(each, Status)] == list(seen)
        assert storage.calls == ["list_each", "read_each"]
        del storage.calls[:]
        await store.states([place.key for place in places[10:]])
        assert storage.calls == ["list_each"]  # there are no records to read

    async def test_a_reference_can_be_looked_at(self, store: TargetStore, target: MakeTarget) -> None:
        """It names a target too."""
        reference = await put(store, target(), b"1")
        assert (await store.state(reference)).reference == reference


class TestFailures:
    """A producer that has failed for good tells those who wait."""

    async def test_it_is_told(self, any_store: AnyStore, target: MakeTarget) -> None:
        """With the task, the try, and the first line of the error."""
        store = any_store.store
        producer = made(T0, try_number=3)
        assert await store.fail(target(), error="boom\nTraceback …", producer=producer) is True
        status = await store.state(target())
        assert status.state is State.FAILED
        assert status.why == "its producer failed: extract, try 3: boom"
        assert status.failure is not None
        assert (status.failure.producer, status.manifest, status.is_committed) == (producer, None, False)
        (name,) = await any_store.keys()
        assert name.startswith(f"{target().key}/{token_at(T0)}-t03-")
        assert name.endswith(".failed")

    async def test_it_never_hides_the_commit_of_its_own_or_a_newer_try(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """Whatever the nonces are: one output was committed before another failed."""
        for moment in (T0, T0 + 1):
            for _ in range(8):
                await put(store, target(), b"1", producer=made(moment))
                assert await store.fail(target(), error="boom", producer=made(T0)) is False
                assert (await store.state(target())).state is State.COMPLETE
                await store.delete(target())

    @pytest.mark.parametrize("nonce", ["000000000000", "ffffffffffff"])
    async def test_one_that_lies_beside_the_commit_of_its_try_counts_for_nothing(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget, nonce: str
    ) -> None:
        """The commit may have come at the same time; which sorts first is chance."""
        await put(store, target(), b"1", producer=made(T0))
        plant(storage, f"{target().key}/{token_at(T0)}-t01-{nonce}.failed", b'{"error": "boom"}')
        assert (await store.state(target())).state is State.COMPLETE

    @pytest.mark.parametrize("nonce", ["000000000000", "ffffffffffff"])
    @pytest.mark.parametrize("name", ["{}.csv", ".{}.csv.part"])
    async def test_what_its_own_try_left_does_not_hide_it(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget, nonce: str, name: str
    ) -> None:
        """A killed try leaves half-written data of the same token; which sorts first is chance."""
        plant(storage, f"{target().key}/{name.format(f'{token_at(T0)}-t01-{nonce}')}", b"half")
        await store.fail(target(), error="killed", producer=made(T0))
        assert (await store.state(target())).state is State.FAILED

    async def test_it_counts_for_nothing_once_a_newer_try_has_begun(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """The task was cleared and tries again."""
        await store.fail(target(), error="boom", producer=made(T0))
        plant(storage, f"{target().key}/.{NEW}.csv.part", b"x")
        assert (await store.state(target())).state is State.IN_PROGRESS
        del storage.objects[f"{target().key}/.{NEW}.csv.part"]
        assert (await store.state(target())).state is State.FAILED
        await put(store, target(), b"1")
        assert (await store.state(target())).state is State.COMPLETE

    async def test_the_newest_failure_is_the_one_that_is_told(
        self, store: TargetStore, target: MakeTarget
    ) -> None:
        """In whatever order they came."""
        for moment in (T0, T0 + 2, T0 + 1):
            await store.fail(target(), error=f"boom {moment - T0}", producer=made(moment))
        assert (await store.state(target())).why == "its producer failed: extract, try 1: boom 2"

    async def test_what_was_committed_before_it_can_still_be_read(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """A rerun that failed takes nothing away."""
        reference = await put(store, target(), b"1", producer=made(T0))
        assert await store.fail(target(), error="boom", producer=made(T0 + 1)) is True
        assert (await store.state(target())).state is State.FAILED
        assert await store.read(target()) == await store.read(reference) == b"1"
        assert (await store.version(target())).state is State.COMPLETE
        assert [status.state for status in await store.history(target())] == [State.COMPLETE]

    async def test_a_damaged_failure_is_one_all_the_same(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """Somebody left it there; why cannot be read any more."""
        plant(storage, f"{target().key}/{OLD}.failed", b"{")
        status = await store.state(target())
        assert (status.state, status.why) == (
            State.FAILED,
            f"its producer failed: try 1: '{OLD}.failed' is not valid JSON (1 bytes)",
        )

    async def test_it_wakes_those_who_wait(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """By a feed entry, as a commit does."""
        await store.fail(target(), error="boom", producer=made(T0))
        assert len(kept(storage, ".feed/")) == 1
        quiet = TargetStore(storage, clock=storage.clock, feed=False)
        await quiet.fail(target("other"), error="boom", producer=made(T0))
        assert len(kept(storage, ".feed/")) == 1


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (5_200_000, "5.2 MB"),
        (7_000_000_000, "7.0 GB"),
        (999_960_000_000, "1.0 TB"),
        (5_000_000_000_000_000, "5000.0 TB"),
    ],
)
def test_sizes_are_told_as_people_say_them(size: int, text: str) -> None:
    """In the powers of ten that `ls --si` uses."""
    attempt = Attempt.begin(T0, try_number=2)
    writing = Writing(attempt=attempt, size=size, modified=0.0)
    assert str(writing) == f"try 2 since 2026-09-21 14:13:20Z, {text}"


def test_an_error_of_anybody_makes_a_status() -> None:
    """A waiter folds whatever went wrong into UNREADABLE."""
    ours = unreadable("a/run=r/b/output", TargetAccessError("no"))
    assert (ours.state, ours.why, ours.is_committed) == (State.UNREADABLE, "no", False)
    assert isinstance(ours.error, TargetAccessError)
    theirs = unreadable("a/run=r/b/output", ZeroDivisionError("boom"))
    assert (theirs.why, type(theirs.error)) == ("ZeroDivisionError: boom", StorageError)


async def test_a_commit_is_told_with_its_try_its_size_and_its_rows(
    store: TargetStore, target: MakeTarget
) -> None:
    """A wait that ends explains itself too."""
    async with store.write(target(), producer=made(T0, try_number=2)) as out:
        await out.write(b"x" * 2000)
    assert (await store.state(target())).why == "committed by try 2, 2.0 kB"
    async with store.write(target(), producer=made(T0, try_number=2)) as out:
        await out.write(b"x")
        out.rows = 7
    assert (await store.state(target())).why == "committed by try 2, 1 bytes, 7 rows"


def test_a_look_into_a_folder_asks_only_when_it_matters() -> None:
    """One more listing is worth it for parts that a record promises, and before a writer is given up."""
    attempt = Attempt.begin(T0)
    folder = Writing(attempt=attempt, size=0, modified=0.0, is_folder=True)
    file = Writing(attempt=attempt, size=0, modified=1.0)
    part = Part(name="a", size=1, sha256="ab" * 32)
    whole = Manifest(data=attempt.name, size=1, sha256="ab" * 32)
    for state, more, expected in (
        (State.ABSENT, {}, None),
        (State.IN_PROGRESS, {"writing": folder}, None),
        (State.ABANDONED, {"writing": file}, None),
        (State.ABANDONED, {"writing": folder}, f"k/{attempt.name}/"),
        (State.COMPLETE, {"manifest": whole}, None),
        (State.COMPLETE, {"manifest": replace(whole, parts=(part,))}, f"k/{attempt.name}/"),
    ):
        status = Status(key="k", state=state, why="", **more)
        assert folder_in_question(status) == expected


def test_a_folder_that_is_empty_by_now_changes_nothing() -> None:
    """What was in it has just been cleaned up."""
    writing = Writing(attempt=Attempt.begin(T0), size=0, modified=0.0, is_folder=True)
    status = Status(key="k", state=State.ABANDONED, why="abandoned", writing=writing)
    assert judge_folder(status, Listing((), now=1.0), abandoned_after=1.0) is status
