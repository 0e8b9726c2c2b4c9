"""`DiveOperator` mixed into operators of every kind, in either order: each half keeps what it has."""

import asyncio
import copy
import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import pytest
from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseSensorOperator, Context
from airflow.sdk.bases.decorator import task_decorator_factory
from airflow.serialization import serialized_objects

from fileflow_async import Dependency, DiveOperator, DivePythonOperator, TaskRunner, open_store
from fileflow_async.engine import Engine
from tests.airflow_context import FakeRun

pytestmark = pytest.mark.usefixtures("root", "dag")

# Its name until Airflow 3.2.
SERIALIZATION: Any = getattr(
    serialized_objects, "DagSerialization", getattr(serialized_objects, "SerializedDAG", None)
)


class Sqlite(DbApiHook):
    """A database that is there, without the package of another provider."""

    conn_name_attr = "conn_id"

    def get_conn(self) -> sqlite3.Connection:
        return sqlite3.connect(":memory:")


def doubled(**_: Any) -> str:
    return "42"


class Reads:
    """What each mixture here does around what its other half does."""

    def execute(self, context: Context) -> Any:
        with self.dive(context) as runner:  # type: ignore[attr-defined]
            number = runner.read_upstream_json("numbers")
            result = super().execute(context)  # type: ignore[misc]
            runner.write_json([number, *(result if isinstance(result, list) else [result])])
        return "the end"


class Query(SQLExecuteQueryOperator):
    def get_db_hook(self) -> DbApiHook:
        return Sqlite()


class Pokes(BaseSensorOperator):
    template_fields: Sequence[str] = ("where",)

    def __init__(self, *, where: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.where = where

    def poke(self, context: Context) -> bool:
        return True


class DivePython(Reads, DiveOperator, PythonOperator):
    pass


class PythonDive(Reads, PythonOperator, DiveOperator):
    pass


class DiveBash(Reads, DiveOperator, BashOperator):
    pass


class BashDive(Reads, BashOperator, DiveOperator):
    pass


class DiveQuery(Reads, DiveOperator, Query):
    pass


class QueryDive(Reads, Query, DiveOperator):
    pass


class DivePokes(Reads, DiveOperator, Pokes):
    pass


class PokesDive(Reads, Pokes, DiveOperator):
    pass


class DiveDecorated(Reads, DiveOperator, _PythonDecoratedOperator):
    pass


class DecoratedDive(Reads, _PythonDecoratedOperator, DiveOperator):
    pass


PYTHON: dict[str, Any] = {"python_callable": doubled}
BASH: dict[str, Any] = {"bash_command": "echo 42"}
QUERY: dict[str, Any] = {"sql": "SELECT '42'", "conn_id": "any"}
POKES: dict[str, Any] = {"where": "here"}
DECORATED: dict[str, Any] = {"python_callable": doubled, "op_args": (), "op_kwargs": {}}

mixtures = pytest.mark.parametrize(
    ("kind", "arguments", "field", "expected"),
    [
        (DivePython, PYTHON, "op_kwargs", [6, "42"]),
        (PythonDive, PYTHON, "op_kwargs", [6, "42"]),
        (DiveBash, BASH, "bash_command", [6, "42"]),
        (BashDive, BASH, "bash_command", [6, "42"]),
        (DiveQuery, QUERY, "sql", [6, ["42"]]),
        (QueryDive, QUERY, "sql", [6, ["42"]]),
        (DivePokes, POKES, "where", [6, None]),
        (PokesDive, POKES, "where", [6, None]),
        (DiveDecorated, DECORATED, "op_kwargs", [6, "42"]),
        (DecoratedDive, DECORATED, "op_kwargs", [6, "42"]),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)


def made(kind: Any, arguments: Any, **more: Any) -> Any:
    return kind(task_id="mixed", data_dependencies={"numbers": "extract"}, **arguments, **more)


def extract(run: FakeRun) -> None:
    class Six(TaskRunner):
        def run(self) -> None:
            self.write_json(6)

    DivePythonOperator(task_id="extract", python_object=Six).execute(run.context("extract"))


def read(run: FakeRun, **place: Any) -> Any:
    async def load() -> bytes:
        async with open_store() as store:
            return await store.read(run.target("mixed", **place))

    return json.loads(asyncio.run(load()))


@mixtures
def test_both_halves_work(run: FakeRun, kind: Any, arguments: Any, field: str, expected: Any) -> None:
    """One reads and commits around what the other does."""
    extract(run)
    task = made(kind, arguments)
    context = run.context("mixed", {"params": {}, "expanded_ti_count": None})
    assert task.execute(context) == "the end"
    assert read(run)[0] == expected[0]
    assert str(expected[1]) in str(read(run)[1:])


@mixtures
def test_both_halves_keep_their_arguments_and_templates(
    kind: Any, arguments: Any, field: str, expected: Any
) -> None:
    """A copy does, too."""
    task = made(kind, arguments, fileflow_root="file:///{{ ds }}", outputs=["output"], retries=3)
    for each in (task, copy.deepcopy(task)):
        assert {field, "fileflow_root", "fileflow_conn_id"} <= set(each.template_fields)
        assert each.data_dependencies == {"numbers": Dependency("extract")}
        assert (each.fileflow_root, each.retries) == ("file:///{{ ds }}", 3)
        for name, value in arguments.items():
            assert getattr(each, name) == value
    with pytest.raises(TypeError, match="data_dependancies"):
        kind(task_id="other", data_dependancies={}, **arguments)


class FirstBash(BashDive):
    """A user's own, which hands on what it is told."""

    def on_kill(self) -> None:
        super().on_kill()


@pytest.mark.parametrize("kind", [DiveBash, BashDive, FirstBash])
@pytest.mark.parametrize("hands_on", [False, True])
def test_killing_a_mixture_reaches_both_halves(
    monkeypatch: pytest.MonkeyPatch, kind: Any, hands_on: bool
) -> None:
    """One ends its coroutine, the other its process, whichever comes first; Airflow's hand nothing on."""
    killed: list[str] = []

    def on_kill(self: BashOperator) -> None:
        killed.append("process")
        if hands_on:
            super(BashOperator, self).on_kill()

    monkeypatch.setattr(BashOperator, "on_kill", on_kill)
    monkeypatch.setattr(Engine, "cancel", lambda self: killed.append("coroutine"))
    task = made(kind, BASH)
    with task.running():
        task.on_kill()
    assert set(killed) == {"coroutine", "process"}
    assert killed.count("process") == 1


@mixtures
def test_a_mixture_is_serialised_with_its_dag(
    dag: DAG, kind: Any, arguments: Any, field: str, expected: Any
) -> None:
    """The scheduler knows it by its fields."""
    DivePythonOperator(task_id="extract", python_object=TaskRunner)
    made(kind, arguments)
    stored = json.loads(json.dumps(SERIALIZATION.to_dict(dag)))
    task = SERIALIZATION.from_dict(stored).task_dict["mixed"]
    assert {field, "fileflow_root"} <= set(task.template_fields)


@mixtures
def test_a_mixture_is_mapped(run: FakeRun, kind: Any, arguments: Any, field: str, expected: Any) -> None:
    """Each instance has a place of its own."""
    extract(run)
    if issubclass(kind, _PythonDecoratedOperator):
        decorated: Any = task_decorator_factory(doubled, decorated_operator_class=kind)
        mapped = decorated.override(task_id="mixed", data_dependencies={"numbers": "extract"}).expand(n=[1])
        assert mapped.operator.task_id == "mixed"
        return
    kind.partial(task_id="mixed", data_dependencies={"numbers": "extract"}, **arguments).expand(
        fileflow_root=["a", "b"]
    )
    task = kind(task_id="mixed_0", data_dependencies={"numbers": "extract"}, **arguments)
    task.task_id = "mixed"
    task.execute(run.context("mixed", {"params": {}}, map_index=1))
    assert read(run, map_index=1)[0] == 6
