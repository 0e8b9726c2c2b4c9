"""A long write on each storage, and tasks that wait for it."""

import hashlib

from demo.airflow_api import TaskInstance
from tests.e2e import resumes
from tests.e2e.team import BUCKET, LONG, MIB, STORAGES, WAITS, Team, storage_of


def writers(team: Team, name: str) -> list[TaskInstance]:
    """Return the tasks of a DAG that write."""
    return [task for task in team.tasks(name) if task.task_id == "long"]


def readers(team: Team, name: str) -> list[TaskInstance]:
    """Return the tasks of a DAG that wait for what is written, and read it."""
    return [task for task in team.tasks(name) if task.task_id.startswith("digest")]


def until_waiting(team: Team, name: str) -> None:
    """Wait until all readers wait."""
    count = len(STORAGES) * WAITS
    states = ["deferred"] * count
    team.until(lambda: [task.state for task in readers(team, name)] == states, f"{count} tasks wait")


def until_begun(team: Team, name: str, storage: str) -> None:
    """Wait until a part is written on a storage."""
    writer = next(task for task in writers(team, name) if storage_of(task) == storage)
    team.until(lambda: is_begun(team, writer), f"a write has begun on {storage}")


def is_begun(team: Team, writer: TaskInstance) -> bool:
    """Tell whether a part of a target is there: on disk as a file with another name, in S3 as an upload."""
    target = team.target(writer)
    if storage_of(writer) == "s3":
        return any(f"/{target.key}/" in key for key in team.s3.open_uploads(BUCKET))
    status = team.ask("local", lambda store: store.state(target))
    return status.writing is not None and status.writing.size > MIB


def check_nothing(team: Team, writer: TaskInstance) -> None:
    """Check that a part of a target is there and is no value."""
    status = team.ask(storage_of(writer), lambda store: store.state(team.target(writer)))
    versions = team.ask(storage_of(writer), lambda store: store.history(team.target(writer)))
    team.account.check(
        is_begun(team, writer) and not status.is_committed and not versions,
        f"half a target is left on {storage_of(writer)}, and nobody sees it: {status.why}",
        else_=status,
    )


def check_data(team: Team, name: str) -> None:
    """Compare what was read with what was to be written."""
    expected = written()
    for writer in writers(team, name):
        tasks = [task for task in readers(team, name) if task.dag_id == writer.dag_id]
        found = [team.result(task) for task in tasks]
        counts = [team.versions(task) for task in (writer, *tasks)]
        right = set(counts) == {1} and all(each == expected for each in found)
        text = f"one version of {LONG} MiB on {storage_of(writer)}, read back {len(found)} times"
        team.account.check(right, text, else_=(counts, found))


def written(first: int = 0) -> dict[str, object]:
    """Return what is read back of a long write that begins with this byte."""
    data = b"".join(bytes([number % 256]) * MIB for number in range(first, first + LONG))
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def tell_seconds(team: Team, name: str) -> None:
    """Tell how long after the commits their readers went on."""
    by_dag = {writer.dag_id: writer for writer in writers(team, name)}
    resumes.tell_seconds(team, {reader: by_dag[reader.dag_id] for reader in readers(team, name)})
