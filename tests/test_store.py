"""TargetStore: begin, commit, look, read, by the rules of the protocol."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

import pytest

from fileflow_async import manifest
from fileflow_async.digest import Digest
from fileflow_async.errors import (
    FormatError,
    StorageUnavailableError,
    TargetNameError,
    TargetSupersededError,
    TargetWriteError,
)
from fileflow_async.manifest import Input, Producer
from fileflow_async.status import State
from fileflow_async.store import TargetStore
from fileflow_async.target import Attempt, Slot, Target, token_at
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.conftest import AnyStore, MakeTarget
from tests.planting import DAY, NEW, OLD, kept, plant, plant_commit, put
from tests.tries import T0, made


class TestWriting:
    """A commit when the block ends well, nothing otherwise."""

    async def test_what_was_written_is_the_value(self, any_store: AnyStore, target: MakeTarget) -> None:
        """Any number of pieces of any kind; the record says what it is."""
        store, place = any_store.store, target("orders", map_index=3)
        async with store.write(place, format="csv", encoding="utf-8", producer=made(T0)) as out:
            await out.write(b"id\n")
            await out.write(bytearray(b"1\n"))
            await out.write(memoryview(b"2\n"))
            await out.write("é\n")
            out.rows, out.columns = 3, [("id", "int64")]
            assert out.reference is None
        assert out.reference is not None
        assert await store.read(place) == "id\n1\n2\né\n".encode()
        status = await store.state(place)
        assert (status.state, status.reference, status.key) == (State.COMPLETE, out.reference, place.key)
        assert status.is_committed
        record = status.manifest
        assert record is not None
        assert (record.rows, record.columns, record.size) == (3, (("id", "int64"),), 10)
        assert (record.format, record.content_type, record.encoding) == ("csv", "text/csv", "utf-8")
        assert record.producer == made(T0)
        assert record.slot == "20261120T000000Z"
        names = [f"{place.key}/{record.data}", f"{place.key}/{record.data}.ok"]
        assert await any_store.keys() == names
        assert record.data.endswith(".csv")
        assert out.uri == f"{store.root}/{names[0]}"
        assert out.reference.root == store.root

    async def test_everything_that_was_said_is_in_the_record(
        self, store: TargetStore, clock: FakeClock, target: MakeTarget
    ) -> None:
        """Inputs and interval when it begins, the rest until the commit, and when that was."""
        source = Input(target="a/run=r/t/output", data=OLD, sha256="ab" * 32)
        days = ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z")
        options: dict[str, Any] = {"compression": "gzip", "content_type": "text/x", "format": "csv"}
        async with store.begin(target(), inputs=[source], interval=days, **options) as draft:
            await draft.write(b"1")
            await draft.finish()
            draft.stats, draft.checks = {"id": {"nulls": 0}}, [{"name": "unique", "passed": True}]
            await clock.advance(1.5)
            await store.commit(draft)
        record = (await store.state(target())).manifest
        assert record is not None
        assert (record.inputs, record.interval) == ((source,), days)
        assert (record.stats, record.checks) == (draft.stats, tuple(draft.checks))
        assert (record.compression, record.content_type) == ("gzip", "text/x")
        assert record.started == "2026-09-21T14:13:20.000Z"
        assert record.committed == "2026-09-21T14:13:21.500Z"

    async def test_a_target_may_be_named_by_its_key(self, store: TargetStore, target: MakeTarget) -> None:
        """Triggers know nothing else; what cannot be a key is refused first."""
        reference = await put(store, target().key, b"1")
        assert await store.read(target().key) == b"1"
        assert reference.target == target().key
        with pytest.raises(TargetNameError):
            await put(store, "../etc/passwd", b"1")

    async def test_a_slot_that_was_cut_is_not_in_the_record(self, store: TargetStore) -> None:
        """The text that it stands for is in no key."""
        place = Target(dag_id="d", task_id="t", slot=Slot(partition_key="x" * 200))
        await put(store, place, b"1")
        record = (await store.state(place)).manifest
        assert record is not None
        assert record.slot is None

    async def test_the_older_value_stands_until_the_commit(
        self, any_store: AnyStore, target: MakeTarget
    ) -> None:
        """Whoever reads meanwhile gets it whole."""
        store, place = any_store.store, target()
        await put(store, place, b"old")
        async with store.begin(place) as draft:
            await draft.write(b"new")
            assert await store.read(place) == b"old"
            await draft.finish()
            assert await store.read(place) == b"old"
            await store.commit(draft)
            assert await store.read(place) == b"new"
        assert (await store.history(place))[0].reference == draft.reference

    @pytest.mark.parametrize("has_value", [False, True])
    async def test_an_exception_in_the_block_publishes_nothing(
        self, any_store: AnyStore, target: MakeTarget, has_value: bool
    ) -> None:
        """It comes out as it is, and nothing is left of the attempt."""
        store, place = any_store.store, target()
        if has_value:
            await put(store, place, b"old")
        before = await any_store.keys()

        async def fail() -> None:
            async with store.write(place) as out:
                await out.write(b"new")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert await any_store.keys() == before
        assert (await store.state(place)).state is (State.COMPLETE if has_value else State.ABSENT)

    async def test_a_cancelled_block_publishes_nothing(self, any_store: AnyStore, target: MakeTarget) -> None:
        """A killed task is a cancelled one, if it is lucky; it does not wait until the disk forgets."""
        store, place, inside = any_store.store, target(), asyncio.Event()

        async def hang() -> None:
            async with store.write(place) as out:
                await out.write(b"new")
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(hang())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await store.state(place)).state in (State.ABSENT, State.IN_PROGRESS)
        async with asyncio.timeout(10):
            while await any_store.keys():
                await asyncio.sleep(0.001)

    @pytest.mark.parametrize("finished", [False, True])
    async def test_a_block_without_a_commit_publishes_nothing_and_says_so(
        self, any_store: AnyStore, target: MakeTarget, caplog: pytest.LogCaptureFixture, finished: bool
    ) -> None:
        """Most likely it was forgotten."""
        async with any_store.store.begin(target()) as draft:
            await draft.write(b"x")
            if finished:
                await draft.finish()
        assert caplog.messages == [f"{draft.uri}: closed without commit(); nothing was published"]
        assert not (await any_store.store.state(target())).is_committed
        assert await any_store.keys() == ([draft.data_key] if finished else [])

    async def test_nothing_can_be_written_behind_the_end(
        self, store: TargetStore, target: MakeTarget, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It would be in no record; nor can a closed attempt be committed."""
        async with store.begin(target("one")) as draft:
            await draft.write(b"1")
            await draft.finish()
            await draft.finish()
            with pytest.raises(TargetWriteError, match=r"^target was already finished; only its commit is"):
                await draft.write(b"2")
            await store.commit(draft)
            with pytest.raises(TargetWriteError, match=r"^target was already committed$"):
                await draft.write(b"2")
        async with store.begin(target("two")) as draft:
            await draft.write(b"1")
        with pytest.raises(TargetWriteError, match=r"^target was closed without a commit$"):
            await draft.write(b"2")
        with pytest.raises(TargetWriteError, match=r"^the data was not stored; nothing can be published$"):
            await store.commit(draft)
        assert await store.read(target("one")) == b"1"
        assert (await store.state(target("two"))).state is State.ABSENT

    async def test_a_second_commit_changes_nothing(self, store: TargetStore, target: MakeTarget) -> None:
        """`write` commits at the end of its block, whether the block did or not."""
        async with store.write(target()) as out:
            await out.write(b"1")
            first = await store.commit(out)
            out.rows = 5
        assert out.reference is first
        assert len(await store.history(target())) == 1

    async def test_an_empty_value_is_one(self, any_store: AnyStore, target: MakeTarget) -> None:
        """Complete, and nothing in it."""
        reference = await put(any_store.store, target(), b"")
        assert (reference.size, reference.sha256) == (0, hashlib.sha256().hexdigest())
        assert (await any_store.store.state(target())).state is State.EMPTY
        assert await any_store.store.read(target()) == b""

    @pytest.mark.parametrize("size", [5, 300 * 1024])
    async def test_a_buffer_may_be_used_again_once_write_returned(
        self, store: TargetStore, target: MakeTarget, size: int
    ) -> None:
        """Though it is still being hashed and sent."""
        buffer = bytearray(b"1" * size)
        async with store.write(target()) as out:
            await out.write(buffer)
            buffer[:] = b"2" * size
            await out.write(memoryview(buffer))
            buffer[:] = b"3" * size
        assert await store.read(target()) == b"1" * size + b"2" * size

    async def test_what_is_stored_is_what_was_hashed(
        self, store: TargetStore, target: MakeTarget, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Though whoever has the buffer changes it in between."""
        buffer, update = bytearray(b"1"), Digest.update

        async def and_then(self: Digest, piece: bytes) -> None:
            await update(self, piece)
            buffer[:] = b"2"

        monkeypatch.setattr(Digest, "update", and_then)
        async with store.write(target()) as out:
            await out.write(buffer)
        monkeypatch.undo()
        assert await store.read(target()) == b"1"

    async def test_records_that_readers_would_refuse_are_never_published(
        self, any_store: AnyStore, target: MakeTarget
    ) -> None:
        """They would hide the older value and be none themselves."""
        store, place = any_store.store, target()
        await put(store, place, b"old")
        for rows in (-1, True, 1.5):

            async def write(rows: Any = rows) -> None:
                async with store.write(place) as out:
                    await out.write(b"new")
                    out.rows = rows

            with pytest.raises(FormatError, match="would be refused by every reader"):
                await write()
        assert await store.read(place) == b"old"

    async def test_after_a_refused_record_the_rest_can_be_put_right(
        self, store: TargetStore, target: MakeTarget
    ) -> None:
        """The data is whole; only the record was wrong."""
        async with store.begin(target()) as draft:
            await draft.write(b"1")
            draft.rows = -1
            with pytest.raises(FormatError):
                await store.commit(draft)
            draft.rows = 1
            await store.commit(draft)
        assert await store.read(target()) == b"1"


class TestSeveralOutputs:
    """All their data first, then all their records."""

    async def test_no_record_comes_before_the_last_data(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """So that a crash loses all of them, or leaves each of them whole."""
        async with store.begin(target("a")) as one, store.begin_folder(target("b")) as other:
            await one.write(b"1")
            async with other.create("x") as part:
                await part.write(b"2")
            del storage.calls[:]
            references = await store.commit_all([one, other])
        assert references == [one.reference, other.reference]
        work = [call for call in storage.calls if call in ("created", "list", "put")]
        announced = ["put"] * 3  # each of them, and that there is news of all
        assert work == ["created", "list", "list", "put", "put", *announced]
        assert await store.read(target("a")) == b"1"
        assert await store.read(target("b"), part="x") == b"2"

    async def test_one_that_is_superseded_holds_back_all(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """A set that does not belong together is worse than none."""

        async def write() -> None:
            async with store.begin(target("a")) as one, store.begin(target("b")) as other:
                plant_commit(storage, target("b").key, NEW, b"newer")
                await store.commit_all([one, other])

        with pytest.raises(TargetSupersededError):
            await write()
        assert (await store.state(target("a"))).state is State.IN_PROGRESS
        assert await store.read(target("b")) == b"newer"

    async def test_what_is_committed_already_stays_so(self, store: TargetStore, target: MakeTarget) -> None:
        """After a crash in between, the rest may follow; though others have gone on meanwhile."""
        async with store.begin(target("a")) as one, store.begin(target("b")) as other:
            first = await store.commit(one)
            await put(store, target("a"), b"newer")
            assert await store.commit_all([one, other]) == [first, other.reference]
        assert len(await store.history(target("a"))) == 2
        assert await store.read(target("a")) == b"newer"


class TestTokens:
    """Names sort by the age of the try, raised above whatever is there."""

    async def _begin(self, store: TargetStore, place: Target, **options: Any) -> Attempt:
        async with store.begin(place, **options) as draft:
            return draft.attempt

    async def test_a_try_is_as_old_as_its_id(self, store: TargetStore, target: MakeTarget) -> None:
        """By the server's clock, whatever ours says."""
        attempt = await self._begin(store, target(), producer=made(T0 - 5000, try_number=7), format="csv")
        assert (attempt.token, attempt.try_number, attempt.extension) == (token_at(T0 - 5000), 7, "csv")

    @pytest.mark.parametrize("ti_id", [None, "not-a-uuid", "ffffffff-ffff-7fff-bfff-ffffffffffff"])
    async def test_without_such_an_id_the_clock_says_how_old_it_is(
        self, store: TargetStore, target: MakeTarget, ti_id: str | None
    ) -> None:
        """Outside Airflow there is none."""
        attempt = await self._begin(store, target(), producer=Producer(ti_id=ti_id))
        assert attempt.token == token_at(T0)

    @pytest.mark.parametrize(
        "left",
        [
            f"{NEW}.csv",
            f"{NEW}.csv.ok",
            f".{NEW}.csv.part",
            f".{NEW}.csv.ok.part",
            f"{NEW}.failed",
            f"{NEW}/part-0.csv",
        ],
    )
    @pytest.mark.parametrize("producer", [None, made(T0)])
    async def test_it_is_raised_above_every_name_of_an_attempt(
        self,
        store: TargetStore,
        storage: MemoryStorage,
        target: MakeTarget,
        left: str,
        producer: Producer | None,
    ) -> None:
        """Committed, failed, whole or only begun: clocks differ, and ours may be behind."""
        plant(storage, f"{target().key}/{left}", b"{}")
        attempt = await self._begin(store, target(), producer=producer)
        assert attempt.token == "20260921T141321001Z"

    @pytest.mark.parametrize(
        "left",
        [f"{OLD}.csv", "99991231T235959999Z-t01-aaaaaaaaaaaa", f"{NEW}", f"sub/{NEW}.csv", "notes.txt"],
    )
    async def test_names_that_are_older_or_mean_nothing_do_not_raise_it(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget, left: str
    ) -> None:
        """Nor those in another folder."""
        other = target("other") if left == NEW else target()
        plant(storage, f"{other.key}/{left}", b"{}")
        assert (await self._begin(store, target())).token == token_at(T0)

    async def test_one_of_the_same_millisecond_raises_it_too(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """Else chance would say which is newer."""
        plant(storage, f"{target().key}/{token_at(T0)}-t01-000000000000", b"")
        assert (await self._begin(store, target())).token == token_at(T0 + 1)

    async def test_a_name_from_the_end_of_time_stops_the_attempt(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """What would be newer could not be read back: better no commit than one that nobody sees."""
        plant(storage, f"{target().key}/99991231T235959998Z-t01-aaaaaaaaaaaa.csv.ok", b"{}")
        with pytest.raises(TargetNameError, match=r"^no attempt can be as new as 99991231T235959999Z$"):
            await self._begin(store, target())


class TestZombies:
    """A try that others have overtaken never replaces what they committed."""

    SUPERSEDED = "a newer attempt already committed {}; this attempt's result was not published"

    async def test_a_try_that_was_overtaken_is_refused_at_its_commit(
        self, any_store: AnyStore, target: MakeTarget
    ) -> None:
        """Its task must not believe that it is the value."""
        store, place = any_store.store, target()

        async def write() -> None:
            async with store.write(place, producer=made(T0)) as zombie:
                await zombie.write(b"zombie")
                await put(store, place, b"newer", producer=made(T0 + 5000, try_number=2))

        with pytest.raises(TargetSupersededError) as caught:
            await write()
        assert await store.read(place) == b"newer"
        newest = (await store.history(place))[0].manifest
        assert newest is not None
        assert str(caught.value) == self.SUPERSEDED.format(newest.data)

    async def test_of_two_processes_of_one_try_the_greater_name_is_the_value(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """Their tokens are the same; the whole name decides, and the other one is told."""
        # Neither sees the other when it begins: what memory holds shows only when it is whole.
        one, other = store.begin(target(), producer=made(T0)), store.begin(target(), producer=made(T0))
        async with one as first, other as second:
            less, greater = sorted((first, second), key=lambda draft: draft.attempt.name)
            assert less.attempt.token == greater.attempt.token
            await store.commit(greater)
            with pytest.raises(TargetSupersededError):
                await store.commit(less)
        assert (await store.state(target())).reference == greater.reference

    async def test_the_lesser_of_the_two_may_be_first(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """Then it was the value for a while."""
        one, other = store.begin(target(), producer=made(T0)), store.begin(target(), producer=made(T0))
        async with one as first, other as second:
            less, greater = sorted((first, second), key=lambda draft: draft.attempt.name)
            await store.commit(less)
            await store.commit(greater)
        assert (await store.state(target())).reference == greater.reference

    async def test_a_try_that_begins_only_after_a_newer_one_committed_is_refused(
        self, any_store: AnyStore, target: MakeTarget
    ) -> None:
        """It computed for hours and writes at its end: raised above the newer one, it would replace it."""
        store = any_store.store
        newer = await put(store, target(), b"newer", producer=made(T0 + 5000, try_number=2))
        with pytest.raises(TargetSupersededError) as caught:
            await put(store, target(), b"zombie", producer=made(T0))
        assert str(caught.value) == self.SUPERSEDED.format(newer.data)
        assert await store.read(target()) == b"newer"
        assert len(await any_store.keys()) == 2

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (made(T0), made(T0)),  # the same try, writing again
            (made(T0), made(T0 + 1, try_number=1)),  # a run that was deleted and made anew
            (Producer(), made(T0 - 1000)),  # nobody knows who committed
            (made(T0 + 1000), Producer()),  # nor who writes: a person, by the clock
        ],
    )
    async def test_others_may_replace_what_is_there(
        self, store: TargetStore, target: MakeTarget, first: Producer, second: Producer
    ) -> None:
        """Only a try that is known to be older is refused."""
        await put(store, target(), b"first", producer=first)
        await put(store, target(), b"second", producer=second)
        assert await store.read(target()) == b"second"
        assert len(await store.history(target())) == 2

    @pytest.mark.parametrize("damage", [b"{", None])
    async def test_what_is_damaged_may_be_replaced_by_anybody(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget, damage: bytes | None
    ) -> None:
        """Whatever comes is better."""
        reference = await put(store, target(), b"newer", producer=made(T0 + 5000))
        data = f"{target().key}/{reference.data}"
        if damage is None:
            del storage.objects[data]
        else:
            plant(storage, f"{data}.ok", damage)
        await put(store, target(), b"mended", producer=made(T0))
        assert await store.read(target()) == b"mended"

    async def test_a_record_that_cannot_be_read_lets_nobody_pass(
        self, clock: FakeClock, target: MakeTarget
    ) -> None:
        """Whether a newer try has committed is then not known."""

        class Blind(MemoryStorage):
            blind = False

            async def read_each(self, keys: Sequence[str]) -> Any:
                if self.blind:
                    return {key: StorageUnavailableError("down") for key in keys}
                return await super().read_each(keys)

        storage = Blind(clock=clock)
        store = TargetStore(storage, clock=clock)
        await put(store, target(), b"newer", producer=made(T0 + 5000))
        storage.blind = True
        with pytest.raises(StorageUnavailableError, match="down"):
            await put(store, target(), b"zombie", producer=made(T0))
        storage.blind = False
        assert await store.read(target()) == b"newer"

    async def test_a_storage_that_fails_is_told_instead_of_why_nothing_is_there(
        self, clock: FakeClock, target: MakeTarget
    ) -> None:
        """The reason is looked for after the version, and may not be seen any more."""

        class Failing(MemoryStorage):
            async def list_each(self, folders: Sequence[str]) -> Any:
                return {folder: StorageUnavailableError("down") for folder in folders}

        with pytest.raises(StorageUnavailableError, match="down"):
            await TargetStore(Failing(clock=clock), clock=clock).read(target())

    async def test_a_zombie_that_was_raised_above_a_try_under_way_is_refused_after_it(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """When it began, nothing told it from a try whose clock is behind; the commit since then does."""
        newer = f"{token_at(T0 + 5000)}-t02-bbbbbbbbbbbb"
        plant(storage, f"{target().key}/.{newer}.part", b"")  # a try of T0 + 5 s, still writing

        async def write() -> None:
            async with store.write(target(), producer=made(T0)) as zombie:
                assert zombie.attempt.token > token_at(T0 + 5000)
                plant_commit(
                    storage,
                    target().key,
                    newer,
                    b"newer",
                    producer=made(T0 + 5000, try_number=2).to_payload(),
                )

        with pytest.raises(TargetSupersededError):
            await write()
        assert await store.read(target()) == b"newer"

    @pytest.mark.parametrize("left", ["{}.csv", ".{}.csv.part", ".{}.csv.ok.part", "{}/part-0.csv"])
    @pytest.mark.parametrize("ahead", [60_000, 60_001])
    async def test_what_is_under_way_and_minutes_newer_is_a_later_try(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget, left: str, ahead: int
    ) -> None:
        """Only without an id of Airflow's it can as well be an older one of a server whose clock is ahead."""
        newer = token_at(T0 + ahead)
        plant(storage, f"{target().key}/{left.format(f'{newer}-t02-bbbbbbbbbbbb')}", b"{}")
        async with store.begin(target(), producer=made(T0)) as draft:
            assert draft.attempt.token == token_at(T0 if ahead > 60_000 else T0 + ahead + 1)
        async with store.begin(target()) as draft:
            assert draft.attempt.token > newer

    async def test_a_try_whose_server_is_behind_is_raised_above_an_older_one(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """And stays the value when it commits."""
        plant(storage, f"{target().key}/.{token_at(T0 + 2000)}-t01-aaaaaaaaaaaa.part", b"")
        await put(store, target(), b"newer", producer=made(T0, try_number=2))
        assert await store.read(target()) == b"newer"

    async def test_data_that_was_removed_before_its_commit_is_not_committed(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """By `gc`, by `delete`, by anybody: a record without data would hide the older value."""
        await put(store, target(), b"old")

        async def write() -> None:
            async with store.begin(target()) as draft:
                await draft.write(b"new")
                await draft.finish()
                del storage.objects[draft.data_key]
                await store.commit(draft)

        with pytest.raises(TargetWriteError, match=r"was removed before its commit; nothing was published$"):
            await write()
        assert await store.read(target()) == b"old"


class TestHistory:
    """Every commit that is still kept."""

    async def test_the_newest_comes_first(self, any_store: AnyStore, target: MakeTarget) -> None:
        """Each judged by itself; attempts without a commit are none."""
        store = any_store.store
        assert await store.history(target()) == []
        references = [await put(store, target(), data) for data in (b"1", b"", b"333")]
        await any_store.plant(f"{target().key}/29991231T000000000Z-t01-aaaaaaaaaaaa.csv", b"unfinished")
        history = await store.history(target())
        assert [status.reference for status in history] == references[::-1]
        assert [status.state for status in history] == [State.COMPLETE, State.EMPTY, State.COMPLETE]

    async def test_a_damaged_one_is_among_them(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """It hides no other."""
        await put(store, target(), b"1")
        plant(storage, f"{target().key}/{OLD}.ok", b"{")
        plant(storage, f"{target().key}/{NEW}.ok", b"x" * (manifest.LIMIT + 1))
        states = [status.state for status in await store.history(target())]
        assert states == [State.CORRUPT, State.COMPLETE, State.CORRUPT]


class TestDeleting:
    """A target goes with its history."""

    async def test_nothing_of_it_is_left_and_nothing_else_goes(
        self, any_store: AnyStore, target: MakeTarget
    ) -> None:
        """Folders, failures and what people put there go too."""
        store = any_store.store
        await put(store, target("output.x"), b"other")
        await put(store, target(), b"1", producer=made(T0))
        async with store.write_folder(target(), producer=made(T0 + 1)) as out, out.create("a/b"):
            pass
        await store.fail(target(), error="boom", producer=made(T0 + 2))
        await any_store.plant(f"{target().key}/notes.txt", b"x")
        others = [key for key in await any_store.keys() if not key.startswith(f"{target().key}/")]
        await store.delete(target())
        assert await any_store.keys() == others
        assert len(others) == 2
        await store.delete(target())
        await put(store, target(), b"2")
        assert await store.read(target()) == b"2"

    async def test_an_attempt_under_way_stays_until_it_is_abandoned(
        self, store: TargetStore, storage: MemoryStorage, clock: FakeClock, target: MakeTarget
    ) -> None:
        """Its writer commits later, and must not commit nothing."""
        folder = f"{target().key}/{OLD[:-1]}b"
        left = [f"{target().key}/.{OLD}.csv.part", f"{target().key}/{NEW}.csv", f"{folder}/part-0"]
        await put(store, target(), b"1")
        for key in left:
            plant(storage, key, b"half")
        await store.delete(target())
        assert kept(storage) == sorted(left)
        await clock.advance(DAY + 1)
        plant(storage, f"{folder}/part-1", b"half")
        await store.delete(target())
        assert kept(storage) == [f"{folder}/part-{number}" for number in (0, 1)]

    async def test_whoever_looks_meanwhile_never_sees_anything_older(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """The newest record or failure goes last of all of them, and data only after its record."""
        await put(store, target(), b"1", producer=made(T0))
        await store.fail(target(), error="boom", producer=made(T0 + 1))
        await put(store, target(), b"2", producer=made(T0 + 2))
        for nonce in ("000000000000", "ffffffffffff"):  # beside the commit of its own try
            plant(storage, f"{target().key}/{token_at(T0 + 2)}-t01-{nonce}.failed", b'{"error": "x"}')
        seen = []
        task = asyncio.create_task(store.delete(target()))
        while not task.done():
            status = await store.state(target())
            seen.append((status.state, status.manifest.size if status.manifest else None))
        await task
        order = list(dict.fromkeys(seen))
        assert order[0] == (State.COMPLETE, 1)
        # CORRUPT is a record that went between the look at the folder and that into it.
        assert {state for state, _ in order[1:]} <= {State.CORRUPT, State.IN_PROGRESS, State.ABSENT}
        assert kept(storage) == []

    async def test_a_failure_stays_until_its_end(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """Behind it lies an older value that nobody should see again."""
        await put(store, target(), b"1", producer=made(T0))
        await store.fail(target(), error="boom", producer=made(T0 + 1))
        states = []
        task = asyncio.create_task(store.delete(target()))
        while not task.done():
            states.append((await store.state(target())).state)
        await task
        assert State.COMPLETE not in states
        assert states[0] is State.FAILED


async def test_commits_are_announced_unless_the_feed_is_off(
    storage: MemoryStorage, clock: FakeClock, target: MakeTarget
) -> None:
    """By the store's clock, after the commit; a feed that fails takes nothing back."""
    store = TargetStore(storage, clock=clock, feed=False)
    await put(store, target(), b"1")
    assert kept(storage, ".feed/") == []
    assert (store.feed, TargetStore(storage).feed is None) == (None, False)


async def test_a_store_says_where_it_lies(store: TargetStore, storage: MemoryStorage) -> None:
    """As its storage does."""
    assert store.root == storage.root == "memory://store"
