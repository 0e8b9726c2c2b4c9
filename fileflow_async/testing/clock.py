"""A clock that moves when a test says so."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_SETTLE = 50  # turns of the loop that let every woken task run on to its next wait


class FakeClock:
    """A `Clock` whose time stands still between two calls of `advance`."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self._now = now
        self._start = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def time(self) -> float:
        """Return the seconds since 1970."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds since the clock was made."""
        return self._now - self._start

    async def sleep(self, seconds: float) -> None:
        """Return when `advance` has moved the clock so far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
        """Raise TimeoutError when the block takes longer; None is for ever."""
        async with asyncio.timeout(None) as limit:
            if seconds is None:
                yield limit
                return
            loop = asyncio.get_running_loop()
            over = loop.create_future()

            def expire(_: object) -> None:
                if not over.cancelled():
                    limit.reschedule(loop.time())

            over.add_done_callback(expire)
            heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), over))
            if seconds <= 0:
                limit.reschedule(loop.time())
            try:
                yield limit
            finally:
                over.cancel()

    @property
    def sleepers(self) -> int:
        """How many tasks sleep."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move on, waking the sleepers one after another at their own moments."""
        await self.settle()
        until = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= until:
            moment, _, woken = heapq.heappop(self._sleepers)
            if woken.done():  # its task was cancelled
                continue
            self._now = max(self._now, moment)
            woken.set_result(None)
            await self.settle()
        self._now = until
        await self.settle()

    async def settle(self) -> None:
        """Let every task run on until it waits for something."""
        for _ in range(_SETTLE):
            await asyncio.sleep(0)
