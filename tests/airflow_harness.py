"""Airflow's own machinery without its database; no other test uses a private name of Airflow for it."""

import asyncio
import atexit
import json
import logging
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

# Before Airflow is imported for the first time: it makes folders there.
if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
_handlers, _level = logging.root.handlers[:], logging.root.level
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Airflow's own, at its import
    import httpx
    from airflow.jobs.triggerer_job_runner import TriggerRunner
    from airflow.models.trigger import Trigger
    from airflow.sdk import DAG, Asset, BaseOperator
    from airflow.sdk.api.client import Client
    from airflow.sdk.api.datamodels._generated import DagRun, TaskInstance
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, OKResponse
    from airflow.triggers.base import BaseTrigger

    from tests import airflow_private as private
    from tests.airflow_private import TaskInstanceDTO, TaskRunResult

logging.root.handlers[:] = _handlers  # Airflow's writes to stdout, from the event loop too
logging.root.setLevel(_level)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def stored(arguments: Mapping[str, Any]) -> str:
    """Return a trigger's arguments as a worker that defers has them stored: as plain text."""
    return json.dumps(private.serialize(dict(arguments)))


def through_airflow(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a triggerer gets of a trigger's arguments."""
    kwargs = Trigger._decrypt_kwargs(stored(arguments))
    return {name: private.smart_decode_trigger_kwargs(value) for name, value in kwargs.items()}


class Triggerer:
    """The runner of a triggerer, which a test feeds by hand.

    Attributes:
        events: What triggers have fired: their ids with the payloads.
        failures: Which have ended without an event, by their ids, with what they raised.
    """

    def __init__(self) -> None:
        self.runner = TriggerRunner()
        self.events: list[tuple[int, Any]] = []
        self.failures: dict[int, BaseException | None] = {}

    def create(
        self,
        number: int,
        trigger: BaseTrigger | tuple[str, Mapping[str, Any]],
        *,
        assets: Mapping[str, str] | None = None,
    ) -> None:
        """Have a trigger created, as from the row that a worker has stored; for a task, or for assets."""
        classpath, arguments = trigger if isinstance(trigger, tuple) else trigger.serialize()
        watched: dict[str, Any] = {"watched_assets": dict(assets)} if assets else {}  # not known before 3.3
        self.runner.to_create.append(
            private.RunTrigger(
                id=number,
                classpath=classpath,
                encrypted_kwargs=stored(arguments),
                ti=None if assets else task_instance(f"task{number}", TaskInstanceDTO),
                **watched,
            )
        )

    def cancel(self, number: int) -> None:
        """Have a trigger cancelled, as when somebody clears its task."""
        self.runner.to_cancel.append(number)

    async def step(self) -> None:
        """Do one round of the runner's loop, which does so every second."""
        await self.runner.cleanup_finished_triggers()
        while self.runner.events:
            number, event, *_ = self.runner.events.popleft()  # a pair before 3.3
            self.events.append((number, event.payload))
        while self.runner.failed_triggers:
            number, error = self.runner.failed_triggers.popleft()
            self.failures[number] = error
        await self.runner.create_triggers()
        await self.runner.cancel_triggers()

    async def run(self, *, until: int, seconds: float = 10.0) -> None:
        """Run until so many triggers have fired or failed."""
        async with asyncio.timeout(seconds):
            while len(self.events) + len(self.failures) < until:
                await self.step()
                await asyncio.sleep(0.01)
            await self.step()

    async def stop(self) -> None:
        """Cancel what runs, as at the end of a triggerer."""
        tasks = [details["task"] for details in self.runner.triggers.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self.step()

    @property
    def running(self) -> list[int]:
        """The ids of the triggers that run."""
        return list(self.runner.triggers)


class AssetStates:
    """What answers a trigger's requests for what Airflow keeps for an asset.

    Attributes:
        values: What is kept, by the asset's name and the key.
        fault: When set, it is raised by every request.
        written: What was written, in order.
    """

    def __init__(self) -> None:
        if private.AssetStateStoreAccessors is None:
            pytest.skip("Airflow keeps nothing for an asset before 3.3")
        self.values: dict[tuple[str, str], Any] = {}
        self.fault: Exception | None = None
        self.written: list[Any] = []

    async def asend(self, request: Any) -> Any:
        """Answer as the supervisor of a triggerer does."""
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        place = request.name, request.key
        if isinstance(request, private.SetAssetStateStoreByName):
            self.values[place] = json.loads(json.dumps(request.value))
            self.written.append(request.value)
            return OKResponse(ok=True)
        assert isinstance(request, private.GetAssetStateStoreByName)
        if place in self.values:
            return private.AssetStateStoreResult(value=self.values[place])
        return ErrorResponse(error=ErrorType.ASSET_STORE_NOT_FOUND)

    def of(self, *assets: str) -> private.AssetStateStoreAccessors:
        """Return what a trigger is given that watches assets."""
        inlets = [Asset(name=name, uri=f"x-test://{name}") for name in assets]
        return private.AssetStateStoreAccessors(inlets=inlets)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Be the supervisor."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(task_runner, "SUPERVISOR_COMMS", self, raising=False)
            yield


def task_instance(task_id: str, kind: type[Any] = TaskInstance, *, try_number: int = 1) -> Any:
    """Return a try of a task, as Airflow's processes tell each other of it."""
    fields = {
        "id": uuid.uuid4(),
        "task_id": task_id,
        "dag_id": "shop",
        "run_id": "manual__1",
        "try_number": try_number,
        "map_index": -1,
        "dag_version_id": uuid.uuid4(),
    }
    if kind is TaskInstanceDTO:
        fields |= {"pool_slots": 1, "priority_weight": 1, "queue": "default"}
    return kind(**fields)


@dataclass
class Worker:
    """Runs real operators in this process, with an API that only notes what it is told.

    Attributes:
        deferred: What the last task said when it deferred: its trigger, timeout and method.
        xcoms: What tasks have pushed, by key.
    """

    deferred: dict[str, Any] | None = None
    next_method: str | None = None
    next_kwargs: dict[str, Any] | None = None
    told: list[dict[str, Any]] = field(default_factory=list)
    xcoms: dict[str, Any] = field(default_factory=dict)

    def run(self, operator: BaseOperator) -> TaskRunResult:
        """Run a task of a DAG until it ends or defers."""
        client = Client(base_url=None, dry_run=True, token="", transport=httpx.MockTransport(self._answer))
        return private.run_in_process(task_instance(operator.task_id), operator, client)

    def resume(self, operator: BaseOperator, event: Any) -> TaskRunResult:
        """Run a task that has deferred, now that its trigger has fired."""
        assert self.deferred is not None
        self.next_method = self.deferred["next_method"]
        self.next_kwargs = private.serialize({**_deserialized(self.deferred["next_kwargs"]), "event": event})
        return self.run(operator)

    def trigger(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments of the trigger that was deferred to."""
        assert self.deferred is not None
        return self.deferred["classpath"], _deserialized(self.deferred["trigger_kwargs"])

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path, body = request.url.path, json.loads(request.content or b"null")
        if path.endswith("/run"):
            return httpx.Response(200, json=self._context())
        if path.endswith("/state"):
            self.told.append(body)
            if body.get("state") == "deferred":
                self.deferred = body
        if "/xcoms/" in path and request.method == "POST":
            self.xcoms[path.rpartition("/")[2]] = body
        return httpx.Response(200, json={"ok": True})

    def _context(self) -> dict[str, Any]:
        moment = NOON.isoformat()
        run: dict[str, Any] = {
            "dag_id": "shop",
            "run_id": "manual__1",
            "logical_date": moment,
            "data_interval_start": moment,
            "data_interval_end": moment,
            "run_after": moment,
            "start_date": moment,
            "end_date": None,
            "run_type": "manual",
            "state": "running",
            "consumed_asset_events": [],
            "partition_key": None,
        }
        if "partition_key" not in DagRun.model_fields:  # new in 3.2
            del run["partition_key"]
        return {
            "dag_run": run,
            "max_tries": 0,
            "should_retry": False,
            "next_method": self.next_method,
            "next_kwargs": self.next_kwargs,
        }


def dag() -> DAG:
    """Return an empty DAG for the operators of a test."""
    return DAG("shop", schedule=None, start_date=NOON)


def fired(trigger: tuple[str, dict[str, Any]]) -> Any:
    """Run a trigger as the triggerer does, until it has fired."""

    async def run() -> Any:
        triggerer = Triggerer()
        triggerer.create(1, trigger)
        await triggerer.run(until=1)
        await triggerer.stop()
        assert triggerer.failures == {}
        [(_, event)] = triggerer.events
        return event

    return asyncio.run(run())


def revived(classpath: str, arguments: Mapping[str, Any]) -> BaseTrigger:
    """Return a trigger as a triggerer makes it from its row."""
    trigger: BaseTrigger = private.import_string(classpath)(**through_airflow(arguments))
    return trigger


def _deserialized(stored: Any) -> dict[str, Any]:
    arguments: Any = private.deserialize(stored)
    assert isinstance(arguments, dict)
    return arguments
