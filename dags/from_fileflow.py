"""A DAG of the original fileflow, anew: its operators, arguments and methods, on Airflow 3."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Context

from fileflow_async import DiveOperator, DivePythonOperator, TaskRunner


class Important(TaskRunner):
    """Data that others need."""

    def run(self) -> None:
        self.write_pandas_csv(pd.DataFrame({"name": ["anna", "björk"], "score": [3, 4]}))


class Ninja(TaskRunner):
    """Logic whose method is not called `run`."""

    def ninja_move(self, least: int) -> None:
        frame = self.read_upstream_pandas_csv("important_data")
        self.write_json(frame[frame["score"] >= least].to_dict("records"))


class Stamp(TaskRunner):
    """When it ran."""

    def run(self) -> None:
        self.write_timestamp_file()


class DerivedOperator(DiveOperator, PythonOperator):
    """An operator of one's own: any other one, with data dependencies."""

    def execute(self, context: Context) -> Any:
        """Call the function on what the upstream task wrote, and write what it returns."""
        with self.dive(context) as runner:
            self.op_args = [runner.read_upstream_json("dependency_key")]
            runner.write_file(super().execute(context))


def names(records: list[dict[str, Any]]) -> str:
    """Return the names, one a line."""
    return "\n".join(record["name"] for record in records)


with DAG("from_fileflow", schedule=None, start_date=datetime(2026, 11, 1, tzinfo=UTC)):
    important = DivePythonOperator(task_id="important", python_object=Important)
    ninja = DivePythonOperator(
        task_id="ninja",
        python_object=Ninja,
        python_method="ninja_move",
        op_kwargs={"least": 4},
        data_dependencies={"important_data": important},
    )
    derived = DerivedOperator(
        task_id="derived", python_callable=names, data_dependencies={"dependency_key": "ninja"}
    )
    stamp = DivePythonOperator(task_id="stamp", python_object=Stamp)
    ninja >> derived >> stamp
