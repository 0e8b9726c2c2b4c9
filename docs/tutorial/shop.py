from datetime import UTC, datetime

from airflow.sdk import DAG

from fileflow_async import DivePythonOperator, TaskRunner


class Extract(TaskRunner):
    def run(self):
        orders = [{"order": 1, "amount": 9.9}, {"order": 2, "amount": 5.0}]
        self.write(orders, format="csv")


with DAG("shop", schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    DivePythonOperator(task_id="extract", python_object=Extract)
