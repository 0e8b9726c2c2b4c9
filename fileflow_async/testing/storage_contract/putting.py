"""Promises of `put`."""
# ruff: noqa: S101 - a contract asserts

import asyncio
import time

import pytest

from fileflow_async.errors import TargetSupersededError
from fileflow_async.storage.protocol import Entry, Storage
from fileflow_async.testing.storage_contract.back_door import BackDoor
from fileflow_async.testing.storage_contract.patience import PATIENCE


class PutPromises(BackDoor):
    """Storing bytes at once."""

    @pytest.mark.parametrize("data", [b"x", b"", b"\0\r\n\xff" * 1000], ids=["one", "empty", "binary"])
    async def test_put_stores_the_bytes(self, storage: Storage, data: bytes) -> None:
        """They are there for everybody once it returns, and its entry is that of `stat`."""
        before = time.time()
        entry = await storage.put("d/x.csv", data, content_type="text/csv")
        assert await self.peek("d/x.csv") == data
        assert await storage.read("d/x.csv") == data
        assert (entry.key, entry.name, entry.size) == ("d/x.csv", "x.csv", len(data))
        assert abs(entry.modified - before) < PATIENCE + 1
        stat = await storage.stat("d/x.csv")
        assert (stat.key, stat.size, stat.etag) == (entry.key, entry.size, entry.etag)
        assert abs(stat.modified - entry.modified) < PATIENCE + 1
        assert await self.keys() == ["d/x.csv"]

    async def test_put_of_a_hint_is_there_as_well(self, storage: Storage) -> None:
        """Only a loss of power may take what need not be durable."""
        assert (await storage.put("d/x", b"1", durable=False)).size == 1
        assert (await storage.put("d/x", b"1", durable=False)).size == 1
        assert await storage.read("d/x") == b"1"

    @pytest.mark.parametrize("data", [b"x", b""], ids=["some", "empty"])
    async def test_put_of_the_same_bytes_again_is_no_error(self, storage: Storage, data: bytes) -> None:
        """A reply may have been lost."""
        await self.plant("d/x", data)
        assert (await storage.put("d/x", data)).size == len(data)
        assert (await storage.put("d/x", data)).size == len(data)
        assert await self.peek("d/x") == data

    @pytest.mark.parametrize(
        "other", [b"new", b"", b"older", b"o"], ids=["same-size", "empty", "longer", "shorter"]
    )
    async def test_put_of_other_bytes_is_refused(self, storage: Storage, other: bytes) -> None:
        """Nothing is ever overwritten, as far as the backend can tell."""
        await self.plant("d/x", b"old")
        if not self.refuses_overwrite:
            await storage.put("d/x", other)
            assert await self.peek("d/x") == other
            return
        with pytest.raises(TargetSupersededError, match="d/x"):
            await storage.put("d/x", other)
        assert await self.peek("d/x") == b"old"
        assert await self.keys() == ["d/x"]

    async def test_many_puts_of_the_same_bytes_at_once_all_succeed(self, storage: Storage) -> None:
        """The race is the lost reply once more."""
        entries = await asyncio.gather(*(storage.put("d/x", b"same") for _ in range(8)))
        assert {entry.size for entry in entries} == {4}
        assert await self.peek("d/x") == b"same"
        assert await self.keys() == ["d/x"]

    async def test_of_many_puts_of_different_bytes_at_once_one_wins(self, storage: Storage) -> None:
        """The winner's bytes stand there, whole, and the others are told."""
        datas = [bytes([65 + number]) * 1000 for number in range(8)]
        results = await asyncio.gather(*(storage.put("d/x", data) for data in datas), return_exceptions=True)
        won = [data for data, result in zip(datas, results, strict=True) if isinstance(result, Entry)]
        assert await self.peek("d/x") in won
        assert await self.keys() == ["d/x"]
        assert all(isinstance(result, Entry | TargetSupersededError) for result in results)
        assert len(won) == 1 or not self.refuses_overwrite
