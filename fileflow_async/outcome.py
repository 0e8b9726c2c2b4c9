"""What is said of a wait that is over."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from fileflow_async.errors import FormatError, quoted
from fileflow_async.target import Reference

WHOLE = 50  # references that travel in an event as they are: events are rows in Airflow's database
SAMPLE = 20  # those of a longer list
_LARGEST = 16_000  # bytes of an event
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
