"""The tail of a local storage misses nothing that the times of folders show, and wakes up where it can."""

import asyncio
import errno
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fileflow_async.errors import StorageUnavailableError, TargetAccessError, TargetNameError
from fileflow_async.storage import local_root, local_tail, local_watcher
from fileflow_async.storage.inotify import ANY, Inotify
from fileflow_async.storage.local import LocalStorage
from fileflow_async.storage.protocol import Tail
from fileflow_async.testing.storage_contract import eventually

aside = asyncio.to_thread
FEED = ".feed/"


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalStorage]:
    """A storage on disk."""
    async with LocalStorage(tmp_path, durability="none") as storage:
        yield storage


@pytest.fixture
async def tail(local: LocalStorage) -> AsyncIterator[Tail]:
    """A tail of its feed."""
    async with local.tail(FEED) as tail:
        yield tail


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """Where the feed lies."""
    return tmp_path / ".feed"


def plant(folder: Path, name: str, *, modified: int | None = None) -> None:
    """Make an entry behind the storage's back, if wanted without changing the time of its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
    if modified is not None:
        os.utime(folder, ns=(modified, modified))


async def put(local: LocalStorage, *names: str, minute: str = "20261120T1015") -> None:
    for name in names:
        await local.put(f"{FEED}{minute}/{name}", b"")


async def test_a_name_of_the_same_tick_is_found(feed: Path, tail: Tail) -> None:
    """A folder's time is coarse: a name can come after the look without changing it."""
    moment = 1_763_700_000_000_000_000
    await aside(plant, feed / "20261120T1015", "a", modified=moment)
    assert await tail.names() == ["a"]
    for name in ("b", "c", "d"):
        await aside(plant, feed / "20261120T1015", name, modified=moment)
        assert await tail.names() == [name]


async def test_a_settled_folder_is_not_listed_again(
    feed: Path, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the tick is over for certain: an hour of folders costs a stat each."""
    listed: list[Any] = []
    original = os.listdir

    def note(path: Any) -> list[str]:
        listed.append(path)
        return original(path)

    moment = 1_763_700_000_000_000_000
    await aside(plant, feed / "20261120T1015", "a", modified=moment)
    assert await tail.names() == ["a"]
    monkeypatch.setattr(local_tail, "_SETTLE", 0.0)
    monkeypatch.setattr(os, "listdir", note)
    assert await tail.names() == []  # the last look at it
    assert len(listed) == 1
    for _ in range(3):
        assert await tail.names() == []
    assert len(listed) == 1
    await aside(plant, feed / "20261120T1015", "b", modified=moment + 1)
    assert await tail.names() == ["b"]
    assert len(listed) == 2


async def test_the_tick_is_that_of_the_last_change(
    feed: Path, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a folder is known: from then on a name need not show in its time, and then it must."""
    now, listed, original = [0.0], list[Any](), os.listdir

    def note(path: Any) -> list[str]:
        listed.append(path)
        return original(path)

    monkeypatch.setattr("fileflow_async.storage.local_tail.time", SimpleNamespace(monotonic=lambda: now[0]))
    moment = 1_763_700_000_000_000_000
    await aside(plant, feed / "20261120T1015", "a", modified=moment)
    assert await tail.names() == ["a"]
    now[0] = 3.0
    await aside(plant, feed / "20261120T1015", "b", modified=moment + 1)
    assert await tail.names() == ["b"]
    await aside(plant, feed / "20261120T1015", "c", modified=moment + 1)
    assert await tail.names() == ["c"]
    now[0] = 6.0
    await aside(plant, feed / "20261120T1015", "d", modified=moment + 1)
    assert await tail.names() == ["d"]
    monkeypatch.setattr(os, "listdir", note)
    assert await tail.names() == []
    assert listed == []


async def test_the_first_look_gives_the_folders_that_changed_last(feed: Path, tail: Tail) -> None:
    """Whatever they are called: a writer whose clock is wrong hides nobody."""
    for number, minute in enumerate(("2031", "2026a", "1999", "2026b", "2026c", "1970")):
        await aside(plant, feed / minute, f"in {minute}", modified=1_763_700_000_000_000_000 + number)
    assert sorted(await tail.names()) == ["in 1970", "in 2026b", "in 2026c"]
    await aside(plant, feed / "2031", "new", modified=1_763_700_000_000_000_009)
    assert sorted(await tail.names()) == ["in 2031", "new"]  # what was there before is not told from the new
    await aside(plant, feed / "2031", "newer", modified=1_763_700_000_000_000_019)
    assert await tail.names() == ["newer"]


async def test_names_are_forgotten_in_time(feed: Path, tail: Tail, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded; a folder that changes after that is given as a whole."""
    await aside(plant, feed / "a", "old", modified=1_000_000_000)
    monkeypatch.setattr(local_tail, "_SETTLE", 0.0)
    assert await tail.names() == ["old"]
    assert await tail.names() == []
    minutes: Any = tail
    assert minutes._minutes["a"].names == {"old"}
    monkeypatch.setattr(local_tail, "_REMEMBER", 0.0)
    assert await tail.names() == []
    assert minutes._minutes["a"].names is None
    await aside(plant, feed / "a", "new", modified=2_000_000_000)
    assert await tail.names() == ["new", "old"]


async def test_folders_that_are_gone_are_forgotten(local: LocalStorage, tail: Tail) -> None:
    """Nothing is kept for them, and nothing is raised."""
    await put(local, "a", minute="1")
    await put(local, "b", minute="2")
    assert await tail.names() == ["a", "b"]
    seen: Any = tail
    for minute, name, left in (("1", "a", ["2"]), ("2", "b", [])):
        await local.delete([f"{FEED}{minute}/{name}"])
        assert await tail.names() == []
        assert list(seen._minutes) == left
    await put(local, "a", minute="1")
    assert await tail.names() == ["a"]


@pytest.mark.parametrize("when", ["before its time is taken", "before it is listed"])
async def test_a_folder_may_vanish_under_the_look(
    local: LocalStorage, feed: Path, tail: Tail, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The others are looked at all the same."""
    await put(local, "a", minute="1")
    await put(local, "b", minute="2")
    original, opened = local_root.open_below, list[str]()

    def remove_first(folder: int, name: str) -> int:
        opened.append(name)
        if opened.count("1") == (1 if when == "before its time is taken" else 2) and (feed / "1").exists():
            (feed / "1/a").unlink()
            (feed / "1").rmdir()
        return original(folder, name)

    monkeypatch.setattr(local_tail, "open_below", remove_first)
    assert await tail.names() == ["b"]
    assert not await aside((feed / "1").exists)


async def test_writes_under_way_are_no_names(local: LocalStorage, feed: Path, tail: Tail) -> None:
    """They get theirs when they are whole."""
    await aside(plant, feed / "20261120T1015", ".a.part")
    await put(local, "b")
    assert await tail.names() == ["b"]


async def test_what_is_no_minute_folder_is_passed_over(local: LocalStorage, feed: Path, tail: Tail) -> None:
    """Files and links beside them are not the feed's."""
    await put(local, "a")
    await aside(plant, feed, "file")
    await aside((feed / "link").symlink_to, feed / "20261120T1015")
    assert await tail.names() == ["a"]


async def test_a_look_that_was_cancelled_loses_nothing(local: LocalStorage, tail: Tail) -> None:
    """What it found, the next one gives."""
    await put(local, "a")
    for steps in range(60):
        look = asyncio.ensure_future(tail.names())
        for _ in range(steps):
            await asyncio.sleep(0)
        look.cancel()
        if (await asyncio.gather(look, return_exceptions=True))[0] == ["a"]:
            break
    else:
        assert await tail.names() == ["a"]
    assert await tail.names() == []


async def test_a_feed_that_is_a_link_is_refused(tmp_path: Path, tail: Tail) -> None:
    """Links are not followed here either, nor watched."""

    def plant_link() -> None:
        plant(tmp_path / "elsewhere/20261120T1015", "a")
        (tmp_path / ".feed").symlink_to(tmp_path / "elsewhere")

    await aside(plant_link)
    with pytest.raises(TargetAccessError, match=r"\.feed' is a symbolic link; links are not followed$"):
        await tail.names()
    await nothing_comes(tail)


@pytest.mark.parametrize("prefix", ["../", "a/../b/", "/", "a//"])
async def test_a_feed_outside_the_root_is_refused(local: LocalStorage, prefix: str) -> None:
    """Nobody may look there, nor watch."""
    with pytest.raises(TargetNameError):
        async with local.tail(prefix):
            pytest.fail("nobody gets in")


async def test_a_root_that_is_away_is_an_outage(tmp_path: Path) -> None:
    """Not an empty feed."""
    async with LocalStorage(tmp_path / "root", create=True) as storage, storage.tail(FEED) as tail:
        await aside((tmp_path / "root").rmdir)
        with pytest.raises(StorageUnavailableError, match="does not exist on host"):
            await tail.names()


# Waking up.


async def test_a_descriptor_that_is_stale_is_opened_anew(
    local: LocalStorage, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS says so when the server has forgotten it; the names are found all the same."""
    await put(local, "a")
    failed: list[str] = []

    def stale(folder: int, name: str) -> int:
        if not failed:
            failed.append(name)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return local_root.open_below(folder, name)

    monkeypatch.setattr("fileflow_async.storage.local_tail.open_below", stale)
    assert await tail.names() == ["a"]
    assert failed == ["20261120T1015"]


@pytest.mark.parametrize(("place", "why"), [(None, "does not exist"), ("a file", "is not a directory")])
async def test_a_root_that_is_away_is_not_watched(
    local: LocalStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str | None,
    why: str,
) -> None:
    """The log says why, and it is not looked for again and again."""
    monkeypatch.setattr(local_watcher, "_RETRY", 0.0)
    with caplog.at_level(logging.INFO, "fileflow_async"):
        async with local.tail(FEED) as tail:
            await aside(tmp_path.rename, away := tmp_path.with_name("away"))
            if place is not None:
                await aside(tmp_path.write_text, place)
            await nothing_comes(tail)
            await eventually(no_watch)
            if place is not None:
                await aside(tmp_path.unlink)
            await aside(away.rename, tmp_path)
    (line,) = said(caplog)
    assert why in line


async def test_a_name_wakes_whoever_waits(local: LocalStorage, tail: Tail) -> None:
    """Within some milliseconds, in the folder of this minute and of the next."""
    await put(local, "first")
    assert await tail.names() == ["first"]
    delays = []
    for number in range(12):
        waiting = asyncio.create_task(follow(tail, f"name{number}"))
        await settle(tail)
        begun = time.perf_counter()
        await put(local, f"name{number}", minute=f"20261120T10{16 + number // 3}")
        await asyncio.wait_for(waiting, 10)
        delays.append(time.perf_counter() - begun)
    assert sorted(delays)[6] < 0.25  # 0.003 on an idle machine; the poll would take seconds


async def test_the_first_call_comes_back_once_the_watch_has_begun(local: LocalStorage, tail: Tail) -> None:
    """What came before it began would be missed otherwise."""
    await put(local, "a")
    await asyncio.wait_for(tail.changed(), 10)
    await nothing_comes(tail)


async def test_what_is_not_whole_wakes_nobody(local: LocalStorage, feed: Path, tail: Tail) -> None:
    """Nor does a removal."""
    await put(local, "a", "b")
    await asyncio.wait_for(tail.changed(), 10)
    await aside(plant, feed / "20261120T1015", ".c.part")
    await aside((feed / "20261120T1015/a").unlink)
    await nothing_comes(tail)


async def test_a_feed_that_comes_later_wakes_whoever_waits_already(
    local: LocalStorage, tail: Tail, caplog: pytest.LogCaptureFixture
) -> None:
    """Until then the root is watched, so that the first commit of a store is found as fast as the second."""
    with caplog.at_level(logging.INFO, "fileflow_async"):
        await asyncio.wait_for(tail.changed(), 10)  # the watch has begun
        for name in "ab":
            await calm(tail)
            waiting = asyncio.create_task(tail.changed())
            await settle(tail)
            await put(local, name)
            await asyncio.wait_for(waiting, 10)
            await asyncio.wait_for(follow(tail, name), 10)
    assert said(caplog) == []


async def test_a_feed_that_comes_before_the_root_is_watched_is_not_missed(
    local: LocalStorage, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The feed is looked for once more when the watch on the root stands."""
    inner: Any = tail
    find = inner._watcher._find
    found: list[tuple[str, Sequence[str]]] = []

    def find_late() -> tuple[str, Sequence[str]]:
        found.append(find())
        if len(found) == 1:
            asyncio.run_coroutine_threadsafe(put(local, "a"), loop).result(10)
        return found[-1]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(inner._watcher, "_find", find_late)
    await asyncio.wait_for(tail.changed(), 10)
    async with asyncio.timeout(10):
        while not found[-1][0].endswith(".feed"):
            await asyncio.sleep(0.005)
    assert not found[0][0].endswith(".feed")


async def test_a_feed_that_is_removed_and_made_again_is_watched_again(
    local: LocalStorage, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next that waits."""
    monkeypatch.setattr(local_watcher, "_RETRY", 0.0)
    for number in range(3):
        await put(local, f"{number}")
        await asyncio.wait_for(tail.changed(), 10)
        assert f"{number}" in await tail.names()
        await calm(tail)
        assert not await no_watch()
        await local.delete([f"{FEED}20261120T1015/{number}"])
        await eventually(no_watch)


@pytest.mark.parametrize("kind", ["tmpfs", "nfs4", "virtiofs", None])
async def test_what_only_this_machine_changes_is_heard_of_whole(
    local: LocalStorage, feed: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    """From when it is watched until it is not, both of which give a sign; elsewhere others write unheard."""
    monkeypatch.setattr("fileflow_async.storage.mounts.file_system_of", lambda _path: kind)
    await put(local, "a")
    async with local.tail(FEED) as tail:
        assert not tail.is_prompt
        await asyncio.wait_for(tail.changed(), 10)
        assert tail.is_prompt == (kind == "tmpfs")
        await calm(tail)
        end = asyncio.create_task(tail.changed())
        await settle(tail)
        await local.delete([f"{FEED}20261120T1015/a"])
        await eventually(no_watch)
        if kind == "tmpfs":
            await asyncio.wait_for(end, 10)
        assert not tail.is_prompt
        end.cancel()


async def test_failing_to_watch_is_not_tried_again_at_once(
    tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A waiter asks every second or so, for hours."""
    tried = []
    monkeypatch.setattr(local_watcher.Watcher, "_run", lambda _: tried.append(1))
    for _ in range(5):
        await nothing_comes(tail)
    assert tried == [1]


async def follow_by_polls(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Follow a feed of which nothing gives a sign, for longer than it takes to try that again."""
    monkeypatch.setattr(local_watcher, "_RETRY", 0.0)
    await put(local, "a")
    with caplog.at_level(logging.INFO, "fileflow_async"):
        async with local.tail(FEED) as tail:
            for _ in range(3):
                await nothing_comes(tail)
            assert await tail.names() == ["a"]


async def test_where_the_system_has_no_inotify_nothing_wakes_anybody(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so once."""
    monkeypatch.setattr("ctypes.CDLL", lambda *args, **kwargs: object())
    await follow_by_polls(local, monkeypatch, caplog)
    assert said(caplog) == ["[Errno 38] this system has no inotify"]


async def test_a_limit_of_the_system_is_said_in_the_log(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, not at every attempt."""

    def fail(*_args: Any) -> None:
        raise OSError(28, "inotify_add_watch: No space left on device")

    monkeypatch.setattr(Inotify, "watch", fail)
    await follow_by_polls(local, monkeypatch, caplog)
    assert said(caplog) == ["[Errno 28] inotify_add_watch: No space left on device"]


async def test_a_folder_that_vanishes_before_it_is_watched_is_left_out(
    local: LocalStorage, feed: Path, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is watched."""
    await put(local, "a", minute="1")
    await put(local, "b", minute="2")
    tried: list[list[str]] = []
    watch = Inotify.watch

    def remove_first(inotify: Inotify, paths: Sequence[str]) -> None:
        tried.append([os.path.basename(path) for path in paths])
        if len(tried) == 1:
            (feed / "1/a").unlink()
            (feed / "1").rmdir()
        watch(inotify, paths)

    monkeypatch.setattr(Inotify, "watch", remove_first)
    await asyncio.wait_for(tail.changed(), 10)
    assert tried == [[".feed", "2", "1"], [".feed", "2"]]


async def test_a_queue_that_ran_over_is_read_from_the_folders(
    local: LocalStorage, feed: Path, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which events were lost nobody knows, so it begins anew."""
    await put(local, "a")
    await asyncio.wait_for(tail.changed(), 10)
    await nothing_comes(tail)
    lost = [[(str(feed / "20261120T1015"), ANY), (str(feed), ANY)]]
    changes = Inotify.changes

    def losing(inotify: Inotify, seconds: float) -> Sequence[tuple[str, str]]:
        if changes(inotify, 0.01) and lost:
            return lost.pop()
        return []

    monkeypatch.setattr(Inotify, "changes", losing)
    await asyncio.sleep(0.01)
    await put(local, "b")
    await asyncio.wait_for(follow(tail, "b"), 10)


async def test_the_thread_ends_with_the_tail(local: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the block ends, without a last glance; and a tail that is over starts no other."""
    changes, waits = Inotify.changes, threading.Event()

    def noted(inotify: Inotify, seconds: float) -> Sequence[tuple[str, str]]:
        waits.set()
        return changes(inotify, seconds)

    async def it_waits() -> bool:
        return waits.is_set()

    monkeypatch.setattr(Inotify, "changes", noted)
    monkeypatch.setattr(local_watcher, "_RETRY", 0.0)
    monkeypatch.setattr(local_watcher, "_GLANCE", 40.0)
    await put(local, "a")
    async with local.tail(FEED) as tail:
        await asyncio.wait_for(tail.changed(), 10)
        await eventually(it_waits)
        assert not await no_watch()
    await eventually(no_watch)
    monkeypatch.setattr(local_watcher.Watcher, "_run", lambda _: pytest.fail("another thread"))
    await nothing_comes(tail)


async def test_one_thread_watches_for_all_calls(
    local: LocalStorage, tail: Tail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits calls again and again."""
    monkeypatch.setattr(local_watcher, "_RETRY", 0.0)
    await put(local, "a")
    await asyncio.wait_for(tail.changed(), 10)
    for _ in range(2):
        await nothing_comes(tail)
    assert [thread.name for thread in threading.enumerate()].count("fileflow-watch") == 1


async def test_a_thread_that_nobody_stopped_ends_with_the_program(tmp_path: Path) -> None:
    """Else the program would never end."""
    program = f"""
import asyncio
from fileflow_async.storage.local import LocalStorage
async def main():
    global context
    storage = await LocalStorage({str(tmp_path)!r}).__aenter__()
    await storage.put(".feed/1/a", b"")
    context = storage.tail(".feed/")
    await (await context.__aenter__()).changed()
    print("watching", flush=True)
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()
"""
    done = await aside(subprocess.run, [sys.executable, "-c", program], capture_output=True, timeout=30)
    assert done.stdout == b"watching\n"
    assert done.returncode == 0


async def test_a_change_after_the_loop_is_told_to_nobody() -> None:
    """The thread may be a little late."""
    loop = asyncio.new_event_loop()
    loop.close()
    news = asyncio.Event()
    local_tail._tell(loop, news)
    assert not news.is_set()


async def follow(tail: Tail, name: str) -> None:
    """Do what a watch does, without its interval."""
    while name not in await tail.names():
        await tail.changed()


async def settle(tail: Tail) -> None:
    """Return once whoever follows waits, and the watch has begun."""
    tails: Any = tail

    async def waits() -> bool:
        return bool(tails._news._waiters) and not await no_watch()

    await eventually(waits)


async def calm(tail: Tail) -> None:
    """Return once nothing more comes: a watch that begins anew wakes once or twice for nothing."""
    with suppress(TimeoutError):
        while True:
            async with asyncio.timeout(0.3):
                await tail.changed()


async def nothing_comes(tail: Tail) -> None:
    """Wait a little for a change, in vain."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.15):
            await tail.changed()


async def no_watch() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name == "fileflow-watch"]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    begin = "Changes of the feed are found at the poll interval, not at once: "
    return [message.removeprefix(begin) for message in caplog.messages if message.startswith(begin)]
