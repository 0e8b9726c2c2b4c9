"""Writers, zombies, readers and clean-ups at once: no half-read, nothing lost, nothing backwards."""

import asyncio
import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from fileflow_async.errors import (
    TargetCorruptError,
    TargetNotFoundError,
    TargetSupersededError,
    TargetWriteError,
)
from fileflow_async.manifest import SUFFIX
from fileflow_async.retention import Rules, gc
from fileflow_async.status import State, Survey
from fileflow_async.storage.protocol import Entry
from fileflow_async.store import TargetStore
from fileflow_async.target import Target
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.conftest import ImpatientClock, MakeTarget
from tests.planting import put
from tests.tries import T0, made

SEEDS = 60
WRITERS, ZOMBIES, READERS, COMMITS = 6, 2, 3, 5
SKEW = 3000  # milliseconds that the clocks of two servers may differ

current: ContextVar[int | None] = ContextVar("current", default=None)


def newest(storage: MemoryStorage, place: Target) -> str | None:
    """Return the name that a person with `ls` would say is the value."""
    folder = f"{place.key}/"
    names = [key.removeprefix(folder) for key in storage.objects if key.startswith(folder)]
    return max((name for name in names if name.endswith(SUFFIX)), default=None)


class Jittery(MemoryStorage):
    """A storage whose requests and replies take any number of turns of the loop."""

    def __init__(self, rng: random.Random, clock: Any) -> None:
        super().__init__(clock=clock)
        self._rng = rng

    async def _called(self, method: str) -> None:
        await super()._called(method)
        await self._turns()

    async def put(self, key: str, data: bytes, **options: Any) -> Entry:
        entry = await super().put(key, data, **options)
        await self._turns()
        return entry

    async def list(self, prefix: str = "", **options: Any) -> Any:
        listing = await super().list(prefix, **options)
        await self._turns()
        return listing

    async def _turns(self) -> None:
        for _ in range(self._rng.choice((0, 0, 0, 1, 2, 5, 20))):
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_six_writers_a_third_of_them_zombies_and_three_readers(seed: int, target: MakeTarget) -> None:
    """Clocks of servers differ by three seconds either way.

    Whoever is acknowledged is the value then, or something newer is; readers get whole, committed bytes, and
    never an older name after a newer one. Which of two tries is newer is what their names say: of tries made
    within the skew of the clocks nothing can tell better.
    """
    rng, place, clock = random.Random(seed), target(), ImpatientClock()
    storage = Jittery(rng, clock)
    store = TargetStore(storage, clock=clock)
    now, done, tally = itertools.count(T0, 137), 0, Counter[str]()

    async def write(number: int) -> None:
        nonlocal done
        skew = rng.randint(-SKEW, SKEW)
        first = next(now)
        for count in range(COMMITS):
            moment = first if number < ZOMBIES else next(now) + skew
            data = f"{number}.{count}.".encode() * rng.randrange(1, 50)
            try:
                async with store.write(place, producer=made(moment, try_number=number + 1)) as out:
                    for start in range(0, len(data), 40):
                        await out.write(data[start : start + 40])
                    for _ in range(rng.choice((0, 3, 40))):
                        await asyncio.sleep(0)
            except TargetSupersededError:
                tally["refused"] += 1
                continue
            value = newest(storage, place)
            assert value is not None
            assert value >= out.attempt.name + SUFFIX
            tally["acknowledged"] += 1
        done += 1

    async def read(number: int) -> None:
        last = ""
        while done < WRITERS:
            if number == 0:
                status = await store.state(place)
                name = status.manifest.data if status.manifest else last
                assert status.state in (State.COMPLETE, State.IN_PROGRESS, State.ABSENT)
            else:
                try:
                    reference = (await store.version(place)).reference
                    assert reference is not None
                    data = await store.read(reference)
                except TargetNotFoundError:
                    assert last == ""
                    continue
                assert hashlib.sha256(data).hexdigest() == reference.sha256
                name = reference.data
            assert name >= last
            last = name
            tally["reads"] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(write(number))
        for number in range(READERS):
            group.create_task(read(number))
    assert tally["acknowledged"] + tally["refused"] == WRITERS * COMMITS
    assert tally["acknowledged"] >= COMMITS
    history = await store.history(place)
    assert len(history) == tally["acknowledged"]
    for status in history:
        assert status.reference is not None
        assert hashlib.sha256(await store.read(status.reference)).hexdigest() == status.reference.sha256


class Scheduled(MemoryStorage):
    """A storage in which each call of a player waits for its turn."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.waiting: dict[int, asyncio.Future[None]] = {}

    async def _called(self, method: str) -> None:
        if (player := current.get()) is not None:
            self.waiting[player] = asyncio.get_running_loop().create_future()
            await self.waiting[player]


Play = Callable[[TargetStore], Awaitable[Any]]


async def play(
    schedule: Sequence[int], players: Sequence[Play], prepare: Play
) -> tuple[TargetStore, list[Any]]:
    """Let each player make one call of the storage at each of its turns; return what came of each."""
    clock = FakeClock()
    storage = Scheduled(clock)
    store = TargetStore(storage, clock=clock, feed=False)
    await prepare(store)

    async def start(number: int, player: Play) -> Any:
        current.set(number)
        try:
            return await player(store)
        except (TargetSupersededError, TargetWriteError, TargetNotFoundError, TargetCorruptError) as error:
            return type(error)

    tasks = [asyncio.create_task(start(number, player)) for number, player in enumerate(players)]

    async def settle() -> None:
        for _ in range(8):
            await asyncio.sleep(0)

    await settle()
    for turn in itertools.chain(schedule, itertools.cycle(range(len(players)))):
        if all(task.done() for task in tasks):
            break
        if turn in storage.waiting:
            storage.waiting.pop(turn).set_result(None)
            await settle()
        elif not storage.waiting:
            await clock.advance(2)  # somebody waits for a second look
    return store, [task.result() for task in tasks]


def interleavings(one: int, other: int) -> list[list[int]]:
    """Return every order of so many turns of two players."""
    turns = range(one + other)
    return [
        [0 if turn in mine else 1 for turn in turns] for mine in map(set, itertools.combinations(turns, one))
    ]


async def nothing(store: TargetStore) -> None:
    """Prepare nothing."""


class TestEveryInterleaving:
    """Of two players' calls; a writer makes five: list, create, store, list, commit."""

    async def _names(self, store: TargetStore, place: Target) -> list[str]:
        return sorted(entry.name for entry in Survey.of(await store.storage.list(f"{place.key}/")).records)

    @pytest.mark.parametrize("gap", [0, 5000])
    async def test_of_two_writers(self, target: MakeTarget, gap: int) -> None:
        """Of one try or of two: the greater name is the value, and nobody is acknowledged for nothing."""
        place, outcomes = target(), Counter[str]()

        def write(moment: int) -> Play:
            async def run(store: TargetStore) -> str:
                reference = await put(store, place, b"%d" % moment, producer=made(moment))
                value = newest(store.storage, place)  # type: ignore[arg-type]
                assert value is not None
                assert value >= reference.data + SUFFIX
                return reference.data

            return run

        for schedule in interleavings(6, 6):
            store, results = await play(schedule, [write(T0), write(T0 + gap)], nothing)
            acknowledged = [name for name in results if name is not TargetSupersededError]
            assert acknowledged
            names = await self._names(store, place)
            assert names == sorted(name + SUFFIX for name in acknowledged)
            assert (await store.version(place)).manifest is not None
            assert await store.read(place) in (b"%d" % T0, b"%d" % (T0 + gap))
            outcomes[f"{len(acknowledged)} acknowledged"] += 1
        assert sum(outcomes.values()) == 924
        assert min(outcomes.values()) > 50

    async def test_of_two_tries_the_older_of_which_never_wins(self, target: MakeTarget) -> None:
        """Not even when it begins while the newer one is writing, and has no record yet."""
        place, outcomes = target(), Counter[tuple[bool, ...]]()

        async def older(store: TargetStore) -> None:
            await put(store, place, b"older", producer=made(T0))

        async def newer(store: TargetStore) -> None:
            await put(store, place, b"newer", producer=made(T0 + 300_000))

        for schedule in interleavings(6, 6):
            store, results = await play(schedule, [older, newer], nothing)
            assert results[1] is None
            assert await store.read(place) == b"newer"
            outcomes[results[0] is None, results[1] is None] += 1
        assert set(outcomes) == {(True, True), (False, True)}

    async def test_of_a_writer_and_a_try_that_was_overtaken_long_ago(self, target: MakeTarget) -> None:
        """The zombie began before the newer try, or begins after its commit: it never is the value."""
        place = target()

        async def zombie(store: TargetStore) -> None:
            await put(store, place, b"zombie", producer=made(T0))

        async def prepare(store: TargetStore) -> None:
            await put(store, place, b"newer", producer=made(T0 + 300_000))

        async def newest_try(store: TargetStore) -> None:
            await put(store, place, b"newest", producer=made(T0 + 600_000))

        for schedule in interleavings(6, 6):
            store, results = await play(schedule, [zombie, newest_try], prepare)
            assert results == [TargetSupersededError, None]
            assert await store.read(place) == b"newest"

    async def test_of_a_writer_and_a_reader(self, target: MakeTarget) -> None:
        """Old or new, whole."""
        place, seen = target(), Counter[bytes]()

        async def write(store: TargetStore) -> None:
            await put(store, place, b"new", producer=made(T0 + 10))

        async def read(store: TargetStore) -> bytes:
            return await store.read(place)

        async def prepare(store: TargetStore) -> None:
            await put(store, place, b"old", producer=made(T0))

        for schedule in interleavings(6, 4):
            _, (_, data) = await play(schedule, [write, read], prepare)
            seen[data] += 1
        assert set(seen) == {b"old", b"new"}

    async def test_of_a_reader_and_a_clean_up(self, target: MakeTarget) -> None:
        """Of the very version that it reads: it gets it whole, or is told that it is no longer kept."""
        place, outcomes = target(), Counter[Any]()

        async def clean(store: TargetStore) -> None:
            await gc(store, dry_run=False, rules=Rules(commits=1, commits_for=0, orphans_for=0))

        async def read(store: TargetStore) -> bytes:
            history = await store.history(place)
            assert history[-1].reference is not None
            return await store.read(history[-1].reference)

        async def prepare(store: TargetStore) -> None:
            await put(store, place, b"old", producer=made(T0))
            await put(store, place, b"new", producer=made(T0 + 1))
            assert isinstance(store.clock, FakeClock)
            await store.clock.advance(1)

        for schedule in interleavings(5, 5):
            store, (_, result) = await play(schedule, [clean, read], prepare)
            outcomes[result] += 1
            assert await store.read(place) == b"new"
        assert set(outcomes) <= {b"old", b"new", TargetNotFoundError, TargetCorruptError}
        assert {b"old", TargetNotFoundError} <= set(outcomes)

    @pytest.mark.parametrize("what", ["delete", "gc"])
    async def test_of_a_writer_and_whoever_removes(self, target: MakeTarget, what: str) -> None:
        """Its commit stands whole, or it was removed whole after it."""
        place, outcomes = target(), Counter[Any]()

        async def write(store: TargetStore) -> str:
            return (await put(store, place, b"new", producer=made(T0 + 10))).data

        async def remove(store: TargetStore) -> None:
            if what == "delete":
                await store.delete(place)
            else:
                rules = Rules(commits=1, commits_for=0, orphans_for=0)
                await gc(store, dry_run=False, rules=rules)

        async def prepare(store: TargetStore) -> None:
            await put(store, place, b"old", producer=made(T0))
            assert isinstance(store.clock, FakeClock)
            await store.clock.advance(1)

        for schedule in interleavings(6, 5):
            store, (result, _) = await play(schedule, [write, remove], prepare)
            status = await store.state(place)
            if status.is_committed:
                assert await store.read(place) in (b"old", b"new")
            outcomes[(result if isinstance(result, type) else "acknowledged", status.state)] += 1
        assert set(outcomes) <= {("acknowledged", State.COMPLETE), ("acknowledged", State.ABSENT)}
        assert outcomes["acknowledged", State.COMPLETE] > 400
