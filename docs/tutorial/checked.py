from datetime import UTC, datetime

from airflow.sdk import DAG

from fileflow_async import DivePythonOperator, TaskRunner
from fileflow_async.gates import no_nulls, not_empty


class Extract(TaskRunner):
    def run(self):
        orders = [{"order": 1, "amount": 9.9}, {"order": 2, "amount": None}]
        self.write(orders, format="csv")


with DAG("shop", schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    DivePythonOperator(task_id="extract", python_object=Extract, gates=[not_empty, no_nulls("amount")])
