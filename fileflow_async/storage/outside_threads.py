"""Threads that look for files of outsiders, shared by all who look in an event loop."""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

P = ParamSpec("P")
T = TypeVar("T")

_Job = Callable[[], object]


class SpareThreads(Executor):
    """Starts a thread for a call when none is free, and keeps it for the next while anybody may make one.

    A disk that hangs takes threads from nobody, as it would in a pool of so many. There are never more than
    calls at the same time, while a pool for each folder would keep one for each. Seldom must the event loop
    wait for a thread to start, which takes long on a busy machine; the end of the process waits for none.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._free: list[SimpleQueue[_Job | None]] = []
        self._users = 0

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep threads for the next call until the block ends; the last one ends those that are free."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                free = [] if self._users else self._free
                self._free = self._free if self._users else []
            for inbox in free:
                inbox.put(None)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Start a call."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            inbox = self._free.pop() if self._free else None
        if inbox is None:
            inbox = SimpleQueue()
            Thread(target=self._work, args=(inbox,), name="fileflow-outside", daemon=True).start()

        def job() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                self._offer(inbox)
                future.set_exception(error)
            else:
                self._offer(inbox)
                future.set_result(result)

        inbox.put(job)
        return future

    def _offer(self, inbox: "SimpleQueue[Any]") -> None:
        """Offer a thread for the next call; before the answer is given, which may make that call."""
        with self._lock:
            if self._users:
                self._free.append(inbox)
            else:
                inbox.put(None)

    @staticmethod
    def _work(inbox: "SimpleQueue[_Job | None]") -> None:
        while (job := inbox.get()) is not None:
            job()


_spare: WeakKeyDictionary[AbstractEventLoop, SpareThreads] = WeakKeyDictionary()


def spare_threads() -> SpareThreads:
    """Return the threads of the running event loop: those of a process that was forked do not exist here."""
    return _spare.setdefault(asyncio.get_running_loop(), SpareThreads())
