"""One look at a folder or prefix of outsiders for all who wait there."""

import asyncio
import logging
import math
import random
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import ClassVar

from fileflow_async.arrival import Arrival
from fileflow_async.arrived import Arrived
from fileflow_async.clock import Clock
from fileflow_async.errors import FileflowError
from fileflow_async.sharing import Shared
from fileflow_async.storage.outside import Answer, Outside
from fileflow_async.storage.search import Search

_GAP = 0.5  # seconds between two looks at least: 300 arrivals a second must not be 300 looks
_FIRST_RETRY, _LAST_RETRY = 1.0, 20.0  # seconds between looks at what cannot be seen
_EARLY = 0.001  # seconds: a clock may wake us a little too soon, and a pause that short may end at once
_SLICE = 250  # waiters woken between two turns of the loop

log = logging.getLogger(__name__)

OpenOutside = Callable[[], AbstractAsyncContextManager[Outside]]


class Waiter:
    """One wait at a lookout.

    Args:
        arrival: What is waited for.
        pause: Tells in how many seconds to look again.
        due: When to look first, by the clock's monotonic time; whatever that shows is new.
    """

    def __init__(self, arrival: Arrival, pause: Callable[[], float], *, due: float) -> None:
        self.arrival = arrival
        self.due = due
        self.event: Arrived | None = None
        self.text = ""
        self._pause = pause

    def take(self, answer: Answer | Exception, now: float) -> bool:
        """Take a look in, and tell whether it showed anything new."""
        self.event = self.arrival.decide(answer, now)
        # Spread: those that came together do not look together for ever.
        self.due = now + self._pause() * random.uniform(1.0, 1.1)
        before, self.text = self.text, self.arrival.describe()
        return self.event is not None or self.text != before


class Lookout:
    """One series of looks and the waiters that it serves; `join` it.

    It looks when the first of them is due, at all that anybody waits for: each of them profits, and nobody
    wakes up for nothing.

    Args:
        open_outside: Opens the place; the lookout closes it.
        clock: Where the time comes from.

    Attributes:
        looks: How many there were.
    """

    _running: ClassVar[Shared["Lookout"]] = Shared()

    def __init__(self, open_outside: OpenOutside, clock: Clock) -> None:
        self.looks = 0
        self._open_outside = open_outside
        self._clock = clock
        self._waiting: dict[Waiter, asyncio.Future[Arrived | None]] = {}
        self._asked = asyncio.Event()
        self._next = math.inf
        self._earliest = -math.inf
        self._failures = 0

    @classmethod
    def join(
        cls, key: Hashable, open_outside: OpenOutside, *, clock: Clock
    ) -> AbstractAsyncContextManager["Lookout"]:
        """Share this loop's lookout of a place; the last to leave ends it.

        Args:
            key: All that opening the place depends on.
            open_outside: Opens it.
            clock: Where the time comes from.
        """
        return cls._running.join(key, lambda: cls(open_outside, clock))

    async def news(self, waiter: Waiter) -> Arrived | None:
        """Return once a look has shown something new: how the wait ends, or None when it goes on."""
        answer: asyncio.Future[Arrived | None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = answer
        if waiter.due < self._next:
            self._asked.set()
        try:
            return await answer
        finally:
            del self._waiting[waiter]

    async def run(self) -> None:
        """Look whenever somebody is to be looked for."""
        while True:
            try:
                await self._due()
                async with self._open_outside() as outside:
                    while True:
                        await self._look(outside)
                        await self._due()
            except Exception as error:  # it is opened anew: what its opening depends on may have changed
                await self._fail(error)

    @property
    def _now(self) -> float:
        return self._clock.monotonic()

    async def _due(self) -> None:
        """Return when somebody is to be looked for."""
        while True:
            self._asked.clear()
            self._next = max(self._earliest, min((waiter.due for waiter in self._waiting), default=math.inf))
            if self._next <= self._now + _EARLY:
                return
            with suppress(TimeoutError):
                async with self._clock.timeout(None if math.isinf(self._next) else self._next - self._now):
                    await self._asked.wait()

    async def _look(self, outside: Outside) -> None:
        """Look for everybody, due or not: the answer costs the same."""
        waiters, began = list(self._waiting), self._now
        if not waiters:  # who was due has left while the place was opened
            return

        def then(answers: Mapping[Search, Answer]) -> Mapping[Waiter, _News]:
            now = self._now
            return {waiter: _taken(waiter, answers[waiter.arrival.search], now) for waiter in waiters}

        try:
            news = await outside.look({waiter.arrival.search for waiter in waiters}, then)
        except FileflowError as error:
            await self._fail(error)
            return
        if self._failures:
            log.info("files can be looked for again")
            self._failures = 0
        self.looks += 1
        self._earliest = self._now + max(_GAP, self._now - began)
        await self._tell(news)

    async def _fail(self, error: Exception) -> None:
        """Tell everybody that nothing can be seen, and pause."""
        self._failures += 1
        expected = isinstance(error, FileflowError)
        log.log(
            logging.WARNING if self._failures == 1 else logging.DEBUG,
            "files cannot be looked for (%d times in a row): %s",
            self._failures,
            error,
            exc_info=None if expected else error,
        )
        self._earliest = self._now + _backoff(self._failures)
        await self._tell({waiter: _taken(waiter, error, self._now) for waiter in self._waiting})

    async def _tell(self, news: Mapping[Waiter, "_News"]) -> None:
        for told, (waiter, what) in enumerate(news.items(), start=1):
            answer = self._waiting.get(waiter)
            if answer is not None and not answer.done():
                if isinstance(what, Exception):
                    answer.set_exception(what)
                elif what:
                    answer.set_result(waiter.event)
            if told % _SLICE == 0:
                await asyncio.sleep(0)


_News = bool | Exception  # whether there is any; an exception is a waiter's own, and must reach no other


def _taken(waiter: Waiter, answer: Answer | Exception, now: float) -> _News:
    try:
        return waiter.take(answer, now)
    except Exception as error:
        return error


def _backoff(failures: int) -> float:
    longest = min(_LAST_RETRY, _FIRST_RETRY * 2.0 ** min(failures - 1, 16))
    return longest * random.uniform(0.5, 1.0)
