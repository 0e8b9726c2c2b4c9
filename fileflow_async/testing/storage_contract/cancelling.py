"""Promises about calls that are cancelled."""
# ruff: noqa: S101 - a contract asserts

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from fileflow_async.errors import TargetSupersededError
from fileflow_async.storage.protocol import PIECE, Storage
from fileflow_async.testing.storage_contract.back_door import BackDoor
from fileflow_async.testing.storage_contract.calls import STEPS, cancelled_after, created, streamed, tailed
from fileflow_async.testing.storage_contract.patience import eventually


class CancelPromises(BackDoor):
    """Stopping anywhere."""

    async def test_a_cancelled_put_stores_all_or_nothing(self, storage: Storage) -> None:
        """Wherever it was stopped; and the key can be put again."""
        for steps in STEPS:
            await cancelled_after(steps, storage.put(f"d/{steps}", b"x" * 1000))
            assert await self.peek(f"d/{steps}") in (None, b"x" * 1000)
        await eventually(self._has_no_parts)
        for steps in STEPS:
            await eventually(partial(_is_put, storage, f"d/{steps}", b"x" * 1000))

    async def test_a_cancelled_create_stores_all_or_nothing(self, storage: Storage) -> None:
        """Wherever it was stopped, and nothing is left of it."""
        data = b"x" * (PIECE + 1)
        for steps in STEPS:
            await cancelled_after(steps, created(storage, f"d/{steps}", data))
        await eventually(self._has_no_parts)
        for key in await self.keys():
            assert await self.peek(key) == data

    async def test_cancelling_leaves_nothing_busy(self, storage: Storage) -> None:
        """No task, thread or descriptor stays for a call that was cancelled."""
        await self.plant("d/x", b"x" * (PIECE + 1))
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: storage.read("d/x"),
            lambda: storage.read_range("d/x", 1, PIECE),
            lambda: streamed(storage, "d/x"),
            lambda: storage.stat("d/x"),
            lambda: storage.list(),
            lambda: storage.list_each(["d/"]),
            lambda: storage.read_each(["d/x"]),
            lambda: storage.delete(["e/x"]),
            lambda: tailed(storage),
        ]
        for call in calls:
            await call()
        tasks, threads, descriptors = asyncio.all_tasks(), threading.active_count(), await _descriptors()
        for call in calls:
            for steps in STEPS:
                await cancelled_after(steps, call())
        assert len(STEPS) > self.busy_slack  # else one leak a round would not show

        async def settled() -> bool:
            return (
                asyncio.all_tasks() == tasks
                and threading.active_count() <= threads + self.busy_slack
                and await _descriptors() <= descriptors + self.busy_slack
            )

        await eventually(settled)
        assert len(await storage.read("d/x")) == PIECE + 1


async def _is_put(storage: Storage, key: str, data: bytes) -> bool:
    try:
        return (await storage.put(key, data)).size == len(data)
    except TargetSupersededError:  # a cancelled one is still being taken back
        return False


async def _descriptors() -> int:
    def count() -> int:
        folder = Path("/proc/self/fd")
        return sum(1 for _ in folder.iterdir()) if folder.exists() else 0  # none on other systems than Linux

    return await asyncio.to_thread(count)
