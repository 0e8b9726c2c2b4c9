"""Waits for tables that no task makes: they are committed past Airflow, whatever it is in."""

from demo.airflow_api import TaskInstance
from fileflow_async import Slot, Target, TargetStore, formats
from tests.e2e import resumes
from tests.e2e.team import FEW, STORAGES, TABLES, Team
from tests.e2e.waits import number_of, total_of

COUNT = len(STORAGES) * TABLES * FEW


def begin(team: Team, name: str) -> None:
    """Begin the waits of a DAG, and wait until all of them wait."""
    team.trigger(name)
    team.until(lambda: len(deferred(team, name)) == COUNT, f"{COUNT} waits are deferred")


def deferred(team: Team, name: str) -> list[TaskInstance]:
    """Return those that wait."""
    return [task for task in team.tasks(name) if task.state == "deferred"]


def commit(team: Team, name: str) -> None:
    """Commit what they wait for."""
    for storage in STORAGES:
        dag_id = f"{name}_tables_{storage}"

        async def write(store: TargetStore, dag_id: str = dag_id) -> None:
            for number in range(TABLES):
                slot = Slot(logical_date=team.moment)
                target = Target(dag_id=dag_id, task_id=f"table_{number}", slot=slot)
                rows = [{"table": number, "row": row, "square": row * row} for row in range(1000 + number)]
                async with store.write(target, format="csv") as out:
                    await formats.write(out, rows)

        team.ask(storage, write)
    team.account.note(f"{len(STORAGES) * TABLES} tables are committed")


def check(team: Team, name: str) -> None:
    """Check that all went on once and are right, though a trigger may have fired more than once."""
    tasks = team.tasks(name)
    resumes.check(team, tasks, once_each=False)
    found = [(team.result(task), team.versions(task)) for task in tasks]
    expected = [(total_of(number_of(task)), 1) for task in tasks]
    team.account.check(found == expected, f"{len(found)} results are right, each committed once", else_=found)
