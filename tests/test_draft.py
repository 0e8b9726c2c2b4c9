"""One attempt while it is written: text, torn data, folders."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from fileflow_async import manifest
from fileflow_async.errors import (
    FormatError,
    StorageUnavailableError,
    TargetAccessError,
    TargetCorruptError,
    TargetNameError,
    TargetWriteError,
)
from fileflow_async.status import State
from fileflow_async.storage.protocol import Entry, Sink
from fileflow_async.store import TargetStore
from fileflow_async.target import Target
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.conftest import AnyStore, MakeTarget
from tests.planting import DAY, kept, plant, put
from tests.tries import T0, made


class TestText:
    """Text becomes bytes by the encoding that was given."""

    async def test_pieces_of_text_make_one_text(self, store: TargetStore, target: MakeTarget) -> None:
        """A byte order mark stands at its start only, and states do not end in between."""
        for encoding in ("utf-8", "utf-16", "utf-8-sig", "iso2022_jp"):
            async with store.write(target(), format="text", encoding=encoding) as out:
                await out.write("日")
                await out.write("本")
            assert await store.read(target()) == "日本".encode(encoding)

    async def test_bytes_stay_what_they_are(self, store: TargetStore, target: MakeTarget) -> None:
        """No byte order mark comes behind them, though an encoding was given."""
        async with store.write(target(), format="text", encoding="utf-16") as out:
            await out.write(b"raw")
        assert await store.read(target()) == b"raw"

    @pytest.mark.parametrize(
        ("encoding", "text", "message"),
        [
            (None, "x", "write() got str for a binary target; pass encoding="),
            (
                "ascii",
                "é",
                (
                    "write() got text that is not valid ascii: 'ascii' codec can't encode character "
                    r"'\xe9' in position 0: ordinal not in range(128)"
                ),
            ),
            ("utf-8", 5, "write() takes bytes, got int"),
        ],
    )
    async def test_what_cannot_be_written_is_refused(
        self, store: TargetStore, target: MakeTarget, encoding: str | None, text: str, message: str
    ) -> None:
        """And nothing of it is taken."""
        async with store.write(target(), encoding=encoding) as out:
            await out.write(b"1")
            with pytest.raises(TargetWriteError) as caught:
                await out.write(text)
            await out.write(b"2")
        assert str(caught.value) == message
        assert await store.read(target()) == b"12"


class _Sink:
    """A sink that fails, or hangs, when it is told to."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.fault: BaseException | None = None
        self.hangs = False

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        await self._sink.write(data)

    @property
    def entry(self) -> Entry:
        return self._sink.entry


class FaultySinks(MemoryStorage):
    """A storage whose sinks can be told to fail, and whose ends too."""

    sinks: list[_Sink]
    end: Exception | None = None

    @asynccontextmanager
    async def create(self, key: str, *, content_type: str = "") -> AsyncIterator[Sink]:
        async with super().create(key) as sink:
            self.sinks = [*getattr(self, "sinks", []), _Sink(sink)]
            yield self.sinks[-1]
            if self.end is not None:
                raise self.end


class TestTornData:
    """A record is never written of data that may not be what was stored."""

    @pytest.fixture
    def storage(self, clock: FakeClock) -> FaultySinks:
        return FaultySinks(clock=clock)

    async def _spoil(self, store: TargetStore, storage: FaultySinks, place: Target, how: str) -> None:
        async with store.begin(place) as draft:
            await draft.write(b"1")
            if how == "failed":
                storage.sinks[-1].fault = StorageUnavailableError("down")
                with suppress(StorageUnavailableError):
                    await draft.write(b"2")
                storage.sinks[-1].fault = None
                await draft.write(b"2")
            elif how == "cancelled":
                storage.sinks[-1].hangs = True
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.001):
                        await draft.write(b"2")
                storage.sinks[-1].hangs = False
            else:
                await asyncio.gather(*(draft.write(bytes([each]) * 400_000) for each in range(3)))
            await store.commit(draft)

    @pytest.mark.parametrize("how", ["failed", "cancelled", "at once"])
    async def test_a_write_that_did_not_end_well_spoils_the_attempt(
        self, store: TargetStore, storage: FaultySinks, target: MakeTarget, how: str
    ) -> None:
        """Though the caller goes on: nobody knows what was stored, or in which order it was hashed."""
        with pytest.raises(TargetWriteError, match="failed, was cancelled or is still under way"):
            await self._spoil(store, storage, target(), how)
        assert kept(storage) == []

    async def test_a_commit_during_a_write_is_refused(
        self, store: TargetStore, storage: FaultySinks, target: MakeTarget
    ) -> None:
        """The end of the data is not known yet."""

        async def write() -> None:
            async with store.begin(target()) as draft:
                await draft.write(b"1")
                storage.sinks[-1].hangs = True
                late = asyncio.create_task(draft.write(b"2"))
                await asyncio.sleep(0)
                try:
                    await store.commit(draft)
                finally:
                    late.cancel()
                    await asyncio.wait([late])

        with pytest.raises(TargetWriteError, match="is still under way"):
            await write()
        assert kept(storage) == []

    async def test_data_that_could_not_be_ended_is_never_committed(
        self, store: TargetStore, storage: FaultySinks, target: MakeTarget
    ) -> None:
        """Though the caller tries again, and the storage is up again."""

        async def write() -> None:
            async with store.begin(target()) as draft:
                await draft.write(b"1")
                storage.end = StorageUnavailableError("down")
                with suppress(StorageUnavailableError):
                    await store.commit(draft)
                storage.end = None
                await store.commit(draft)

        with pytest.raises(TargetWriteError, match=r"^the data was not stored; nothing can be published$"):
            await write()
        assert not (await store.state(target())).is_committed

    async def test_a_part_that_failed_may_be_written_again(
        self, store: TargetStore, storage: FaultySinks, target: MakeTarget
    ) -> None:
        """Its name is free again; without it the rest can be committed."""
        async with store.write_folder(target()) as out:
            with suppress(ZeroDivisionError):
                async with out.create("a"):
                    raise ZeroDivisionError
            with suppress(ZeroDivisionError):
                async with out.create("b"):
                    raise ZeroDivisionError
            async with out.create("a") as part:
                await part.write(b"1")
        assert await store.read(target(), part="a") == b"1"
        assert [key.rpartition("/")[2] for key in kept(storage) if not key.endswith(".ok")] == ["a"]


class TestFolders:
    """A target of several files: one record for all of them."""

    async def test_one_record_commits_all_parts(self, any_store: AnyStore, target: MakeTarget) -> None:
        """Several may be written at a time; their hash is that of their hashes."""
        store, place = any_store.store, target()
        async with store.write_folder(place, format="parquet", producer=made(T0)) as out:
            async with out.create("hour=07/part-0.parquet") as one, out.create("part-1.parquet") as other:
                await one.write(b"1")
                await other.write(b"22")
                await one.write(b"1")
            assert not (await store.state(place)).is_committed
        status = await store.state(place)
        assert status.state is State.COMPLETE
        record = status.manifest
        assert record is not None
        assert record.parts is not None
        assert [part.name for part in record.parts] == ["hour=07/part-0.parquet", "part-1.parquet"]
        assert (record.size, record.etag) == (4, None)
        assert record.sha256 == manifest.combined_sha256(record.parts)
        assert await store.read(place, part="hour=07/part-0.parquet") == b"11"
        assert await store.read(status.reference or "", part="part-1.parquet") == b"22"
        folder = f"{place.key}/{record.data}"
        assert await any_store.keys() == [
            f"{folder}.ok",
            f"{folder}/hour=07/part-0.parquet",
            f"{folder}/part-1.parquet",
        ]

    async def test_an_empty_part_is_one(self, any_store: AnyStore, target: MakeTarget) -> None:
        """A folder of nothing but such is EMPTY."""
        async with any_store.store.write_folder(target()) as out, out.create("a"):
            pass
        assert (await any_store.store.state(target())).state is State.EMPTY

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            ".a",
            "-a",
            "a/.b",
            "a b",
            "é",
            "a\n",
            "x" * 151,
        ],
    )
    async def test_a_part_name_that_leaves_the_folder_is_refused(
        self, store: TargetStore, target: MakeTarget, name: str
    ) -> None:
        """Or that means something else somewhere."""
        async with store.write_folder(target()) as out:
            with pytest.raises(TargetNameError):
                await out.create(name).__aenter__()
            async with out.create("fine"):
                pass

    async def test_parts_may_not_hide_each_other(self, store: TargetStore, target: MakeTarget) -> None:
        """On disk no name is a file and a folder, and none looks unfinished."""
        async with store.write_folder(target()) as out:
            async with out.create("a/b"):
                with pytest.raises(
                    TargetNameError, match=r"^part 'a' cannot be a file and a folder at once$"
                ):
                    await out.create("a").__aenter__()
            with pytest.raises(TargetNameError, match=r"^part 'a/b' cannot be a file and a folder at once$"):
                await out.create("a/b/c").__aenter__()
            with pytest.raises(TargetNameError, match=r"ends in '.part', which marks unfinished files"):
                await out.create("a/x.part").__aenter__()
            with pytest.raises(TargetWriteError, match=r"^there is a part 'a/b' already$"):
                await out.create("a/b").__aenter__()
            async with out.create("a/bc"), out.create("ab"):
                pass

    async def test_a_folder_is_committed_only_when_its_parts_are_whole(
        self, store: TargetStore, target: MakeTarget, caplog: pytest.LogCaptureFixture
    ) -> None:
        """And when there is one."""
        async with store.begin_folder(target()) as draft:
            with pytest.raises(TargetWriteError, match=r"^a folder needs at least one part$"):
                await store.commit(draft)
            async with draft.create("b"), draft.create("a") as part:
                with pytest.raises(TargetWriteError, match=r"^parts are still being written: a, b$"):
                    await store.commit(draft)
            with pytest.raises(TargetWriteError, match=r"^no more data can be written: the block that wrote"):
                await part.write(b"late")
            await store.commit(draft)
            with pytest.raises(TargetWriteError, match=r"^target was already committed$"):
                await draft.create("c").__aenter__()
        assert (await store.state(target())).is_committed

    async def test_a_folder_without_a_commit_leaves_an_orphan(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Its parts are stored as they come; `gc` takes them later, and nobody can commit them any more."""
        async with store.begin_folder(target()) as draft, draft.create("a"):
            pass
        assert caplog.messages == [f"{draft.uri}: closed without commit(); nothing was published"]
        with pytest.raises(TargetWriteError, match="was not stored"):
            await store.commit(draft)
        assert (await store.state(target())).state is State.IN_PROGRESS

    async def test_a_part_is_asked_for_by_its_name(self, store: TargetStore, target: MakeTarget) -> None:
        """And only of a folder."""
        async with store.write_folder(target("many")) as out:
            for name in "abcdefg":
                async with out.create(name):
                    pass
        data = out.attempt.name
        with pytest.raises(FormatError) as caught:
            await store.read(target("many"))
        assert str(caught.value) == (
            f"{data!r} is a folder of 'a', 'b', 'c', 'd', 'e' and 2 more; name one with part="
        )
        with pytest.raises(FormatError, match=r"; it has no part 'x'$"):
            await store.read(target("many"), part="x")
        await put(store, target("one"), b"1")
        with pytest.raises(FormatError, match=r"is one file; it has no part 'x'$"):
            await store.read(target("one"), part="x")

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (None, "exists but its data 'a' does not"),
            (b"longer", "'a' has 6 bytes; the manifest says 3"),
        ],
    )
    async def test_a_folder_that_lost_a_part_is_corrupt(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget, change: bytes | None, why: str
    ) -> None:
        """Its record promises all of them."""
        async with store.write_folder(target()) as out:
            for name in "ab":
                async with out.create(name) as part:
                    await part.write(b"123")
        if change is None:
            del storage.objects[f"{out.data_key}/a"]
        else:
            plant(storage, f"{out.data_key}/a", change)
        status = await store.state(target())
        assert status.state is State.CORRUPT
        assert why in status.why
        assert isinstance(status.error, TargetCorruptError)
        assert await store.read(target(), part="b") == b"123"

    async def test_a_file_in_the_place_of_a_folder_is_corrupt(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """And the reverse."""
        async with store.write_folder(target("a")) as out, out.create("x"):
            pass
        del storage.objects[f"{out.data_key}/x"]
        plant(storage, out.data_key, b"")
        assert (
            await store.state(target("a"))
        ).why == f"{out.attempt.name!r} is one file; the manifest differs"
        reference = await put(store, target("b"), b"")
        del storage.objects[f"{reference.target}/{reference.data}"]
        plant(storage, f"{reference.target}/{reference.data}/x", b"")
        assert (await store.state(target("b"))).why == f"{reference.data!r} is a folder; the manifest differs"

    async def test_the_age_of_a_folder_is_that_of_its_newest_part(
        self, store: TargetStore, storage: MemoryStorage, clock: FakeClock, target: MakeTarget
    ) -> None:
        """Its writer may have begun days ago, or its task instance have been made so."""
        async with store.begin_folder(target(), producer=made(T0 - int(2 * DAY * 1000))) as draft:
            async with draft.create("a") as part:
                await part.write(b"123")
            status = await store.state(target())
            assert status.state is State.IN_PROGRESS
            assert status.writing is not None
            assert status.writing.size == 3
            await clock.advance(DAY + 1)
            assert (await store.state(target())).state is State.ABANDONED
            async with draft.create("b"):
                pass
            assert (await store.state(target())).state is State.IN_PROGRESS
            await store.commit(draft)
        assert (await store.state(target())).state is State.COMPLETE

    async def test_a_folder_that_cannot_be_listed_spoils_no_other_state(
        self, storage: MemoryStorage, clock: FakeClock, target: MakeTarget
    ) -> None:
        """Its error stands in the place of its state."""

        class Closed(MemoryStorage):
            async def list(self, prefix: str = "", **options: Any) -> Any:
                if prefix.count("/") > 4 and self.fault is None:
                    raise TargetAccessError("no")
                return await super().list(prefix, **options)

        closed = Closed(clock=clock)
        store = TargetStore(closed, clock=clock)
        await put(store, target("file"), b"1")
        async with store.write_folder(target("folder")) as out, out.create("a"):
            pass
        found = await store.states([target("folder").key, target("file").key])
        assert isinstance(found[target("folder").key], TargetAccessError)
        assert getattr(found[target("file").key], "state", None) is State.COMPLETE
