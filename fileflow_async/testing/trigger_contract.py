"""What every trigger must do, as tests that its own test class inherits."""
# ruff: noqa: S101 - a contract asserts

import asyncio
import gc
import inspect
import json
import random
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from airflow.triggers.base import BaseTrigger, TriggerEvent

from fileflow_async.errors import FileflowError

PATIENCE = 10.0  # seconds until what should happen soon is taken to never happen
LARGEST = 16_000  # bytes of an event: it is a row in Airflow's database
_PROMPTLY = 1.0  # seconds in which a cancelled trigger has ended
_GLANCE = 0.03  # seconds in which a wrong argument is found
_TURNS = 40  # turns of the loop, after each of which it is cancelled
_A_WHILE = 0.02  # seconds in which it has opened what it waits for, and looked

# What stands in a database after a downgrade, a typing error or a template that was not filled in.
ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    1e300,
    float("nan"),
    float("inf"),
    10**40,
    "",
    "{{ ds }}",
    "all\0",
    [],
    [None],
    ["a", ["b"]],
    {},
    {"a": {"b": 1}},
)


class TriggerContract:
    """The promises of a trigger, one test each.

    A subclass names the trigger and gives its arguments. The tests are coroutines for pytest-asyncio;
    `pytest.register_assert_rewrite("fileflow_async.testing.trigger_contract")` in a conftest shows the values
    when one fails.

    Attributes:
        kind: The class of the trigger.
        package: Where it must be: the triggerer imports it by its path, and does not know the DAGs' folder.
        is_endless: Whether it fires any number of events, as the trigger of an `AssetWatcher` does.
        secrets: Texts that must show up nowhere, such as the password of a connection that is configured.
        slack: Threads and descriptors that the event loop may keep for later.
        rounds: How many waits one after another must leave nothing.
    """

    pytestmark = pytest.mark.asyncio
    kind: ClassVar[type[BaseTrigger]]
    package: ClassVar[str] = "fileflow_async"
    is_endless: ClassVar[bool] = False
    secrets: ClassVar[Sequence[str]] = ()
    slack: ClassVar[int] = 8
    rounds: ClassVar[int] = 1000

    def arguments(self) -> Mapping[str, Any]:
        """Return a value for every argument, none of them its default."""
        raise NotImplementedError

    def waiting(self) -> BaseTrigger:
        """Return a trigger that waits for long."""
        raise NotImplementedError

    def firing(self) -> BaseTrigger:
        """Return a trigger that fires at once."""
        raise NotImplementedError

    def through_airflow(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the arguments as they come out of Airflow's database; where that can be tried, try it."""
        return cast(Mapping[str, Any], json.loads(json.dumps(dict(arguments))))

    # Arguments.

    async def test_its_arguments_are_its_constructors(self) -> None:
        """What `serialize` leaves out is lost, and what it adds makes a TypeError."""
        _, arguments = self.kind(**self.arguments()).serialize()
        assert set(arguments) == set(_parameters(self.kind))

    async def test_every_argument_survives(self) -> None:
        """Through JSON and through Airflow, without one at its default: a default would hide a loss."""
        arguments = self.arguments()
        assert set(arguments) == set(_parameters(self.kind)), "arguments() must give all"
        for name, parameter in _parameters(self.kind).items():
            assert arguments[name] != parameter.default, f"arguments() gives {name} its default"
        _, once = self.kind(**arguments).serialize()
        assert once == arguments
        for travelled in (json.loads(json.dumps(once)), self.through_airflow(once)):
            _, twice = self.kind(**travelled).serialize()
            assert twice == once
            _, thrice = self.kind(**self.through_airflow(twice)).serialize()
            assert thrice == once

    async def test_its_arguments_are_json(self) -> None:
        """Airflow's database stores anything else in ways that another version may not read."""
        _, arguments = self.kind(**self.arguments()).serialize()
        assert json.loads(json.dumps(arguments, allow_nan=False)) == arguments

    async def test_a_misspelt_argument_is_a_type_error(self) -> None:
        """Swallowed, it would leave its default in force without a word."""
        for name in _parameters(self.kind):
            arguments = dict(self.arguments())
            arguments[f"{name}s"] = arguments.pop(name)
            with pytest.raises(TypeError):
                self.kind(**arguments)

    async def test_a_missing_argument_is_a_type_error(self) -> None:
        """Only that: any other exception ends the whole triggerer."""
        for name, parameter in _parameters(self.kind).items():
            if parameter.default is inspect.Parameter.empty:
                arguments = {key: value for key, value in self.arguments().items() if key != name}
                with pytest.raises(TypeError):
                    self.kind(**arguments)

    async def test_no_argument_makes_the_constructor_fail(self) -> None:
        """Whatever stands in the database, its own task fails by it, and nothing else."""
        tried = 0
        for arguments in self._malformed():
            tried += 1
            with suppress(TypeError):
                repr(self.kind(**arguments))
        assert tried >= len(ODD)

    async def test_a_wrong_argument_is_said_by_run(self) -> None:
        """With an error of ours, which names it; if it can be meant, the wait begins."""
        for arguments in self._malformed():
            limit = asyncio.timeout(_GLANCE)
            with suppress(FileflowError):
                try:
                    async with limit:
                        await anext(_run(self.kind(**arguments)))
                except TimeoutError:
                    assert limit.expired()

    async def test_its_class_can_be_found(self) -> None:
        """By the path that is stored, in a package that is installed."""
        path, _ = self.kind(**self.arguments()).serialize()
        assert path.startswith(f"{self.package}.")
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name) is self.kind

    # Running.

    async def test_it_fires_one_event(self) -> None:
        """Exactly one, JSON, of a few kB; then it ends, so that nobody has to cancel it."""
        events = _run(self.firing())
        async with asyncio.timeout(PATIENCE):
            event = await anext(events)
        assert isinstance(event, TriggerEvent)
        assert len(json.dumps(event.payload, allow_nan=False)) <= LARGEST
        if not self.is_endless:
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(StopAsyncIteration):
                    await anext(events)
        await events.aclose()

    async def test_it_runs_in_a_loop_of_its_own(self) -> None:
        """As `dag.test()` runs it: the first event, and then the loop is closed."""

        def run() -> TriggerEvent:
            async def first() -> TriggerEvent:
                return await anext(_run(self.firing()))

            return asyncio.run(first())

        threads = threading.active_count()
        assert isinstance(await asyncio.to_thread(run), TriggerEvent)
        await _until(lambda: threading.active_count() <= threads + self.slack)

    async def test_two_copies_fire_alike(self) -> None:
        """While triggers move to another triggerer both may run; neither may disturb the other."""
        one, other = _run(self.firing()), _run(self.firing())
        async with asyncio.timeout(PATIENCE):
            assert (await anext(one)).payload == (await anext(other)).payload
        await one.aclose()
        await other.aclose()

    async def test_cancelling_ends_it_at_any_moment(self) -> None:
        """Promptly, and without a task, a thread or a descriptor left behind."""
        await self._leaves_nothing(range(_TURNS))

    async def test_rounds_without_end_leave_nothing(self) -> None:
        """A triggerer runs for months; what a wait has opened is closed when it ends."""
        await self._leaves_nothing(range(self.rounds), longest=_A_WHILE)

    async def test_no_secret_shows(self, caplog: pytest.LogCaptureFixture) -> None:
        """Arguments, events and logs are plain text in Airflow's database and files."""
        events = _run(self.firing())
        async with asyncio.timeout(PATIENCE):
            event = await anext(events)
        await events.aclose()
        trigger = self.firing()
        shown = [repr(trigger), repr(trigger.serialize()), json.dumps(event.payload), caplog.text]
        for secret in self.secrets:
            assert not any(secret in text for text in shown)
        assert not {"password", "secret", "token"} & {
            part for name in _parameters(self.kind) for part in name.split("_")
        }

    async def _leaves_nothing(self, rounds: Iterable[int], *, longest: float = 0.0) -> None:
        """Begin to wait and cancel it again, each time after so many turns of the loop."""
        await self._cancel(after=3)  # what is imported and started once a process
        await _until(lambda: not _others())
        before = await _kept()
        for number in rounds:
            turns, seconds = number % _TURNS, 0.0 if number % 5 else random.uniform(0.0, longest)
            await self._cancel(after=turns, seconds=seconds)
            assert not _others(), f"tasks are left {turns} turns of the loop after its start"
        until = time.monotonic() + PATIENCE
        while any(now > then + self.slack for now, then in zip(await _kept(), before, strict=True)):
            assert time.monotonic() < until, "threads or descriptors are left"
            await asyncio.sleep(0.02)

    async def _cancel(self, *, after: int, seconds: float = 0.0) -> None:
        async def run() -> None:
            async for _ in _run(self.waiting()):
                pass

        task = asyncio.create_task(run())
        for _ in range(after):
            await asyncio.sleep(0)
        if seconds:
            await asyncio.sleep(seconds)
        with _without_collection():
            began = time.monotonic()
            task.cancel()
            await asyncio.wait([task], timeout=PATIENCE)
            took = time.monotonic() - began
        assert task.cancelled(), "it did not end, or not as cancelled"
        assert took < _PROMPTLY

    def _malformed(self) -> Iterator[Mapping[str, Any]]:
        for name in _parameters(self.kind):
            for odd in ODD:
                yield {**self.arguments(), name: odd}


@contextmanager
def _without_collection() -> Iterator[None]:
    """Let no garbage be collected meanwhile: beside Airflow that takes 0.3 s, on a busy machine a second."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _run(trigger: BaseTrigger) -> AsyncGenerator[TriggerEvent, None]:
    return cast(AsyncGenerator[TriggerEvent, None], trigger.run())


def _parameters(kind: type[BaseTrigger]) -> Mapping[str, inspect.Parameter]:
    return {
        name: parameter
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }


def _others() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def _kept() -> tuple[int, int]:
    """Return how many threads and descriptors the process has."""

    def count() -> int:
        descriptors = Path("/proc/self/fd")
        return len(list(descriptors.iterdir())) if descriptors.is_dir() else 0

    return threading.active_count(), await asyncio.to_thread(count)


async def _until(condition: Callable[[], bool]) -> None:
    """Wait until something is the case; what ends in threads takes a moment."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        await asyncio.sleep(0.02)
