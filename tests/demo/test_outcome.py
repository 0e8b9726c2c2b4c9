"""The demo succeeds only if all is as it has to be."""

import asyncio
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from rich.console import Console

from demo import bank, outcome
from demo.airflow_api import TaskInstance
from demo.screen import Screen
from fileflow_async import Target, TargetStore, open_store

DAY = datetime(2026, 11, 20, tzinfo=UTC)


async def commit(store: TargetStore, target: Target, wanted: object) -> None:
    """Write what the DAGs would have written."""
    if isinstance(wanted, int):
        async with store.write(target, format="csv") as out:
            await out.write(b"n\n" + b"1\n" * wanted)
            out.rows = wanted
    else:
        async with store.write(target, format="json") as out:
            await out.write(json.dumps(wanted).encode())


@pytest.fixture
async def root(tmp_path: Path) -> str:
    """A store in which all is well."""
    uri = (tmp_path / "store").as_uri()
    async with open_store(uri, create=True) as store:
        for target, wanted in outcome.expected(DAY).items():
            await commit(store, target, wanted)
    return uri


def instance(name: str, state: str | None = "success") -> TaskInstance:
    dag_id, task = name.split(".")
    task_id, _, index = task.rstrip("]").partition("[")
    return TaskInstance(dag_id, "run", task_id, int(index or -1), state, 1, None, None)


async def test_all_is_well(root: str) -> None:
    verdicts = await outcome.judge(root, DAY)
    assert len(verdicts) == 7
    assert [verdict.problem for verdict in verdicts] == [None] * 7


def damage(folder: Path) -> None:
    """Change one byte of the one value in there."""
    (data,) = folder.rglob("*.csv")
    data.write_bytes(data.read_bytes().replace(b"1", b"2", 1))


async def test_a_value_that_is_wrong_or_damaged_or_missing_is_a_problem(root: str, tmp_path: Path) -> None:
    """And the screen shows it beside the others."""
    places = {target.task_id: target for target in outcome.expected(DAY)}
    async with open_store(root) as store:
        await commit(store, places["merge"], 3)
        await commit(store, places["report"], {"orders": 14, "sum": 450})
        await store.delete(places["convert"])
    await asyncio.to_thread(damage, tmp_path / "store" / "rates")
    verdicts = await outcome.judge(root, DAY)
    problems = {verdict.status.key: verdict.problem for verdict in verdicts if verdict.problem}
    assert set(problems) == {places[task].key for task in ("merge", "report", "keep", "convert")}
    assert problems[places["merge"].key] == "it is 3 and not 15"
    assert "sha256" in problems[places["keep"].key].lower().replace("-", "")
    Screen(Console(file=(out := io.StringIO()))).targets(verdicts)
    shown = next(line for line in out.getvalue().splitlines() if places["convert"].key in line)
    assert shown.split()[1:] == ["ABSENT"]


def test_tasks_that_failed_or_are_missing_or_too_many_are_told() -> None:
    """As many as there are has to be known: a DAG that lost a task would end well, too."""
    names = sorted(outcome.TASKS)
    assert outcome.unexpected([instance(name) for name in names]) == {}
    lost, late, *rest = names
    found = [instance(late, "deferred"), instance("shop.more"), *map(instance, rest)]
    told = outcome.unexpected(found)
    assert {name: each and each.state for name, each in told.items()} == {
        lost: None,
        late: "deferred",
        "shop.more": "success",
    }


def test_the_bank_says_last_that_its_file_is_whole(tmp_path: Path) -> None:
    """While it writes, the file is there and has no done file."""
    done, whole = tmp_path / "rates-2026-11-20.csv.done", list[bool]()
    bank.drop(tmp_path, DAY, tell=lambda _: whole.append(done.exists()), given_up=Event(), pause=0)
    assert whole == [False] * 4 + [True]
    assert (tmp_path / "rates-2026-11-20.csv").read_text().splitlines()[0] == "currency,rate"


def test_the_bank_stops_when_nobody_waits(tmp_path: Path) -> None:
    """And never says that half a file is whole."""
    (given_up := Event()).set()
    bank.drop(tmp_path, DAY, tell=lambda _: None, given_up=given_up, pause=1000)
    assert [path.name for path in tmp_path.iterdir()] == ["rates-2026-11-20.csv"]
