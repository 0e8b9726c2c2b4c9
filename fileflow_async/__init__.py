"""Airflow tasks hand each other data through file targets, and wait for it in the triggerer."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fileflow_async.dependency import Dependency
    from fileflow_async.gates import Gate
    from fileflow_async.hooks.store import open_store
    from fileflow_async.manifest import Producer
    from fileflow_async.operators.dive import DiveOperator, DivePythonOperator
    from fileflow_async.sensors.dive import DiveSensorAsync
    from fileflow_async.status import State, Status
    from fileflow_async.store import TargetStore
    from fileflow_async.target import Reference, Slot, Target
    from fileflow_async.task_runner import AsyncTaskRunner, TaskRunner
    from fileflow_async.triggers.file_target import FileTargetTrigger
    from fileflow_async.triggers.file_target_event import FileTargetEventTrigger

__all__ = [
    "AsyncTaskRunner",
    "Dependency",
    "DiveOperator",
    "DivePythonOperator",
    "DiveSensorAsync",
    "FileTargetEventTrigger",
    "FileTargetTrigger",
    "Gate",
    "Producer",
    "Reference",
    "Slot",
    "State",
    "Status",
    "Target",
    "TargetStore",
    "TaskRunner",
    "open_store",
]

# A DAG file that imports a sensor must not pay for what only a running task needs.
_MODULES = {
    "AsyncTaskRunner": "task_runner",
    "Dependency": "dependency",
    "DiveOperator": "operators.dive",
    "DivePythonOperator": "operators.dive",
    "DiveSensorAsync": "sensors.dive",
    "FileTargetEventTrigger": "triggers.file_target_event",
    "FileTargetTrigger": "triggers.file_target",
    "Gate": "gates",
    "Producer": "manifest",
    "Reference": "target",
    "Slot": "target",
    "State": "status",
    "Status": "status",
    "Target": "target",
    "TargetStore": "store",
    "TaskRunner": "task_runner",
    "open_store": "hooks.store",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
