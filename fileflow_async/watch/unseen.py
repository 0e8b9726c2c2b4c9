"""Targets that could not be looked at, and when that is tried again."""

import asyncio
import random
from collections.abc import Callable, Collection
from typing import Never

from fileflow_async.clock import Clock
from fileflow_async.errors import StorageUnavailableError
from fileflow_async.watch.watched import Watched

_FIRST, _LONGEST = 1.0, 20.0  # seconds: a refusal must be seen three times in 90 s
_SAMPLE = 64  # targets tried for all the others while the store does not answer

LookSoon = Callable[[Watched], None]


def backoff(failures: int) -> float:
    """Return how many seconds to wait after so many failures in a row, with jitter: many may have failed."""
    return min(_LONGEST, _FIRST * 2.0 ** min(failures - 1, 16)) * random.uniform(0.5, 1.0)


class Unseen:
    """Tries again in rounds, so that a store in trouble gets fewer requests than usual, however many wait.

    Targets that the store refuses are tried in each round: who waits for them is told within 90 seconds. Of
    those that it does not answer for, a sample is tried; the others follow when that has got an answer.

    Attributes:
        probed: Whether the poll asks the same store and gets no answer either: then it is the sample.
    """

    def __init__(self, clock: Clock, look_soon: LookSoon) -> None:
        self.probed = False
        self._clock = clock
        self._look_soon = look_soon
        self._down: dict[Watched, None] = {}
        self._refused: dict[Watched, None] = {}
        self._any = asyncio.Event()
        self._recovered = asyncio.Event()

    def note(self, watched: Watched, error: Exception | None) -> None:
        """Note how the last look at a target went."""
        was_down = watched in self._down
        self.forget(watched)
        if error is None:
            if was_down:
                self._recovered.set()
            return
        (self._down if isinstance(error, StorageUnavailableError) else self._refused)[watched] = None
        self._any.set()

    def forget(self, watched: Watched) -> None:
        """Nobody waits for a target any longer."""
        self._down.pop(watched, None)
        self._refused.pop(watched, None)

    def look_at_all(self) -> None:
        """Try everything now: the store answers again."""
        for watched in (*self._down, *self._refused):
            self._look_soon(watched)

    async def run(self) -> Never:
        """Try again, for ever."""
        failures = 0
        while True:
            if not self._down and not self._refused:
                failures = 0
                self._any.clear()
                await self._any.wait()
            failures += 1
            recovering = await self._pause(backoff(failures))
            if recovering:
                failures = 0
            for watched in (*(tuple(self._down) if recovering else self._sample()), *self._refused):
                self._look_soon(watched)

    async def _pause(self, seconds: float) -> bool:
        """Wait; return whether something that was down has been seen again, which cuts it short."""
        self._recovered.clear()
        try:
            async with self._clock.timeout(seconds):
                await self._recovered.wait()
        except TimeoutError:
            return False
        await self._clock.sleep(_FIRST)  # not once for each of them
        return True

    def _sample(self) -> Collection[Watched]:
        if self.probed:
            return ()
        # Neighbours, which are answered together; each time others: perhaps only a part of the store is down.
        down = sorted(self._down, key=lambda watched: watched.key)
        start = random.randrange(max(1, len(down) - _SAMPLE + 1))
        return down[start : start + _SAMPLE]
