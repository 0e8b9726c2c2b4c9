"""The ways in which a sensor waits, and its task from its beginning to its end in each of them."""

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from airflow.sdk import BaseOperator, Context

from fileflow_async._compat import AirflowRescheduleException

MODES: Mapping[str, Mapping[str, Any]] = {
    "deferred": {"deferrable": True},
    "in a slot": {"deferrable": False},
    "rescheduled": {"deferrable": False, "mode": "reschedule"},
}
modes = pytest.mark.parametrize("mode", MODES)


def event_of(deferred: TaskDeferred) -> Any:
    """Run the trigger of a deferral as the triggerer does: from what is stored."""
    path, arguments = deferred.trigger.serialize()
    module, _, name = path.rpartition(".")
    assert path.startswith("fileflow_async.triggers.")
    trigger = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))

    async def first_event() -> Any:
        return await anext(trigger.run())

    return json.loads(json.dumps(asyncio.run(first_event()).payload))


def resumed(waiter: BaseOperator, context: Context, event: Any) -> Any:
    """Resume a task with an event."""
    return waiter.resume_execution("execute_complete", {"event": event}, context)


def carried_out(
    waiter: BaseOperator, context: Context, meanwhile: Callable[[], object] = lambda: None
) -> Any:
    """Run a task to its end, through all the ways in which it leaves its worker."""
    step = partial(waiter.execute, context)
    while True:
        try:
            return step()
        except TaskDeferred as deferred:
            meanwhile()
            event = {"event": event_of(deferred)}
            step = partial(waiter.resume_execution, deferred.method_name, event, context)
        except AirflowRescheduleException:
            meanwhile()


def deferral(waiter: BaseOperator, context: Context) -> TaskDeferred:
    """Run a task until it leaves its worker to wait."""
    with pytest.raises(TaskDeferred) as caught:
        waiter.execute(context)
    return caught.value
