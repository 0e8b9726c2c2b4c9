"""Run the logic of a task in a unit test, without Airflow and without a disk."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fileflow_async.dependency import Dependency
from fileflow_async.engine import Engine
from fileflow_async.gates import Check, Gate
from fileflow_async.logic import Logic, working
from fileflow_async.manifest import Manifest
from fileflow_async.names import OUTPUT
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference, Slot
from fileflow_async.task_runner import AsyncTaskRunner, TaskRunner
from fileflow_async.testing.memory import MemoryStorage
from fileflow_async.work import Assignment, Work

_SLOT = Slot(logical_date=datetime(2026, 1, 1, tzinfo=UTC))


class Rehearsal:
    """What a rehearsed task made."""

    def __init__(self, store: TargetStore, published: Mapping[str, Reference]) -> None:
        self._store = store
        self.references = published

    def read(self, name: str = OUTPUT, kind: Any = None) -> Any:
        """Return an output as a value, as a task would read it that depends on it."""
        with Engine() as engine:
            work = Work(self._store, _assignment({name: [self.references[name]]}))
            return engine.run(work.load(name, kind))

    def record(self, name: str = OUTPUT) -> Manifest:
        """Return the commit record of an output: its rows, columns, statistics, checks and inputs."""
        with Engine() as engine:
            manifest = engine.run(self._store.version(self.references[name])).manifest
        assert manifest is not None  # noqa: S101  # version() returns one
        return manifest


def rehearse(
    runner: type[TaskRunner] | type[AsyncTaskRunner],
    *,
    inputs: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    python_method: str = "run",
    op_args: Sequence[Any] = (),
    op_kwargs: Mapping[str, Any] | None = None,
    gates: Sequence[Gate | Check] | Mapping[str, Sequence[Gate | Check]] = (),
) -> Rehearsal:
    """Run the logic of a task on values, as an operator would, and return what it made.

    Args:
        runner: The class.
        inputs: What it depends on, by name: values in the formats that suit them, or several of them in a
            tuple. The outputs of a set have the dependency's name and a dot before theirs: `sales.orders`.
        context: What it finds in its context.
        python_method: The method that is the logic.
        op_args: Its positional arguments.
        op_kwargs: Its arguments by name.
        gates: What its output must satisfy; or by the names of its outputs what each must.

    Raises:
        Exception: Whatever the logic raises; then nothing was published.
    """
    store = TargetStore(MemoryStorage(), feed=False)
    with Engine() as engine:
        given = defaultdict[str, list[Reference]](list)
        for key, value in (inputs or {}).items():
            name, _, output = key.partition(".")
            given[name] += engine.run(_commit(store, name, output or OUTPUT, value))
        by_name = gates if isinstance(gates, Mapping) else {OUTPUT: gates}
        checks = {name: [Gate.of(gate) for gate in several] for name, several in by_name.items()}
        work = Work(store, _assignment(given), gates=checks)
        rehearsed = runner(context or {})
        with working(rehearsed, work, engine):
            Logic(runner, python_method, op_args, op_kwargs or {}).call(rehearsed, engine)
    return Rehearsal(store, work.published)


async def _commit(store: TargetStore, name: str, output: str, value: Any) -> Sequence[Reference]:
    found: list[Reference] = []
    for index, each in enumerate(value if isinstance(value, tuple) else (value,)):
        assignment = Assignment(dag_id="rehearsal", task_id=name, slot=_SLOT, map_index=index)
        async with Work(store, assignment) as work:
            await work.save(each, output)
            found += (await work.publish()).values()
    return found


def _assignment(inputs: Mapping[str, Sequence[Reference]]) -> Assignment:
    return Assignment(
        dag_id="rehearsal",
        task_id="rehearsed",
        slot=_SLOT,
        dependencies={name: Dependency(name) for name in inputs},
        inputs=inputs,
    )
