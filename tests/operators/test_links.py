"""The link from a task to its targets."""

from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import BaseOperator, BaseOperatorLink

from fileflow_async import DiveOperator, DivePythonOperator, DiveSensorAsync, TaskRunner
from fileflow_async.operators.links import TargetsLink, prefix_of
from tests.airflow_context import FakeRun
from tests.airflow_harness import Worker, dag

RUN = "shop/20261120T120000Z"


class Logic(TaskRunner):
    def run(self) -> None:
        self.write_json({})


@pytest.fixture(autouse=True)
def address(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of Airflow, beside the store that is configured."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/here/")


def instance(run: FakeRun, task_id: str, **fields: Any) -> Any:
    """Return what Airflow hands to a link when a task has ended."""
    ti = run.context(task_id, **fields)["ti"]
    context = run.context(task_id, **fields)
    return SimpleNamespace(
        dag_id=run.dag_id,
        task_id=task_id,
        map_index=fields.get("map_index", -1),
        run_id=ti.run_id,
        get_template_context=lambda: context,
    )


def link_of(operator: BaseOperator, ti: Any) -> str:
    return TargetsLink().get_link(operator, ti_key=ti)


def test_the_page_of_the_plugin_is_where_it_leads() -> None:
    """To all outputs of the task in this run, below the address of Airflow."""
    operator = DivePythonOperator(task_id="extract", python_object=Logic)
    run = FakeRun()
    page = "https://airflow.example/here/fileflow/?prefix=shop%2F20261120T120000Z%2Fextract%2F"
    assert link_of(operator, instance(run, "extract")) == page
    assert link_of(operator, instance(run, "extract", map_index=3)) == f"{page}map%3D3%2F"


def test_ids_are_encoded_as_in_keys() -> None:
    """Else the prefix would be that of nobody."""
    run = FakeRun("the shop", logical_date=None, run_id="manual/ü")
    assert prefix_of(instance(run, "extract")) == "the%20shop/run=manual%2F%C3%BC/extract/"
    target = run.target("extract")
    assert target.key.startswith(prefix_of(instance(run, "extract")))


def test_an_address_of_ones_own_has_what_it_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of a bucket's page, which knows prefixes of the bucket only."""
    monkeypatch.setenv(
        "AIRFLOW__FILEFLOW__TARGET_URL", "https://s3.example/{bucket}?prefix={prefix}&in={root}"
    )
    operator = DivePythonOperator(task_id="extract", python_object=Logic, fileflow_root="s3://lake/ff")
    assert link_of(operator, instance(FakeRun(), "extract")) == (
        f"https://s3.example/lake?prefix=ff/{RUN}/extract/&in=s3://lake/ff"
    )


def test_a_store_that_the_page_does_not_show_has_no_link(root: Path) -> None:
    """The page shows the configured one only; the same root in other words is it."""
    ti = instance(FakeRun(), "extract")
    other = DivePythonOperator(task_id="extract", python_object=Logic, fileflow_root="s3://lake/ff")
    assert link_of(other, ti) == ""
    same = DivePythonOperator(task_id="extract", python_object=Logic, fileflow_root=f"{root}/")
    assert link_of(same, ti) != ""


def test_without_an_address_of_airflow_it_is_relative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__API__BASE_URL")
    operator = DivePythonOperator(task_id="extract", python_object=Logic)
    assert link_of(operator, instance(FakeRun(), "extract")).startswith("/fileflow/?prefix=")


def test_a_mixed_operator_keeps_the_links_of_both() -> None:
    """Whatever their order, and by their names: a subclass may have another of the same name."""

    class Other(BaseOperatorLink):
        name = "Other"

        def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
            return "https://other.example"

    class Own(Other):
        name = "Targets"

    class Linked(BashOperator):
        operator_extra_links: Collection[BaseOperatorLink] = (Other(),)

    class First(DiveOperator, Linked): ...

    class Last(Linked, DiveOperator): ...

    class Replaced(First):
        operator_extra_links = (Own(),)

    for kind in (First, Last):
        assert {link.name for link in kind.operator_extra_links} == {"Other", "Targets"}
    assert {type(link) for link in Replaced.operator_extra_links} == {Other, Own}
    for each in (DiveSensorAsync, DivePythonOperator):
        assert [link.name for link in each.operator_extra_links] == ["Targets"]


def test_airflow_stores_the_link_when_a_task_ends() -> None:
    """As an XCom, which is all that its API server looks at."""
    worker = Worker()
    with dag():
        operator = DivePythonOperator(task_id="extract", python_object=Logic)
    worker.run(operator)
    assert worker.told[-1]["state"] == "success"
    link = worker.xcoms[TargetsLink().xcom_key]
    assert link == f"https://airflow.example/here/fileflow/?prefix={RUN.replace('/', '%2F')}%2Fextract%2F"
