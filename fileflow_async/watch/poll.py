"""When a watch asks the feed of its store."""

import asyncio
import logging
import random
from collections import Counter
from contextlib import suppress
from typing import Never

from fileflow_async.clock import Clock
from fileflow_async.errors import FileflowError, StorageUnavailableError
from fileflow_async.watch.asking import answer, explained
from fileflow_async.watch.looks import Count, Looks
from fileflow_async.watch.source import Source
from fileflow_async.watch.unseen import backoff

_LONGEST = 600.0  # seconds between two polls, whatever the waiters want: rechecks come with the polls
_JITTER = 1.1  # at most so many intervals: many processes need not poll at the same moment
_CHECK = 10.0  # seconds between two polls where the store tells of all there is: they only make sure
_GAP = 0.02  # seconds between two polls at least; the first sign after a pause is followed at once

log = logging.getLogger(__name__)


class Poll:
    """Asks for hints as often as the most impatient waiter wants, and at once when the store gives a sign.

    Less often than wanted, where the store gives a sign of everything.

    Args:
        looks: What follows the hints.
        clock: Where the time comes from.
        count: Told what happened, and how often.
    """

    def __init__(self, looks: Looks, clock: Clock, count: Count) -> None:
        self._looks = looks
        self._clock = clock
        self._count = count
        self._intervals: Counter[float] = Counter()
        self._woken = asyncio.Event()

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits."""
        return bool(self._intervals)

    def want(self, interval: float) -> None:
        """Poll at least that often, from now on."""
        if interval not in self._intervals:  # the pause under way may have to be shorter
            self._woken.set()
        self._intervals[interval] += 1

    def unwant(self, interval: float) -> None:
        """Take back what `want` was told."""
        self._intervals -= Counter((interval,))
        if interval not in self._intervals:
            self._woken.set()

    async def run(self, source: Source) -> Never:
        """Poll, for ever."""
        failures = 0
        while True:
            failures = await self._poll(source, failures)
            await self._pause(source, failures)

    async def _poll(self, source: Source, failures: int) -> int:
        """Ask once; return how many times in a row that has failed now."""
        self._count("polls", 1)
        try:
            hashes = await answer(source.hints(), self._clock)
        except Exception as error:
            self._count("polls.failed", 1)
            self._looks.unseen.probed = isinstance(explained(error), StorageUnavailableError)
            if failures == 0:
                log.warning("the feed cannot be read, targets are looked at every minute: %s", _text(error))
            self._looks.recheck(blind=True)
            return failures + 1
        self._looks.unseen.probed = False
        if failures:
            log.info("the feed can be read again, after %d attempts", failures)
            self._looks.unseen.look_at_all()
        if hashes is None:
            self._looks.follow_all()
        else:
            self._looks.follow(hashes)
            self._looks.recheck(blind=False)
        return 0

    async def _pause(self, source: Source, failures: int) -> None:
        began, signs = self._clock.monotonic(), asyncio.Event()
        jitter, least = random.uniform(1.0, _JITTER), backoff(failures) if failures else 0.0
        async with asyncio.TaskGroup() as tasks:
            listener = tasks.create_task(self._listen(source, signs))
            while not signs.is_set():
                self._woken.clear()
                interval = min(self._interval(source) * jitter, _LONGEST)
                with suppress(TimeoutError):
                    # Those who come or go only change how long it is: 300 a second must not be 300 polls.
                    async with self._clock.timeout(began + max(interval, least) - self._clock.monotonic()):
                        await self._woken.wait()
                        continue
                break
            listener.cancel()

    def _interval(self, source: Source) -> float:
        wanted = min(self._intervals, default=_LONGEST)
        return max(wanted, _CHECK) if source.is_prompt else wanted  # ADR 0032

    async def _listen(self, source: Source, signs: asyncio.Event) -> None:
        await self._clock.sleep(_GAP)
        try:
            await answer(source.changed(), self._clock, patience=None)
        except Exception as error:
            log.info("the store gives no signs, only polls find what is new: %s", _text(error))
            return
        signs.set()
        self._woken.set()


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, FileflowError) else f"{type(error).__name__}: {error}"
