"""One wait for an endpoint: what is remembered between looks, and when it is over."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fileflow_async.errors import ConfigError, FileflowError, quoted
from fileflow_async.http.answer import Answer
from fileflow_async.http.criteria import Verdict
from fileflow_async.http.ended import EXCERPT, HttpEnded
from fileflow_async.http.judgement import Judge, Judgement
from fileflow_async.http.redaction import Redactor, is_secret_header
from fileflow_async.http.request import as_headers
from fileflow_async.outcome import Outcome

KEPT = ("Content-Type", "ETag", "Last-Modified")
REFUSALS = 3  # in a row: a deployment that is half done refuses for a moment, a wrong password for ever

_ALMOST = 0.9  # of an interval: looks are spread
_LONGEST_HEADER = 300  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What of the answer is told in the event.

    Attributes:
        headers: Which of the head.
        excerpt: How many characters of the body.
    """

    headers: Sequence[str] = KEPT
    excerpt: int = 0

    def check(self) -> None:
        """Refuse what must not be told.

        Raises:
            ConfigError: A header holds secrets, or there would be too much of the body.
        """
        if isinstance(self.headers, str) or not isinstance(self.headers, Sequence):
            raise ConfigError(f"keep_headers must be a list of names, got {quoted(self.headers)}")
        as_headers({str(name): "" for name in self.headers})
        for name in map(str, self.headers):
            if is_secret_header(name):
                raise ConfigError(
                    f"keep_headers has {name!r}, which may hold a secret; events can be read by many"
                )
        if type(self.excerpt) is not int or not 0 <= self.excerpt <= EXCERPT:
            raise ConfigError(f"excerpt must be an integer from 0 to {EXCERPT}, got {quoted(self.excerpt)}")

    def of(self, answer: Answer | None, redactor: Redactor) -> Mapping[str, str]:
        """Return the chosen headers of an answer."""
        found = {} if answer is None else {name.lower(): answer.headers.get(name) for name in self.headers}
        return {
            name: redactor.text(value)[:_LONGEST_HEADER] for name, value in found.items() if value is not None
        }


class HttpWait:
    """Decides, look by look, when a wait is over.

    Args:
        judge: What judges an answer.
        told: What of it is told.
        url: Who is asked, as it may be shown.
        interval: In how many seconds two refusals count as two: others may have it looked at more often.

    Attributes:
        last: What the last look meant; None before there was one.
        answer: The last answer.
    """

    def __init__(self, judge: Judge, told: Told, url: str, *, interval: float) -> None:
        self.judge = judge
        self.last: Judgement | None = None
        self.answer: Answer | None = None
        self._redactor = Redactor(())
        self._told = told
        self._url = url
        self._interval = interval
        self._refusals = 0
        self._refused = -math.inf

    def meet(self, redactor: Redactor, url: str) -> None:
        """Take note of what is to be hidden, and who is asked: known once there is a connection."""
        self._redactor, self._url = redactor, redactor.url(url)

    async def take(self, look: Answer | FileflowError, moment: float) -> HttpEnded | None:
        """Take a look in, and return how the wait ends; None when it goes on.

        Args:
            look: What was seen.
            moment: When, by a monotonic clock.
        """
        judgement = self.last = await self.judge.judge(look)
        self.answer = look if isinstance(look, Answer) else None
        self._count(judgement.verdict, moment)
        if judgement.verdict is Verdict.YES:
            return self.ended(Outcome.READY)
        if judgement.verdict is Verdict.FAILED:
            return self.ended(Outcome.FAILED)
        return self.ended(Outcome.UNREADABLE) if self._refusals >= REFUSALS else None

    def _count(self, verdict: Verdict, moment: float) -> None:
        if verdict is not Verdict.REFUSED:
            self._refusals, self._refused = 0, -math.inf
        elif moment - self._refused >= self._interval * _ALMOST:
            self._refusals, self._refused = self._refusals + 1, moment

    @property
    def is_in_doubt(self) -> bool:
        """Whether the last look refused: only further ones tell whether that lasts."""
        return self.last is not None and self.last.verdict is Verdict.REFUSED

    def ended(self, outcome: Outcome) -> HttpEnded:
        """Return the event that says what was seen last."""
        answer, last = self.answer, self.last
        excerpt = None
        if answer is not None and self._told.excerpt:
            excerpt = self._redactor.text(answer.text[: self._told.excerpt])
        return HttpEnded(
            outcome=outcome,
            url=self._url if answer is None else answer.url,
            why="it was not looked at yet" if last is None else self._redactor.text(last.why),
            state="UNKNOWN" if last is None else last.state,
            status=None if answer is None else answer.status,
            headers=self._told.of(answer, self._redactor),
            size=None if answer is None else answer.size,
            sha256=None if answer is None else answer.sha256,
            excerpt=excerpt,
        )

    def describe(self) -> str:
        """Return what was seen last, in one line for people."""
        why = self._redactor.text(self.last.why) if self.last else "not looked at yet"
        return f"{self._url}: {why}"
