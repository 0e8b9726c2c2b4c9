"""What the processes do that are killed, stopped and watched: each a coroutine over an open store."""

import asyncio
import hashlib
import json
import os
import random
import resource
import signal
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from fileflow_async.errors import FileflowError, TargetSupersededError
from fileflow_async.manifest import Producer
from fileflow_async.retention import Reason, Rules, gc
from fileflow_async.storage import local_stream
from fileflow_async.storage.local import LocalStorage
from fileflow_async.storage.protocol import Storage
from fileflow_async.store import TargetStore
from fileflow_async.target import Slot
from fileflow_async.work import Assignment, Work

KEY = "shop/20261120T000000Z/extract/output"
SECOND = "shop/20261120T000000Z/extract/second"
SET = ("customers", "orders", "rejected")
PIECE = 4096  # of streams in works that are killed: many pieces, few bytes
EVERYTHING = Rules(commits=1, commits_for=0, orphans_for=0, feed_for=0)

Tell = Callable[[str], None]
Job = Callable[[TargetStore, dict[str, Any], Tell], Coroutine[Any, Any, None]]
WORKS: dict[str, Job] = {}


def value(name: str, size: int) -> bytes:
    """Return bytes that nobody takes for others."""
    return hashlib.shake_128(name.encode()).digest(size)


OLD, NEW, NEXT = value("old", 900), value("new", 1000), value("next", 800)
LARGE = value("large", 3 * PIECE + 77)
PARTS = {"a.csv": value("a", 700), "b/c.csv": value("c", 5000)}


def work(name: str) -> Callable[[Job], Job]:
    def note(function: Job) -> Job:
        WORKS[name] = function
        return function

    return note


@work("look")
async def look(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    await store.state(KEY)


@work("small")
async def small(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    async with store.write(KEY, format="csv") as out:
        await out.write(NEW)
    tell("committed")


@work("attempt")
async def attempt(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    """Commit, or say why not."""
    try:
        await small(store, options, tell)
    except FileflowError as error:
        tell(f"{type(error).__name__} {getattr(error, 'errno', None)} {error}")


@work("stream")
async def stream(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    async with store.write(KEY, format="csv") as out:
        for start in range(0, len(LARGE), 1500):
            await out.write(LARGE[start : start + 1500])
    tell("committed")


@work("folder")
async def folder(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    async with store.write_folder(KEY, format="csv") as out:
        for name, data in PARTS.items():
            async with out.create(name) as part:
                await part.write(data)
    tell("committed")


@work("two")
async def two(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    async with store.begin(KEY, format="csv") as first, store.begin(SECOND, format="csv") as second:
        await first.write(NEW)
        await second.write(NEW)
        await store.commit_all([first, second])
        tell("committed")


@work("set")
async def publish_set(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    """Publish three outputs as a task does; be killed after so many of their records, if at all."""
    records, put = options.get("records"), store.storage.put

    async def put_or_die(key: str, *arguments: Any, **more: Any) -> Any:
        nonlocal records
        if records is not None and key.endswith(".ok"):
            if records == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            records -= 1
        return await put(key, *arguments, **more)

    store.storage.put = put_or_die  # type: ignore[method-assign]
    producer = Producer(try_number=options["try"])
    places = Assignment(dag_id="shop", task_id="split", slot=Slot(run_id="r"), producer=producer)
    async with Work(store, places) as outputs:
        for name in SET:
            await outputs.save(labelled(name, options["try"]), name)
        await outputs.publish()
        if records == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    tell("committed")


@work("too large")
async def too_large(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    try:
        async with store.write(KEY, format="csv") as out:
            for start in range(0, options["size"], 1500):
                await out.write(LARGE[start : min(start + 1500, options["size"])])
    except OSError as error:
        tell(f"{type(error).__name__} {error.errno} {error}")


@work("failed")
async def failed(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    await store.fail(KEY, error="out of luck", producer=Producer(task_id="extract"))
    tell("committed")


@work("gc")
async def clean(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    await gc(store, dry_run=False, rules=EVERYTHING)
    tell("committed")


@work("collector")
async def collector(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    """Clean up again and again, all but the newest commit."""
    until, rules = time.time() + options["seconds"], Rules(commits=1, commits_for=0, feed_for=0)
    while time.time() < until:
        report = await gc(store, dry_run=False, rules=rules)
        tell(f"removed {sum(each.reason is Reason.OLD_COMMIT for each in report.doomed)}")
    tell("ended")


@work("delete")
async def delete(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    await store.delete(KEY)
    tell("committed")


def ti_id(milliseconds: int) -> str:
    """Return an id such as Airflow gives to the try that it makes at that moment."""
    return str(uuid.UUID(int=(milliseconds << 80) | (7 << 76) | random.getrandbits(62) | (2 << 62)))


def labelled(writer: str, number: int) -> bytes:
    """Return a value that tells who wrote it, and which no two of them can be mixed into."""
    head = f"{writer} {number}\n"
    return head.encode() + value(head, 500 + (number * 7919) % 20_000)


def is_labelled(data: bytes) -> bool:
    head, newline, _ = data.partition(b"\n")
    writer, _, number = head.decode("ascii", "replace").partition(" ")
    return bool(newline) and number.isdigit() and data == labelled(writer, int(number))


def key_now(options: dict[str, Any]) -> str:
    """Return the key of the target that lasts for so many seconds: in one, thousands of attempts pile up."""
    return f"{KEY}-{int(time.time() / options['lasts'])}"


@work("writer")
async def writer(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    """Commit again and again, as `kind` says: some have no id, some are tries that Airflow made long ago."""
    name, until, number = options["name"], time.time() + options["seconds"], 0
    while time.time() < until:
        number += 1
        await asyncio.sleep(random.uniform(0, 0.01))  # or they leave the readers no processor
        made = time.time() + random.uniform(-3, 3)  # no two clocks agree
        if options["kind"] == "zombie":
            made -= random.uniform(0, 60)
        producer = Producer(ti_id=None if options["kind"] == "script" else ti_id(int(made * 1000)))
        try:
            async with store.write(key_now(options), producer=producer) as out:
                data = labelled(name, number)
                await out.write(data[:400])
                await asyncio.sleep(random.uniform(0, 0.01))  # others begin and commit meanwhile
                await out.write(data[400:])
        except TargetSupersededError:
            tell("refused")
        else:
            assert out.reference is not None
            tell(f"acknowledged {out.reference.target} {out.reference.data}")
    tell("ended")


@work("reader")
async def reader(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    """Look and read again and again; tell what must not be."""
    until, key, newest, reads = time.time() + options["seconds"], "", "", 0
    while time.time() < until:
        if key != (key := key_now(options)):
            newest = ""
        status = await store.state(key)
        if not status.is_committed:
            if newest:
                tell(f"incomplete {status.state} {status.why}")
            await asyncio.sleep(0.001)
            continue
        assert status.reference is not None
        if status.reference.data < newest:
            tell(f"backwards {newest} {status.reference.data}")
        newest = max(newest, status.reference.data)
        try:
            data = await store.read(key if reads % 2 else status.reference)
        except FileflowError as error:
            tell(f"error {type(error).__name__} {error}")
            continue
        reads += 1
        if not is_labelled(data):
            tell(f"wrong {len(data)} bytes")
    tell(f"reads {reads}")


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


@work("memory")
async def memory(store: TargetStore, options: dict[str, Any], tell: Tell) -> None:
    """Move a large target through, and tell how much memory that took at its peak."""
    size, chunk = options["size"], os.urandom(1024 * 1024)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew here
    before = _memory("VmRSS")
    async with store.write(KEY, format="bytes") as out:
        for _ in range(size // len(chunk)):
            await out.write(chunk)
    written = _memory("VmHWM") - before
    read = 0
    async with store.open(KEY) as pieces:
        async for piece in pieces:
            read += len(piece)
    tell(json.dumps({"write": written, "both": _memory("VmHWM") - before, "read": read}))


async def perform(job: dict[str, Any], tell: Tell) -> None:
    """Open the store of a job, and do its work."""
    if "largest_file" in job:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest_file"],) * 2)
    if "piece" in job:
        for size in ("BATCH", "PIECE"):
            setattr(local_stream, size, job["piece"])
    async with _opened(job) as storage:
        await WORKS[job["work"]](TargetStore(storage), job, tell)


def _opened(job: dict[str, Any]) -> AbstractAsyncContextManager[Storage]:
    if "s3" not in job:
        # One thread: the system calls of two runs come in one order, and can be counted off.
        return LocalStorage(job["root"], durability=job["durability"], threads=job.get("threads", 1))
    from fileflow_async.storage import s3, s3_upload

    if "piece" in job:  # as above, so that little data has several parts
        setattr(s3_upload, "PIECE", job["piece"])  # noqa: B010
        s3_upload.SINGLE = 2 * int(job["piece"])
    settings = s3.S3Settings(
        **job["s3"],
        region="us-east-1",
        addressing_style="path",
        access_key_id=str(os.getpid()),  # so that a proxy can tell who it is that asks
        secret_access_key="secret-planted",
    )
    return s3.S3Storage(job["bucket"], "ff", settings)
