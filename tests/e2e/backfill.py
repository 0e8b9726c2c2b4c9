"""Days that are made after the fact, and one of them once more."""

import asyncio
import hashlib
from collections.abc import Collection
from datetime import UTC, datetime

from demo.airflow_api import TaskInstance
from fileflow_async import TargetStore
from fileflow_async.inventory import targets
from tests.e2e import resumes
from tests.e2e.long_writes import written
from tests.e2e.team import ENDED, STORAGES, Team

DAYS = [datetime(2026, 11, number, tzinfo=UTC) for number in (2, 3, 4)]
COUNT = len(DAYS) * len(STORAGES)
CLEARED = frozenset((f"days_{storage}", "day") for storage in STORAGES)


def run(team: Team) -> None:
    """Backfill those who wait, then what they wait for; then clear a day under somebody who reads it."""
    account = team.account
    account.begin(f"{len(DAYS)} days are backfilled on each storage, those who wait first")
    _backfill(team, "reports", {"deferred"})
    _backfill(team, "days", ENDED)
    team.until_ended(["reports"])
    resumes.check(team, team.tasks("reports"))
    for storage in STORAGES:
        _check_slots(team, storage)
        _check_data(team, storage)
    for storage in STORAGES:
        account.begin(f"a day is cleared on {storage}, while somebody reads it")
        _check_cleared(team, storage)


def _backfill(team: Team, name: str, states: Collection[str]) -> None:
    for storage in STORAGES:
        team.airflow.api.backfill(f"{name}_{storage}", DAYS[0], DAYS[-1])

    def are_so() -> bool:
        return [task.state in states for task in team.tasks(name)] == [True] * COUNT

    team.until(are_so, f"{COUNT} {name} are {' or '.join(states)}")


def _check_slots(team: Team, storage: str) -> None:
    """Check that each day is in a slot of its own, and nothing in another."""

    async def keys(store: TargetStore) -> list[str]:
        names = (f"days_{storage}/", f"reports_{storage}/")
        return [key for name in names for key in [each async for each in targets(store, name)]]

    tasks = [*team.tasks("days", storage), *team.tasks("reports", storage)]
    found, expected = team.ask(storage, keys), sorted(team.target(task).key for task in tasks)
    dates = {task.logical_date for task in tasks}
    text = f"each of {len(expected)} targets is in the slot of its day on {storage}"
    team.account.check(sorted(found) == expected and dates == set(DAYS), text, else_=found)


def _check_data(team: Team, storage: str) -> None:
    """Check that each report is about the first version of its own day."""
    tasks = team.tasks("reports", storage)
    found = [(team.result(task), team.versions(task), task.try_number) for task in tasks]
    expected = [(written(_first(task, 1)), 1, 1) for task in tasks]
    team.account.check(
        found == expected, f"{len(found)} reports are about their own days on {storage}", else_=found
    )


def _check_cleared(team: Team, storage: str) -> None:
    """Clear the day in the middle: whoever reads it and whoever has read it keep what they have."""
    account = team.account
    day = _of(team, "days", storage)
    target, old, new = team.target(day), written(_first(day, 1)), written(_first(day, 2))

    def clear() -> None:
        team.airflow.api.clear(day)
        team.until_ended(["days"])

    async def read(store: TargetStore) -> dict[str, object]:
        size, digest = 0, hashlib.sha256()
        async with store.open(target) as pieces:
            async for piece in pieces:
                if not size:
                    await asyncio.to_thread(clear)
                size += len(piece)
                digest.update(piece)
        return {"size": size, "sha256": digest.hexdigest()}

    found = team.ask(storage, read)
    account.check(found == old, "who reads it meanwhile gets the version that he began with", else_=found)
    day = _of(team, "days", storage)
    history = team.ask(storage, lambda store: store.history(target))
    hashes = [status.manifest.sha256 for status in history if status.manifest is not None]
    account.check(
        (day.state, day.try_number, hashes) == ("success", 2, [new["sha256"], old["sha256"]]),
        "the second try succeeded, and there are two versions, the newer one first",
        else_=(day, hashes),
    )
    report = team.target(_of(team, "reports", storage))
    record = team.ask(storage, lambda store: store.version(report)).manifest
    inputs = [each.sha256 for each in record.inputs] if record is not None else []
    account.check(
        inputs == [old["sha256"]], "its report names the version that it was made from", else_=record
    )
    _check_data(team, storage)


def _of(team: Team, name: str, storage: str) -> TaskInstance:
    """Return the task of the day in the middle."""
    return next(task for task in team.tasks(name, storage) if task.logical_date == DAYS[1])


def _first(task: TaskInstance, try_number: int) -> int:
    """Return the byte with which a day begins: another one in each try."""
    assert task.logical_date is not None
    return task.logical_date.day + try_number
