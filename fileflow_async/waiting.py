"""When a wait is over, and what is then said: decisions without I/O, the same in every mode."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, Self, cast

from fileflow_async.config import is_number
from fileflow_async.errors import ConfigError, FormatError, StorageUnavailableError, quoted
from fileflow_async.status import State, Status
from fileflow_async.target import Reference

When = Literal["all", "any"] | int
Policy = Literal["accept", "fail", "skip", "wait"]

WHOLE = 50  # references that travel in an event as they are: events are rows in Airflow's database
SAMPLE = 20  # those of a longer list
_LARGEST = 16_000  # bytes of an event
_WHY = 300  # characters of one explanation
_LATEST = 253_402_300_799.0  # the last second of the year 9999, beyond which no message can name one
_REFUSED_FOR, _REFUSED_LOOKS = 60.0, 3  # a refusal is believed when it stands so long and was seen so often


def utc(moment: float) -> str:
    """Return a moment, in seconds since 1970, as people read it."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%SZ}"


def check_moment(value: object, name: str) -> None:
    """Refuse what is not a moment in seconds since 1970; None is one that never comes.

    Raises:
        ConfigError: It is none.
    """
    if value is not None and not (is_number(value) and 0 <= cast(float, value) <= _LATEST):
        raise ConfigError(f"{name} must be seconds since 1970, got {quoted(value)}")


class Outcome(StrEnum):
    """How a wait ends."""

    READY = "ready"
    TIMEOUT = "timeout"
    EMPTY = "empty"
    CORRUPT = "corrupt"
    ABANDONED = "abandoned"
    FAILED = "failed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What ends a wait.

    Attributes:
        when: Ready when all targets are, when any is, or when so many are.
        newer_than: Commits made before this moment, in seconds since 1970, do not count; for all targets, or
            for some, by their names.
        on_empty: What a target does that is complete but empty.
        on_corrupt: What a target does whose record and data contradict each other.
        on_abandoned: What a target does whose producer has been silent for long.
    """

    when: When = "all"
    newer_than: float | Mapping[str, float] | None = None
    on_empty: Policy = "accept"
    on_corrupt: Policy = "fail"
    on_abandoned: Policy = "wait"

    def check(self, targets: int) -> None:
        """Refuse what cannot be meant.

        Raises:
            ConfigError: An argument is out of its range.
        """
        if targets < 1:
            raise ConfigError("there is nothing to wait for: no targets were given")
        whole = type(self.when) is int and 1 <= self.when <= targets
        if not whole and self.when not in ("all", "any"):
            raise ConfigError(
                f"when must be 'all', 'any' or a number from 1 to {targets}, got {quoted(self.when)}"
            )
        for name, known in _POLICIES.items():
            if getattr(self, name) not in known:
                words = ", ".join(repr(word) for word in known)
                raise ConfigError(f"{name} must be one of {words}, got {quoted(getattr(self, name))}")
        limits = self.newer_than
        for limit in limits.values() if isinstance(limits, Mapping) else (limits,):
            check_moment(limit, "newer_than")

    def limit(self, name: str) -> float | None:
        """Return from when on a commit of the target of that name counts."""
        return self.newer_than.get(name) if isinstance(self.newer_than, Mapping) else self.newer_than

    def needed(self, targets: int) -> int:
        """Return how many targets must be ready."""
        if self.when == "all":
            return targets
        return 1 if self.when == "any" else int(self.when)


_POLICIES: dict[str, tuple[Policy, ...]] = {
    "on_empty": ("accept", "fail", "skip", "wait"),
    "on_corrupt": ("fail", "skip", "wait"),
    "on_abandoned": ("wait", "fail", "skip"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A target that is not ready, and why."""

    target: str
    state: str
    why: str

    def to_payload(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"target": self.target, "state": self.state, "why": self.why[:_WHY]}


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitEvent:
    """How a wait ended.

    Attributes:
        outcome: In one word.
        ready: The versions found; of many only the first, see `ready_count`.
        missing: What is not ready; of many only the first, see `missing_count`.
        ready_count: How many there are: of a set of targets one for each.
        missing_count: How many are not.
    """

    outcome: Outcome
    ready: Sequence[Reference] = ()
    missing: Sequence[Missing] = ()
    ready_count: int = 0
    missing_count: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether all the versions found are in it."""
        return len(self.ready) == self.ready_count

    def to_payload(self) -> dict[str, Any]:
        """Return the event as a JSON object of a few kB."""
        ready = [reference.to_payload() for reference in self.ready]
        missing = [each.to_payload() for each in self.missing[:SAMPLE]]
        if len(ready) > WHOLE:
            ready = ready[:SAMPLE]
        payload = {
            "outcome": str(self.outcome),
            "ready": ready,
            "missing": missing,
            "ready_count": self.ready_count,
            "missing_count": self.missing_count,
        }
        while len(json.dumps(payload)) > _LARGEST and (ready or missing):
            (ready if len(ready) >= len(missing) else missing).pop()
        return payload

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Read an event back.

        Raises:
            FormatError: It is not one.
        """
        try:
            if not isinstance(payload, Mapping):
                raise TypeError(f"expected an object, got {type(payload).__name__}")
            return cls(
                outcome=Outcome(payload["outcome"]),
                ready=tuple(Reference.from_payload(each) for each in payload["ready"]),
                missing=tuple(
                    Missing(target=str(each["target"]), state=str(each["state"]), why=str(each["why"]))
                    for each in payload["missing"]
                ),
                ready_count=int(payload["ready_count"]),
                missing_count=int(payload["missing_count"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise FormatError(f"{quoted(payload)} is not the event of a wait: {error}") from error

    def describe(self) -> str:
        """Return what is ready and what is missing, in one line for people."""
        total = self.ready_count + self.missing_count
        line = f"{self.ready_count} of {total} targets ready"
        if self.missing:
            line += "; missing " + ", ".join(f"{each.target} ({each.why})" for each in self.missing[:5])
            if self.missing_count > 5:
                line += f" and {self.missing_count - 5} more"
        return line


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
        """Believe a refusal only when it lasts: rights and mounts come and go for a moment."""
        if isinstance(status.error, StorageUnavailableError):
            self._forget_refusal(name)
            return None
        refusals = self._refusals = self._refusals or {}
        since, looks, last = refusals.get(name, (now, 0, None))
        looks += status is not last
        refusals[name] = since, looks, status
        lasts = looks >= _REFUSED_LOOKS and now - since >= _REFUSED_FOR
        return Outcome.UNREADABLE if lasts else None

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
