"""An S3 server that is away for a minute."""

import time
from collections import Counter

from demo.airflow_api import TaskInstance
from tests.e2e import long_writes, resumes
from tests.e2e.team import Team, storage_of

SECONDS = 60.0


def run(team: Team) -> None:
    """Kill the server under a long write and those who wait for it, begin more, and start it again."""
    account = team.account
    account.begin(f"S3 is away for {SECONDS:.0f} s")
    team.trigger("outage")
    long_writes.until_begun(team, "outage", "s3")
    team.s3.die()
    states = [task.state for task in long_writes.writers(team, "outage") if storage_of(task) == "s3"]
    account.check(states == ["running"], "a task is in the middle of a write to it", else_=states)
    team.trigger("late")
    account.note("more tasks begin")
    deadline = time.monotonic() + SECONDS
    team.until(lambda: time.monotonic() > deadline, "the outage is over", limit=2 * SECONDS)
    account.note(f"S3 comes back; tasks are {_states(team)}")
    team.s3.serve()
    team.until_ended(["outage", "late"])
    tasks = _tasks(team)
    bad = [task for task in tasks if (task.state, task.try_number) != ("success", 1)]
    account.check(not bad, f"all {len(tasks)} tasks succeeded, each in its first try", else_=bad)
    resumes.check(team, long_writes.readers(team, "outage"))
    long_writes.check_data(team, "outage")


def _tasks(team: Team) -> list[TaskInstance]:
    return [*team.tasks("outage"), *team.tasks("late")]


def _states(team: Team) -> str:
    counts = Counter(task.state or "not begun" for task in _tasks(team))
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
