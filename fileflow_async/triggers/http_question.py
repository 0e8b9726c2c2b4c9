"""What a wait for an endpoint asks, out of a trigger's arguments."""

from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from fileflow_async.errors import ConfigError, FileflowError, quoted
from fileflow_async.hooks.http import HttpAsyncHook
from fileflow_async.http.answer import Answer
from fileflow_async.http.criteria import Criteria
from fileflow_async.http.ended import HttpEnded
from fileflow_async.http.judgement import Judge
from fileflow_async.http.poll import Look
from fileflow_async.http.redaction import shown_url
from fileflow_async.http.request import Request
from fileflow_async.http.settings import HttpSettings
from fileflow_async.http.version import Version
from fileflow_async.http.waiter import KEPT, HttpWait, Told
from fileflow_async.manifest import Producer
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference, check_key
from fileflow_async.triggers.pace import check_times

if TYPE_CHECKING:
    from fileflow_async.triggers.http import HttpTrigger

# What a stored body is, by its media type; the rest is bytes.
_FORMATS = {"application/json": "json", "text/csv": "csv", "text/plain": "text", "text/html": "text"}
_TEXTS = ("http_conn_id", "etag", "last_modified", "store_as", "fileflow_root", "fileflow_conn_id")


@dataclass(frozen=True, slots=True)
class Question:
    """A request, whom it is sent to, and the wait for its answer.

    Attributes:
        hook: What sends it.
        request: What is sent.
        wait: What judges the answers.
        producer: For which try of which task.
    """

    hook: HttpAsyncHook
    request: Request
    wait: HttpWait
    producer: Producer

    @classmethod
    def of(cls, trigger: "HttpTrigger") -> Self:
        """Return what a trigger's arguments mean.

        Raises:
            ConfigError: One is wrong.
        """
        _check(trigger)
        request = Request.by(trigger)
        if trigger.http_conn_id is None:
            HttpSettings().url(request.endpoint)
        hook = HttpAsyncHook(
            trigger.http_conn_id,
            retry_limit=0,
            total_timeout=trigger.request_timeout,
            max_size=trigger.max_size,
            max_redirects=trigger.max_redirects,
        )
        criteria = Criteria.of(
            ok_status=trigger.ok_status,
            wait_status=trigger.wait_status,
            fail_status=trigger.fail_status,
            json_path=trigger.json_path,
            expected=trigger.expected,
            response_check=trigger.response_check,
            changed=trigger.changed,
            keeps_body=trigger.store_as is not None,
        )
        before = Version(etag=trigger.etag, last_modified=trigger.last_modified)
        told = Told(
            headers=KEPT if trigger.keep_headers is None else trigger.keep_headers, excerpt=trigger.excerpt
        )
        told.check()
        wait = HttpWait(
            Judge(criteria, None if before == Version() else before),
            told,
            shown_url(request.endpoint),
            interval=trigger.poke_interval,
        )
        return cls(hook, request, wait, _producer(trigger.producer))

    @property
    def key(self) -> Hashable:
        """What is equal for those that can share a look."""
        return self.hook.conn_id, self.request.key, self.hook.limits

    async def take(self, look: Look) -> HttpEnded | None:
        """Judge a look, and return how the wait ends; None when it goes on."""
        with suppress(FileflowError):  # the look has said so too
            settings = await self.hook.settings()
            self.wait.meet(settings.redactor(), settings.url(self.request.endpoint))
        return await self.wait.take(look.sight, look.moment)


async def stored(store: TargetStore, key: str, answer: Answer, producer: Producer) -> Reference:
    """Commit the body of an answer as a target."""
    kind = answer.content_type or None
    format = _FORMATS.get(answer.content_type, "bytes")
    async with store.write(key, format=format, content_type=kind, producer=producer) as draft:
        await draft.write(answer.body)
    if draft.reference is None:
        raise RuntimeError("what was written is not committed")
    return draft.reference


def _check(trigger: "HttpTrigger") -> None:
    check_times(trigger)
    for name in _TEXTS:
        if (value := getattr(trigger, name)) is not None and not isinstance(value, str):
            raise ConfigError(f"{name} must be a string, got {quoted(value)}")
    if trigger.store_as is not None:
        check_key(trigger.store_as)


def _producer(given: Mapping[str, Any] | None) -> Producer:
    try:
        producer = Producer(**(given or {}))
    except TypeError:
        raise ConfigError(f"producer names no try of a task: {quoted(given)}") from None
    texts = (producer.dag_id, producer.task_id, producer.run_id, producer.ti_id)
    numbers = (producer.map_index, producer.try_number)
    if not all(text is None or isinstance(text, str) for text in texts) or any(
        type(number) is not int for number in numbers
    ):
        raise ConfigError(f"producer names no try of a task: {quoted(given)}")
    return producer
