"""One event loop for as long as a task runs."""

import asyncio
import contextvars
import gc
import signal
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest

from fileflow_async.engine import Engine
from tests.leftovers import assert_nothing_new, held


class TimeIsUp(BaseException):
    """What a signal handler raises, as Airflow's does for execution_timeout."""


async def answer(value: int = 42) -> int:
    await asyncio.sleep(0)
    return value


@contextmanager
def alarm_in(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Patient:
    """A coroutine that never ends by itself, and what became of it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def wait(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.seen.append("cancelled")
            await asyncio.sleep(0)
            self.seen.append("cleaned up")
            raise


def test_what_a_coroutine_returns_or_raises_is_what_run_returns_or_raises() -> None:
    """The loop is an implementation detail."""

    async def fail() -> None:
        raise KeyError("orders")

    with Engine() as engine:
        assert engine.run(answer()) == 42
        with pytest.raises(KeyError, match="orders"):
            engine.run(fail())
        assert engine.run(answer(7)) == 7


def test_all_coroutines_share_one_loop_one_task_and_one_context() -> None:
    """A client that one call opens, the next goes on with."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def here() -> tuple[object, object, str | None]:
        seen = variable.get(None)
        variable.set("set by the call before")
        return asyncio.get_running_loop(), asyncio.current_task(), seen

    with Engine() as engine:
        first, second = engine.run(here()), engine.run(here())
    assert first[:2] == second[:2]
    assert (first[2], second[2]) == (None, "set by the call before")


def test_a_signal_handlers_exception_cancels_and_drains_what_runs() -> None:
    """execution_timeout leaves no coroutine half way: its clean-up has run before anybody sees the error."""
    patient = Patient()
    with Engine() as engine:
        with alarm_in(0.05), pytest.raises(TimeIsUp):
            engine.run(patient.wait())
        assert patient.seen == ["cancelled", "cleaned up"]
        assert engine.run(answer()) == 42


def test_a_signal_in_the_middle_of_a_callback_is_not_lost() -> None:
    """Asyncio catches what a callback raises, and only logs it: the task would run on beyond its time."""
    patient = Patient()

    def ring() -> None:
        raise TimeIsUp

    async def wait() -> None:
        asyncio.get_running_loop().call_soon(ring)
        await patient.wait()

    with Engine() as engine:
        began = time.monotonic()
        with pytest.raises(TimeIsUp):
            engine.run(wait())
        assert time.monotonic() - began < 5.0  # not only once the next signal has come
        assert patient.seen == ["cancelled", "cleaned up"]
        assert engine.run(answer()) == 42


def test_a_signal_in_the_middle_of_a_coroutine_is_not_lost() -> None:
    """The handler's exception is raised where the program happens to be, and the next call finds a loop."""

    async def struck() -> None:
        await asyncio.sleep(0)
        raise TimeIsUp

    with Engine() as engine:
        with pytest.raises(TimeIsUp):
            engine.run(struck())
        assert engine.run(answer()) == 42


def test_a_mistake_in_a_callback_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    """As asyncio does: it is no reason to stop."""

    async def work() -> int:
        asyncio.get_running_loop().call_soon(divmod, 1, 0)
        await asyncio.sleep(0.01)
        return await answer()

    with Engine() as engine:
        assert engine.run(work()) == 42
    assert "ZeroDivisionError" in caplog.text


def test_cancelling_from_elsewhere_ends_what_runs_with_its_clean_up() -> None:
    """This is what on_kill does, in the signal handler of a task that is killed."""
    patient = Patient()
    with Engine() as engine:
        threading.Timer(0.05, engine.cancel).start()
        with pytest.raises(asyncio.CancelledError):
            engine.run(patient.wait())
        assert patient.seen == ["cancelled", "cleaned up"]
        assert engine.run(answer()) == 42


def test_cancelling_twice_counts_once() -> None:
    """As when both halves of a mixture hand a kill on; the next call would take itself for cancelled."""
    patient = Patient()

    def twice() -> None:
        engine.cancel()
        engine.cancel()

    async def cancellations() -> int:
        task = asyncio.current_task()
        return 0 if task is None else task.cancelling()

    with Engine() as engine:
        threading.Timer(0.05, twice).start()
        with pytest.raises(asyncio.CancelledError):
            engine.run(patient.wait())
        assert patient.seen == ["cancelled", "cleaned up"]
        assert engine.run(cancellations()) == 0


def test_cancelling_when_nothing_runs_harms_nobody() -> None:
    """A kill that comes between two calls is not kept for the next one."""
    with Engine() as engine:
        engine.cancel()
        assert engine.run(answer()) == 42


def test_cancelling_that_comes_late_harms_not_the_next() -> None:
    """What it was meant for has ended by itself."""
    late: list[tuple[Callable[..., None], object]] = []

    async def first() -> None:
        loop = asyncio.get_running_loop()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "call_soon_threadsafe", lambda call, what: late.append((call, what)))
            engine.cancel()

    async def second() -> int:
        call, what = late.pop()
        call(what)
        return await answer()

    with Engine() as engine:
        engine.run(first())
        assert engine.run(second()) == 42


def test_what_does_not_end_is_waited_for_no_longer_than_airflow_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """It kills the process some seconds after it has said so."""
    monkeypatch.setattr("fileflow_async.engine._DRAIN", 0.05)
    release = asyncio.Event()

    async def stay() -> None:
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()

    with Engine() as engine:
        loop = engine._runner.get_loop()
        at_last = threading.Timer(10.0, loop.call_soon_threadsafe, [release.set])
        at_last.start()
        with alarm_in(0.05), pytest.raises(TimeIsUp):
            engine.run(stay())
        assert at_last.is_alive()  # nobody has waited for that
        at_last.cancel()
        release.set()
        assert engine.run(answer()) == 42


def test_what_a_coroutine_has_returned_is_not_kept() -> None:
    """It may be most of the worker's memory."""

    class Table:
        pass

    async def load() -> Table:
        return Table()

    with Engine() as engine:
        loaded = weakref.ref(engine.run(load()))
        gc.collect()
        assert loaded() is None


def test_a_context_is_held_open_over_sync_code() -> None:
    """Its exit sees how the sync block ended."""
    seen: list[str] = []

    @asynccontextmanager
    async def resource() -> AsyncIterator[str]:
        try:
            yield "resource"
        except ValueError as error:
            seen.append(f"failed: {error}")
            raise
        else:
            seen.append("ended well")

    with Engine() as engine:
        with engine.opened(resource()) as value:
            assert value == "resource"
        with pytest.raises(ValueError, match="broken"), engine.opened(resource()):
            raise ValueError("broken")
    assert seen == ["ended well", "failed: broken"]


def test_a_context_may_swallow_what_its_block_raises() -> None:
    """As in any `async with`."""

    @asynccontextmanager
    async def forgiving() -> AsyncIterator[None]:
        with suppress(ValueError):
            yield

    with Engine() as engine:
        with engine.opened(forgiving()):
            raise ValueError("forgiven")
        assert engine.run(answer()) == 42


def test_a_task_group_that_fails_between_two_calls_says_so_when_it_is_left() -> None:
    """A part upload that breaks while sync code computes must not be lost with its error."""

    @asynccontextmanager
    async def group() -> AsyncIterator[None]:
        async def child() -> None:
            await asyncio.sleep(0)
            raise OSError("the part was lost")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(child())
            yield

    def compute(engine: Engine) -> None:
        with engine.opened(group()), suppress(asyncio.CancelledError):
            for _ in range(5):
                engine.run(asyncio.sleep(0))

    with Engine() as engine:
        with pytest.raises(ExceptionGroup) as caught:
            compute(engine)
        assert caught.group_contains(OSError, match="the part was lost")
        assert engine.run(answer()) == 42


def test_a_sync_call_from_a_coroutine_is_refused_with_what_to_do() -> None:
    """It would wait for itself for ever."""
    with Engine() as engine:

        async def confused() -> int:
            return engine.run(answer())

        with pytest.raises(RuntimeError, match="await its async twin instead"):
            engine.run(confused())


def test_nothing_is_left_when_the_engine_is_closed() -> None:
    """No task, no thread, no loop."""
    before = held()
    with Engine() as engine:
        loop = engine.run(answer_loop())
    assert loop.is_closed()
    assert_nothing_new(before)


async def answer_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()
