"""The way of data from an event loop, which never blocks, to the thread that works for it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")

_AHEAD = 2  # in each direction: one is worked on while the other is moved
_END, _CLOSED = object(), object()


class Channel(Generic[T]):
    """Two short queues between a thread and an event loop, which never blocks on them.

    All input and output is done by the task that owns the channel, so that it is cancelled with it.

    Args:
        inputs: What the thread takes; drawn from only as fast as it takes it.
    """

    def __init__(self, inputs: AsyncIterator[Any] | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._inputs = inputs
        self._wanted = _AHEAD
        self._inbox: SimpleQueue[Any] = SimpleQueue()
        self._outbox: deque[Any] = deque()
        self._room: SimpleQueue[Any] = SimpleQueue()
        for _ in range(_AHEAD):
            self._room.put(None)
        self._news = asyncio.Event()
        self._is_closed = False
        self._is_done = False
        self._result: T
        self._error: BaseException | None = None

    # On the thread.

    def work(self, work: "Callable[[Channel[T]], T]") -> None:
        """Do the work, whatever comes of it."""
        try:
            result = work(self)
        except BaseException as error:
            self._end(error, None)
        else:
            self._end(None, result)

    def items(self) -> Iterator[Any]:
        """Take all inputs, one after another."""
        while (item := self._take(self._inbox)) is not _END:
            self.tell(self._want)
            yield item

    def give(self, item: Any) -> None:
        """Hand on a piece of output; waits while there are some that nobody has taken."""
        self._take(self._room)
        self.tell(self._outbox.append, item)

    def tell(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have the loop call a function, as soon as it comes to it; does not wait."""
        try:
            self._loop.call_soon_threadsafe(self._hear, function, arguments)
        except RuntimeError:  # the loop is closed
            raise AbandonedError from None

    def _take(self, queue: "SimpleQueue[Any]") -> Any:
        item = _CLOSED if self._is_closed else queue.get()
        if item is _CLOSED:
            raise AbandonedError
        return item

    def _end(self, error: BaseException | None, result: T | None) -> None:
        with suppress(AbandonedError):  # nobody is left to be told
            self.tell(self._finish, error, result)

    # On the event loop.

    def _hear(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        function(*arguments)
        self._news.set()

    def _want(self) -> None:
        self._wanted += 1

    def _finish(self, error: BaseException | None, result: Any) -> None:
        self._is_done, self._error, self._result = True, error, result

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        """Return what the thread hands on, while it is given its inputs; ends, or raises, with its work."""
        while not self._outbox:
            if self._is_done:
                raise self._error or StopAsyncIteration
            if self._wanted and self._inputs is not None:
                await self._fetch(self._inputs)
            else:
                self._news.clear()
                await self._news.wait()
        self._room.put(None)
        return self._outbox.popleft()

    async def result(self) -> T:
        """Return what came of the work; output that nobody has taken is lost."""
        async for _ in self:
            pass
        return self._result

    async def drain(self) -> None:
        """Draw the rest of the inputs: what checks them does so at their end."""
        if self._inputs is not None:
            async for _ in self._inputs:
                pass

    def close(self) -> None:
        """Let the thread end at its next step; whoever waits for it must not wait any longer."""
        self._is_closed = True
        self._inbox.put(_CLOSED)
        self._room.put(_CLOSED)

    async def _fetch(self, inputs: AsyncIterator[Any]) -> None:
        self._wanted -= 1
        try:
            self._inbox.put(await anext(inputs))
        except StopAsyncIteration:
            self._inputs = None
            self._inbox.put(_END)


class AbandonedError(BaseException):
    """Nobody waits for this work any longer; no Exception, so that nobody makes another of it."""


@asynccontextmanager
async def working(
    name: str, work: Callable[[Channel[T]], T], inputs: AsyncIterator[Any] | None = None
) -> AsyncIterator[Channel[T]]:
    """Start a thread that works until the block ends.

    A library's call that is under way when the block is left early cannot be stopped; its thread ends after
    it.

    Args:
        name: What the thread is called.
        work: Runs on it, in the caller's context.
        inputs: What it takes.
    """
    channel: Channel[T] = Channel(inputs)
    thread = ThreadPoolExecutor(1, thread_name_prefix=f"fileflow-{name}")
    thread.submit(copy_context().run, channel.work, work)
    try:
        yield channel
    finally:
        channel.close()
        thread.shutdown(wait=False)
