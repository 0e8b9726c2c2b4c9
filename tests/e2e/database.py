"""A database of Airflow that is away for a while."""

import time

from tests.e2e import planted
from tests.e2e.team import ENDED, Team

DAG = "database"
SECONDS = 20.0


def run(team: Team) -> None:
    """Kill the database under waits, commit what they wait for, and start it and all that it took along."""
    account = team.account
    account.begin(f"PostgreSQL is away for {SECONDS:.0f} s under {planted.COUNT} waits")
    planted.begin(team, DAG)
    team.postgres.die()
    deadline = time.monotonic() + SECONDS
    planted.commit(team, DAG)
    while time.monotonic() < deadline:
        time.sleep(1)
    team.postgres.serve()
    account.note("it comes back")
    revived = list[str]()

    def are_over() -> bool:
        revived.extend(team.revive())
        return team.airflow.api.health() != {} and all(task.state in ENDED for task in team.tasks(DAG))

    team.until(are_over, "all of them have ended")
    team.airflow.wait_until_healthy()
    account.note(f"ended with it and were started again: {', '.join(revived) or 'none'}")
    planted.check(team, DAG)
