"""The way between an event loop and the thread that works for it."""

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncIterator

import pytest

from fileflow_async.formats.channel import AbandonedError, Channel, working

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


async def numbers(count: int, taken: list[int] | None = None) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(0)
        if taken is not None:
            taken.append(number)
        yield number


async def gone(name: str) -> None:
    deadline = time.monotonic() + 10
    while any(thread.name.startswith(f"fileflow-{name}") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_what_goes_in_comes_out() -> None:
    """In order, and the result after it."""

    def work(channel: Channel[str]) -> str:
        for item in channel.items():
            channel.give(item * 2)
        return "done"

    async with working("double", work, numbers(50)) as channel:
        assert [item async for item in channel] == [2 * number for number in range(50)]
        assert await channel.result() == "done"
        assert await channel.result() == "done"
    await gone("double")


async def test_output_that_nobody_takes_stops_the_thread() -> None:
    """After two pieces, so that memory is bounded."""
    given: list[int] = []

    def work(channel: Channel[None]) -> None:
        for number in range(100):
            channel.give(number)
            given.append(number)

    async with working("ahead", work) as channel:
        for taken in (1, 2):
            async with asyncio.timeout(10):
                while len(given) <= taken:
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            assert given == list(range(taken + 1))
            assert await anext(channel) == taken - 1
    await gone("ahead")


async def test_input_that_the_thread_does_not_take_is_not_drawn() -> None:
    """No more than two pieces, so that memory is bounded."""
    drawn: list[int] = []
    go = threading.Event()

    def work(channel: Channel[list[int]]) -> list[int]:
        go.wait(10)
        return list(channel.items())

    async with working("slow", work, numbers(100, drawn)) as channel:
        result = asyncio.ensure_future(channel.result())
        await asyncio.sleep(0.1)
        assert drawn == [0, 1]
        go.set()
        assert await result == list(range(100))


async def test_an_error_of_the_thread_is_raised_as_itself() -> None:
    """Behind the output that came before it; also one that is no Exception."""
    for error in (KeyError("x"), SystemExit(3)):

        def work(channel: Channel[None], error: BaseException = error) -> None:
            channel.give(1)
            raise error

        async with working("fail", work) as channel:
            assert await anext(channel) == 1
            with pytest.raises(type(error)) as caught:
                await anext(channel)
            assert caught.value is error


async def test_an_error_of_the_input_ends_the_thread() -> None:
    """It waits for an input that never comes."""
    ended: list[BaseException] = []

    async def failing() -> AsyncIterator[int]:
        yield 1
        raise LookupError("lost")

    def work(channel: Channel[None]) -> None:
        try:
            list(channel.items())
        except BaseException as error:
            ended.append(error)
            raise

    with pytest.raises(LookupError, match="lost"):
        async with working("input", work, failing()) as channel:
            await channel.result()
    await gone("input")
    assert [type(error) for error in ended] == [AbandonedError]


async def test_a_block_that_is_left_early_ends_the_thread_at_its_next_step() -> None:
    """Whether it takes or gives."""

    def give(channel: Channel[None]) -> None:
        while True:
            channel.give(1)

    def take(channel: Channel[None]) -> None:
        for _ in channel.items():
            pass

    async def never() -> AsyncIterator[int]:
        await asyncio.Event().wait()
        yield 1

    for work, inputs in ((give, None), (take, never())):
        async with working("early", work, inputs):
            await asyncio.sleep(0.01)
        await gone("early")


async def test_what_was_drawn_ahead_is_not_worked_on_for_nobody() -> None:
    """The next step is the last, though there is more to take."""
    taken: list[int] = []
    drawn: list[int] = []
    go = threading.Event()

    def work(channel: Channel[None]) -> None:
        for item in channel.items():
            taken.append(item)
            go.wait(10)

    async with working("left", work, numbers(100, drawn)) as channel:
        result = asyncio.ensure_future(channel.result())
        async with asyncio.timeout(10):
            while len(drawn) < 3:
                await asyncio.sleep(0.005)
        result.cancel()
    go.set()
    await gone("left")
    assert taken == [0]


async def test_the_rest_of_the_input_can_be_drawn() -> None:
    """What checks a stream does so at its end."""
    drawn: list[int] = []

    def work(channel: Channel[int]) -> int:
        return int(next(channel.items()))

    async with working("drain", work, numbers(20, drawn)) as channel:
        assert await channel.result() == 0
        await channel.drain()
        assert drawn == list(range(20))
        await channel.drain()
    async with working("drain", lambda channel: 1) as channel:
        await channel.drain()


async def test_the_thread_has_the_callers_context() -> None:
    """As a call would."""
    VARIABLE.set("set")
    async with working("context", lambda channel: VARIABLE.get()) as channel:
        assert await channel.result() == "set"


def test_a_thread_outlives_its_loop_in_silence() -> None:
    """A call of a library that takes longer than its caller lives ends with nobody to tell."""
    go, ended = threading.Event(), threading.Event()

    def work(channel: Channel[None]) -> None:
        go.wait(10)
        try:
            channel.tell(int)
        except AbandonedError:
            ended.set()
            raise

    async def main() -> None:
        async with working("late", work):
            await asyncio.sleep(0)

    asyncio.run(main())
    go.set()
    assert ended.wait(10)


async def test_a_result_can_be_had_without_the_output() -> None:
    """Which is then lost."""

    def work(channel: Channel[str]) -> str:
        for number in range(10):
            channel.give(number)
        return "done"

    async with working("lost", work) as channel:
        assert await channel.result() == "done"
