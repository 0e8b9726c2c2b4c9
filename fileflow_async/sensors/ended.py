"""What it means for a sensor's task how the wait has ended."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow.sdk import Context

from fileflow_async._compat import AirflowFailException, AirflowSkipException
from fileflow_async.errors import (
    FileflowError,
    TargetAccessError,
    TargetCorruptError,
    TargetEmptyError,
    TargetNotFoundError,
)
from fileflow_async.outcome import Missing, Outcome, WaitEvent
from fileflow_async.target import Target

if TYPE_CHECKING:
    from fileflow_async.sensors.waiting import WaitingSensor

ERRORS: Mapping[Outcome, type[Exception]] = {
    Outcome.EMPTY: TargetEmptyError,
    Outcome.CORRUPT: TargetCorruptError,
    Outcome.ABANDONED: TargetNotFoundError,
    Outcome.FAILED: AirflowFailException,  # trying again is in vain until the producer was cleared
    Outcome.UNREADABLE: TargetAccessError,
}


def check_ready(sensor: "WaitingSensor", context: Context, event: WaitEvent) -> None:
    """Raise what an outcome other than READY means."""
    if event.outcome is Outcome.READY:
        return
    first = (
        event.missing[0] if event.missing else Missing(target="?", state="UNREADABLE", why="no reason given")
    )
    if event.outcome is Outcome.TIMEOUT:
        sensor.missed(context, event)
        raise sensor.too_late(_timed_out(sensor, event, first))
    message = f"{_called(first.target)}: {first.why}"
    if event.outcome is Outcome.EMPTY:
        message = f"{_called(first.target)} is complete but empty"
    if sensor.policy_of(event.outcome) == "skip":
        raise AirflowSkipException(message)
    raise sensor.error_of(event.outcome)(message)


def _timed_out(sensor: "WaitingSensor", event: WaitEvent, first: Missing) -> str:
    if event.missing_count == 1 and event.ready_count == 0:
        last = f"last state {first.state} ({first.why})"
        return f"waited {sensor.patience:.0f} s for {_called(first.target)}; {last}"
    return f"waited {sensor.patience:.0f} s: {event.describe()}"


def _called(target: str) -> str:
    """Return how people call a target, as far as its name tells."""
    try:
        return str(Target.parse(target))
    except FileflowError:
        return target
