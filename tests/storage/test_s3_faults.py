"""Whatever happens to a request: right bytes or an error, one object or none, no parts left behind."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from math import inf

import pytest

from fileflow_async.errors import (
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetSupersededError,
)
from fileflow_async.storage import s3_download, s3_listing, s3_upload
from fileflow_async.storage.retry import Budget
from fileflow_async.storage.s3 import S3Settings, S3Storage
from tests.s3_servers.backdoor import Backdoor
from tests.s3_servers.proxy import (
    CONFLICT,
    CORRUPTED,
    CORRUPTED_REQUEST,
    DENIED,
    FAULTS,
    HANGS,
    HANGS_WHEN_DONE,
    NOTHING,
    PRECONDITION,
    SHORTENED,
    Fault,
    Proxy,
    Request,
)

PIECE = 20_000
DATA = os.urandom(3 * PIECE + 7)
QUICK = Budget(attempts=40, seconds=20, first=0.001, longest=0.01)
KEYS = [f"run/{number}" for number in range(7)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces and pages are small, so that there are many."""
    monkeypatch.setattr(s3_upload, "PIECE", PIECE)
    monkeypatch.setattr(s3_upload, "SINGLE", 2 * PIECE)
    monkeypatch.setattr(s3_download, "PIECE", PIECE)
    monkeypatch.setattr(s3_download, "LARGE", 2 * PIECE)
    monkeypatch.setattr(s3_listing, "PAGE", 3)


@pytest.fixture(scope="module")
def bucket(s3_port: int) -> Backdoor:
    """One for all: what is read is there, what is written has a name of its own."""
    made = Backdoor(s3_port, f"test-{uuid.uuid4().hex}")
    asyncio.run(_prepare(made))
    return made


async def _prepare(bucket: Backdoor) -> None:
    await bucket.make()
    settings = S3Settings(
        endpoint_url=f"http://127.0.0.1:{bucket.port}", region="x", access_key_id="x", secret_access_key="x"
    )
    async with S3Storage(bucket.bucket, "ff", settings) as storage:
        await storage.put("there/small", DATA[:1000])
        await storage.put("there/large", DATA)
        for key in KEYS:
            await storage.put(key, b"")


@pytest.fixture
async def storage(
    request: pytest.FixtureRequest,
    proxy: Proxy,
    bucket: Backdoor,
    s3_settings: Callable[..., S3Settings],
    small: None,
) -> AsyncIterator[S3Storage]:
    hangs = request.node.callspec.params.get("fault") in (HANGS, HANGS_WHEN_DONE)
    settings = s3_settings(proxy.port, read_timeout=0.3 if hangs else 10)
    async with S3Storage(bucket.bucket, "ff", settings, budget=QUICK) as storage:
        yield storage


async def put(storage: S3Storage, key: str) -> bytes:
    storage._open.requests.shared.abilities.clear()  # so that the probe is among the requests
    assert (await storage.put(key, DATA[:500])).size == 500
    return DATA[:500]


async def create(storage: S3Storage, key: str) -> bytes:
    async with storage.create(key) as sink:
        for start in range(0, len(DATA), 9_000):
            await sink.write(DATA[start : start + 9_000])
    assert sink.entry.size == len(DATA)
    return DATA


async def read(storage: S3Storage, key: str) -> bytes:
    return await storage.read("there/small")


async def read_large(storage: S3Storage, key: str) -> bytes:
    return await storage.read("there/large")


async def read_range(storage: S3Storage, key: str) -> bytes:
    return await storage.read_range("there/large", 5, PIECE)


async def stream(storage: S3Storage, key: str) -> bytes:
    async with storage.stream("there/large") as pieces:
        return b"".join([piece async for piece in pieces])


async def stat(storage: S3Storage, key: str) -> bytes:
    entry = await storage.stat("there/small")
    return b"%d" % entry.size


async def list_keys(storage: S3Storage, key: str) -> bytes:
    return " ".join(entry.key for entry in (await storage.list("run/")).entries).encode()


async def list_each(storage: S3Storage, key: str) -> bytes:
    listings = await storage.list_each(["run/", "there/"])
    for listing in listings.values():
        if isinstance(listing, FileflowError):
            raise listing
    return " ".join(entry.key for listing in listings.values() for entry in listing.entries).encode()  # type: ignore[union-attr]


async def delete(storage: S3Storage, key: str) -> bytes:
    await storage.delete([key, f"{key}.ok"])
    return b""


Call = Callable[[S3Storage, str], Awaitable[bytes]]
CALLS: list[Call] = [put, create, read, read_large, read_range, stream, stat, list_keys, list_each, delete]
# What no client can notice: S3 sends no checksum with it. The SHA-256 of the record does.
UNNOTICED = {
    CORRUPTED: {create, read_large, read_range, stream, list_keys, list_each, delete},
    CORRUPTED_REQUEST: {create, delete},
    SHORTENED: {stat},
}
# A condition that did not hold is final for a reader; a writer finds that nothing stands there.
PERMANENT: dict[Fault, type[FileflowError] | tuple[type[FileflowError], ...]] = {
    DENIED: TargetAccessError,
    PRECONDITION: (TargetSupersededError, StorageUnavailableError),
}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_one_fault_at_each_request(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor, call: Call, fault: Fault
) -> None:
    """Each request of each call meets each fault once."""
    if call in UNNOTICED.get(fault, ()):
        pytest.skip("S3 has no checksum there")
    expected = await call(storage, f"{uuid.uuid4()}")
    for nth in range(1, len(proxy.requests) + 1):
        proxy.reset()
        proxy.spoil(fault, nth=nth)
        key = f"{uuid.uuid4()}"
        try:
            assert await call(storage, key) == expected
            assert call not in (put, create) or await bucket.get(f"ff/{key}") == expected
        except PERMANENT.get(fault, ()):
            assert await bucket.get(f"ff/{key}") in (None, expected)
        assert f"ff/{key}" not in await bucket.uploads()


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_faults_at_most_requests_are_waited_out(
    storage: S3Storage, proxy: Proxy, call: Call, logged: list[str]
) -> None:
    """Three of four requests fail, each in another way."""
    expected = await call(storage, f"{uuid.uuid4()}")
    proxy.reset()
    for number, fault in enumerate(STORM):
        proxy.spoil(fault, times=inf, when=partial(_is_turn, proxy, number))
    for _ in range(5):
        assert await call(storage, f"{uuid.uuid4()}") == expected
    assert sum(proxy.counts.values()) > 10


# Each answer that can be tried again, one behind the other, and every fourth request goes through.
_TRANSIENT = [
    each
    for each in FAULTS.values()
    if each not in PERMANENT and each not in UNNOTICED and each not in (HANGS, HANGS_WHEN_DONE, CONFLICT)
]
STORM = [_TRANSIENT[number * 3 // 4] if number % 4 else NOTHING for number in range(len(_TRANSIENT) * 4 // 3)]


def _is_turn(proxy: Proxy, number: int, request: Request) -> bool:
    return len(proxy.requests) % len(STORM) == number
