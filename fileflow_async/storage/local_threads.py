"""The threads of a local storage: work on the disk, each call in one hop."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from io import FileIO
from logging import getLogger
from typing import Any, ParamSpec, TypeVar

from fileflow_async.errors import StorageUnavailableError
from fileflow_async.storage.landing import Landing

P = ParamSpec("P")
T = TypeVar("T")

_HANGS = 3  # in a row until the disk is taken to hang: one may be a slow disk's, and each costs a thread

log = getLogger(__name__)


class Pulse:
    """What a long look shows of its progress, so that slow is not taken for hung."""

    def __init__(self) -> None:
        self.beats = 0

    def beat(self) -> None:
        """Note that the disk has answered once more."""
        self.beats += 1


class Threads:
    """A pool of a storage's own: neither the loop's default nor anyio's, which others fill.

    Looks end in time even when the disk hangs: the thread cannot be stopped, but nobody waits for it. After
    three such in a row no look is begun until the disk answers again, so that they do not pile up.

    Args:
        name: What the looks are at, for messages.
        count: How many threads at most; they are started when they are needed.
        timeout: How many seconds a look may go on without a sign of life.
        probe: Does something that cannot end while the disk hangs.
    """

    def __init__(self, name: str, count: int, timeout: float, probe: Callable[[], object]) -> None:
        self._name = name
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="fileflow-local")
        self._timeout = timeout
        self._probe = probe
        self._landing: Landing | None = None
        self._hangs = 0

    def close(self) -> None:
        """Let the threads end once they have done what was begun; does not wait for them."""
        self._pool.shutdown(wait=False)

    def lane(self) -> "Lane":
        """Return a way to the threads for the calls on one file."""
        return Lane(self._pool)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, however long it takes."""
        return await self.result(self._pool.submit(work))

    async def result(self, call: "Future[T]") -> T:
        """Return the result of a call; when nobody waits for it any longer, it is not begun."""
        return await self._awaited(self._waiter(call), call)

    async def look(
        self, work: Callable[[], T], *, pulse: Pulse | None = None, executor: Executor | None = None
    ) -> T:
        """Return what `work` returns, in time.

        Args:
            work: Looks at the disk.
            pulse: What `work` beats, where it may take long.
            executor: The lane of the file that `work` opens.

        Raises:
            StorageUnavailableError: The disk does not answer.
        """
        async with self._judged():
            call = (executor or self._pool).submit(work)
            waiter, pulse = self._waiter(call), pulse or Pulse()
            with self._watched(waiter, pulse):
                return await self._awaited(waiter, call)

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Make a look of what the block awaits.

        Raises:
            StorageUnavailableError: The disk does not answer.
        """
        async with self._judged():
            limit = asyncio.timeout(self._timeout)
            try:
                async with limit:
                    yield
            except TimeoutError as error:
                if limit.expired():
                    raise _HungError from error
                raise

    def _waiter(self, call: "Future[T]") -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        if self._landing is None or self._landing.loop is not loop:
            self._landing = Landing(loop)
        return self._landing.waiter(call)

    async def _awaited(self, waiter: "asyncio.Future[T]", call: "Future[T]") -> T:
        try:
            return await waiter
        except BaseException:
            call.cancel()
            raise

    @contextmanager
    def _watched(self, waiter: "asyncio.Future[Any]", pulse: Pulse) -> Iterator[None]:
        """Give whoever waits an error when there was no beat for too long."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def look(beats: int) -> None:
            nonlocal timer
            if pulse.beats != beats:
                timer = loop.call_later(self._timeout, look, pulse.beats)
            elif not waiter.done():
                waiter.set_exception(_HungError())

        timer = loop.call_later(self._timeout, look, pulse.beats)
        try:
            yield
        finally:
            timer.cancel()

    @asynccontextmanager
    async def _judged(self) -> AsyncIterator[None]:
        if self._hangs >= _HANGS:
            raise StorageUnavailableError(
                f"{self._name} has not answered {self._hangs} times in a row; it is asked again once it does"
            )
        try:
            yield
        except _HungError as error:
            self._count_hang()
            raise StorageUnavailableError(f"{self._name} has not answered for {self._timeout:g} s") from error
        except Exception:
            self._hangs = 0  # an error is an answer
            raise
        self._hangs = 0

    def _count_hang(self) -> None:
        self._hangs += 1
        if self._hangs == _HANGS:
            log.warning("%s hangs: no look is begun until it answers", self._name)
            with suppress(RuntimeError):  # closed in the meantime
                self._pool.submit(self._probe).add_done_callback(self._recover)

    def _recover(self, _probe: "Future[Any]") -> None:
        log.info("%s answers again", self._name)
        self._hangs = 0


class Lane(Executor):
    """The calls on one file, so that whoever ends it can come after those that nobody waits for any longer.

    The first call opens the file. An `Executor`, for aiofiles to use.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._first: Future[Any] | None = None
        self._last: Future[Any] | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Start a call on a thread; the one before must have ended, or been given up."""
        future = self._pool.submit(fn, *args, **kwargs)
        self._first, self._last = self._first or future, future
        return future

    def file(self) -> Any:
        """Return what the first call has opened; None when it has not."""
        first = self._first
        return None if first is None or first.cancelled() or first.exception() else first.result()

    def end(self, work: Callable[[], T]) -> "Future[T]":
        """Start `work` as soon as the last call has ended, even one that nobody waits for; does not wait."""
        ended: Future[T] = Future()
        last, self._last = self._last, ended
        if last is None:
            self._start(work, ended)
        else:
            last.add_done_callback(lambda _: self._start(work, ended))
        return ended

    def close(self) -> None:
        """Close the file, if there is one, as soon as the last call has ended; does not wait."""
        if self._last is not None:
            self._last.add_done_callback(self._close)

    def _close(self, _last: "Future[Any]") -> None:
        file = self.file()
        if isinstance(file, FileIO):
            self._start(file.close, Future())

    def _start(self, work: Callable[[], T], ended: "Future[T]") -> None:
        try:
            self._pool.submit(_complete, work, ended)
        except RuntimeError:  # the storage is closed; a hung call has ended after it, on its own thread
            _complete(work, ended)


class _HungError(Exception):
    """The disk has shown no sign of life for too long."""


def _complete(work: Callable[[], T], ended: "Future[T]") -> None:
    if ended.set_running_or_notify_cancel():
        try:
            ended.set_result(work())
        except BaseException as error:
            ended.set_exception(error)
