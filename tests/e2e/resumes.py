"""How waits went on: each once, and how soon."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median

from demo.airflow_api import TaskInstance
from tests.e2e.team import STORAGES, Team

RESUMED = "The wait ended: ready"  # what the worker writes that goes on


def check(team: Team, waits: Sequence[TaskInstance]) -> None:
    """Check that each wait went on exactly once."""
    account, once = team.account, [1] * len(waits)
    good = [task for task in waits if (task.state, task.try_number) == ("success", 1)]
    bad = [task for task in waits if task not in good]
    account.check(not bad, f"{len(good)} of {len(waits)} succeeded, each in its first try", else_=bad)
    fired = [len(team.logs.fired(task)) for task in waits]
    account.check(fired == once, "the trigger of each fired exactly once", else_=fired)
    resumed = [len(team.logs.task(task, RESUMED)) for task in waits]
    account.check(resumed == once, "each was resumed exactly once", else_=resumed)


async def tell_seconds(team: Team, awaited: Mapping[TaskInstance, TaskInstance]) -> None:
    """Tell how long after the commit that they waited for tasks went on, their wait for a slot included."""
    moments: dict[TaskInstance, float] = {}
    for storage in STORAGES:
        async with team.open_store(storage) as store:
            for task in {each for each in awaited.values() if each.dag_id.endswith(storage)}:
                record = (await store.version(team.target(task))).manifest
                assert record is not None  # version() returns one
                assert record.committed is not None
                moments[task] = datetime.fromisoformat(record.committed).timestamp()
    fired, resumed = [], []
    for wait, task in awaited.items():
        fired += [line.moment.timestamp() - moments[task] for line in team.logs.fired(wait)]
        resumed += [line.moment.timestamp() - moments[task] for line in team.logs.task(wait, RESUMED)]
    team.account.note(
        f"after the commit, in the median of {len(resumed)}: {median(fired):.1f} s until the trigger fired, "
        f"{median(resumed):.1f} s until a worker went on"
    )
