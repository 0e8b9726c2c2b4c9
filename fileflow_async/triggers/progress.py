"""What the log tells of a wait while it lasts: changes only."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fileflow_async.outcome import Outcome, WaitEvent
from fileflow_async.status import State, Status
from fileflow_async.waiting import Wait, utc

_NAMED = 5  # targets in one line
_REMIND = 3600.0  # seconds between two warnings that a target is abandoned
_WORRYING = frozenset({State.ABANDONED, State.CORRUPT, State.FAILED, State.UNREADABLE})


class Log(Protocol):
    """What is asked of a log."""

    def info(self, event: str, *args: Any) -> Any: ...

    def warning(self, event: str, *args: Any) -> Any: ...


class Progress:
    """Tells the log of one wait.

    Args:
        wait: What is waited for.
        log: The log of the task that waits.
        until: When the wait ends, in seconds since 1970.
    """

    __slots__ = ("_log", "_remind", "_told", "_until", "_wait")

    def __init__(self, wait: Wait, log: Log, *, until: float | None) -> None:
        self._wait = wait
        self._log = log
        self._until = until
        self._told: tuple[Status | None, ...] = ()
        self._remind: float | None = None

    def tell(self, statuses: Mapping[str, Status], now: float) -> float | None:
        """Log what has changed; return when to be called again although nothing has.

        Args:
            statuses: What is known of the targets, by their names.
            now: In seconds since 1970.
        """
        if not self._told and len(statuses) < len(self._wait.targets):
            return None  # the first line is about all of them
        told = self._told or (None,) * len(self._wait.targets)
        current = tuple(map(statuses.get, self._wait.targets))
        changed = [
            name
            for name, before, after in zip(self._wait.targets, told, current, strict=True)
            if after is not None and _differ(before, after)
        ]
        if changed:
            self._write(changed, statuses)
            self._told = current
        return self._remind_of(statuses, now)

    def end(self, event: WaitEvent, statuses: Mapping[str, Status]) -> None:
        """Log how the wait ends, with what has changed last."""
        if event.outcome is not Outcome.READY:
            self._log.warning("the wait ends: %s. %s", event.outcome, event.describe())
            return
        ready = [name for name, status in statuses.items() if self._wait.is_ready(name, status)]
        described = self._describe(ready, statuses)
        self._log.info("the wait ends: %s. %s: %s", event.outcome, event.describe(), described)

    def _write(self, changed: Sequence[str], statuses: Mapping[str, Status]) -> None:
        worrying = any(statuses[name].state in _WORRYING for name in changed)
        write = self._log.warning if worrying else self._log.info
        waiting = "" if self._told else f"waiting{f' until {utc(self._until)}' if self._until else ''}: "
        ready = sum(self._wait.is_ready(name, status) for name, status in statuses.items())
        total = len(self._wait.targets)
        write("%s%d of %d targets ready: %s", waiting, ready, total, self._describe(changed, statuses))

    def _remind_of(self, statuses: Mapping[str, Status], now: float) -> float | None:
        abandoned = [name for name, status in statuses.items() if status.state is State.ABANDONED]
        if not abandoned:
            self._remind = None
        elif self._remind is None:  # it has just been told
            self._remind = now + _REMIND
        elif now >= self._remind:
            self._remind = now + _REMIND
            self._log.warning("still waiting for %s", self._describe(abandoned, statuses))
        return self._remind

    def _describe(self, names: Sequence[str], statuses: Mapping[str, Status]) -> str:
        first = [f"{name} ({self._wait.why(name, statuses[name])})" for name in names[:_NAMED]]
        return ", ".join(first) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _differ(before: Status | None, after: Status) -> bool:
    return before is not after and (before is None or _mark(before) != _mark(after))


def _mark(status: Status) -> tuple[State, str | None]:
    """Return what of a status is worth a line: that more bytes were written is not."""
    match status.state:
        case State.IN_PROGRESS | State.ABANDONED if status.writing is not None:
            return status.state, status.writing.attempt.name
        case State.COMPLETE | State.EMPTY if status.manifest is not None:
            return status.state, status.manifest.data
        case State.UNREADABLE:
            return status.state, type(status.error).__name__
        case _:
            return status.state, status.why
