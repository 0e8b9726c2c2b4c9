"""The event loop of one task, on which its sync and its async parts run."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")
_DRAIN = (
    5.0  # seconds a cancelled coroutine has to clean up: Airflow kills the process about six after on_kill
)


class Engine:
    """One event loop for as long as a task runs, so that its connections are reused; a context manager.

    All that `run` is given runs in one asyncio task, one after another: a context that one coroutine enters
    another may leave, with the task groups in it intact. Whatever interrupts a coroutine, an exception that a
    signal handler raises (execution_timeout) included, it is cancelled and drained: nothing is left half done
    because its loop is gone.
    """

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        loop = self._runner.get_loop()
        self._calls: asyncio.Queue[tuple[Coroutine[Any, Any, Any], asyncio.Future[Any]]] = asyncio.Queue()
        self._current: asyncio.Future[Any] | None = None
        self._closing = False
        self._interruption: BaseException | None = None
        loop.set_exception_handler(self._interrupt)
        self._task = loop.create_task(self._serve())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing = True
        self._runner.__exit__(kind, error, traceback)

    @property
    def is_busy(self) -> bool:
        """Whether a coroutine runs right now, so that no other can."""
        return self._runner.get_loop().is_running()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Return what the coroutine returns.

        Raises:
            RuntimeError: It was called by a coroutine that runs here.
        """
        loop = self._runner.get_loop()
        if self.is_busy:
            coroutine.close()
            raise RuntimeError("this is sync, and was called from a coroutine; await its async twin instead")
        result: asyncio.Future[Result] = loop.create_future()
        self._calls.put_nowait((coroutine, result))
        try:
            return loop.run_until_complete(result)
        except BaseException:
            if not result.done():
                self._task.cancel()
                loop.run_until_complete(asyncio.wait((result,), timeout=_DRAIN))
            if self._interruption is not None:
                raise self._interruption from None
            raise
        finally:
            self._interruption = None

    @contextmanager
    def opened(self, resource: AbstractAsyncContextManager[Result]) -> Iterator[Result]:
        """Hold an async context open over sync code."""
        value = self.run(resource.__aenter__())
        try:
            yield value
        except BaseException as error:
            if not self.run(resource.__aexit__(type(error), error, error.__traceback__)):
                raise
        else:
            self.run(resource.__aexit__(None, None, None))

    def cancel(self) -> None:
        """Cancel what runs, from a signal handler or another thread; its clean-up still runs."""
        if (current := self._current) is not None:
            self._runner.get_loop().call_soon_threadsafe(self._cancel, current)

    def _cancel(self, result: asyncio.Future[Any]) -> None:
        if self._current is result:
            self._task.cancel()

    def _interrupt(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Stop for what a signal handler has raised in a callback: asyncio only logs it, and goes on."""
        error = context.get("exception")
        if isinstance(error, BaseException) and not isinstance(error, Exception | asyncio.CancelledError):
            self._interruption = error
            loop.stop()
        else:
            loop.default_exception_handler(context)

    async def _serve(self) -> None:
        while True:
            try:
                coroutine, self._current = await self._calls.get()
            except asyncio.CancelledError:
                if self._closing:
                    raise
                self._task.uncancel()  # part of a task group failed between two calls: leaving it says so
                continue
            await self._serve_one(coroutine, self._current)
            self._current = None

    async def _serve_one(self, coroutine: Coroutine[Any, Any, Any], result: asyncio.Future[Any]) -> None:
        try:
            value = await coroutine
        except asyncio.CancelledError:
            while self._task.uncancel():  # both halves of a mixture may hand a kill on
                pass
            result.cancel()
        except BaseException as error:  # what a signal handler raised in it, too
            result.set_exception(error)
        else:
            if not result.done():
                result.set_result(value)
