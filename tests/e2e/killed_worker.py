"""Workers that are killed while their tasks write."""

from tests.e2e import long_writes, resumes
from tests.e2e.long_writes import readers, writers
from tests.e2e.team import STORAGES, Team

DAG = "killed"


def run(team: Team) -> None:
    """Kill the workers under two long writes; nothing is there until their second tries have committed."""
    account = team.account
    account.begin("a worker is killed in the middle of a write, on each storage")
    team.trigger(DAG)
    long_writes.until_waiting(team, DAG)
    for storage in STORAGES:
        long_writes.until_begun(team, DAG, storage)
    killed = sorted({name for task in writers(team, DAG) if (name := team.airflow.owner(task.pid or 0))})
    for name in killed:
        team.airflow.kill(name)
        account.note(f"{name} is killed, with all that it had started")
    for writer in writers(team, DAG):
        long_writes.check_nothing(team, writer)
    states = [task.state for task in readers(team, DAG)]
    account.check(set(states) == {"deferred"}, f"{len(states)} tasks still wait for them", else_=states)
    for name in killed:
        team.airflow.start(name)
    team.until_ended([DAG])
    tries = [(task.state, task.try_number) for task in writers(team, DAG)]
    account.check(tries == [("success", 2)] * len(STORAGES), "the second tries succeeded", else_=tries)
    resumes.check(team, readers(team, DAG))
    long_writes.check_data(team, DAG)
    long_writes.tell_seconds(team, DAG)
