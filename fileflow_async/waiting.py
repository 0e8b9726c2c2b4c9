"""When a wait is over: decisions without I/O, the same in every mode."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fileflow_async.criteria import Criteria
from fileflow_async.errors import ConfigError, StorageUnavailableError, quoted
from fileflow_async.outcome import Missing, Outcome, WaitEvent
from fileflow_async.refusal import lasts
from fileflow_async.status import State, Status
from fileflow_async.target import Reference


def utc(moment: float) -> str:
    """Return a moment, in seconds since 1970, as people read it."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%SZ}"


@dataclass(slots=True, kw_only=True)
class Wait:
    """One wait: remembers since when the store refuses, and decides when it is over.

    Attributes:
        targets: The names of the targets, as the waiter calls them.
        criteria: What ends the wait.
    """

    targets: Sequence[str]
    criteria: Criteria
    _refusals: dict[str, tuple[float, int, Status]] | None = None  # most waits never have one

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ConfigError: A criterion is out of its range, or is about a target that is not waited for.
        """
        self.criteria.check(len(self.targets))
        limits, known = self.criteria.newer_than, set(self.targets)
        for name in limits if isinstance(limits, Mapping) else ():
            if name not in known:
                raise ConfigError(f"newer_than names {quoted(name)}, which is not waited for")

    def missing(self, statuses: Mapping[str, Status]) -> Sequence[str]:
        """Return the names of the targets that are not ready."""
        known = ((name, statuses.get(name)) for name in self.targets)
        return [name for name, status in known if status is None or not self.is_ready(name, status)]

    def decide(self, statuses: Mapping[str, Status], now: float) -> WaitEvent | None:
        """Return how the wait ends, by what is known at a monotonic moment; None when it goes on."""
        bad: list[tuple[Outcome, str]] = []
        ready = 0
        for name in self.targets:
            if (status := statuses.get(name)) is not None:
                verdict = self._verdict(name, status, now)
                ready += verdict is Outcome.READY
                if verdict not in (None, Outcome.READY):
                    bad.append((verdict, name))
        needed = self.criteria.needed(len(self.targets))
        if ready >= needed:
            return self.event(Outcome.READY, statuses)
        if bad and len(self.targets) - len(bad) < needed:  # what is left can no longer be enough
            return self.event(bad[0][0], statuses, first=bad[0][1])
        return None

    def event(
        self, outcome: Outcome, statuses: Mapping[str, Status], *, first: str | None = None
    ) -> WaitEvent:
        """Return the event that says what is known of the targets, of those missing that one first."""
        ready: list[Reference] = []
        missing: list[Missing] = []
        for name in self.targets:
            status = statuses.get(name)
            if status is not None and self.is_ready(name, status):
                ready += status.references
            else:
                missing.append(self._missing(name, status))
        if first is not None:
            missing.sort(key=lambda each: each.target != first)
        return WaitEvent(
            outcome=outcome,
            ready=ready,
            missing=missing,
            ready_count=len(ready),
            missing_count=len(missing),
        )

    def _missing(self, name: str, status: Status | None) -> Missing:
        if status is None:
            return Missing(target=name, state=State.UNREADABLE, why="it could not be looked at yet")
        return Missing(target=name, state=status.state, why=self.why(name, status))

    def why(self, name: str, status: Status) -> str:
        """Return why a target is in its state, or why that does not count."""
        limit = self.criteria.limit(name)
        if limit is not None and self._is_stale(name, status):
            return f"{status.why}, but before {utc(limit)}"
        return status.why

    def _is_stale(self, name: str, status: Status) -> bool:
        """Tell whether it is about what was before the moment from which on commits count."""
        limit, moment = self.criteria.limit(name), _moment_of(status)
        return limit is not None and moment is not None and moment < limit

    def is_ready(self, name: str, status: Status) -> bool:
        """Tell whether a target is what is waited for."""
        if not status.is_committed or self._is_stale(name, status):
            return False
        return status.state is State.COMPLETE or self.criteria.on_empty == "accept"

    def _verdict(self, name: str, status: Status, now: float) -> Outcome | None:
        """Return READY, the outcome that makes this target impossible, or None while it may still come."""
        if status.state is State.UNREADABLE:
            return self._refused(name, status, now)
        self._forget_refusal(name)
        if self.is_ready(name, status):
            return Outcome.READY
        if self._is_stale(name, status):
            return None  # neither damage nor a failure of then says anything about what is waited for
        if status.state is State.FAILED:
            return Outcome.FAILED
        policies = {
            State.EMPTY: (self.criteria.on_empty, Outcome.EMPTY),
            State.CORRUPT: (self.criteria.on_corrupt, Outcome.CORRUPT),
            State.ABANDONED: (self.criteria.on_abandoned, Outcome.ABANDONED),
        }
        policy, outcome = policies.get(status.state, ("wait", None))
        return outcome if policy in ("fail", "skip") else None

    def _refused(self, name: str, status: Status, now: float) -> Outcome | None:
        """Note a refusal, and believe it only when it lasts."""
        if isinstance(status.error, StorageUnavailableError):
            self._forget_refusal(name)
            return None
        refusals = self._refusals = self._refusals or {}
        since, looks, last = refusals.get(name, (now, 0, None))
        looks += status is not last
        refusals[name] = since, looks, status
        return Outcome.UNREADABLE if lasts(since, looks, now) else None

    def _forget_refusal(self, name: str) -> None:
        if self._refusals:
            self._refusals.pop(name, None)


def _moment_of(status: Status) -> float | None:
    """Return when what a status is about was done."""
    if status.is_committed:
        return status.committed or 0.0
    if status.state is State.ABANDONED and status.writing is not None:
        return status.writing.modified
    return status.failed if status.state is State.FAILED else status.committed
