"""What threads have done comes to who waits for it on the loop."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from fileflow_async.storage.landing import Landing


@pytest.fixture
async def landing() -> Landing:
    """That of the test's loop."""
    return Landing(asyncio.get_running_loop())


async def test_results_and_errors_come(landing: Landing) -> None:
    """Also of a call that had ended before anybody asked."""
    for ended_before in (False, True):
        good, bad = Future[int](), Future[int]()
        waiters = [] if ended_before else [landing.waiter(good), landing.waiter(bad)]
        good.set_result(1)
        bad.set_exception(ZeroDivisionError("theirs"))
        waiters = waiters or [landing.waiter(good), landing.waiter(bad)]
        assert await waiters[0] == 1
        with pytest.raises(ZeroDivisionError, match="theirs"):
            await waiters[1]


async def test_the_loop_is_woken_once_for_all_that_lands_before_it_looks(
    landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again for what comes later."""
    loop, woken = asyncio.get_running_loop(), list[object]()
    wake = loop.call_soon_threadsafe

    def note(*arguments: object) -> asyncio.Handle:
        woken.append(arguments)
        return wake(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_soon_threadsafe", note)
    for turn in (1, 2):
        calls = [Future[int]() for _ in range(3)]
        waiters = [landing.waiter(call) for call in calls]
        for number, call in enumerate(calls):
            call.set_result(number)
        assert [await waiter for waiter in waiters] == [0, 1, 2]
        assert len(woken) == turn


async def test_nothing_that_lands_is_left_lying(landing: Landing) -> None:
    """Whenever it comes: while the loop sleeps, wakes up, or hands the one before over."""
    pool = ThreadPoolExecutor(8)

    async def ask(number: int) -> None:
        assert await landing.waiter(pool.submit(abs, -number)) == number

    async with asyncio.timeout(30):
        for _ in range(200):
            await asyncio.gather(*(ask(number) for number in range(20)))
    pool.shutdown(wait=False)


async def test_a_call_that_was_cancelled_cancels_who_waits(landing: Landing) -> None:
    """There will be no result."""
    call = Future[int]()
    waiter = landing.waiter(call)
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter


async def test_what_lands_for_nobody_is_dropped(landing: Landing) -> None:
    """Who waited has gone, or was told something else; the others get theirs."""
    calls = [Future[int]() for _ in range(3)]
    waiters = [landing.waiter(call) for call in calls]
    waiters[0].cancel()
    waiters[1].set_result(7)
    for number, call in enumerate(calls):
        call.set_result(number)
    assert await waiters[2] == 2
    assert waiters[0].cancelled()
    assert await waiters[1] == 7


def test_what_lands_after_the_loop_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """A disk may answer late, which is nothing for a log."""

    async def ask() -> "Future[int]":
        call = Future[int]()
        Landing(asyncio.get_running_loop()).waiter(call)
        return call

    call = asyncio.run(ask())
    call.set_result(1)
    assert caplog.messages == []
