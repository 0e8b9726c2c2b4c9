"""What the end-to-end run runs, once on each storage: many waits, days, a long write, an outage."""

import hashlib
import os
import time
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from airflow.sdk import DAG

from fileflow_async import AsyncTaskRunner, Dependency, DivePythonOperator, DiveSensorAsync, TaskRunner

START = datetime(2026, 11, 1, tzinfo=UTC)
MIB = 1024 * 1024
STORAGES: dict[str, dict[str, Any]] = {
    "local": {"fileflow_root": os.environ["E2E_LOCAL_ROOT"]},
    "s3": {"fileflow_root": os.environ["E2E_S3_ROOT"], "fileflow_conn_id": "lake"},
}
TABLES = int(os.environ["E2E_TABLES"])
WAITS = int(os.environ["E2E_WAITS"])  # for each table
FEW = int(os.environ["E2E_FEW"])
LONG = int(os.environ["E2E_LONG"])  # MiB of a long write


class Table(TaskRunner):
    """A table that says by its numbers which one it is."""

    def run(self, number: int, rows: int) -> None:
        self.write([{"table": number, "row": row, "square": row * row} for row in range(rows)], format="csv")


class Total(AsyncTaskRunner):
    """What a table adds up to."""

    async def run(self) -> None:
        table = await self.read("table", list)
        total = {"table": table[0]["table"], "rows": len(table), "sum": sum(row["square"] for row in table)}
        await self.write_json(total)


class Long(TaskRunner):
    """A long write, in pieces. A first try that is to be killed never comes to an end."""

    def run(self, is_killed: bool) -> None:
        is_endless = is_killed and self.context["ti"].try_number == 1
        with self.open_output(format="bytes") as out:
            for number in count() if is_endless else range(LONG):
                out.write(bytes([number % 256]) * MIB)
                time.sleep(0.2)


class Day(TaskRunner):
    """A day that says by its first byte which one it is, and which try has made it."""

    def run(self) -> None:
        first = self.context["logical_date"].day + self.context["ti"].try_number
        with self.open_output(format="bytes") as out:
            for number in range(first, first + LONG):
                out.write(bytes([number % 256]) * MIB)


class Digest(TaskRunner):
    """What a long write was, read back in pieces."""

    def run(self) -> None:
        size, digest = 0, hashlib.sha256()
        with self.open_input("long") as pieces:
            for piece in pieces:
                size += len(piece)
                digest.update(piece)
        self.write_json({"size": size, "sha256": digest.hexdigest()})


for storage, where in STORAGES.items():
    with DAG(f"tables_{storage}", schedule=None, start_date=START):
        for number in range(TABLES):
            DivePythonOperator(
                task_id=f"table_{number}",
                python_object=Table,
                op_kwargs={"number": number, "rows": 1000 + number},
                **where,
            )

    # The tables of the last two are made by nobody here.
    for name, producer, waits in (
        ("waits", "tables", WAITS),
        ("frozen", "frozen_tables", FEW),
        ("database", "database_tables", FEW),
    ):
        with DAG(f"{name}_{storage}", schedule=None, start_date=START):
            for number in range(TABLES * waits):
                DiveSensorAsync(
                    task_id=f"wait_{number}",
                    data_dependencies={
                        "table": Dependency(f"table_{number % TABLES}", dag_id=f"{producer}_{storage}")
                    },
                    python_object=Total,
                    poke_interval=1,
                    timeout=timedelta(minutes=10),
                    **where,
                )

    for name, is_killed in (("killed", True), ("outage", False)):
        with DAG(f"{name}_{storage}", schedule=None, start_date=START):
            DivePythonOperator(
                task_id="long",
                python_object=Long,
                op_kwargs={"is_killed": is_killed},
                retries=1,
                retry_delay=timedelta(seconds=1),
                **where,
            )
            for number in range(WAITS):
                DiveSensorAsync(
                    task_id=f"digest_{number}",
                    data_dependencies={"long": "long"},
                    python_object=Digest,
                    poke_interval=1,
                    timeout=timedelta(minutes=10),
                    **where,
                )

    with DAG(f"days_{storage}", schedule="@daily", start_date=START):
        DivePythonOperator(task_id="day", python_object=Day, **where)

    with DAG(f"reports_{storage}", schedule="@daily", start_date=START):
        DiveSensorAsync(
            task_id="report",
            data_dependencies={"long": Dependency("day", dag_id=f"days_{storage}")},
            python_object=Digest,
            poke_interval=1,
            timeout=timedelta(minutes=10),
            **where,
        )

    # These begin while S3 is away.
    with DAG(f"late_{storage}", schedule=None, start_date=START):
        DivePythonOperator(
            task_id="table", python_object=Table, op_kwargs={"number": 0, "rows": 1000}, **where
        )
        DiveSensorAsync(
            task_id="digest",
            data_dependencies={"long": Dependency("long", dag_id=f"outage_{storage}")},
            python_object=Digest,
            poke_interval=1,
            timeout=timedelta(minutes=10),
            **where,
        )
