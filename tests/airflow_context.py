"""A task of Airflow as far as operators and sensors ask for it, so that they run without a database."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from airflow.sdk import Context

from fileflow_async.target import Slot, Target

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class FakeTaskInstance:
    """One try of a task; all tries of a `FakeRun` share its XComs.

    Attributes:
        mapped: How many instances tasks have, by task id; those that are not there are not expanded.
    """

    def __init__(self, run: "FakeRun", task_id: str, **fields: Any) -> None:
        self.run = run
        self.dag_id = run.dag_id
        self.run_id = run.run_id
        self.task_id = task_id
        self.map_index: int = fields.get("map_index", -1)
        self.try_number: int = fields.get("try_number", 1)
        self.max_tries: int = fields.get("max_tries", 0)
        self.id: str | None = fields.get("id")
        self.start_date: datetime = fields.get("start_date", datetime.now(UTC))
        self.rescheduled: datetime | None = fields.get("rescheduled")

    def xcom_push(self, key: str, value: Any) -> None:
        self.run.xcoms[self.task_id, self.map_index, key] = value

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        return self.run.xcoms.get((task_ids, map_indexes, key))

    def get_first_reschedule_date(self, context: object) -> datetime | None:
        return self.rescheduled

    def get_ti_count(
        self,
        *,
        dag_id: str,
        task_ids: list[str],
        map_index: int | None = None,
        run_ids: list[str] | None = None,
        logical_dates: list[datetime] | None = None,
    ) -> int:
        (task_id,) = task_ids
        count = self.run.mapped.get((dag_id, task_id))
        if map_index is None:
            return 1 if count is None else count
        return int(count is not None and map_index < count)


class FakeRun:
    """One run of a DAG."""

    def __init__(
        self, dag_id: str = "shop", *, logical_date: datetime | None = NOON, run_id: str = "manual__1"
    ) -> None:
        self.dag_id = dag_id
        self.run_id = run_id
        self.logical_date = logical_date
        self.start_date = datetime.now(UTC)
        self.xcoms: dict[tuple[str, int, str], Any] = {}
        self.mapped: dict[tuple[str, str], int] = {}

    @property
    def slot(self) -> Slot:
        return Slot(logical_date=self.logical_date, run_id=self.run_id)

    def target(self, task_id: str, **fields: Any) -> Target:
        """Return the target of a task of this run."""
        return Target(dag_id=self.dag_id, task_id=task_id, slot=self.slot, **fields)

    def context(self, task_id: str, extra: Mapping[str, Any] | None = None, /, **fields: Any) -> Context:
        """Return the context of a try of a task."""
        ti = FakeTaskInstance(self, task_id, **fields)
        run = SimpleNamespace(
            logical_date=self.logical_date, run_id=self.run_id, partition_key=None, start_date=self.start_date
        )
        return cast(Context, {"ti": ti, "dag_run": run, "run_id": self.run_id, **(extra or {})})
