"""How long a test waits for what should happen soon."""
# ruff: noqa: S101 - a contract asserts

import asyncio
import time
from collections.abc import Awaitable, Callable

PATIENCE = 10.0  # seconds until what should happen soon is taken to never happen


async def eventually(condition: Callable[[], Awaitable[bool]], *, seconds: float = PATIENCE) -> None:
    """Return once the condition holds; fail when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.005)
