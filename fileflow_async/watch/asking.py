"""How a watch asks a store for something, and what comes of it when that goes wrong."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fileflow_async.clock import Clock
from fileflow_async.errors import FileflowError, StorageUnavailableError

PATIENCE = 90.0  # seconds; storages end their requests sooner, and one that does not must not stop the watch

T = TypeVar("T")


async def answer(request: Awaitable[T], clock: Clock, *, patience: float | None = PATIENCE) -> T:
    """Return what a store answers.

    Raises:
        TimeoutError: It does not.
        ConnectionError: The request was cancelled, but not by whoever cancels this task. A pool of threads
            that is shut down does so; the task would end without a sound.
    """
    try:
        async with clock.timeout(patience):
            return await request
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the request was cancelled") from None


def explained(error: Exception) -> Exception:
    """Return a timeout or a lost connection as the error of ours that says: ask again later."""
    if isinstance(error, FileflowError) or not isinstance(error, TimeoutError | ConnectionError):
        return error
    unavailable = StorageUnavailableError(f"the store did not answer: {str(error) or type(error).__name__}")
    unavailable.__cause__ = error
    return unavailable
