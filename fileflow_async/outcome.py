"""What is said of a wait that is over."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self

from fileflow_async.errors import FormatError, quoted
from fileflow_async.target import Reference

WHOLE = 50  # references that travel in an event as they are: events are rows in Airflow's database
SAMPLE = 20  # those of a longer list
LARGEST = 16_000  # bytes of an event
_WHY = 300  # characters of one explanation


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
        return shrunk(self)

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Read an event back.

        Raises:
            FormatError: It is not one.
        """
        with reading(payload, "a wait") as fields:
            return cls(**common(fields, Reference.from_payload))

    def describe(self) -> str:
        """Return what is ready and what is missing, in one line for people."""
        total = self.ready_count + self.missing_count
        line = f"{self.ready_count} of {total} targets ready"
        if self.missing:
            line += "; missing " + ", ".join(f"{each.target} ({each.why})" for each in self.missing[:5])
            if self.missing_count > 5:
                line += f" and {self.missing_count - 5} more"
        return line


class Told(Protocol):
    """One of the things that are ready."""

    def to_payload(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        ...


class Ending(Protocol):
    """What is said of every wait for several things; see `WaitEvent`."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def ready(self) -> Sequence[Told]: ...
    @property
    def missing(self) -> Sequence[Missing]: ...
    @property
    def ready_count(self) -> int: ...
    @property
    def missing_count(self) -> int: ...


def shrunk(event: Ending, **further: Any) -> dict[str, Any]:
    """Return an event as a JSON object of a few kB: of much only the first.

    Args:
        event: The event.
        further: What only events of its kind say, as JSON.
    """
    ready = [each.to_payload() for each in event.ready]
    missing = [each.to_payload() for each in event.missing[:SAMPLE]]
    if len(ready) > WHOLE:
        ready = ready[:SAMPLE]
    payload = {
        "outcome": str(event.outcome),
        "ready": ready,
        "missing": missing,
        "ready_count": event.ready_count,
        "missing_count": event.missing_count,
        **further,
    }
    while len(json.dumps(payload)) > LARGEST and (ready or missing):
        (ready if len(ready) >= len(missing) else missing).pop()
    return payload


def common(payload: Mapping[str, Any], ready: Callable[[Any], Told]) -> dict[str, Any]:
    """Return what `shrunk` wrote of an event of any kind, as arguments of its class; see `reading`."""
    return {
        "outcome": Outcome(payload["outcome"]),
        "ready": tuple(map(ready, payload["ready"])),
        "missing": tuple(
            Missing(target=str(each["target"]), state=str(each["state"]), why=str(each["why"]))
            for each in payload["missing"]
        ),
        "ready_count": int(payload["ready_count"]),
        "missing_count": int(payload["missing_count"]),
    }


@contextmanager
def reading(payload: object, what: str) -> Iterator[Mapping[str, Any]]:
    """Read an event back in the block.

    Args:
        payload: What may be anything.
        what: Whose event it should be.

    Raises:
        FormatError: It is not one: a field is missing, or is not what it should be.
    """
    try:
        if not isinstance(payload, Mapping):
            raise TypeError(f"expected an object, got {type(payload).__name__}")
        yield payload
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{quoted(payload)} is not the event of {what}: {error}") from error
