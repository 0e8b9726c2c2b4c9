"""A mount hangs: whoever waits for it waits on, and nobody else notices."""

import asyncio
import time
from pathlib import Path

import pytest

from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from tests import airflow_harness as airflow_harness  # before anything else imports Airflow
from tests.crash.judging import put
from tests.crash.mounting import CannotMountError, hung
from tests.crash.tally import Tally, how_many
from tests.crash.waits import RUN, cancel, stalls, wait
from tests.watching import others

WHAT = "waits beside a mount that hangs"
HUNG = 100
ROUNDS = how_many(sample=3, normal=10, long=100)
STALL = 0.25  # seconds: 5 ms are usual, and a machine that does other things has moments


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_hundred_waits_on_a_hung_mount_delay_nobody(tmp_path: Path, tally: Tally) -> None:
    """Nor does anything that they begin stop the event loop."""
    root = tmp_path / "root"
    mount = hung()
    try:
        dead = await asyncio.to_thread(mount.__enter__)
    except CannotMountError as error:
        tally.add(f"not tried ({error})")
        pytest.skip(f"nothing can be mounted here ({error}); storage/test_local_threads.py hangs by a lock")
    waits: list[asyncio.Task[object]] = []
    try:
        async with LocalStorage(root, durability="none", create=True) as storage:
            store = TargetStore(storage)
            await asyncio.wait([wait(root.as_uri(), await _commit(store, "warm"))])
            async with stalls() as stall:
                waits += [wait(dead.as_uri(), f"{RUN}/task{number}/output") for number in range(HUNG)]
                for number in range(ROUNDS):
                    key = f"{RUN}/healthy{number}/output"
                    healthy = wait(root.as_uri(), key)
                    waits.append(healthy)
                    await asyncio.sleep(0.3)
                    await put(store, key, b"1")
                    began = time.monotonic()
                    event = await healthy
                    assert event.outcome == "ready"
                    assert time.monotonic() - began < 2.0
                    tally.add("healthy ones told within two seconds")
            assert stall.seconds < STALL
        assert sum(task.done() for task in waits) == ROUNDS
        tally.add("hung ones that wait on", HUNG)
        began = time.monotonic()
        await cancel(*waits)
        assert time.monotonic() - began < 15.0  # nobody waits for what hangs
    finally:
        await asyncio.to_thread(mount.__exit__, None, None, None)
    assert others() == set()


async def _commit(store: TargetStore, task: str) -> str:
    key = f"{RUN}/{task}/output"
    await put(store, key, b"1")
    return key
