"""What all waits do alike once they end: they are counted, and held back until they may be told."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar

from fileflow_async import _compat
from fileflow_async.clock import Clock
from fileflow_async.outcome import Outcome
from fileflow_async.triggers.progress import Log
from fileflow_async.waiting import utc

_SLICE = 60.0  # seconds until the wall clock is asked again: it may jump


class Ending(Protocol):
    """How a wait ended."""

    @property
    def outcome(self) -> Outcome: ...

    def describe(self) -> str: ...


AnEnding = TypeVar("AnEnding", bound=Ending)


async def ended(watch: Awaitable[AnEnding], *, not_before: float | None, clock: Clock) -> AnEnding:
    """Return how a wait ends, not before it may be told.

    Args:
        watch: What waits.
        not_before: The moment before which no event is fired, in seconds since 1970.
        clock: Where the time comes from.
    """
    began, outcome = clock.monotonic(), "failed"
    _compat.count("fileflow.waits.begun")
    try:
        event = await watch
        outcome = str(event.outcome)
        while not_before is not None and (left := not_before - clock.time()) > 0:  # ADR 0008
            await clock.sleep(min(left, _SLICE))
    except asyncio.CancelledError:
        outcome = "cancelled"
        raise
    finally:
        _compat.count("fileflow.waits.ended", tags={"outcome": outcome})
        _compat.timing("fileflow.wait_seconds", clock.monotonic() - began, tags={"outcome": outcome})
    return event


class Changes:
    """What the log tells of a wait for one thing: changes only.

    Args:
        log: The log of the task that waits.
        until: When the wait ends, in seconds since 1970.
    """

    def __init__(self, log: Log, until: float | None) -> None:
        self._log = log
        self._until = until
        self._told: str | None = None

    def tell(self, text: str, event: Ending | None) -> None:
        """Log what is new, or how the wait ends."""
        if event is not None:
            write: Any = self._log.info if event.outcome is Outcome.READY else self._log.warning
            write("the wait ends: %s. %s", event.outcome, event.describe())
        elif text != self._told:
            until = f" until {utc(self._until)}" if self._told is None and self._until is not None else ""
            self._log.info("waiting%s: %s", until, text)
            self._told = text
