"""How long it takes from the data to the first line of the task that waited for it, in a real Airflow.

    .venv-bench/bin/python bench/resuming.py [--quick] [--rounds N] [--json FILE]

One Airflow runs with scheduler, triggerer and workers of its own; all tasks are deferred before the first
piece of data comes. They look every five seconds at least. Most of the time is Airflow's own: its triggerer
writes the event down, its scheduler finds that, and a worker starts.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from racing import Contestant, Lap, Race, run

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the demo's Airflow

from demo.airflow import Airflow
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from fileflow_async.target import Slot, Target

DAYS = Slot(logical_date=datetime(2026, 1, 1, tzinfo=UTC))
DAG = """
import datetime, pathlib, time
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import DAG
from fileflow_async import Dependency, DiveSensorAsync, TaskRunner

def stamp(name):
    passing = pathlib.Path({folder!r}, name + ".new")
    passing.write_text(repr(time.time()))
    passing.rename(passing.with_suffix(".at"))

class Stamp(TaskRunner):
    def run(self, name):
        stamp(name)

class StampedFileSensor(FileSensor):
    def execute_complete(self, context, event=None):
        stamp(self.task_id)
        super().execute_complete(context, event)

with DAG("waits", schedule=None, start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)):
    for number in range({tasks}):
        DiveSensorAsync(
            task_id=f"target-{{number}}",
            data_dependencies={{"data": Dependency(f"make-{{number}}", dag_id="data")}},
            poke_interval=5,
            python_object=Stamp,
            op_args=[f"target-{{number}}"],
        )
        StampedFileSensor(
            task_id=f"file-{{number}}", filepath=f"{folder}/{{number}}.csv", poke_interval=5, deferrable=True
        )
"""


@dataclass
class Waits:
    """Tasks that wait, of both kinds, and what they wait for."""

    folder: Path
    store: TargetStore
    _numbers: dict[str, "count[int]"] = field(default_factory=dict)

    def race(self) -> Race:
        return Race(
            "From the data to the first line of the task that waited",
            "seconds",
            {
                "DiveSensorAsync": self.timed("target", self.commit),
                "Airflow FileSensor, deferrable": self.timed("file", self.create),
            },
            more_is_better=False,
            rounds=9,
        )

    def timed(self, kind: str, provide: Callable[[int], Awaitable[None]]) -> Contestant:
        async def turn() -> Lap:
            number = next(self._numbers.setdefault(kind, count()))
            await provide(number)
            began, stamp = time.time(), self.folder / f"{kind}-{number}.at"
            while not stamp.exists():
                if time.time() > began + 120:
                    raise TimeoutError(f"{kind}-{number} has not begun two minutes after its data came")
                await asyncio.sleep(0.01)
            return Lap(float(stamp.read_text()) - began)

        return turn

    async def commit(self, number: int) -> None:
        target = Target(dag_id="data", task_id=f"make-{number}", slot=DAYS)
        async with self.store.write(target, format="bytes") as out:
            await out.write(b"x")

    async def create(self, number: int) -> None:
        passing = self.folder / f"{number}.csv.new"
        passing.write_bytes(b"x")
        passing.rename(self.folder / f"{number}.csv")


@asynccontextmanager
async def races(directory: Path, quick: bool) -> AsyncIterator[AsyncIterator[Race]]:
    tasks = 2 if quick else 9
    dags, data, root = (directory / name for name in ("dags", "data", "root"))
    for folder in (dags, data, root):
        folder.mkdir()
    (dags / "waits.py").write_text(DAG.format(folder=str(data), tasks=tasks))
    environment = {
        "AIRFLOW__FILEFLOW__ROOT": root.as_uri(),
        "AIRFLOW_CONN_FS_DEFAULT": "fs://",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    with Airflow(directory / "airflow", dags=dags, environment=environment) as airflow:
        airflow.wait_for_dags(["waits"])
        airflow.api.trigger("waits", logical_date=DAYS.logical_date)
        until = time.monotonic() + 180
        while airflow.api.slots().deferred < 2 * tasks:
            if time.monotonic() > until:
                raise TimeoutError(f"only {airflow.api.slots().deferred} of {2 * tasks} tasks wait")
            await asyncio.sleep(1)
        async with LocalStorage(root) as storage:

            async def each() -> AsyncIterator[Race]:
                yield Waits(data, TargetStore(storage)).race()

            yield each()


if __name__ == "__main__":
    run(__doc__, races)
