"""How waits went on: each once, and how soon."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median

from demo.airflow_api import TaskInstance
from tests.e2e.team import Team, storage_of

DEFERRED = "Pausing task as DEFERRED"  # what the worker writes that leaves
RESUMED = "The wait ended: ready"  # what the worker writes that goes on


def check(team: Team, waits: Sequence[TaskInstance], *, once_each: bool = True) -> None:
    """Check that all waits ended well, and that each went on once for each time that it was deferred.

    Args:
        team: The system.
        waits: The tasks.
        once_each: Whether triggers have fired once each. Where a triggerer was replaced that still lived, or
            could not tell of what it had seen, a second one may see the same; Airflow takes the first event.
    """
    account = team.account
    bad = [task for task in waits if (task.state, task.try_number) != ("success", 1)]
    account.check(not bad, f"{len(waits)} of {len(waits)} waits succeeded, each in its first try", else_=bad)
    deferred = [len(team.logs.task(task, DEFERRED)) for task in waits]
    fired = [len(team.logs.fired(task)) for task in waits]
    resumed = [len(team.logs.task(task, RESUMED)) for task in waits]
    text = f"they were deferred {sum(deferred)} times; each time a trigger fired and a worker went on once"
    account.check(deferred == resumed, text, else_=(deferred, resumed))
    if once_each:
        account.check(fired == deferred, "no trigger fired more than once", else_=fired)
    else:
        account.note(f"triggers fired {sum(fired)} times")


def tell_seconds(team: Team, awaited: Mapping[TaskInstance, TaskInstance]) -> None:
    """Tell how long after the commit that they waited for tasks went on, their wait for a slot included."""
    moments = {task: _committed(team, task) for task in set(awaited.values())}
    fired, resumed = [], []
    for wait, task in awaited.items():
        fired += [line.moment.timestamp() - moments[task] for line in team.logs.fired(wait)]
        resumed += [line.moment.timestamp() - moments[task] for line in team.logs.task(wait, RESUMED)]
    team.account.note(
        f"after the commit, in the median of {len(resumed)}: {median(fired):.1f} s until the trigger fired, "
        f"{median(resumed):.1f} s until a worker went on"
    )


def _committed(team: Team, task: TaskInstance) -> float:
    """Return when a task has committed, in seconds since 1970."""
    record = team.ask(storage_of(task), lambda store: store.version(team.target(task))).manifest
    assert record is not None  # version() returns one
    assert record.committed is not None
    return datetime.fromisoformat(record.committed).timestamp()
