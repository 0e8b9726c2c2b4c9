"""Wait in the triggerer until targets are committed."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from airflow.triggers.base import TriggerEvent

from fileflow_async.clock import Clock, SystemClock
from fileflow_async.criteria import Criteria, Policy, When
from fileflow_async.outcome import Outcome, WaitEvent
from fileflow_async.triggers.arguments import ArgumentsTrigger
from fileflow_async.triggers.collector import collect_rarely
from fileflow_async.triggers.ending import ended
from fileflow_async.triggers.pace import Pace, check_times
from fileflow_async.triggers.progress import Progress
from fileflow_async.triggers.stores import Store, Stores, stores_of
from fileflow_async.waiting import Wait
from fileflow_async.watch import Inbox

_CLOCK: Clock = SystemClock()
_LAST_LOOK = 10.0  # seconds that the look at the deadline may take


@dataclass(kw_only=True, eq=False, repr=False)
class FileTargetTrigger(ArgumentsTrigger):
    """Fires one event: when enough targets are committed, when that can no longer be, or at the deadline.

    Attributes:
        root: The URI of the store.
        targets: Keys of targets in it; a target elsewhere is given by its whole URI.
        conn_id: The Airflow connection that opens the store, and others of its kind.
        when: `all`, `any`, or how many.
        poke_interval: How often, in seconds, a store is asked at least; all waits in a store share that.
        deadline: When the wait ends, in seconds since 1970; None is never.
        newer_than: Commits made before this moment, in seconds since 1970, do not count; for all targets, or
            for some, by what `targets` calls them.
        on_empty: What a target does that is complete but empty: accept, fail, skip or wait.
        on_corrupt: What a damaged target does: fail, skip or wait.
        on_abandoned: What a target does whose producer has been silent for long: wait, fail or skip.
        not_before: The moment before which no event is fired, in seconds since 1970.
        backoff: Ask half as often each time, for this wait.
        max_wait: How many seconds `backoff` may put between two looks.
    """

    root: str
    targets: list[str]
    conn_id: str | None = None
    when: When = "all"
    poke_interval: float = 5.0
    deadline: float | None = None
    newer_than: float | Mapping[str, float] | None = None
    on_empty: Policy = "accept"
    on_corrupt: Policy = "fail"
    on_abandoned: Policy = "wait"
    not_before: float | None = None
    backoff: bool = False
    max_wait: float | None = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        await collect_rarely()
        event = await self.wait(_CLOCK)
        yield TriggerEvent(event.to_payload())

    async def wait(self, clock: Clock) -> WaitEvent:
        """Return how the wait ends.

        Raises:
            ConfigError: An argument is wrong.
            TargetNameError: A target cannot be one.
        """
        stores = stores_of(self.root, self.targets, self.conn_id)
        wait = self._checked(stores)
        return await ended(self._watch(wait, stores, clock), not_before=self.not_before, clock=clock)

    def _checked(self, stores: Sequence[Store]) -> Wait:
        """Return what is waited for, when no argument is wrong."""
        known = {name for store in stores for name in store.names.values()}
        wait = Wait(
            targets=tuple(name for name in dict.fromkeys(self.targets) if name in known),
            criteria=Criteria(
                when=self.when,
                newer_than=self.newer_than,
                on_empty=self.on_empty,
                on_corrupt=self.on_corrupt,
                on_abandoned=self.on_abandoned,
            ),
        )
        wait.check()
        check_times(self)
        return wait

    async def _watch(self, wait: Wait, stores: Sequence[Store], clock: Clock) -> WaitEvent:
        """Decide at each news, at the deadline at the latest."""
        inbox, progress = Inbox(), Progress(wait, self.log, until=self.deadline)
        pace = Pace(self.poke_interval, clock.time(), longest=self.max_wait) if self.backoff else None
        async with Stores(stores, inbox, interval=self.poke_interval, clock=clock) as watched:
            while True:
                now = clock.time()
                event = wait.decide(inbox.statuses, clock.monotonic())
                if event is None and self.deadline is not None and now >= self.deadline:
                    event = await self._last_look(wait, inbox, watched, clock)
                if event is not None:
                    progress.end(event, inbox.statuses)
                    return event
                remind = progress.tell(inbox.statuses, now)
                if pace is not None and pace.advance(now):
                    watched.want(pace.interval)
                moments = (self.deadline, remind, pace.next if pace is not None else None)
                watched.wake(min((moment for moment in moments if moment is not None), default=None))
                await inbox.changed()

    async def _last_look(self, wait: Wait, inbox: Inbox, watched: Stores, clock: Clock) -> WaitEvent:
        """Look once more, so that a commit of the last second counts, and what is said is fresh."""
        with suppress(TimeoutError):
            async with clock.timeout(_LAST_LOOK):
                await watched.refresh(wait.missing(inbox.statuses))
        event = wait.decide(inbox.statuses, clock.monotonic())
        return event or wait.event(Outcome.TIMEOUT, inbox.statuses)
