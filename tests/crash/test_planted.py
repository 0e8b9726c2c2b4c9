"""Links, pipes, sockets and devices in the place of what is ours: refused, and never followed."""

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fileflow_async.errors import FileflowError
from fileflow_async.retention import gc
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference
from tests import airflow_harness as airflow_harness  # before anything else imports Airflow
from tests.conftest import ImpatientClock
from tests.crash.judging import put
from tests.crash.tally import Tally
from tests.crash.waits import cancel, wait
from tests.crash.works import EVERYTHING, KEY

WHAT = "things planted in a store"
DAG, SLOT, TASK, NAME = KEY.split("/")
LEVELS = ["dag", "slot", "task", "name", "data", "record", "feed"]
KINDS = ["link", "fifo", "socket", "device"]
OURS, THEIRS = b"ours", b"what lies outside"
Use = Callable[[TargetStore, Reference], Awaitable[object]]


async def _open(store: TargetStore, reference: Reference) -> bytes:
    async with store.open(KEY) as pieces:
        return b"".join([piece async for piece in pieces])


async def _wait(store: TargetStore, reference: Reference) -> object:
    waiting = wait(store.root, KEY)
    await asyncio.wait([waiting], timeout=0.3)
    if waiting.done():
        return waiting.result()
    await cancel(waiting)
    return None


USES: dict[str, Use] = {
    "state": lambda store, _: store.state(KEY),
    "read": lambda store, _: store.read(KEY),
    "read a reference": lambda store, reference: store.read(reference),
    "open": _open,
    "history": lambda store, _: store.history(KEY),
    "wait": _wait,
    "write": lambda store, _: put(store, KEY, OURS),
    "gc": lambda store, _: gc(store, dry_run=False, rules=EVERYTHING),
    "delete": lambda store, _: store.delete(KEY),
}


def plant(kind: str, path: Path, outside: Path) -> None:
    """Put something in the place of a file or folder, which moves outside."""
    path.rename(outside)
    if kind == "link":
        path.symlink_to(outside)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device" and os.geteuid() == 0:  # only root makes devices: others have the socket twice
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    else:
        here = os.open(path.parent, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"/proc/self/fd/{here}/{path.name}")  # the path itself may be too long for it
        os.close(here)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in [folder, *folder.rglob("*")] if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", LEVELS)
async def test_nothing_is_followed_opened_or_waited_for(
    tmp_path: Path, tally: Tally, level: str, kind: str
) -> None:
    """At each level of a target's path: what is read is ours, what lies outside stays as it is."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    async with LocalStorage(root, durability="none", create=True) as storage:
        store = TargetStore(storage, clock=ImpatientClock())
        reference = await put_other(store)
        folder = root / DAG / SLOT / TASK / NAME
        places = {
            "dag": root / DAG,
            "slot": root / DAG / SLOT,
            "task": root / DAG / SLOT / TASK,
            "name": folder,
            "data": folder / reference.data,
            "record": folder / f"{reference.data}.ok",
            "feed": root / ".feed",
        }
        await asyncio.to_thread(plant, kind, places[level], outside)
        before = await asyncio.to_thread(content, outside)
        for name, use in USES.items():
            async with asyncio.timeout(10):
                try:
                    got = await use(store, reference)
                except FileflowError:
                    tally.add("uses refused")
                else:
                    tally.add("uses that met nothing of it")
                    assert got != THEIRS or level == "feed", name
            if level == "feed" and name == "write":
                reference = await put_other(store)  # what follows wants a value
        assert await asyncio.to_thread(content, outside) == before


async def put_other(store: TargetStore) -> Reference:
    async with store.write(KEY, format="csv") as out:
        await out.write(THEIRS)
    assert out.reference is not None
    return out.reference
