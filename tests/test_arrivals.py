"""One look at a place for all who wait there."""

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, TypeVar

import pytest

from fileflow_async.arrival import Arrival
from fileflow_async.arrival_rules import Rules
from fileflow_async.arrivals import Lookout, Waiter
from fileflow_async.arrived import Arrived
from fileflow_async.errors import StorageUnavailableError, TargetAccessError
from fileflow_async.outcome import Outcome
from fileflow_async.storage.outside import Answer, Look, Outside, Seen
from fileflow_async.storage.search import Search
from fileflow_async.testing.clock import FakeClock

T = TypeVar("T")

DONE_FILE = "{name}.done"


class Place:
    """A place in memory that notes what it was asked for."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.files: dict[str, Seen] = {}
        self.asked: list[tuple[float, list[str]]] = []
        self.opened = self.closed = 0
        self.fault: Exception | None = None
        self.opening_fault: Exception | None = None
        self.answering = asyncio.Event()
        self.answering.set()
        self.opening = asyncio.Event()
        self.opening.set()
        self.contexts: list[contextvars.Context] = []

    def put(self, name: str, **more: Any) -> None:
        known: dict[str, Any] = {
            "size": 5,
            "modified": self.clock.time() - 100.0,
            "etag": "e",
            "done": self.clock.time(),
        }
        self.files[name] = Seen(path=name, **(known | more))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Outside]:
        self.contexts.append(contextvars.copy_context())
        if self.opening_fault is not None:
            raise self.opening_fault
        self.opened += 1
        await self.opening.wait()
        try:
            yield self
        finally:
            for _ in range(5):
                await asyncio.sleep(0)  # connections are closed one after another
            self.closed += 1

    async def look(self, searches: Collection[Search], then: Callable[[Mapping[Search, Answer]], T]) -> T:
        self.asked.append((self.clock.monotonic(), sorted(search.asked for search in searches)))
        await self.answering.wait()
        if self.fault is not None:
            raise self.fault
        return then({search: self._found(search) for search in searches})

    def _found(self, search: Search) -> Look:
        seen = [each for name, each in self.files.items() if search.pattern.matches(name)]
        return Look(seen=seen, now=self.clock.time())


@pytest.fixture
async def place(clock: FakeClock) -> Place:
    return Place(clock)


def waiter(
    clock: FakeClock, text: str = "*", *, every: float = 5.0, first: float = 0.0, **rules: Any
) -> Waiter:
    search = Search.of(pattern=f"/in/{text}", done_file=DONE_FILE)
    return Waiter(Arrival(search, Rules(**rules)), lambda: every, due=clock.monotonic() + first)


async def wait(place: Place, text: str = "*", **more: Any) -> Arrived:
    """Wait until something has arrived, whatever the news in between."""
    async with Lookout.join("place", place.open, clock=place.clock) as lookout:
        waiting = waiter(place.clock, text, **more)
        while (event := await lookout.news(waiting)) is None:
            pass
        return event


async def ended(task: "asyncio.Task[Arrived]") -> Arrived:
    assert task.done()
    return await task


async def test_a_look_when_it_is_due(place: Place) -> None:
    """The first after the spread, the others an interval and a little apart."""
    task = asyncio.create_task(wait(place, every=5.0, first=2.0))
    await place.clock.advance(1.9)
    assert place.asked == []
    await place.clock.advance(30.0)
    times = [at for at, _ in place.asked]
    assert times[0] == 2.0
    gaps = [after - before for before, after in pairwise(times)]
    assert all(5.0 <= gap <= 5.5 for gap in gaps)
    assert len(set(gaps)) > 1
    place.put("a.csv")
    await place.clock.advance(6.0)
    assert (await ended(task)).outcome is Outcome.READY


async def test_all_waiters_of_a_place_share_a_look(place: Place) -> None:
    """A hundred of them cost what one costs; each has its own answer."""
    tasks = [asyncio.create_task(wait(place, f"{n:02}.csv")) for n in range(100)]
    await place.clock.advance(20.0)
    assert len(place.asked) in (4, 5)
    assert {len(searches) for _, searches in place.asked} == {100}
    place.put("42.csv")
    await place.clock.advance(6.0)
    assert [n for n, task in enumerate(tasks) if task.done()] == [42]
    assert (await ended(tasks[42])).ready[0].uri == "file:///in/42.csv"
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert (place.opened, place.closed) == (1, 1)


async def test_equal_searches_are_asked_for_once(place: Place) -> None:
    """Ten tasks that wait for the same files."""
    tasks = [asyncio.create_task(wait(place)) for _ in range(10)]
    await place.clock.advance(1.0)
    assert place.asked[0][1] == ["/in/*"]
    place.put("a.csv")
    await place.clock.advance(6.0)
    assert {(await ended(task)).outcome for task in tasks} == {Outcome.READY}


async def test_the_least_interval_counts(place: Place) -> None:
    """Who asks seldom learns of it all the same, at no cost."""
    seldom = asyncio.create_task(wait(place, every=600.0, first=600.0))
    await place.clock.advance(1.0)
    assert place.asked == []
    often = asyncio.create_task(wait(place, "x*", every=5.0))
    await place.clock.advance(20.0)
    assert len(place.asked) >= 4
    place.put("a.csv")
    await place.clock.advance(6.0)
    assert (await ended(seldom)).outcome is Outcome.READY
    often.cancel()
    await asyncio.wait((often,))


async def test_a_storm_of_arrivals_is_not_a_storm_of_looks(place: Place) -> None:
    """300 a second are two looks a second."""
    tasks = []
    for n in range(300):
        tasks.append(asyncio.create_task(wait(place, f"{n}.csv", every=60.0)))
        await place.clock.advance(1 / 300)
    assert len(place.asked) <= 3
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_a_slow_look_is_not_repeated_at_once(place: Place) -> None:
    """A disk that takes ten seconds has ten seconds of rest."""
    place.answering.clear()
    task = asyncio.create_task(wait(place, every=1.0))
    await place.clock.advance(10.0)
    place.answering.set()
    await place.clock.advance(9.9)
    assert len(place.asked) == 1
    await place.clock.advance(0.2)
    assert len(place.asked) == 2
    task.cancel()
    await asyncio.wait((task,))


async def test_nobody_wakes_up_for_nothing(place: Place) -> None:
    """10,000 waiters that look every five seconds would be 2,000 a second."""
    async with Lookout.join("place", place.open, clock=place.clock) as lookout:
        waiting = waiter(place.clock)
        assert await lookout.news(waiting) is None  # the first look is news
        again = asyncio.create_task(lookout.news(waiting))
        await place.clock.advance(60.0)
        assert not again.done()
        assert lookout.looks > 10
        place.put("a.csv", done=None)
        await place.clock.advance(6.0)
        assert await again is None
        assert "a.csv" in waiting.text


async def test_the_first_look_is_news_to_who_has_just_come(place: Place) -> None:
    """Although it shows what one before has shown to others: so the deadline has its look soon."""
    async with Lookout.join("place", place.open, clock=place.clock) as lookout:
        arrival = waiter(place.clock).arrival
        for _ in range(2):
            late = Waiter(arrival, lambda: 5.0, due=place.clock.monotonic())
            task = asyncio.create_task(lookout.news(late))
            await place.clock.advance(0.6)
            assert task.done()
            assert await task is None


async def test_a_look_under_way_is_too_old_for_who_comes_now(place: Place) -> None:
    """It may have passed by what has just been put."""
    place.answering.clear()
    early = asyncio.create_task(wait(place, "x*"))
    await place.clock.settle()
    late = asyncio.create_task(wait(place))
    await place.clock.settle()
    place.answering.set()
    place.put("a.csv")
    await place.clock.settle()
    assert not late.done()
    await place.clock.advance(0.6)
    assert (await ended(late)).outcome is Outcome.READY
    assert [len(searches) for _, searches in place.asked] == [1, 2]
    early.cancel()
    await asyncio.wait((early,))


async def test_the_first_one_leaving_harms_nobody(place: Place) -> None:
    """Nor does its cancellation while a look is under way."""
    first = asyncio.create_task(wait(place, "x*"))
    await place.clock.settle()
    second = asyncio.create_task(wait(place))
    await place.clock.advance(1.0)
    place.answering.clear()
    await place.clock.advance(6.0)
    first.cancel()
    await asyncio.wait((first,))
    place.answering.set()
    place.put("a.csv")
    await place.clock.advance(12.0)
    assert (await ended(second)).outcome is Outcome.READY
    assert place.opened == 1


async def test_the_last_one_leaving_ends_it(place: Place) -> None:
    """No task and nothing open is left, at whatever moment."""
    before = asyncio.all_tasks()
    for steps in range(12):
        place.answering.set() if steps % 2 else place.answering.clear()
        tasks = [asyncio.create_task(wait(place, f"{n}*")) for n in range(3)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert asyncio.all_tasks() == before
        assert place.opened == place.closed
        assert place.clock.sleepers == 0
    assert not Lookout._running._loops[asyncio.get_running_loop()]


async def test_who_comes_after_the_last_one_begins_anew(place: Place) -> None:
    """With a look of its own."""
    for _ in range(2):
        place.put("a.csv")
        task = asyncio.create_task(wait(place))
        await place.clock.advance(1.0)
        assert (await ended(task)).outcome is Outcome.READY
    assert (place.opened, place.closed) == (2, 2)


async def test_places_do_not_wait_for_each_other(clock: FakeClock) -> None:
    """A disk that hangs holds only its own waiters."""
    hung, healthy = Place(clock), Place(clock)
    hung.answering.clear()
    healthy.put("a.csv")

    async def at(place: Place) -> Arrived | None:
        async with Lookout.join(id(place), place.open, clock=clock) as lookout:
            return await lookout.news(waiter(clock))

    stuck = [asyncio.create_task(at(hung)) for _ in range(50)]
    await clock.advance(1.0)
    event = asyncio.create_task(at(healthy))
    await clock.advance(1.0)
    assert event.done()
    assert not any(task.done() for task in stuck)
    for task in stuck:
        task.cancel()
    await asyncio.wait(stuck)
    assert hung.closed == 1


async def test_faults_are_asked_about_less_and_less(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Up to 20 s apart, with one warning, and a word when they are over."""
    place.fault = StorageUnavailableError("503")
    task = asyncio.create_task(wait(place, every=1.0))
    with caplog.at_level("DEBUG", logger="fileflow_async"):
        await place.clock.advance(600.0)
        assert 30 <= len(place.asked) <= 70
        place.fault = None
        place.put("a.csv")
        await place.clock.advance(21.0)
    assert (await ended(task)).outcome is Outcome.READY
    levels = [record.levelname for record in caplog.records]
    assert levels.count("WARNING") == 1
    assert "cannot be looked for (1 times in a row): 503" in caplog.text
    assert "can be looked for again" in caplog.text
    assert place.opened == 1


async def test_the_next_outage_is_told_like_the_first(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """With a warning, and asked about soon."""
    task = asyncio.create_task(wait(place, every=1.0))
    for _ in range(2):
        place.fault = StorageUnavailableError("503")
        await place.clock.advance(60.0)
        place.fault = None
        await place.clock.advance(25.0)
    assert [record.levelname for record in caplog.records].count("WARNING") == 2
    task.cancel()
    await asyncio.wait((task,))


async def test_nobody_is_looked_for_who_has_left(place: Place) -> None:
    """While the place was opened, which may take seconds."""
    place.opening.clear()
    async with Lookout.join("place", place.open, clock=place.clock) as lookout:
        task = asyncio.create_task(lookout.news(waiter(place.clock)))
        await place.clock.settle()
        task.cancel()
        await asyncio.wait((task,))
        place.opening.set()
        await place.clock.advance(60.0)
        assert (place.opened, place.asked) == (1, [])


async def test_a_refusal_reaches_every_waiter(place: Place) -> None:
    """Within 90 s, each by its own rules."""
    place.fault = TargetAccessError("access denied")
    tasks = [asyncio.create_task(wait(place, f"{n}*", every=30.0)) for n in range(5)]
    await place.clock.advance(59.0)
    assert not any(task.done() for task in tasks)
    await place.clock.advance(31.0)
    events = [await ended(task) for task in tasks]
    assert {event.outcome for event in events} == {Outcome.UNREADABLE}
    assert {event.missing[0].why for event in events} == {"access denied"}


async def test_a_place_that_cannot_be_opened_is_tried_again(place: Place) -> None:
    """The connection may be made meanwhile; if it is not, the waiters are told."""
    place.opening_fault = TargetAccessError("no connection")
    task = asyncio.create_task(wait(place))
    await place.clock.advance(30.0)
    place.opening_fault = None
    place.put("a.csv")
    await place.clock.advance(21.0)
    assert (await ended(task)).outcome is Outcome.READY
    place.opening_fault = TargetAccessError("no connection")
    task = asyncio.create_task(wait(place))
    await place.clock.advance(90.0)
    assert (await ended(task)).outcome is Outcome.UNREADABLE


async def test_an_error_of_no_known_kind_opens_the_place_anew(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be that what is open is broken; the traceback is logged once."""
    place.fault = RuntimeError("boom")
    task = asyncio.create_task(wait(place))
    await place.clock.advance(3.0)
    place.fault = None
    place.put("a.csv")
    await place.clock.advance(21.0)
    assert (await ended(task)).outcome is Outcome.READY
    assert place.opened == place.closed >= 2
    assert "RuntimeError: boom" in caplog.text


async def test_an_error_of_one_waiter_is_its_own(place: Place) -> None:
    """Whatever is wrong with it, the others go on."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    async with Lookout.join("place", place.open, clock=place.clock) as lookout:
        bad = waiter(place.clock, "x*")
        bad.arrival.decide = broken  # type: ignore[method-assign, assignment]
        failing = asyncio.create_task(lookout.news(bad))
        good = asyncio.create_task(wait(place))
        await place.clock.advance(1.0)
        with pytest.raises(ZeroDivisionError):
            await failing
        place.fault = TargetAccessError("no")
        failing = asyncio.create_task(lookout.news(bad))
        await place.clock.advance(10.0)
        with pytest.raises(ZeroDivisionError):
            await failing
        place.fault = None
        place.put("a.csv")
        await place.clock.advance(21.0)
        assert (await ended(good)).outcome is Outcome.READY


async def test_the_lookout_is_nobodys_own(place: Place) -> None:
    """It must not log as the task that happened to come first."""
    mine: contextvars.ContextVar[str] = contextvars.ContextVar("mine")
    mine.set("the first one's")
    task = asyncio.create_task(wait(place))
    await place.clock.advance(1.0)
    assert mine not in place.contexts[0]
    task.cancel()
    await asyncio.wait((task,))


async def test_many_are_woken_in_slices(place: Place) -> None:
    """Between two turns of the loop at most some hundred."""
    tasks = [asyncio.create_task(wait(place)) for _ in range(1000)]
    await place.clock.advance(1.0)
    place.put("a.csv")
    ended_at_once: list[int] = []

    async def count() -> None:
        before = 0
        while before < len(tasks):
            await asyncio.sleep(0)
            now = sum(task.done() for task in tasks)
            ended_at_once.append(now - before)
            before = now

    counting = asyncio.create_task(count())
    await place.clock.advance(6.0)
    await counting
    assert max(ended_at_once) <= 500


def test_loops_do_not_share() -> None:
    """A lookout belongs to its event loop; that of one that is over is forgotten."""

    async def run() -> None:
        place = Place(FakeClock())
        place.put("a.csv")
        task = asyncio.create_task(wait(place))
        await place.clock.advance(1.0)
        assert (await ended(task)).outcome is Outcome.READY
        assert place.opened == 1

    gc.collect()
    before = len(Lookout._running._loops)
    for _ in range(3):
        asyncio.run(run())
    gc.collect()
    assert len(Lookout._running._loops) <= before
