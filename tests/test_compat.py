"""What differs between the versions of Airflow."""

import ast
import runpy
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests import airflow_harness as airflow_harness  # before anything else imports Airflow
from tests.airflow_harness import AssetStates

from fileflow_async import _compat  # isort: skip


def test_metrics_are_left_out_where_airflow_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 3.2 it has none for code outside its core."""
    monkeypatch.setitem(sys.modules, "airflow.sdk.observability", None)
    old = runpy.run_path(_compat.__file__)
    old["count"]("fileflow.polls")
    old["timing"]("fileflow.wait_seconds", 1.5, tags={"outcome": "ready"})


def test_metrics_go_to_the_class_that_airflow_3_2_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the module has no functions of its own, and every wait counts something."""
    seen: list[Any] = []

    class Stats:
        incr = timing = staticmethod(lambda *args, **kwargs: seen.append((args, kwargs)))

    package = ModuleType("airflow.sdk.observability")
    monkeypatch.setattr(package, "stats", SimpleNamespace(Stats=Stats), raising=False)
    monkeypatch.setitem(sys.modules, package.__name__, package)
    runpy.run_path(_compat.__file__)["count"]("a")
    assert seen == [(("a", 1), {"tags": None})]


def test_metrics_go_to_airflows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """With their tags; a duration as one, since its unit differs between backends."""
    seen: list[Any] = []

    class Stats:
        def incr(self, *args: Any, **kwargs: Any) -> None:
            seen.append((args, kwargs))

        timing = incr

    monkeypatch.setattr(_compat, "_stats", Stats())
    _compat.count("a")
    _compat.count("b", 3, tags={"x": "y"})
    _compat.timing("c", 1.5)
    _compat.timing("d", 1.5, tags={"x": "y"})
    assert seen == [
        (("a", 1), {"tags": None}),
        (("b", 3), {"tags": {"x": "y"}}),
        (("c", timedelta(seconds=1.5)), {"tags": None}),
        (("d", timedelta(seconds=1.5)), {"tags": {"x": "y"}}),
    ]


def test_real_metrics_take_what_we_say() -> None:
    """Airflow refuses some names, and some tags."""
    _compat.count("fileflow.waits.ended", tags={"outcome": "ready"})
    _compat.timing("fileflow.wait_seconds", 1.5, tags={"outcome": "ready"})


def test_the_state_of_each_asset_is_found() -> None:
    """For one, for several, and for none: before 3.3, and for a task."""
    assert _compat.asset_states(object()) == ()

    class Trigger:
        asset_state_store: Any = None

    trigger = Trigger()
    assert _compat.asset_states(trigger) == ()
    for assets in (("a",), ("a", "b")):
        trigger.asset_state_store = AssetStates().of(*assets)
        assert len(_compat.asset_states(trigger)) == len(assets)
    trigger.asset_state_store = public = object()
    assert list(_compat.asset_states(trigger)) == [public]


def test_what_moved_between_versions_is_imported_in_one_place() -> None:
    """Where nobody would notice: the newest Airflow has it all. ADR 0003."""
    moved = {
        "airflow.exceptions",
        "airflow.sdk.exceptions",
        "airflow.sdk.observability",
        "airflow.sdk.lineage",
    }
    package = Path(_compat.__file__).parent
    found = {
        (module.name, node.module)
        for module in package.rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in moved
    }
    assert {name for name, _ in found} == {"_compat.py"}, found
