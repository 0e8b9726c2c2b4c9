"""What blocks for a moment has a thread of its own."""

import asyncio
import contextvars
import threading

import pytest

from fileflow_async.aside import aside
from fileflow_async.testing.storage_contract import eventually

said = contextvars.ContextVar[str]("said")


async def test_it_blocks_nobody_and_returns_or_raises() -> None:
    """In the caller's context, with all arguments."""
    said.set("by the caller")
    assert await aside(lambda *given, **named: (said.get(), given, named), 1, a=2) == (
        "by the caller",
        (1,),
        {"a": 2},
    )
    with pytest.raises(ZeroDivisionError):
        await aside(divmod, 1, 0)


async def test_others_cannot_keep_it_from_running() -> None:
    """Though they fill all threads of the loop."""
    release = threading.Event()
    hanging = [asyncio.create_task(asyncio.to_thread(release.wait, 30)) for _ in range(100)]
    await asyncio.sleep(0.05)
    try:
        async with asyncio.timeout(5):
            assert await aside(int, "7") == 7
    finally:
        release.set()
        await asyncio.wait(hanging)


async def test_its_thread_ends_with_it() -> None:
    """Also when whoever asked has gone, or keeps what it has raised."""
    begun, release = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        release.wait(30)

    async def is_begun() -> bool:
        return begun.is_set()

    asking = asyncio.create_task(aside(wait))
    await eventually(is_begun)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    release.set()
    with pytest.raises(ZeroDivisionError) as kept:
        await aside(divmod, 1, 0)

    async def gone() -> bool:
        return not any(thread.name.startswith("fileflow-aside") for thread in threading.enumerate())

    await eventually(gone)
    assert kept.traceback
