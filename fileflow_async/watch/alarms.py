"""Calls at set moments, from one task for all of them."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Never

from fileflow_async.clock import Clock

_SLICE = 10  # calls between two turns of the loop: each wakes a waiter, which takes a tenth of a millisecond
_FEW = 64  # alarms that are not worth sorting out


class Alarm:
    """A call that was asked for; `cancel` it when it is no longer wanted."""

    __slots__ = ("_alarms", "call", "moment")

    def __init__(self, alarms: "Alarms", moment: float, call: Callable[[], object]) -> None:
        self._alarms = alarms
        self.moment = moment
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        """Do not call."""
        if self.call is not None:
            self.call = None
            self._alarms.forget_one()


class Alarms:
    """The alarms of one watch.

    Args:
        now: What the moments are compared with.
        clock: What the task sleeps by.
        longest: How many seconds may pass until `now` is asked again: the wall clock may jump.
    """

    def __init__(self, now: Callable[[], float], clock: Clock, *, longest: float | None = None) -> None:
        self._now = now
        self._clock = clock
        self._longest = longest
        self._heap: list[tuple[float, int, Alarm]] = []
        self._order = itertools.count()
        self._cancelled = 0
        self._earlier = asyncio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, moment: float, call: Callable[[], object]) -> Alarm:
        """Call at a moment."""
        alarm = Alarm(self, moment, call)
        heapq.heappush(self._heap, (moment, next(self._order), alarm))
        if self._heap[0][2] is alarm:
            self._earlier.set()
        return alarm

    def forget_one(self) -> None:
        """Note that an alarm was cancelled; those are thrown out when they are most of all."""
        self._cancelled += 1
        if self._cancelled > _FEW and self._cancelled > len(self._heap) // 2:
            self._heap = [entry for entry in self._heap if entry[2].call is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    async def run(self) -> Never:
        """Call, for ever."""
        while True:
            self._earlier.clear()
            await self._ring()
            with suppress(TimeoutError):
                async with self._clock.timeout(self._pause()):
                    await self._earlier.wait()

    def _pause(self) -> float | None:
        if not self._heap:
            return self._longest
        seconds = self._heap[0][0] - self._now()
        return seconds if self._longest is None else min(seconds, self._longest)

    async def _ring(self) -> None:
        rung = 0
        while self._heap and self._heap[0][0] <= self._now():
            alarm = heapq.heappop(self._heap)[2]
            if alarm.call is None:
                self._cancelled -= 1
                continue
            call, alarm.call = alarm.call, None
            call()
            rung += 1
            if rung % _SLICE == 0:
                await asyncio.sleep(0)
