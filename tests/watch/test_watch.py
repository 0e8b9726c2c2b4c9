"""One watch serves all who wait in a loop: who comes, who goes, what is polled, what is left."""

import asyncio
import contextvars
import gc
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from fileflow_async.clock import SystemClock
from fileflow_async.errors import ConfigError, StorageUnavailableError, TargetAccessError
from fileflow_async.feed import target_hash
from fileflow_async.status import State
from fileflow_async.testing.clock import FakeClock
from fileflow_async.watch import Source, Watch
from tests.watching import (
    KEY,
    RUN,
    FakeSource,
    Turns,
    Waiter,
    Waiters,
    absent,
    calm,
    complete,
    failing,
    in_state,
    others,
    the_watch,
)


async def test_who_begins_to_wait_is_told_the_truth_at_once(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """A first look, without waiting for a poll."""
    source.put(complete(KEY), announced=False)
    waiters.start()
    await clock.settle()
    assert waiters.done == [True]
    assert source.looks == [KEY]


async def test_a_hint_leads_to_a_look_at_the_next_poll(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Within the interval and its jitter."""
    waiter = waiters.start(interval=5.0)
    await clock.advance(1.0)
    source.put(complete(KEY))
    await clock.advance(3.9)
    assert waiters.done == [False]
    await clock.advance(0.7)
    assert waiters.done == [True]
    assert waiter.states == [State.ABSENT, State.COMPLETE]
    assert source.looks == [KEY, KEY]


async def test_a_sign_of_the_store_leads_to_a_poll_at_once(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """As inotify gives it."""
    waiters.start(interval=600.0)
    await clock.advance(1.0)
    source.put(complete(KEY), sign=True)
    await clock.settle()
    assert waiters.done == [True]


async def test_a_store_that_gives_a_sign_of_everything_is_polled_only_to_make_sure(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Every ten seconds, however impatient its waiters are; what came without a sign is found then."""
    source.is_prompt = True
    waiters.start(interval=1.0)
    await clock.advance(1.0)
    source.put(complete(KEY))
    await clock.advance(8.9)
    assert (source.polled, waiters.done) == (1, [False])
    await clock.advance(1.2)
    assert (source.polled, waiters.done) == (2, [True])


async def test_a_store_that_begins_to_give_signs_is_polled_less_often_from_then_on(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """And as often as was wanted once it ends."""
    waiters.start(interval=1.0)
    for is_prompt, least, most in ((False, 9, 10), (True, 1, 2), (False, 9, 11)):
        source.is_prompt = is_prompt
        source.sign.set()
        before = source.polled
        await clock.advance(10.0)
        assert least <= source.polled - before <= most, is_prompt


async def test_patience_beyond_that_counts_where_signs_are_given(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """The interval is the least, not the most."""
    source.is_prompt = True
    waiters.start(interval=60.0)
    await clock.advance(59.0)
    assert source.polled == 1


async def test_signs_without_end_lead_to_50_polls_a_second_at_most(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """A broken source must not keep the loop busy."""
    source.changed = lambda: asyncio.sleep(0)  # type: ignore[method-assign]
    waiters.start()
    await clock.advance(1.0)
    assert 40 <= source.polled <= 51


async def test_a_source_whose_signs_fail_is_polled(
    source: FakeSource, waiters: Waiters, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Once an interval, as if it gave none; it is said in the log."""

    async def broken() -> None:
        raise OSError("no inotify")

    source.changed = broken  # type: ignore[method-assign]
    waiters.start(interval=5.0)
    with caplog.at_level(logging.INFO):
        await clock.advance(20.0)
    assert source.polled == 4
    assert "no inotify" in caplog.text
    source.put(complete(KEY))
    await clock.advance(5.5)
    assert waiters.done == [True]


async def test_hints_about_others_cost_no_look(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Dispatch is by the target's hash."""
    waiters.start()
    await clock.advance(1.0)
    source.put(complete(f"{RUN}/other/output"))
    await clock.advance(10.0)
    assert source.looks == [KEY]


async def test_ten_thousand_waiters_of_a_target_share_one_look(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """At the start as well as when it is committed; all of them are told."""
    for _ in range(10_000):
        waiters.start()
    await waiters.settle()
    assert source.looks == [KEY]
    source.put(complete(KEY), sign=True)
    await clock.advance(0.1)
    await waiters.settle()
    assert all(waiters.done)
    assert source.looks == [KEY, KEY]


async def test_a_thousand_targets_are_looked_at_in_batches_of_neighbours(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Those of a run together, 64 at once, so that few requests answer them."""
    keys = [f"shop/2026092{day}T000000Z/task{task:02}/output" for task in range(100) for day in range(10)]
    for key in keys:
        waiters.start(key)
    await waiters.settle()
    assert source.looks == sorted(keys)
    assert {len(batch) for batch in source.looked} == {64, 1000 % 64}


async def test_at_most_sixteen_looks_are_under_way(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """However many targets there are."""
    source.held = asyncio.Event()
    waiters.start(*(f"{RUN}/task{task}/output" for task in range(64 * 20)))
    await waiters.settle()
    assert len(source.looked) == 16
    source.held.set()
    await waiters.settle()
    assert len(source.looked) == 20


async def test_who_leaves_before_its_look_has_begun_disturbs_nobody(
    source: FakeSource, waiters: Waiters, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """All looks are taken; its target is forgotten by the time that one is free."""
    source.held = asyncio.Event()
    waiters.start(*(f"{RUN}/task{task:04}/output" for task in range(64 * 17)))
    waiters.start(f"{RUN}/task9999/output")
    await waiters.settle()
    waiters.tasks[1].cancel()
    await clock.settle()
    source.held.set()
    await waiters.settle()
    assert source.opened == 1
    assert f"{RUN}/task9999/output" not in source.looks
    assert "cannot be watched" not in caplog.text


async def test_few_waiters_are_woken_between_two_turns_of_the_loop(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Each runs for a tenth of a millisecond then; other triggers must not wait for thousands of them."""
    turns = Turns()
    for number in range(1000):
        waiter = waiters.start(*[KEY, f"{RUN}/task{number}/output"][: 1 + number % 2])
        waiter.inbox = turns.inbox()
    await turns.take(2000)
    assert sum(turns.woken.values()) == 1000 + 500
    assert max(turns.woken.values()) <= 20


# Who comes and who goes.


async def test_three_hundred_who_join_in_a_second_cost_no_further_poll(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """A real triggerer started 885 waits in one second."""
    waiters.start(interval=5.0)
    await clock.advance(1.0)
    assert source.polled == 1
    for number in range(300):
        waiters.start(f"{RUN}/task{number}/output", interval=5.0)
        await clock.advance(1 / 300)
    assert source.polled == 1
    await clock.advance(4.0)
    assert source.polled == 2


async def test_three_hundred_impatient_ones_who_come_and_go_cost_a_poll_an_interval_of_theirs(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Whoever is alone with a short interval changes only how long the pause is."""
    waiters.start(interval=60.0)
    for _ in range(300):
        waiters.start(interval=1.0)
        await clock.advance(0.005)
        waiters.tasks.pop().cancel()
        await clock.advance(0.005)
    assert source.polled <= 4


async def test_the_least_interval_counts(source: FakeSource, waiters: Waiters, clock: FakeClock) -> None:
    """From the moment that somebody joins until that one leaves."""
    waiters.start(interval=60.0)
    await clock.advance(10.0)
    assert source.polled == 1
    waiters.start(interval=2.0)
    await clock.settle()
    assert source.polled == 2  # the last is ten seconds old
    await clock.advance(6.7)
    assert source.polled == 5
    waiters.tasks[1].cancel()
    await clock.advance(50.0)
    assert source.polled == 5


async def test_a_wait_can_become_more_patient(source: FakeSource, waiters: Waiters, clock: FakeClock) -> None:
    """It changes its share of the interval; others keep theirs."""
    waiter = waiters.start(interval=1.0)
    other = waiters.start(interval=30.0)
    await clock.advance(3.4)
    assert source.polled == 4
    waiter.share.want(10.0)
    await clock.advance(33.1)
    assert source.polled == 7
    other.share.want(2.0)
    waiters.tasks[0].cancel()
    await clock.advance(10.0)
    assert source.polled >= 11


async def test_a_poll_comes_every_ten_minutes_at_least(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Rechecks come with it, whatever the waiters want."""
    waiters.start(interval=86_400.0)
    await clock.advance(1201.0)
    assert source.polled == 3


async def test_when_the_first_waiter_is_cancelled_the_others_are_told(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """The watch is nobody's own."""
    for _ in range(3):
        waiters.start()
    await clock.advance(1.0)
    waiters.tasks[0].cancel()
    await clock.settle()
    source.put(complete(KEY))
    await clock.advance(6.0)
    assert waiters.done == [True, True, True]
    assert source.opened == source.closed == 1


async def test_the_last_to_leave_waits_until_the_store_is_closed(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Then there is no task left, and whoever comes next opens it anew."""
    waiters.start()
    waiters.start()
    await clock.advance(1.0)
    waiters.tasks[0].cancel()
    await clock.settle()
    assert source.closed == 0
    waiters.tasks[1].cancel()
    await asyncio.wait(waiters.tasks)
    assert source.closed == 1
    assert others() == set()
    source.put(complete(KEY))
    waiters.start()
    await clock.settle()
    assert waiters.done[2]
    assert source.opened == source.closed == 2


async def test_who_joins_while_the_store_is_being_closed_gets_a_watch_that_works(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """In whatever turn of the loop it comes."""
    for turns in range(12):
        waiters.start()
        await clock.settle()
        waiters.tasks.pop().cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        task_count = len(waiters.tasks)
        waiters.start()
        await clock.settle()
        source.put(complete(KEY), sign=True)
        await clock.advance(0.1)
        assert waiters.done[task_count]
        source.truth.clear()


async def test_a_store_that_cannot_be_closed_keeps_nobody_for_long(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """A hung file system must not stop a cancellation."""
    over = asyncio.Event()

    @asynccontextmanager
    async def hanging() -> AsyncIterator[Source]:
        try:
            yield source
        finally:
            await over.wait()

    source.open = hanging  # type: ignore[method-assign]
    waiters.start()
    await clock.advance(1.0)
    waiters.tasks[0].cancel()
    await clock.advance(9.0)
    assert waiters.done == [False]
    await clock.advance(2.0)
    assert waiters.done == [True]
    over.set()
    await clock.settle()
    assert others() == set()


async def test_an_error_in_closing_does_not_keep_the_watch_alive(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """It takes the place of the cancellation that ends it."""
    source.on_close = failing(partial(OSError, "it cannot be closed"))
    waiters.start()
    await clock.advance(1.0)
    waiters.tasks[0].cancel()
    await clock.settle()
    assert waiters.done == [True]
    assert others() == set()


async def test_an_error_at_the_moment_of_leaving_does_not_keep_the_watch_alive(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """A TaskGroup prefers its tasks' errors to a cancellation, and cancels once more from Python 3.13 on."""

    class OddError(BaseException):
        pass

    async def look(keys: object) -> dict[str, object]:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            raise OddError from None
        return {}

    source.look = look  # type: ignore[assignment]
    waiters.start()
    await clock.advance(1.0)
    waiters.tasks[0].cancel()
    await clock.advance(100.0)
    assert waiters.done == [True]
    assert others() == set()
    assert source.opened == 1


async def test_who_is_cancelled_while_the_store_is_being_closed_goes_at_once(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """The store is closed all the same."""
    waiters.start()
    await clock.advance(1.0)
    waiters.tasks[0].cancel()
    await asyncio.sleep(0)
    waiters.tasks[0].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waiters.done == [True]
    await clock.settle()
    assert source.closed == 1


async def test_a_thousand_rounds_leave_no_task(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """And nothing in the list of watches but the loop's empty entry."""
    for _ in range(1000):
        waiters.start()
        waiters.start(f"{RUN}/other/output")
        for _ in range(12):
            await asyncio.sleep(0)
        for task in waiters.tasks:
            task.cancel()
        await asyncio.wait(waiters.tasks)
        waiters.tasks.clear()
        assert others() == set()
    assert source.opened == source.closed == 1000
    assert Watch._running[asyncio.get_running_loop()] == {}


async def test_what_nobody_waits_for_any_longer_is_forgotten(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Its status, its alarms, its turn to be rechecked: a triggerer runs for months."""
    waiters.start(f"{RUN}/other/output")
    await clock.settle()
    source.put(in_state(KEY, State.CORRUPT), announced=False)
    waiters.start()
    await clock.settle()
    waiters.start(f"{RUN}/failing/output")
    source.truth[f"{RUN}/failing/output"] = StorageUnavailableError("down")
    await clock.settle()
    watch = the_watch()
    for task in waiters.tasks[1:]:
        task.cancel()
    await clock.settle()
    looks = watch.looks
    assert [watched.key for watched in looks._targets.values()] == [f"{RUN}/other/output"]
    assert sum(map(len, looks._ticks)) == 1
    assert not looks._due
    assert not looks.unseen._down
    assert all(alarm.call is None for *_, alarm in looks._alarms._heap)
    before = len(source.looks)
    await clock.advance(30.0)
    assert len(source.looks) == before


async def test_who_leaves_while_another_look_is_asked_for_gets_none(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """The look under way is the last."""
    waiters.start(f"{RUN}/other/output")
    await clock.advance(1.0)
    source.held = asyncio.Event()
    waiters.start()
    await clock.settle()
    source.put(in_state(KEY, State.IN_PROGRESS), sign=True)
    await clock.advance(0.1)
    waiters.tasks[1].cancel()
    await clock.settle()
    source.held.set()
    await clock.settle()
    assert source.looks.count(KEY) == 1


async def test_an_answer_that_comes_too_late_goes_to_nobody(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Whoever waits for the same target again gets a look of their own."""
    source.held = asyncio.Event()
    waiters.start(f"{RUN}/other/output")
    waiters.start()
    await clock.settle()
    assert source.looked == [[f"{RUN}/extract/output", f"{RUN}/other/output"]]
    waiters.tasks[1].cancel()
    await clock.settle()
    held, source.held = source.held, None
    source.looking.clear()  # the old look is nobody's: a second one beside it is no harm
    source.put(complete(KEY), announced=False)
    waiter = waiters.start()
    await clock.settle()
    assert waiter.states == [State.COMPLETE]
    source.looking.update({KEY: 1})
    held.set()
    await clock.settle()


# Whose it is.


async def test_the_watch_has_nothing_of_the_context_of_the_first_waiter(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Its log would go to the task of the one who came first, and its spans under theirs."""
    mine: contextvars.ContextVar[str] = contextvars.ContextVar("mine", default="nobody")
    seen = []
    source.on_open = source.on_hints = lambda: seen.append(mine.get())
    source.on_look = lambda keys: seen.append(mine.get())
    mine.set("the first waiter")
    waiters.start()
    await clock.advance(10.0)
    assert len(seen) >= 4
    assert set(seen) == {"nobody"}


def test_each_loop_has_a_watch_of_its_own() -> None:
    """Four loops in four threads do not see each other."""
    opened: list[int] = []
    barrier = threading.Barrier(4)

    async def one() -> None:
        source = FakeSource(on_open=lambda: opened.append(threading.get_ident()))
        source.put(complete(KEY))
        await asyncio.to_thread(barrier.wait)
        waiter = Waiter()
        async with asyncio.timeout(10):
            await waiter.wait(source, SystemClock(), interval=1.0)  # type: ignore[arg-type]
        assert others() == set()
        assert source.opened == source.closed == 1

    threads = [threading.Thread(target=asyncio.run, args=(one(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(set(opened)) == 4


def test_a_loop_that_is_gone_keeps_no_watch() -> None:
    """`asyncio.run` in each task of a worker: the list of watches must not hold their loops."""

    async def one() -> None:
        source = FakeSource()
        source.put(complete(KEY))
        await Waiter().wait(source, SystemClock())  # type: ignore[arg-type]

    gc.collect()
    before = len(Watch._running)
    for _ in range(5):
        asyncio.run(one())
    gc.collect()
    assert len(Watch._running) <= before


async def test_twenty_stores_in_a_loop_are_watched_side_by_side(clock: FakeClock) -> None:
    """One that is down does not disturb the others."""
    sources = [FakeSource() for _ in range(20)]
    everybody = Waiters(sources[0], clock)
    for number, source in enumerate(sources):
        everybody.source = source
        everybody.start(name=f"store {number}")

    sources[7].on_look = failing(partial(StorageUnavailableError, "down"))
    await clock.advance(1.0)
    for source in sources:
        source.put(complete(KEY), sign=True)
    await clock.advance(1.0)
    assert [number for number, done in enumerate(everybody.done) if not done] == [7]
    assert [source.opened for source in sources] == [1] * 20
    await everybody.stop()
    assert [source.closed for source in sources] == [1] * 20


async def test_what_happened_is_counted_and_reported(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """The watch itself knows nothing of Airflow's metrics."""
    reported: Counter[str] = Counter()
    waiter = waiters.start(count=lambda what, number: reported.update({what: number}))
    await clock.advance(1.0)

    source.on_hints = failing(partial(StorageUnavailableError, "down"))
    await clock.advance(5.0)
    source.on_hints = calm
    source.put(complete(f"{RUN}/nobody/output"))
    source.put(in_state(KEY, State.IN_PROGRESS))
    await clock.advance(6.0)
    assert waiter.share.counts == reported
    assert reported["polls"] == source.polled
    assert reported["polls.failed"] == 1
    assert reported["looks"] == len(source.looks)
    assert reported["hints"] == 1


async def test_a_share_is_taken_once(source: FakeSource, clock: FakeClock) -> None:
    """It counts one waiter; entering it again would count two and take back one."""
    member = Watch.join("store", source.open, interval=5.0, clock=clock)
    async with member:
        with pytest.raises(RuntimeError, match="once"):
            await member.__aenter__()


# Waking at moments.


async def test_a_waiter_is_woken_at_its_moment(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """By the wall clock, without news; a moment said later replaces it."""
    waiter = waiters.start()
    await clock.settle()
    told = len(waiter.told)
    waiter.share.wake(waiter.inbox, clock.time() + 100)
    await clock.advance(99.0)
    assert len(waiter.told) == told
    waiter.share.wake(waiter.inbox, clock.time() + 200)
    await clock.advance(199.0)
    assert len(waiter.told) == told
    await clock.advance(1.1)
    assert len(waiter.told) == told + 1
    waiter.share.wake(waiter.inbox, clock.time() + 10)
    waiter.share.wake(waiter.inbox, None)
    await clock.advance(20.0)
    assert len(waiter.told) == told + 1


async def test_a_jump_of_the_wall_clock_is_noticed_within_half_a_minute(
    source: FakeSource, waiters: Waiters
) -> None:
    """Somebody may set it by an hour."""

    class Set(FakeClock):
        wrong = 0.0

        def time(self) -> float:
            return super().time() + self.wrong

    waiters.clock = clock = Set()
    waiter = waiters.start()
    await clock.settle()
    waiter.share.wake(waiter.inbox, clock.time() + 3600)
    await clock.settle()
    told = len(waiter.told)
    clock.wrong = 3600.0
    await clock.advance(31.0)
    assert len(waiter.told) == told + 1


async def test_a_moment_is_forgotten_when_its_waiter_leaves(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Waits with a deadline in a week come and go by the hundred thousand."""
    waiters.start(f"{RUN}/other/output")
    for _ in range(1000):
        waiter = waiters.start()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiter.share.wake(waiter.inbox, clock.time() + 604_800)
        waiters.tasks.pop().cancel()
        await asyncio.sleep(0)
    watch = the_watch()
    assert len(watch.bell) <= 200


async def test_moments_come_although_the_store_cannot_be_opened(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """A deadline holds in an outage too."""
    source.on_open = failing(partial(StorageUnavailableError, "down"))
    waiter = waiters.start()
    await clock.advance(5.0)
    told = len(waiter.told)
    waiter.share.wake(waiter.inbox, clock.time() + 30)
    await clock.advance(29.0)
    assert len(waiter.told) == told
    await clock.advance(1.1)
    assert len(waiter.told) == told + 1


async def test_deadlines_of_many_at_one_moment_come_a_few_at_a_time(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """So that other triggers run in between."""
    turns = Turns()
    moment = clock.time() + 60
    for _ in range(500):
        waiters.start()
    await waiters.settle()
    watch = the_watch()
    inboxes = [turns.inbox() for _ in range(500)]
    for inbox in inboxes:
        watch.bell.at(moment, inbox.ring)
    advance = asyncio.create_task(clock.advance(61.0))
    await turns.take(3000)
    await advance
    assert sum(turns.woken.values()) == 500
    assert max(turns.woken.values()) <= 10


# Asking for a look.


async def test_refresh_returns_after_a_look_that_began_later(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Also while another look is under way, which may have begun too early."""
    waiter = waiters.start(until=lambda statuses: False)
    await clock.settle()
    source.held = asyncio.Event()
    source.put(in_state(KEY, State.IN_PROGRESS), sign=True)
    await clock.advance(0.1)
    assert len(source.looks) == 2  # under way
    source.put(complete(KEY), announced=False)
    refresh = asyncio.create_task(waiter.share.refresh([KEY]))
    await clock.settle()
    held, source.held = source.held, None
    assert not refresh.done()
    held.set()
    await clock.settle()
    assert refresh.done()
    assert waiter.inbox.statuses[KEY].state is State.COMPLETE
    assert len(source.looks) == 3
    watch = the_watch()
    (watched,) = watch.looks._targets.values()
    assert (watched.asked, watched.answering) == (
        None,
        None,
    )  # or they would be kept as long as anybody waits


async def test_refresh_of_nothing_returns_at_once(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """And looks at nothing."""
    waiter = waiters.start()
    await clock.settle()
    await waiter.share.refresh([])
    assert source.looks == [KEY]


async def test_refresh_returns_although_the_watch_fails(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """What it waited for will never be answered."""
    waiter = waiters.start()
    await clock.settle()

    class OddError(BaseException):
        pass

    source.on_look = failing(OddError)
    refresh = asyncio.create_task(waiter.share.refresh([KEY]))
    await clock.settle()
    assert refresh.done()
    source.on_look = calm
    source.put(complete(KEY), announced=False)
    await clock.advance(2.0)
    assert waiters.done == [True]


# The store cannot be opened.


@pytest.mark.parametrize(
    "error", [StorageUnavailableError("down"), ConfigError("no connection"), KeyError("bug")]
)
async def test_a_store_that_can_be_opened_at_last_is_watched(
    source: FakeSource, waiters: Waiters, clock: FakeClock, error: Exception
) -> None:
    """Meanwhile the waiters are told why it cannot."""
    faults = [error, error, error]

    def fail() -> None:
        if faults:
            raise faults.pop()

    source.on_open = fail
    source.put(complete(KEY))
    waiter = waiters.start()
    await clock.settle()
    assert waiter.states == [State.UNREADABLE]
    await clock.advance(7.0)
    assert waiters.done == [True]
    assert waiter.states == [State.UNREADABLE, State.COMPLETE]
    assert source.opened == 1


async def test_opening_that_never_ends_is_given_up(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """And tried again."""
    hang = [True, False]

    @asynccontextmanager
    async def opening() -> AsyncIterator[Source]:
        if hang.pop(0):
            await asyncio.get_running_loop().create_future()
        yield source

    source.open = opening  # type: ignore[method-assign]
    source.put(complete(KEY))
    waiter = waiters.start()
    await clock.advance(89.0)
    assert waiter.states == []
    await clock.advance(3.0)
    assert waiter.states == [State.UNREADABLE, State.COMPLETE]
    assert isinstance(waiter.told[0][KEY].error, StorageUnavailableError)


async def test_a_failure_after_a_long_time_is_a_new_one(
    source: FakeSource, waiters: Waiters, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A watch that fails once a day does not get slower and slower."""

    class OddError(BaseException):
        pass

    def fail(keys: object) -> None:
        source.on_look = calm
        raise OddError

    waiter = waiters.start()
    for _ in range(4):
        await clock.advance(300.0)
        source.on_look = fail
        await waiter.share.refresh([KEY])
        await clock.settle()
        status = waiter.inbox.statuses[KEY]
        assert status.state is State.UNREADABLE
        assert str(status.error).endswith("OddError: ")  # the cause, not the groups around it
        await clock.advance(1.1)
        assert waiter.inbox.statuses[KEY] == absent(KEY)
    assert caplog.text.count("(1 times in a row)") == 4


@pytest.mark.parametrize(
    ("error", "is_traced"), [(StorageUnavailableError("503"), False), (ZeroDivisionError("a bug"), True)]
)
async def test_a_store_that_cannot_be_opened_for_long_is_tried_every_twenty_seconds(
    source: FakeSource,
    waiters: Waiters,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    is_traced: bool,
) -> None:
    """Opening is the dearest of requests; the log has a traceback of what is no fault of the store."""
    tried: list[float] = []

    def fail() -> None:
        tried.append(clock.monotonic())
        raise error

    source.on_open = fail
    waiters.start()
    await clock.advance(600.0)
    pauses = [after - before for before, after in pairwise(tried)]
    assert max(pauses[:2]) <= 2.0
    assert min(pauses[6:]) >= 10.0
    assert max(pauses) <= 20.1
    assert all(bool(record.exc_info) is is_traced for record in caplog.records)
    assert f"({len(tried)} times in a row)" in caplog.text


async def test_refusals_of_the_feed_do_not_hide_that_the_targets_are_seen(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """A role may read the data and not the feed: then targets are looked at every minute."""
    source.on_hints = failing(partial(TargetAccessError, "the feed is forbidden"))
    waiter = waiters.start()
    await clock.advance(10.0)
    assert waiter.states == [State.ABSENT]
    source.put(complete(KEY), announced=False)
    await clock.advance(80.0)
    assert waiters.done == [True]
    assert target_hash(KEY) not in (source.feed or [])


# What it costs, and what it tells.


async def test_a_watch_with_nothing_to_do_takes_no_turn_of_the_loop(
    waiters: Waiters, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a thousand waits would cost a processor."""
    waiters.start()
    await clock.settle()
    loop, called = asyncio.get_running_loop(), 0
    call_soon = loop.call_soon

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal called
        called += 1
        return call_soon(*arguments, **options)

    monkeypatch.setattr(loop, "call_soon", counted)
    for _ in range(100):
        await asyncio.sleep(0)  # each of which is one
    assert called <= 105


async def test_an_error_that_nobody_foresaw_is_logged_once(
    source: FakeSource, waiters: Waiters, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With its traceback, since it is a mistake of somebody's; waiters are told of it as of any other."""
    source.on_look = failing(lambda: ZeroDivisionError("odd"))
    waiter = waiters.start(until=lambda statuses: False)
    await clock.settle()
    await clock.advance(200.0)
    assert waiter.inbox.statuses[KEY].state is State.UNREADABLE
    assert len(source.looks) > 1
    logged = [record for record in caplog.records if record.message == f"{KEY} cannot be looked at"]
    assert [record.exc_info is not None for record in logged] == [True]
