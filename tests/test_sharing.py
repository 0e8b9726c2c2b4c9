"""One of something for all in an event loop who ask for the same."""

import asyncio
import contextvars

import pytest

from fileflow_async.sharing import Shared
from tests.watching import others

said = contextvars.ContextVar[str]("said", default="nothing")


class Work:
    """What is shared: works until it is cancelled, and closes what it has open."""

    def __init__(self) -> None:
        self.heard = "not begun"
        self.closed = False

    async def run(self) -> None:
        self.heard = said.get()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            self.closed = True


@pytest.fixture
def shared() -> Shared[Work]:
    return Shared()


async def test_those_who_ask_for_the_same_share_it(shared: Shared[Work]) -> None:
    """Others have one of their own."""
    async with shared.join("a", Work) as first, shared.join("a", Work) as second:
        async with shared.join("b", Work) as other:
            assert first is second
            assert other is not first
            await asyncio.sleep(0)
        assert other.closed
        assert not first.closed


async def test_the_last_to_leave_ends_it_and_what_comes_then_is_new(shared: Shared[Work]) -> None:
    """Whoever has left finds it closed, and does not wait for ever: it never ends by itself."""
    try:
        async with asyncio.timeout(5):
            async with shared.join("a", Work) as one:
                async with shared.join("a", Work):
                    await asyncio.sleep(0)
                assert not one.closed
            assert one.closed
            assert others() == set()
            async with shared.join("a", Work) as another:
                assert another is not one
    finally:
        for task in others():
            task.cancel()


async def test_it_is_not_part_of_whoever_came_first(shared: Shared[Work]) -> None:
    """Neither when that one is cancelled, nor by what its log says of it."""
    begun = asyncio.Event()

    async def come_first() -> None:
        said.set("by who came first")
        async with shared.join("a", Work):
            begun.set()
            await asyncio.get_running_loop().create_future()

    first = asyncio.create_task(come_first())
    await begun.wait()
    async with shared.join("a", Work) as one:
        first.cancel()
        await asyncio.wait([first])
        assert one.heard == "nothing"
        assert not one.closed


def test_each_event_loop_has_its_own(shared: Shared[Work]) -> None:
    """What belongs to one that is closed would answer nobody."""

    async def join() -> Work:
        async with shared.join("a", Work) as one:
            return one

    assert asyncio.run(join()) is not asyncio.run(join())
