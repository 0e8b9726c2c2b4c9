"""Two DAGs that hand each other data: one extracts a day's orders, the other waits for them."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from fileflow_async import AsyncTaskRunner, Dependency, DivePythonOperator, DiveSensorAsync, TaskRunner
from fileflow_async.gates import has_columns, not_empty

SHOPS = ("amsterdam", "berlin", "paris")
START = datetime(2026, 11, 1, tzinfo=UTC)


class Extract(TaskRunner):
    """The orders of one shop. These are made up; yours come from a database or an API."""

    def run(self, shop: str) -> None:
        orders = [{"shop": shop, "order": number, "amount": 10 * number} for number in range(1, 6)]
        self.write(orders, format="csv")


class Merge(AsyncTaskRunner):
    """One table of all shops."""

    async def run(self) -> None:
        # One dependency stands for as many targets as the mapped task has instances.
        tables = [await self.read(each, list) for each in self.work.references("orders")]
        await self.write([order for table in tables for order in table], format="csv")


class Report(AsyncTaskRunner):
    """How much was sold. It runs in a worker, but only once the orders are there."""

    async def run(self) -> None:
        orders = await self.read("orders", list)
        await self.write_json({"orders": len(orders), "sum": sum(order["amount"] for order in orders)})


# What makes the data knows nothing of those who wait for it: no ExternalTaskSensor, no list of consumers.
with DAG("shop", schedule="@daily", start_date=START, catchup=False):
    extract = DivePythonOperator.partial(
        task_id="extract",
        python_object=Extract,
        # Nobody ever sees a table that fails one of these: it is not published.
        gates=[not_empty, has_columns("shop", "amount")],
    ).expand(op_kwargs=[{"shop": shop} for shop in SHOPS])

    merge = DivePythonOperator(
        task_id="merge",
        python_object=Merge,
        # How many shops there are is known when the run has expanded the task, so "all" is asked for by name.
        data_dependencies={"orders": Dependency("extract", map_index="all")},
    )
    extract >> merge


# The same schedule gives the same slot. The DAGs may start at the same time, hours apart, or in any order.
with DAG("shop_report", schedule="@daily", start_date=START, catchup=False):
    DiveSensorAsync(
        task_id="report",
        data_dependencies={"orders": Dependency("merge", dag_id="shop")},
        python_object=Report,
        timeout=timedelta(hours=6),  # of waiting in all, however often the wait is deferred
        retries=1,
    )
