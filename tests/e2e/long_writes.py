"""A long write on each storage, and tasks that wait for it."""

import hashlib
import json

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


async def until_begun(team: Team, name: str) -> None:
    """Wait until all writers have written a part of it."""
    team.until(lambda: [task.state for task in writers(team, name)] == ["running"] * 2, "both writers run")
    for task in writers(team, name):
        while not await is_begun(team, task):
            team.check()


async def is_begun(team: Team, writer: TaskInstance) -> bool:
    """Tell whether a part of a target is there: on disk as a file with another name, in S3 as an upload."""
    target = team.target(writer)
    if storage_of(writer) == "s3":
        return any(f"/{target.key}/" in key for key in team.s3.open_uploads(BUCKET))
    async with team.open_store("local") as store:
        status = await store.state(target)
    return status.writing is not None and status.writing.size > MIB


async def check_nothing(team: Team, writer: TaskInstance) -> None:
    """Check that a part of a target is there and is no value."""
    is_part = await is_begun(team, writer)
    async with team.open_store(storage_of(writer)) as store:
        status = await store.state(team.target(writer))
        versions = await store.history(team.target(writer))
    team.account.check(
        is_part and not status.is_committed and not versions,
        f"half a target is left on {storage_of(writer)}, and nobody sees it: {status.why}",
        else_=status,
    )


async def check_data(team: Team, name: str) -> None:
    """Compare what was read with what was to be written."""
    digest = hashlib.sha256(b"".join(bytes([number % 256]) * MIB for number in range(LONG))).hexdigest()
    expected = {"size": LONG * MIB, "sha256": digest}
    for writer in writers(team, name):
        storage = storage_of(writer)
        async with team.open_store(storage) as store:
            tasks = [task for task in readers(team, name) if storage_of(task) == storage]
            found = [json.loads(await store.read(team.target(task))) for task in tasks]
            count = len(await store.history(team.target(writer)))
        right = count == 1 and all(each == expected for each in found)
        text = f"one version of {LONG} MiB on {storage}, read back {len(found)} times"
        team.account.check(right, text, else_=(count, found))


async def tell_seconds(team: Team, name: str) -> None:
    """Tell how long after the commits their readers went on."""
    by_dag = {writer.dag_id: writer for writer in writers(team, name)}
    await resumes.tell_seconds(team, {reader: by_dag[reader.dag_id] for reader in readers(team, name)})
