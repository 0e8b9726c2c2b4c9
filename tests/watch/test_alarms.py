"""Alarms call at their moments, from one task for all of them."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from fileflow_async.testing.clock import FakeClock
from fileflow_async.watch.alarms import Alarms


@pytest_asyncio.fixture
async def alarms(clock: FakeClock) -> AsyncIterator[Alarms]:
    """Alarms that are at work."""
    alarms = Alarms(clock.monotonic, clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(alarms.run())
        yield alarms
        running.cancel()


async def test_each_calls_at_its_moment(alarms: Alarms, clock: FakeClock) -> None:
    """Whatever order they were set in."""
    called: list[float] = []
    for moment in (5.0, 1.0, 3.0, 1.0, -2.0):
        alarms.at(moment, lambda moment=moment: called.append(moment - clock.monotonic()))  # type: ignore[misc]
    await clock.advance(10.0)
    assert called == [-2.0, 0.0, 0.0, 0.0, 0.0]
    assert len(alarms) == 0


async def test_one_that_is_set_later_for_earlier_calls_first(alarms: Alarms, clock: FakeClock) -> None:
    """The task sleeps for the first one by then."""
    called: list[int] = []
    alarms.at(100.0, lambda: called.append(100))
    await clock.advance(1.0)
    alarms.at(2.0, lambda: called.append(2))
    await clock.advance(1.0)
    assert called == [2]


async def test_one_that_is_cancelled_does_not_call(alarms: Alarms, clock: FakeClock) -> None:
    """Cancelling twice, or after it has called, is nothing."""
    called: list[int] = []
    alarm = alarms.at(1.0, lambda: called.append(1))
    other = alarms.at(1.0, lambda: called.append(2))
    alarm.cancel()
    alarm.cancel()
    await clock.advance(2.0)
    other.cancel()
    assert called == [2]
    assert len(alarms) == 0


async def test_those_that_are_cancelled_are_thrown_out(alarms: Alarms, clock: FakeClock) -> None:
    """Waits with a deadline in a week come and go by the hundred thousand."""
    alarms.at(1_000_000.0, lambda: None)
    for _ in range(10_000):
        alarms.at(700_000.0, lambda: None).cancel()
        assert len(alarms) <= 200
    called: list[int] = []
    alarms.at(5.0, lambda: called.append(5))
    await clock.advance(6.0)
    assert called == [5]


async def test_those_that_are_left_call_in_order(alarms: Alarms, clock: FakeClock) -> None:
    """Whichever were cancelled and thrown out; and what was thrown out is not counted twice."""
    rung: list[int] = []
    moments = [(number * 7919) % 1000 for number in range(1000)]
    wanted = [alarms.at(float(moment), partial(rung.append, moment)) for moment in moments]
    for moment, alarm in zip(moments, wanted, strict=True):
        if moment % 3:
            alarm.cancel()
    await clock.advance(1000.0)
    assert rung == list(range(0, 1000, 3))
    assert (len(alarms), alarms._cancelled) == (0, 0)


@pytest.mark.parametrize("longest", [None, 30.0])
async def test_it_sleeps_until_the_next_one(clock: FakeClock, longest: float | None) -> None:
    """Or as long as it may."""
    asked = 0

    def now() -> float:
        nonlocal asked
        asked += 1
        return clock.monotonic()

    alarms = Alarms(now, clock, longest=longest)
    alarms.at(3600.0, lambda: None)
    running = asyncio.create_task(alarms.run())
    await clock.advance(3000.0)
    assert asked == 2 if longest is None else 100 <= asked / 2 <= 102
    running.cancel()
    await asyncio.wait([running])
