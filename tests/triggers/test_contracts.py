"""The contract of triggers, kept by those that wait for targets; and that no trigger goes without it."""

import ast
import asyncio
import inspect
import json
import pkgutil
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from airflow.triggers.base import BaseTrigger

from fileflow_async import open_store, triggers
from fileflow_async.dependency import Dependency
from fileflow_async.testing.trigger_contract import TriggerContract
from fileflow_async.triggers import FileTargetEventTrigger, FileTargetStartTrigger, FileTargetTrigger
from fileflow_async.triggers.file_target_start import to_payload
from tests.airflow_harness import through_airflow
from tests.s3_servers.backdoor import Backdoor

KEY = "shop/20260921T000000Z/extract/output"
THERE = "shop/20260921T000000Z/there/output"
PASSWORD = "what-nobody-may-see"
FENCE = json.dumps({"path": "/", "password": PASSWORD})


class OfTargets(TriggerContract):
    """What the triggers that wait for targets have in common: a store on disk in which one target is."""

    secrets = (PASSWORD,)
    root = ""

    @pytest_asyncio.fixture(autouse=True)
    async def store(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make a store, opened through a connection."""
        monkeypatch.setenv(
            "AIRFLOW_CONN_DISK", json.dumps({"conn_type": "fs", "password": PASSWORD, "extra": FENCE})
        )
        self.root = root.as_uri()
        async with open_store(self.root) as store, store.write(THERE) as out:
            await out.write(b"data")

    def through_airflow(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return through_airflow(arguments)


class TestFileTargetTrigger(OfTargets):
    """One event for a wait."""

    kind = FileTargetTrigger

    def arguments(self) -> Mapping[str, Any]:
        return {
            "root": self.root,
            "targets": [KEY, THERE],
            "conn_id": "disk",
            "when": 1,
            "poke_interval": 7.5,
            "deadline": time.time() + 3600,
            "newer_than": {THERE: 1_790_000_000.5},
            "on_empty": "wait",
            "on_corrupt": "skip",
            "on_abandoned": "fail",
            "not_before": 1_790_000_000.0,
            "backoff": True,
            "max_wait": 60.0,
        }

    def waiting(self) -> FileTargetTrigger:
        return FileTargetTrigger(root=self.root, targets=[KEY])

    def firing(self) -> FileTargetTrigger:
        return FileTargetTrigger(root=self.root, targets=[THERE], conn_id="disk")


class TestFileTargetTriggerInABucket(TestFileTargetTrigger):
    """The same in S3: no connection is left either."""

    @pytest_asyncio.fixture(autouse=True)
    async def store(self, bucket: Backdoor, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[override]
        """Make a store in a bucket, opened through a connection."""
        connection = {
            "conn_type": "aws",
            "login": "AKIAPLANTED",
            "password": PASSWORD,
            "extra": {
                "endpoint_url": f"http://127.0.0.1:{bucket.port}",
                "region_name": "us-east-1",
                "config_kwargs": {"s3": {"addressing_style": "path"}},
            },
        }
        monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(connection))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):  # where no connection is named
            monkeypatch.setenv(name, "planted")
        self.root = f"s3://{bucket.bucket}/ff"
        async with open_store(self.root, "lake") as store, store.write(THERE) as out:
            await out.write(b"data")

    def waiting(self) -> FileTargetTrigger:
        return FileTargetTrigger(root=self.root, targets=[KEY], conn_id="lake")

    def firing(self) -> FileTargetTrigger:
        return FileTargetTrigger(root=self.root, targets=[THERE], conn_id="lake")

    @pytest.mark.slow
    @pytest.mark.timeout(300)
    async def test_rounds_without_end_leave_nothing(self) -> None:
        """Each round opens a client, and closes its connections."""
        await super().test_rounds_without_end_leave_nothing()


class TestFileTargetStartTrigger(OfTargets):
    """The same for a task that starts in the triggerer."""

    kind = FileTargetStartTrigger

    def arguments(self) -> Mapping[str, Any]:
        return {
            "slot": json.dumps(
                {"logical_date": "2026-09-21T00:00:00+00:00", "partition_key": None, "run_id": "1"}
            ),
            "dag_id": "shop",
            "dependencies": [to_payload(Dependency("there"))],
            "fileflow_root": self.root,
            "fileflow_conn_id": "disk",
            "when": 1,
            "poke_interval": 7.5,
            "on_empty": "wait",
            "on_corrupt": "skip",
            "on_abandoned": "fail",
            "backoff": True,
            "max_wait": 60.0,
            "backstop": 5.0,
        }

    def waiting(self) -> FileTargetStartTrigger:
        arguments = {**self.arguments(), "dependencies": [to_payload(Dependency("extract"))]}
        return FileTargetStartTrigger(**arguments)

    def firing(self) -> FileTargetStartTrigger:
        return FileTargetStartTrigger(**self.arguments())


class TestFileTargetEventTrigger(OfTargets):
    """An event for each commit."""

    kind = FileTargetEventTrigger
    is_endless = True

    def arguments(self) -> Mapping[str, Any]:
        return {
            "root": self.root,
            "targets": [KEY, THERE],
            "conn_id": "disk",
            "poke_interval": 7.5,
            "newer_than": 1_790_000_000.5,
            "on_empty": "wait",
        }

    def waiting(self) -> FileTargetEventTrigger:
        return FileTargetEventTrigger(root=self.root, targets=[KEY])

    def firing(self) -> FileTargetEventTrigger:
        return FileTargetEventTrigger(root=self.root, targets=[THERE], conn_id="disk")


def test_every_trigger_keeps_the_contract() -> None:
    """Each class in `triggers/` has a test class that inherits it; whoever adds one learns so here."""
    kinds = set()
    for found in pkgutil.walk_packages(triggers.__path__, f"{triggers.__name__}."):
        module = import_module(found.name)
        for name, kind in inspect.getmembers(module, inspect.isclass):
            ours = issubclass(kind, BaseTrigger) and kind.__module__ == module.__name__
            if ours and not inspect.isabstract(kind):
                kinds.add(name)
    kept = set()
    for path in Path(__file__).parent.parent.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                kept |= {
                    each.value.id
                    for each in node.body
                    if isinstance(each, ast.Assign)
                    and isinstance(each.value, ast.Name)
                    and [getattr(target, "id", None) for target in each.targets] == ["kind"]
                }
    assert kinds >= {"FileTargetTrigger", "FileTargetEventTrigger"}
    assert kinds - kept == set()


async def test_the_contract_notices_what_it_is_there_for() -> None:
    """A trigger that breaks a promise fails the test of that promise."""

    class Bad(FileTargetTrigger):
        def __init__(self, root: str = "", targets: object = (), **kwargs: Any) -> None:
            if not isinstance(targets, list):
                raise ValueError("this would end the triggerer")
            super().__init__(root=root, targets=targets)

        async def run(self) -> Any:
            await asyncio.sleep(0)
            if self.targets == ["none"]:
                return
            asyncio.create_task(asyncio.sleep(0.2))  # noqa: RUF006
            while True:
                try:
                    yield {"payload": "x" * 20_000}
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    await asyncio.sleep(0)

    class Contract(TriggerContract):
        kind = Bad

        def arguments(self) -> Mapping[str, Any]:
            return {"root": "/ff", "targets": ["a"]}

        def waiting(self) -> Bad:
            return Bad(root="/ff", targets=["a"])

        def firing(self) -> Bad:
            return Bad(root="/ff", targets=["a"])

    contract = Contract()
    for promise in (
        contract.test_its_arguments_are_its_constructors,
        contract.test_a_misspelt_argument_is_a_type_error,
        contract.test_no_argument_makes_the_constructor_fail,
        contract.test_its_class_can_be_found,
        contract.test_it_fires_one_event,
    ):
        with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
            await promise()
    await asyncio.sleep(0.3)


async def test_the_contract_notices_what_a_cancelled_trigger_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that goes on, or a cancellation that is swallowed."""
    monkeypatch.setattr("fileflow_async.testing.trigger_contract.PATIENCE", 0.2)
    tasks = []

    class Leaky(FileTargetTrigger):
        async def run(self) -> Any:
            tasks.append(asyncio.create_task(asyncio.sleep(1000)))
            await asyncio.sleep(1000)
            yield

    class Stubborn(FileTargetTrigger):
        async def run(self) -> Any:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)
            await asyncio.sleep(0.5)
            yield

    class Contract(TriggerContract):
        def waiting(self) -> BaseTrigger:
            return self.kind(root="/ff", targets=[])

    for kind in (Leaky, Stubborn):
        contract = Contract()
        contract.kind = kind  # type: ignore[misc]
        with pytest.raises(AssertionError):
            await contract.test_cancelling_ends_it_at_any_moment()
        for task in tasks:
            task.cancel()
    await asyncio.sleep(1.0)
