"""The example DAGs, as the demo runs them on a disk, with the root that is configured in S3."""

from demo import bank, outcome
from demo.airflow_api import TaskInstance
from demo.story import ARRIVAL, CONSUMERS, PRODUCER
from demo.watching import name_of
from fileflow_async import Slot, Target
from tests.e2e.team import ENDED, EXAMPLES, Team

ORIGINAL = "from_fileflow"  # it waits for nothing
NAMES = "björk"  # what is left of the table in the end


def run(team: Team) -> None:
    """Begin those who wait, drop the file of the outsider, begin the others, and look at all targets."""
    account, api = team.account, team.airflow.api
    account.begin("the examples run in S3")
    team.airflow.wait_for_dags([*CONSUMERS, PRODUCER, ORIGINAL])
    runs = [api.trigger(dag_id, logical_date=team.moment) for dag_id in CONSUMERS]

    def tasks() -> list[TaskInstance]:
        return [task for run in runs for task in api.task_instances(run.dag_id, run.run_id)]

    def waiting() -> bool:
        return sum(task.state == "deferred" for task in tasks()) == len(CONSUMERS)

    team.until(waiting, f"{len(CONSUMERS)} of them wait")
    runs += [api.trigger(dag_id, logical_date=team.moment) for dag_id in (PRODUCER, ORIGINAL)]
    with bank.dropping(team.inbox, team.moment, tell=account.note):
        team.until(lambda: all(task.state in ENDED for task in tasks()), "the examples have ended")
    bad = outcome.unexpected([task for task in tasks() if task.dag_id != ORIGINAL])
    account.check(not bad, f"all {len(outcome.TASKS)} tasks of the demo succeeded", else_=bad)
    arrival = next(task for task in tasks() if name_of(task) == ARRIVAL)
    account.check(len(team.logs.fired(arrival)) == 1, "the file of the outsider arrived once", else_=arrival)
    judged = team.ask(EXAMPLES, lambda store: outcome.verdicts(store, team.moment))
    wrong = [verdict for verdict in judged if verdict.problem]
    account.check(not wrong, f"all {len(judged)} targets are what they are on a disk", else_=wrong)
    derived = Target(dag_id=ORIGINAL, task_id="derived", slot=Slot(logical_date=team.moment))
    names = team.ask(EXAMPLES, lambda store: store.read(derived)).decode()
    account.check(names == NAMES, "the DAG of the original is right", else_=names)
