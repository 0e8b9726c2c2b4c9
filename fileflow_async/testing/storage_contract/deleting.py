"""Promises of `delete` and `abandon`."""
# ruff: noqa: S101 - a contract asserts

import asyncio
import time
from itertools import pairwise

from fileflow_async.storage.protocol import Storage
from fileflow_async.testing.storage_contract.back_door import BackDoor


class DeletePromises(BackDoor):
    """Taking away."""

    async def test_delete_removes_what_it_was_given(self, storage: Storage) -> None:
        """And nothing that only looks like it; what is not there is no error."""
        for key in ("d/x", "d/x.ok", "d/xy", "e/x"):
            await self.plant(key, b"1")
        await storage.delete(["d/x", "d/none", "none/none", "e/x", "d/x"])
        assert sorted(await self.keys()) == ["d/x.ok", "d/xy"]
        await storage.delete([])
        await storage.delete(key for key in ("d/x.ok", "d/xy"))
        assert await self.keys() == []
        await storage.put("d/x", b"2")
        assert await self.peek("d/x") == b"2"

    async def test_delete_keeps_the_order(self, storage: Storage) -> None:
        """Whoever sees that a later key is gone finds no earlier one."""
        keys = [f"d/{number:02d}" for number in range(20)]
        keys = keys[::2] + keys[1::2]
        for key in keys:
            await self.plant(key, b"1")
        task = asyncio.create_task(storage.delete(keys))
        while not task.done():
            for earlier, later in pairwise(keys):
                if await self.peek(later) is None:
                    assert await self.peek(earlier) is None
            await asyncio.sleep(0)
        await task
        assert await self.keys() == []

    async def test_abandon_leaves_whole_objects_alone(self, storage: Storage) -> None:
        """It takes back only what `list` cannot show."""
        await self.plant("d/x", b"1")
        later = time.time() + 3600
        assert list(await storage.abandon(before=later, prefix="a")) == []
        assert list(await storage.abandon(before=later, dry_run=False)) == []
        assert await self.keys() == ["d/x"]
