"""Operators that read what other tasks committed and commit what they make."""

import asyncio
import copy
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, AirflowTaskTimeout
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Asset, AssetAlias, BaseSensorOperator, Context
from airflow.sdk.execution_time.context import OutletEventAccessors

from fileflow_async import (
    AsyncTaskRunner,
    Dependency,
    DiveOperator,
    DivePythonOperator,
    Reference,
    State,
    Status,
    TaskRunner,
    open_store,
)
from fileflow_async.errors import ConfigError, DependencyError, GateError, TargetNotFoundError
from fileflow_async.operators.lineage import dataset_of
from fileflow_async.storage_drivers import FileStorageDriver
from fileflow_async.target import Target
from tests.airflow_context import FakeRun
from tests.airflow_private import HookLineageCollector

pytestmark = pytest.mark.usefixtures("root", "dag")


class Extract(TaskRunner):
    def run(self, numbers: list[int], *, name: str = "output") -> None:
        with self.open_output(name, format="json") as out:
            out.write(json.dumps(numbers).encode())


class Report(AsyncTaskRunner):
    async def run(self) -> None:
        await self.write_json(sum(await self.read_upstream_json("numbers")))


class Two(TaskRunner):
    def split(self) -> None:
        for name in ("even", "odd"):
            with self.open_output(name, format="json") as out:
                out.write(name.encode())


class Broken(TaskRunner):
    def run(self) -> None:
        self.write_json("half")
        raise ValueError("broken")


def look(place: Target) -> Status:
    async def state() -> Status:
        async with open_store() as store:
            return await store.state(place)

    return asyncio.run(state())


def read(what: Target | Reference) -> Any:
    async def load() -> bytes:
        async with open_store() as store:
            return await store.read(what)

    return json.loads(asyncio.run(load()))


def test_what_one_task_writes_the_next_one_reads(run: FakeRun) -> None:
    """Sync or async, each in its own way."""
    extract = DivePythonOperator(task_id="extract", python_object=Extract, op_args=[[1, 2, 3]])
    report = DivePythonOperator(
        task_id="report", python_object=Report, data_dependencies={"numbers": extract}
    )
    handed = extract.execute(run.context("extract"))
    assert run.xcoms["extract", -1, "fileflow"] == {"output": handed}
    assert read(Reference.from_payload(report.execute(run.context("report")))) == 6
    assert report.upstream_task_ids == {"extract"}


def test_a_task_reads_the_version_that_its_run_was_told_of(run: FakeRun) -> None:
    """Clearing the upstream while the downstream runs does not change what it reads."""
    extract = DivePythonOperator(task_id="extract", python_object=Extract, op_args=[[1]])
    report = DivePythonOperator(
        task_id="report", python_object=Report, data_dependencies={"numbers": "extract"}
    )
    extract.execute(run.context("extract"))
    told = dict(run.xcoms)
    extract.op_args = [[100]]
    extract.execute(run.context("extract"))
    run.xcoms = told
    assert read(Reference.from_payload(report.execute(run.context("report")))) == 1


def test_what_no_xcom_tells_of_is_the_newest_there_is(run: FakeRun) -> None:
    """Another DAG's task at the same slot; where nothing is committed, the error names the place."""
    elsewhere = FakeRun("lake")
    with DAG("lake", schedule=None):
        extract = DivePythonOperator(task_id="extract", python_object=Extract, op_args=[[4, 5]])
    extract.execute(elsewhere.context("extract"))
    there = Dependency("extract", dag_id="lake")
    report = DivePythonOperator(task_id="report", python_object=Report, data_dependencies={"numbers": there})
    assert read(Reference.from_payload(report.execute(run.context("report")))) == 9
    nothing = DivePythonOperator(
        task_id="r2", python_object=Report, data_dependencies={"numbers": Dependency("none")}
    )
    with pytest.raises(
        TargetNotFoundError, match="/shop/20261120T120000Z/none/output has no committed version"
    ):
        nothing.execute(run.context("r2"))


def test_several_outputs_are_handed_on_by_their_names(run: FakeRun) -> None:
    """A reader names the one it wants."""
    two = DivePythonOperator(task_id="two", python_object=Two, python_method="split")
    handed = two.execute(run.context("two"))
    assert list(handed) == ["even", "odd"]
    assert look(run.target("two", name="odd")).reference == Reference.from_payload(handed["odd"])


def test_a_mapped_task_has_a_place_for_each_instance(run: FakeRun) -> None:
    """They never meet, and all of them can be depended on."""
    extract = DivePythonOperator(task_id="extract", python_object=Extract, op_args=[[1]])
    for index in range(3):
        extract.execute(run.context("extract", map_index=index))
    run.mapped["shop", "extract"] = 3

    class Count(TaskRunner):
        def run(self) -> None:
            self.write_json([reference.target for reference in self.work.references("parts")])

    count = DivePythonOperator(
        task_id="count",
        python_object=Count,
        data_dependencies={"parts": Dependency("extract", map_index="all")},
    )
    assert read(Reference.from_payload(count.execute(run.context("count")))) == [
        run.target("extract", map_index=index).key for index in range(3)
    ]


def test_a_task_that_fails_publishes_nothing(run: FakeRun) -> None:
    """On its last try it leaves word for those who wait."""
    broken = DivePythonOperator(task_id="broken", python_object=Broken)
    with pytest.raises(ValueError, match="broken"):
        broken.execute(run.context("broken", try_number=1, max_tries=1))
    assert not look(run.target("broken")).is_committed
    with pytest.raises(ValueError, match="broken"):
        broken.execute(run.context("broken", try_number=2, max_tries=1))
    status = look(run.target("broken"))
    assert (status.state, status.why) == (
        State.FAILED,
        "its producer failed: broken, try 2: ValueError: broken",
    )
    assert run.xcoms == {}


@pytest.mark.parametrize(
    ("error", "is_told"),
    [
        (AirflowFailException("no"), True),
        (AirflowSkipException("no"), False),
        (AirflowTaskTimeout("late"), True),
    ],
)
def test_which_endings_are_for_good(run: FakeRun, error: BaseException, is_told: bool) -> None:
    """A skipped task has not failed; one that must not be tried again has, whatever tries are left."""

    class Ends(TaskRunner):
        def run(self) -> None:
            raise error

    task = DivePythonOperator(task_id="ends", python_object=Ends)
    tries: dict[str, Any] = {} if isinstance(error, AirflowTaskTimeout) else {"try_number": 1, "max_tries": 5}
    with pytest.raises(type(error)):
        task.execute(run.context("ends", **tries))
    assert (look(run.target("ends")).state is State.FAILED) == is_told


def test_op_kwargs_reach_the_method_and_never_the_context(run: FakeRun) -> None:
    """The original merged them into the context, where one called `ti` broke the task."""
    seen: dict[str, Any] = {}

    class Curious(TaskRunner):
        def run(self, ti: str) -> None:
            seen.update(argument=ti, context=self.context["ti"])

    context = run.context("t")
    before = dict(context)
    DivePythonOperator(task_id="t", python_object=Curious, op_kwargs={"ti": "mine"}).execute(context)
    assert seen == {"argument": "mine", "context": before["ti"]}
    assert dict(context) == before


class DiveThenBash(DiveOperator, BashOperator):
    pass


class BashThenDive(BashOperator, DiveOperator):
    pass


class DiveThenPython(DiveOperator, PythonOperator):
    pass


class DiveSensor(DiveOperator, BaseSensorOperator):
    def poke(self, context: Context) -> bool:
        with self.dive(context) as runner:
            runner.write_json("poked")
        return True


@pytest.mark.parametrize("kind", [DiveThenBash, BashThenDive])
def test_it_mixes_with_other_operators_in_either_order(kind: Any, run: FakeRun) -> None:
    """Each keeps its own arguments and its own template fields."""
    task = kind(
        task_id="t",
        bash_command="echo {{ ds }}",
        data_dependencies={"x": "extract"},
        fileflow_root="file:///x",
    )
    assert set(task.template_fields) >= {"bash_command", "env", "fileflow_root", "fileflow_conn_id"}
    assert (task.bash_command, task.fileflow_root) == ("echo {{ ds }}", "file:///x")
    assert task.data_dependencies == {"x": Dependency("extract")}
    assert copy.deepcopy(task).data_dependencies == task.data_dependencies


def test_the_storage_of_the_original_is_there_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: FakeRun
) -> None:
    """Made by its settings at the first use: an operator is copied without it; a test sets its own."""
    monkeypatch.setenv("AIRFLOW__FILEFLOW__STORAGE_PREFIX", str(tmp_path / "old"))
    task = DivePythonOperator(task_id="extract", python_object=Extract, op_args=[[1]])
    assert "_storage" not in vars(task)
    assert isinstance(task.storage, FileStorageDriver)
    assert task.storage is task.storage
    assert task.storage.prefix == str(tmp_path / "old")
    task.storage = mine = FileStorageDriver(str(tmp_path / "mine"))
    assert task.storage is mine
    copied = copy.deepcopy(task)
    assert isinstance(copied.storage, FileStorageDriver)
    assert copied.storage.prefix == mine.prefix
    copied.execute(run.context("extract"))
    assert not list(tmp_path.glob("mine/**/*"))


def test_a_mixed_operator_reads_and_writes_in_a_block(run: FakeRun) -> None:
    """Around what its other half does."""
    DivePythonOperator(task_id="extract", python_object=Extract, op_args=[[1, 2]]).execute(
        run.context("extract")
    )

    class Total(DiveThenPython):
        def execute(self, context: Context) -> Any:
            with self.dive(context) as runner:
                self.op_args = [runner.read_upstream_json("numbers")]
                runner.write_json(super().execute(context))

    total = Total(task_id="total", python_callable=sum, data_dependencies={"numbers": "extract"})
    total.execute(run.context("total"))
    assert read(run.target("total")) == 3


def test_a_sensor_may_write_too(run: FakeRun) -> None:
    """Any operator may."""
    DiveSensor(task_id="sensor").execute(run.context("sensor"))
    assert read(run.target("sensor")) == "poked"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"python_object": object},
            "python_object must be a TaskRunner or AsyncTaskRunner class, got object",
        ),
        ({"python_object": Two, "python_method": "go"}, "Two has no method 'go'"),
        (
            {"python_object": Two, "data_dependencies": {"x": 3}},
            "a dependency must be a task id, an operator or a Dependency, got 3",
        ),
    ],
)
def test_what_cannot_run_is_refused_when_the_dag_is_parsed(arguments: dict[str, Any], message: str) -> None:
    """Not at night."""
    with pytest.raises(ConfigError) as caught:
        DivePythonOperator(task_id="t", **arguments)
    assert str(caught.value) == message


def test_a_task_that_depends_on_itself_is_refused() -> None:
    """It would read what it is to write."""
    with pytest.raises(DependencyError, match="cannot wait for its own output"):
        DivePythonOperator(task_id="t", python_object=Two, data_dependencies={"x": "t"})


def test_the_event_loop_is_there_only_while_the_task_runs(run: FakeRun) -> None:
    """Operators are copied and serialised: they own nothing that cannot be."""
    task = DivePythonOperator(task_id="extract", python_object=Extract, op_args=[[1]])
    with pytest.raises(RuntimeError, match="the task 'extract' does not run"):
        _ = task.engine
    task.on_kill()
    task.execute(run.context("extract"))
    with pytest.raises(RuntimeError, match="does not run"):
        _ = task.engine


@pytest.mark.parametrize("ends", ["killed", "out of time"])
def test_a_task_that_is_ended_cleans_up_and_publishes_nothing(run: FakeRun, ends: str) -> None:
    """By a kill, in which Airflow calls `on_kill`, or by its execution_timeout, which a signal raises."""
    seen: list[str] = []

    class Endless(AsyncTaskRunner):
        async def run(self) -> None:
            await self.write_json("half")
            threading.Timer(0.05, ends_it[ends]).start()
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                seen.append("cleaned up")
                raise

    def ring(*_: object) -> None:
        raise AirflowTaskTimeout("late")

    task = DivePythonOperator(task_id="endless", python_object=Endless)
    ends_it: dict[str, Callable[[], object]] = {
        "killed": task.on_kill,
        "out of time": partial(os.kill, os.getpid(), signal.SIGUSR1),
    }
    before = signal.signal(signal.SIGUSR1, ring)
    try:
        with pytest.raises((asyncio.CancelledError, AirflowTaskTimeout)) as caught:
            task.execute(run.context("endless", max_tries=3))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert isinstance(caught.value, AirflowTaskTimeout) == (ends == "out of time")
    assert seen == ["cleaned up"]
    assert not look(run.target("endless")).is_committed


def test_gates_hold_back_what_must_not_be_seen(run: FakeRun) -> None:
    """A function is a gate; the record of what passes says what was checked."""
    task = DivePythonOperator(
        task_id="t", python_object=Extract, op_args=[[]], gates=[lambda facts: facts.size > 2 or "too small"]
    )
    with pytest.raises(GateError, match="too small"):
        task.execute(run.context("t", max_tries=3))
    assert not look(run.target("t")).is_committed
    task.op_args = [[1, 2, 3]]
    task.execute(run.context("t"))
    manifest = look(run.target("t")).manifest
    assert manifest is not None
    assert [check["passed"] for check in manifest.checks] == [True]


def test_gates_are_for_outputs_that_there_are() -> None:
    """A name that is misspelt would never be checked."""
    with pytest.raises(
        ConfigError, match="there are gates for the output 'evn'; the task's outputs are 'even', 'odd'"
    ):
        DivePythonOperator(
            task_id="t", python_object=Two, python_method="split", outputs=["even", "odd"], gates={"evn": []}
        )


@pytest.mark.parametrize(
    ("first", "second", "is_done_again"),
    [
        ({"try_number": 1, "max_tries": 3}, {"try_number": 2, "max_tries": 3}, False),
        ({"try_number": 1, "max_tries": 3}, {"try_number": 2, "max_tries": 4}, True),  # cleared in between
        ({"try_number": 1, "max_tries": 3, "run": "another"}, {"try_number": 2, "max_tries": 3}, True),
    ],
)
def test_a_retry_after_its_own_commit_does_no_work_twice(
    run: FakeRun, first: dict[str, Any], second: dict[str, Any], is_done_again: bool
) -> None:
    """When asked: only what this run made since it was last cleared counts."""
    task = DivePythonOperator(
        task_id="extract", python_object=Extract, op_args=[[1]], skip_if_committed=True, retries=3
    )
    other = FakeRun(run_id=first.pop("run", run.run_id))
    handed = task.execute(other.context("extract", **first))
    run.xcoms.clear()
    again = task.execute(run.context("extract", **second))
    assert (again != handed) == is_done_again
    assert run.xcoms["extract", -1, "fileflow"] == {"output": again}


def test_a_retry_does_the_work_when_an_output_is_missing(run: FakeRun) -> None:
    """A crash between two records leaves one of them."""
    task = DivePythonOperator(
        task_id="two",
        python_object=Two,
        python_method="split",
        outputs=["even", "odd"],
        skip_if_committed=True,
    )
    half = DivePythonOperator(
        task_id="half", python_object=Extract, op_args=[[1]], op_kwargs={"name": "even"}, outputs=["even"]
    )
    half.task_id = "two"
    half.execute(run.context("two"))
    assert list(task.execute(run.context("two", try_number=2))) == ["even", "odd"]


def test_a_commit_is_handed_on_as_an_asset_event(run: FakeRun) -> None:
    """The reference is its extra, so that a DAG that the asset starts reads that very version."""
    plain, alias = Asset(uri="s3://lake/orders", name="orders"), AssetAlias("any")
    task = DivePythonOperator(task_id="extract", python_object=Extract, op_args=[[1]], outlets=[plain, alias])
    events = OutletEventAccessors()
    handed = task.execute(run.context("extract", {"outlet_events": events}))
    assert events[plain].extra == handed
    (event,) = events[alias].asset_alias_events
    assert (event.dest_asset_key.uri, event.extra) == (f"{handed['root']}/{handed['target']}", handed)


def test_what_was_read_and_written_reaches_the_lineage_of_hooks(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where somebody collects it."""
    collector = HookLineageCollector()
    monkeypatch.setattr(
        "airflow.providers.common.compat.lineage.hook.get_hook_lineage_collector", lambda: collector
    )
    extract = DivePythonOperator(task_id="extract", python_object=Extract, op_args=[[1]])
    report = DivePythonOperator(
        task_id="report", python_object=Report, data_dependencies={"numbers": extract}
    )
    extract.execute(run.context("extract"))
    report.execute(run.context("report"))
    seen = collector.collected_assets
    assert [each.asset.uri.split("/store/")[1] for each in seen.inputs] == [run.target("extract").key]
    assert [each.asset.uri.split("/store/")[1] for each in seen.outputs] == [
        run.target("extract").key,
        run.target("report").key,
    ]
    assert report.lineage is not None
    assert [each.target for each in report.lineage.inputs] == [run.target("extract").key]


def test_openlineage_is_told_of_what_was_read_and_written(
    run: FakeRun, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the names that its convention has for files and objects, with rows and bytes."""

    class Told(SimpleNamespace):
        def __init__(self, *place: str, **facts: Any) -> None:
            super().__init__(place=place, **facts)

    extractors, facets = ModuleType("extractors"), ModuleType("facet")
    extractors.OperatorLineage = Told  # type: ignore[attr-defined]
    for name in ("Dataset", "OutputDataset", "OutputStatisticsOutputDatasetFacet"):
        setattr(facets, name, Told)
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage.extractors", extractors)
    monkeypatch.setitem(sys.modules, "airflow.providers.common.compat.openlineage.facet", facets)
    extract = DivePythonOperator(task_id="extract", python_object=Extract, op_args=[[1]])
    report = DivePythonOperator(
        task_id="report", python_object=Report, data_dependencies={"numbers": extract}
    )
    assert vars(report.get_openlineage_facets_on_complete(None)) == {"place": ()}
    extract.execute(run.context("extract"))
    report.execute(run.context("report"))
    told = report.get_openlineage_facets_on_complete(None)
    assert [each.place for each in told.inputs] == [("file", f"{root}/{run.target('extract').key}")]
    (made,) = told.outputs
    assert made.place == ("file", f"{root}/{run.target('report').key}")
    assert vars(made.outputFacets["outputStatistics"]) == {"place": (), "rowCount": None, "size": 1}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://lake/ff/shop/x/extract/output", ("s3://lake", "ff/shop/x/extract/output")),
        ("file:///data/a%20b/shop", ("file", "/data/a b/shop")),
    ],
)
def test_a_dataset_is_called_as_openlineage_has_it(uri: str, expected: tuple[str, str]) -> None:
    """Else what other tools say of the same object would be about another dataset."""
    assert dataset_of(uri) == expected


def test_without_openlineage_there_is_nothing_to_tell_it(run: FakeRun) -> None:
    """Its provider asks for the method only where it is installed."""
    extract = DivePythonOperator(task_id="extract", python_object=Extract, op_args=[[1]])
    extract.execute(run.context("extract"))
    assert extract.get_openlineage_facets_on_complete(None) is None
