"""What the dag-processor has imported before it forks a process for each DAG file."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LOAD = """
import json, sys
import airflow.{module}
import fileflow_async.plugin
before = set(sys.modules)
from fileflow_async import AsyncTaskRunner, Dependency, DiveOperator, DivePythonOperator, DiveSensorAsync
from fileflow_async import Gate, TaskRunner
from fileflow_async.decorators import dive_task
from fileflow_async.operators.http import HttpToTarget
from fileflow_async.sensors.arrival import ArrivalSensorAsync
from fileflow_async.sensors.http import HttpSensorAsync
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def imported_by_a_dag_file(after: str, home: Path) -> Any:
    """Return what a DAG file has to import of its own once a process has our plugin."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD.format(module=after)],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "AIRFLOW_HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_dag_file_finds_all_of_it_imported(tmp_path: Path) -> None:
    """By the dag-processor, which loads plugins first."""
    assert imported_by_a_dag_file("dag_processing.manager", tmp_path) == []


@pytest.mark.slow
def test_other_processes_do_not_import_it(tmp_path: Path) -> None:
    """The API server and the scheduler have no use for it."""
    found = imported_by_a_dag_file("models", tmp_path)
    assert {"fileflow_async.sensors.dive", "fileflow_async.decorators"} <= set(found)


@pytest.mark.slow
@pytest.mark.parametrize(("interval", "remembered"), [(None, 2), ("soon", 0)])
def test_what_each_sensor_asks_was_asked_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval: str | None, remembered: int
) -> None:
    """And a wrong answer keeps nobody from loading the plugin: the sensors complain."""
    if interval is not None:
        monkeypatch.setenv("AIRFLOW__FILEFLOW__POKE_INTERVAL", interval)
    asked = """
import airflow.dag_processing.manager
import fileflow_async.plugin
from fileflow_async.config import sources
print(sources._remembered.cache_info().currsize)
"""
    done = subprocess.run(
        [sys.executable, "-c", asked],
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) == remembered
