"""LocalStorage lets nobody wait for a disk that hangs, and takes back what nobody waits for."""

import asyncio
import errno
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from fileflow_async.errors import StorageUnavailableError, TargetNotFoundError
from fileflow_async.storage import local_files, local_hidden, local_root, local_scan
from fileflow_async.storage.local import LocalStorage
from fileflow_async.storage.local_threads import Lane, Pulse, Threads
from fileflow_async.storage.protocol import PIECE
from fileflow_async.testing.storage_contract import eventually

aside = asyncio.to_thread
TIMEOUT = 0.25  # seconds; the machine may be busy


class Gate:
    """What stands in the way of a disk: calls wait at it until it opens."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._reached = threading.Event()
        self.waiting = 0

    def wait(self) -> None:
        """Wait, on a thread."""
        self.waiting += 1
        self._reached.set()
        assert self._open.wait(20)
        self.waiting -= 1

    def open(self) -> None:
        """Let all pass, from now on."""
        self._open.set()

    async def reached(self) -> None:
        """Return once somebody waits."""
        assert await aside(self._reached.wait, 10)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that opens at the end, whatever happens."""
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    """A storage on disk, with little patience."""
    async with LocalStorage(tmp_path, timeout=TIMEOUT, threads=8) as storage:
        yield storage


def hang(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    """Make whatever goes below the root wait at the gate."""
    for name in ("open", "enter"):
        original = getattr(local_root.Root, name)

        def open_late(*args: Any, original: Callable[..., int] = original, **options: Any) -> int:
            gate.wait()
            return original(*args, **options)

        monkeypatch.setattr(local_root.Root, name, open_late)


async def stream(storage: LocalStorage, key: str) -> bytes:
    async with storage.stream(key) as pieces:
        return b"".join([piece async for piece in pieces])


async def names(storage: LocalStorage) -> Sequence[str]:
    async with storage.tail("d/") as tail:
        return await tail.names()


LOOKS: dict[str, Callable[[LocalStorage], Awaitable[object]]] = {
    "list": lambda storage: storage.list(),
    "list_each": lambda storage: storage.list_each(["d/"]),
    "stat": lambda storage: storage.stat("d/x"),
    "read": lambda storage: storage.read("d/x"),
    "read_each": lambda storage: storage.read_each(["d/x"]),
    "read_range": lambda storage: storage.read_range("d/x", 0, 1),
    "stream": lambda storage: stream(storage, "d/x"),
    "tail": names,
}


@pytest.mark.parametrize("look", LOOKS)
async def test_a_look_ends_in_time_although_the_disk_hangs(
    local: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate, look: str
) -> None:
    """Its thread goes on, and the next look may be luckier."""
    await local.put("d/x", b"1")
    with monkeypatch.context() as patch:
        hang(patch, gate)
        begun = time.monotonic()
        with pytest.raises(StorageUnavailableError) as caught:
            await LOOKS[look](local)
        assert TIMEOUT <= time.monotonic() - begun < 5
        assert str(caught.value) == f"root '{tmp_path}' has not answered for {TIMEOUT:g} s"
    assert gate.waiting == 1
    await LOOKS[look](local)
    assert gate.waiting == 1


async def test_opening_a_storage_ends_in_time_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    """And leaves no thread but the one that hangs."""
    hang(monkeypatch, gate)
    storage = LocalStorage(tmp_path, timeout=TIMEOUT)
    with pytest.raises(StorageUnavailableError, match="has not answered for"):
        async with storage:
            pytest.fail("nobody gets in")
    gate.open()
    await eventually(no_threads)


async def test_after_three_hangs_no_look_is_begun_until_the_disk_answers(
    local: LocalStorage,
    monkeypatch: pytest.MonkeyPatch,
    gate: Gate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """So that a hung mount does not fill the threads, nor a wait the time of others."""
    await local.put("d/x", b"1")
    hang(monkeypatch, gate)
    with caplog.at_level(logging.INFO, "fileflow_async"):
        for _ in range(3):
            with pytest.raises(StorageUnavailableError, match="has not answered for"):
                await local.list()
        begun = time.monotonic()
        for look in LOOKS.values():
            for _ in range(100):
                with pytest.raises(StorageUnavailableError, match="has not answered 3 times in a row"):
                    await look(local)
        assert time.monotonic() - begun < 5
        assert gate.waiting == 4  # the three, and the probe
        gate.open()

        async def answers() -> bool:
            with suppress(StorageUnavailableError):
                return bool((await local.list()).entries)
            return False

        await eventually(answers)
    messages = [message for message in caplog.messages if "root" in message]
    assert [message.split("'")[2] for message in messages] == [
        " hangs: no look is begun until it answers",
        " answers again",
    ]


async def test_hangs_are_counted_in_a_row(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    """Any answer between them, an error too, shows that the disk is there."""
    await local.put("d/x", b"1")
    monkeypatch.setattr(local._threads, "_timeout", 20.0)  # a busy machine is not one that hangs
    for answer in (lambda: local.stat("d/x"), lambda: local.stat("d/none"), lambda: stream(local, "d/none")):
        for _ in range(2):
            with monkeypatch.context() as patch:
                hang(patch, gate)
                patch.setattr(local._threads, "_timeout", 0.05)
                with pytest.raises(StorageUnavailableError, match="has not answered for"):
                    await local.list()
        with suppress(TargetNotFoundError):
            await answer()
    assert (await local.list()).entries


async def test_a_cancelled_look_is_no_hang(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    """Whoever cancels says nothing about the disk."""
    with monkeypatch.context() as patch:
        hang(patch, gate)
        for _ in range(4):
            looking = asyncio.create_task(local.list())
            await gate.reached()
            looking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await looking
    assert not (await local.list()).entries


@pytest.mark.parametrize("look", ["list", "list_each", "read_each", "names", "objects"])
async def test_a_slow_look_is_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: str) -> None:
    """As long as the disk gives something now and then, if only a name that cannot be listed yet."""
    folders = [f"d/{number}/" for number in range(10)]
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "list": lambda: storage.list(),
        "list_each": lambda: storage.list_each(folders),
        "read_each": lambda: storage.read_each([f"{folder}x" for folder in folders]),
        "names": lambda: storage.list("d/", shallow=True, limit=1),
        "objects": lambda: storage.list("e/"),
    }
    check, can_be_key = local_root.Root.check_file, local_root.can_be_key

    def check_slowly(self: local_root.Root, *args: Any) -> None:
        time.sleep(0.1)
        check(self, *args)

    def take_long(name: str) -> bool:
        time.sleep(0.1)
        return can_be_key(name)

    async with LocalStorage(tmp_path, timeout=0.4) as storage:
        for folder in folders:
            await storage.put(f"{folder}x", b"1")
            await storage.put(f"e/{folder[2]}", b"1")
        if look == "names":
            monkeypatch.setattr(local_scan, "can_be_key", take_long)
        else:
            monkeypatch.setattr(local_root.Root, "check_file", check_slowly)
        begun = time.monotonic()
        await calls[look]()
        assert time.monotonic() - begun > 0.8  # seen from outside, nothing happens for two limits


async def test_writes_and_large_reads_may_take_longer(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have no limit of ours: how long they take depends on how much there is."""

    def sync_slowly(_descriptor: int) -> None:
        time.sleep(2 * TIMEOUT)

    monkeypatch.setattr(os, "fsync", sync_slowly)
    await local.put("d/x", b"x" * (PIECE + 1))

    class Slow(FileIO):
        def read(self, *args: Any) -> Any:
            time.sleep(2 * TIMEOUT)
            return super().read(*args)

    monkeypatch.setattr(local_files, "FileIO", Slow)
    assert len(await local.read("d/x")) == PIECE + 1


async def test_closing_does_not_wait_for_what_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    """Its threads end when the disk lets them."""
    async with LocalStorage(tmp_path, timeout=TIMEOUT) as storage:
        hang(monkeypatch, gate)
        with pytest.raises(StorageUnavailableError):
            await storage.list()
        begun = time.monotonic()
    assert time.monotonic() - begun < 1
    assert not await no_threads()
    gate.open()
    await eventually(no_threads)


async def test_a_closed_storage_says_so(tmp_path: Path) -> None:
    """At once, whichever way it is used."""
    async with LocalStorage(tmp_path) as storage:
        await storage.put("d/x", b"1")

    async def create() -> None:
        async with storage.create("d/y"):
            pytest.fail("nobody gets in")

    for call in (*(look(storage) for look in LOOKS.values()), storage.put("d/y", b""), create()):
        with pytest.raises(RuntimeError, match="shutdown"):
            await call
    assert await has(tmp_path, [("d/x", b"1")])


async def test_a_hang_that_shows_after_the_closing_asks_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    """There is nothing left to look with."""
    async with LocalStorage(tmp_path, timeout=TIMEOUT) as storage:
        hang(monkeypatch, gate)
        looks = [asyncio.create_task(storage.list()) for _ in range(4)]
        await gate.reached()
    results = await asyncio.gather(*looks, return_exceptions=True)
    assert [type(result) for result in results] == [StorageUnavailableError] * 4


# Cancelled while a thread is at work.


@pytest.mark.parametrize("where", ["fsync", "rename"])
@pytest.mark.parametrize("how", ["put", "create"])
async def test_a_write_that_nobody_waits_for_is_taken_back_before_its_name(
    local: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate, how: str, where: str
) -> None:
    """Up to the rename; from there on it may have been seen, and stays, whole."""
    module, name = (local_hidden, "rename_new") if where == "rename" else (os, where)
    held = getattr(module, name)

    def hold(*args: Any) -> Any:
        gate.wait()
        return held(*args)

    async def create() -> None:
        async with local.create("d/x") as sink:
            await sink.write(b"1")

    await aside((tmp_path / "d").mkdir)
    monkeypatch.setattr(module, name, hold)
    writing = asyncio.ensure_future(local.put("d/x", b"1") if how == "put" else create())
    await gate.reached()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    gate.open()
    files = [] if where == "fsync" else [("d/x", b"1")]
    await eventually(no_descriptors_below(tmp_path))  # it has ended, one way or the other
    assert await has(tmp_path, files)


async def test_a_file_opened_for_nobody_is_taken_back(
    local: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    """Whether the thread was at it, or had not begun."""
    opened = local_hidden.HiddenFile.open

    def open_late(self: local_hidden.HiddenFile) -> None:
        opened(self)
        gate.wait()

    monkeypatch.setattr(local_hidden.HiddenFile, "open", open_late)

    async def create(number: int) -> None:
        async with local.create(f"d/{number}"):
            pytest.fail("it was cancelled")

    creating = [asyncio.create_task(create(number)) for number in range(12)]  # more than there are threads
    await gate.reached()
    for task in creating:
        task.cancel()
    results = await asyncio.gather(*creating, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    gate.open()
    await eventually(no_descriptors_below(tmp_path))
    assert await has(tmp_path, [])


async def test_a_write_under_way_ends_before_its_file_is_closed(
    local: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    """Else it would go on in a descriptor that may be another's by then."""
    closed_at: list[int] = []
    discard = local_hidden.HiddenFile.discard

    def note(self: local_hidden.HiddenFile) -> None:
        closed_at.append(gate.waiting)
        discard(self)

    async def create() -> None:
        async with local.create("d/x") as sink:
            await sink.write(b"x" * PIECE)

    monkeypatch.setattr(local_hidden.HiddenFile, "discard", note)
    slow_write(monkeypatch, gate)
    creating = asyncio.create_task(create())
    await gate.reached()
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    assert closed_at == []
    gate.open()
    await eventually(no_descriptors_below(tmp_path))
    assert closed_at == [0]
    assert await has(tmp_path, [])


@pytest.mark.parametrize("size", [1, PIECE + 1])
async def test_a_file_read_for_nobody_is_closed(
    local: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate, size: int
) -> None:
    """Whichever call was under way."""
    await local.put("d/x", b"x" * size)
    opened = local_root.Root.open_file

    def open_late(self: local_root.Root, key: str) -> int:
        descriptor = opened(self, key)
        gate.wait()
        return descriptor

    monkeypatch.setattr(local_root.Root, "open_file", open_late)
    for call in (local.read("d/x"), stream(local, "d/x")):
        reading = asyncio.ensure_future(call)
        await gate.reached()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    gate.open()
    await eventually(no_descriptors_below(tmp_path))


async def test_what_was_begun_is_taken_back_after_the_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    """By the thread that was at it."""
    sync = os.fsync

    def hold(descriptor: int) -> None:
        gate.wait()
        sync(descriptor)

    async def create(storage: LocalStorage) -> None:
        async with storage.create("x") as sink:
            await sink.write(b"1")

    async with LocalStorage(tmp_path) as storage:
        monkeypatch.setattr(os, "fsync", hold)
        creating = asyncio.create_task(create(storage))
        await gate.reached()
        creating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating
    gate.open()
    await eventually(no_threads)
    assert await has(tmp_path, [])


async def test_what_cannot_be_removed_is_named_in_the_log(
    local: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The error that led to it is not hidden by that."""

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "unlink", fail)
    with pytest.raises(ZeroDivisionError):
        async with local.create("d/x"):
            raise ZeroDivisionError
    assert f"{tmp_path}/d/.x.part could not be removed: [Errno 5] Input/output error" in caplog.messages
    await eventually(no_descriptors_below(tmp_path))


# The parts.


async def test_a_timeout_of_the_work_itself_is_not_ours() -> None:
    """It comes out as it is."""
    threads = Threads("it", 1, 10, lambda: None)

    def fail() -> None:
        raise TimeoutError("theirs")

    with pytest.raises(TimeoutError, match="theirs"):
        await threads.look(fail)
    with pytest.raises(TimeoutError, match="theirs"):
        async with threads.in_time():
            fail()
    threads.close()


async def test_an_answer_at_the_last_moment_is_one(caplog: pytest.LogCaptureFixture) -> None:
    """It has come, but whoever asked has not heard of it yet."""
    threads, waiter = Threads("it", 1, 0.0, Pulse), asyncio.get_running_loop().create_future()
    with threads._watched(waiter, Pulse()):
        waiter.set_result(1)
        await asyncio.sleep(0.01)
    assert await waiter == 1
    assert caplog.messages == []
    threads.close()


async def test_a_look_that_nobody_waits_for_any_longer_is_not_begun(gate: Gate) -> None:
    """Else those of a busy moment would pile up."""
    threads = Threads("it", 1, 10, Pulse)
    begun: list[int] = []
    busy = asyncio.create_task(threads.look(gate.wait))
    await gate.reached()
    looking = asyncio.create_task(threads.look(lambda: begun.append(1)))
    for _ in range(3):
        await asyncio.sleep(0)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    gate.open()
    await busy
    await threads.look(lambda: begun.append(2))
    assert begun == [2]
    threads.close()


async def test_a_lane_without_calls_has_no_file() -> None:
    """Ending it is no error."""
    threads = Threads("it", 1, 10, Pulse)
    lane = threads.lane()
    lane.close()
    assert lane.file() is None
    assert await asyncio.wrap_future(lane.end(lambda: 1)) == 1
    threads.close()
    closed = Lane(threads.lane()._pool)
    assert closed.end(lambda: 2).result(0) == 2  # here, since no thread is left to do it


async def test_an_end_that_was_cancelled_before_it_began_does_nothing(gate: Gate) -> None:
    """And does not hold up what comes after it."""
    threads = Threads("it", 1, 10, Pulse)
    lane = threads.lane()
    lane.submit(gate.wait)
    done: list[int] = []
    first = lane.end(lambda: done.append(1))
    assert first.cancel()
    second = lane.end(lambda: done.append(2))
    gate.open()
    await asyncio.wrap_future(second)
    assert done == [2]
    threads.close()


def slow_write(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    """Make writing a piece wait at the gate, on its thread."""
    submit = Lane.submit

    def submit_slowly(self: Lane, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        def slow(*args: Any, **kwargs: Any) -> Any:
            if getattr(fn, "__name__", "") == "write":
                gate.wait()
            return fn(*args, **kwargs)

        return submit(self, slow, *args, **kwargs)

    monkeypatch.setattr(Lane, "submit", submit_slowly)


async def no_threads() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name.startswith("fileflow")]


async def has(folder: Path, files: Sequence[tuple[str, bytes]]) -> bool:
    def look() -> list[tuple[str, bytes]]:
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths]

    return await aside(look) == list(files)


def no_descriptors_below(folder: Path) -> Callable[[], Awaitable[bool]]:
    def look() -> bool:
        for descriptor in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(folder)):
                    return False
        return True

    async def condition() -> bool:
        return await aside(look)

    return condition
