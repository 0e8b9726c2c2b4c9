"""Thousands begin to wait at the same moment: few connections, few requests, and a loop that runs on."""

import asyncio
import time
from collections.abc import Callable, Iterator

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
from tests.s3_servers.proxy import Proxy

WHAT = "waits that begin at once"
WAITS = how_many(sample=500, normal=10_000, long=10_000)
TARGETS = WAITS // 10
RUNS = TARGETS // 50  # each is listed at least once
TURN = 50  # waits that begin in one turn of the loop: so many does Airflow start
MOST = 32  # connections
STALL = 0.5  # seconds; Airflow's own log of a thousand lines is part of it


@pytest.fixture(autouse=True)
def quiet(loop_guard: LoopGuard, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Airflow's log and that of pytest write each record to a file; connections are looked up anew."""
    monkeypatch.setattr(connection, "_connections", connection.Connections())
    yield
    loop_guard.blocked[:] = [call for call in loop_guard.blocked if call != "io.TextIOWrapper.write"]


class Traffic:
    """How busy a server is."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.most = 0

    async def watch(self) -> None:
        while True:
            self.most = max(self.most, len(self.proxy._open))
            await asyncio.sleep(0.002)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_storm_of_waits(
    proxy: Proxy,
    bucket: Backdoor,
    s3_settings: Callable[..., S3Settings],
    monkeypatch: pytest.MonkeyPatch,
    tally: Tally,
) -> None:
    """As after a restart of the triggerer: ten wait for each target, of which a run has fifty."""
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", waits.connection(proxy.url))
    root = f"s3://{bucket.bucket}/ff"
    keys = [f"dag{number % RUNS}/20261120T000000Z/task{number}/output" for number in range(TARGETS)]
    traffic = Traffic(proxy)
    async with S3Storage(bucket.bucket, "ff", s3_settings(bucket.port)) as storage, waits.stalls() as stall:
        store = TargetStore(storage)
        await put(store, keys[0], b"1")
        assert (await waits.wait(root, keys[0], conn_id="lake")).outcome == "ready"  # all is imported
        watching = asyncio.create_task(traffic.watch())
        proxy.requests.clear()
        stall.seconds = 0.0
        began = time.monotonic()
        tasks = []
        for number in range(WAITS):
            key = keys[number % TARGETS]
            tasks.append(waits.wait(root, key, conn_id="lake", poke_interval=5.0))
            if number % TURN == 0:
                await asyncio.sleep(0)
        there = [task for number, task in enumerate(tasks) if number % TARGETS == 0]
        for task in there:  # what is there is told at once, in the midst of it all
            assert (await task).outcome == "ready"
        await put(store, keys[-1], b"1")
        last = [task for number, task in enumerate(tasks) if number % TARGETS == TARGETS - 1]
        for task in last:
            assert (await task).outcome == "ready"
        passed, stood = time.monotonic() - began, stall.seconds
        watching.cancel()
        assert sum(task.done() for task in tasks) == len(there) + len(last)
        await waits.cancel(*tasks)
    assert traffic.most <= MOST
    assert len(proxy.requests) <= TARGETS / 2
    assert passed < 30.0
    assert stood < STALL
    how = f"by {len(proxy.requests)} requests on {traffic.most} connections at most"
    tally.add(f"waits for {TARGETS:,} targets, {how}", WAITS)
