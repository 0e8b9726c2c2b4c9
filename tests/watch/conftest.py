"""What the tests of the watch share."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fileflow_async.testing.clock import FakeClock
from tests.watching import FakeSource, Waiters, others


@pytest.fixture
def source() -> FakeSource:
    """A store in which nothing is."""
    return FakeSource()


@pytest_asyncio.fixture
async def waiters(source: FakeSource, clock: FakeClock) -> AsyncIterator[Waiters]:
    """Those who wait for its targets; when they have left, nothing is left."""
    waiters = Waiters(source, clock)
    yield waiters
    await waiters.stop()
    assert others() == set()
    assert source.opened == source.closed
