"""A thread that waits for the system to say that a folder has changed."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from logging import getLogger
from typing import TYPE_CHECKING

from fileflow_async.errors import FileflowError

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

_STEP = 20  # milliseconds between looks at what inotify has queued: a wake-up takes one or two of them
_BURST = 50  # milliseconds at most for which changes are gathered
_RETRY = 5.0  # seconds between attempts to watch what could not be watched
_REMOVED = 3  # watchfiles.Change.deleted

log = getLogger(__name__)


class Watcher:
    """Calls back when something appears in a folder or in the latest of its folders, where inotify works.

    It is a help, never the truth: NFS and FUSE are silent, the system's limits may be reached. Then it says
    so once in the log, and does not call.

    Args:
        find: Returns the path of the folder and those of the folders in it to watch, no links among them.
        tell: Called on the thread; also when the watch begins, since something may have come just before.
    """

    def __init__(self, find: Callable[[], tuple[str, Sequence[str]]], tell: Callable[[], None]) -> None:
        self._find = find
        self._tell = tell
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._again = 0.0
        self._said: str | None = None

    def start(self) -> None:
        """Begin, unless it has begun or failed a moment ago."""
        if self._thread is not None and self._thread.is_alive():
            return
        if not self._stopped and time.monotonic() >= self._again:
            self._again = time.monotonic() + _RETRY
            self._thread = threading.Thread(target=self._run, name="fileflow-watch")
            self._thread.start()

    def stop(self) -> None:
        """End soon; does not wait."""
        self._stopped = True

    def is_set(self) -> bool:
        """Tell the waiting library whether to stop: also when the program ends without anybody saying so."""
        return self._stopped or not threading.main_thread().is_alive()

    def _run(self) -> None:
        try:
            from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError
        except ImportError:
            self._say("watchfiles is not installed (extra: inotify)")
            return
        try:
            self._watch(RustNotify)
        except (OSError, WatchfilesRustInternalError, FileflowError) as error:
            self._say(str(error))

    def _watch(self, notify: "type[RustNotify]") -> None:
        with ExitStack() as watches:
            while not self.is_set():
                folder, latest = self._find()
                try:
                    watch = notify([folder, *latest], False, False, 0, False, False)
                except FileNotFoundError:  # a clean-up: find again
                    continue
                watches.close()  # the one before, now that its successor is at work
                watches.callback(watch.close)
                self._tell()
                if self._find()[0] != folder:  # it came before we watched the folder around it
                    continue
                if not self._follow(watch, folder):
                    return

    def _follow(self, watch: "RustNotify", folder: str) -> bool:
        """Call back at every change; return whether to watch anew, because a folder has come."""
        while True:
            changes = watch.watch(_BURST, _STEP, 0, self)
            if not isinstance(changes, set) or (_REMOVED, folder) in changes:
                return False
            paths = [os.path.split(path) for change, path in changes if change != _REMOVED]
            if any(parent == folder for parent, _ in paths):
                return True
            if any(not name.startswith(".") for _, name in paths):
                self._tell()

    def _say(self, why: str) -> None:
        if why != self._said:
            self._said = why
            log.info("Changes of the feed are found at the poll interval, not at once: %s", why)
