"""What it costs to begin: an import, and the parsing of a DAG file with a hundred sensors.

    .venv-bench/bin/python bench/starting.py [--quick] [--rounds N] [--only TEXT] [--json FILE]

Each figure is a fresh process's that finds everything compiled, as installed packages are. The dag-processor
has Airflow imported and plugins loaded before it forks for a file, and the modules of Airflow's own that the
file names; it keeps all that from the garbage collector, and none of it counts. What else the file imports
does: that happens again for every file, at every parsing.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from racing import Contestant, Lap, Race, run

HEAD = """
import datetime
from airflow.sdk import DAG
{imports}

with DAG("many", schedule=None, start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)):
    for number in range(100):
        {sensor}
"""
SENSORS = {
    "Airflow FileSensor, deferrable": (
        "from airflow.providers.standard.sensors.filesystem import FileSensor",
        'FileSensor(task_id=f"wait-{number}", filepath=f"/data/{number}.csv", deferrable=True)',
    ),
    "Airflow ExternalTaskSensor, deferrable": (
        "from airflow.providers.standard.sensors.external_task import ExternalTaskSensor",
        'ExternalTaskSensor(task_id=f"wait-{number}", external_dag_id="shop", deferrable=True)',
    ),
    "Airflow S3KeySensor, deferrable": (
        "from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor",
        'S3KeySensor(task_id=f"wait-{number}", bucket_key=f"s3://lake/{number}.csv", deferrable=True)',
    ),
    "DiveSensorAsync": (
        "from fileflow_async import Dependency, DiveSensorAsync",
        'DiveSensorAsync(task_id=f"wait-{number}", data_dependencies={"x": Dependency("t", dag_id="shop")})',
    ),
    "ArrivalSensorAsync": (
        "from fileflow_async.sensors.arrival import ArrivalSensorAsync",
        'ArrivalSensorAsync(task_id=f"wait-{number}", path=f"file:///data/{number}.csv")',
    ),
}
PARSE = """
import gc, importlib, sys, time
import airflow.sdk, airflow.dag_processing.manager
from airflow.dag_processing.dagbag import DagBag
from airflow.listeners.listener import get_listener_manager
from airflow.utils.file import iter_airflow_imports
get_listener_manager()
for module in iter_airflow_imports(sys.argv[1]):
    importlib.import_module(module)
gc.collect()
gc.freeze()
began = time.perf_counter()
bag = DagBag(sys.argv[1])
took = time.perf_counter() - began
if bag.import_errors or not bag.dags:
    sys.exit(str(bag.import_errors))
print(1000 * took)
"""
IMPORT = """
import time
began = time.perf_counter()
{}
print(1000 * (time.perf_counter() - began))
"""


@dataclass
class Fresh:
    """Figures of processes that do one thing and end."""

    directory: Path
    _compiled: set[tuple[str, ...]] = field(default_factory=set)

    def importing(self) -> Race:
        return Race(
            "Import",
            "milliseconds",
            {
                "asyncio and json": self.of("import asyncio, json"),
                "fileflow_async": self.of("import fileflow_async"),
                "fileflow_async, TargetStore": self.of("from fileflow_async import TargetStore"),
                "luigi": self.of("import luigi"),
                "s3fs": self.of("import s3fs"),
                "airflow.sdk, ObjectStoragePath": self.of("from airflow.sdk import ObjectStoragePath"),
            },
            more_is_better=False,
        )

    def parsing(self) -> Race:
        return Race(
            "Parse a DAG file with 100 sensors",
            "milliseconds",
            {name: self.parsed(*what) for name, what in SENSORS.items()},
            more_is_better=False,
        )

    def of(self, statement: str) -> Contestant:
        return lambda: self.printed("-c", IMPORT.format(statement))

    def parsed(self, imports: str, sensor: str) -> Contestant:
        file = self.directory / f"{imports.split()[-1]}.py"
        file.write_text(HEAD.format(imports=imports, sensor=sensor))
        return lambda: self.printed("-c", PARSE, str(file))

    async def printed(self, *arguments: str) -> Lap:
        if arguments not in self._compiled:
            self._compiled.add(arguments)
            await self.printed(*arguments)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-W",
            "ignore",
            *arguments,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "AIRFLOW_HOME": str(self.directory),
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
                "PYTHONDONTWRITEBYTECODE": "",
                "PYTHONPYCACHEPREFIX": str(self.directory / "compiled"),
            },
        )
        answer, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(answer.decode())
        return Lap(float(answer.split()[-1]))


@asynccontextmanager
async def races(directory: Path, quick: bool) -> AsyncIterator[AsyncIterator[Race]]:
    async def each() -> AsyncIterator[Race]:
        fresh = Fresh(directory)
        yield fresh.importing()
        yield fresh.parsing()

    yield each()


if __name__ == "__main__":
    run(__doc__, races)
