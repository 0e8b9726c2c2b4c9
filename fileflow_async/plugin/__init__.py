"""What Airflow loads by its entry point: a page of targets, for reading only."""

import sys
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin

from fileflow_async.config import configured
from fileflow_async.operators.links import PAGE

_PATH = urlsplit(configured("api", "base_url") or "").path.rstrip("/")  # where Airflow itself is mounted

if "airflow.dag_processing.manager" in sys.modules:
    import_module("fileflow_async.plugin.inherited")


async def page(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request; loaded with the first one, so that only the API server pays for it."""
    from fileflow_async.plugin.application import application

    await application(scope, receive, send)


class FileflowPlugin(AirflowPlugin):
    """The page, and the way to it in Airflow's menu."""

    name = "fileflow_async"
    fastapi_apps: list[Any] = [  # noqa: RUF012  # as Airflow declares it
        {"app": page, "url_prefix": PAGE.rstrip("/"), "name": "fileflow_async"}
    ]
    external_views: list[Any] = [  # noqa: RUF012
        {
            "name": "File targets",
            "href": f"{_PATH}{PAGE}",
            "destination": "nav",
            "category": "browse",
            "url_route": "fileflow-targets",
        }
    ]
