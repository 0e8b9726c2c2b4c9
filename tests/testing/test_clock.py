"""FakeClock: time that a test moves."""

import asyncio

import pytest

from fileflow_async.clock import Clock
from fileflow_async.testing.clock import FakeClock


async def test_time_stands_still_between_two_advances(clock: FakeClock) -> None:
    """Both clocks move by just what the test says."""
    as_clock: Clock = clock
    start, since = as_clock.time(), as_clock.monotonic()
    await clock.sleep(0)
    assert (clock.time(), clock.monotonic()) == (start, since)
    await clock.advance(2.5)
    assert (clock.time(), clock.monotonic()) == (start + 2.5, since + 2.5)


async def test_sleepers_wake_in_order_each_at_its_own_moment(clock: FakeClock) -> None:
    """Though one advance leaps over all of them, and some sleep again."""
    start, woken = clock.time(), list[tuple[str, float]]()

    async def sleep(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.time() - start))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleep("late", 5))
        group.create_task(sleep("twice", 1, 2))
        group.create_task(sleep("early", 1))
        await clock.advance(0.5)
        assert (woken, clock.sleepers) == ([], 3)
        await clock.advance(10)
        assert clock.sleepers == 0
    assert woken == [("twice", 1), ("early", 1), ("twice", 3), ("late", 5)]
    assert clock.time() == start + 10.5


async def test_a_sleeper_that_was_cancelled_is_forgotten(clock: FakeClock) -> None:
    """It neither wakes nor holds the clock up."""
    task = asyncio.create_task(clock.sleep(1))
    await clock.settle()
    assert clock.sleepers == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.sleepers == 0
    await clock.advance(2)
    assert clock.monotonic() == 2


async def test_sleeping_for_no_time_only_yields(clock: FakeClock) -> None:
    """Nobody has to advance the clock for it."""
    await clock.sleep(0)
    await clock.sleep(-1)
    assert clock.monotonic() == 0


async def test_a_timeout_follows_the_clock(clock: FakeClock) -> None:
    """It ends the block when the clock has moved so far, and no earlier."""

    async def wait() -> None:
        async with clock.timeout(5):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await clock.advance(4.9)
    assert not task.done()
    await clock.advance(0.2)
    with pytest.raises(TimeoutError):
        await task


async def test_a_timeout_that_was_not_needed_leaves_nothing(clock: FakeClock) -> None:
    """Nor does one that is for ever, and one of no seconds is over at once."""
    async with clock.timeout(5):
        await clock.sleep(0)
    async with clock.timeout(None) as limit:
        assert limit.when() is None
    assert clock.sleepers == 0
    await clock.advance(10)
    with pytest.raises(TimeoutError):
        async with clock.timeout(0):
            await asyncio.Event().wait()
