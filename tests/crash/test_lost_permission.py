"""Somebody takes a waiter's rights away, for a while or for good: it waits, or it fails and says why."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import airflow_harness as airflow_harness  # its AIRFLOW_HOME serves the process below too
from tests.crash.tally import FORM, Tally

WHAT = "waits whose rights are taken away"
NOBODY = 65534
HERE = str(Path(__file__).parents[2])

_WAITER = """
import asyncio, json, os, sys, time
sys.path.insert(0, sys.argv[1])
from tests import airflow_harness
from fileflow_async import open_store
from fileflow_async.clock import SystemClock
from fileflow_async.triggers import FileTargetTrigger
import fileflow_async.storage.local

FASTER = 20
root, uid, mode, gives_back = sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5] == "True"
if os.geteuid() == 0:
    os.chown(root, uid, uid)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
KEY = "shop/20261120T000000Z/extract/output"

class Clock(SystemClock):
    began = time.monotonic(), time.time()

    def monotonic(self):
        return self.began[0] + (time.monotonic() - self.began[0]) * FASTER

    def time(self):
        return self.began[1] + self.monotonic() - self.began[0]

    async def sleep(self, seconds):
        await asyncio.sleep(seconds / FASTER)

    def timeout(self, seconds):
        return asyncio.timeout(None if seconds is None else max(seconds / FASTER, 1))

async def main():
    clock = Clock()
    async with open_store(root) as store:
        async with store.write(KEY.replace("extract", "other")) as out:
            await out.write(b"1")
        trigger = FileTargetTrigger(root=root, targets=[KEY], deadline=clock.time() + 900)
        task = asyncio.create_task(trigger.wait(clock))
        await clock.sleep(20)
        assert not task.done()
        folder = f"{root}/shop/20261120T000000Z" if mode == "folder" else root
        os.chmod(folder, 0)
        began = clock.monotonic()
        if gives_back:
            await clock.sleep(30)
            os.chmod(folder, 0o700)
            async with store.write(KEY) as out:
                await out.write(b"1")
        event = await task
        os.chmod(folder, 0o700)
        why = event.missing[0].why if event.missing else ""
        print(json.dumps({"outcome": str(event.outcome), "why": why, "seconds": clock.monotonic() - began}))

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("what", ["root", "folder"])
@pytest.mark.parametrize("gives_back", [False, True], ids=["for good", "for half a minute"])
def test_a_folder_can_no_longer_be_read(tally: Tally, what: str, gives_back: bool) -> None:
    """By a clock that runs twenty times as fast, as somebody to whom modes mean something.

    The root is asked at every poll. Of a folder below, from which no commit is announced, the next recheck
    tells, ten minutes later at most.
    """
    if what == "folder" and not gives_back and FORM == "sample":
        pytest.skip("ten minutes are half of one here: FILEFLOW_FAULTS=normal")
    uid = NOBODY if os.geteuid() == 0 else os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        done = subprocess.run(
            [sys.executable, "-c", _WAITER, HERE, folder, str(uid), what, str(gives_back)],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore", "AIRFLOW__FILEFLOW__DURABILITY": "none"},
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
    if gives_back:
        assert found["outcome"] == "ready", found
        tally.add("went on")
    else:
        assert found["outcome"] == "unreadable", found
        assert 60 <= found["seconds"] <= (110 if what == "root" else 710), found
        assert f"as uid {uid}: permission denied" in found["why"]
        assert "(mode 0000" in found["why"]
        tally.add("failed once it was sure, by uid and mode")
