"""What the wait for an endpoint says in the end."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from fileflow_async.outcome import LARGEST, Missing, Outcome, reading
from fileflow_async.target import Reference

_WHY = 300  # characters of one explanation
EXCERPT = 4_000  # characters of a body at most


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpEnded:
    """How a wait for an endpoint ended.

    Attributes:
        outcome: In one word: ready, timeout, failed or unreadable.
        url: Who was asked, without the values of the query.
        why: Why it ended so.
        state: What was seen last: a status, or what there was instead.
        status: The status of the last answer.
        headers: Those of its head that were chosen, in small letters.
        size: The bytes of its body.
        sha256: The hash of its body.
        excerpt: The beginning of its body, where that was asked for.
        reference: The version that its body was stored as, where that was asked for.
    """

    outcome: Outcome
    url: str
    why: str
    state: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    sha256: str | None = None
    excerpt: str | None = None
    reference: Reference | None = None

    @property
    def missing(self) -> Sequence[Missing]:
        """The endpoint, where it is not ready."""
        if self.outcome is Outcome.READY:
            return ()
        return (Missing(target=self.url, state=self.state, why=self.why),)

    @property
    def missing_count(self) -> int:
        """How many are not ready: none or one."""
        return len(self.missing)

    @property
    def ready_count(self) -> int:
        """How many are ready: one or none."""
        return 1 - self.missing_count

    def to_payload(self) -> dict[str, Any]:
        """Return the event as a JSON object of a few kB."""
        payload: dict[str, Any] = {
            "outcome": str(self.outcome),
            "url": self.url[:1000],
            "why": self.why[:_WHY],
            "state": self.state,
            "status": self.status,
            "headers": dict(self.headers),
            "size": self.size,
            "sha256": self.sha256,
            "excerpt": self.excerpt,
            "reference": None if self.reference is None else self.reference.to_payload(),
        }
        while len(json.dumps(payload)) > LARGEST and (payload["excerpt"] or payload["headers"]):
            if payload["excerpt"]:  # a character can take six bytes
                payload["excerpt"] = payload["excerpt"][: len(payload["excerpt"]) // 2]
            else:
                payload["headers"].popitem()
        return payload

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Read an event back.

        Raises:
            FormatError: It is not one.
        """
        with reading(payload, "an HTTP wait") as fields:
            texts = {name: fields.get(name) for name in ("sha256", "excerpt")}
            numbers = {name: fields.get(name) for name in ("status", "size")}
            if not all(value is None or isinstance(value, str) for value in texts.values()):
                raise TypeError("a field is not a text")
            if not all(value is None or type(value) is int for value in numbers.values()):
                raise TypeError("a field is not an integer")
            reference = fields.get("reference")
            return cls(
                outcome=Outcome(fields["outcome"]),
                url=str(fields["url"]),
                why=str(fields["why"]),
                state=str(fields["state"]),
                headers={str(name): str(value) for name, value in dict(fields["headers"]).items()},
                reference=None if reference is None else Reference.from_payload(reference),
                **texts,
                **numbers,
            )

    def describe(self) -> str:
        """Return what was seen, in one line for people."""
        size = "" if self.size is None else f", {self.size} bytes"
        return f"{self.url}: {self.why}{size}"
