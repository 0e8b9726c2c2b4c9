"""The machine's own clock."""

import asyncio
import time

import pytest

from fileflow_async.clock import Clock, SystemClock


def test_it_is_the_machines() -> None:
    """Wall time and the time that only grows."""
    clock: Clock = SystemClock()
    assert abs(clock.time() - time.time()) < 1
    assert abs(clock.monotonic() - time.monotonic()) < 1


async def test_sleeping_yields_to_the_loop() -> None:
    """Even for no time at all: every path of a loop sleeps, yields or raises."""
    clock, turns = SystemClock(), 0

    async def count() -> None:
        nonlocal turns
        turns += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(count())
        await clock.sleep(0)
        assert turns == 1


async def test_a_timeout_ends_what_takes_longer() -> None:
    """None is for ever."""
    clock = SystemClock()
    with pytest.raises(TimeoutError):
        async with clock.timeout(0):
            await asyncio.Event().wait()
    async with clock.timeout(None):
        await clock.sleep(0)
