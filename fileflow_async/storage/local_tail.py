"""New names in the minute folders of a local storage, found by the times of the folders."""

import asyncio
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from fileflow_async.storage.local_errors import translated
from fileflow_async.storage.local_root import Root, anew, open_below, opened
from fileflow_async.storage.local_threads import Threads
from fileflow_async.storage.local_watcher import Watcher

RECENT = 3  # folders that the first look lists, and that are watched: clocks may differ by a minute or two
_SETTLE = 2.5  # seconds; within the tick of a folder's time (2 s on FAT) a change need not show in it
_REMEMBER = 300.0  # seconds after a folder's last change; at 200 names a second an hour of them takes 90 MB


@dataclass(frozen=True, slots=True)
class _Minute:
    """What is known of a folder: its time, when that was first seen, and what was in it."""

    modified: int
    since: float
    settled: bool = False
    names: frozenset[str] | None = None  # None: forgotten; a change gives them all once more

    def is_due(self, modified: int) -> bool:
        return self.modified != modified or not self.settled


class LocalTail:
    """The names below a folder; what a look that was cancelled has found, the next one gives."""

    def __init__(self, root: Root, folder: str, threads: Threads) -> None:
        self._root = root
        self._parts = folder.split("/")
        self._threads = threads
        self._minutes: Mapping[str, _Minute] | None = None
        self._news = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._watcher = Watcher(partial(recent_folders, root, self._parts), partial(_tell, loop, self._news))

    def close(self) -> None:
        """Stop watching; the thread for it ends a moment later."""
        self._watcher.stop()

    @property
    def is_prompt(self) -> bool:
        return self._watcher.hears_all

    async def names(self) -> Sequence[str]:
        look = partial(_look, self._root, self._parts, self._minutes)
        names, self._minutes = await self._threads.look(look)
        return names

    async def changed(self) -> None:
        self._watcher.start()
        await self._news.wait()
        self._news.clear()


def recent_folders(root: Root, parts: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the path of the folder and those of the folders in it that changed last.

    While it is not there that is the root, in which it will appear.
    """
    try:
        with opened(root.enter(parts, listing=True)) as folder:
            times = _times(folder)
    except FileNotFoundError:
        return root.real_path("").rstrip("/"), []
    path = root.real_path("/".join(parts))
    return path, [f"{path}/{name}" for name in _latest(times)]


def _look(
    root: Root, parts: Sequence[str], minutes: Mapping[str, _Minute] | None
) -> tuple[Sequence[str], Mapping[str, _Minute]]:
    with translated(root.directory, "/".join(parts), "list"):
        try:
            return anew(partial(_scan, root, parts, minutes))
        except FileNotFoundError:
            return [], {}


def _scan(
    root: Root, parts: Sequence[str], minutes: Mapping[str, _Minute] | None
) -> tuple[Sequence[str], Mapping[str, _Minute]]:
    now = time.monotonic()
    with opened(root.enter(parts, listing=True)) as folder:
        times = _times(folder)
        if minutes is None:  # what is older counts as seen, so that an old store costs nothing
            older = times.keys() - set(_latest(times))
            minutes = {name: _Minute(times[name], now, settled=True) for name in older}
        found: list[str] = []
        after: dict[str, _Minute] = {}
        for name, modified in sorted(times.items()):
            before = minutes.get(name)
            if before is None or before.is_due(modified):
                before, new = _listed(folder, name, modified, before, now)
                found += new
            elif now - before.since > _REMEMBER:
                before = replace(before, names=None)
            after[name] = before
    return found, after


def _listed(
    folder: int, name: str, modified: int, before: _Minute | None, now: float
) -> tuple[_Minute, Sequence[str]]:
    """List a folder whose time was taken before: what comes between the two is found again the next time."""
    since = before.since if before and before.modified == modified else now
    names = frozenset(_names(folder, name))
    known = (before.names if before else None) or frozenset()
    return _Minute(modified, since, now - since >= _SETTLE, names), sorted(names - known)


def _names(folder: int, name: str) -> Iterable[str]:
    try:
        with opened(open_below(folder, name)) as below:
            return [each for each in os.listdir(below) if not each.startswith(".")]  # not whole yet
    except (FileNotFoundError, NotADirectoryError):  # removed under the scan
        return ()


def _times(folder: int) -> Mapping[str, int]:
    """Return when each folder changed; opened for it, since NFS answers a mere stat from its cache."""
    times = {}
    with os.scandir(folder) as items:
        names = [item.name for item in items if item.is_dir(follow_symlinks=False)]
    for name in names:
        with suppress(FileNotFoundError, NotADirectoryError), opened(open_below(folder, name)) as below:
            times[name] = os.fstat(below).st_mtime_ns
    return times


def _latest(times: Mapping[str, int]) -> Sequence[str]:
    return sorted(times, key=lambda name: (times[name], name), reverse=True)[:RECENT]


def _tell(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody listens
        loop.call_soon_threadsafe(news.set)
