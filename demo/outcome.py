"""What has to be true at the end, and what is not."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from demo.airflow_api import TaskInstance
from demo.bank import RATES
from demo.watching import name_of
from fileflow_async import Slot, Target, TargetStore, open_store
from fileflow_async.errors import FileflowError
from fileflow_async.manifest import Input
from fileflow_async.status import Status

SHOPS, ORDERS_EACH, SOLD = 3, 5, 450
TASKS = frozenset(
    {
        "rates.arrive",
        "rates.keep",
        "shop.merge",
        "shop_abroad.convert",
        "shop_report.report",
        *(f"shop.extract[{index}]" for index in range(SHOPS)),
    }
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target at the end, with what is wrong with it."""

    status: Status
    data: bytes
    problem: str | None

    @property
    def inputs(self) -> Sequence[Input]:
        """The versions that it was made from."""
        return self.status.manifest.inputs if self.status.manifest else ()

    @property
    def value(self) -> str:
        """Its data, where that is one line."""
        text = self.data.decode(errors="replace")
        return "" if "\n" in text else text


def expected(day: datetime) -> Mapping[Target, Any]:
    """Return the targets that there have to be: of tables the number of rows, of the others the value."""
    slot = Slot(logical_date=day)
    orders = {
        Target(dag_id="shop", task_id="extract", slot=slot, map_index=index): ORDERS_EACH
        for index in range(SHOPS)
    }
    return orders | {
        Target(dag_id="shop", task_id="merge", slot=slot): SHOPS * ORDERS_EACH,
        Target(dag_id="shop_report", task_id="report", slot=slot): {"orders": 15, "sum": SOLD},
        Target(dag_id="rates", task_id="keep", slot=slot): len(RATES),
        Target(dag_id="shop_abroad", task_id="convert", slot=slot): {
            currency: SOLD * rate for currency, rate in RATES.items()
        },
    }


async def judge(root: str, day: datetime) -> Sequence[Verdict]:
    """Judge the targets below a root that needs no connection."""
    async with open_store(root) as store:
        return await verdicts(store, day)


async def verdicts(store: TargetStore, day: datetime) -> Sequence[Verdict]:
    """Read every target, which verifies its bytes, and compare it with what it has to be."""
    return [await _judge(store, target, wanted) for target, wanted in expected(day).items()]


async def _judge(store: TargetStore, target: Target, wanted: Any) -> Verdict:
    status = await store.state(target)
    if status.manifest is None:
        return Verdict(status, b"", status.why)
    try:
        data = await store.read(target)
    except FileflowError as error:
        return Verdict(status, b"", str(error))
    found = status.manifest.rows if isinstance(wanted, int) else json.loads(data)
    return Verdict(status, data, None if found == wanted else f"it is {found!r} and not {wanted!r}")


def unexpected(instances: Sequence[TaskInstance]) -> Mapping[str, TaskInstance | None]:
    """Return the tasks that did not end well, by name; None stands for one that there is not."""
    found: dict[str, TaskInstance | None] = {name_of(each): each for each in instances}
    found = dict.fromkeys(sorted(TASKS - found.keys())) | found
    return {
        name: each
        for name, each in found.items()
        if name not in TASKS or each is None or each.state != "success"
    }
