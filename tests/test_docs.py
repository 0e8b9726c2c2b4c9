"""The documentation does what it says: its Python runs, and its tables are what the code has."""

import ast
import asyncio
import atexit
import contextlib
import inspect
import io
import json
import os
import re
import shutil
import tempfile
import warnings
from datetime import datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

# Before Airflow is imported for the first time: it makes folders there.
if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

import pytest
from airflow.sdk import DAG, XComArg
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time.context import OutletEventAccessors

import fileflow_async
from fileflow_async import FileTargetTrigger, Reference, formats
from fileflow_async.config import described
from fileflow_async.errors import GateError
from fileflow_async.formats import registry
from fileflow_async.hooks import aws_extra
from fileflow_async.hooks.connection import ConnectionDetails
from fileflow_async.outcome import Outcome, WaitEvent
from fileflow_async.storage import s3_explain
from fileflow_async.testing.rehearsal import rehearse
from tests.airflow_context import NOON, FakeRun
from tests.pages import DOCS, PAGES, ROOT, blocks

pytestmark = pytest.mark.usefixtures("root")

DAGS = sorted((ROOT / "dags").glob("*.py"))
EXPECTED = re.compile(r"# → (.*)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def rows_below(page: str, header: str) -> list[list[str]]:
    """Return the cells of the table of a page that has this header."""
    lines = (ROOT / page).read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(header)) + 2
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:end]]


class Runs:
    """Runs whole DAGs as far as they go, each in one run of the same logical date unless one is named."""

    def __init__(self) -> None:
        self.deferred: list[TaskDeferred] = []
        self.results: dict[tuple[str, str], Any] = {}

    def run(self, dag: DAG, *, logical_date: datetime = NOON) -> None:
        run = FakeRun(dag.dag_id, logical_date=logical_date)
        for task in dag.topological_sort():
            instances = instances_of(task)
            if len(instances) > 1:
                run.mapped[dag.dag_id, task.task_id] = len(instances)
            for index, operator in enumerate(instances):
                map_index = index if len(instances) > 1 else -1
                self._run(operator, run, map_index)

    def _run(self, operator: BaseOperator, run: FakeRun, map_index: int) -> None:
        events = {"outlet_events": OutletEventAccessors(), "triggering_asset_events": None}
        context = run.context(operator.task_id, events, map_index=map_index)
        for name in ("op_args", "op_kwargs"):  # what calling another task returned, as Airflow fills it in
            if given := getattr(operator, name, None):
                setattr(operator, name, self._filled(given, operator.dag_id))
        try:
            result = operator.execute(context)
        except TaskDeferred as deferred:
            self.deferred.append(deferred)
            result = None
        self.results[operator.dag_id, operator.task_id] = result

    def _filled(self, given: Any, dag_id: str) -> Any:
        if isinstance(given, XComArg):
            return self.results[dag_id, given.operator.task_id]  # type: ignore[attr-defined]
        if isinstance(given, dict):
            return {name: self._filled(each, dag_id) for name, each in given.items()}
        if isinstance(given, list | tuple):
            return [self._filled(each, dag_id) for each in given]
        return given

    def value(self, dag_id: str, task_id: str) -> Any:
        """Return the data behind the result of a task."""
        reference = Reference.from_payload(self.results[dag_id, task_id])
        path = Path(str(reference.root).removeprefix("file://"), reference.target, reference.data)
        return json.loads(path.read_text())


def instances_of(task: Any) -> list[BaseOperator]:
    """Return a task, or the instances that it is expanded into."""
    if not isinstance(task, MappedOperator):
        return [task]
    values: Any = task._get_specified_expand_input().value
    return [task.unmap({"op_kwargs": each}) for each in values["op_kwargs"]]


def roundtripped(dag: DAG) -> Any:
    """Return a DAG as the scheduler has it from the DAG processor."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Airflow's own, at its import
        from airflow.serialization.serialized_objects import DagSerialization
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))


def load(path: Path) -> ModuleType:
    spec = spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(module := module_from_spec(spec))
    return module


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[DAG]:
    """The DAGs that have been written as a block since it was last cleared."""
    made: list[DAG] = []
    enter = DAG.__enter__

    def entered(dag: DAG) -> DAG:
        made.append(dag)
        return enter(dag)

    monkeypatch.setattr(DAG, "__enter__", entered)
    return made


@pytest.fixture
def loaded(made: list[DAG]) -> dict[str, tuple[ModuleType, list[DAG]]]:
    """The example DAGs, by the names of their files."""
    found = {}
    for path in DAGS:
        made.clear()
        module = load(path)
        found[path.stem] = module, list(made)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs_and_prints_what_it_says(
    page: Path, root: Path, made: list[DAG], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From top to bottom, as somebody would try it; DAGs are run, and `# →` is what is printed."""
    monkeypatch.setattr(registry, "_formats", {})  # what a page registers is forgotten behind it
    namespace: dict[str, Any] = {"__name__": page.stem}
    runs = Runs()
    for block in blocks(page, "python"):
        where = f"{page.name}:{block.line}"
        text = block.text.replace("file:///tmp/fileflow", (root.parent / "made").as_uri())
        code = compile("\n" * block.line + text, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        made.clear()
        with contextlib.redirect_stdout(io.StringIO()) as out:
            awaited = FunctionType(code, namespace)()
            if code.co_flags & inspect.CO_COROUTINE:
                asyncio.run(awaited)
        assert out.getvalue().splitlines() == EXPECTED.findall(block.text), where
        for dag in list(made):
            assert dag.tasks, where
            assert set(roundtripped(dag).task_ids) == set(dag.task_ids), where
            if dag.dag_id != "on_master":  # it needs the event of an asset
                runs.run(dag)
    for deferred in runs.deferred:
        classpath, arguments = deferred.trigger.serialize()
        assert classpath.startswith("fileflow_async.")
        json.dumps(arguments)


@pytest.mark.parametrize(
    ("page", "expected"), [("README.md", {"sum": 9.9}), ("docs/waiting.md", {"orders": 2})]
)
def test_the_sensor_that_a_page_shows_first_works_at_once(
    page: str, expected: dict[str, float], made: list[DAG]
) -> None:
    """The producer's DAG is before that of the consumer, whose data is there by then."""
    namespace: dict[str, Any] = {}
    runs = Runs()
    for block in blocks(ROOT / page, "python")[:2]:
        made.clear()
        if "DAG(" in block.text:
            exec(compile(block.text, page, "exec"), namespace)  # noqa: S102  # ours
        for dag in list(made):
            runs.run(dag)
    assert runs.deferred == []
    assert runs.value("report", "report") == expected


def test_the_tutorial_goes_as_it_says(made: list[DAG], monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is made of the orders, its test passes, and a day that is not good enough is held back."""
    files, runs = DOCS / "tutorial", Runs()
    monkeypatch.syspath_prepend(str(files))
    for name in ("shop", "report"):
        made.clear()
        load(files / f"{name}.py")
        runs.run(*made)
    assert runs.deferred == []
    assert runs.value("report", "report") == {"orders": 2, "sum": 14.9}
    load(files / "test_report.py").test_the_amounts_are_added_up()
    made.clear()
    load(files / "checked.py")
    with pytest.raises(GateError) as refused:
        runs.run(*made)
    said = next(block.text for block in blocks(DOCS / "tutorial.md", "text") if "Gate" in block.text)
    end = str(refused.value).partition(".csv ")[2]
    assert said.strip().endswith(end)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_json_of_a_page_is_json(page: Path) -> None:
    for block in blocks(page, "json"):
        json.loads(block.text)


def test_links_of_the_readme_lead_somewhere() -> None:
    """Sphinx sees to those of the site."""
    for link in LINK.findall((ROOT / "README.md").read_text()):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_the_table_of_settings_is_that_of_the_code() -> None:
    """To be written anew from `config.described()` when one of them changes."""
    wanted = [
        [f"`{setting.name}`", f"`{setting.default}`" if setting.default else "", setting.description]
        for setting in described()
    ]
    assert rows_below("docs/storages.md", "| Setting |") == wanted


def test_the_table_of_formats_is_that_of_the_code() -> None:
    """Names, what they are read as, and the ends of their names."""
    rows = rows_below("docs/working.md", "| Format |")
    assert sorted(row[0].strip("`") for row in rows) == formats.names()
    for name, kinds, extensions, _needs in rows:
        format = formats.get(name.strip("`"))
        assert kinds == ", ".join(kind.value for kind in format.kinds)
        assert extensions == ", ".join(format.extensions)


def test_the_extra_of_a_connection_is_understood(caplog: pytest.LogCaptureFixture) -> None:
    """All of it, but for what is there twice, which has to agree; and what is refused is refused."""
    page = DOCS / "storages.md"
    extra = json.loads(blocks(page, "json")[0].text)
    details = ConnectionDetails(conn_id="docs", conn_type="aws", extra=extra)
    settings = aws_extra.settings_of(details)
    assert (settings.region, settings.kms_key_id) == (extra["region_name"], extra["sse_kms_key_id"])
    assert "makes no use of" not in caplog.text
    for refused in aws_extra._REFUSED:
        assert f"`{refused}`" in page.read_text()


def test_the_policy_allows_what_the_code_asks_for() -> None:
    """Each permission that a message may name, and no other."""
    statements = json.loads(blocks(DOCS / "storages.md", "json")[1].text)["Statement"]
    allowed = {
        action
        for statement in statements
        for action in (
            statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
    }
    asked = {each.permission for each in vars(s3_explain).values() if isinstance(each, s3_explain.Action)}
    assert allowed == asked


def test_the_event_on_the_page_is_one() -> None:
    """And the words for outcomes are all there."""
    page = DOCS / "waiting.md"
    event = WaitEvent.from_payload(json.loads(blocks(page, "json")[0].text))
    assert (event.outcome, event.ready_count, event.missing_count) == (Outcome.TIMEOUT, 1, 1)
    assert ", ".join(f"`{outcome}`" for outcome in Outcome) in page.read_text()


def test_every_public_name_is_in_the_reference() -> None:
    """By its module, or by itself."""
    reference = (DOCS / "reference.md").read_text()
    documented = set(re.findall(r"auto(?:module|class|function):: (\S+)", reference))
    for name, module in fileflow_async._MODULES.items():
        full = f"fileflow_async.{module}"
        assert documented & {full, f"{full}.{name}"}, name


def test_the_example_dags_are_whole(loaded: dict[str, tuple[ModuleType, list[DAG]]]) -> None:
    """They parse without a warning, and the scheduler gets them as they are."""
    tasks = {dag.dag_id: set(dag.task_ids) for _, dags in loaded.values() for dag in dags}
    assert tasks == {
        "shop": {"extract", "merge"},
        "shop_report": {"report"},
        "clicks": {"count"},
        "clicks_daily": {"day", "trend"},
        "rates": {"arrive", "keep"},
        "shop_abroad": {"convert"},
        "from_fileflow": {"important", "ninja", "derived", "stamp"},
    }
    for _, dags in loaded.values():
        for dag in dags:
            revived = roundtripped(dag)
            assert set(revived.task_ids) == set(dag.task_ids)
            assert revived.timetable.summary in ("0 0 * * *", "0 * * * *", "None")


def test_the_shop_hands_its_orders_over(loaded: dict[str, tuple[ModuleType, list[DAG]]]) -> None:
    """A report that begins first waits; afterwards it finds what all shops have sold."""
    _, (shop, report) = loaded["shop"]
    early, late = Runs(), Runs()
    early.run(report)
    (deferred,) = early.deferred
    assert isinstance(deferred.trigger, FileTargetTrigger)
    assert deferred.trigger.targets == ["shop/20261120T120000Z/merge/output"]
    late.run(shop)
    late.run(report)
    assert late.deferred == []
    assert late.value("shop_report", "report") == {"orders": 15, "sum": 450}


def test_the_logic_of_the_examples_can_be_tested_in_one_line(
    loaded: dict[str, tuple[ModuleType, list[DAG]]],
) -> None:
    """As the page about working says."""
    module, _ = loaded["shop"]
    orders = [{"shop": "oslo", "amount": 5}]
    assert rehearse(module.Report, inputs={"orders": orders}).read() == {"orders": 1, "sum": 5}


def test_a_day_is_a_day_with_four_hours_missing(loaded: dict[str, tuple[ModuleType, list[DAG]]]) -> None:
    """Nineteen hours are too few, twenty are enough; what there is no week to compare with waits."""
    _, (clicks, daily) = loaded["daily"]
    runs = Runs()
    for hour in range(19):
        runs.run(clicks, logical_date=NOON - timedelta(hours=hour))
    runs.run(daily)
    assert [deferred.trigger.when for deferred in runs.deferred] == [20, "all"]
    runs.deferred.clear()
    runs.run(clicks, logical_date=NOON - timedelta(hours=23))
    runs.run(daily)
    assert runs.value("clicks_daily", "day") == {"clicks": 2000, "hours": 20}
    (trend,) = runs.deferred
    assert trend.trigger.targets[1] == "clicks_daily/20261113T120000Z/day/output"
