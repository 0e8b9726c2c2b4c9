"""Somebody removes a store's folders and makes them again, while others wait for what is in them."""

import asyncio
import random
import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest

from fileflow_async.errors import FileflowError
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from tests import airflow_harness as airflow_harness  # before anything else imports Airflow
from tests.crash.judging import put
from tests.crash.tally import Tally, how_many
from tests.crash.waits import RUN, cancel, wait

WHAT = "folders removed and made again under waits"
SECONDS = how_many(sample=3, normal=10, long=120)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
async def test_waits_outlive_the_folders(tmp_path: Path, tally: Tally) -> None:
    """The root itself, a run, a task, the feed: none of it ends a wait, and what comes last is found."""
    root = tmp_path / "root"
    folders = [root, root / "shop", root / RUN, root / RUN / "task3", root / ".feed"]
    keys = [f"{RUN}/task{number}/output" for number in range(20)]

    def disturb() -> None:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            shutil.rmtree(random.choice(folders), ignore_errors=True)
            tally.add("removals")
            time.sleep(random.uniform(0, 0.05))
            root.mkdir(exist_ok=True)
            time.sleep(random.uniform(0, 0.05))

    await asyncio.to_thread(root.mkdir)
    async with LocalStorage(root, durability="none") as storage:
        store = TargetStore(storage)
        waits = [wait(root.as_uri(), key) for key in keys]
        disturbing = asyncio.create_task(asyncio.to_thread(disturb))
        while not disturbing.done():  # somebody writes meanwhile, and may fail, but not in a way of its own
            with suppress(FileflowError):
                await put(store, f"{RUN}/other/output", b"1")
                tally.add("commits meanwhile")
            await asyncio.sleep(0.02)
        await disturbing
        assert not any(task.done() for task in waits)
        for key in keys:
            await put(store, key, key.encode())
        async with asyncio.timeout(75):  # a minute, where a commit came while the feed was away
            for task in waits:
                assert (await task).outcome == "ready"
        tally.add("waits that outlived it", len(waits))
        await cancel(*waits)
        for key in keys:
            assert await store.read(key) == key.encode()
