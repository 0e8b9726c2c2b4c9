"""Promises of `create`."""
# ruff: noqa: S101, PT012 - a contract asserts; a block may only fail at its end

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from fileflow_async.errors import FileflowError, TargetNotFoundError, TargetSupersededError
from fileflow_async.storage.protocol import PIECE, Entry, Storage
from fileflow_async.testing.storage_contract.back_door import BackDoor
from fileflow_async.testing.storage_contract.calls import created, listed
from fileflow_async.testing.storage_contract.patience import eventually


class CreatePromises(BackDoor):
    """Storing bytes as they come."""

    @pytest.mark.parametrize(
        "sizes",
        [
            (),
            (0,),
            (1,),
            (0, 3, 0),
            (1000,) * 3000,
            (PIECE,),
            (PIECE - 1, 2),
            (PIECE + 1, PIECE - 1, 1),
            (5, 2 * PIECE + 3, PIECE // 2 + 1, 7, PIECE // 2),
        ],
        ids=["nothing", "empty", "one", "few", "small", "piece", "across", "around", "mixed"],
    )
    async def test_a_stream_of_any_sizes_comes_out_whole(
        self, storage: Storage, sizes: Sequence[int]
    ) -> None:
        """How it was cut does not show."""
        pattern = os.urandom(4099)  # a prime: no piece looks like the one before
        whole = memoryview((pattern * (sum(sizes) // len(pattern) + 1))[: sum(sizes)])
        start = 0
        async with storage.create("d/x", content_type="text/csv") as sink:
            for size in sizes:
                await sink.write(whole[start : start + size])
                start += size
        assert (sink.entry.key, sink.entry.size) == ("d/x", len(whole))
        assert await self.peek("d/x") == bytes(whole)
        stat = await storage.stat("d/x")
        assert (stat.size, stat.etag) == (sink.entry.size, sink.entry.etag)
        assert await self.keys() == ["d/x"]

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    async def test_a_sink_takes_every_kind_of_bytes(
        self, storage: Storage, kind: Callable[[bytes], bytes | bytearray | memoryview]
    ) -> None:
        """Whatever the caller has them in."""
        async with storage.create("d/x") as sink:
            await sink.write(kind(b"abc"))
            await sink.write(kind(b"def"))
        assert await self.peek("d/x") == b"abcdef"

    @pytest.mark.parametrize("size", [10, PIECE // 2, PIECE + 10])
    async def test_a_buffer_may_be_used_again_once_write_returned(self, storage: Storage, size: int) -> None:
        """No bytes are shared with the caller behind its back."""
        buffer = bytearray(b"1" * size)
        async with storage.create("d/x") as sink:
            await sink.write(buffer)
            buffer[:] = b"2" * size
            await sink.write(buffer)
            buffer[:] = b"3" * size
            buffer.clear()
        assert await self.peek("d/x") == b"1" * size + b"2" * size

    async def test_nothing_is_visible_before_the_block_ends(self, storage: Storage) -> None:
        """Writes under way show, if at all, under hidden names that end in `.part`."""
        async with storage.create("d/x.csv") as sink:
            await sink.write(b"x" * (PIECE + 1))
            assert await self.peek("d/x.csv") is None
            with pytest.raises(TargetNotFoundError):
                await storage.read("d/x.csv")
            names = [entry.name for entry in (await storage.list()).entries]
            names += [key.rpartition("/")[2] for key in await self.keys()]
            assert all(name.startswith(".") and name.endswith(".part") for name in names)
        assert await listed(storage) == ["d/x.csv"]

    @pytest.mark.parametrize("size", [0, 10, 2 * PIECE + 1])
    async def test_an_exception_in_the_block_publishes_nothing(self, storage: Storage, size: int) -> None:
        """It comes out as it is, and what was written is taken back."""
        with pytest.raises(ZeroDivisionError):
            async with storage.create("d/x") as sink:
                await sink.write(b"x" * size)
                raise ZeroDivisionError
        assert await self.keys() == []
        await storage.put("d/x", b"the key is free")
        assert await self.peek("d/x") == b"the key is free"

    @pytest.mark.parametrize("size", [0, 10, 2 * PIECE + 1])
    async def test_a_cancelled_block_publishes_nothing(self, storage: Storage, size: int) -> None:
        """What was written is taken back, soon if not at once."""
        inside = asyncio.Event()

        async def write() -> None:
            async with storage.create("d/x") as sink:
                await sink.write(b"x" * size)
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(write())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await self.peek("d/x") is None
        await eventually(self._is_empty)
        await storage.put("d/x", b"the key is free")

    async def test_a_block_whose_write_was_cancelled_publishes_nothing(self, storage: Storage) -> None:
        """Nobody knows how much of it was written, even where the block goes on."""
        with pytest.raises(FileflowError):
            async with storage.create("d/x") as sink:
                await sink.write(b"1")
                write = asyncio.create_task(sink.write(b"2" * (3 * PIECE)))
                await asyncio.sleep(0)
                write.cancel()
                with suppress(asyncio.CancelledError):
                    await write
                assert write.cancelled()
                await sink.write(b"3")
        await eventually(self._is_empty)

    async def test_create_never_replaces(self, storage: Storage) -> None:
        """As `put`: other bytes that stand there stay."""
        await self.plant("d/x", b"old")
        if not self.refuses_overwrite:
            await created(storage, "d/x", b"new")
            assert await self.peek("d/x") == b"new"
            return
        with pytest.raises(TargetSupersededError, match="d/x"):
            await created(storage, "d/x", b"new")
        assert await self.peek("d/x") == b"old"
        assert await self.keys() == ["d/x"]

    async def test_create_refuses_what_came_while_it_wrote(self, storage: Storage) -> None:
        """The end of the block looks once more."""
        if not self.refuses_overwrite:
            await created(storage, "d/x", b"new")
            assert await self.peek("d/x") == b"new"
            return
        with pytest.raises(TargetSupersededError, match="d/x"):
            async with storage.create("d/x") as sink:
                await sink.write(b"late")
                await self.plant("d/x", b"first")
        assert await self.peek("d/x") == b"first"
        assert await self.keys() == ["d/x"]

    async def test_of_two_that_create_the_same_key_one_wins(self, storage: Storage) -> None:
        """The winner's bytes stand there, whole."""
        datas = [b"A" * (PIECE + 1), b"B" * (PIECE + 2)]
        results = await asyncio.gather(
            *(created(storage, "d/x", data) for data in datas), return_exceptions=True
        )
        won = [data for data, result in zip(datas, results, strict=True) if isinstance(result, Entry)]
        assert await self.peek("d/x") in won
        assert await self.keys() == ["d/x"]
        assert all(isinstance(result, Entry | TargetSupersededError) for result in results)
        assert len(won) == 1 or not self.refuses_overwrite
