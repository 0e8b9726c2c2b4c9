"""A process is killed at each request that a commit makes of S3: the old value or the new one, never half."""

import asyncio
import os
import random
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from fileflow_async.retention import gc
from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.store import TargetStore
from tests.crash.judging import Value, put, value_of
from tests.crash.tally import LONG, PATIENCE, Tally
from tests.crash.works import EVERYTHING, KEY, LARGE, NEW, NEXT, OLD, PIECE
from tests.crash.zygote import End, Zygote
from tests.planting import record_for
from tests.s3_servers.backdoor import Backdoor
from tests.s3_servers.proxy import Fault, Proxy, Reply, Request

WHAT = "kills at a request of S3"
_BEFORE = "20260921T141319000Z-t01-aaaaaaaaaaaa.csv"


def _kill(request: Request, _: Reply | None) -> None:
    """End whoever asked: its credentials say who that is."""
    found = re.search("Credential=([0-9]+)/", request.headers["authorization"])
    assert found is not None
    os.kill(int(found[1]), signal.SIGKILL)


BEFORE, BEHIND = Fault("before", passes=False, reply=_kill), Fault("behind", reply=_kill)


@dataclass(frozen=True)
class Case:
    work: str
    nth: int
    fault: Fault
    has_old: bool

    @property
    def old(self) -> Value:
        return OLD if self.has_old else None

    @property
    def new(self) -> Value:
        return NEW if self.work == "small" else LARGE


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("work", ["small", "stream"])
async def test_a_process_is_killed_at_each_request(
    zygote: Zygote,
    tmp_path: Path,
    proxy: Proxy,
    bucket: Backdoor,
    s3_settings: Callable[..., S3Settings],
    tally: Tally,
    work: str,
) -> None:
    """Before the server sees it, and once it has been done."""
    server = {"s3": {"endpoint_url": proxy.url}, "bucket": bucket.bucket, "piece": PIECE}
    await asyncio.to_thread(zygote.warm, **server)

    async def run() -> End:
        return await asyncio.to_thread(zygote.run, work, tmp_path / "none", **server)

    assert (await run()).was_told
    cases = [
        Case(work, nth, fault, has_old)
        for nth in range(1, len(proxy.requests) + 1)
        for fault in (BEFORE, BEHIND)
        for has_old in (False, True)
    ]
    async with S3Storage(bucket.bucket, "ff", s3_settings(bucket.port)) as storage:
        store = TargetStore(storage)
        for case in cases if LONG else random.sample(cases, 4):
            await store.delete(KEY)
            if case.has_old:
                await bucket.put(f"ff/{KEY}/{_BEFORE}", OLD)
                await bucket.put(f"ff/{KEY}/{_BEFORE}.ok", record_for(_BEFORE, OLD))
            proxy.reset()
            proxy.spoil(case.fault, nth=case.nth)
            end = await run()
            value = await value_of(store, KEY)
            assert value in (case.old, case.new), case
            assert value == case.new or not end.was_told, case
            left = f"left the {'new' if value == case.new else 'old'} value"
            tally.add(left if end.was_killed else "got through")
            await put(store, KEY, NEXT)
            assert await value_of(store, KEY) == NEXT
        await gc(store, dry_run=False, rules=EVERYTHING)
        assert await value_of(store, KEY) == NEXT
    assert await bucket.uploads() == []
    assert tally.counts.keys() - {"got through"}
