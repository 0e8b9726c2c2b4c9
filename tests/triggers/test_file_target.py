"""Wait for targets: one event, on time, that says what was found and what was not."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

import pytest

from fileflow_async import _compat
from fileflow_async.errors import (
    ConfigError,
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetNameError,
)
from fileflow_async.manifest import Producer
from fileflow_async.outcome import WaitEvent
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from fileflow_async.triggers import FileTargetTrigger
from tests.planting import DAY, HOUR, OLD, kept, plant, plant_commit, put
from tests.triggers.memory_stores import ROOT, Stores, replaced, waiting, why
from tests.watching import others

RUN = "shop/20260921T000000Z"
A, B, C = (f"{RUN}/{task}/output" for task in ("a", "b", "c"))


@pytest.fixture
async def stores(clock: FakeClock) -> AsyncIterator[Stores]:
    """Stores in memory; who still waits in the end is cancelled, and leaves nothing open and no task."""
    with replaced(clock) as stores:
        yield stores
        for task in others():
            task.cancel()
        await clock.settle()
        assert others() == set()
        assert stores.open == 0


class Log:
    """What was logged, level and line."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, event: str, *args: Any) -> None:
        self.lines.append(("info", event % args))

    def warning(self, event: str, *args: Any) -> None:
        self.lines.append(("warning", event % args))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """The log of the task that waits."""
    log = Log()
    monkeypatch.setattr(FileTargetTrigger, "log", log)
    return log


# Ready.


async def test_it_fires_when_the_target_is_committed(stores: Stores, clock: FakeClock) -> None:
    """The event is a reference to the version, small and JSON."""
    trigger = FileTargetTrigger(root=ROOT, targets=[A], conn_id="lake")
    events: list[Any] = []

    async def run() -> None:
        events.extend([event.payload async for event in trigger.run()])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fileflow_async.triggers.file_target._CLOCK", clock)
        task = asyncio.create_task(run())
        await clock.advance(100.0)
        assert not task.done()
        reference = await put(stores[ROOT], A, b"1234", format="csv")
        await clock.advance(6.0)
        assert task.done()
    (payload,) = events
    assert json.loads(json.dumps(payload)) == {
        "outcome": "ready",
        "ready": [reference.to_payload()],
        "missing": [],
        "ready_count": 1,
        "missing_count": 0,
    }
    assert WaitEvent.from_payload(payload).ready == (reference,)
    assert stores.opened == {(ROOT, "lake"): 1}
    assert stores.impatient  # the watch retries by itself: retries of retries would be a burden in an outage


async def test_what_is_there_already_ends_the_wait_at_once(stores: Stores, clock: FakeClock) -> None:
    """Without a poll."""
    await put(stores[ROOT], A, b"1")
    it = waiting(clock, A)
    await clock.settle()
    assert it.outcome == "ready"


@pytest.mark.parametrize(("when", "needed"), [("all", 3), ("any", 1), (2, 2), (3, 3)])
async def test_when_says_how_many(stores: Stores, clock: FakeClock, when: Any, needed: int) -> None:
    """The others are told as missing."""
    it = waiting(clock, A, B, C, when=when)
    for number, key in enumerate((C, A, B), start=1):
        assert it.outcome is None
        await put(stores[ROOT], key, b"1")
        await clock.advance(6.0)
        if number == needed:
            break
    assert it.event is not None
    assert (it.outcome, it.event.ready_count, it.event.missing_count) == ("ready", needed, 3 - needed)
    assert len(why(it.event)) == 3 - needed


async def test_targets_may_be_in_several_stores(stores: Stores, clock: FakeClock) -> None:
    """Each store is opened once, with the connection where it is of the same kind."""
    targets = [A, f"s3://lake/ff/{B}", f"s3://other/x/{A}", f"file:///data/ff/{A}", f"/data/ff/{B}"]
    it = waiting(clock, *targets, conn_id="lake")
    await clock.advance(1.0)
    assert stores.opened == {(ROOT, "lake"): 1, ("s3://other/x", "lake"): 1, ("file:///data/ff", None): 1}
    for root, key in (
        (ROOT, A),
        (ROOT, B),
        ("s3://other/x", A),
        ("file:///data/ff", A),
        ("file:///data/ff", B),
    ):
        assert it.outcome is None
        await put(stores[root], key, b"1")
        await clock.advance(6.0)
    assert it.event is not None
    assert [reference.root for reference in it.event.ready] == [
        ROOT,
        ROOT,
        "s3://other/x",
        *["file:///data/ff"] * 2,
    ]


async def test_a_target_that_is_named_twice_counts_once(stores: Stores, clock: FakeClock) -> None:
    """By its key and by its URI, by two spellings of the root: one place."""
    it = waiting(clock, A, A, f"{ROOT}/{A}", root=f"{ROOT}/")
    late = waiting(clock, B, f"{ROOT}/{B}", deadline=clock.time() + 5)
    await put(stores[ROOT], A, b"1")
    await clock.advance(6.0)
    assert it.event is not None
    assert (it.outcome, it.event.ready_count) == ("ready", 1)
    assert list(why(late.event)) == [B]  # as it was called first
    with pytest.raises(ConfigError, match="number from 1 to 1"):
        await FileTargetTrigger(root=ROOT, targets=[A, A], when=2).wait(clock)


async def test_waits_of_a_store_share_its_poll(stores: Stores, clock: FakeClock) -> None:
    """Whatever targets they wait for."""
    many = [waiting(clock, f"{RUN}/task{number}/output") for number in range(50)]
    await clock.advance(1.0)
    for number in range(50):
        await put(stores[ROOT], f"{RUN}/task{number}/output", b"1")
    await clock.advance(6.0)
    assert {it.outcome for it in many} == {"ready"}
    assert stores.opened == {(ROOT, None): 1}
    assert stores.storage().calls.count("tail.names") <= 3


# Not ready.


async def test_a_commit_before_newer_than_does_not_count(stores: Stores, clock: FakeClock) -> None:
    """And the event says so."""
    await put(stores[ROOT], A, b"1")
    await clock.advance(100.0)
    it = waiting(clock, A, newer_than=clock.time(), deadline=clock.time() + 60)
    stale = waiting(clock, A, newer_than=clock.time(), deadline=clock.time() + 10)
    await clock.advance(20.0)
    assert stale.outcome == "timeout"
    assert "but before 2026-09-21" in why(stale.event)[A]
    assert it.outcome is None
    await put(stores[ROOT], A, b"2")
    await clock.advance(6.0)
    assert it.outcome == "ready"


async def test_newer_than_may_be_about_some_targets(stores: Stores, clock: FakeClock) -> None:
    """By what `targets` calls them; a name that is not there would be a condition without effect."""
    await put(stores[ROOT], A, b"1")
    await put(stores[ROOT], B, b"1")
    uri = f"{ROOT}/{B}"
    it = waiting(clock, A, uri, newer_than={uri: clock.time() + 5})
    await clock.advance(10.0)
    assert it.outcome is None
    await put(stores[ROOT], B, b"2")
    await clock.advance(6.0)
    assert it.outcome == "ready"
    with pytest.raises(ConfigError, match="not waited for"):
        await FileTargetTrigger(root=ROOT, targets=[A], newer_than={B: 1.0}).wait(clock)


@pytest.mark.parametrize(
    ("policy", "outcome"), [("accept", "ready"), ("fail", "empty"), ("skip", "empty"), ("wait", None)]
)
async def test_on_empty(stores: Stores, clock: FakeClock, policy: Any, outcome: str | None) -> None:
    """Zero bytes are a commit; what it means is the waiter's to say."""
    await put(stores[ROOT], A, b"")
    it = waiting(clock, A, on_empty=policy)
    await clock.advance(30.0)
    assert it.outcome == outcome
    if policy == "wait":
        await put(stores[ROOT], A, b"1")
        await clock.advance(6.0)
        assert it.outcome == "ready"


@pytest.mark.parametrize(("policy", "outcome"), [("fail", "corrupt"), ("skip", "corrupt"), ("wait", None)])
async def test_on_corrupt(stores: Stores, clock: FakeClock, policy: Any, outcome: str | None) -> None:
    """Both sizes are named; a later commit mends it."""
    plant_commit(stores.storage(), A, OLD, b"1234", size=5)
    it = waiting(clock, A, on_corrupt=policy)
    await clock.advance(1.9)
    assert it.outcome is None
    await clock.advance(0.2)
    assert it.outcome == outcome
    if outcome:
        assert "has 4 bytes; the manifest says 5" in why(it.event)[A]
    else:
        await put(stores[ROOT], A, b"1")
        await clock.advance(6.0)
        assert it.outcome == "ready"


@pytest.mark.parametrize(
    ("policy", "outcome"), [("wait", None), ("fail", "abandoned"), ("skip", "abandoned")]
)
async def test_on_abandoned(stores: Stores, clock: FakeClock, policy: Any, outcome: str | None) -> None:
    """A producer that has been silent for a day may be dead."""
    plant(stores.storage(), f"{A}/{OLD}.csv", b"12", age=DAY + 60)
    it = waiting(clock, A, on_abandoned=policy)
    await clock.advance(10.0)
    assert it.outcome == outcome


async def test_a_producer_that_failed_for_good_ends_the_wait(stores: Stores, clock: FakeClock) -> None:
    """With the task, the try and the error's first line; its entry in the feed wakes the waiter."""
    it = waiting(clock, A, B)
    await clock.advance(10.0)
    producer = Producer(dag_id="shop", task_id="a", try_number=3)
    await stores[ROOT].fail(A, error="ValueError: no orders\nat line 3", producer=producer)
    await clock.advance(6.0)
    assert it.outcome == "failed"
    assert why(it.event)[A] == "its producer failed: a, try 3: ValueError: no orders"
    assert list(why(it.event)) == [A, B]  # the culprit first


async def test_with_any_the_failure_of_one_ends_nothing(stores: Stores, clock: FakeClock) -> None:
    """As long as the others can still be enough."""
    it = waiting(clock, A, B, when="any")
    await stores[ROOT].fail(A, error="no", producer=Producer(task_id="a"))
    await clock.advance(6.0)
    assert it.outcome is None
    await stores[ROOT].fail(B, error="no", producer=Producer(task_id="b"))
    await clock.advance(6.0)
    assert it.outcome == "failed"


# The deadline.


async def test_the_deadline_ends_the_wait_on_time(stores: Stores, clock: FakeClock) -> None:
    """With what is ready and what is missing, in which state."""
    await put(stores[ROOT], A, b"1")
    it = waiting(clock, A, B, deadline=clock.time() + 100)
    await clock.advance(99.9)
    assert it.outcome is None
    await clock.advance(0.2)
    assert it.outcome == "timeout"
    assert it.event is not None
    assert [reference.target for reference in it.event.ready] == [A]
    assert why(it.event) == {B: "nothing is there"}
    assert it.event.missing[0].state == "ABSENT"


async def test_a_commit_of_the_last_second_counts(stores: Stores, clock: FakeClock) -> None:
    """There is one more look at the deadline, and what the timeout says is as fresh."""
    it = waiting(clock, A, deadline=clock.time() + 100, poke_interval=3600)
    late = waiting(clock, B, deadline=clock.time() + 100, poke_interval=3600)
    await clock.advance(99.5)
    stores.storage()._tails.clear()  # no hint comes
    await put(stores[ROOT], A, b"1")
    plant(stores.storage(), f"{B}/{OLD}.csv", b"12")
    await clock.advance(0.6)
    assert it.outcome == "ready"
    assert late.outcome == "timeout"
    assert why(late.event)[B].startswith("being written by try 1 since 2026-09-21 14:13:19Z, 2 bytes")


async def test_the_last_look_takes_ten_seconds_at_most(stores: Stores, clock: FakeClock) -> None:
    """A store that hangs does not keep the task."""
    it = waiting(clock, A, deadline=clock.time() + 100)
    await clock.advance(50.0)
    hang(stores.storage())
    await clock.advance(50.1)
    assert it.outcome is None
    await clock.advance(9.8)
    assert it.outcome is None
    await clock.advance(0.3)
    assert it.outcome == "timeout"


async def test_a_store_that_never_answered_is_told_as_such(stores: Stores, clock: FakeClock) -> None:
    """Not as an absent target."""
    hang(stores.storage())
    it = waiting(clock, A, deadline=clock.time() + 30)
    await clock.advance(41.0)
    assert it.outcome == "timeout"
    assert why(it.event) == {A: "it could not be looked at yet"}
    assert it.event is not None
    assert it.event.missing[0].state == "UNREADABLE"


async def test_a_deadline_that_passed_while_no_triggerer_ran(stores: Stores, clock: FakeClock) -> None:
    """One look, and then the verdict: what is there counts."""
    await put(stores[ROOT], A, b"1")
    it = waiting(clock, A, deadline=clock.time() - 1000)
    late = waiting(clock, B, deadline=clock.time() - 1000)
    await clock.advance(0.1)
    assert (it.outcome, late.outcome) == ("ready", "timeout")


async def test_the_wall_clock_may_jump(stores: Stores) -> None:
    """A deadline is a moment of it; it is compared again at least every minute."""

    class Set(FakeClock):
        wrong = 0.0

        def time(self) -> float:
            return super().time() + self.wrong

    clock = Set()
    with replaced(clock):
        it = waiting(clock, A, deadline=clock.time() + 7200)
        await clock.advance(100.0)
        clock.wrong = -3600.0
        await clock.advance(7200.0)
        assert it.outcome is None
        clock.wrong = 0.0
        await clock.advance(60.0)
        assert it.outcome == "timeout"


async def test_without_a_deadline_it_waits(stores: Stores, clock: FakeClock) -> None:
    """For as long as it takes, at the price of its polls."""
    it = waiting(clock, A, poke_interval=600)
    await clock.advance(DAY / 2)
    assert it.outcome is None
    await put(stores[ROOT], A, b"1")
    await clock.advance(0.1)  # the store gives a sign
    assert it.outcome == "ready"


@pytest.mark.parametrize("deadline", [None, 3.0, 100.0])
async def test_no_event_comes_before_not_before(
    stores: Stores, clock: FakeClock, deadline: float | None
) -> None:
    """What is known by then is held back, a timeout too: Airflow fails tasks that are resumed too soon."""
    if deadline != 3.0:
        await put(stores[ROOT], A, b"1")
    until = None if deadline is None else clock.time() + deadline
    it = waiting(clock, A, deadline=until, not_before=clock.time() + 7)
    await clock.advance(6.9)
    assert it.outcome is None
    await clock.advance(0.2)
    assert it.outcome == ("timeout" if deadline == 3.0 else "ready")


async def test_not_before_in_the_past_holds_nothing_back(stores: Stores, clock: FakeClock) -> None:
    """After a failover the moment has passed long ago."""
    await put(stores[ROOT], A, b"1")
    it = waiting(clock, A, not_before=clock.time() - 1000)
    await clock.settle()
    assert it.outcome == "ready"


async def test_not_before_is_compared_again_every_minute(stores: Stores, clock: FakeClock) -> None:
    """The wall clock may jump meanwhile; and nothing of the store is held in these hours."""
    await put(stores[ROOT], A, b"1")
    it = waiting(clock, A, not_before=clock.time() + 3 * HOUR)
    await clock.advance(2 * HOUR)
    assert it.outcome is None
    assert stores.open == 0
    await clock.advance(HOUR)
    assert it.outcome == "ready"


async def test_a_jump_of_the_wall_clock_ends_what_is_held_back(stores: Stores) -> None:
    """It is not slept through."""

    class Set(FakeClock):
        wrong = 0.0

        def time(self) -> float:
            return super().time() + self.wrong

    clock = Set()
    with replaced(clock) as stores:
        await put(stores[ROOT], A, b"1")
        it = waiting(clock, A, not_before=clock.time() + HOUR)
        await clock.advance(60.0)
        clock.wrong = HOUR
        await clock.advance(61.0)
        assert it.outcome == "ready"


# The pace.


async def test_with_backoff_the_store_is_asked_half_as_often_each_time(
    stores: Stores, clock: FakeClock
) -> None:
    """Until max_wait."""
    waiting(clock, A, poke_interval=10, backoff=True, max_wait=60)
    asked = stores.storage().calls
    await clock.advance(1000.0)
    assert 16 <= asked.count("tail.names") <= 19  # after 10, 20, 40, then every 60 and a tenth
    before = asked.count("tail.names")
    await clock.advance(600.0)
    assert 9 <= asked.count("tail.names") - before <= 10


async def test_without_max_wait_a_poll_comes_every_ten_minutes(stores: Stores, clock: FakeClock) -> None:
    """Rechecks come with it."""
    waiting(clock, A, poke_interval=10, backoff=True)
    await clock.advance(6000.0)
    before = stores.storage().calls.count("tail.names")
    await clock.advance(6000.0)
    assert stores.storage().calls.count("tail.names") - before == 10


async def test_one_that_is_patient_does_not_slow_down_the_others(stores: Stores, clock: FakeClock) -> None:
    """Each has its own share in the common interval."""
    waiting(clock, A, poke_interval=10, backoff=True)
    waiting(clock, B, poke_interval=20)
    await clock.advance(1000.0)
    before = stores.storage().calls.count("tail.names")
    await clock.advance(200.0)
    assert 9 <= stores.storage().calls.count("tail.names") - before <= 11


# What it says.


async def test_the_log_tells_changes_only(stores: Stores, clock: FakeClock, log: Log) -> None:
    """Who writes since when and how much, once an attempt; the rest in the end."""
    it = waiting(clock, A, B, deadline=clock.time() + 3600)
    there = f"{B} (nothing is there)"
    await clock.advance(20.0)
    assert log.lines == [
        (
            "info",
            f"waiting until 2026-09-21 15:13:20Z: 0 of 2 targets ready: {A} (nothing is there), {there}",
        )
    ]
    log.lines.clear()
    for size in range(1, 20):
        plant(stores.storage(), f"{A}/{OLD}.csv", b"x" * size * 1000)
        await clock.advance(60.0)
    ((level, line),) = log.lines
    assert level == "info"
    assert line.startswith(f"0 of 2 targets ready: {A} (being written by try 1 since 2026-09-21 14:13:19Z, ")
    log.lines.clear()
    await put(stores[ROOT], A, b"1")
    await clock.advance(6.0)
    assert log.lines == [("info", f"1 of 2 targets ready: {A} (committed by try 1, 1 bytes)")]
    log.lines.clear()
    await put(stores[ROOT], B, b"1")
    await clock.advance(6.0)
    described = f"{A} (committed by try 1, 1 bytes), {B} (committed by try 1, 1 bytes)"
    assert log.lines == [("info", f"the wait ends: ready. 2 of 2 targets ready: {described}")]
    assert it.outcome == "ready"


async def test_a_wait_for_many_targets_logs_a_few_lines(stores: Stores, clock: FakeClock, log: Log) -> None:
    """Five names in a line, and how many more."""
    waiting(clock, *(f"{RUN}/task{number}/output" for number in range(500)), deadline=clock.time() + 60)
    await clock.advance(70.0)
    assert len(log.lines) < 30
    assert all(len(line) < 1000 for _, line in log.lines)
    assert any("more" in line for _, line in log.lines)


async def test_an_outage_is_logged_when_it_begins_and_when_it_ends(
    stores: Stores, clock: FakeClock, log: Log
) -> None:
    """Not at each attempt."""
    waiting(clock, A)
    await clock.advance(10.0)
    log.lines.clear()
    storage = stores.storage()
    fault = [0]

    def faults() -> Exception:
        fault[0] += 1
        return StorageUnavailableError(f"503 (request {fault[0]})")

    fail_with(storage, faults)
    await clock.advance(700.0)
    assert [level for level, _ in log.lines] == ["warning"]
    assert "503" in log.lines[0][1]
    fail_with(storage, None)
    await clock.advance(30.0)
    assert [level for level, _ in log.lines] == ["warning", "info"]


async def test_an_abandoned_target_is_a_warning_an_hour(stores: Stores, clock: FakeClock, log: Log) -> None:
    """Somebody should look after it, but not every few seconds."""
    plant(stores.storage(), f"{A}/{OLD}.csv", b"12", age=DAY + 60)
    waiting(clock, A, B, poke_interval=60)
    for _ in range(5):
        await put(stores[ROOT], B, b"1")  # what happens to others is no reason for another one
        await clock.advance(HOUR)
    await clock.advance(60.0)
    warnings = [line for level, line in log.lines if level == "warning"]
    assert len(warnings) == 6
    assert all("abandoned by try 1" in line for line in warnings)


async def test_an_abandoned_target_that_is_written_again_is_none(
    stores: Stores, clock: FakeClock, log: Log
) -> None:
    """No further warning comes."""
    plant(stores.storage(), f"{A}/{OLD}.csv", b"12", age=DAY + 60)
    waiting(clock, A, poke_interval=60)
    await clock.advance(600.0)
    plant(stores.storage(), f"{A}/{OLD}.csv", b"123")
    await clock.advance(3 * HOUR)
    assert [level for level, _ in log.lines] == ["warning", "info"]


async def test_how_it_ended_badly_is_a_warning(stores: Stores, clock: FakeClock, log: Log) -> None:
    """With the reason."""
    waiting(clock, A, deadline=clock.time() + 5)
    await clock.advance(6.0)
    assert log.lines[-1] == (
        "warning",
        f"the wait ends: timeout. 0 of 1 targets ready; missing {A} (nothing is there)",
    )


async def test_waits_are_measured(stores: Stores, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun, ended by outcome, how long; and what the watch counts."""
    measured: list[tuple[Any, ...]] = []

    class Stats:
        @staticmethod
        def incr(metric: str, number: int, *, tags: Mapping[str, str] | None) -> None:
            measured.append((metric, number, tags))

        @staticmethod
        def timing(metric: str, duration: Any, *, tags: Mapping[str, str] | None) -> None:
            measured.append((metric, duration.total_seconds(), tags))

    monkeypatch.setattr(_compat, "_stats", Stats)
    ready = waiting(clock, A)
    waiting(clock, B, deadline=clock.time() + 20)
    cancelled = waiting(clock, C)
    await clock.advance(10.0)
    await put(stores[ROOT], A, b"1")
    await clock.advance(5.0)
    cancelled.task.cancel()
    await clock.advance(10.0)
    with pytest.raises(ConfigError):
        await FileTargetTrigger(root=ROOT, targets=[]).wait(clock)
    assert ready.outcome == "ready"
    assert [each for each in measured if each[0] == "fileflow.waits.begun"] == [
        ("fileflow.waits.begun", 1, None)
    ] * 3
    ended = [each[2]["outcome"] for each in measured if each[0] == "fileflow.waits.ended"]
    assert ended == ["ready", "cancelled", "timeout"]
    waited = {each[2]["outcome"]: each[1] for each in measured if each[0] == "fileflow.wait_seconds"}
    assert waited["timeout"] == pytest.approx(20, abs=0.1)
    assert waited["cancelled"] == pytest.approx(15, abs=0.1)
    assert {"fileflow.polls", "fileflow.looks", "fileflow.hints"} <= {each[0] for each in measured}


async def test_without_metrics_it_waits_as_well(
    stores: Stores, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow 3.1 has none for code outside its core."""
    monkeypatch.setattr(_compat, "_stats", None)
    await put(stores[ROOT], A, b"1")
    it = waiting(clock, A)
    await clock.settle()
    assert it.outcome == "ready"


# Wrong arguments.


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"root": None}, ConfigError, "root must be a string, got None"),
        ({"root": "ftp://x"}, ConfigError, "storage scheme 'ftp' is not supported"),
        ({"root": "relative"}, ConfigError, "must be absolute"),
        ({"targets": A}, ConfigError, "targets must be a list of keys or URIs"),
        ({"targets": []}, ConfigError, "nothing to wait for"),
        ({"targets": [None]}, TargetNameError, "must be a string"),
        ({"targets": ["a/b"]}, TargetNameError, "not the key of a target"),
        ({"targets": ["s3://lake/x"]}, TargetNameError, "not the URI of a target"),
        ({"targets": [f"ftp://lake/{A}"]}, ConfigError, "storage scheme 'ftp' is not supported"),
        ({"conn_id": 5}, ConfigError, "conn_id must be a string"),
        ({"when": "most"}, ConfigError, "when must be 'all', 'any' or a number"),
        ({"when": True}, ConfigError, "when must be"),
        ({"when": 2}, ConfigError, "when must be"),
        ({"poke_interval": 0.5}, ConfigError, "poke_interval must be at least 1 second"),
        ({"poke_interval": float("nan")}, ConfigError, "poke_interval must be a positive number"),
        ({"deadline": "tomorrow"}, ConfigError, "deadline must be seconds since 1970"),
        ({"deadline": 1e300}, ConfigError, "deadline must be seconds since 1970"),
        ({"not_before": True}, ConfigError, "not_before must be seconds since 1970"),
        ({"newer_than": -1}, ConfigError, "newer_than must be seconds since 1970"),
        ({"newer_than": {A: "x"}}, ConfigError, "newer_than must be seconds since 1970"),
        ({"on_empty": "explode"}, ConfigError, "on_empty must be one of"),
        ({"on_corrupt": "accept"}, ConfigError, "on_corrupt must be one of"),
        ({"on_abandoned": []}, ConfigError, "on_abandoned must be one of"),
        ({"backoff": 1}, ConfigError, "backoff must be true or false"),
        ({"max_wait": 0}, ConfigError, "max_wait must be a positive number"),
    ],
)
async def test_a_wrong_argument_is_said_when_it_runs(
    clock: FakeClock, wrong: Mapping[str, Any], error: type[FileflowError], message: str
) -> None:
    """With an error of ours, before anything is opened."""
    trigger = FileTargetTrigger(**{"root": ROOT, "targets": [A], **wrong})
    with pytest.raises(error, match=message):
        await anext(trigger.run())


async def test_credentials_in_a_uri_are_refused_and_not_repeated(clock: FakeClock) -> None:
    """Somebody will try."""
    cases: list[dict[str, Any]] = [
        {"root": "s3://key:hush@lake/ff"},
        {"targets": [f"s3://key:hush@lake/ff/{A}"]},
    ]
    for wrong in cases:
        with pytest.raises(ConfigError) as caught:
            await FileTargetTrigger(**{"root": ROOT, "targets": [A], **wrong}).wait(clock)
        assert "hush" not in "".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


# Where others fail.


async def test_a_growing_file_never_fires(stores: Stores, clock: FakeClock) -> None:
    """FileTrigger fired on half-written files 20 times in 20."""
    it = waiting(clock, A)
    async with stores[ROOT].begin(A, format="csv") as draft:
        for size in range(10):
            await draft.write(b"x" * 1000)
            plant(stores.storage(), f"{A}/.{draft.attempt.name}.part", b"x" * size * 1000)
            await clock.advance(60.0)
            assert it.outcome is None
        del stores.storage().objects[f"{A}/.{draft.attempt.name}.part"]
        reference = await stores[ROOT].commit(draft)
    await clock.advance(6.0)
    assert it.event is not None
    assert it.event.ready == [reference]
    assert reference.size == 10_000


async def test_a_page_in_the_place_of_a_record_is_damage(stores: Stores, clock: FakeClock) -> None:
    """A captive portal says 200 to everything; S3KeyTrigger took that for the file."""
    plant(stores.storage(), f"{A}/{OLD}", b"data")
    plant(stores.storage(), f"{A}/{OLD}.ok", b"<html><body>Please log in</body></html>")
    it = waiting(clock, A)
    await clock.advance(5.0)
    assert it.outcome == "corrupt"
    assert "not valid JSON" in why(it.event)[A]


async def test_an_object_that_vanishes_between_list_and_read(stores: Stores, clock: FakeClock) -> None:
    """S3KeyTrigger ended without an event then, and its task failed."""
    storage = stores.storage()
    plant_commit(storage, A, OLD, b"1234")
    read_each = storage.read_each

    async def vanishing(keys: Any) -> Any:
        storage.objects.clear()
        return await read_each(keys)

    storage.read_each = vanishing  # type: ignore[method-assign]
    it = waiting(clock, A)
    await clock.advance(10.0)
    assert it.outcome is None
    storage.read_each = read_each  # type: ignore[method-assign]
    await put(stores[ROOT], A, b"1")
    await clock.advance(6.0)
    assert it.outcome == "ready"


@pytest.mark.parametrize(
    ("make", "seconds"),
    [
        (partial(StorageUnavailableError, "the credentials have expired"), 300.0),
        (partial(StorageUnavailableError, "503 SlowDown"), 600.0),
        (partial(ConnectionResetError, 104, "reset by peer"), 600.0),
    ],
)
async def test_what_passes_is_waited_out(
    stores: Stores, clock: FakeClock, make: Callable[[], Exception], seconds: float
) -> None:
    """S3KeyTrigger failed at the first answer about expired credentials, and after 10 s of 503."""
    it = waiting(clock, A, deadline=clock.time() + HOUR)
    await clock.advance(10.0)
    fail_with(stores.storage(), make)
    before = len(stores.storage().calls)
    await clock.advance(seconds)
    assert it.outcome is None
    assert len(stores.storage().calls) - before <= 1.1 * seconds / 5 + seconds / 60 + 1
    fail_with(stores.storage(), None)
    await put(stores[ROOT], A, b"1")
    await clock.advance(21.0)
    assert it.outcome == "ready"


@pytest.mark.parametrize(
    "make",
    [partial(TargetAccessError, "403 AccessDenied"), partial(OSError, 13, "an unreadable directory")],
)
async def test_what_does_not_pass_ends_the_wait_within_90_seconds(
    stores: Stores, clock: FakeClock, make: Callable[[], Exception]
) -> None:
    """FileTrigger waited for ever at an unreadable directory."""
    it = waiting(clock, A, deadline=clock.time() + HOUR)
    fail_with(stores.storage(), make)
    await clock.advance(60.0)
    assert it.outcome is None
    await clock.advance(30.0)
    assert it.outcome == "unreadable"
    assert str(make()) in why(it.event)[A]


async def test_a_connection_that_does_not_exist_ends_the_wait(stores: Stores, clock: FakeClock) -> None:
    """But it may be made meanwhile."""
    stores.fault = ConfigError("connection 'lake' does not exist")
    it = waiting(clock, A)
    await clock.advance(55.0)
    stores.fault = None
    await put(stores[ROOT], A, b"1")
    await clock.advance(25.0)
    assert it.outcome == "ready"
    stores.fault = ConfigError("connection 'lake' does not exist")
    it = waiting(clock, B)
    await clock.advance(90.0)
    assert it.outcome == "unreadable"
    assert why(it.event) == {B: "connection 'lake' does not exist"}


async def test_a_hung_store_keeps_only_those_who_wait_for_it(stores: Stores, clock: FakeClock) -> None:
    """60 hung FileTriggers kept a healthy one waiting for 9 seconds."""
    hang(stores.storage("s3://hung"))
    hung = [waiting(clock, f"{RUN}/task{number}/output", root="s3://hung") for number in range(60)]
    it = waiting(clock, A)
    await clock.advance(100.0)
    await put(stores[ROOT], A, b"1")
    await clock.advance(0.1)
    assert it.outcome == "ready"
    assert not any(each.outcome for each in hung)


async def test_many_targets_make_a_small_event(stores: Stores, clock: FakeClock) -> None:
    """An event is a row in Airflow's database: 16 kB at most."""
    keys = [f"{RUN}/{'x' * 100}{number}/output" for number in range(300)]
    for key in keys[:150]:
        await put(stores[ROOT], key, b"1")
    it = waiting(clock, *keys, deadline=clock.time() + 5)
    await clock.advance(6.0)
    for _ in range(20):
        await clock.settle()
    assert it.event is not None
    payload = it.event.to_payload()
    assert (payload["ready_count"], payload["missing_count"]) == (150, 150)
    assert 0 < len(payload["ready"]) <= 20
    assert 0 < len(payload["missing"]) <= 20
    assert len(json.dumps(payload)) <= 16_000
    assert kept(stores.storage(), RUN)


async def test_cancelling_one_leaves_the_others_alone(stores: Stores, clock: FakeClock) -> None:
    """Also the one that came first."""
    first, second = waiting(clock, A), waiting(clock, A)
    await clock.advance(10.0)
    first.task.cancel()
    await clock.settle()
    assert first.task.cancelled()
    await put(stores[ROOT], A, b"1")
    await clock.advance(6.0)
    assert second.outcome == "ready"


def fail_with(storage: MemoryStorage, make: Callable[[], Exception] | None) -> None:
    """Let every call fail, each with an error of its own; None mends it."""
    if make is None:
        del storage._called
        return

    async def called(method: str) -> None:
        storage.calls.append(method)
        await asyncio.sleep(0)
        raise make()

    storage._called = called  # type: ignore[method-assign]


def hang(storage: MemoryStorage) -> None:
    """Let no call ever end."""

    async def called(method: str) -> None:
        storage.calls.append(method)
        await asyncio.get_running_loop().create_future()

    storage._called = called  # type: ignore[method-assign]
