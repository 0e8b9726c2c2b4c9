"""Tasks that depend on several outputs of one try."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk import task

from fileflow_async import (
    AsyncTaskRunner,
    Dependency,
    DivePythonOperator,
    DiveSensorAsync,
    Reference,
    TaskRunner,
    open_store,
)
from fileflow_async._compat import AirflowSensorTimeout
from fileflow_async.errors import DependencyError, TargetNotFoundError
from fileflow_async.manifest import SUFFIX
from fileflow_async.storage.local import LocalStorage
from fileflow_async.testing.rehearsal import rehearse
from tests.airflow_context import FakeRun

pytestmark = pytest.mark.usefixtures("root", "dag", "no_pause")

SALES = {"sales": Dependency("split", name="*")}
TWO = {"sales": Dependency("split", name=["orders", "customers"])}
THERE = {"sales": Dependency("split", dag_id="lake", name="*")}


class Split(TaskRunner):
    def run(self, number: int) -> None:
        for name in ("orders", "customers"):
            self.write({"try": number}, name=name)


class Report(AsyncTaskRunner):
    async def run(self) -> None:
        await self.write(
            {name: (await self.read(f"sales.{name}"))["try"] for name in ("orders", "customers")},
            format="json",
        )


class DiedError(Exception):
    """A worker ends here."""


def split(run: FakeRun, number: int, *, dies_after: int | None = None) -> None:
    """Publish both outputs as one try, which may die between their records."""
    task = DivePythonOperator(
        task_id=f"split{number}", python_object=Split, op_args=[number], outputs=["orders", "customers"]
    )
    task.task_id = "split"
    put, left = LocalStorage.put, dies_after

    async def put_or_die(self: LocalStorage, key: str, *arguments: Any, **options: Any) -> Any:
        nonlocal left
        if left is not None and key.endswith(SUFFIX):
            if left == 0:
                raise DiedError
            left -= 1
        return await put(self, key, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalStorage, "put", put_or_die)
        try:
            task.execute(run.context("split", try_number=number, max_tries=9))
        except DiedError:
            assert dies_after is not None


def read(payload: Any) -> Any:
    async def load() -> bytes:
        async with open_store() as store:
            return await store.read(Reference.from_payload(payload))

    return json.loads(asyncio.run(load()))


def reported(run: FakeRun, dependencies: Any, task_id: str = "report") -> Any:
    task = DivePythonOperator(task_id=task_id, python_object=Report, data_dependencies=dependencies)
    return read(task.execute(run.context(task_id, max_tries=9)))


@pytest.mark.parametrize("dependencies", [SALES, TWO], ids=["all", "named"])
def test_a_task_reads_the_outputs_that_its_run_was_told_of(run: FakeRun, dependencies: Any) -> None:
    """What one try told of it has made, whatever later tries do."""
    split(run, 1)
    told = dict(run.xcoms)
    split(run, 2, dies_after=1)
    run.xcoms = told
    assert reported(run, dependencies) == {"orders": 1, "customers": 1}


def test_what_a_run_was_told_of_in_part_is_looked_for_in_the_store(run: FakeRun) -> None:
    """An output that the try before did not make, nobody told of."""
    split(run, 1)
    del run.xcoms["split", -1, "fileflow"]["customers"]
    assert reported(run, TWO) == {"orders": 1, "customers": 1}


@pytest.mark.parametrize(
    "dependencies", [THERE, {"sales": Dependency("split", dag_id="lake", name=["orders", "customers"])}]
)
def test_what_no_xcom_tells_of_is_the_newest_set_and_never_a_part(run: FakeRun, dependencies: Any) -> None:
    """A set of which only a part is there is an error; the next try of the reader finds a whole one."""
    lake = FakeRun("lake")
    split(lake, 1)
    assert reported(run, dependencies) == {"orders": 1, "customers": 1}
    split(lake, 2, dies_after=1)
    with pytest.raises(TargetNotFoundError, match="partial set: orders from try 2, customers from try 1"):
        reported(run, dependencies, "report2")
    split(lake, 3)
    assert reported(run, dependencies, "report3") == {"orders": 3, "customers": 3}


def test_a_sensor_waits_for_a_whole_set(run: FakeRun) -> None:
    """The time is over with a part; or the next try commits all of it."""
    lake = FakeRun("lake")
    split(lake, 1)
    split(lake, 2, dies_after=1)
    late = DiveSensorAsync(task_id="late", data_dependencies=THERE, deferrable=False, timeout=0.05)
    with pytest.raises(
        AirflowSensorTimeout, match=r"IN_PROGRESS \(partial set: orders from try 2, customers"
    ):
        late.execute(run.context("late"))
    wait = DiveSensorAsync(task_id="wait", data_dependencies=THERE, python_object=Report, poke_interval=1)
    with pytest.raises(TaskDeferred) as deferral:
        wait.execute(run.context("wait"))
    trigger = deferral.value.trigger

    async def meanwhile() -> Any:
        firing = asyncio.create_task(anext(trigger.run()))
        await asyncio.to_thread(split, lake, 3)
        return (await firing).payload

    event = json.loads(json.dumps(asyncio.run(meanwhile())))
    assert (event["outcome"], event["ready_count"]) == ("ready", 2)
    payload = wait.resume_execution(deferral.value.method_name, {"event": event}, run.context("wait"))
    assert read(payload) == {"orders": 3, "customers": 3}


def test_a_sensor_without_logic_hands_on_the_set_by_its_names(run: FakeRun) -> None:
    """As the task that made it does."""
    lake = FakeRun("lake")
    split(lake, 1)
    mixed = {**THERE, "again": Dependency("split", dag_id="lake", name="orders")}
    found = DiveSensorAsync(task_id="wait", data_dependencies=mixed).execute(run.context("wait"))
    assert found["sales"] == lake.xcoms["split", -1, "fileflow"]
    assert found["again"] == found["sales"]["orders"]


def test_any_of_several_sets_counts_as_one(run: FakeRun) -> None:
    """However many outputs it has."""
    split(FakeRun("lake"), 1)
    either = {**THERE, "none": Dependency("other", name=["a", "b", "c"])}
    found = DiveSensorAsync(task_id="wait", data_dependencies=either, when="any").execute(run.context("wait"))
    assert list(found["sales"]) == ["orders", "customers"]
    assert found["none"] == {}


def test_the_instances_of_a_mapped_task_are_sets_each(run: FakeRun) -> None:
    """Read by the name of the output they stand for several versions."""
    run.mapped["shop", "split"] = 2
    for index in range(2):
        task = DivePythonOperator(task_id=f"split{index}", python_object=Split, op_args=[index])
        task.task_id = "split"
        task.execute(run.context("split", map_index=index))

    class Count(TaskRunner):
        def run(self) -> None:
            self.write_json([self.read(each)["try"] for each in self.work.references("sales.orders")])

    count = DivePythonOperator(
        task_id="count",
        python_object=Count,
        data_dependencies={"sales": Dependency("split", name="*", map_index="all")},
    )
    assert read(count.execute(run.context("count"))) == [0, 1]


def test_a_parameter_of_a_function_is_a_dict_of_a_set(run: FakeRun) -> None:
    """By the names of the outputs; the annotation says how each is read."""
    split(run, 1)
    dive: Any = task.dive

    @dive(data_dependencies=SALES)  # type: ignore[untyped-decorator]
    def total(sales: dict[str, dict]) -> dict[str, int]:  # type: ignore[type-arg]
        return {name: value["try"] for name, value in sales.items()}

    @dive(data_dependencies=SALES)  # type: ignore[untyped-decorator]
    def count(sales: Any) -> int:
        return len(sales)

    assert read(total().operator.execute(run.context("total"))) == {"orders": 1, "customers": 1}
    assert read(count().operator.execute(run.context("count"))) == 2


def test_logic_is_rehearsed_on_a_set() -> None:
    """Each output by the name by which it is read."""
    made = rehearse(Report, inputs={"sales.orders": {"try": 1}, "sales.customers": {"try": 2}})
    assert made.read() == {"orders": 1, "customers": 2}
    with pytest.raises(DependencyError, match="stands for 2 targets; read them one by one") as caught:
        rehearse(Whole, inputs={"sales.orders": {"try": 1}, "sales.customers": {"try": 2}})
    assert caught.value.__notes__ == ["Its outputs are 'sales.orders', 'sales.customers'"]
    with pytest.raises(DependencyError, match=r"no dependency 'sales.rejected'; declared: 'sales'"):
        rehearse(Rejected, inputs={"sales.orders": {"try": 1}, "sales.customers": {"try": 2}})


class Whole(TaskRunner):
    def run(self) -> None:
        self.read("sales")


class Rejected(TaskRunner):
    def run(self) -> None:
        self.read("sales.rejected")


def test_a_retry_takes_over_only_outputs_of_one_try(run: FakeRun) -> None:
    """A try that died between two records leaves a mixture with the try before it."""
    split(run, 1)
    split(run, 2, dies_after=1)
    again = DivePythonOperator(
        task_id="split",
        python_object=Split,
        op_args=[3],
        outputs=["orders", "customers"],
        skip_if_committed=True,
        retries=9,
    )
    handed = again.execute(run.context("split", try_number=3, max_tries=9))
    assert {name: read(each)["try"] for name, each in handed.items()} == {"orders": 3, "customers": 3}
    assert again.execute(run.context("split", try_number=4, max_tries=9)) == handed


async def test_another_dags_set_is_read_where_it_was_declared_for_it(root: Path) -> None:
    """Two reads with another `dag_id` could find two tries."""

    class Other(AsyncTaskRunner):
        async def run(self) -> None:
            await self.read_upstream_json("sales", "lake")

    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store())
        drafts = []
        for name in ("orders", "customers"):
            begun = store.begin(FakeRun("lake").target("split", name=name))
            drafts.append(await stack.enter_async_context(begun))
        await store.commit_all(drafts)

    def report() -> None:
        task = DivePythonOperator(task_id="other", python_object=Other, data_dependencies=SALES)
        run = FakeRun()
        run.xcoms["split", -1, "fileflow"] = {
            draft.key.rpartition("/")[2]: draft.reference.to_payload() for draft in drafts if draft.reference
        }
        task.execute(run.context("other"))

    with pytest.raises(DependencyError, match="only where it was declared for 'lake'"):
        await asyncio.to_thread(report)
