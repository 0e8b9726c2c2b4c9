"""Many waits for few slots, and a triggerer that is killed under them."""

from collections import Counter

from demo.airflow_api import TaskInstance
from tests.e2e import resumes
from tests.e2e.team import SLOTS, STORAGES, TABLES, TRIGGERERS, WAITS, Team

COUNT = len(STORAGES) * TABLES * WAITS


def run(team: Team) -> None:
    """Let them all wait, kill a triggerer, commit what they wait for."""
    account = team.account
    account.begin(f"{COUNT} waits for {SLOTS} slots; a triggerer is killed under them")
    team.trigger("waits")
    team.until(lambda: len(_deferred(team)) == COUNT, f"{COUNT} waits are deferred")
    slots = team.airflow.api.slots()
    account.check(
        (slots.deferred, slots.occupied) == (COUNT, 0),
        f"{slots.deferred} waits are deferred at once and hold {slots.occupied} of {slots.total} slots",
        else_=slots,
    )
    team.until(lambda: len(_owners(team)) == len(TRIGGERERS), "both triggerers wait for some of them")
    owners = _owners(team)
    team.airflow.kill(TRIGGERERS[0])
    account.note(f"one of two triggerers is killed: they wait for {' and '.join(map(str, owners.values()))}")
    team.trigger("tables")
    team.until_ended(["tables", "waits"])
    resumes.check(team, team.tasks("waits"))
    for storage in STORAGES:
        _check_data(team, storage)
    tables = {(task.dag_id, task.task_id): task for task in team.tasks("tables")}
    awaited = {wait: tables[_dag_id(wait), f"table_{number_of(wait)}"] for wait in team.tasks("waits")}
    resumes.tell_seconds(team, awaited)
    team.airflow.start(TRIGGERERS[0])


def _deferred(team: Team) -> list[TaskInstance]:
    return [task for task in team.tasks("waits") if task.state == "deferred"]


def _owners(team: Team) -> Counter[int]:
    """Return how many waits each triggerer has."""
    return Counter(task.triggerer for task in _deferred(team) if task.triggerer is not None)


def _check_data(team: Team, storage: str) -> None:
    """Compare what was made of the tables with what they are."""
    tasks = team.tasks("waits", storage)
    found = [team.result(task) for task in tasks]
    expected = [total_of(number_of(task)) for task in tasks]
    team.account.check(found == expected, f"{len(found)} results are right on {storage}", else_=found)
    counts = [team.versions(task) for task in tasks]
    team.account.check(counts == [1] * len(tasks), f"each was committed once on {storage}", else_=counts)


def number_of(wait: TaskInstance) -> int:
    """Return the number of the table that a task waits for."""
    return int(wait.task_id.rpartition("_")[2]) % TABLES


def _dag_id(wait: TaskInstance) -> str:
    return wait.dag_id.replace("waits", "tables")


def total_of(number: int) -> dict[str, int]:
    """Return what is to be made of a table."""
    rows = 1000 + number
    return {"table": number, "rows": rows, "sum": sum(row * row for row in range(rows))}
