"""A file that somebody else drops, and a task that needs it beside the data of another DAG."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow.sdk import DAG

from fileflow_async import AsyncTaskRunner, Dependency, DivePythonOperator, DiveSensorAsync, TaskRunner
from fileflow_async.sensors.arrival import ArrivalSensorAsync

START = datetime(2026, 11, 1, tzinfo=UTC)


class Keep(TaskRunner):
    """The bank's rates as a target: a copy that nobody changes any more."""

    def run(self, files: list[dict[str, Any]]) -> None:
        (file,) = files
        with Path(unquote(urlsplit(file["uri"]).path)).open(newline="") as lines:
            rates = [{**line, "rate": float(line["rate"])} for line in csv.DictReader(lines)]
        self.write(rates, format="csv")


class Convert(AsyncTaskRunner):
    """What was sold, in other currencies."""

    async def run(self) -> None:
        sold, rates = await self.read("sold"), await self.read("rates", list)
        await self.write_json({rate["currency"]: round(sold["sum"] * rate["rate"], 2) for rate in rates})


with DAG("rates", schedule="@daily", start_date=START, catchup=False):
    arrive = ArrivalSensorAsync(
        task_id="arrive",
        path="{{ var.value.inbox }}/rates-{{ ds }}.csv",
        # The bank writes this after the file. Without it one can only guess when a file is whole.
        done_file="{name}.done",
        timeout=timedelta(hours=6),
    )
    DivePythonOperator(task_id="keep", python_object=Keep, op_kwargs={"files": arrive.output})


# It waits for two other DAGs at once, and knows nothing of the file that one of them waits for.
with DAG("shop_abroad", schedule="@daily", start_date=START, catchup=False):
    DiveSensorAsync(
        task_id="convert",
        data_dependencies={
            "sold": Dependency("report", dag_id="shop_report"),
            "rates": Dependency("keep", dag_id="rates"),
        },
        python_object=Convert,
        timeout=timedelta(hours=6),
    )
