"""A day out of twenty-four hours, of which a few may be missing."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from fileflow_async import AsyncTaskRunner, Dependency, DivePythonOperator, DiveSensorAsync, TaskRunner

START = datetime(2026, 11, 1, tzinfo=UTC)

# Each hourly run is about the hour before it: the day that ends with today's midnight are the run at that
# midnight and the twenty-three before it. Offsets are from the logical date of the run that waits.
HOURS = [timedelta(hours=-hour) for hour in range(24)]
LAST_WEEK = timedelta(days=-7)


class Count(TaskRunner):
    """The clicks of one hour, made up."""

    def run(self) -> None:
        self.write_json({"clicks": 100})


class Day(AsyncTaskRunner):
    """The clicks of a day, from as many hours as there are."""

    async def run(self) -> None:
        hours = [await self.read(each) for each in self.work.references("hours")]
        await self.write_json({"clicks": sum(hour["clicks"] for hour in hours), "hours": len(hours)})


class Trend(TaskRunner):
    """Today's clicks beside those of a week ago."""

    def run(self) -> None:
        today, before = self.read("today"), self.read("before")
        self.write_json({"change": today["clicks"] - before["clicks"]})


with DAG("clicks", schedule="@hourly", start_date=START, catchup=False):
    DivePythonOperator(task_id="count", python_object=Count)


with DAG("clicks_daily", schedule="@daily", start_date=START, catchup=False):
    day = DiveSensorAsync(
        task_id="day",
        data_dependencies={"hours": Dependency("count", dag_id="clicks", offset=HOURS)},
        python_object=Day,
        when=20,  # a day with four hours missing is better than none: it goes on with what is there by then
        timeout=timedelta(hours=3),
    )

    DiveSensorAsync(
        task_id="trend",
        data_dependencies={"today": day, "before": Dependency("day", offset=LAST_WEEK)},
        python_object=Trend,
        # In the first week there is nothing to compare with: then the task is skipped when the time is over.
        timeout=timedelta(minutes=5),
        soft_fail=True,
    )
