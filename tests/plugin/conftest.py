"""The page, behind an Airflow that decides by a list of DAGs."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import airflow_harness  # noqa: F401  # first: it imports Airflow quietly

import warnings  # isort: skip

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Airflow's own, at their import
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import HTTPException
    from fastapi.testclient import TestClient

    from fileflow_async.plugin import access
    from fileflow_async.plugin.application import application

from fileflow_async import open_store
from fileflow_async.store import TargetStore


@dataclass
class Site:
    """What a test finds of the page.

    Attributes:
        root: Where the store is.
        allowed: The DAGs whose targets may be seen.
        client: A browser of somebody who is logged in.
    """

    root: Path
    client: TestClient
    allowed: set[str] = field(default_factory=lambda: {"shop"})

    def work(self, work: Callable[[TargetStore], Coroutine[Any, Any, Any]]) -> Any:
        """Do something with the store."""

        async def opened() -> Any:
            async with open_store(self.root) as store:
                return await work(store)

        return asyncio.run(opened())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The page over a store on disk."""
    (root := tmp_path / "store").mkdir()
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", root.as_uri())
    monkeypatch.setenv("AIRFLOW__FILEFLOW__DURABILITY", "none")
    with TestClient(application) as client:
        made = Site(root, client)

        def requires(method: str, entity: object, dag_id: str) -> Callable[..., None]:
            def check(request: object, user: object) -> None:
                time.sleep(0.001)  # as Airflow, which asks its database
                asked = (method, entity)
                if dag_id not in made.allowed or asked != ("GET", DagAccessEntity.TASK_INSTANCE):
                    raise HTTPException(403, "Forbidden")

            return check

        class Manager:
            def get_authorized_dag_ids(self, *, user: object) -> set[str]:
                time.sleep(0.001)
                return made.allowed

        monkeypatch.setattr(access, "requires_access_dag", requires)
        monkeypatch.setattr(access, "get_auth_manager", Manager)
        monkeypatch.setitem(application.dependency_overrides, get_user, lambda: "somebody")
        yield made
