"""Wait in the triggerer until an endpoint says yes."""

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from airflow.triggers.base import TriggerEvent

from fileflow_async.clock import Clock, SystemClock
from fileflow_async.hooks.store import open_store
from fileflow_async.http.ended import HttpEnded
from fileflow_async.http.poll import Look, Poll
from fileflow_async.outcome import Outcome
from fileflow_async.triggers.arguments import ArgumentsTrigger
from fileflow_async.triggers.collector import collect_rarely
from fileflow_async.triggers.ending import Changes, ended
from fileflow_async.triggers.http_question import Question, stored
from fileflow_async.triggers.pace import Pace

_CLOCK: Clock = SystemClock()
_LAST_LOOK = 10.0  # seconds that the look at the deadline may take
_SLICE = 60.0  # seconds until the wall clock is compared with the deadline again: it may jump
_SPREAD = 5.0  # seconds over which those that come together look first, at most one interval


@dataclass(kw_only=True, eq=False, repr=False)
class HttpTrigger(ArgumentsTrigger):
    """Fires one event: when an endpoint says yes, when it says never, when it refuses, at the deadline.

    Each look is one request. 2xx means yes, if all else that is asked for holds; 404, 408, 425, 429, 5xx and
    a connection that fails mean: not yet. Anything else is a refusal, and three of them in a row end the
    wait. Whatever comes of a look, the next one is an interval away; all waits for the same share it.

    Attributes:
        endpoint: The path below the connection's address, or a whole URL.
        http_conn_id: The Airflow connection; None where the endpoint is a URL and needs no credentials.
        method: GET, POST …
        request_params: What is added to the URL's query.
        headers: What is sent in the head, beside the connection's.
        data: The body: text, or the fields of a form.
        json: The body as a value of JSON, instead of `data`.
        ok_status: Statuses that may be it, such as `[200, "202-204"]`; by default 2xx.
        wait_status: Further ones that mean: not yet.
        fail_status: Those that mean: never.
        json_path: Where in the body something must be, such as `$.jobs[0].state`.
        expected: What it must be; by default anything but null.
        response_check: The dotted path of a function, sync or async, that gets the `Answer` and must say yes.
        changed: Whether there must be another version than before, by its ETag, else its Last-Modified.
        etag: What was there before; by default what the first good look shows.
        last_modified: The same.
        keep_headers: Which headers of the answer the event tells.
        excerpt: How many characters of the body it tells.
        store_as: The key of the target that the body becomes.
        fileflow_root: The store of that; by default `[fileflow] root`.
        fileflow_conn_id: The Airflow connection that opens the store.
        producer: Which try of which task that is for.
        request_timeout: How many seconds a look may take.
        max_size: How many bytes a body may have when it is unpacked.
        max_redirects: How many redirects are followed.
        poke_interval: How often, in seconds, to look.
        backoff: Whether to look half as often each time that an interval has passed.
        max_wait: The longest interval then, in seconds.
        deadline: When the wait ends, in seconds since 1970.
        not_before: The moment before which no event is fired, in seconds since 1970.
    """

    endpoint: str | None = None
    http_conn_id: str | None = "http_default"
    method: str = "GET"
    request_params: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    data: str | Mapping[str, Any] | None = None
    json: Any = None
    ok_status: Sequence[int | str] | None = None
    wait_status: Sequence[int | str] | None = None
    fail_status: Sequence[int | str] | None = None
    json_path: str | None = None
    expected: Any = None
    response_check: str | None = None
    changed: bool = False
    etag: str | None = None
    last_modified: str | None = None
    keep_headers: Sequence[str] | None = None
    excerpt: int = 0
    store_as: str | None = None
    fileflow_root: str | None = None
    fileflow_conn_id: str | None = None
    producer: Mapping[str, Any] | None = None
    request_timeout: float = 30.0
    max_size: int = 1 << 20
    max_redirects: int = 0
    poke_interval: float = 60.0
    backoff: bool = False
    max_wait: float | None = None
    deadline: float | None = None
    not_before: float | None = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        await collect_rarely()
        event = await self.wait(_CLOCK)
        yield TriggerEvent(event.to_payload())

    async def wait(self, clock: Clock) -> HttpEnded:
        """Return how the wait ends.

        Raises:
            ConfigError: An argument is wrong.
        """
        question = Question.of(self)
        return await ended(self._watch(question, clock), not_before=self.not_before, clock=clock)

    async def look(self, question: Question, clock: Clock) -> HttpEnded | None:
        """Look once, and return how the wait ends; None when it goes on."""
        await question.wait.judge.load()
        sight = await question.hook.look(question.request)
        event = await question.take(Look(sight, clock.monotonic()))
        return None if event is None else await self.settle(event, question)

    async def _watch(self, question: "Question", clock: Clock) -> HttpEnded:
        """Judge each look, and end at the deadline at the latest."""
        await question.wait.judge.load()
        progress, pace = Changes(self.log, self.deadline), self._pace(clock)
        look_once = partial(question.hook.look, question.request)
        async with Poll.join(question.key, look_once, clock=clock) as poll:
            since = clock.monotonic() - self.poke_interval
            due = clock.monotonic() + random.uniform(0.0, min(self.poke_interval, _SPREAD))
            event = None
            while event is None:
                left = _SLICE if self.deadline is None else self.deadline - clock.time()
                if left > 0:
                    look = await _seen(poll, due, since, min(left, _SLICE), clock)
                else:  # once more, so that an answer of the last second counts, and what is said is fresh
                    now = clock.monotonic()
                    look = await _seen(poll, now, now, _LAST_LOOK, clock)
                if look is not None:
                    event = await question.take(look)
                    since, due = look.moment, look.moment + pace() * random.uniform(1.0, 1.1)
                if event is None and left <= 0:
                    event = question.wait.ended(Outcome.TIMEOUT)
                progress.tell(question.wait.describe(), event)
        return await self.settle(event, question)

    async def settle(self, event: HttpEnded, question: Question) -> HttpEnded:
        """Commit the body of the answer, where that is asked for, and name the version."""
        answer = question.wait.answer
        if self.store_as is None or event.outcome is not Outcome.READY or answer is None:
            return event
        async with open_store(self.fileflow_root, self.fileflow_conn_id) as store:
            reference = await stored(store, self.store_as, answer, question.producer)
        self.log.info("the answer is stored: %d bytes as %s", reference.size, reference.target)
        return replace(event, reference=reference)

    def _pace(self, clock: Clock) -> Callable[[], float]:
        """Return what tells in how many seconds to look again."""
        pace = Pace(self.poke_interval, clock.time(), longest=self.max_wait) if self.backoff else None

        def pause() -> float:
            if pace is None:
                return self.poke_interval
            pace.advance(clock.time())
            return pace.interval

        return pause


async def _seen(poll: Poll, due: float, since: float, seconds: float, clock: Clock) -> Look | None:
    """Wait for a look, but only so long."""
    with suppress(TimeoutError):
        async with clock.timeout(seconds):
            return await poll.look(due, since=since)
    return None
