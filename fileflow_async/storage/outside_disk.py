"""Files that outsiders put into folders of this machine, or of a share that it has mounted."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from os import listdir
from typing import TypeVar

from fileflow_async.storage.local_threads import Pulse, Threads
from fileflow_async.storage.outside import Answer
from fileflow_async.storage.outside_scan import OutsideScan
from fileflow_async.storage.outside_threads import spare_threads
from fileflow_async.storage.search import Search

T = TypeVar("T")

_TIMEOUT = 30.0  # seconds without a sign of life until a disk is taken to hang


class OutsideDisk:
    """One folder of outsiders, an `Outside`.

    On the way to the folder links are followed: whoever named it meant it. In it they are not, neither to
    files nor to folders: whoever may write there could point them at what only we may read. FIFOs, sockets
    and devices are told, never opened.

    Args:
        folder: Its absolute path.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._threads = _threads(folder)

    async def look(self, searches: Collection[Search], then: Callable[[Mapping[Search, Answer]], T]) -> T:
        """Look for all of that in one hop to a thread, and go on there with what was found."""
        pulse = Pulse()

        def work() -> T:
            return then(OutsideScan(self._folder, pulse).answers(searches))

        return await self._threads.look(work, pulse=pulse, executor=spare_threads())

    def close(self) -> None:
        """Let the thread end that asks whether a disk that hung answers again."""
        self._threads.close()


async def look_in_time(folder: str, work: Callable[[], T]) -> T:
    """Return what `work` returns, which looks at a folder once.

    Raises:
        StorageUnavailableError: The disk does not answer.
    """
    threads = _threads(folder)
    try:
        return await threads.look(work, executor=spare_threads())
    finally:
        threads.close()


def _threads(folder: str) -> Threads:
    return Threads(f"folder {folder!r}", 1, _TIMEOUT, partial(listdir, folder))
