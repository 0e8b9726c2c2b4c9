"""Each request of S3 goes wrong in each way: old or new, a typed error, never wrong bytes."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from math import inf

import pytest

from fileflow_async import errors
from fileflow_async.errors import (
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetNotFoundError,
)
from fileflow_async.feed import target_hash
from fileflow_async.status import State
from fileflow_async.storage import s3_download, s3_upload
from fileflow_async.storage.retry import Budget
from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference
from tests.conftest import ImpatientClock
from tests.crash.tally import LONG, PATIENCE, Tally, how_many
from tests.crash.works import NEW, NEXT, OLD, value
from tests.planting import record_for
from tests.s3_servers.backdoor import Backdoor
from tests.s3_servers.proxy import (
    CORRUPTED,
    DENIED,
    EXPIRED,
    FAULTS,
    INTERNAL_ERROR,
    NO_BUCKET,
    RESET,
    SHORTENED,
    SLOW_DOWN,
    Fault,
    Proxy,
    Request,
    error as answer,
)

WHAT = "faults of S3"
BITS = how_many(sample=20, normal=100, long=2000)
PIECE = 6_000
LARGE = value("large", 3 * PIECE + 7)
QUICK = Budget(attempts=8, seconds=10, first=0.001, longest=0.01)
AT_ONCE = 4  # cases: while one waits for a reply that never comes, others go on
EXPIRED_403 = answer("403 Forbidden", "ExpiredToken")
Seen = bytes | None


@dataclass
class Place:
    """A target of one case, all of whose requests have its name in them."""

    store: TargetStore
    proxy: Proxy
    name: str
    is_spoilt: bool = False

    @property
    def key(self) -> str:
        return f"{self.name}/20261120T000000Z/extract/output"

    def spoil(self, fault: Fault, nth: int, times: float) -> None:
        """Let the nth request of this case go wrong, and those behind it as often as `times` says."""
        self.is_spoilt = True
        self.proxy.spoil(
            fault, nth=nth, times=times, when=lambda request: self.is_spoilt and self.is_mine(request)
        )

    def is_mine(self, request: Request) -> bool:
        names = self.name, target_hash(self.key)  # the feed knows it by the other
        return any(name in request.target or name.encode() in request.body for name in names)

    async def put(self, data: bytes) -> Reference:
        async with self.store.write(self.key, format="csv") as out:
            for start in range(0, len(data), 5_000):
                await out.write(data[start : start + 5_000])
        assert out.reference is not None
        return out.reference

    async def plant(self, bucket: Backdoor, data: bytes) -> None:
        """Put a committed value there, without the store."""
        name = "20260921T141319000Z-t01-aaaaaaaaaaaa.csv"
        await bucket.put(f"ff/{self.key}/{name}", data)
        await bucket.put(f"ff/{self.key}/{name}.ok", record_for(name, data))

    async def value(self) -> Seen:
        """Return what stands there."""
        try:
            return await self.store.read(self.key)
        except TargetNotFoundError:
            assert (await self.store.state(self.key)).state in (State.ABSENT, State.IN_PROGRESS)
            return None


Work = Callable[[Place], Awaitable[bytes]]


async def small(place: Place) -> bytes:
    await place.put(NEW)
    return NEW


async def large(place: Place) -> bytes:
    await place.put(LARGE)
    return LARGE


async def read(place: Place) -> bytes:
    return await place.store.read(place.key)


async def stream(place: Place) -> bytes:
    async with place.store.open(place.key) as pieces:
        return b"".join([piece async for piece in pieces])


async def state(place: Place) -> bytes:
    return str((await place.store.state(place.key)).reference).encode()


async def states(place: Place) -> bytes:
    found = await place.store.states([place.key, f"{place.key}-of-nobody"])
    for status in found.values():
        if isinstance(status, FileflowError):
            raise status
    return str(sorted((key, str(status)) for key, status in found.items())).encode()


async def history(place: Place) -> bytes:
    return str([status.reference for status in await place.store.history(place.key)]).encode()


async def delete(place: Place) -> bytes:
    await place.store.delete(place.key)
    return b""


WRITES: list[Work] = [small, large]
READS: list[Work] = [read, stream, state, states, history]
UNNOTICED = {CORRUPTED, SHORTENED}  # in a listing: S3 has no checksum there
REFUSED = {DENIED, NO_BUCKET}


_lengths: dict[Work, int] = {}  # it is always the same


@dataclass
class Field:
    """Where the cases of one test are tried."""

    store: TargetStore
    proxy: Proxy
    bucket: Backdoor
    tally: Tally
    numbers: "itertools.count[int]"

    def place(self) -> Place:
        """Return a target of a new name."""
        return Place(self.store, self.proxy, f"case{next(self.numbers):05}x")

    async def length(self, work: Work) -> int:
        """Return how many requests a work makes when nothing goes wrong."""
        if work not in _lengths:
            place = self.place()
            if work not in WRITES:
                await place.plant(self.bucket, LARGE)
            await work(place)
            _lengths[work] = sum(map(place.is_mine, self.proxy.requests))
        return _lengths[work]

    async def try_all(self, cases: Sequence["Case"]) -> None:
        """Try several cases at once."""
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(case: Case) -> None:
            async with slots:
                self.tally.add(await case.try_in(self))

        async with asyncio.TaskGroup() as tasks:
            for case in cases:
                tasks.create_task(one(case))
        if any(case.times > 1 for case in cases):  # what could not be taken back then, `gc` takes later
            await self.store.storage.abandon(before=time.time() + 60, dry_run=False)
        assert await self.bucket.uploads() == []


@dataclass(frozen=True)
class Case:
    """The nth request of a work goes wrong, and perhaps some behind it."""

    work: Work
    fault: Fault
    nth: int
    has_old: bool
    times: float = 1

    def __str__(self) -> str:
        old = "with an older value" if self.has_old else "fresh"
        return f"{self.fault.name} × {self.times} at request {self.nth} of {self.work.__name__}, {old}"

    async def try_in(self, field: Field) -> str:
        """Try it, and return how that went."""
        place = field.place()
        if self.has_old:
            await place.plant(field.bucket, OLD if self.work in WRITES else LARGE)
        expected = await self.work(place) if self.work in READS else None
        place.spoil(self.fault, self.nth, self.times)
        got, error = None, None
        try:
            got = await self.work(place)
        except FileflowError as failure:  # whatever else there is goes through, and fails the test
            error = failure
        place.is_spoilt = False
        try:
            self.judge_error(error)
            await self.judge(place, got, expected)
        except AssertionError as wrong:
            raise AssertionError(f"{self}: {wrong}") from (error or wrong)
        if error is None:
            return "right"
        return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__)

    def judge_error(self, error: FileflowError | None) -> None:
        if self.times == inf and error is not None:
            kind = TargetAccessError if self.fault in REFUSED else StorageUnavailableError
            assert isinstance(error, kind), error

    async def judge(self, place: Place, got: bytes | None, expected: bytes | None) -> None:
        value = await place.value()
        if self.work in READS:
            is_sure = self.work in (read, stream) or self.fault not in UNNOTICED
            assert got in (None, expected) or not is_sure
            assert value == LARGE
        elif self.work is delete:
            assert value in (LARGE, None)
            assert value is None or got is None or self.fault in UNNOTICED
        else:
            old, new = OLD if self.has_old else None, NEW if self.work is small else LARGE
            assert value in (old, new)
            assert value == new or got is None  # acknowledged is committed
            assert len(await place.store.history(place.key)) == self.has_old + (value == new)
            if got is None:
                await place.put(NEXT)
                assert await place.value() == NEXT


@pytest.fixture
async def field(
    proxy: Proxy,
    bucket: Backdoor,
    s3_settings: Callable[..., S3Settings],
    monkeypatch: pytest.MonkeyPatch,
    tally: Tally,
) -> AsyncIterator[Field]:
    """A store on S3 behind a proxy, whose pieces are small, so that there are many."""
    monkeypatch.setattr(s3_upload, "PIECE", PIECE)
    monkeypatch.setattr(s3_upload, "SINGLE", 2 * PIECE)
    monkeypatch.setattr(s3_download, "PIECE", PIECE)
    monkeypatch.setattr(s3_download, "LARGE", 2 * PIECE)
    settings = s3_settings(proxy.port, read_timeout=0.5)
    async with S3Storage(bucket.bucket, "ff", settings, budget=QUICK) as storage:
        store = TargetStore(storage, clock=ImpatientClock())
        yield Field(store, proxy, bucket, tally, itertools.count())


def sample(cases: Sequence[Case], count: int) -> Sequence[Case]:
    return cases if LONG else random.sample(cases, min(count, len(cases)))


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("fault", [*FAULTS.values(), NO_BUCKET], ids=lambda fault: fault.name)
async def test_one_request_goes_wrong(field: Field, fault: Fault) -> None:
    """Each of each work, once."""
    cases: list[Case] = []
    for work in WRITES:
        both = [
            Case(work, fault, nth, has_old)
            for nth in range(1, await field.length(work) + 1)
            for has_old in (False, True)
        ]
        cases += sample(both, 2)
    reads = [
        Case(work, fault, nth, has_old=True)
        for work in (*READS, delete)
        for nth in range(1, await field.length(work) + 1)
    ]
    await field.try_all([*cases, *sample(reads, 1)])


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("times", [3, inf], ids=["for a while", "for good"])
@pytest.mark.parametrize(
    "fault", [EXPIRED, EXPIRED_403, SLOW_DOWN, INTERNAL_ERROR, RESET, DENIED], ids=lambda fault: fault.name
)
async def test_requests_go_wrong_from_then_on(field: Field, fault: Fault, times: float) -> None:
    """What passes is waited out, what does not is given up with the error for it."""
    cases = [
        Case(work, fault, nth, has_old=work not in WRITES or nth % 2 == 0, times=times)
        for work in (*WRITES, *READS, delete)
        for nth in range(1, await field.length(work) + 1)
    ]
    await field.try_all(sample(cases, 3))
    if times == 3 and fault is not DENIED:
        assert set(field.tally.counts) == {"right"}


def a_bit_flips() -> Fault:
    """Return the fault that one bit of what is sent changes on its way."""
    drawn = random.random()

    def bend(request: Request) -> Request:
        at, bit = divmod(int(drawn * len(request.body) * 8), 8)
        body = bytearray(request.body)
        body[at : at + 1] = bytes(each ^ 1 << bit for each in body[at : at + 1])
        return Request(request.method, request.target, request.headers, bytes(body))

    return Fault(f"bit at {drawn:.4f} flips", bend=bend)


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE)
async def test_a_bit_of_what_is_sent_flips(field: Field) -> None:
    """Of data, of a part or of a record: S3 refuses it by its checksum, and it is sent again."""
    lengths = {work: await field.length(work) for work in WRITES}
    cases = [
        Case(work, a_bit_flips(), random.randint(1, lengths[work]), has_old=number % 4 < 2)
        for number in range(BITS)
        for work in [WRITES[number % 2]]
    ]
    await field.try_all(cases)
    assert set(field.tally.counts) == {"right"}
