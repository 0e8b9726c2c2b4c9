"""Wait in the triggerer until outsiders have put their files."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

from airflow.triggers.base import TriggerEvent

from fileflow_async.arrival import Arrival
from fileflow_async.arrival_rules import Rules
from fileflow_async.arrivals import Lookout, Waiter
from fileflow_async.arrived import Arrived
from fileflow_async.clock import Clock, SystemClock
from fileflow_async.errors import ConfigError, quoted
from fileflow_async.hooks.outside import open_outside
from fileflow_async.storage.search import Search
from fileflow_async.triggers.arguments import ArgumentsTrigger
from fileflow_async.triggers.collector import collect_rarely
from fileflow_async.triggers.ending import Changes, ended
from fileflow_async.triggers.pace import Pace, check_times

_CLOCK: Clock = SystemClock()
_LAST_LOOK = 10.0  # seconds that the look at the deadline may take
_SLICE = 60.0  # seconds until the wall clock is compared with the deadline again: it may jump
_SPREAD = 5.0  # seconds over which those that come together look first, at most one interval


@dataclass(kw_only=True, eq=False, repr=False)
class ArrivalTrigger(ArgumentsTrigger):
    """Fires one event: when enough files of outsiders have arrived, when it cannot look, at the deadline.

    A file has arrived when its producer says so by a done file; when it is a single object of S3, which
    appears as a whole; otherwise when so many looks showed it the same, it is so old, and nobody on this host
    has it open for writing: a guess. Temporary and hidden names, links and what is no file never count.

    Attributes:
        path: The literal path or URI of one file, or with a `/` at its end of one folder.
        pattern: The same with wildcards: `*`, `?`, `[abc]`, and `**` for any number of folders.
        conn_id: The Airflow connection with which the place is opened.
        looks: How many looks must show a file the same, where it has to be guessed.
        look_interval: How many seconds apart.
        min_age: How many seconds old it must be, where it has to be guessed.
        min_size: How many bytes a file must have.
        min_count: How many files must have arrived.
        done_file: The name of the done file beside each, such as `{name}.done` or `{stem}.ok`; or one for a
            whole folder, such as `_SUCCESS`.
        on_arriving: What further files do that are new or change when there are enough: `wait` for them, or
            `skip` them.
        poke_interval: How often, in seconds, to look at least; all waits at a place share the looks.
        backoff: Whether to look half as often each time that an interval has passed.
        max_wait: The longest interval then, in seconds.
        deadline: When the wait ends, in seconds since 1970.
        not_before: The moment before which no event is fired, in seconds since 1970.
    """

    path: str | None = None
    pattern: str | None = None
    conn_id: str | None = None
    looks: int = 3
    look_interval: float = 30.0
    min_age: float = 60.0
    min_size: int = 1
    min_count: int = 1
    done_file: str | None = None
    on_arriving: Literal["wait", "skip"] = "wait"
    poke_interval: float = 5.0
    backoff: bool = False
    max_wait: float | None = None
    deadline: float | None = None
    not_before: float | None = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        await collect_rarely()
        event = await self.wait(_CLOCK)
        yield TriggerEvent(event.to_payload())

    async def wait(self, clock: Clock) -> Arrived:
        """Return how the wait ends.

        Raises:
            ConfigError: An argument is wrong.
        """
        arrival = self._checked()
        return await ended(self._watch(arrival, clock), not_before=self.not_before, clock=clock)

    def _checked(self) -> Arrival:
        """Return what is waited for, when no argument is wrong."""
        search = Search.of(path=self.path, pattern=self.pattern, done_file=self.done_file)
        rules = Rules(
            looks=self.looks,
            look_interval=self.look_interval,
            min_age=self.min_age,
            min_size=self.min_size,
            min_count=self.min_count,
            on_arriving=self.on_arriving,
        )
        rules.check(search)
        check_times(self)
        if self.conn_id is not None and not isinstance(self.conn_id, str):
            raise ConfigError(f"conn_id must be a string, got {quoted(self.conn_id)}")
        return Arrival(search, rules)

    async def _watch(self, arrival: Arrival, clock: Clock) -> Arrived:
        """Decide at each look, at the deadline at the latest."""
        search, progress = arrival.search, Changes(self.log, self.deadline)
        pace = _pace_of(self, arrival, clock)
        open_place = partial(open_outside, search, self.conn_id)
        async with Lookout.join((search.key, self.conn_id), open_place, clock=clock) as lookout:
            spread = random.uniform(0.0, min(self.poke_interval, _SPREAD))
            waiter = Waiter(arrival, pace, due=clock.monotonic() + spread)
            event = None
            while event is None:
                left = _SLICE if self.deadline is None else self.deadline - clock.time()
                if left > 0:
                    event = await _news(lookout, waiter, min(left, _SLICE), clock)
                else:  # once more, so that a file of the last second counts, and what is said is fresh
                    last = Waiter(arrival, pace, due=clock.monotonic())
                    event = await _news(lookout, last, _LAST_LOOK, clock) or arrival.timeout()
                progress.tell(arrival.describe(), event)
            if event.guess is not None:
                self.log.info("%s", event.guess)
            return event


def _pace_of(trigger: ArrivalTrigger, arrival: Arrival, clock: Clock) -> Callable[[], float]:
    """Return what tells in how many seconds to look again."""
    pace = Pace(trigger.poke_interval, clock.time(), longest=trigger.max_wait) if trigger.backoff else None

    def pause() -> float:
        if pace is None:
            return arrival.pause(trigger.poke_interval)
        pace.advance(clock.time())
        return arrival.pause(pace.interval)

    return pause


async def _news(lookout: Lookout, waiter: Waiter, seconds: float, clock: Clock) -> Arrived | None:
    """Wait for news, but only so long."""
    with suppress(TimeoutError):
        async with clock.timeout(seconds):
            return await lookout.news(waiter)
    return None
