"""What Airflow is told of the package, and what it makes of it."""

import importlib
import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import airflow
import jsonschema  # type: ignore[import-untyped]
import pytest
from airflow.sdk import BaseOperatorLink

from fileflow_async import triggers
from fileflow_async.config import described
from fileflow_async.provider import get_provider_info

SCHEMA = Path(airflow.__path__[0]) / "provider_info.schema.json"


def test_it_is_what_airflow_expects() -> None:
    """By Airflow's own schema; it leaves out a provider whose information is not valid."""
    jsonschema.validate(get_provider_info(), json.loads(SCHEMA.read_text()))


def test_all_that_it_names_is_there() -> None:
    """Links, decorators and the modules of triggers, each of the latter once and none forgotten."""
    info = get_provider_info()
    for name in (*info["extra-links"], *(each["class-name"] for each in info["task-decorators"])):
        module, _, member = name.rpartition(".")
        assert hasattr(importlib.import_module(module), member), name
    assert [issubclass(_loaded(name), BaseOperatorLink) for name in info["extra-links"]] == [True]
    modules = [module for each in info["triggers"] for module in each["python-modules"]]
    known = {f"{triggers.__name__}.{module}" for module in triggers._MODULES.values()}
    assert set(modules) == known
    assert len(modules) == len(known)


def test_no_connection_type_of_others_is_claimed() -> None:
    """`fs` and `aws` belong to their providers, with their forms."""
    assert "connection-types" not in get_provider_info()


def test_the_entry_points_lead_to_it() -> None:
    """Airflow finds both by them, and people the command."""
    found = {
        (each.group, each.value)
        for group in ("apache_airflow_provider", "airflow.plugins", "console_scripts")
        for each in entry_points(group=group)
        if each.value.startswith("fileflow_async.")
    }
    assert found == {
        ("apache_airflow_provider", "fileflow_async.provider:get_provider_info"),
        ("airflow.plugins", "fileflow_async.plugin:FileflowPlugin"),
        ("console_scripts", "fileflow_async.cli:main"),
    }


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_airflow_shows_it(tmp_path: Path) -> None:
    """By its own commands, in a home of its own."""
    (provider,) = asked(tmp_path, "providers", "get", "fileflow-async", "-o", "json")
    assert provider["Provider"] == "fileflow-async"
    listed = ran(tmp_path, "config", "list", "--section", "fileflow", "--include-descriptions", "--defaults")
    for setting in described():
        assert f"{setting.name} = " in listed
        assert setting.description.split(";")[0][:40] in listed.replace("\n# ", " ")
    (plugin,) = [
        each for each in asked(tmp_path, "plugins", "-o", "json") if each["name"] == "fileflow_async"
    ]
    assert "/fileflow" in str(plugin["fastapi_apps"])
    assert "File targets" in str(plugin["external_views"])


def _loaded(name: str) -> Any:
    module, _, member = name.rpartition(".")
    return getattr(importlib.import_module(module), member)


def ran(home: Path, *arguments: str) -> str:
    environment = os.environ | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    command = [sys.executable, "-m", "airflow", *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def asked(home: Path, *arguments: str) -> Any:
    printed = ran(home, *arguments)
    return json.loads(printed[printed.index("[{") :])
