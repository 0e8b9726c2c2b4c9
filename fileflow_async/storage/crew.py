"""Tasks that never outlive the block that started them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[T]):
    result: T | None = None
    error: Exception | None = None


class Job(Generic[T]):
    """Work under way; its error goes to whoever asks for its result, and to nobody else."""

    def __init__(self, task: "asyncio.Task[_Outcome[T]]") -> None:
        self._task = task

    async def result(self) -> T:
        """Wait for the work and return, or raise, what came of it."""
        outcome = await self._task
        if outcome.error is not None:
            raise outcome.error
        return outcome.result  # type: ignore[return-value]


class Crew:
    """Starts jobs; see `crew`."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        """Start some work beside the caller's own."""
        task = self._group.create_task(_outcome(work, *args, **kwargs))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Job(task)

    def dismiss(self) -> None:
        """Cancel whatever is still under way."""
        for task in self._tasks:
            task.cancel()


async def _outcome(work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> _Outcome[T]:
    try:
        return _Outcome(result=await work(*args, **kwargs))
    except Exception as error:
        return _Outcome(error=error)


@asynccontextmanager
async def crew() -> AsyncIterator[Crew]:
    """Run jobs until the block ends; those that are still under way then are cancelled, and waited for.

    A bare TaskGroup would cancel the block at the first error, and wrap the block's own errors into a group;
    here an error surfaces where its result is asked for, as itself.
    """
    failure: BaseException | None = None
    async with asyncio.TaskGroup() as group:
        workers = Crew(group)
        try:
            yield workers
        except BaseException as error:
            failure = error
        finally:
            workers.dismiss()
    if failure is not None:
        raise failure


async def sheltered(work: Coroutine[Any, Any, T], *, seconds: float) -> T:
    """Await `work` although the caller be cancelled meanwhile; then it still gets so many seconds.

    For requests whose loss would leave something behind in the store. The cancellation goes on afterwards.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)  # never left alone: this function ends only after it
    cancelled: asyncio.CancelledError | None = None
    last_call: asyncio.TimerHandle | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
            last_call = last_call or loop.call_later(seconds, task.cancel)
    if cancelled is not None and last_call is not None:
        last_call.cancel()
        if not task.cancelled():
            task.exception()  # seen: the cancellation says more
        raise cancelled
    return task.result()
