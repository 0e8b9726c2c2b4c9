"""What an answer means for whoever waits for one."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from asgiref.sync import sync_to_async

from fileflow_async.errors import (
    ConfigError,
    EndpointAnswerError,
    EndpointUnavailableError,
    FileflowError,
    quoted,
)
from fileflow_async.http.answer import Answer
from fileflow_async.http.checks import Check
from fileflow_async.http.json_path import NotThereError, Steps, parse_path, value_at
from fileflow_async.http.named import check_path
from fileflow_async.http.statuses import GOOD, PASSING, statuses

_VALUE = 80  # characters of a value that is told


class Verdict(Enum):
    """What is to be done about it."""

    YES = "yes"
    WAIT = "wait"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and why.

    Attributes:
        verdict: In one word.
        state: What was seen: a status, or what there was instead.
        why: For people.
    """

    verdict: Verdict
    state: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What changes with what is at an endpoint."""

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Version | None":
        """Return what an answer says; None where it says nothing."""
        version = cls(etag=headers.get("ETag"), last_modified=headers.get("Last-Modified"))
        return None if version == cls() else version

    def differs(self, other: "Version") -> bool:
        """Tell whether the other is another, by the best that both have."""
        if self.etag is not None and other.etag is not None:
            return self.etag.removeprefix("W/") != other.etag.removeprefix("W/")
        if self.last_modified is not None and other.last_modified is not None:
            return self.last_modified != other.last_modified
        return self != other


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What makes an answer the one that is waited for: all that is given.

    Attributes:
        ok_status: Statuses that may be it; by default 2xx.
        wait_status: Statuses that mean: not yet; they go before the defaults.
        fail_status: Statuses that mean: never.
        json_path: Where in the body something must be.
        expected: What it must be; None for anything but null.
        response_check: The dotted path of a function that must say yes.
        changed: Whether the version must be another than the one that was there.
        keeps_body: Whether the body will be stored.
    """

    ok_status: frozenset[int] | None = None
    wait_status: frozenset[int] = frozenset()
    fail_status: frozenset[int] = frozenset()
    json_path: Steps | None = None
    expected: Any = None
    response_check: str | None = None
    changed: bool = False
    keeps_body: bool = False

    @classmethod
    def of(
        cls,
        *,
        ok_status: Any = None,
        wait_status: Any = None,
        fail_status: Any = None,
        json_path: str | None = None,
        expected: Any = None,
        response_check: str | None = None,
        changed: bool = False,
        keeps_body: bool = False,
    ) -> "Criteria":
        """Read them from what people write.

        Raises:
            ConfigError: One cannot be meant.
        """
        if expected is not None and json_path is None:
            raise ConfigError("expected is given, but no json_path where that should be")
        if not isinstance(changed, bool):
            raise ConfigError(f"changed must be true or false, got {quoted(changed)}")
        sets = {
            name: None if given is None else statuses(given, name)
            for name, given in (
                ("ok_status", ok_status),
                ("wait_status", wait_status),
                ("fail_status", fail_status),
            )
        }
        names = list(sets)
        for at, name in enumerate(names):
            for other in names[at + 1 :]:
                if both := (sets[name] or frozenset()) & (sets[other] or frozenset()):
                    raise ConfigError(f"{name} and {other} both have {min(both)}")
        return cls(
            ok_status=sets["ok_status"],
            wait_status=sets["wait_status"] or frozenset(),
            fail_status=sets["fail_status"] or frozenset(),
            json_path=None if json_path is None else parse_path(json_path),
            expected=expected,
            response_check=None if response_check is None else check_path(response_check, "response_check"),
            changed=changed,
            keeps_body=keeps_body,
        )

    @property
    def needs_body(self) -> bool:
        """Whether the body is more than a weight."""
        return self.keeps_body or self.json_path is not None or self.response_check is not None

    def of_status(self, status: int) -> Verdict:
        """Return what a status means; YES is for the rest of the answer to confirm."""
        if status in self.fail_status:
            return Verdict.FAILED
        if status in (GOOD - self.wait_status if self.ok_status is None else self.ok_status):
            return Verdict.YES
        if status in self.wait_status | PASSING | GOOD | {304}:
            return Verdict.WAIT
        return Verdict.REFUSED


class Judge:
    """Judges one answer after another.

    Args:
        criteria: What is waited for.
        before: The version that was there, where a change is waited for.

    Attributes:
        before: The same; the first good answer's where none was known.
    """

    def __init__(self, criteria: Criteria, before: Version | None = None) -> None:
        self._criteria = criteria
        self.before = before
        self._check = None if criteria.response_check is None else Check(criteria.response_check)

    async def load(self) -> None:
        """Import what judges.

        Raises:
            ConfigError: It cannot be.
        """
        if self._check is not None:
            await self._check.load()

    async def judge(self, look: Answer | FileflowError) -> Judgement:
        """Return what a look means."""
        if isinstance(look, FileflowError):
            passes = isinstance(look, EndpointUnavailableError)
            return Judgement(Verdict.WAIT if passes else Verdict.REFUSED, "UNREACHABLE", str(look))
        state, verdict = str(look.status), self._criteria.of_status(look.status)
        if verdict is not Verdict.YES:
            return Judgement(verdict, state, f"HTTP {look.status}{_where(look)}")
        if self._criteria.needs_body and not look.is_whole:
            return Judgement(Verdict.REFUSED, state, "the body is larger than it may be")
        try:
            missing = self._unchanged(look) or await self._other_value(look) or await self._refusal(look)
        except EndpointAnswerError as error:
            return Judgement(Verdict.REFUSED, state, str(error))
        if missing is not None:
            return Judgement(Verdict.WAIT, state, missing)
        return Judgement(Verdict.YES, state, f"HTTP {look.status}")

    def _unchanged(self, answer: Answer) -> str | None:
        if not self._criteria.changed:
            return None
        if (version := Version.of(answer.headers)) is None:
            raise EndpointAnswerError("the answer has neither an ETag nor a Last-Modified that could change")
        if self.before is None:
            self.before = version
        return None if self.before.differs(version) else "it has not changed"

    async def _other_value(self, answer: Answer) -> str | None:
        steps, expected = self._criteria.json_path, self._criteria.expected
        if steps is None:
            return None
        try:
            value = value_at(await _parsed(answer), steps)
        except NotThereError:
            return "the JSON has nothing there"
        except EndpointAnswerError as error:  # more often than not a page that says: back soon
            return str(error)
        is_other = value is None if expected is None else not _equal(value, expected)
        return f"the JSON says {_told(value)}" if is_other else None

    async def _refusal(self, answer: Answer) -> str | None:
        if self._check is None or await self._check.says_yes(answer):
            return None
        return f"{self._check.path} says no"


async def _parsed(answer: Answer) -> Any:
    if answer.is_large:
        return await sync_to_async(answer.json, thread_sensitive=False)()
    return answer.json()


def _equal(value: Any, expected: Any) -> bool:
    """Compare as JSON does: true is not 1."""
    return isinstance(value, bool) == isinstance(expected, bool) and bool(value == expected)


def _told(value: Any) -> str:
    """Return a value as it is told; the text of a large one would be made only to be cut."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return quoted(f"{value[:_VALUE]}…" if isinstance(value, str) and len(value) > _VALUE else value)


def _where(answer: Answer) -> str:
    return " (redirects are not followed)" if 300 <= answer.status < 400 and answer.status != 304 else ""
