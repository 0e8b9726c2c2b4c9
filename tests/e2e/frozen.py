"""A triggerer that hangs, is replaced, and wakes up again."""

import signal
import time
from collections import Counter

from tests.e2e import planted
from tests.e2e.logs import grep
from tests.e2e.team import TRIGGERERS, Team

DAG = "frozen"
AWAKE = 5.0  # seconds: it looks for triggers that are no longer its own once a second


def run(team: Team) -> None:
    """Stop a triggerer under its waits; commit when the other has them, and let the first one go on."""
    account = team.account
    account.begin(f"a triggerer hangs under {planted.COUNT} waits and wakes up when others have them")
    stopped, other = TRIGGERERS
    team.airflow.kill(other, signal.SIGSTOP)  # Airflow gives waits to whoever asks first, perhaps all of them
    planted.begin(team, DAG)
    team.until(lambda: _owners(team).total() == planted.COUNT, "a triggerer has all of them")
    [first] = _owners(team)
    team.airflow.kill(other, signal.SIGCONT)
    team.airflow.kill(stopped, signal.SIGSTOP)
    account.note("it is stopped")
    team.until(lambda: _are_of_another(team, first), "the other has all of them")
    planted.commit(team, DAG)
    before = _oversleeps(team, stopped)
    team.airflow.kill(stopped, signal.SIGCONT)
    team.until(lambda: _oversleeps(team, stopped) > before, "it wakes up")
    account.note("it wakes up, with triggers that are no longer its own")
    deadline = time.monotonic() + AWAKE
    team.until(lambda: time.monotonic() > deadline, "it had time to make mistakes")
    team.until_ended([DAG])
    planted.check(team, DAG)


def _are_of_another(team: Team, triggerer: int) -> bool:
    owners = _owners(team)
    return owners[triggerer] == 0 and owners.total() == planted.COUNT


def _owners(team: Team) -> Counter[int]:
    """Return how many waits each triggerer has."""
    return Counter(task.triggerer for task in planted.deferred(team, DAG) if task.triggerer is not None)


def _oversleeps(team: Team, name: str) -> int:
    """Return how many times a triggerer has noticed that its event loop stood still."""
    return len(grep(team.airflow.log(name), "async thread was blocked"))
