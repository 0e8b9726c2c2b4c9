"""Waits as a triggerer has them, in an event loop that is watched for standing still."""

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fileflow_async.clock import SystemClock
from fileflow_async.outcome import WaitEvent
from fileflow_async.triggers import FileTargetTrigger

RUN = "shop/20261120T000000Z"


@dataclass
class Stalls:
    """For how long, at most, nothing else ran in the loop.

    Attributes:
        seconds: The longest that its thread worked or was blocked; not that it waited for a processor.
    """

    seconds: float = 0.0
    _last: tuple[float, float] = field(default=(0.0, 0.0))

    async def watch(self, schedule: int) -> None:
        self._last = _now(schedule)
        while True:
            await asyncio.sleep(_TICK)
            now = _now(schedule)
            passed, queued = (new - old for new, old in zip(now, self._last, strict=True))
            self.seconds = max(self.seconds, passed - queued - _TICK)
            self._last = now


_TICK = 0.002


def _now(schedule: int) -> tuple[float, float]:
    """Return the time, and how much of it this thread has waited for a processor."""
    return time.monotonic(), int(os.pread(schedule, 100, 0).split()[1]) / 1e9


@asynccontextmanager
async def stalls() -> AsyncIterator[Stalls]:
    """Measure while the block lasts."""
    found, thread = Stalls(), threading.get_native_id()
    schedule = await asyncio.to_thread(os.open, f"/proc/self/task/{thread}/schedstat", os.O_RDONLY)
    watching = asyncio.create_task(found.watch(schedule))
    try:
        yield found
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        os.close(schedule)


def wait(root: str, *targets: str, **arguments: Any) -> "asyncio.Task[WaitEvent]":
    """Let a trigger wait for targets, by the machine's clock."""
    trigger = FileTargetTrigger(**{"root": root, "targets": list(targets), "poke_interval": 1.0, **arguments})
    return asyncio.create_task(trigger.wait(SystemClock()))


async def cancel(*tasks: "asyncio.Task[Any]") -> None:
    """End those that still wait."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def connection(endpoint: str, **extra: Any) -> str:
    """Return the `AIRFLOW_CONN_…` of an S3 server."""
    config = {"s3": {"addressing_style": "path"}, **extra.pop("config_kwargs", {})}
    facts: Mapping[str, Any] = {
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "config_kwargs": config,
        **extra,
    }
    return json.dumps(
        {
            "conn_type": "aws",
            "login": "AKIAPLANTED",
            "password": "secret-planted",
            "extra": json.dumps(facts),
        }
    )
