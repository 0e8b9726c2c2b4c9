"""A plain function as a task."""

import asyncio
import json
from typing import Any

import pandas as pd
import pytest
from airflow.sdk import task

from fileflow_async import Dependency, Reference, open_store
from fileflow_async.operators.dive import DiveOperator
from tests.airflow_context import FakeRun

pytestmark = pytest.mark.usefixtures("root", "dag")


def read(payload: Any) -> Any:
    async def load() -> bytes:
        async with open_store() as store:
            return await store.read(Reference.from_payload(payload))

    return json.loads(asyncio.run(load()))


dive: Any = task.dive  # as the provider's metadata registers it


@dive  # type: ignore[untyped-decorator]
def extract() -> list[dict[str, Any]]:
    return [{"id": 1, "amount": 10}, {"id": 2, "amount": 5}]


def executed(task_of: Any, run: FakeRun, **context: Any) -> Any:
    return task_of.operator.execute(run.context(task_of.operator.task_id, **context))


def test_a_parameter_is_a_dependency_and_the_result_is_the_output(run: FakeRun) -> None:
    """Airflow knows the decorator by the provider's metadata; the annotation says how the input is read."""

    @dive(data_dependencies={"orders": "extract"})  # type: ignore[untyped-decorator]
    async def report(orders: list[dict[str, Any]], factor: int = 1) -> dict[str, int]:
        return {"total": sum(order["amount"] for order in orders) * factor}

    made, total = extract(), report(factor=2)
    assert isinstance(total.operator, DiveOperator)
    executed(made, run)
    assert read(executed(total, run)) == {"total": 30}


def test_what_another_task_returned_is_read_as_well(run: FakeRun) -> None:
    """Calling one task with another makes the dependency, and the upstream task."""

    @dive  # type: ignore[untyped-decorator]
    def report(orders: list) -> int:  # type: ignore[type-arg]
        return len(orders)

    made = extract()
    handed = executed(made, run)
    for total in (report(made), report(orders=made)):
        operator = total.operator
        assert operator.upstream_task_ids == {"extract"}
        operator.op_args = [handed for _ in operator.op_args]  # as Airflow renders them
        operator.op_kwargs = dict.fromkeys(operator.op_kwargs, handed)
        assert read(executed(total, run)) == 2
        assert [each.target for each in operator.lineage.inputs] == [run.target("extract").key]


def test_an_annotation_chooses_how_an_input_is_read(run: FakeRun) -> None:
    """A frame, a reference, or a list of either where there are several."""
    run.mapped["shop", "part"] = 2

    @dive  # type: ignore[untyped-decorator]
    def part(rows: int) -> pd.DataFrame:
        return pd.DataFrame({"n": range(rows)})

    all_of_them, first_of_them = Dependency("part", map_index="all"), Dependency("part", map_index=0)

    @dive(data_dependencies={"parts": all_of_them, "first": first_of_them})  # type: ignore[untyped-decorator]
    def report(parts: list[pd.DataFrame], first: Reference) -> list[Any]:
        return [[len(frame) for frame in parts], first.rows]

    for index in range(2):
        operator = part(rows=index + 1).operator
        operator.task_id = "part"
        operator.execute(run.context("part", map_index=index))
    assert read(executed(report(), run)) == [[1, 2], 1]


def test_a_function_gets_the_context_that_it_asks_for(run: FakeRun) -> None:
    """As any decorated task does; one that returns nothing commits nothing."""
    seen: list[str] = []

    @dive  # type: ignore[untyped-decorator]
    def look(run_id: str | None = None) -> None:
        seen.append(str(run_id))

    assert executed(look(), run) is None
    assert seen == [run.run_id]
    assert run.xcoms == {}


def test_the_format_of_the_output_can_be_named(run: FakeRun) -> None:
    """Where what suits it is not what is wanted."""

    @dive(output_format="csv", outputs=["output"])  # type: ignore[untyped-decorator]
    def table() -> pd.DataFrame:
        return pd.DataFrame({"a": [1]})

    assert executed(table(), run)["data"].endswith(".csv")
