"""Only verified bytes are handed out."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fileflow_async.digest import Digest
from fileflow_async.errors import (
    FormatError,
    StorageError,
    StorageUnavailableError,
    TargetCorruptError,
    TargetNotFoundError,
    TargetSupersededError,
)
from fileflow_async.formats.filling import Filling
from fileflow_async.status import State
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference, Target
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.conftest import AnyStore, MakeTarget
from tests.planting import NEW, plant, plant_commit, put, record_for
from tests.tries import T0, made


class TestReading:
    """Only verified bytes, of the newest version or of just the one that is named."""

    async def _stream(self, store: TargetStore, what: Target | Reference, **options: Any) -> bytes:
        async with store.open(what, **options) as stream:
            return b"".join([piece async for piece in stream])

    async def test_the_newest_value_is_read(self, any_store: AnyStore, target: MakeTarget) -> None:
        """Whole, or as a stream."""
        store = any_store.store
        for data in (b"1", b"22", b"3" * 1_000_000):
            await put(store, target(), data)
            assert await store.read(target()) == data
            assert await self._stream(store, target()) == data

    async def test_a_reference_is_read_though_a_newer_commit_came(
        self, any_store: AnyStore, target: MakeTarget
    ) -> None:
        """A rerun of the upstream never changes what a running downstream reads."""
        store = any_store.store
        first = await put(store, target(), b"first")
        second = await put(store, target(), b"second")
        assert await store.read(first) == await self._stream(store, first) == b"first"
        assert await store.read(second) == await store.read(target()) == b"second"
        assert await store.read(Reference.from_payload(first.to_payload())) == b"first"

    async def test_a_reference_need_not_say_all(self, store: TargetStore, target: MakeTarget) -> None:
        """Size and hash say which version it is; rows and format are for people."""
        async with store.write(target(), format="csv") as out:
            await out.write(b"1")
            out.rows = 1
        assert out.reference is not None
        small = replace(out.reference, rows=None, format=None, root=None)
        assert await store.read(small) == b"1"
        for other in (replace(small, size=2), replace(small, sha256="ab" * 32)):
            with pytest.raises(TargetCorruptError) as caught:
                await store.version(other)
            assert str(caught.value) == f"'{small.data}.ok' is not the record that the reference names"

    async def test_what_is_not_there_is_not_found(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """With what is there instead, and what to do."""
        with pytest.raises(TargetNotFoundError) as caught:
            await store.read(target())
        uri = f"memory://store/{target().key}"
        assert str(caught.value) == f"{uri} has no committed version: nothing is there"
        reference = await put(store, target(), b"1")
        await store.delete(target())
        with pytest.raises(TargetNotFoundError) as caught:
            await self._stream(store, reference)
        assert str(caught.value) == f"{uri} no longer keeps the version {reference.data}"
        assert caught.value.__notes__ == ["It was cleaned up or deleted; run the task that made it again."]
        await store.fail(target(), error="boom", producer=made(T0))
        with pytest.raises(TargetNotFoundError, match="no committed version: its producer failed"):
            await store.read(target())

    async def test_changed_bytes_are_never_handed_out(self, any_store: AnyStore, target: MakeTarget) -> None:
        """After a second look two seconds later, which rules out a clean-up."""
        store = any_store.store
        reference = await put(store, target(), b"12345")
        await any_store.plant(f"{target().key}/{reference.data}", b"1234X")
        for what in (target(), reference):
            with pytest.raises(TargetCorruptError, match=r"does not match its sha256|has ETag"):
                await store.read(what)
        assert any_store.clock.slept == [2.0, 2.0]

    async def test_a_stream_of_changed_bytes_ends_with_an_error(
        self, storage: MemoryStorage, store: TargetStore, target: MakeTarget
    ) -> None:
        """What it handed out by then is the caller's to throw away."""
        reference = await put(store, target(), b"12345")
        key = f"{target().key}/{reference.data}"
        plant(storage, f"{key}.ok", record_for(reference.data, b"12345"))  # a record without an ETag
        plant(storage, key, b"1234X")
        pieces = []
        digest = hashlib.sha256(b"1234X").hexdigest()

        async def stream() -> None:
            async with store.open(target()) as stream:
                async for piece in stream:
                    pieces.append(piece)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(TargetCorruptError) as caught:
            await stream()
        assert pieces == [b"1234X"]
        assert str(caught.value) == (
            f"{reference.data!r} does not match its sha256 "
            f"(read {digest[:12]}…, manifest {reference.sha256[:12]}…)"
        )

    async def test_a_stream_that_ends_early_or_late_is_an_error(
        self, clock: FakeClock, target: MakeTarget
    ) -> None:
        """However the storage came to it."""

        class Short(MemoryStorage):
            cut = b""

            @asynccontextmanager
            async def stream(
                self, key: str, *, etag: str | None = None
            ) -> AsyncIterator[AsyncIterator[bytes]]:
                async def pieces() -> AsyncIterator[bytes]:
                    yield self.cut

                yield pieces()

        storage = Short(clock=clock)
        store = TargetStore(storage, clock=clock)
        reference = await put(store, target(), b"12345")
        for cut in (b"1234", b"123456", b""):
            storage.cut = cut
            with pytest.raises(TargetCorruptError) as caught:
                await self._stream(store, target())
            assert str(caught.value) == f"{reference.data!r} has {len(cut)} bytes; the manifest says 5"
        storage.cut = b"12345"
        assert await self._stream(store, target()) == b"12345"

    async def test_a_stream_may_be_left_early(self, store: TargetStore, target: MakeTarget) -> None:
        """Nothing is verified then, nothing stays open, and what is left is not taken for the end."""
        await put(store, target(), b"1" * 20_000_000)
        async with store.open(target()) as stream:
            async for piece in stream:
                assert piece
                break
        with pytest.raises(StorageError, match="or the block that opened it has ended"):
            await anext(stream)

    async def test_a_stream_that_lost_a_piece_gives_no_other(
        self, store: TargetStore, target: MakeTarget, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A caller that was cancelled in the middle of a piece must not take the rest for the whole."""
        await put(store, target(), b"1" * 20_000_000)
        waits = asyncio.Event()

        async def update(self: Digest, data: bytes) -> None:
            await waits.wait()

        async with store.open(target()) as stream:
            monkeypatch.setattr(Digest, "update", update)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await anext(stream)
            waits.set()
            with pytest.raises(StorageError, match="an earlier read failed, was cancelled"):
                await anext(stream)

    async def test_memory_is_filled_with_verified_bytes_too(self, tmp_path: Path, target: MakeTarget) -> None:
        """By a storage that can do so; changed ones are an error at their end."""
        data = os.urandom(9_000_000)
        async with LocalStorage(tmp_path) as storage:
            store = TargetStore(storage, clock=FakeClock(time.time()))
            reference = await put(store, target(), data)

            async def filled() -> bytes:
                room, at = memoryview(bytearray(len(data) + 1)), 0
                async with store.open(target()) as stream:
                    assert isinstance(stream, Filling)
                    while count := await stream.readinto(room[at:]):
                        at += count
                return bytes(room[:at])

            assert await filled() == data
            path = tmp_path / target().key / reference.data
            await asyncio.to_thread(path.write_bytes, b"X" + data[1:])
            with pytest.raises(TargetCorruptError, match="does not match its sha256"):
                await filled()

    async def test_a_stream_brings_its_record_along(self, store: TargetStore, target: MakeTarget) -> None:
        """That of the version it is of, whatever is committed meanwhile."""
        first = await put(store, target(), b"first")
        second = await put(store, target(), b"second")
        for what, data in ((first, first.data), (target(), second.data)):
            async with store.open(what) as stream:
                assert stream.record == (await store.version(what)).manifest
                assert stream.record.data == data

    async def test_what_comes_back_before_the_second_look_is_read(
        self, store: TargetStore, storage: MemoryStorage, clock: FakeClock, target: MakeTarget
    ) -> None:
        """A clean-up was seen half way, or a newer commit came: whatever is right by then."""
        reference = await put(store, target(), b"12345")
        key = f"{target().key}/{reference.data}"
        data = storage.objects.pop(key)
        for read in (store.read(target()), self._stream(store, target())):
            task = asyncio.create_task(read)
            await clock.advance(1.9)
            assert not task.done()
            storage.objects[key] = data
            await clock.advance(0.1)
            assert await task == b"12345"
            del storage.objects[key]

    async def test_a_record_that_goes_while_it_is_read_is_looked_for_once_more(
        self, clock: FakeClock, target: MakeTarget
    ) -> None:
        """The next look finds the newer one, or nothing."""

        class Racing(MemoryStorage):
            doomed = ""

            async def read_each(self, keys: Sequence[str]) -> Any:
                self.objects.pop(self.doomed, None)
                return await super().read_each(keys)

        storage = Racing(clock=clock)
        store = TargetStore(storage, clock=clock)
        reference = await put(store, target(), b"1")
        storage.doomed = f"{target().key}/{reference.data}.ok"
        task = asyncio.create_task(store.read(target()))
        await clock.advance(1)
        await put(store, target(), b"2")
        await clock.advance(1)
        assert await task == b"2"

    @pytest.mark.parametrize("goes", ["data", "both"])
    async def test_data_that_goes_while_it_is_opened_is_named(
        self, clock: FakeClock, target: MakeTarget, goes: str
    ) -> None:
        """Its record promised it; without the record there is no version any more."""

        class Racing(MemoryStorage):
            doomed: Sequence[str] = ()

            async def _vanish(self) -> None:
                for key in self.doomed:
                    self.objects.pop(key, None)

            async def read(self, key: str) -> bytes:
                await self._vanish()
                return await super().read(key)

            @asynccontextmanager
            async def stream(
                self, key: str, *, etag: str | None = None
            ) -> AsyncIterator[AsyncIterator[bytes]]:
                await self._vanish()
                async with super().stream(key, etag=etag) as pieces:
                    yield pieces

        for open_it in (TargetStore.read, self._stream):
            storage = Racing(clock=clock)
            store = TargetStore(storage, clock=clock)
            reference = await put(store, target(), b"1")
            key = f"{target().key}/{reference.data}"
            storage.doomed = [key] if goes == "data" else [f"{key}.ok", key]
            task = asyncio.create_task(open_it(store, reference))
            await clock.advance(2)
            kind: type[Exception] = TargetCorruptError if goes == "data" else TargetNotFoundError
            with pytest.raises(kind) as caught:
                await task
            assert str(caught.value) == (
                f"'{reference.data}.ok' exists but its data {reference.data!r} does not"
                if goes == "data"
                else f"memory://store/{target().key} no longer keeps the version {reference.data}"
            )

    async def test_a_lost_part_is_named_as_one(
        self, store: TargetStore, storage: MemoryStorage, clock: FakeClock, target: MakeTarget
    ) -> None:
        """The record is that of the folder."""
        async with store.write_folder(target()) as out, out.create("a/b"):
            pass
        del storage.objects[f"{out.data_key}/a/b"]
        plant(storage, f"{out.data_key}/other", b"")
        task = asyncio.create_task(store.read(target(), part="a/b"))
        await clock.advance(2)
        with pytest.raises(TargetCorruptError) as caught:
            await task
        assert str(caught.value) == f"'{out.attempt.name}.ok' exists but its data 'b' does not"

    async def test_one_that_is_replaced_while_it_is_opened_is_looked_at_once_more(
        self, clock: FakeClock, target: MakeTarget
    ) -> None:
        """Nothing is ever overwritten, by us."""

        class Replaced(MemoryStorage):
            times = 1

            @asynccontextmanager
            async def stream(
                self, key: str, *, etag: str | None = None
            ) -> AsyncIterator[AsyncIterator[bytes]]:
                if self.times:
                    self.times -= 1
                    raise TargetSupersededError(f"{key!r} was replaced while it was read")
                async with super().stream(key, etag=etag) as pieces:
                    yield pieces

        storage = Replaced(clock=clock)
        store = TargetStore(storage, clock=clock)
        await put(store, target(), b"1")
        task = asyncio.create_task(self._stream(store, target()))
        await clock.advance(2)
        assert await task == b"1"
        storage.times = 2
        task = asyncio.create_task(self._stream(store, target()))
        await clock.advance(2)
        with pytest.raises(TargetSupersededError):
            await task

    async def test_a_stream_is_asked_for_by_its_etag(self, clock: FakeClock, target: MakeTarget) -> None:
        """So that S3 itself refuses other bytes, in the middle of a stream too."""
        asked = []

        class Noting(MemoryStorage):
            @asynccontextmanager
            async def stream(
                self, key: str, *, etag: str | None = None
            ) -> AsyncIterator[AsyncIterator[bytes]]:
                asked.append(etag)
                async with super().stream(key, etag=etag) as pieces:
                    yield pieces

        store = TargetStore(Noting(clock=clock), clock=clock)
        await put(store, target(), b"1")
        await self._stream(store, target())
        record = (await store.state(target())).manifest
        assert record is not None
        assert asked == [record.etag] != [None]

    async def test_a_record_of_a_later_version_is_not_looked_at_twice(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """Waiting does not cure it."""
        plant_commit(storage, target().key, NEW, b"1", fileflow=2)
        with pytest.raises(FormatError, match="Upgrade fileflow_async"):
            await store.read(target())
        assert (await store.state(target())).state is State.CORRUPT

    async def test_an_outage_is_not_looked_at_twice(
        self, store: TargetStore, storage: MemoryStorage, target: MakeTarget
    ) -> None:
        """The storage has retried already."""
        await put(store, target(), b"1")
        storage.fault = StorageUnavailableError("down")
        with pytest.raises(StorageUnavailableError):
            await store.read(target())
