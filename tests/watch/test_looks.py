"""When a target is looked at, and what its waiters are told: hints, rechecks, weak listings, damage."""

import asyncio
import logging
from contextlib import suppress
from functools import partial

import pytest

from fileflow_async.errors import StorageUnavailableError
from fileflow_async.feed import entry_key, target_hash
from fileflow_async.status import State, Status
from fileflow_async.store import TargetStore
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from fileflow_async.watch import Inbox, Watch, source_of
from fileflow_async.watch.looks import Looks
from tests.planting import put
from tests.watching import (
    DATA,
    KEY,
    RUN,
    FakeSource,
    Waiters,
    absent,
    calm,
    complete,
    failing,
    in_state,
    others,
    the_watch,
)

NEVER = 10**9


# A slow look and a fast one.


async def test_a_slow_look_is_never_overtaken_by_a_fast_one(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """What it saw is older: told later, it would take the commit back. So there is one look at a time."""
    source.held = asyncio.Event()
    waiter = waiters.start(until=lambda statuses: False)
    await clock.settle()
    slow, source.held = source.held, None  # it has read that nothing is there, but not answered
    source.put(complete(KEY), sign=True)
    await clock.advance(1.0)
    assert waiter.states == []
    assert source.looks == [KEY]
    slow.set()
    await clock.settle()
    assert waiter.states == [State.ABSENT, State.COMPLETE]
    assert source.looks == [KEY, KEY]
    await clock.advance(100.0)
    assert waiter.states == [State.ABSENT, State.COMPLETE]


async def test_a_look_that_is_asked_for_while_waiters_are_told_comes_after_that(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """To tell thousands takes many turns of the loop; none of them must be told the older status last."""
    order: list[tuple[int, State]] = []

    class Noting(Inbox):
        number = 0

        def put(self, name: str, status: Status) -> bool:
            order.append((self.number, status.state))
            return super().put(name, status)

    for number in range(300):
        waiter = waiters.start(until=lambda statuses: False)
        waiter.inbox = Noting()
        waiter.inbox.number = number
    for _ in range(8):
        await asyncio.sleep(0)
    source.put(complete(KEY), sign=True)
    await waiters.settle()
    await clock.advance(1.0)
    await waiters.settle()
    for number in range(300):
        assert [state for each, state in order if each == number][-1] is State.COMPLETE


# Sets of targets.


@pytest.mark.parametrize("names", ["*", "output,second"])
async def test_a_hint_of_one_of_its_targets_is_one_of_a_set(
    source: FakeSource, waiters: Waiters, clock: FakeClock, names: str
) -> None:
    """Whoever waits for the target alone hears of it, too; who has left hears nothing."""
    one, whole = f"{RUN}/extract/output", f"{RUN}/extract/{names}"
    alone = waiters.start(one, until=lambda statuses: False)
    waiter = waiters.start(whole)
    gone = waiters.start(f"{RUN}/extract/output,third", until=lambda statuses: False)
    await clock.settle()
    waiters.tasks[2].cancel()
    await clock.settle()
    del source.looked[:]
    source.put(complete(one))
    source.truth[whole] = complete(whole)
    await clock.advance(5.5)
    assert sorted(source.looks) == sorted([one, whole])
    assert (alone.states[-1], waiters.done[1]) == (State.COMPLETE, True)
    assert waiter.inbox.statuses[whole].is_committed
    assert gone.states == [State.ABSENT]


async def test_the_feed_has_a_word_for_all_outputs_of_a_task(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Who waits for all of them cannot know their names."""
    waiters.start(f"{RUN}/extract/*")
    await clock.settle()
    source.put(complete(f"{RUN}/extract/*"))
    await clock.advance(5.5)
    assert waiters.done == [True]


# Commits at every moment.


async def test_a_commit_at_any_turn_of_the_loop_is_found_by_the_next_poll(clock: FakeClock) -> None:
    """Between joining, opening, subscribing, looking and the first poll; on a real store with its feed."""
    for turns in range(80):
        storage = MemoryStorage(clock=clock)
        store = TargetStore(storage, clock=clock)
        inbox = Inbox()

        async def wait(store: TargetStore = store, inbox: Inbox = inbox) -> None:
            join = Watch.join(store, lambda: source_of(store), interval=5.0, clock=clock)
            async with join as member:
                member.subscribe({KEY: KEY}, inbox)
                while not (KEY in inbox.statuses and inbox.statuses[KEY].is_committed):
                    await inbox.changed()
                assert member.counts["rechecks.found"] == 0

        waiting = asyncio.create_task(wait())
        for _ in range(turns):
            await asyncio.sleep(0)
        await put(store, KEY, b"1")
        await clock.advance(5.6)
        assert waiting.done(), f"a commit after {turns} turns was missed"
        await waiting
        assert others() == set()


POINTS = ("open", "look", "hints", "told")


@pytest.mark.parametrize("running", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("gap", [0, 1, 2, 5])
@pytest.mark.parametrize("point", POINTS)
async def test_a_commit_at_any_point_of_the_beginning_is_found(
    source: FakeSource, waiters: Waiters, clock: FakeClock, point: str, gap: int, running: bool
) -> None:
    """Its record appears at that point, its feed entry as many turns of the loop later."""
    if running:
        waiters.start(f"{RUN}/other/output")
        await clock.settle()
    commits: list[asyncio.Task[None]] = []

    async def announce() -> None:
        for _ in range(gap):
            await asyncio.sleep(0)
        assert source.feed is not None
        source.feed.append(target_hash(KEY))

    def commit(*_: object) -> None:
        if not commits:
            source.put(complete(KEY), announced=False)
            commits.append(asyncio.create_task(announce()))

    if point == "open":
        source.on_open = commit
    elif point == "look":
        source.on_look = commit
    elif point == "hints":
        source.on_hints = commit
    if point == "open" and running:
        commit()
    waiter = waiters.start()
    if point == "told":
        await clock.settle()
        commit()
    await clock.advance(11.1)
    assert commits
    assert waiters.done[-1]
    assert waiter.states[-1] is State.COMPLETE


# Rechecks.


async def test_a_commit_that_the_feed_does_not_announce_is_found_within_ten_minutes(
    source: FakeSource, waiters: Waiters, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """By a recheck, which is counted and logged: somebody should know that the feed loses entries."""
    waiter = waiters.start()
    await clock.advance(1.0)
    source.put(complete(KEY), announced=False)
    with caplog.at_level(logging.INFO):
        await clock.advance(606.0)
    assert waiters.done == [True]
    assert waiter.share.counts["rechecks.found"] == 1
    assert "the feed did not say so" in caplog.text


async def test_a_recheck_that_shows_no_commit_has_found_no_loss(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Nobody announces that somebody writes."""
    waiter = waiters.start()
    await clock.settle()
    source.put(in_state(KEY, State.IN_PROGRESS), announced=False)
    await clock.advance(606.0)
    assert waiter.states == [State.ABSENT, State.IN_PROGRESS]
    assert waiter.share.counts["rechecks.found"] == 0


@pytest.mark.parametrize("fault", [None, StorageUnavailableError("down")])
async def test_a_recheck_of_what_nobody_has_seen_before_has_found_no_loss(
    source: FakeSource, waiters: Waiters, clock: FakeClock, fault: StorageUnavailableError | None
) -> None:
    """The feed may have announced it while it could not be seen, or before anybody waited."""
    waiter = waiters.start()
    if fault is not None:
        source.truth[KEY] = fault
        await clock.settle()
        assert waiter.states == [State.UNREADABLE]
    source.put(complete(KEY), announced=False)
    await asyncio.sleep(0)  # the wait has begun
    watch = the_watch()
    watch.looks._tick -= 120  # so that its turn has come, whichever it is
    watch.looks.recheck(blind=False)
    await clock.settle()
    assert waiters.done == [True]
    assert watch.counts["rechecks.found"] == 0


async def test_a_hint_that_shows_the_commit_of_yesterday_is_followed_up(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """The listing is late: what it shows is known already, and explains nothing."""
    source.put(complete(KEY), announced=False)
    newer = complete(KEY, data=DATA.replace("141320", "151320"))
    waiters.start(until=lambda statuses: statuses.get(KEY) == newer)
    await clock.advance(1.0)
    assert source.feed is not None
    source.feed.append(target_hash(KEY))
    await clock.advance(6.0)
    source.put(newer, announced=False)
    await clock.advance(8.5)
    assert waiters.done == [True]


async def test_what_the_feed_says_while_a_recheck_looks_is_no_loss(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """The entry came a little later than the record; it was not lost."""
    waiter = waiters.start()
    await clock.settle()
    source.held = asyncio.Event()
    source.put(complete(KEY), announced=False)
    while len(source.looked) < 2:  # the recheck
        await clock.advance(1.0)
    assert source.feed is not None
    source.feed.append(target_hash(KEY))
    await clock.advance(6.0)
    source.held.set()
    await clock.settle()
    assert waiters.done == [True]
    assert waiter.share.counts["rechecks.found"] == 0


async def test_each_target_is_rechecked_once_in_ten_minutes(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Those of one run together; a long pause of the machine adds nothing."""
    keys = [f"dag{number}/20260921T000000Z/{task}/output" for number in range(20) for task in ("a", "b")]
    waiters.start(*keys)
    await clock.settle()
    assert len(source.looks) == 40
    await clock.advance(3000.0)
    for key in keys:
        assert 4 <= source.looks.count(key) - 1 <= 6
    for batch in source.looked[1:]:
        assert all(key.replace("/a/", "/b/") in batch for key in batch)


async def test_while_the_feed_cannot_be_read_a_commit_is_found_within_a_minute(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Too many pages of new names are one reason; what is found then is no fault of the feed."""
    source.on_hints = failing(
        partial(StorageUnavailableError, "more than 50 pages of new names; not all were read")
    )
    waiter = waiters.start()
    await clock.advance(100.0)
    source.put(complete(KEY), announced=False)
    await clock.advance(82.0)  # a minute, and the pause of a poll that fails
    assert waiters.done == [True]
    assert waiter.share.counts["rechecks.found"] == 0


async def test_what_a_recheck_and_a_hint_bring_together_is_no_loss(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Rechecks come behind the poll, so that they find only what it did not bring."""
    waiter = waiters.start(until=lambda statuses: False)
    await clock.settle()
    for second in range(600):  # its turn comes in between
        source.put(complete(KEY, data=f"{DATA[:-8]}{second:04}.csv"))
        await clock.advance(1.0)
    assert len(waiter.told) > 100
    assert waiter.share.counts["rechecks.found"] == 0


async def test_without_a_feed_every_target_is_looked_at_once_an_interval(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """`[fileflow] feed = off`; nothing is counted as lost then."""
    source.feed = None
    waiter = waiters.start(KEY, f"{RUN}/other/output", interval=5.0)
    await clock.advance(1000.0)
    polls = source.polled
    assert 180 <= polls <= 201
    assert polls - 1 <= len(source.looks) / 2 <= polls + 1
    source.put(complete(KEY))
    source.put(complete(f"{RUN}/other/output"))
    await clock.advance(5.6)
    assert waiters.done == [True]
    assert waiter.share.counts["rechecks.found"] == 0


async def test_a_store_without_a_feed_is_a_source_without_hints(clock: FakeClock) -> None:
    """And one with it gives the hashes that its entries name."""
    storage = MemoryStorage(clock=clock)
    store = TargetStore(storage, clock=clock, feed=False)
    async with source_of(store) as source:
        await put(store, KEY, b"1")
        assert await source.hints() is None
        assert (await source.look([KEY]))[KEY].state is State.COMPLETE  # type: ignore[union-attr]
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await source.changed()
                raise AssertionError("nothing tells it")
    async with source_of(TargetStore(storage, clock=clock)) as source:
        await put(TargetStore(storage, clock=clock), KEY, b"2")
        assert await source.hints() == {target_hash(KEY)}


# Weak listings.


async def test_a_listing_that_is_six_seconds_late_costs_eight(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """The hint comes first, the look shows nothing yet: it is repeated after 0.5, 2, 8 and 30 seconds."""
    waiter = waiters.start(interval=5.0)
    await clock.advance(1.0)
    assert source.feed is not None
    source.feed.append(target_hash(KEY))
    source.sign.set()
    await clock.advance(0.1)
    looks = len(source.looks)
    assert looks == 2
    await clock.advance(6.0)
    assert len(source.looks) == looks + 2  # after 0.5 and 2 more
    source.put(complete(KEY), announced=False)
    await clock.advance(4.6)
    assert waiters.done == [True]
    assert waiter.share.counts["rechecks.found"] == 0


async def test_follow_ups_come_to_an_end(source: FakeSource, waiters: Waiters, clock: FakeClock) -> None:
    """An entry may be about something that is not there any more; each hint begins them anew."""
    waiters.start()
    await clock.advance(1.0)
    assert source.feed is not None
    for _ in range(3):
        source.feed.append(target_hash(KEY))
        source.sign.set()
        await clock.advance(0.75)
    hinted, looks, moments = clock.monotonic() - 0.75, len(source.looks), []
    source.on_look = lambda keys: moments.append(round(clock.monotonic() - hinted, 1))
    await clock.advance(60.0)
    assert moments == [2.5, 10.5, 40.5]  # after the one at 0.5
    assert len(source.looks) == looks + 3


async def test_that_somebody_writes_does_not_explain_a_hint(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """It announces a commit: a listing that shows the data but no record yet is late as well."""
    waiters.start()
    await clock.advance(1.0)
    source.put(in_state(KEY, State.IN_PROGRESS), sign=True)
    await clock.advance(1.0)
    source.put(complete(KEY), announced=False)
    await clock.advance(2.0)
    assert waiters.done == [True]


async def test_a_hint_is_kept_for_who_comes_a_little_later(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """The poll that served others took it; a weak listing would hide the commit for ten minutes."""
    waiters.start(f"{RUN}/other/output")
    await clock.advance(1.0)
    assert source.feed is not None
    source.feed.append(target_hash(KEY))
    await clock.advance(10.0)
    waiter = waiters.start()
    await clock.advance(0.1)
    assert waiter.states == [State.ABSENT]
    source.put(complete(KEY), announced=False)
    await clock.advance(0.5)
    assert waiters.done[1]


async def test_a_hint_is_not_kept_for_ever(source: FakeSource, waiters: Waiters, clock: FakeClock) -> None:
    """At 200 commits a second that would be a leak."""
    waiters.start(f"{RUN}/other/output")
    await clock.advance(1.0)
    assert source.feed is not None
    source.feed += [target_hash(f"{RUN}/task{number}/output") for number in range(1000)]
    await clock.advance(6.0)
    watch = the_watch()
    assert len(watch.looks._heard) == 1000
    await clock.advance(50.0)
    assert watch.looks._heard == {}


# Damage.


async def test_damage_is_told_when_it_is_seen_again_after_two_seconds(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """A clean-up seen half way looks like it."""
    source.put(in_state(KEY, State.CORRUPT), announced=False)
    waiter = waiters.start()
    await clock.advance(1.9)
    assert waiter.states == []
    await clock.advance(0.2)
    assert waiter.states == [State.CORRUPT]
    assert len(source.looks) == 2


async def test_damage_that_is_gone_after_two_seconds_is_never_told(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """And when it comes back later, that is a new suspicion."""
    source.put(in_state(KEY, State.CORRUPT), announced=False)
    waiter = waiters.start()
    await clock.advance(1.0)
    source.put(absent(KEY), announced=False)
    await clock.advance(100.0)
    assert waiter.states == [State.ABSENT]
    source.put(in_state(KEY, State.CORRUPT), sign=True)
    await clock.advance(1.9)
    assert waiter.states == [State.ABSENT]
    await clock.advance(0.2)
    assert waiter.states == [State.ABSENT, State.CORRUPT]


async def test_a_look_for_another_reason_is_not_the_second_look(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """A hint a tenth of a second later would see the same clean-up."""
    source.put(in_state(KEY, State.CORRUPT), announced=False)
    waiter = waiters.start()
    await clock.advance(0.1)
    source.put(in_state(KEY, State.CORRUPT), sign=True)
    await clock.advance(0.1)
    assert len(source.looks) == 2
    assert waiter.states == []
    await clock.advance(1.9)
    assert waiter.states == [State.CORRUPT]


async def test_an_outage_between_the_two_looks_settles_nothing(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """The doubt is settled once the store answers."""
    source.put(in_state(KEY, State.CORRUPT), announced=False)
    waiter = waiters.start()
    await clock.advance(1.0)

    source.on_look = failing(partial(StorageUnavailableError, "down"))
    await clock.advance(5.0)
    assert waiter.states == [State.UNREADABLE]
    source.put(complete(KEY), announced=False)
    source.on_look = calm
    await clock.advance(21.0)
    assert waiter.states == [State.UNREADABLE, State.COMPLETE]


# Whose target it is.


async def test_entries_with_odd_times_hide_nobody(clock: FakeClock) -> None:
    """A writer whose clock is an hour fast, or slow: a hint is a name, and its time means nothing here."""
    storage = MemoryStorage(clock=clock)
    store = TargetStore(storage, clock=clock)
    inboxes = {number: Inbox() for number in range(20)}
    keys = {number: f"{RUN}/task{number}/output" for number in inboxes}
    async with Watch.join("store", lambda: source_of(store), interval=5.0, clock=clock) as member:
        for number, inbox in inboxes.items():
            member.subscribe({keys[number]: "it"}, inbox)
            await clock.settle()
        for offset in (3600.0, -200.0, 86_400.0):
            await storage.put(entry_key(f"{RUN}/odd{offset}/output", clock.time() + offset), b"")
            await clock.advance(6.0)
        for number in inboxes:
            await put(store, keys[number], b"1")
            await clock.advance(0.1)
        assert all(inbox.statuses["it"].is_committed for inbox in inboxes.values())


async def test_a_target_is_known_to_each_waiter_by_the_name_of_its_own(
    source: FakeSource, clock: FakeClock
) -> None:
    """One may call it by its key, another by its URI."""
    one, other = Inbox(), Inbox()
    source.put(complete(KEY))
    async with (
        Watch.join("store", source.open, interval=5.0, clock=clock) as first,
        Watch.join("store", source.open, interval=5.0, clock=clock) as second,
    ):
        first.subscribe({KEY: "key"}, one)
        second.subscribe({KEY: "uri"}, other)
        assert list(await one.changed()) == ["key"]
        assert list(await other.changed()) == ["uri"]
    assert source.looks == [KEY]


def test_a_tick_is_a_part_of_the_period(clock: FakeClock) -> None:
    """Otherwise some targets would never be rechecked."""
    looks = Looks(clock, lambda what, number: None)
    for blind in (False, True):
        looks.recheck(blind=blind)
