"""One of something for all in an event loop who ask for the same."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary


class Runs(Protocol):
    """What does its work in a task of its own, until that is cancelled."""

    async def run(self) -> None:
        """Work."""
        ...


One = TypeVar("One", bound=Runs)


@dataclass
class _Running(Generic[One]):
    one: One
    task: asyncio.Task[None]
    members: int = 0


class Shared(Generic[One]):
    """Runs one for each key in each event loop, as long as somebody has joined it."""

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Running[One]]] = (
            WeakKeyDictionary()
        )

    @asynccontextmanager
    async def join(self, key: Hashable, make: Callable[[], One]) -> AsyncIterator[One]:
        """Share this loop's; the last to leave ends it.

        Args:
            key: All that it depends on.
            make: Makes it, where there is none.
        """
        there = self._loops.setdefault(asyncio.get_running_loop(), {})
        if (running := there.get(key)) is None:
            one = make()
            # It outlives whoever came first: it must not be in that waiter's task group, log context or span.
            task = asyncio.create_task(one.run(), context=contextvars.Context())
            running = there[key] = _Running(one, task)
        running.members += 1
        try:
            yield running.one
        finally:
            running.members -= 1
            if not running.members:
                del there[key]
                running.task.cancel()
                await asyncio.wait((running.task,))  # what it has open is closed when the last has left
