"""S3 is away for a while: waits go on, ask no more often than before, and end soon after it is back."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import Any

import pytest

from fileflow_async.hooks import connection
from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.store import TargetStore
from tests import airflow_harness as airflow_harness  # before anything else imports Airflow
from tests.conftest import LoopGuard
from tests.crash import waits
from tests.crash.judging import put
from tests.crash.tally import Tally, how_many
from tests.s3_servers.backdoor import Backdoor
from tests.s3_servers.proxy import (
    BAD_GATEWAY,
    CLOSED,
    DRIPS,
    EXPIRED,
    GARBAGE,
    HANGS,
    INTERNAL_ERROR,
    LOST_REPLY,
    PAGE,
    RESET,
    RESET_MIDWAY,
    SLOW_DOWN,
    TOO_MANY,
    TRUNCATED,
    Fault,
    Proxy,
    error as answer,
)

WHAT = "outages of S3 under waits"
SECONDS = how_many(sample=4, normal=15, long=600)
INTERVAL = 1.0
BEGUN = 4  # requests: it has looked, and polls
RECOVERY = 30.0  # seconds, on top of the interval: a request that hangs has to be given up first
FAULTS = [
    SLOW_DOWN,
    TOO_MANY,
    INTERNAL_ERROR,
    BAD_GATEWAY,
    CLOSED,
    RESET,
    RESET_MIDWAY,
    LOST_REPLY,
    TRUNCATED,
    GARBAGE,
    PAGE,
    HANGS,
    DRIPS,
    EXPIRED,
    answer("403 Forbidden", "ExpiredToken"),
]


@pytest.fixture(autouse=True)
def quiet(loop_guard: LoopGuard, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Airflow's log and that of pytest write each record to a file; connections are looked up anew."""
    monkeypatch.setattr(connection, "_connections", connection.Connections())
    yield
    loop_guard.blocked[:] = [call for call in loop_guard.blocked if call != "io.TextIOWrapper.write"]


@asynccontextmanager
async def place(
    bucket: Backdoor, name: str, monkeypatch: pytest.MonkeyPatch, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[Proxy, str, str]]:
    """Give a proxy of its own, a root behind it, and the connection that leads there."""
    async with Proxy.to(bucket.port) as proxy:
        conn_id = f"lake_{name}"
        extra: dict[str, Any] = {"config_kwargs": {"read_timeout": 3, "connect_timeout": 3}}
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{conn_id.upper()}", waits.connection(f"http://{host}:{proxy.port}", **extra)
        )
        yield proxy, f"s3://{bucket.bucket}/{name}", conn_id


async def outlive(
    store: TargetStore,
    proxy: Proxy,
    root: str,
    conn_id: str,
    begin: Callable[[], object],
    end: Callable[[], object],
    *,
    is_up: bool = True,
) -> float:
    """Wait through an outage in which the commit comes; return how long after its end the event came."""
    key = f"{waits.RUN}/extract/output"
    task = waits.wait(root, key, conn_id=conn_id, poke_interval=INTERVAL)
    try:
        async with asyncio.timeout(30):
            while is_up and len(proxy.requests) < BEGUN:
                await asyncio.sleep(0.05)
        begin()
        asked = len(proxy.requests)
        await asyncio.sleep(SECONDS / 2)
        await put(store, key, b"1")
        await asyncio.sleep(SECONDS / 2)
        assert not task.done(), task
        # Each poll is tried three times, the first of them soon after another; a wait has a look of its own.
        assert len(proxy.requests) - asked <= 2 * SECONDS / INTERVAL + 15
        end()
        began = time.monotonic()
        async with asyncio.timeout(INTERVAL + RECOVERY):
            assert (await task).outcome == "ready"
        return time.monotonic() - began
    finally:
        await waits.cancel(task)


@pytest.fixture
def behind(bucket: Backdoor, s3_settings: Callable[..., S3Settings]) -> Callable[[str], S3Storage]:
    """Open a root without its proxy: where the commit comes from, S3 is not away."""
    return lambda name: S3Storage(bucket.bucket, name, s3_settings(bucket.port))


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS + 120)
async def test_waits_outlive_every_outage(
    bucket: Backdoor, behind: Callable[[str], S3Storage], monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    """Fifteen kinds of it, side by side, each on a server of its own."""

    async def one(number: int, fault: Fault) -> None:
        name = f"fault{number}"
        async with place(bucket, name, monkeypatch) as (proxy, root, conn_id), behind(name) as storage:
            begin = lambda: proxy.spoil(fault, times=inf)  # noqa: E731
            try:
                passed = await outlive(TargetStore(storage), proxy, root, conn_id, begin, proxy.reset)
            except (AssertionError, TimeoutError) as error:
                raise AssertionError(f"{fault.name}: {error!r}") from error
            tally.add(f"waits that fired within {'5' if passed < 5 else '30'} s of the end")

    async with asyncio.TaskGroup() as tasks:
        for number, fault in enumerate(FAULTS):
            tasks.create_task(one(number, fault))


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS + 120)
async def test_a_wait_outlives_a_name_that_is_not_found(
    bucket: Backdoor, behind: Callable[[str], S3Storage], monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    """DNS is away from the start: later, answers are remembered for a while. Then it knows the name."""
    known, lookup = list[bool](), socket.getaddrinfo

    def look_up(host: Any, *args: Any, **more: Any) -> Any:
        if host != "localhost":
            return lookup(host, *args, **more)
        if not known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return lookup("127.0.0.1", *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    async with (
        place(bucket, "dns", monkeypatch, "localhost") as (proxy, root, conn_id),
        behind("dns") as storage,
    ):
        await outlive(
            TargetStore(storage), proxy, root, conn_id, known.clear, lambda: known.append(True), is_up=False
        )
        tally.add("waits that fired after DNS was back")


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_the_deadline_holds_although_nobody_answers(
    bucket: Backdoor, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    """Neither a server that hangs nor one that cannot even be reached moves it."""
    with suppress(OSError), socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        callers = [socket.socket() for _ in range(3)]  # they fill its queue: whoever comes now hears nothing
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        unreachable = f"http://127.0.0.1:{full.getsockname()[1]}"
        monkeypatch.setenv("AIRFLOW_CONN_LAKE_AWAY", waits.connection(unreachable))
        async with place(bucket, "hangs", monkeypatch) as (proxy, root, conn_id):
            proxy.spoil(HANGS, times=inf)
            deadline = time.time() + 3.0
            places = [(root, conn_id), (f"s3://{bucket.bucket}/away", "lake_away")]
            tasks = [
                waits.wait(where, f"{waits.RUN}/extract/output", conn_id=how, deadline=deadline)
                for where, how in places
            ]
            for task in tasks:
                assert (await task).outcome == "timeout"
                assert 0 <= time.time() - deadline <= 12.0  # a last look may take ten
                tally.add("deadlines kept")
        for caller in callers:
            caller.close()
