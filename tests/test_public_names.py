"""What `from fileflow_async import …` gives, and what it costs."""

import ast
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import fileflow_async

INIT = Path(fileflow_async.__file__)
HEAVY = ("airflow", "aiobotocore", "aiofiles", "botocore", "pandas", "polars", "pyarrow")
RUNNING = (
    *("clock", "codec", "engine", "outcome", "status", "target", "target_set", "waiting", "watch"),
    *("store", "manifest", "draft", "formats", "storage.protocol", "upstream_file", "work"),
    *("hooks.store", "operators.diving", "sensors.ended", "triggers.arguments"),
)
CORE = ("Producer", "Reference", "Slot", "State", "Status", "Target", "TargetStore", "open_store")


def in_a_fresh_python(code: str) -> Any:
    """Run code where nothing is imported yet; return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_public_is_sorted_and_nothing_else() -> None:
    """One list, which the documentation and `dir` follow."""
    names = fileflow_async.__all__
    assert names == sorted(set(names))
    assert dir(fileflow_async) == names
    assert set(CORE) <= set(names)
    assert set(fileflow_async._MODULES) == set(names)


@pytest.mark.parametrize("name", CORE)
def test_each_name_is_what_its_module_has(name: str) -> None:
    """Lazily, by one table."""
    module = import_module(f"fileflow_async.{fileflow_async._MODULES[name]}")
    assert getattr(fileflow_async, name) is getattr(module, name)


def test_type_checkers_see_the_same_names() -> None:
    """They do not run the table."""
    tree = ast.parse(INIT.read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: str(node.module).removeprefix("fileflow_async.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == fileflow_async._MODULES


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module; `hasattr` and `import` rely on it."""
    with pytest.raises(AttributeError) as caught:
        _ = fileflow_async.TargetStoree
    assert str(caught.value) == "module 'fileflow_async' has no attribute 'TargetStoree'"
    assert not hasattr(fileflow_async, "target_store")


def test_importing_the_package_costs_a_dag_file_nothing() -> None:
    """No Airflow, no client, no table library; not even an event loop."""
    code = f"""
import json, sys
before = set(sys.modules)
import fileflow_async
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(json.dumps(sorted(new & {{*{HEAVY!r}, "asyncio", "hashlib"}})))
"""
    assert in_a_fresh_python(code) == []


def test_targets_and_slots_cost_little() -> None:
    """A DAG file names them at its top."""
    code = f"""
import json, sys
from fileflow_async import Reference, Slot, Target, TargetStore
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
    assert in_a_fresh_python(code) == []


@pytest.mark.parametrize(
    "declared",
    [
        "from fileflow_async import AsyncTaskRunner, Dependency, DivePythonOperator, Gate",
        "from fileflow_async import Dependency, DiveSensorAsync",
        "from fileflow_async.decorators import dive_task",
        "from fileflow_async.sensors.arrival import ArrivalSensorAsync",
    ],
)
def test_a_dag_file_does_not_pay_for_what_only_a_task_needs(declared: str) -> None:
    """It is parsed again and again, each time in a fresh process."""  # ADR 0030
    code = f"""
import json, sys
import airflow.sdk
{declared}
print(json.dumps([name for name in {RUNNING!r} if "fileflow_async." + name in sys.modules]))
"""
    assert in_a_fresh_python(code) == []
