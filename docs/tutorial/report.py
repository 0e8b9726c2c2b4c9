from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from fileflow_async import AsyncTaskRunner, Dependency, DiveSensorAsync


class Report(AsyncTaskRunner):
    async def run(self):
        orders = await self.read("orders", list)
        amounts = [order["amount"] for order in orders]
        await self.write_json({"orders": len(amounts), "sum": sum(amounts)})


with DAG("report", schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    DiveSensorAsync(
        task_id="report",
        data_dependencies={"orders": Dependency("extract", dag_id="shop")},
        python_object=Report,
        timeout=timedelta(hours=6),
    )
