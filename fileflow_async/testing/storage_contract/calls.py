"""What is done with a storage in one call."""
# ruff: noqa: S101 - a contract asserts

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from fileflow_async.storage.protocol import Entry, Storage

# Turns of the event loop, until a call is stopped.
STEPS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 21, 34, 55, 89, 144, 233, 377)


async def listed(storage: Storage, *, shallow: bool = False) -> list[str]:
    """Return the keys of a whole listing."""
    listing = await storage.list(shallow=shallow)
    assert listing.complete
    return [entry.key for entry in listing.entries]


async def created(storage: Storage, key: str, data: bytes) -> Entry:
    """Store bytes by `create`."""
    async with storage.create(key) as sink:
        await sink.write(data)
    return sink.entry


async def streamed(storage: Storage, key: str, *, etag: str | None = None) -> bytes:
    """Read bytes by `stream`."""
    async with storage.stream(key, etag=etag) as pieces:
        return b"".join([piece async for piece in pieces])


async def tailed(storage: Storage) -> None:
    """Look once by `tail`."""
    async with storage.tail(".feed/") as tail:
        await tail.names()


async def cancelled_after(steps: int, call: Awaitable[object]) -> None:
    """Cancel a call after so many turns of the event loop."""
    task = asyncio.ensure_future(call)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
