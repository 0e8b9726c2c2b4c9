"""Promises of `read`, `read_range`, `read_each`, `stream` and `stat`."""
# ruff: noqa: S101 - a contract asserts

import os
from functools import partial

import pytest

from fileflow_async.errors import TargetNotFoundError, TargetSupersededError
from fileflow_async.storage.protocol import PIECE, Storage
from fileflow_async.testing.storage_contract.back_door import BackDoor
from fileflow_async.testing.storage_contract.calls import streamed


class ReadPromises(BackDoor):
    """Reading what is there."""

    async def test_what_is_not_there_is_not_found(self, storage: Storage) -> None:
        """Nor is a folder an object, nor a key that another begins with."""
        await self.plant("d/x.csv/y", b"x")
        for key in ("nothing", "no/thing", "d", "d/x", "d/x.csv", "d/x.csv/z"):
            for call in (storage.read, partial(storage.read_range, start=0, length=1), storage.stat):
                with pytest.raises(TargetNotFoundError, match=key):
                    await call(key)
            with pytest.raises(TargetNotFoundError, match=key):
                await streamed(storage, key)

    @pytest.mark.parametrize("size", [0, 1, PIECE, 2 * PIECE + 1])
    async def test_a_stream_has_the_bytes_of_a_read(self, storage: Storage, size: int) -> None:
        """In pieces that keep memory bounded."""
        data = os.urandom(1021) * (size // 1021) + b"x" * (size % 1021)
        await self.plant("d/x", data)
        assert await storage.read("d/x") == data
        async with storage.stream("d/x") as pieces:
            read = [piece async for piece in pieces]
        assert b"".join(read) == data
        assert all(0 < len(piece) <= PIECE for piece in read)

    async def test_a_stream_may_be_left_early(self, storage: Storage) -> None:
        """By a break, or by an exception, which comes out as it is."""
        await self.plant("d/x", b"x" * (2 * PIECE + 1))
        async with storage.stream("d/x") as pieces:
            async for piece in pieces:
                assert piece
                break
        with pytest.raises(ZeroDivisionError):
            async with storage.stream("d/x") as pieces:
                raise ZeroDivisionError
        assert len(await storage.read("d/x")) == 2 * PIECE + 1

    async def test_a_range_is_cut_at_the_end_of_the_object(self, storage: Storage) -> None:
        """Behind the end there are no bytes, which is no error."""
        await self.plant("d/x", b"0123456789")
        ranges = [(0, 10), (0, 1), (3, 4), (9, 1), (9, 5), (0, 99), (10, 1), (99, 1)]
        for start, length in ranges:
            data = await storage.read_range("d/x", start, length)
            assert data == b"0123456789"[start : start + length]
        await self.plant("d/empty", b"")
        assert await storage.read_range("d/empty", 0, 10) == b""

    async def test_read_each_puts_errors_in_the_place_of_bytes(self, storage: Storage) -> None:
        """One that is not there spoils no other."""
        await self.plant("d/x", b"1")
        await self.plant("d/empty", b"")
        await self.plant("e/y", b"2" * 100_000)
        found = await storage.read_each(["d/x", "d/none", "e/y", "f/none", "d/empty"])
        assert list(found) == ["d/x", "d/none", "e/y", "f/none", "d/empty"]
        assert (found["d/x"], found["e/y"], found["d/empty"]) == (b"1", b"2" * 100_000, b"")
        assert isinstance(found["d/none"], TargetNotFoundError)
        assert isinstance(found["f/none"], TargetNotFoundError)
        assert await storage.read_each([]) == {}

    async def test_an_etag_tells_when_the_object_is_another(self, storage: Storage) -> None:
        """Where the backend has such a thing; where it has none, it is None everywhere."""
        entry = await storage.put("d/x", b"old")
        assert {each.etag for each in (await storage.list()).entries} == {entry.etag}
        assert await storage.read_range("d/x", 0, 3, etag=entry.etag) == b"old"
        assert await streamed(storage, "d/x", etag=entry.etag) == b"old"
        if entry.etag is None:
            return
        await self.plant("d/x", b"new")
        with pytest.raises(TargetSupersededError, match="d/x"):
            await storage.read_range("d/x", 0, 3, etag=entry.etag)
        with pytest.raises(TargetSupersededError, match="d/x"):
            await streamed(storage, "d/x", etag=entry.etag)
