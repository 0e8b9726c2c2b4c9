"""What must not be left behind: failed tasks, complaints in logs, secrets anywhere."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.e2e import backfill
from tests.e2e.team import STORAGES, Team

RUNNER_FAILED = "Trigger runner failed"
# A frame of ours, as Python prints it and as Airflow writes it into a record.
_TRACEBACK = re.compile(r'(File |"filename": ?)"[^"]*fileflow_async/')


def run(team: Team) -> None:
    """Look through everything."""
    account = team.account
    account.begin("afterwards")
    runs = team.airflow.api.dag_runs()
    bad = [run for run in runs if run.state != "success"]
    account.check(bool(runs) and not bad, f"{len(runs)} runs succeeded", else_=bad)
    tasks = team.airflow.api.task_instances()
    failed = [task for task in tasks if task.state != "success"]
    account.check(not failed, f"{len(tasks)} tasks succeeded", else_=failed)
    again = {(task.dag_id, task.task_id) for task in tasks if task.try_number > 1}
    killed = {(f"killed_{storage}", "long") for storage in STORAGES}
    meant = killed | backfill.CLEARED
    account.check(again <= meant, "none was tried twice but those killed or cleared", else_=again - meant)
    files = [*team.logs.files(), *(team.folder / "servers").iterdir()]
    found = [each for path in files for each in complaints(path)]
    account.check(
        not found,
        f'{len(files)} logs have no "{RUNNER_FAILED}" and no traceback of ours',
        else_=found,
    )
    places = [*files, *(path for path in (team.folder / "store").rglob("*") if path.is_file())]
    leaks = [name for name, secret in team.secrets.items() if _is_in(secret, places, team.postgres.dump())]
    account.check(not leaks, f"no secret is in {len(places)} files or the database", else_=leaks)


def complaints(path: Path) -> Iterator[str]:
    """Yield the lines that should not be there."""
    text = path.read_text(errors="replace")
    if RUNNER_FAILED in text:
        yield f"{path}: {RUNNER_FAILED}"
    yield from (f"{path}: {line}" for line in text.splitlines() if _TRACEBACK.search(line))


def _is_in(secret: str, places: list[Path], dump: str) -> bool:
    return secret in dump or any(secret.encode() in path.read_bytes() for path in places)
