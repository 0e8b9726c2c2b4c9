"""A store in trouble: nobody is lost, nobody is told too early, and it is not asked more than usual."""

import asyncio
import logging
import math
import re
from collections.abc import Callable, Collection
from functools import partial

import pytest

from fileflow_async.criteria import Criteria
from fileflow_async.errors import (
    ConfigError,
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
)
from fileflow_async.outcome import Outcome
from fileflow_async.status import State
from fileflow_async.testing.clock import FakeClock
from fileflow_async.waiting import Wait
from fileflow_async.watch.unseen import backoff
from tests.watching import KEY, RUN, FakeSource, Waiter, Waiters, absent, calm, complete, failing, in_state

TRANSIENT: list[Callable[[], Exception]] = [
    partial(StorageUnavailableError, "503 SlowDown"),
    partial(ConnectionResetError, 104, "Connection reset by peer"),
    partial(TimeoutError, ""),
    asyncio.CancelledError,  # type: ignore[list-item]  # what a pool that is shut down answers
]
PERMANENT: list[Callable[[], Exception]] = [
    partial(TargetAccessError, "403 AccessDenied"),
    partial(ConfigError, "no such bucket"),
    partial(KeyError, "a bug"),
    partial(OSError, 40, "too many links"),
]


@pytest.mark.parametrize("make", TRANSIENT + PERMANENT)
@pytest.mark.parametrize("where", ["look", "hints", "both", "open"])
async def test_a_burst_of_faults_loses_nobody(
    source: FakeSource, waiters: Waiters, clock: FakeClock, make: Callable[[], Exception], where: str
) -> None:
    """25 waiters, three seconds: all are told within a round of retries."""
    if where == "open":
        source.on_open = failing(make)
    keys = [f"dag{number}/20260921T000000Z/task/output" for number in range(25)]
    for key in keys:
        waiters.start(key)
    await clock.advance(1.0)
    if where in ("look", "both"):
        source.on_look = failing(make)
    if where in ("hints", "both"):
        source.on_hints = failing(make)
    for key in keys:
        source.put(complete(key), sign=True)
        await clock.advance(0.12)
    source.on_look = source.on_hints = source.on_open = calm
    await clock.advance(21.0)
    assert all(waiters.done)


@pytest.mark.parametrize("make", TRANSIENT)
@pytest.mark.parametrize("where", ["look", "both", "open"])
async def test_ten_minutes_of_an_outage_end_no_wait(
    source: FakeSource, waiters: Waiters, clock: FakeClock, make: Callable[[], Exception], where: str
) -> None:
    """It is waited out; whoever waits hears why, and is ready as soon as it is over."""
    wait = Wait(targets=[KEY], criteria=Criteria())
    ended = []

    def decide(statuses: object) -> bool:
        event = wait.decide(statuses, clock.monotonic())  # type: ignore[arg-type]
        ended.extend([event.outcome] if event else [])
        return event is not None

    if where == "open":
        source.on_open = failing(make)
    else:
        source.on_look = failing(make)
    if where == "both":
        source.on_hints = failing(make)
    waiter = waiters.start(until=decide)
    await clock.advance(600.0)
    assert waiter.states == [State.UNREADABLE]
    assert isinstance(waiter.inbox.statuses[KEY].error, StorageUnavailableError)
    assert ended == []
    source.put(complete(KEY))
    source.on_look = source.on_hints = source.on_open = calm
    await clock.advance(21.0)
    assert ended == [Outcome.READY]


@pytest.mark.parametrize("make", PERMANENT)
@pytest.mark.parametrize("where", ["look", "answer", "both", "open"])
async def test_a_refusal_ends_every_wait_within_90_seconds(
    source: FakeSource, waiters: Waiters, clock: FakeClock, make: Callable[[], Exception], where: str
) -> None:
    """But not within 60: rights and mounts come and go for a moment. Each hears of its own target."""
    keys = [f"dag{number % 7}/20260921T000000Z/task{number}/output" for number in range(100)]
    if where == "open":
        source.on_open = failing(make)
    elif where == "answer":
        for key in keys:
            error = make()
            source.truth[key] = error if isinstance(error, FileflowError) else ConfigError(str(error))
    else:
        source.on_look = failing(make)
    if where == "both":
        source.on_hints = failing(make)
    outcomes: dict[str, tuple[Outcome, float, str]] = {}

    def start(key: str) -> Waiter:
        wait = Wait(targets=[key], criteria=Criteria())

        def decide(statuses: object) -> bool:
            event = wait.decide(statuses, clock.monotonic())  # type: ignore[arg-type]
            if event is not None:
                outcomes[key] = event.outcome, clock.monotonic(), event.missing[0].target
            return event is not None

        return waiters.start(key, until=decide)

    everybody = [start(key) for key in keys]
    await clock.advance(60.0)
    await waiters.settle()
    assert outcomes == {}
    for _ in range(15):
        await clock.advance(2.0)
        await waiters.settle()
    assert {(outcome, target) for outcome, _, target in outcomes.values()} == {
        (Outcome.UNREADABLE, key) for key in keys
    }
    errors = {id(waiter.inbox.statuses[key]) for key, waiter in zip(keys, everybody, strict=True)}
    assert len(errors) == len(keys)


async def test_a_refusal_of_one_target_leaves_the_others_alone(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """They are answered by the same look."""
    source.truth[KEY] = TargetAccessError("an unreadable directory")
    waiter = waiters.start()
    waiters.start(f"{RUN}/other/output")
    await clock.advance(1.0)
    source.put(complete(f"{RUN}/other/output"), sign=True)
    await clock.advance(0.1)
    assert waiters.done == [False, True]
    assert waiter.states == [State.UNREADABLE]
    source.put(complete(KEY))
    await clock.advance(6.0)
    assert waiters.done == [True, True]


@pytest.mark.parametrize("poison", [0, 31, 63])
async def test_a_target_that_breaks_the_look_does_not_end_the_waits_for_the_others(
    source: FakeSource, waiters: Waiters, clock: FakeClock, poison: int
) -> None:
    """An error that nobody foresaw, of one record: only who waits for that target hears of it."""
    keys = [f"{RUN}/task{number:02}/output" for number in range(64)]

    def odd(batch: Collection[str]) -> None:
        if keys[poison] in batch:
            raise ZeroDivisionError("nobody foresaw that")

    source.on_look = odd
    everybody = [waiters.start(key) for key in keys]
    await clock.advance(1.0)
    for key in keys:
        source.put(complete(key), sign=True)
    await clock.advance(1.0)
    await waiters.settle()
    assert [number for number, done in enumerate(waiters.done) if not done] == [poison]
    assert "ZeroDivisionError" in everybody[poison].inbox.statuses[keys[poison]].why


async def test_a_target_without_an_answer_is_asked_for_again(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """A source that forgets one must not stop the waits for all."""
    look, forget = source.look, {KEY}

    async def forgetful(keys: Collection[str]) -> dict[str, object]:
        answers = await look(keys)
        return {key: answer for key, answer in answers.items() if key not in forget}

    source.look = forgetful  # type: ignore[assignment]
    waiters.start()
    waiters.start(f"{RUN}/other/output")
    source.put(complete(KEY))
    source.put(complete(f"{RUN}/other/output"))
    await clock.advance(1.0)
    assert waiters.done == [False, True]
    forget.clear()
    await clock.advance(6.0)
    assert waiters.done == [True, True]


# What never answers.


async def test_a_look_that_never_ends_is_given_up_after_90_seconds(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """A hung disk, a lost answer: it would keep its targets from ever being looked at again."""
    source.held = asyncio.Event()
    waiter = waiters.start()
    await clock.settle()
    source.held = None  # the one under way goes on to wait
    await clock.advance(89.9)
    assert waiter.states == []
    source.put(complete(KEY), announced=False)
    await clock.advance(2.0)
    assert waiters.done == [True]
    assert waiter.states in ([State.UNREADABLE, State.COMPLETE], [State.COMPLETE])  # a recheck may be due


async def test_a_store_that_never_answers_says_so(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Whoever waits for it learns why, and waits on: it is an outage."""
    source.held = asyncio.Event()
    waiter = waiters.start()
    await clock.advance(91.0)
    assert waiter.states == [State.UNREADABLE]
    assert isinstance(waiter.inbox.statuses[KEY].error, StorageUnavailableError)


async def test_a_poll_that_never_ends_is_given_up_after_90_seconds(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Until then nothing else would look for commits."""
    hints = source.hints
    hang = [True]

    async def hanging() -> object:
        if hang:
            hang.pop()
            await asyncio.get_running_loop().create_future()
        return await hints()

    source.hints = hanging  # type: ignore[assignment]
    waiters.start()
    await clock.advance(1.0)
    source.put(complete(KEY))
    await clock.advance(88.0)
    assert waiters.done == [False]
    await clock.advance(10.0)
    assert waiters.done == [True]


# How often a store in trouble is asked.


def requests(source: FakeSource) -> int:
    """Return how many requests a source was asked for."""
    return source.polled + len(source.looked)


@pytest.mark.parametrize("count", [1, 1000])
@pytest.mark.parametrize("make", TRANSIENT)
async def test_an_outage_is_not_answered_by_more_requests_than_usual(
    source: FakeSource, waiters: Waiters, clock: FakeClock, count: int, make: Callable[[], Exception]
) -> None:
    """At most 1.1 an interval, and the rechecks of a minute; however many wait, and however many come."""
    keys = [f"dag{number % 10}/20260921T000000Z/task{number}/output" for number in range(count)]
    waiters.start(*keys, interval=5.0)
    await clock.advance(10.0)
    source.on_look = source.on_hints = failing(make)
    before, polled = requests(source), source.polled
    await clock.advance(600.0)
    rechecks = 10 * (math.ceil(count / 64) + 10)  # of a run together, so that not every batch is full
    assert requests(source) - before <= 1.1 * 600 / 5 + rechecks
    assert source.polled - polled <= 600 / 10 + 6  # up to twenty seconds apart
    source.on_look = source.on_hints = calm
    for key in keys:
        source.put(complete(key), announced=False)
    await clock.advance(75.0)
    await waiters.settle()
    assert waiters.done == [True]


async def test_a_part_of_a_store_that_is_down_is_tried_by_samples(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """S3 throttles by prefix: the feed can be read, so that nothing else says when it is over."""
    keys = [f"{RUN}/task{number:04}/output" for number in range(1000)]
    waiters.start(*keys)
    waiters.start(KEY.replace("shop", "other"))
    await clock.advance(10.0)

    def throttled(batch: Collection[str]) -> None:
        if batch[0].startswith("shop"):  # type: ignore[index]
            raise StorageUnavailableError("503")

    source.on_look = throttled
    for key in keys:
        source.put(complete(key))
    await clock.advance(10.0)  # all are seen to be down
    before = len(source.looked)
    await clock.advance(300.0)
    assert len(source.looked) - before <= 300 / 7.5 + 16  # a sample in a round, and one recheck
    source.put(complete(KEY.replace("shop", "other")), sign=True)
    await clock.advance(0.1)
    assert waiters.done == [False, True]
    source.on_look = calm
    await clock.advance(22.0)  # a round, and a second to the next one
    await waiters.settle()
    assert waiters.done == [True, True]


async def test_a_store_that_recovers_bit_by_bit_is_asked_once_a_second(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Each answer makes the others worth a try, but not each at once."""
    keys = [f"{RUN}/task{number:04}/output" for number in range(64 * 50)]
    waiters.start(*keys)
    source.on_look = failing(partial(StorageUnavailableError, "503"))
    await clock.advance(60.0)
    await waiters.settle()

    def one(batch: Collection[str]) -> None:
        for number, key in enumerate(batch):
            source.truth[key] = StorageUnavailableError("503") if number else absent(key)

    source.on_look = one
    before = len(source.looked)
    while len(source.looked) == before:
        await clock.advance(0.1)
    for _ in range(50):
        await clock.advance(0.1)
        await waiters.settle()
    assert 50 <= len(source.looked) - before <= 7 * 50


async def test_while_the_poll_gets_no_answer_it_is_the_sample(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Nothing else is tried but what a minute's recheck looks at."""
    waiters.start()
    await clock.advance(10.0)
    source.on_look = source.on_hints = failing(partial(StorageUnavailableError, "503"))
    await clock.advance(60.0)
    before = len(source.looked)
    await clock.advance(600.0)
    assert len(source.looked) - before <= 11


def test_those_that_failed_together_do_not_come_back_together() -> None:
    """The pause has a jitter, at each step of it, up to its longest."""
    for failures in (1, 3, 10, 1000):
        pauses = {backoff(failures) for _ in range(100)}
        assert len(pauses) > 50
        longest = min(20.0, 2.0 ** (failures - 1))
        assert longest / 2 <= min(pauses) <= max(pauses) <= longest


async def test_a_refusal_that_has_passed_is_tried_no_more(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """The next look is that of the feed, or the recheck."""
    source.truth[KEY] = TargetAccessError("403")
    waiters.start()
    await clock.advance(10.0)
    del source.truth[KEY]
    await clock.advance(30.0)
    before = len(source.looks)
    await clock.advance(100.0)
    assert len(source.looks) - before <= 1


async def test_samples_are_taken_everywhere(source: FakeSource, waiters: Waiters, clock: FakeClock) -> None:
    """The first may stay down; that the last can be seen again is noticed before their recheck."""
    keys = [f"dag{number:04}/20260921T000000Z/task/output" for number in range(200)]
    for key in keys:
        source.truth[key] = StorageUnavailableError("down")
    waiters.start(*keys)
    await clock.advance(60.0)
    before = len(source.looks)
    await clock.advance(200.0)
    assert len(set(source.looks[before:])) > 150


async def test_each_outage_begins_with_short_pauses(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """Also when nobody waited for the end of the last one."""
    waiters.start(f"{RUN}/other/output")
    await clock.advance(1.0)
    source.truth[KEY] = StorageUnavailableError("down")
    waiters.start()
    await clock.advance(120.0)
    waiters.tasks[1].cancel()
    await clock.advance(30.0)
    waiters.start()
    await clock.advance(0.5)
    source.put(complete(KEY), announced=False)
    await clock.advance(2.5)
    assert waiters.done[2]


async def test_what_is_down_is_tried_by_samples_while_the_feed_refuses(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """A refusal says nothing about whether targets can be seen again."""
    waiters.start()
    await clock.advance(10.0)
    source.on_hints = failing(partial(TargetAccessError, "403"))
    source.on_look = failing(partial(StorageUnavailableError, "503"))
    await clock.advance(25.0)
    before = len(source.looked)
    await clock.advance(21.0)
    assert len(source.looked) > before


async def test_the_feed_is_the_sample_only_as_long_as_it_gets_no_answer(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """The next outage may be one of the targets alone."""
    waiters.start()
    await clock.advance(10.0)
    source.on_look = source.on_hints = failing(partial(StorageUnavailableError, "503"))
    await clock.advance(60.0)
    source.on_look = source.on_hints = calm
    await clock.advance(30.0)
    source.on_look = failing(partial(StorageUnavailableError, "503"))
    source.put(in_state(KEY, State.IN_PROGRESS))  # the feed leads to a look, which fails
    await clock.advance(10.0)
    source.put(complete(KEY), announced=False)
    source.on_look = calm
    await clock.advance(21.0)
    assert waiters.done == [True]


async def test_who_comes_in_an_outage_adds_a_look_each_and_no_chain_of_them(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """A hundred who come for one target make a hundred looks, not a hundred for ever."""
    source.on_look = failing(partial(StorageUnavailableError, "503"))
    waiters.start()
    await clock.advance(60.0)
    for _ in range(100):
        waiters.start()
        await clock.advance(0.1)
    before = len(source.looked)
    await clock.advance(100.0)
    assert len(source.looked) - before <= 100 / 7.5


async def test_a_recovered_store_is_looked_at_as_soon_as_its_feed_can_be_read(
    source: FakeSource, waiters: Waiters, clock: FakeClock
) -> None:
    """The poll is the sample: with its first answer all that could not be seen is looked at."""
    keys = [f"{RUN}/task{number:04}/output" for number in range(500)]
    waiters.start(*keys)
    await clock.advance(10.0)
    source.on_look = source.on_hints = failing(partial(StorageUnavailableError, "503"))
    await clock.advance(100.0)
    for key in keys:
        source.put(complete(key), announced=False)
    source.on_look = source.on_hints = calm
    polled = source.polled
    while source.polled == polled:
        await clock.advance(0.5)
    await waiters.settle()
    assert waiters.done == [True]


async def test_a_feed_that_cannot_be_read_is_told_once_and_so_is_its_return(
    source: FakeSource, waiters: Waiters, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at every poll of an outage of hours."""
    waiters.start(interval=1.0)
    await clock.advance(1.5)
    with caplog.at_level(logging.INFO, "fileflow_async"):
        source.on_hints = failing(partial(StorageUnavailableError, "503 SlowDown"))
        await clock.advance(120.0)
        source.on_hints = calm
        await clock.advance(25.0)
    told, back = (message for message in caplog.messages if "the feed can" in message)
    assert told == "the feed cannot be read, targets are looked at every minute: 503 SlowDown"
    assert re.fullmatch(r"the feed can be read again, after \d+ attempts", back)
