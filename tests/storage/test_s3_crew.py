"""Tasks that never outlive their block, and work that is not lost by a cancellation."""

import asyncio
from contextlib import suppress

import pytest

from fileflow_async.storage.crew import crew, sheltered


async def answer(value: int, *, after: float = 0.0) -> int:
    await asyncio.sleep(after)
    return value


async def fail() -> int:
    raise ZeroDivisionError


async def test_each_result_goes_to_who_asks() -> None:
    async with crew() as workers:
        jobs = [workers.start(answer, number, after=0.01) for number in range(3)]
        assert [await job.result() for job in jobs] == [0, 1, 2]


async def test_an_error_comes_out_where_its_result_is_asked_for() -> None:
    """As itself, not in a group; the others go on."""
    async with crew() as workers:
        failing, other = workers.start(fail), workers.start(answer, 1, after=0.01)
        with pytest.raises(ZeroDivisionError):
            await failing.result()
        assert await other.result() == 1


async def test_an_error_that_nobody_asks_for_is_nobodys() -> None:
    async with crew() as workers:
        workers.start(fail)
        await asyncio.sleep(0.01)


async def test_what_is_under_way_ends_with_the_block() -> None:
    """And what never began is no coroutine that was never awaited."""
    before = asyncio.all_tasks()
    async with crew() as workers:
        workers.start(answer, 1, after=1000)
        await asyncio.sleep(0)
        workers.start(answer, 2, after=1000)
    assert asyncio.all_tasks() == before


async def test_the_blocks_own_error_is_not_wrapped() -> None:
    before = asyncio.all_tasks()
    with pytest.raises(KeyError, match="mine"):  # noqa: PT012
        async with crew() as workers:
            workers.start(answer, 1, after=1000)
            raise KeyError("mine")
    assert asyncio.all_tasks() == before


async def test_a_cancelled_block_takes_its_tasks_with_it() -> None:
    async def block() -> None:
        async with crew() as workers:
            await workers.start(answer, 1, after=1000).result()

    before = asyncio.all_tasks()
    task = asyncio.create_task(block())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before


async def test_sheltered_work_returns_and_raises() -> None:
    assert await sheltered(answer(1), seconds=1) == 1
    with pytest.raises(ZeroDivisionError):
        await sheltered(fail(), seconds=1)


@pytest.mark.parametrize("times", [1, 3])
async def test_sheltered_work_ends_before_its_cancelled_caller(times: int) -> None:
    """However often it is cancelled; then the cancellation goes on."""
    done = []

    async def work() -> None:
        await asyncio.sleep(0.05)
        done.append(1)

    task = asyncio.create_task(sheltered(work(), seconds=10))
    await asyncio.sleep(0.01)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [1]


async def test_sheltered_work_that_fails_is_no_concern_of_a_cancelled_caller() -> None:
    async def work() -> None:
        await asyncio.sleep(0.02)
        raise ZeroDivisionError

    task = asyncio.create_task(sheltered(work(), seconds=10))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_sheltered_work_has_its_last_call() -> None:
    """What does not end is cancelled itself."""
    task = asyncio.create_task(sheltered(answer(1, after=1000), seconds=0.02))
    await asyncio.sleep(0.01)
    task.cancel()
    async with asyncio.timeout(5):
        with suppress(asyncio.CancelledError):
            await task
    assert task.cancelled()
