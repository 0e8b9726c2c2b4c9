"""Wait for an endpoint of others, then work on what it said."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from airflow.sdk import Context

from fileflow_async.clock import SystemClock
from fileflow_async.config import Settings
from fileflow_async.errors import ConfigError, EndpointRefusedError
from fileflow_async.http.ended import HttpEnded
from fileflow_async.http.version import Version
from fileflow_async.logic import Logic, tell
from fileflow_async.operators.dive import result_of
from fileflow_async.operators.diving import hand_on
from fileflow_async.operators.request import RequestOperator
from fileflow_async.operators.tries import assignment
from fileflow_async.outcome import Outcome
from fileflow_async.sensors.ended import check_ready
from fileflow_async.sensors.waiting import Span, WaitingSensor, told
from fileflow_async.task_runner import AsyncTaskRunner, TaskRunner
from fileflow_async.templates import has_template
from fileflow_async.triggers.http import HttpTrigger
from fileflow_async.triggers.http_question import Question

RESPONSE = "response"  # the name of the body among the outputs, and among the inputs of the logic

# What is called alike in the trigger's arguments.
_SAME = (
    *("endpoint", "http_conn_id", "method", "request_params", "headers", "data", "json"),
    *("ok_status", "wait_status", "fail_status", "json_path", "expected", "response_check"),
    *("changed", "etag", "last_modified", "keep_headers", "excerpt", "max_size", "max_redirects"),
)
_LOOKS = 3.5  # intervals in which a doubt is settled

# What the base class knows is a wait for targets. It asks of an ending only what every ending has.
_Ending = Any


class HttpSensorAsync(RequestOperator, WaitingSensor):
    """Waits without a worker slot until an endpoint says yes, then works on what it said.

    Each look is one request. 2xx means yes, if all else that is asked for holds; 404, 408, 425, 429, 5xx and
    a connection that fails mean: not yet. Anything else is a refusal, and three of them in a row fail the
    task. Whatever comes of a look, the next one is a `poke_interval` away, and all waits in a triggerer that
    ask the same share it.

    Its result says what came: `status`, chosen `headers`, `size` and `sha256` of the body, an `excerpt` of it
    where that is asked for, and with `store_response` the `reference` of the version that it was stored as.
    With a `python_object` it is what that commits.

    Args:
        endpoint: The path below the connection's address, or a whole URL of the same origin. Templated.
        http_conn_id: The Airflow connection of type `http`; None where the endpoint is a URL and needs no
            credentials. Templated.
        method: GET, POST …
        request_params: What is added to the URL's query. Templated.
        headers: What is sent in the head, beside the connection's. Templated.
        data: The body: text, or the fields of a form. Templated.
        json: The body as a value of JSON, instead of `data`. Templated.
        ok_status: Statuses that may be it, such as `[200, "202-204"]`; by default 2xx.
        wait_status: Further ones that mean: not yet.
        fail_status: Those that mean: never. They fail the task at once, without a retry.
        json_path: Where in the body something must be, such as `$.jobs[0].state`. Templated.
        expected: What it must be; by default anything but null. Templated.
        response_check: The dotted path of a function, sync or async, that gets the `Answer` and must say yes.
            The triggerer imports it, so it cannot be one of the DAG's file.
        changed: Whether there must be another version than before, by its ETag, else its Last-Modified.
        etag: What was there before; by default what the first look shows. Templated.
        last_modified: The same. Templated.
        keep_headers: Which headers of the answer the result tells; by default its type and version.
        excerpt: How many characters of the body the result tells; 4,000 at most.
        store_response: Whether the body becomes a target, named `response`.
        python_object: A `TaskRunner` or `AsyncTaskRunner` class whose logic runs on the body, which it reads
            as `response`.
        python_method: The method that is the logic, sync or async.
        op_args: Positional arguments of the method; templated.
        op_kwargs: Arguments of the method by name; templated.
        request_timeout: How many seconds a look may take.
        max_size: How many bytes a body may have when it is unpacked, where it has a say; 1 MiB by default.
        max_redirects: How many redirects are followed: within the origin, or without credentials to the
            `redirect_hosts` of the connection.
        deferrable: Wait in the triggerer. Otherwise in a worker, holding its slot, or by `mode="reschedule"`.
        poke_interval: How often to look at least, in seconds or as a timedelta; by default every 60 s.
        timeout: How long to wait in all, in seconds or as a timedelta, however often the wait is deferred; by
            default Airflow's `[sensors] default_timeout`.
        kwargs: As for `DiveOperator` and any sensor. `soft_fail` skips when the time is over, and only then;
            `never_fail` skips whatever happens. `execution_timeout` ends the wait in every mode; then the
            task is retried.
    """

    template_fields: Sequence[str] = (
        "json_path",
        "expected",
        "etag",
        "last_modified",
        "op_args",
        "op_kwargs",
    )

    def __init__(
        self,
        *,
        ok_status: Sequence[int | str] | None = None,
        wait_status: Sequence[int | str] | None = None,
        fail_status: Sequence[int | str] | None = None,
        json_path: str | None = None,
        expected: Any = None,
        response_check: str | None = None,
        changed: bool = False,
        etag: str | None = None,
        last_modified: str | None = None,
        keep_headers: Sequence[str] | None = None,
        excerpt: int = 0,
        store_response: bool = False,
        python_object: type[TaskRunner] | type[AsyncTaskRunner] | None = None,
        python_method: str = "run",
        op_args: Sequence[Any] = (),
        op_kwargs: Mapping[str, Any] | None = None,
        request_timeout: float = 30.0,
        max_size: int = 1 << 20,
        deferrable: bool = True,
        poke_interval: Span = 60.0,
        timeout: Span = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**told(poke_interval, timeout, kwargs))
        self.deferrable = deferrable
        self.ok_status = ok_status
        self.wait_status = wait_status
        self.fail_status = fail_status
        self.json_path = json_path
        self.expected = expected
        self.response_check = response_check
        self.changed = changed
        self.etag = etag
        self.last_modified = last_modified
        self.keep_headers = keep_headers
        self.excerpt = excerpt
        self.store_response = store_response or python_object is not None
        self.python_object = python_object
        self.python_method = python_method
        self.op_args = op_args
        self.op_kwargs = op_kwargs or {}
        self.request_timeout = request_timeout
        self.max_size = max_size
        self._before: Version | None = None  # what the first look showed, where a change is waited for
        self._check()

    def execute(self, context: Context) -> Any:
        """Look, and go on when the endpoint says yes; otherwise wait."""
        if self.python_object is not None and (handed_on := self.handed_on_before(context)) is not None:
            return handed_on
        return super().execute(context)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Go on with what the trigger saw: another look might get another answer.

        Args:
            context: Airflow's.
            event: The trigger's event; anything else is an error.
        """  # ADR 0023
        with self._verdict(), self.running():
            ended: _Ending = HttpEnded.from_payload(event)
            self.log.info("The wait ended: %s. %s", ended.outcome, ended.describe())
            check_ready(self, context, ended)
            return self.arrived(context, ended)

    def look(self, context: Context) -> _Ending:
        """Look once."""
        trigger = self.trigger(context, deadline=None, not_before=None)
        question = Question.of(trigger)
        event = self.engine.run(trigger.look(question, SystemClock()))
        self.is_in_doubt = question.wait.is_in_doubt
        self._before = question.wait.judge.before
        self.log.info("%s", question.wait.describe())
        return event

    def trigger(self, context: Context, *, deadline: float | None, not_before: float | None) -> Any:
        """Return the trigger that waits."""
        own = assignment(context, {}, {})
        given = self._given()
        if self._before is not None:
            given |= asdict(self._before)
        if self.store_response:
            given |= {"store_as": own.target(RESPONSE).key, "producer": asdict(own.producer), **self._store()}
        return HttpTrigger(**given, deadline=deadline, not_before=not_before)

    def arrived(self, context: Context, event: _Ending) -> Any:
        """Run the task's logic on the body; without one return what came."""
        if self.python_object is None or event.reference is None:
            if event.reference is not None:
                hand_on(self, context, (), {RESPONSE: event.reference})
            return _result(event)
        logic = Logic(self.python_object, self.python_method, self.op_args, self.op_kwargs)
        further = {RESPONSE: [event.reference]}
        with self.dive(context, runner=self.python_object(context), further=further) as runner:
            logic.call(runner, self.engine)
        return result_of(runner.work.published)

    def missed(self, context: Context, event: _Ending) -> None:
        """Tell the task's logic what was seen last when the time was over."""
        if self.python_object is not None:
            tell(self.python_object(context), self.engine, "on_timeout", event.missing)

    def policy_of(self, outcome: Outcome) -> str:
        """Return what an outcome does: `fail` or `skip`."""
        return "fail"

    def error_of(self, outcome: Outcome) -> type[Exception]:
        """Return the error that an outcome stands for."""
        return EndpointRefusedError if outcome is Outcome.UNREADABLE else super().error_of(outcome)

    def _hold(self, context: Context, deadline: float) -> _Ending:
        """Wait in this worker; where the slot is to be given back, until it shows whether a refusal lasts."""
        if self.reschedule and self.is_in_doubt:
            settled = SystemClock().time() + self.poke_interval * _LOOKS + self.request_timeout
            deadline = max(deadline, min(settled, self._began(context) + self.timeout))
        return super()._hold(context, deadline)

    def _given(self) -> dict[str, Any]:
        """Return the arguments that the trigger has by the same names."""
        return {
            **{name: getattr(self, name) for name in _SAME},
            "request_timeout": float(self.request_timeout),
            "poke_interval": self.poke_interval,
            "backoff": self.exponential_backoff,
            "max_wait": None if self.max_wait is None else self.max_wait.total_seconds(),
        }

    def _store(self) -> dict[str, Any]:
        """Return which store the triggerer is to open: its own settings may be others."""
        settings = Settings.load(root=self.fileflow_root)
        is_own = self.fileflow_root is not None or self.fileflow_conn_id is not None
        conn_id = self.fileflow_conn_id if is_own else settings.conn_id
        return {"fileflow_root": settings.root, "fileflow_conn_id": conn_id}

    def _check(self) -> None:
        """Refuse what can be seen to be wrong when the DAG is parsed; templates cannot."""
        if self.python_object is not None:
            Logic(self.python_object, self.python_method).check()
        is_noted = self.deferrable or not self.reschedule
        if self.changed and not is_noted and self.etag is None and self.last_modified is None:
            raise ConfigError(
                "a rescheduled task has nowhere to note what was there before; give etag or last_modified",
                hint="Or wait deferred, which notes it in the trigger's arguments.",
            )
        if not has_template(*(getattr(self, name) for name in _SAME)):
            Question.of(HttpTrigger(**self._given()))


def _result(event: _Ending) -> dict[str, Any]:
    payload: dict[str, Any] = event.to_payload()
    return {name: value for name, value in payload.items() if name not in ("outcome", "why", "state")}
