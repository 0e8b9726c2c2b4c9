"""Following the feed: nobody is overlooked, whatever the clocks say, and it costs one LIST."""

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from fileflow_async.clock import SystemClock
from fileflow_async.errors import ConfigError, StorageUnavailableError
from fileflow_async.storage.protocol import Entry
from fileflow_async.storage.retry import BRIEF, Budget
from fileflow_async.storage.s3_page import Page
from fileflow_async.storage.s3_place import Place
from fileflow_async.storage.s3_tail import PAGES, S3Tail
from fileflow_async.target import token_at

START = 1_790_000_000.0
FEED = "ff/.feed/"


class Feed:
    """A feed, and the store's clock: the `Requests` of a tail."""

    clock = SystemClock()

    def __init__(self) -> None:
        self.now = START
        self.keys: set[str] = set()
        self.asked: list[dict[str, Any]] = []
        self.budgets: list[Budget] = []
        self.error: Exception | None = None
        self.ordered = True
        self.page = 1000

    def with_budget(self, budget: Budget) -> "Feed":
        self.budgets.append(budget)
        return self

    def add(self, *, ahead: float = 0.0, number: int = 0) -> str:
        moment = self.now + ahead
        name = f"{token_at(int(moment * 1000))}-{number:024x}"
        self.keys.add(f"{FEED}{datetime.fromtimestamp(moment, UTC):%Y%m%dT%H%M}/{name}")
        return name

    async def call(
        self, action: object, uri: str, operation: str, *, needs: str, **asked: Any
    ) -> dict[str, Any]:
        self.asked.append(asked)
        if self.error:
            raise self.error
        after, prefix = asked.get("StartAfter", ""), asked["Prefix"]
        keys = sorted(key for key in self.keys if key.startswith(prefix) and key > after)
        size = min(asked["MaxKeys"], self.page)
        entries = [Entry(key, 0, self.now) for key in keys[:size]]
        date = format_datetime(datetime.fromtimestamp(int(self.now), UTC), usegmt=True)
        page = Page(entries, len(keys) > size, None, self.ordered)
        return {"Page": page, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}

    def tail(self) -> S3Tail:
        return S3Tail(self, Place("lake", "ff"), ".feed/")  # type: ignore[arg-type]


@pytest.fixture
def feed() -> Feed:
    return Feed()


async def test_each_name_comes_once(feed: Feed) -> None:
    """Although it is listed again and again while it is near."""
    tail = feed.tail()
    found: list[str] = []
    put = []
    for number in range(200):
        put.append(feed.add(number=number))
        found += await tail.names()
        feed.now += 1.0
    assert found == put


async def test_a_call_is_one_list(feed: Feed) -> None:
    """But for the first, which must learn the store's time."""
    tail = feed.tail()
    await tail.names()
    assert [asked["MaxKeys"] for asked in feed.asked] == [1, 1000]
    for _ in range(100):
        feed.now += 5
        await tail.names()
    assert len(feed.asked) == 102
    assert feed.budgets == [BRIEF]


async def test_a_list_begins_at_the_date_of_the_one_before(feed: Feed) -> None:
    """Less 15 s, and once a minute less two minutes."""
    tail = feed.tail()
    await tail.names()
    starts = []
    for _ in range(30):
        date, feed.now = feed.now, feed.now + 5
        await tail.names()
        minute, _, token = feed.asked[-1]["StartAfter"].removeprefix(FEED).partition("/")
        assert token.startswith(minute)
        moment = datetime.strptime(token, "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC).timestamp()
        starts.append(date - moment)
    assert starts == [15.0] * 12 + [120.0] + [15.0] * 11 + [120.0] + [15.0] * 5


async def test_a_fast_writer_hides_nobody(feed: Feed) -> None:
    """One whose clock is an hour ahead; a cursor at the newest name would lose 20 of 20."""
    tail = feed.tail()
    await tail.names()
    fast = feed.add(ahead=3600)
    assert await tail.names() == [fast]
    for number in range(20):
        feed.now += 5
        name = feed.add(number=number)
        assert await tail.names() == [name]


async def test_the_first_call_goes_by_the_stores_clock(feed: Feed) -> None:
    """Ours may be years ahead, as here, or behind."""
    old, new = feed.add(ahead=-130), feed.add(ahead=-110)
    names = await feed.tail().names()
    assert new in names
    assert old not in names


@pytest.mark.parametrize(("late", "seconds"), [(5, 5), (9, 5), (40, 65), (55, 65)])
async def test_a_late_name_is_found(feed: Feed, late: float, seconds: float) -> None:
    """Within 15 s of its time by the next call, within two minutes of it by the next minute."""
    tail = feed.tail()
    for _ in range(40):
        feed.now += 5
        await tail.names()
    name = feed.add(ahead=-late)
    found: list[str] = []
    for _ in range(int(seconds // 5)):
        feed.now += 5
        found += await tail.names()
    assert found == [name]


async def test_what_is_remembered_is_bounded(feed: Feed) -> None:
    """By what two or three minutes hold, and by what lies in the future."""
    tail = feed.tail()
    future = [feed.add(ahead=3600, number=number) for number in range(3)]
    for number in range(1000):
        feed.add(number=number)
        feed.now += 1
        await tail.names()
        feed.keys = {
            key
            for key in feed.keys
            if key > FEED + f"{datetime.fromtimestamp(feed.now - 200, UTC):%Y%m%dT%H%M}"
        }
    assert len(tail._seen) <= 60 + 120 + len(future) + 1


async def test_nothing_is_lost_when_a_list_fails_midway(feed: Feed) -> None:
    """What was read before is returned by the next call."""
    feed.page = 2
    tail = feed.tail()
    put = [feed.add(ahead=number / 100, number=number) for number in range(5)]
    await tail.names()
    put += [feed.add(ahead=1 + number / 100, number=number) for number in range(5)]
    real, calls = feed.call, 0

    async def call(*args: Any, **asked: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise StorageUnavailableError("planted")
        return await real(*args, **asked)

    feed.call = call  # type: ignore[method-assign]
    with pytest.raises(StorageUnavailableError):
        await tail.names()
    assert await tail.names() == put[5:]


async def test_what_comes_while_it_reads_is_found(feed: Feed) -> None:
    """Behind the page that it is at: what counts is when the first page was answered, not the last."""
    tail = feed.tail()
    await tail.names()
    feed.page = 2
    put = [feed.add(ahead=number / 100, number=number) for number in range(6)]
    real, late = feed.call, ""

    async def call(*args: Any, **asked: Any) -> dict[str, Any]:
        nonlocal late
        answer = await real(*args, **asked)
        late = late or feed.add(ahead=-5)
        feed.now += 18
        return answer

    feed.call = call  # type: ignore[method-assign]
    assert await tail.names() == put
    assert await tail.names() == [late]


async def test_a_flood_makes_blind_but_loses_nothing(feed: Feed, logged: list[str]) -> None:
    """After 50 pages it stops; the next calls go on from there, and then hand over all."""
    feed.page = 3
    tail = feed.tail()
    await tail.names()
    put = [feed.add(ahead=number / 1000, number=number) for number in range(3 * PAGES * 2 + 5)]
    for _ in range(2):
        feed.now += 5
        with pytest.raises(
            StorageUnavailableError, match=r"s3://lake/ff/\.feed/ has more than 50 pages of new names"
        ):
            await tail.names()
    late = feed.add(ahead=-11, number=1)  # behind where the list goes on, and near when it began
    names = await tail.names()
    assert names == put
    feed.now += 1
    feed.page = 1000  # what is near is read once more
    assert await tail.names() == [late]
    assert logged == ["WARNING there are more than 50 pages of new names below s3://lake/ff/.feed/"] * 2


async def test_errors_come_out(feed: Feed) -> None:
    """Whoever follows must know that it is blind."""
    tail = feed.tail()
    feed.error = StorageUnavailableError("planted")
    for _ in range(2):
        with pytest.raises(StorageUnavailableError, match="planted"):
            await tail.names()
    feed.error = None
    feed.ordered = False
    with pytest.raises(ConfigError, match="out of order"):
        await tail.names()


async def test_changed_never_returns(feed: Feed) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await feed.tail().changed()
