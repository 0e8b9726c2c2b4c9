"""An inbox wakes its waiter for news, and only for news."""

import asyncio

from fileflow_async.errors import StorageUnavailableError, TargetAccessError
from fileflow_async.status import State, unreadable
from fileflow_async.testing.clock import FakeClock
from fileflow_async.watch import Inbox
from tests.watching import KEY, absent, complete, in_state


async def test_news_that_came_before_anybody_asked_is_not_lost() -> None:
    """Nor is it told twice."""
    inbox = Inbox()
    inbox.put("a", absent(KEY))
    inbox.put("b", complete(KEY))
    assert set(await inbox.changed()) == {"a", "b"}
    again = asyncio.create_task(_changed(inbox))
    await asyncio.sleep(0)
    assert not again.done()
    inbox.ring()
    inbox.ring()
    await again


async def test_what_is_known_already_wakes_nobody(clock: FakeClock) -> None:
    """A recheck of 10,000 targets would wake 10,000 waiters."""
    inbox = Inbox()
    inbox.put("a", absent(KEY))
    await inbox.changed()
    waiting = asyncio.create_task(_changed(inbox))
    inbox.put("a", absent(KEY))
    await clock.settle()
    assert not waiting.done()
    inbox.put("a", in_state(KEY, State.IN_PROGRESS))
    await waiting


async def test_every_refusal_is_news(clock: FakeClock) -> None:
    """It is believed when it was seen several times, and whoever waits does the counting."""
    inbox = Inbox()
    error = TargetAccessError("no")
    for _ in range(3):
        inbox.put("a", unreadable(KEY, error))
        before = inbox.statuses["a"]
        await inbox.changed()
        inbox.put("a", unreadable(KEY, error))
        assert inbox.statuses["a"] is not before
        await inbox.changed()


async def test_an_outage_that_goes_on_is_no_news(clock: FakeClock) -> None:
    """Until it says something else, or is over."""
    inbox = Inbox()
    inbox.put("a", unreadable(KEY, StorageUnavailableError("503")))
    await inbox.changed()
    waiting = asyncio.create_task(_changed(inbox))
    inbox.put("a", unreadable(KEY, StorageUnavailableError("503")))
    await clock.settle()
    assert not waiting.done()
    inbox.put("a", unreadable(KEY, StorageUnavailableError("500")))
    await waiting
    inbox.put("a", absent(KEY))
    await inbox.changed()


async def test_a_waiter_that_is_cancelled_leaves_the_inbox_as_it_was() -> None:
    """The next one gets the news."""
    inbox = Inbox()
    waiting = asyncio.create_task(_changed(inbox))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    inbox.put("a", absent(KEY))
    assert "a" in await inbox.changed()


async def test_a_ring_while_a_waiter_is_being_cancelled_breaks_nothing() -> None:
    """Its future is done by then."""
    inbox = Inbox()
    waiting = asyncio.create_task(_changed(inbox))
    await asyncio.sleep(0)
    waiting.cancel()
    inbox.ring()
    await asyncio.wait([waiting])
    await inbox.changed()


async def _changed(inbox: Inbox) -> None:
    await inbox.changed()
