"""A unit test of a task's logic is one line."""

from typing import Any

import pandas as pd
import pytest

from fileflow_async import AsyncTaskRunner, TaskRunner
from fileflow_async.errors import DependencyError, GateError
from fileflow_async.gates import not_empty
from fileflow_async.testing.rehearsal import rehearse


class Report(TaskRunner):
    def run(self, factor: int = 1) -> None:
        orders = self.read("orders", pd.DataFrame)
        self.write(orders[orders["amount"] > 0])
        self.write({"total": int(orders["amount"].sum()) * factor}, name="summary")


ORDERS = pd.DataFrame({"id": [1, 2, 3], "amount": [10, 0, 5]})


def test_logic_is_run_on_values_and_gives_values() -> None:
    """Frames go in and come out; no Airflow, no disk."""
    made = rehearse(Report, inputs={"orders": ORDERS}, op_kwargs={"factor": 2})
    assert made.read(kind=pd.DataFrame)["id"].tolist() == [1, 3]
    assert made.read("summary") == {"total": 30}


def test_the_record_of_an_output_tells_what_is_in_it() -> None:
    """Rows, columns, statistics, and what it was made from."""
    record = rehearse(Report, inputs={"orders": ORDERS}).record()
    assert (record.format, record.rows) == ("parquet", 2)
    assert record.columns is not None
    assert [name for name, _ in record.columns] == ["id", "amount"]
    assert record.stats["amount"]["sum"] == 15
    assert [each.target for each in record.inputs] == ["rehearsal/20260101T000000Z/orders/map=0/output"]


def test_several_values_stand_for_several_targets() -> None:
    """As of a mapped task."""

    class Total(AsyncTaskRunner):
        async def run(self) -> None:
            values = [await self.work.load(reference) for reference in self.work.references("parts")]
            await self.write(sum(values))

    assert rehearse(Total, inputs={"parts": (1, 2, 3)}).read() == 6


@pytest.mark.parametrize("gates", [[not_empty], {"output": [not_empty]}])
def test_gates_hold_in_a_rehearsal_too(gates: Any) -> None:
    """What the operator would refuse, given as to the operator."""

    class Nothing(TaskRunner):
        def run(self) -> None:
            self.write(b"")

    with pytest.raises(GateError, match="there are no bytes"):
        rehearse(Nothing, gates=gates)


def test_what_the_logic_raises_is_raised() -> None:
    """With the name that was probably meant."""

    class Slip(TaskRunner):
        def go(self) -> None:
            self.read("ordrs")

    with pytest.raises(DependencyError, match="Did you mean 'orders'"):
        rehearse(Slip, inputs={"orders": 1}, python_method="go")
