"""What an answer means for whoever waits for one."""

from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async

from fileflow_async.errors import EndpointAnswerError, EndpointUnavailableError, FileflowError, quoted
from fileflow_async.http.answer import Answer
from fileflow_async.http.checks import Check
from fileflow_async.http.criteria import Criteria, Verdict
from fileflow_async.http.json_path import NotThereError, value_at
from fileflow_async.http.version import Version

_VALUE = 80  # characters of a value that is told


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
