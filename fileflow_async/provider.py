"""What Airflow is told of the package: its settings, triggers, links and decorators."""

from importlib.metadata import version
from typing import Any

from fileflow_async.config import SECTION, described

_SINCE = "0.1.0"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata; Airflow finds this function by its entry point."""
    return {
        "package-name": "fileflow-async",
        "name": "fileflow_async",
        "description": "Tasks hand each other data through file targets, and wait for them in the triggerer.",
        "versions": [version("fileflow-async")],
        "config": {SECTION: {"description": "Settings of fileflow_async.", "options": _options()}},
        "triggers": [
            {
                "integration-name": "fileflow_async",
                "python-modules": [
                    "fileflow_async.triggers.arrival",
                    "fileflow_async.triggers.file_target",
                    "fileflow_async.triggers.file_target_event",
                    "fileflow_async.triggers.file_target_start",
                    "fileflow_async.triggers.http",
                ],
            }
        ],
        "extra-links": ["fileflow_async.operators.links.TargetsLink"],
        "task-decorators": [{"name": "dive", "class-name": "fileflow_async.decorators.dive_task"}],
    }


def _options() -> dict[str, Any]:
    return {
        setting.name: {
            "description": setting.description,
            "version_added": _SINCE,
            "type": setting.type,
            "example": setting.example,
            "default": setting.default,
        }
        for setting in described()
    }
