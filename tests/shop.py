"""A store that is configured, a DAG and a run of it, for tests of what runs as a task."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # `tests.airflow_harness` has to come before anything else that imports Airflow
    from airflow.sdk import DAG

    from tests.airflow_context import FakeRun


@pytest.fixture
def run() -> "FakeRun":
    """One run of the DAG."""
    from tests.airflow_context import FakeRun

    return FakeRun()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an empty store, which is the one that is configured."""
    (folder := tmp_path / "store").mkdir()
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", folder.as_uri())
    monkeypatch.setenv("AIRFLOW__FILEFLOW__DURABILITY", "none")
    return folder


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deferral may end at once: there is no worker that is still on its way out."""
    monkeypatch.setenv("AIRFLOW__FILEFLOW__MIN_DEFER_SECONDS", "0")


@pytest.fixture
def dag() -> "Iterator[DAG]":
    """The DAG in which each operator of the test lands."""
    from airflow.sdk import DAG

    with DAG("shop", schedule=None) as dag:
        yield dag
