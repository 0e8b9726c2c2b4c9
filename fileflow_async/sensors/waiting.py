"""Airflow's contract of a sensor, kept alike whether it is deferred, rescheduled or holds a slot."""

import inspect
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast

from airflow.sdk import BaseOperator, BaseSensorOperator, Context
from airflow.triggers.base import BaseTrigger

from fileflow_async._compat import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralTimeout,
)
from fileflow_async.config import (
    Settings,
    check_poke_interval,
    check_seconds,
    configured_poke_interval,
    default_timeout,
)
from fileflow_async.errors import TargetTimeoutError
from fileflow_async.operators.engine import EngineOperator
from fileflow_async.triggers.start import BACKSTOP

if TYPE_CHECKING:  # ADR 0030
    from fileflow_async.clock import Clock
    from fileflow_async.outcome import Outcome, WaitEvent

_DOUBT = 75.0  # seconds in which a doubt is settled: a refusal is believed after 60
# Airflow fails a task that runs again before its scheduler has seen its worker exit: one of two after 2 s.
_LEAST_PAUSE = 5.0


class WaitTimeoutError(AirflowSensorTimeout, TargetTimeoutError):
    """The deadline came before what was waited for; Airflow does not retry it."""


Span = timedelta | float | None


def arguments_of(*kinds: type) -> frozenset[str]:
    """Return the names of what the constructors of some classes take."""
    return frozenset().union(*(inspect.signature(kind).parameters for kind in kinds)) - {"kwargs"}


_OF_SENSORS = arguments_of(BaseSensorOperator)


def told(
    poke_interval: Span, timeout: Span, others: Mapping[str, Any], names: Set[str] = _OF_SENSORS
) -> dict[str, Any]:
    """Return what constructors are to be told that are called without what Airflow puts around them.

    What is not given of the two times is configured. What else is not given is as the DAG has it by default.

    Args:
        poke_interval: In seconds, or as a timedelta.
        timeout: The same.
        others: The arguments that the sensor only hands on, Airflow's `default_args` among them.
        names: Those that the constructors take.

    Raises:
        ConfigError: One of the times cannot be meant.
    """
    limit = default_timeout() if timeout is None else check_seconds(timeout)
    interval = configured_poke_interval() if poke_interval is None else check_poke_interval(poke_interval)
    given = dict(others, poke_interval=interval)
    if limit is not None:  # which is no default of Airflow's before 3.3
        given["timeout"] = limit
    if defaults := others.get("default_args"):
        for name in names & defaults.keys():
            given.setdefault(name, defaults[name])
    return given


class WaitingSensor(BaseSensorOperator, EngineOperator):
    """A sensor that looks before it waits, and waits without a worker slot unless it is told to hold one.

    Its constructor is that of Airflow's sensors, without what Airflow puts around each for every task. Each
    sensor takes the three arguments itself, and tells that one of them, and of all others, by way of `told`.

    Attributes:
        deferrable: Wait in the triggerer. Otherwise in a worker, holding its slot, or by `mode="reschedule"`.
        poke_interval: How often to look at least, in seconds.
        timeout: How long to wait in all, in seconds, however often the wait is deferred.
    """  # ADR 0030

    deferrable: bool
    is_in_doubt = False  # whether a look showed what takes several to settle: damage, a refusal

    @abstractmethod
    def look(self, context: Context) -> "WaitEvent | None":
        """Look once, and return how the wait ends; None when it goes on."""

    @abstractmethod
    def trigger(self, context: Context, *, deadline: float, not_before: float | None) -> "WaitTrigger":
        """Return the trigger that waits."""

    @abstractmethod
    def arrived(self, context: Context, event: "WaitEvent") -> Any:
        """Do what is to be done once all is there; its result is the task's."""

    @abstractmethod
    def policy_of(self, outcome: "Outcome") -> str:
        """Return what an outcome does: `fail` or `skip`."""

    def error_of(self, outcome: "Outcome") -> type[Exception]:
        """Return the error that an outcome stands for."""
        from fileflow_async.sensors.ended import ERRORS

        return ERRORS[outcome]

    def missed(self, context: Context, event: "WaitEvent") -> None:
        """Do what is to be done when the time is over."""

    def execute(self, context: Context) -> Any:
        """Look, and go on when all is there; otherwise wait."""
        with self._verdict(), self.running():
            return self._proceed(context)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Go on with what the trigger found, once a look of our own has shown the same.

        Args:
            context: Airflow's.
            event: The trigger's event; anything else is an error.
        """
        from fileflow_async.outcome import WaitEvent
        from fileflow_async.sensors.ended import check_ready

        with self._verdict(), self.running():
            ended = WaitEvent.from_payload(event)
            self.log.info("The wait ended: %s. %s", ended.outcome, ended.describe())
            check_ready(self, context, ended)
            return self._proceed(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after the wait; unlike Airflow's sensors skip by `soft_fail` only when the time is over."""
        with self._verdict():
            try:
                return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
            except TaskDeferralTimeout as error:
                message = (
                    f"waited {self.patience:.0f} s; the trigger did not say for what (was a triggerer alive?)"
                )
                raise self.too_late(message) from error

    @property
    def patience(self) -> float:
        """How many seconds a try waits; Airflow forgets its `execution_timeout` while it is deferred."""
        limit = self.execution_timeout
        return self.timeout if limit is None else min(self.timeout, limit.total_seconds())

    def too_late(self, message: str) -> BaseException:
        """Return what says that the time is over: for good, or for this try."""
        return WaitTimeoutError(message) if self.patience == self.timeout else AirflowTaskTimeout(message)

    def _proceed(self, context: Context) -> Any:
        from fileflow_async.sensors.ended import check_ready

        while True:
            event = self.look(context)
            if event is None:
                event = self._wait(context)
            check_ready(self, context, event)
            if self.is_all_known(context, event):
                return self.arrived(context, event)

    def is_all_known(self, context: Context, event: "WaitEvent") -> bool:
        """Tell whether what is ready is all there is to wait for; if not, `look` knows more now."""
        return True

    def _wait(self, context: Context) -> "WaitEvent":
        """Wait in the way that is asked for: two of the three leave the worker by an exception."""
        from fileflow_async.outcome import Outcome

        began = self._began(context)
        deadline = began + self.patience
        now = time.time()
        if self.deferrable and now < deadline:
            not_before = now + Settings.load().min_defer_seconds
            self.defer(
                trigger=cast(BaseTrigger, self.trigger(context, deadline=deadline, not_before=not_before)),
                method_name="execute_complete",
                timeout=timedelta(seconds=deadline - now + BACKSTOP),
            )
        if self.reschedule and now < deadline:
            if self.is_in_doubt:
                event = self._hold(context, min(deadline, now + _DOUBT))
                if event.outcome is not Outcome.TIMEOUT:
                    return event
            raise AirflowRescheduleException(datetime.now(UTC) + timedelta(seconds=self._pause(began, now)))
        return self._hold(context, deadline)

    def _hold(self, context: Context, deadline: float) -> "WaitEvent":
        """Wait in this worker."""
        from fileflow_async.clock import SystemClock

        trigger = self.trigger(context, deadline=deadline, not_before=None)
        return self.engine.run(trigger.wait(SystemClock()))

    def _pause(self, began: float, now: float) -> float:
        started = datetime.fromtimestamp(began, UTC)
        pause = self._get_next_poke_interval(
            started, lambda: now - began, 1
        )  # it works out how often it poked
        return max(pause, _LEAST_PAUSE)  # ADR 0008

    def _began(self, context: Context) -> float:
        """Return when this try began to wait: Airflow keeps that over deferrals and reschedules."""
        ti = context["ti"]
        began = ti.get_first_reschedule_date(context) if self.reschedule else None
        began = began or getattr(ti, "start_date", None) or datetime.now(UTC)
        return began.timestamp()

    @contextmanager
    def _verdict(self) -> Iterator[None]:
        """Turn an ending into the one that `soft_fail` and `never_fail` ask for."""
        try:
            yield
        except (AirflowSkipException, AirflowRescheduleException):
            raise
        except (AirflowSensorTimeout, AirflowTaskTimeout) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(
                    f"skipped, as it is to be when the time is over: {error}"
                ) from error
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException(f"skipped, as it never is to fail: {error}") from error
            raise


# Assigned, since Airflow would put the same around one that is defined in the class.
WaitingSensor.__init__ = inspect.unwrap(BaseSensorOperator.__init__)  # type: ignore[method-assign]


class WaitTrigger(Protocol):
    """A trigger whose wait can also be awaited without a triggerer."""

    async def wait(self, clock: "Clock") -> "WaitEvent":
        """Return how the wait ends."""
        ...
