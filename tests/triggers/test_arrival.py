"""Wait in the triggerer until outsiders have put their files."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from fileflow_async import _compat, triggers
from fileflow_async.arrivals import Lookout
from fileflow_async.arrived import Arrived
from fileflow_async.errors import ConfigError, StorageUnavailableError, TargetAccessError
from fileflow_async.hooks import outside as hooks_outside
from fileflow_async.outcome import Outcome
from fileflow_async.storage.outside import Answer, Look, Outside, Seen
from fileflow_async.storage.search import Search
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.trigger_contract import TriggerContract
from fileflow_async.triggers import arrival
from fileflow_async.triggers.arrival import ArrivalTrigger
from tests.airflow_harness import through_airflow
from tests.leftovers import assert_nothing_new, held
from tests.s3_servers.backdoor import Backdoor

T = TypeVar("T")

EVERYTHING: dict[str, Any] = {
    "path": "/in/a.csv",
    "pattern": "/in/*.csv",
    "conn_id": "drop",
    "looks": 4,
    "look_interval": 20.0,
    "min_age": 90.0,
    "min_size": 2,
    "min_count": 3,
    "done_file": "{name}.done",
    "on_arriving": "skip",
    "poke_interval": 7.0,
    "backoff": True,
    "max_wait": 600.0,
    "deadline": 1_790_000_600.0,
    "not_before": 1_790_000_007.0,
}


class TestArrivalTrigger(TriggerContract):
    """One event for a wait, as for any other."""

    kind = ArrivalTrigger
    secrets = ("what-nobody-may-see",)
    folder = ""

    @pytest_asyncio.fixture(autouse=True)
    async def a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that its producer vouches for, which a connection opens."""
        extra = {"path": "/", "password": self.secrets[0]}
        connection = {"conn_type": "fs", "password": self.secrets[0], "extra": json.dumps(extra)}
        monkeypatch.setenv("AIRFLOW_CONN_DROP", json.dumps(connection))
        for name in ("a.csv", "a.csv.done"):
            await asyncio.to_thread((tmp_path / name).write_text, "x")
        self.folder = str(tmp_path)

    def arguments(self) -> Mapping[str, Any]:
        return EVERYTHING

    def waiting(self) -> ArrivalTrigger:
        return ArrivalTrigger(pattern=f"{self.folder}/b*.csv")

    def firing(self) -> ArrivalTrigger:
        path = f"{self.folder}/a.csv"
        return ArrivalTrigger(path=path, done_file="{name}.done", conn_id="drop", poke_interval=1.0)

    def through_airflow(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        return through_airflow(arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "neither path nor pattern given"),
        ({"path": "/a", "pattern": "/b"}, "both path and pattern given"),
        ({"path": 5}, "path must be a string, got int"),
        ({"path": "/a", "looks": 0}, "looks must be an integer >= 1, got 0"),
        ({"path": "/a", "look_interval": 0}, "look_interval must be at least 1 second, got 0"),
        ({"path": "/a", "min_age": "old"}, "min_age must be a number of seconds >= 0, got 'old'"),
        ({"path": "/a", "min_size": None}, "min_size must be an integer >= 0, got None"),
        ({"path": "/a", "min_count": 2}, "min_count is 2, but '/a' means one file only"),
        ({"path": "/a", "on_arriving": 1}, "on_arriving must be one of 'wait', 'skip', got 1"),
        ({"path": "/a", "done_file": "{name}"}, "done_file '{name}' is the file itself"),
        ({"path": "/a", "poke_interval": 0.01}, "poke_interval must be at least 1 second, got 0.01"),
        ({"path": "/a", "conn_id": ["drop"]}, "conn_id must be a string, got ['drop']"),
        ({"path": "/a", "backoff": "yes"}, "backoff must be true or false, got 'yes'"),
        ({"path": "/a", "max_wait": 0}, "max_wait must be a positive number of seconds, got 0"),
        ({"path": "/a", "deadline": "soon"}, "deadline must be seconds since 1970, got 'soon'"),
        ({"path": "/a", "not_before": float("nan")}, "not_before must be seconds since 1970, got nan"),
    ],
    ids=str,
)  # fmt: skip
async def test_a_wrong_argument_fails_its_own_task_only(arguments: dict[str, Any], message: str) -> None:
    """The constructor says nothing: there it would end the whole triggerer."""
    trigger = ArrivalTrigger(**arguments)
    with pytest.raises(ConfigError) as caught:
        await anext(trigger.run())
    assert str(caught.value) == message


# A place in memory, on a clock that stands still.


class Place:
    """What is where all triggers of a test look; in it nothing is ever written to a second time by itself."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.files: dict[str, Seen] = {}
        self.fault: Exception | None = None
        self.answering = asyncio.Event()
        self.answering.set()
        self.looks: list[float] = []
        self.opened = 0

    def put(self, name: str, *, age: float = 1000.0, size: int = 5, **more: Any) -> None:
        self.files[name] = Seen(path=name, size=size, modified=self.clock.time() - age, **more)

    @asynccontextmanager
    async def open(self, search: Search, conn_id: str | None) -> AsyncIterator[Outside]:
        self.opened += 1
        yield self

    async def look(self, searches: Collection[Search], then: Callable[[Mapping[Search, Answer]], T]) -> T:
        self.looks.append(self.clock.monotonic())
        await self.answering.wait()
        if self.fault is not None:
            raise self.fault
        now = self.clock.time()
        return then(
            {
                search: Look(seen=[s for n, s in self.files.items() if search.pattern.matches(n)], now=now)
                for search in searches
            }
        )


@pytest.fixture
async def place(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(clock)
    monkeypatch.setattr(arrival, "open_outside", made.open)
    return made


def waiting(place: Place, **arguments: Any) -> "asyncio.Task[Arrived]":
    """Start to wait for `/in/*.csv`, unless something else is said."""
    given = arguments if "path" in arguments else {"pattern": "/in/*.csv", **arguments}
    return asyncio.create_task(ArrivalTrigger(**given).wait(place.clock))


def outcome(task: "asyncio.Task[Arrived]") -> Outcome | None:
    return task.result().outcome if task.done() else None


async def end(*tasks: "asyncio.Task[Arrived]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_a_file_that_stays_the_same_arrives(place: Place) -> None:
    """After three looks over a minute."""
    place.put("a.csv")
    task = waiting(place)
    await place.clock.advance(59.0)
    assert outcome(task) is None
    await place.clock.advance(12.0)
    assert outcome(task) is Outcome.READY
    assert [file.uri for file in task.result().ready] == ["file:///in/a.csv"]


async def test_waiters_of_a_place_share_its_looks(place: Place) -> None:
    """By the folder and the connection, not by what they look for."""
    tasks = [waiting(place, path=f"/in/{n}.csv") for n in range(50)]
    await place.clock.advance(6.0)
    assert place.opened == 1
    other = [waiting(place, path="/other/a.csv"), waiting(place, path="/in/0.csv", conn_id="drop")]
    await place.clock.advance(6.0)
    assert place.opened == 3
    await end(*tasks, *other)


async def test_the_first_looks_are_spread(place: Place) -> None:
    """Ten thousand that start together must not look together; at most five seconds, at most an interval."""
    tasks = [waiting(place, path=f"/in{n}/a.csv") for n in range(40)]
    await place.clock.advance(5.0)
    assert len(place.looks) == 40
    assert len({round(at, 1) for at in place.looks}) > 15
    await end(*tasks)


async def test_the_deadline_ends_the_wait_with_a_last_look(place: Place) -> None:
    """It is absolute; what has come since the look before still counts."""
    task = waiting(place, poke_interval=50.0, done_file="{name}.done", deadline=place.clock.time() + 40.0)
    await place.clock.advance(39.9)
    assert (outcome(task), len(place.looks)) == (None, 1)
    place.put("a.csv", done=place.clock.time())
    await place.clock.advance(0.2)
    assert (outcome(task), len(place.looks)) == (Outcome.READY, 2)


async def test_a_wait_that_is_over_says_what_is_missing(place: Place) -> None:
    """Exactly one event, in time, whatever was there."""
    place.put("a.csv", age=-20.0)
    task = waiting(place, deadline=place.clock.time() + 40.0)
    await place.clock.advance(40.6)  # two looks are half a second apart
    event = task.result()
    assert event.outcome is Outcome.TIMEOUT
    assert event.missing[0].why == "it is new or changes; it has to be the same in 3 looks over 60 s"


async def test_a_deadline_in_the_past_leaves_one_look(place: Place) -> None:
    """As after a long time without a triggerer."""
    place.put("a.csv", done=place.clock.time())
    for done_file, expected in (("{name}.done", Outcome.READY), (None, Outcome.TIMEOUT)):
        task = waiting(place, done_file=done_file, deadline=place.clock.time() - 1000.0)
        await place.clock.advance(0.1)
        assert outcome(task) is expected
    assert len(place.looks) == 2


async def test_a_place_that_hangs_cannot_hold_the_deadline(place: Place) -> None:
    """It is given ten seconds for the last look."""
    place.answering.clear()
    task = waiting(place, deadline=place.clock.time() + 40.0)
    await place.clock.advance(49.0)
    assert outcome(task) is None
    await place.clock.advance(1.1)
    assert outcome(task) is Outcome.TIMEOUT
    assert task.result().missing[0].why == "it could not be looked at yet"


class SetClock(FakeClock):
    """A clock that somebody may set."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


async def test_a_clock_that_is_set_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a minute."""
    place = Place(clock := SetClock())
    monkeypatch.setattr(arrival, "open_outside", place.open)
    task = waiting(place, deadline=clock.time() + 7200.0)
    await clock.advance(30.0)
    clock.ahead = 7200.0
    await clock.advance(61.0)
    assert outcome(task) is Outcome.TIMEOUT


async def test_an_interval_longer_than_that_is_kept(place: Place) -> None:
    """To compare the clocks costs no look."""
    task = waiting(place, poke_interval=300.0)
    await place.clock.advance(1000.0)
    assert len(place.looks) == 4
    await end(task)


async def test_patience_grows_when_asked(place: Place) -> None:
    """The interval doubles each time that one has passed, up to the longest."""
    task = waiting(place, poke_interval=5.0, backoff=True, max_wait=80.0)
    await place.clock.advance(1000.0)
    gaps = [round(after - before) for before, after in pairwise(place.looks)]
    assert gaps[0] <= 11
    assert all(80 <= gap <= 88 for gap in gaps[-5:])
    await end(task)


async def test_no_event_is_fired_too_soon(place: Place) -> None:
    """The worker that deferred may still be on its way out."""
    place.put("a.csv", done=place.clock.time())
    task = waiting(place, done_file="{name}.done", not_before=place.clock.time() + 200.0)
    await place.clock.advance(199.9)
    assert outcome(task) is None
    await place.clock.advance(0.2)
    assert outcome(task) is Outcome.READY


async def test_a_refusal_ends_the_wait_in_time(place: Place) -> None:
    """Between 60 and 90 s, however seldom was to be looked."""
    place.fault = TargetAccessError("access denied")
    task = waiting(place, poke_interval=600.0)
    await place.clock.advance(60.0)
    assert outcome(task) is None
    await place.clock.advance(30.0)
    assert outcome(task) is Outcome.UNREADABLE


async def test_an_outage_is_waited_out(place: Place) -> None:
    """Ten minutes of 503."""
    place.fault = StorageUnavailableError("503")
    task = waiting(place, done_file="{name}.done")
    await place.clock.advance(600.0)
    assert outcome(task) is None
    place.fault = None
    place.put("a.csv", done=place.clock.time())
    await place.clock.advance(30.0)
    assert outcome(task) is Outcome.READY


async def test_a_growing_file_is_looked_at_more_often(place: Place) -> None:
    """As its looks need; while there is nothing, as asked."""
    task = waiting(place, poke_interval=300.0, looks=2, look_interval=10.0, min_age=0.0)
    await place.clock.advance(10.0)
    place.put("a.csv")
    await place.clock.advance(330.0)
    await place.clock.advance(12.0)
    assert outcome(task) is Outcome.READY
    await end(task)


async def test_cancelling_leaves_nothing(place: Place) -> None:
    """At whatever moment."""
    before = asyncio.all_tasks()
    for steps in (0, 1, 2, 3, 5, 8, 40):
        task = waiting(place)
        for _ in range(steps):
            await asyncio.sleep(0)
        await end(task)
        assert task.cancelled()
        assert asyncio.all_tasks() == before
        assert place.clock.sleepers == 0
    assert not Lookout._running._loops[asyncio.get_running_loop()]


async def test_a_thousand_waits_leave_nothing(place: Place) -> None:
    """In the same loop, one after another."""
    before = asyncio.all_tasks()
    for _ in range(1000):
        task = asyncio.create_task(ArrivalTrigger(path="/in/a.csv").wait(place.clock))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
    assert asyncio.all_tasks() == before
    assert place.clock.sleepers == 0


async def test_run_yields_one_event(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON values."""
    monkeypatch.setattr(arrival, "_CLOCK", place.clock)
    place.put("a.csv", done=place.clock.time())

    async def events() -> list[Any]:
        return [
            each.payload async for each in ArrivalTrigger(path="/in/a.csv", done_file="{name}.done").run()
        ]

    task = asyncio.create_task(events())
    await place.clock.advance(5.0)
    [payload] = await task
    assert json.loads(json.dumps(payload)) == payload
    assert (payload["outcome"], payload["ready_count"]) == ("ready", 1)
    assert Arrived.from_payload(payload).ready[0].uri == "file:///in/a.csv"


# What it tells.


@dataclass
class Lines:
    """A log."""

    lines: list[str]

    def info(self, text: str, *arguments: Any) -> None:
        self.lines.append(f"INFO {text % arguments}")

    def warning(self, text: str, *arguments: Any) -> None:
        self.lines.append(f"WARNING {text % arguments}")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What all triggers log to the logs of their tasks."""
    log = Lines([])
    monkeypatch.setattr(ArrivalTrigger, "log", log)
    return log.lines


async def test_the_log_tells_changes_only(place: Place, lines: list[str]) -> None:
    """And that a guess is one."""
    task = waiting(place, deadline=1_790_003_600.0)
    await place.clock.advance(300.0)
    place.put("a.csv", age=0.0)
    await place.clock.advance(100.0)
    assert outcome(task) is Outcome.READY
    changes = "it is new or changes; it has to be the same in 3 looks over 60 s"
    grounds = "the same in 3 looks over 60 s, at least 60 s old, nobody on this host who writes"
    assert lines == [
        "INFO waiting until 2026-09-21 15:13:20Z: 0 arrived; missing /in/*.csv (nothing is there)",
        f"INFO waiting: 0 arrived; missing file:///in/a.csv ({changes})",
        "INFO the wait ends: ready. 1 arrived",
        f"INFO stability heuristic used: {grounds}",
    ]


async def test_the_log_warns_when_the_wait_ends_badly(place: Place, lines: list[str]) -> None:
    """With the reason."""
    task = waiting(place, deadline=place.clock.time() + 10.0)
    await place.clock.advance(11.0)
    assert outcome(task) is Outcome.TIMEOUT
    assert lines[-1] == "WARNING the wait ends: timeout. 0 arrived; missing /in/*.csv (nothing is there)"


async def test_waits_are_counted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """By how they ended, with how long they took."""
    counted: list[tuple[str, Any]] = []

    def count(metric: str, number: int = 1, *, tags: Any = None) -> None:
        counted.append((metric, tags))

    def timing(metric: str, seconds: float, *, tags: Any = None) -> None:
        counted.append((metric, round(seconds)))

    monkeypatch.setattr(_compat, "count", count)
    monkeypatch.setattr(_compat, "timing", timing)
    task = waiting(place, deadline=place.clock.time() + 10.0)
    await place.clock.advance(11.0)
    assert outcome(task) is Outcome.TIMEOUT
    assert counted == [
        ("fileflow.waits.begun", None),
        ("fileflow.waits.ended", {"outcome": "timeout"}),
        ("fileflow.wait_seconds", 10),
    ]
    counted.clear()
    task = waiting(place)
    await place.clock.advance(1.0)
    await end(task)
    assert counted[1] == ("fileflow.waits.ended", {"outcome": "cancelled"})


# On a real disk, by a clock that stands still while a thread looks.


Busy = Callable[[], AbstractContextManager[None]]


class Observed:
    """An open place: what is asked of it ends at the moment of the clock at which it began."""

    def __init__(self, inner: Outside, busy: Busy) -> None:
        self._inner = inner
        self._busy = busy

    async def look(self, searches: Collection[Search], then: Callable[[Mapping[Search, Answer]], T]) -> T:
        with self._busy():
            return await self._inner.look(searches, then)


Pass = Callable[[float], Awaitable[None]]

# Seconds until a file has arrived that stays as it is: 60 between two looks, each of which comes up to an
# interval and its jitter late.
SETTLED = 60 + 2 * 5.5 + 1


@pytest.fixture
async def passing(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Pass:
    """Let seconds pass; while a place is opened, looked at or closed, the clock stands still.

    A look in a thread takes real time. Were the clock to move on meanwhile, a slow machine would make the
    looks of a test come late, and others than those it counts on.
    """
    under_way = 0

    @contextmanager
    def busy() -> Iterator[None]:
        nonlocal under_way
        under_way += 1
        try:
            yield
        finally:
            under_way -= 1

    @asynccontextmanager
    async def observed(search: Search, conn_id: str | None) -> AsyncIterator[Outside]:
        opening = hooks_outside.open_outside(search, conn_id)
        with busy():
            inner = await opening.__aenter__()
        try:
            yield Observed(inner, busy)
        finally:
            with busy():
                await opening.__aexit__(None, None, None)

    settle = clock.settle

    async def settled() -> None:
        await settle()
        while under_way:
            await asyncio.sleep(0.001)
            await settle()

    monkeypatch.setattr(clock, "settle", settled)
    monkeypatch.setattr(arrival, "open_outside", observed)
    return clock.advance


async def in_thread(function: Callable[..., Any], *arguments: Any) -> None:
    await asyncio.to_thread(function, *arguments)


def old(path: Path, data: bytes = b"x") -> None:
    """A file of yesterday."""
    path.write_bytes(data)
    os.utime(path, (1_000_000_000.0, 1_000_000_000.0))


def disk_wait(clock: FakeClock, **arguments: Any) -> "asyncio.Task[Arrived]":
    return asyncio.create_task(ArrivalTrigger(**arguments).wait(clock))


async def test_a_growing_file_never_arrives_half(tmp_path: Path, clock: FakeClock, passing: Pass) -> None:
    """Airflow's FileTrigger fires on it every time."""
    task = disk_wait(clock, pattern=f"{tmp_path}/*.csv")
    for size in range(1, 12):
        await in_thread(old, tmp_path / "a.csv", b"x" * size)
        await passing(20)
    assert not task.done()
    await passing(SETTLED)
    assert task.result().ready[0].size == 11


async def test_a_file_that_is_cut_and_written_anew_starts_again(
    tmp_path: Path, clock: FakeClock, passing: Pass
) -> None:
    """To the same size and time of modification, but it was empty in between."""
    await in_thread(old, tmp_path / "a.csv", b"first")
    task = disk_wait(clock, path=f"{tmp_path}/a.csv")
    await passing(50)
    await in_thread(os.truncate, tmp_path / "a.csv", 0)
    await passing(10)
    await in_thread(old, tmp_path / "a.csv", b"other")
    await passing(50)
    assert not task.done()
    await passing(SETTLED - 50)
    assert task.result().outcome is Outcome.READY


async def test_a_file_renamed_into_place_starts_again(
    tmp_path: Path, clock: FakeClock, passing: Pass
) -> None:
    """Another file, though it looks the same; its temporary name did not count."""
    await in_thread(old, tmp_path / "a.csv.part")
    task = disk_wait(clock, pattern=f"{tmp_path}/*")
    await passing(100)
    assert not task.done()
    await in_thread(os.rename, tmp_path / "a.csv.part", tmp_path / "a.csv")
    await passing(50)
    await in_thread(old, tmp_path / "b.part")
    await in_thread(os.rename, tmp_path / "b.part", tmp_path / "a.csv")
    await passing(50)
    assert not task.done()
    await passing(SETTLED - 50)
    assert task.result().ready_count == 1


async def test_a_file_that_somebody_has_open_does_not_arrive(
    tmp_path: Path, clock: FakeClock, passing: Pass
) -> None:
    """However long it stays the same."""
    await in_thread(old, tmp_path / "a.csv")
    descriptor = await asyncio.to_thread(os.open, tmp_path / "a.csv", os.O_WRONLY)
    task = disk_wait(clock, path=f"{tmp_path}/a.csv")
    await passing(300)
    assert not task.done()
    await asyncio.to_thread(os.close, descriptor)
    await passing(10)
    assert task.result().outcome is Outcome.READY


@pytest.mark.parametrize("name", ["rep[1].csv", "a*b.csv", "a?b.csv", "été 100%.csv", "\udcff.csv"])
async def test_literal_names_arrive(tmp_path: Path, clock: FakeClock, passing: Pass, name: str) -> None:
    """By their path, or by their URI where they are no text."""
    await in_thread(old, tmp_path / name)
    await in_thread(old, tmp_path / "aZb.csv")
    [uri] = [s.uri(name) for s in [Search.of(pattern=tmp_path / "*")]]
    for path in (uri, f"{tmp_path}/{name}") if name.isprintable() else (uri,):
        task = disk_wait(clock, path=path)
        await passing(75)
        assert [file.uri for file in task.result().ready] == [uri]
        assert json.dumps(task.result().to_payload()).isascii()


async def test_what_never_counts_never_arrives(tmp_path: Path, clock: FakeClock, passing: Pass) -> None:
    """Empty files, temporary ones, NFS's, FIFOs, links."""

    def plant() -> None:
        old(tmp_path / "empty.csv", b"")
        for name in ("a.csv.tmp", ".nfs0001", "._a.csv", "~a.csv", "b.csv.crdownload"):
            old(tmp_path / name)
        os.mkfifo(tmp_path / "fifo.csv")
        (tmp_path / "link.csv").symlink_to("/etc/passwd")

    await in_thread(plant)
    task = disk_wait(clock, pattern=f"{tmp_path}/*", deadline=clock.time() + 3600.0)
    await passing(200)
    assert not task.done()
    await end(task)


async def test_only_temporary_names_is_what_is_told(tmp_path: Path, clock: FakeClock, passing: Pass) -> None:
    """Row 53 of the catalogue."""
    await in_thread(old, tmp_path / "data.csv.tmp")
    task = disk_wait(clock, pattern=f"{tmp_path}/*.csv", deadline=clock.time() + 20.0)
    await passing(21)
    assert [each.why for each in task.result().missing] == ["only temporary names match: 'data.csv.tmp'"]


async def test_a_folder_made_later_is_found(tmp_path: Path, clock: FakeClock, passing: Pass) -> None:
    """Whoever puts the files may make it for them."""
    task = disk_wait(clock, pattern=f"{tmp_path}/2026-11-21/*.csv", done_file="_SUCCESS")
    await passing(20)

    def plant() -> None:
        (tmp_path / "2026-11-21").mkdir()
        old(tmp_path / "2026-11-21/a.csv")
        old(tmp_path / "2026-11-21/_SUCCESS", b"")

    await in_thread(plant)
    await passing(10)
    assert [file.trust for file in task.result().ready] == ["done_file"]


async def test_a_thread_is_not_left_behind(tmp_path: Path, clock: FakeClock, passing: Pass) -> None:
    """Nor a descriptor, by waits that end or are cancelled."""
    await in_thread(old, tmp_path / "a.csv")
    before = await asyncio.to_thread(held)
    for _ in range(20):
        task = disk_wait(clock, pattern=f"{tmp_path}/*.csv")
        await passing(6)
        await end(task)
    await asyncio.to_thread(assert_nothing_new, before)


# On a server that speaks S3.


@pytest.fixture
def lake(bucket: Backdoor, monkeypatch: pytest.MonkeyPatch) -> Backdoor:
    """A bucket that is opened with what the machine has."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-planted")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bucket.port}")
    return bucket


async def test_an_object_arrives_when_it_is_there(lake: Backdoor, clock: FakeClock, passing: Pass) -> None:
    """At once, since it appears as a whole; not its temporary name, and not while it is empty."""
    uri = f"s3://{lake.bucket}/in/rep[1].csv"
    task = disk_wait(clock, path=uri)
    await lake.put("in/rep[1].csv.tmp", b"x")
    await lake.put("in/rep[1].csv", b"")
    await passing(20)
    assert not task.done()
    await lake.put("in/rep[1].csv", b"abc")
    await passing(6)
    [found] = task.result().ready
    assert (found.uri, found.size, found.trust) == (uri, 3, "atomic")
    assert found.etag == "900150983cd24fb0d6963f7d28e17f72"


async def test_a_set_of_objects_arrives_when_it_stays_the_same(
    lake: Backdoor, clock: FakeClock, passing: Pass
) -> None:
    """As long as one comes after another, there may be more."""
    task = disk_wait(clock, pattern=f"s3://{lake.bucket}/in/*.csv", min_age=0.0)
    for name in "abc":
        await lake.put(f"in/{name}.csv", b"abc")
        await passing(40)
    assert not task.done()
    await passing(SETTLED - 40)
    assert [found.uri[-5:] for found in task.result().ready] == ["a.csv", "b.csv", "c.csv"]


async def test_a_bucket_that_is_not_there_ends_the_wait(
    lake: Backdoor, clock: FakeClock, passing: Pass
) -> None:
    """Within 90 s; Airflow's sensor waits for a plain key in it for ever."""
    task = disk_wait(clock, path="s3://no-such-bucket-here/a.csv")
    await passing(90)
    event = task.result()
    assert event.outcome is Outcome.UNREADABLE
    assert event.missing[0].why == "bucket 'no-such-bucket-here' does not exist"


def test_the_package_names_the_trigger() -> None:
    """Where all triggers are."""
    assert triggers.ArrivalTrigger is ArrivalTrigger
