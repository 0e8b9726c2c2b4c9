"""What all who wait for targets of one store share, from the first who joins to the last who leaves."""

import asyncio
import contextvars
import logging
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import ClassVar, Never, Self
from weakref import WeakKeyDictionary

from fileflow_async.clock import Clock
from fileflow_async.errors import FileflowError
from fileflow_async.watch.alarms import Alarm, Alarms
from fileflow_async.watch.asking import answer, explained
from fileflow_async.watch.inbox import Inbox
from fileflow_async.watch.looks import Count, Looks
from fileflow_async.watch.poll import Poll
from fileflow_async.watch.source import OpenSource
from fileflow_async.watch.unseen import backoff

_STEADY = 60.0  # seconds of work after which a failure is a new one
_CLOSING = 10.0  # seconds that the last to leave waits for the store to be closed
_JUMP = 30.0  # seconds until the wall clock is asked again: somebody may set it

log = logging.getLogger(__name__)


class Watch:
    """One poll of a store and those whom it serves; `join` it.

    Attributes:
        counts: What happened so far: polls, failed polls, looks, hints, and finds that no hint announced.
    """

    _running: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, "Watch"]]] = (
        WeakKeyDictionary()
    )

    def __init__(self, open_source: OpenSource, clock: Clock, count: Count | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.looks = Looks(clock, self._count)
        self.poll = Poll(self.looks, clock, self._count)
        self.bell = Alarms(clock.time, clock, longest=_JUMP)
        self._open_source = open_source
        self.clock = clock
        self._report = count
        self._is_over = False
        self._task: asyncio.Task[None]

    @classmethod
    def join(
        cls,
        key: Hashable,
        open_source: OpenSource,
        *,
        interval: float,
        clock: Clock,
        count: Count | None = None,
    ) -> "Member":
        """Share this loop's watch of a store within an `async with`; the last to leave ends it.

        Args:
            key: All that opening the store depends on.
            open_source: Opens it; the watch closes it.
            interval: How often, in seconds, to poll at least; the least of all who share the watch counts.
            clock: Where the time comes from.
            count: Told whatever is added to `counts`; that of the first to join is used.
        """
        return Member(key, interval, lambda: cls(open_source, clock, count))

    @classmethod
    def of(cls, key: Hashable, make: Callable[[], "Watch"]) -> "Watch":
        """Return the watch that runs on this loop; make it where there is none."""
        watches = cls._running.setdefault(asyncio.get_running_loop(), {})
        if (watch := watches.get(key)) is None:
            watch = watches[key] = make()
            # It outlives whoever came first: it must not be in that waiter's task group, log context or span.
            watch._task = asyncio.create_task(watch._run(), context=contextvars.Context())
        return watch

    def end(self, key: Hashable) -> asyncio.Task[None]:
        """Stop; the task returned has ended when the store is closed."""
        del self._running[asyncio.get_running_loop()][key]
        self._is_over = True
        self._task.cancel()
        return self._task

    def _count(self, what: str, number: int) -> None:
        self.counts[what] += number
        if self._report is not None and number:
            self._report(what, number)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.bell.run())
            await self._serve()

    async def _serve(self) -> Never:
        """Watch the store; whenever that fails, say so and begin again."""
        failures = 0
        while True:
            began = self.clock.monotonic()
            error = await self._failure()
            failures = 1 if self.clock.monotonic() - began > _STEADY else failures + 1
            unexpected = None if isinstance(error, FileflowError) else error
            log.warning(
                "the store cannot be watched (%d times in a row): %s", failures, error, exc_info=unexpected
            )
            await self.looks.lose(error)
            await self.clock.sleep(backoff(failures))

    async def _failure(self) -> Exception:
        """Watch the store until something goes wrong, and return what."""
        try:
            await answer(self._watch_once(), self.clock, patience=None)
        except (Exception, BaseExceptionGroup) as error:
            if self._is_over:  # an error in closing must not undo the cancellation
                raise asyncio.CancelledError from error
            return explained(_first(error))

    async def _watch_once(self) -> Never:
        async with AsyncExitStack() as stack:
            source = await answer(stack.enter_async_context(self._open_source()), self.clock)
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self.poll.run(source))
                    # Not in a task too: a group that fails while it only waits for its tasks leaves its own
                    # one as if it had been cancelled (Python 3.11).
                    await self.looks.run(source)
            except BaseExceptionGroup:
                # One that fails while it is cancelled cancels its task once more (from Python 3.13 on), which
                # would cut short the closing of the store.
                if self._is_over:
                    with suppress(asyncio.CancelledError):
                        await asyncio.sleep(0)
                raise


class Member:
    """One waiter's share in a watch."""

    __slots__ = ("_alarm", "_inbox", "_interval", "_key", "_make", "_names", "_watch")

    def __init__(self, key: Hashable, interval: float, make: Callable[[], Watch]) -> None:
        self._key = key
        self._interval = interval
        self._make: Callable[[], Watch] | None = make
        self._alarm: Alarm | None = None
        self._names: Mapping[str, str] = {}
        self._inbox: Inbox | None = None
        self._watch: Watch

    async def __aenter__(self) -> Self:
        make, self._make = self._make, None
        if make is None:
            raise RuntimeError("a share in a watch is taken once")
        self._watch = Watch.of(self._key, make)
        self._watch.poll.want(self._interval)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await closed([self.leave()], self._watch.clock)

    def leave(self) -> asyncio.Task[None] | None:
        """Take back what was wanted; return what is still to be `closed` when this was the last."""
        if self._inbox is not None:
            for key in self._names:
                self._watch.looks.remove(key, self._inbox)
        if self._alarm is not None:
            self._alarm.cancel()
        self._watch.poll.unwant(self._interval)
        return None if self._watch.poll.is_wanted else self._watch.end(self._key)

    @property
    def counts(self) -> Mapping[str, int]:
        """What the watch has counted so far."""
        return self._watch.counts

    def want(self, interval: float) -> None:
        """Poll at least that often from now on, instead of as said before."""
        self._watch.poll.want(interval)
        self._watch.poll.unwant(self._interval)
        self._interval = interval

    def subscribe(self, names: Mapping[str, str], inbox: Inbox) -> None:
        """Tell an inbox about targets until it leaves: after a first look, and whenever one has changed.

        Args:
            names: How the inbox calls the target of each key.
            inbox: Who is told.
        """
        self._names, self._inbox = names, inbox
        for key, name in names.items():
            self._watch.looks.add(key, inbox, name)

    async def refresh(self, keys: Collection[str]) -> None:
        """Look at targets that are subscribed to, and return when it has been done."""
        await self._watch.looks.refresh(keys)

    def wake(self, inbox: Inbox, at: float | None) -> None:
        """Ring an inbox at a moment, in seconds since 1970, instead of the one said before."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None if at is None else self._watch.bell.at(at, inbox.ring)


async def closed(watches: Iterable[asyncio.Task[None] | None], clock: Clock) -> None:
    """Wait until the stores of watches that have ended are closed."""
    tasks = [task for task in watches if task is not None]
    if tasks:
        with suppress(TimeoutError):  # a store that hangs does not keep those who leave
            async with clock.timeout(_CLOSING):
                await asyncio.wait(tasks)


def _first(error: BaseException) -> Exception:
    """Return the first of the errors in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__}: {error}")
