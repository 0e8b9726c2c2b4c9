"""Workers that are killed while their tasks write."""

from tests.e2e import long_writes, resumes
from tests.e2e.long_writes import readers, writers
from tests.e2e.team import STORAGES, Team

DAG = "killed"


async def run(team: Team) -> None:
    """Kill the workers under two long writes; nothing is there until their second tries have committed."""
    account = team.account
    account.begin("a worker is killed in the middle of a write, on each storage")
    team.trigger(DAG)
    long_writes.until_waiting(team, DAG)
    await long_writes.until_begun(team, DAG)
    killed = {team.airflow.owner(task.pid or 0) for task in writers(team, DAG)} - {None}
    for name in sorted(map(str, killed)):
        team.airflow.kill(name)
        account.note(f"{name} is killed, with all that it had started")
    for writer in writers(team, DAG):
        await long_writes.check_nothing(team, writer)
    states = [task.state for task in readers(team, DAG)]
    account.check(set(states) == {"deferred"}, f"{len(states)} tasks still wait for them", else_=states)
    for name in sorted(map(str, killed)):
        team.airflow.start(name)
    team.until_ended([DAG])
    tries = [(task.state, task.try_number) for task in writers(team, DAG)]
    account.check(tries == [("success", 2)] * len(STORAGES), "the second tries succeeded", else_=tries)
    resumes.check(team, readers(team, DAG))
    await long_writes.check_data(team, DAG)
    await long_writes.tell_seconds(team, DAG)
