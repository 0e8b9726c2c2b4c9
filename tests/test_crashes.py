"""Every step of every change is stopped in turn: what is left is the old value or the new one, never half."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from fileflow_async.errors import StorageUnavailableError, TargetNotFoundError, TargetSupersededError
from fileflow_async.retention import Rules, gc
from fileflow_async.status import State
from fileflow_async.storage.protocol import Entry, Sink
from fileflow_async.store import TargetStore
from fileflow_async.target import Target
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.conftest import MakeTarget
from tests.planting import DAY, put
from tests.tries import T0, made

OLDER, OLD, NEW, NEXT = b"older", b"old value", b"the new value", b"next"
OPEN = {State.ABSENT, State.IN_PROGRESS}


class KilledError(BaseException):
    """The process is gone: like a SIGKILL, it lets nobody clean up."""


@dataclass
class Stopped:
    """Where a storage is stopped, and how.

    Attributes:
        at: The how-manieth step raises; 0 is none.
        error: What it raises.
        for_good: Whether all later steps raise too: the process is dead.
        steps: What was done so far.
    """

    at: int = 0
    error: type[BaseException] = KilledError
    for_good: bool = True
    steps: list[str] = field(default_factory=list)

    def step(self, what: str) -> None:
        self.steps.append(what)
        if self.at and (len(self.steps) == self.at or (self.for_good and len(self.steps) > self.at)):
            raise self.error(f"stopped {what}")


class StoppedSink:
    def __init__(self, sink: Sink, stopped: Stopped) -> None:
        self._sink = sink
        self._stopped = stopped

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        self._stopped.step("before write")
        await self._sink.write(data)
        self._stopped.step("after write")

    @property
    def entry(self) -> Entry:
        return self._sink.entry


class StoppedStorage(MemoryStorage):
    """A storage that is stopped before or behind any of its steps; behind one, its reply is lost."""

    def __init__(self, clock: FakeClock, stopped: Stopped) -> None:
        super().__init__(clock=clock)
        self.stopped = stopped

    async def _called(self, method: str) -> None:
        await super()._called(method)
        self.stopped.step(f"before {method}")

    async def put(self, key: str, data: bytes, **options: Any) -> Entry:
        entry = await super().put(key, data, **options)
        self.stopped.step(f"after put {key}")
        return entry

    @asynccontextmanager
    async def create(self, key: str, **options: Any) -> AsyncIterator[Sink]:
        async with super().create(key, **options) as sink:
            yield StoppedSink(sink, self.stopped)
        self.stopped.step(f"after create {key}")

    async def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            await super().delete([key])
            self.stopped.step(f"after delete {key}")


HOW = [
    pytest.param(StorageUnavailableError, False, id="error"),
    pytest.param(asyncio.CancelledError, False, id="cancelled"),
    pytest.param(KilledError, True, id="killed"),
]
Work = Callable[[TargetStore], Awaitable[None]]


async def stop_everywhere(
    prepare: Work, work: Work, check: Callable[[TargetStore, bool], Awaitable[None]], *how: Any
) -> int:
    """Stop `work` at each of its steps in turn; return how many there are."""
    for at in itertools.count(1):
        clock, stopped = FakeClock(), Stopped()
        storage = StoppedStorage(clock, stopped)
        await prepare(TargetStore(storage, clock=clock))
        stopped.steps.clear()
        stopped.at, (stopped.error, stopped.for_good) = at, how
        done = False
        with suppress(KilledError, asyncio.CancelledError, StorageUnavailableError):
            await work(TargetStore(storage, clock=clock))
            done = True
        reached = len(stopped.steps) >= at
        after = MemoryStorage(clock=clock)
        after.objects = storage.objects
        assert all(not key.startswith(".") or key.startswith(".feed/") for key in after.objects)
        await check(TargetStore(after, clock=clock), done)
        if not reached:
            assert done
            return at - 1
    raise AssertionError


async def seen(store: TargetStore, target: Target, **options: Any) -> bytes | None:
    """Return the value, checked in every way there is; None when there is none."""
    status = await store.state(target)
    if not status.is_committed:
        assert status.state in OPEN
        with pytest.raises(TargetNotFoundError):
            await store.version(target)
        return None
    data = await store.read(target, **options)
    assert status.reference is not None
    assert await store.read(status.reference, **options) == data
    for each in await store.history(target):
        assert each.is_committed
    return data


async def nothing(store: TargetStore) -> None:
    """Prepare a store where there is nothing yet."""


class TestEveryStep:
    """Of every change: by an error, by cancellation, and as by SIGKILL."""

    @pytest.mark.parametrize(("error", "for_good"), HOW)
    @pytest.mark.parametrize("has_value", [False, True])
    async def test_of_a_write(
        self, target: MakeTarget, error: type[BaseException], for_good: bool, has_value: bool
    ) -> None:
        """Acknowledged means there; the next try always succeeds."""
        place = target()
        results = set()

        async def prepare(store: TargetStore) -> None:
            if has_value:
                await put(store, place, OLD, producer=made(T0))

        async def work(store: TargetStore) -> None:
            async with store.write(place, format="csv", producer=made(T0 + 10)) as out:
                await out.write(NEW[:5])
                await out.write(NEW[5:])

        async def check(store: TargetStore, done: bool) -> None:
            data = await seen(store, place)
            results.add((data, done))
            assert data in ((NEW,) if done else (OLD if has_value else None, NEW))
            await put(store, place, NEXT, producer=made(T0 + 20, try_number=2))
            assert await seen(store, place) == NEXT

        assert await stop_everywhere(prepare, work, check, error, for_good) >= 13
        before = OLD if has_value else None
        assert results == {(before, False), (NEW, False), (NEW, True)}

    @pytest.mark.parametrize(("error", "for_good"), HOW)
    async def test_of_a_folder(self, target: MakeTarget, error: type[BaseException], for_good: bool) -> None:
        """All its parts or none."""
        place = target()

        async def write(store: TargetStore, moment: int, data: bytes) -> None:
            async with store.write_folder(place, producer=made(moment)) as out:
                for name in ("a/0", "b"):
                    async with out.create(name) as part:
                        await part.write(data)

        async def prepare(store: TargetStore) -> None:
            await write(store, T0, OLD)

        async def work(store: TargetStore) -> None:
            await write(store, T0 + 10, NEW)

        async def check(store: TargetStore, done: bool) -> None:
            parts = {await seen(store, place, part=name) for name in ("a/0", "b")}
            assert parts in ([{NEW}] if done else [{OLD}, {NEW}])
            await write(store, T0 + 20, NEXT)
            assert await seen(store, place, part="b") == NEXT

        assert await stop_everywhere(prepare, work, check, error, for_good) >= 16

    @pytest.mark.parametrize(("error", "for_good"), HOW)
    async def test_of_several_outputs(
        self, target: MakeTarget, error: type[BaseException], for_good: bool
    ) -> None:
        """Each is old or new; the retry commits a whole new set."""
        places = [target("a"), target("b"), target("c")]

        async def write(store: TargetStore, moment: int, data: bytes) -> None:
            async with (
                store.begin(places[0], producer=made(moment)) as one,
                store.begin(places[1], producer=made(moment)) as two,
                store.begin(places[2], producer=made(moment)) as three,
            ):
                for draft in (one, two, three):
                    await draft.write(data)
                await store.commit_all([one, two, three])

        async def prepare(store: TargetStore) -> None:
            await write(store, T0, OLD)

        async def work(store: TargetStore) -> None:
            await write(store, T0 + 10, NEW)

        async def check(store: TargetStore, done: bool) -> None:
            values = [await seen(store, place) for place in places]
            assert all(value in ((NEW,) if done else (OLD, NEW)) for value in values)
            assert values == sorted(values, key=(NEW, OLD).index)  # they are committed in order
            tries = [(await store.version(place)).manifest for place in places]
            for value, record in zip(values, tries, strict=True):
                assert record is not None
                assert record.producer.ti_id == made(T0 + 10 if value == NEW else T0).ti_id
            await write(store, T0 + 20, NEXT)
            assert [await seen(store, place) for place in places] == [NEXT] * 3

        assert await stop_everywhere(prepare, work, check, error, for_good) >= 33

    @pytest.mark.parametrize(("error", "for_good"), HOW)
    async def test_of_a_failure(self, target: MakeTarget, error: type[BaseException], for_good: bool) -> None:
        """It is told or not; the value before it can be read either way."""
        place = target()

        async def prepare(store: TargetStore) -> None:
            await put(store, place, OLD, producer=made(T0))

        async def work(store: TargetStore) -> None:
            assert await store.fail(place, error="boom", producer=made(T0 + 10))

        async def check(store: TargetStore, done: bool) -> None:
            state = (await store.state(place)).state
            assert state in ((State.FAILED,) if done else (State.COMPLETE, State.FAILED))
            assert await store.read(place) == OLD
            await put(store, place, NEXT, producer=made(T0 + 20))
            assert await seen(store, place) == NEXT

        assert await stop_everywhere(prepare, work, check, error, for_good) >= 4

    @pytest.mark.parametrize(("error", "for_good"), HOW)
    async def test_of_a_deletion(
        self, target: MakeTarget, error: type[BaseException], for_good: bool
    ) -> None:
        """The newest value, or none: never an older one; what is left can be deleted, and replaced."""
        place = target()
        places: set[bytes | None] = set()

        async def prepare(store: TargetStore) -> None:
            for number, data in enumerate((OLDER, OLD, NEW)):
                await put(store, place, data, producer=made(T0 + number))

        async def work(store: TargetStore) -> None:
            await store.delete(place)

        async def check(store: TargetStore, done: bool) -> None:
            data = await seen(store, place)
            places.add(data)
            assert data in ((None,) if done else (NEW, None))
            await put(store, place, NEXT, producer=made(T0 + 20))
            assert await seen(store, place) == NEXT
            await store.delete(place)
            assert len(await store.history(place)) == 0
            assert len((await store.storage.list(place.key)).entries) <= 1  # data that lost its record
            assert isinstance(store.clock, FakeClock)
            await store.clock.advance(DAY + 1)
            await store.delete(place)
            assert (await store.state(place)).state is State.ABSENT

        assert await stop_everywhere(prepare, work, check, error, for_good) >= 8
        assert places == {NEW, None}

    @pytest.mark.parametrize(("error", "for_good"), HOW)
    async def test_of_a_clean_up(
        self, target: MakeTarget, error: type[BaseException], for_good: bool
    ) -> None:
        """What the rules keep is there at every moment; the next run does the rest."""
        place, rules = target(), Rules(commits=2, commits_for=0, orphans_for=DAY, feed_for=0)

        async def prepare(store: TargetStore) -> None:
            async with store.begin(place, producer=made(T0 - 1000)) as orphan:
                await orphan.write(b"never committed")
                await orphan.finish()
            for number, data in enumerate((OLDER, OLDER, OLD, NEW)):
                await put(store, place, data, producer=made(T0 + number))
            assert isinstance(store.clock, FakeClock)
            await store.clock.advance(2 * DAY)

        async def work(store: TargetStore) -> None:
            await gc(store, dry_run=False, rules=rules)

        async def check(store: TargetStore, done: bool) -> None:
            assert await seen(store, place) == NEW
            history = await store.history(place)
            assert len(history) == 2 if done else len(history) >= 2
            for status, data in zip(history, (NEW, OLD), strict=False):
                assert status.reference is not None
                assert await store.read(status.reference) == data
            await gc(store, dry_run=False, rules=rules)
            assert len((await store.storage.list(f"{place.key}/")).entries) == 4
            assert (await store.storage.list(".feed/")).entries == ()

        assert await stop_everywhere(prepare, work, check, error, for_good) >= 10


class TestASecondCommit:
    """An error at the commit says nothing about what was stored: the caller may try again."""

    async def test_after_any_error_it_ends_well_or_says_why(self, target: MakeTarget) -> None:
        """A reply that was lost is no other commit; data that was not stored is never committed."""
        place = target()
        outcomes = set()

        async def work(store: TargetStore) -> None:
            async with store.begin(place, producer=made(T0 + 10)) as draft:
                await draft.write(NEW)
                try:
                    await store.commit(draft)
                except StorageUnavailableError:
                    draft.rows = 5  # too late: the record may be out already
                    await store.clock.sleep(0)
                    reference = await store.commit(draft)
                    outcomes.add(reference.rows)

        async def check(store: TargetStore, done: bool) -> None:
            data = await seen(store, place)
            assert data == NEW if done else data in (OLD, NEW)
            assert len(await store.history(place)) == (2 if data == NEW else 1)

        async def prepare(store: TargetStore) -> None:
            await put(store, place, OLD, producer=made(T0))

        async def patient(store: TargetStore) -> None:
            with suppress(OSError):  # TargetWriteError: the data itself was lost
                await work(store)
                return
            raise StorageUnavailableError("not done")

        assert await stop_everywhere(prepare, patient, check, StorageUnavailableError, False) >= 11
        assert outcomes == {None, 5}  # before the record was sent it could still be changed

    async def test_of_a_set_completes_it(self, target: MakeTarget) -> None:
        """What was committed the first time stays as it is."""
        places = [target("a"), target("b")]

        async def work(store: TargetStore) -> None:
            async with (
                store.begin(places[0], producer=made(T0)) as one,
                store.begin(places[1], producer=made(T0)) as two,
            ):
                await one.write(NEW)
                await two.write(NEW)
                await one.finish()
                await two.finish()
                try:
                    await store.commit_all([one, two])
                except StorageUnavailableError:
                    await store.commit_all([one, two])

        async def check(store: TargetStore, done: bool) -> None:
            for place in places:
                assert (await seen(store, place) == NEW) or not done
                assert len(await store.history(place)) <= 1

        assert await stop_everywhere(nothing, work, check, StorageUnavailableError, False) >= 18


async def test_a_zombie_that_is_stopped_anywhere_replaces_nothing(target: MakeTarget) -> None:
    """Neither when it began before the newer try nor when it begins after."""
    place = target()

    async def prepare(store: TargetStore) -> None:
        await put(store, place, NEW, producer=made(T0 + 10))

    async def late(store: TargetStore) -> None:
        with suppress(TargetSupersededError):
            await put(store, place, OLD, producer=made(T0))

    async def check(store: TargetStore, done: bool) -> None:
        assert await seen(store, place) == NEW

    for error in (StorageUnavailableError, KilledError):
        assert await stop_everywhere(prepare, late, check, error, error is KilledError) >= 2
