"""What the triggerer runs, so that no worker slot is held while a task waits."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fileflow_async.triggers.arrival import ArrivalTrigger
    from fileflow_async.triggers.file_target import FileTargetTrigger
    from fileflow_async.triggers.file_target_event import FileTargetEventTrigger
    from fileflow_async.triggers.file_target_start import FileTargetStartTrigger
    from fileflow_async.triggers.http import HttpTrigger

__all__ = [
    "ArrivalTrigger",
    "FileTargetEventTrigger",
    "FileTargetStartTrigger",
    "FileTargetTrigger",
    "HttpTrigger",
]

_MODULES = {
    "ArrivalTrigger": "arrival",
    "FileTargetEventTrigger": "file_target_event",
    "FileTargetStartTrigger": "file_target_start",
    "FileTargetTrigger": "file_target",
    "HttpTrigger": "http",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
