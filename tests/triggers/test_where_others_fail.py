"""Where the sensors of others fail: on real servers and disks ours wait it out, or say what is wrong."""

import asyncio
import ctypes
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import inf
from pathlib import Path
from typing import Any

import pytest

from fileflow_async import open_store
from fileflow_async.outcome import Outcome
from fileflow_async.storage.local_root import Root
from fileflow_async.storage.outside_scan import OutsideScan
from fileflow_async.triggers import FileTargetTrigger
from fileflow_async.triggers.arrival import ArrivalTrigger
from tests.s3_servers.backdoor import Backdoor
from tests.s3_servers.proxy import DENIED, EXPIRED, PAGE, SLOW_DOWN, Fault, Proxy, error
from tests.triggers.test_in_airflow import BlockingTrigger
from tests.watching import others

KEY = "shop/20260921T000000Z/extract/output"
KINDS = pytest.mark.parametrize("kind", ["target", "arrival"])
_FORCE, _DETACH = 1, 2  # MNT_FORCE, MNT_DETACH


# In S3.


@pytest.fixture
def lake(bucket: Backdoor, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place in a bucket, behind a proxy that can break whatever is asked."""
    connection = {
        "conn_type": "aws",
        "login": "AKIAPLANTED",
        "password": "secret-planted",
        "extra": {
            "endpoint_url": proxy.url,
            "region_name": "us-east-1",
            "config_kwargs": {"s3": {"addressing_style": "path"}},
        },
    }
    # A name of its own for each test: Airflow keeps a connection that it has looked up for a while.
    monkeypatch.setenv(f"AIRFLOW_CONN_{bucket.bucket.upper()}", json.dumps(connection))
    return f"s3://{bucket.bucket}/ff"


def conn_id_of(root: str) -> str | None:
    return root.split("/")[2] if root.startswith("s3://") else None


async def commit(root: str) -> None:
    async with open_store(root, conn_id_of(root)) as store, store.write(KEY) as out:
        await out.write(b"data")


def in_s3(kind: str, root: str) -> Any:
    """Return a trigger that waits there, with a deadline that it should not need."""
    given: dict[str, Any] = {"conn_id": conn_id_of(root), "poke_interval": 1.0, "deadline": time.time() + 50}
    if kind == "target":
        return FileTargetTrigger(root=root, targets=[KEY], **given)
    return ArrivalTrigger(path=f"{root}/in/rep[1].csv", **given)


async def arrive(kind: str, root: str, bucket: Backdoor) -> None:
    if kind == "target":
        await commit(root)
    else:
        await bucket.put("ff/in/rep[1].csv", b"data")


async def outcome(trigger: Any) -> str:
    """Return how a wait ends, and that it ends by one event."""
    payloads = [event.payload async for event in trigger.run()]
    assert len(payloads) == 1
    return str(payloads[0]["outcome"])


@pytest.mark.slow
@KINDS
@pytest.mark.parametrize("fault", [EXPIRED, SLOW_DOWN, PAGE], ids=lambda fault: fault.name)
async def test_what_passes_is_waited_out(
    lake: str, bucket: Backdoor, proxy: Proxy, kind: str, fault: Fault
) -> None:
    """Expired credentials, 503, a web page with status 200 in the place of each answer."""
    proxy.spoil(fault, times=inf)
    waiting = asyncio.create_task(outcome(in_s3(kind, lake)))
    while len(proxy.requests) < 2:
        await asyncio.sleep(0.05)
    assert not waiting.done()
    proxy.reset()
    await arrive(kind, lake, bucket)
    assert await waiting == Outcome.READY


@pytest.mark.slow
@KINDS
async def test_what_is_refused_is_not_taken_for_missing(
    lake: str, bucket: Backdoor, proxy: Proxy, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unreadable place; others wait for it without end. That it takes a minute is shortened here."""
    monkeypatch.setattr("fileflow_async.refusal._FOR", 1.0)
    await arrive(kind, lake, bucket)
    proxy.spoil(DENIED, times=inf)
    assert await outcome(in_s3(kind, lake)) == Outcome.UNREADABLE


async def test_an_object_that_vanishes_between_list_and_get_is_waited_for(
    lake: str, bucket: Backdoor, proxy: Proxy
) -> None:
    """The listing shows the record, which is gone when it is read."""
    await commit(lake)
    proxy.spoil(error("404 Not Found", "NoSuchKey"), "GetObject")
    assert await outcome(in_s3("target", lake)) == Outcome.READY
    assert proxy.counts["GetObject"] >= 2


# A file system that never answers.


@contextmanager
def _mounted(folder: Path) -> Iterator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"hung", os.fsencode(folder), b"fuse", 0, options):
            raise OSError(ctypes.get_errno(), "cannot mount")
        try:
            yield
        finally:
            libc.umount2(os.fsencode(folder), _FORCE | _DETACH)  # whoever waits gets an error
    finally:
        os.close(device)


@contextmanager
def _waiting_threads(folder: Path) -> Iterator[None]:
    over = threading.Event()
    enter, answers = Root.open, OutsideScan.answers

    def late_open(self: Root, *args: Any) -> int:
        if str(folder) in self.directory:
            over.wait(50)
        return enter(self, *args)

    def late_answers(self: OutsideScan, *args: Any) -> Any:
        if str(folder) in self._folder:
            over.wait(50)
        return answers(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Root, "open", late_open)
        patch.setattr(OutsideScan, "answers", late_answers)
        try:
            yield
        finally:
            over.set()


@pytest.fixture(params=["FUSE", "threads"])
def hanging(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder that never answers; where FUSE may not be mounted, only the threads that look there wait."""
    (folder := tmp_path / "hung").mkdir()
    (tmp_path / "healthy").mkdir()
    with ExitStack() as stack:
        try:
            if request.param == "FUSE":
                stack.enter_context(_mounted(folder))
        except OSError:
            request.param = "threads"
        if request.param == "threads":
            stack.enter_context(_waiting_threads(folder))
        yield folder


def on_disk(kind: str, folder: Path, **given: Any) -> Any:
    if kind == "target":
        return FileTargetTrigger(root=folder.as_uri(), targets=[KEY], poke_interval=1.0, **given)
    return ArrivalTrigger(path=f"{folder}/a.csv", done_file="{name}.done", poke_interval=1.0, **given)


@pytest.mark.slow
@KINDS
async def test_a_hung_file_system_keeps_nobody_but_those_who_wait_for_it(
    hanging: Path, tmp_path: Path, kind: str
) -> None:
    """Sixty wait there, one elsewhere is served; the deadline comes, and a cancelled wait ends."""
    healthy = tmp_path / "healthy"
    await commit(healthy.as_uri())
    hung_ones = [asyncio.create_task(outcome(on_disk(kind, hanging))) for _ in range(60)]
    late = asyncio.create_task(outcome(on_disk(kind, hanging, deadline=time.time() + 1.0)))
    await asyncio.sleep(0.5)
    async with asyncio.timeout(10):
        assert await outcome(on_disk("target", healthy)) == Outcome.READY
    async with asyncio.timeout(20):
        assert await late == Outcome.TIMEOUT
    assert not any(task.done() for task in hung_ones)
    for task in hung_ones:
        task.cancel()
    async with asyncio.timeout(15):
        await asyncio.wait(hung_ones)
    assert all(task.cancelled() for task in hung_ones)
    assert others() == set()


# Another trigger.


@KINDS
async def test_a_trigger_that_blocks_the_loop_delays_ours_no_longer_than_that(
    tmp_path: Path, kind: str
) -> None:
    """What came meanwhile is not lost."""
    waiting = asyncio.create_task(outcome(on_disk(kind, tmp_path)))
    await asyncio.sleep(0.3)
    blocking = asyncio.ensure_future(anext(BlockingTrigger(0.4).run()))
    await asyncio.sleep(0)
    began = time.monotonic()
    if kind == "target":
        await commit(tmp_path.as_uri())
    else:
        await asyncio.to_thread(drop, tmp_path)
    assert await waiting == Outcome.READY
    await blocking
    assert time.monotonic() - began < 3 * 0.4 + 6.0


def drop(folder: Path) -> None:
    (folder / "a.csv").write_text("data")
    (folder / "a.csv.done").touch()
