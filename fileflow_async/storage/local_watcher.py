"""A thread that waits for the system to say that a folder has changed."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from logging import getLogger

from fileflow_async.errors import FileflowError
from fileflow_async.storage.inotify import GONE, Inotify
from fileflow_async.storage.mounts import is_of_this_machine

_BURST = 0.02  # seconds for which changes are gathered: a commit makes several, and many may come at once
_GLANCE = 2.0  # seconds until it is looked whether the program has ended
_RETRY = 5.0  # seconds between attempts to watch what could not be watched

log = getLogger(__name__)


class Watcher:
    """Calls back when something appears in a folder or in the latest of its folders, where inotify works.

    It is a help, never the truth: NFS and FUSE are silent, the system's limits may be reached. Then it says
    so once in the log, and does not call.

    Args:
        find: Returns the path of the folder and those of the folders in it to watch, no links among them.
        tell: Called on the thread; also when the watch begins, since something may have come just before, and
            when it ends.

    Attributes:
        hears_all: Whether it watches, and nothing can come without the system's telling it.
    """

    def __init__(self, find: Callable[[], tuple[str, Sequence[str]]], tell: Callable[[], None]) -> None:
        self._find = find
        self._tell = tell
        self.hears_all = False
        self._stopped = False
        self._lock = threading.Lock()
        self._inotify: Inotify | None = None
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
        with self._lock:
            self._stopped = True
            if self._inotify is not None:
                self._inotify.interrupt()

    @property
    def is_over(self) -> bool:
        """Whether to stop: also when the program ends without anybody saying so."""
        return self._stopped or not threading.main_thread().is_alive()

    def _run(self) -> None:
        try:
            with closing(Inotify()) as inotify:
                with self._lock:
                    self._inotify = inotify
                try:
                    self._watch(inotify)
                finally:
                    with self._lock:
                        self._inotify = None
                    heard_all, self.hears_all = self.hears_all, False
                    if heard_all and not self._stopped:
                        self._tell()
        except (OSError, FileflowError) as error:
            self._say(str(error))

    def _watch(self, inotify: Inotify) -> None:
        while not self.is_over:
            folder, latest = self._find()
            try:
                inotify.watch([folder, *latest])
            except FileNotFoundError:  # a clean-up: find again
                continue
            self.hears_all = is_of_this_machine(folder)
            self._tell()
            if self._find()[0] != folder:  # it came before we watched the folder around it
                continue
            if not self._follow(inotify, folder):
                return

    def _follow(self, inotify: Inotify, folder: str) -> bool:
        """Call back at every change; return whether to watch anew, because a folder has come."""
        while not self.is_over:
            changes = inotify.changes(_GLANCE)
            if (folder, GONE) in changes:
                return False
            if any(parent == folder for parent, _ in changes):
                return True
            if any(name != GONE and not name.startswith(".") for _, name in changes):
                self._tell()
                time.sleep(_BURST)
        return False

    def _say(self, why: str) -> None:
        if why != self._said:
            self._said = why
            log.info("Changes of the feed are found at the poll interval, not at once: %s", why)
