"""A store under any sequence of what can happen to it, compared with a model of a few lines."""

import asyncio
import itertools
import json
import random
import secrets
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from fileflow_async.clock import SystemClock
from fileflow_async.draft import FileDraft
from fileflow_async.errors import (
    FileflowError,
    StorageUnavailableError,
    TargetCorruptError,
    TargetNotFoundError,
    TargetSupersededError,
    TargetWriteError,
)
from fileflow_async.retention import DAY, Rules, gc
from fileflow_async.status import State
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference, Slot, Target
from fileflow_async.testing.memory import MemoryStorage
from tests.planting import put
from tests.tries import T0, made

TARGETS = [
    Target(dag_id="shop", task_id="extract", slot=Slot(run_id="r"), name=name) for name in ("a", "a.b")
]
RULES = Rules(commits=2, commits_for=7 * DAY, orphans_for=DAY, feed_for=DAY)


class Hand(SystemClock):
    """A clock that is set by hand, and on which nobody sleeps for long."""

    def __init__(self, now: float = T0 / 1000) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@dataclass
class Model:
    """What must be true of one target.

    Attributes:
        bytes_of: What was, or may have been, committed under each name.
        acknowledged: The commits that were acknowledged, and that nobody had a right to remove since.
        highest: The greatest name that was ever acknowledged since the last deletion.
    """

    bytes_of: dict[str, bytes] = field(default_factory=dict)
    acknowledged: dict[str, Reference] = field(default_factory=dict)
    highest: str = ""


@dataclass
class Begun:
    """An attempt under way, with what keeps it open."""

    number: int
    moment: int
    draft: FileDraft
    stack: AsyncExitStack
    data: bytes = b""


class StoreMachine(RuleBasedStateMachine):
    """Writers that begin, write, commit, fail, die and wake up again; clean-ups; clocks that jump."""

    begun = Bundle("begun")

    @initialize()
    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.patch = pytest.MonkeyPatch()  # nonces that can be drawn again
        rng = random.Random(20261121)
        self.patch.setattr(secrets, "token_hex", lambda size: rng.randbytes(size).hex())
        self.clock = Hand()  # the store's
        self.storage = MemoryStorage(clock=self.clock)
        self.writers_clock = Hand()
        self.store = TargetStore(self.storage, clock=self.writers_clock)
        self.models = [Model() for _ in TARGETS]
        self.tries = itertools.count(T0, 1000)
        self.numbers = itertools.count()

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()
            self.patch.undo()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def committed(self, target: Target) -> list[str]:
        folder = f"{target.key}/"
        names = (key.removeprefix(folder) for key in self.storage.objects if key.startswith(folder))
        return sorted(name.removesuffix(".ok") for name in names if name.endswith(".ok"))

    def read(self, what: Target | Reference) -> bytes:
        data: bytes = self.run(self.store.read(what))
        return data

    # What writers do.

    @rule(target=begun, number=st.integers(0, 1), skew=st.integers(-3000, 3000), known=st.booleans())
    def begin(self, number: int, skew: int, known: bool) -> Any:
        moment = next(self.tries) + skew
        return self._begin(number, moment if known else None)

    @rule(target=begun, number=st.integers(0, 1), age=st.integers(1000, 10_000))
    def begin_late(self, number: int, age: int) -> Any:
        """Begin as a try that was made long ago and only now comes to write."""
        return self._begin(number, next(self.tries) - age * 1000)

    def _begin(self, number: int, moment: int | None) -> Begun | None:
        stack = AsyncExitStack()
        options: dict[str, Any] = {} if moment is None else {"producer": made(moment)}
        try:
            draft = self.run(stack.enter_async_context(self.store.begin(TARGETS[number], **options)))
        except TargetSupersededError:
            assert moment is not None
            return None
        highest = self.models[number].highest
        assert draft.attempt.name > highest  # raised above whatever is committed
        return Begun(number, moment or 0, draft, stack)

    @rule(attempt=begun, data=st.binary(max_size=3))
    def write(self, attempt: Begun | None, data: bytes) -> None:
        if attempt is None:
            return
        with suppress(TargetWriteError):  # it was finished
            self.run(attempt.draft.write(data))
            attempt.data += data

    @rule(attempt=begun)
    def finish(self, attempt: Begun | None) -> None:
        if attempt is not None:
            with suppress(TargetWriteError):  # it could not be stored before
                self.run(attempt.draft.finish())

    @rule(attempt=begun)
    def commit(self, attempt: Begun | None) -> None:
        if attempt is None:
            return
        model, was = self.models[attempt.number], attempt.draft.reference
        data = attempt.draft.attempt.name
        overtaken = max(self.committed(TARGETS[attempt.number]), default="") > data
        model.bytes_of[data] = attempt.data
        try:
            reference = self.run(self.store.commit(attempt.draft))
        except TargetSupersededError:
            assert overtaken or attempt.moment
            assert was is None
            return
        except TargetWriteError:  # `gc` or a deletion took its data
            assert f"{TARGETS[attempt.number].key}/{data}" not in self.storage.objects
            return
        if was is not None:
            assert reference == was
            return
        assert not overtaken
        model.acknowledged[data] = reference
        model.highest = max(model.highest, data)

    @rule(attempt=begun, steps=st.integers(0, 30))
    def commit_and_die(self, attempt: Begun | None, steps: int) -> None:
        """Cancel the commit after so many turns of the loop: it is there or not, and nobody knows."""
        if attempt is None or attempt.draft.reference is not None:
            return
        self.models[attempt.number].bytes_of[attempt.draft.attempt.name] = attempt.data

        async def die() -> None:
            task = asyncio.ensure_future(self.store.commit(attempt.draft))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError, FileflowError):
                await task

        self.run(die())

    @rule(attempt=begun)
    def commit_during_an_outage(self, attempt: Begun | None) -> None:
        if attempt is None or attempt.draft.reference is not None:
            return
        self.storage.fault = StorageUnavailableError("down")
        try:
            self.run(self.store.commit(attempt.draft))
            raise AssertionError
        except (StorageUnavailableError, TargetWriteError):
            pass
        finally:
            self.storage.fault = None

    @rule(attempt=consumes(begun), dies=st.booleans())
    def close(self, attempt: Begun | None, dies: bool) -> None:
        """End the block: well, or by an error."""
        if attempt is None:
            return
        error = ZeroDivisionError("boom") if dies else None
        with suppress(ZeroDivisionError):
            self.run(attempt.stack.__aexit__(type(error) if error else None, error, None))

    @rule(number=st.integers(0, 1), age=st.integers(0, 10_000))
    def fail(self, number: int, age: int) -> None:
        producer = made(next(self.tries) - age)
        told = self.run(self.store.fail(TARGETS[number], error="boom", producer=producer))
        if told:
            assert self.run(self.store.state(TARGETS[number])).state is not State.ABSENT

    # What others do.

    @rule(number=st.integers(0, 1))
    def delete(self, number: int) -> None:
        self.run(self.store.delete(TARGETS[number]))
        self.models[number].acknowledged.clear()
        self.models[number].highest = ""
        assert self.run(self.store.history(TARGETS[number])) == []

    @rule()
    def clean_up(self) -> None:
        for target, model in zip(TARGETS, self.models, strict=True):
            for name in self.committed(target)[: -RULES.commits]:
                _, modified = self.storage.objects[f"{target.key}/{name}.ok"]
                if self.clock.time() - modified > RULES.commits_for:
                    model.acknowledged.pop(name, None)
        self.run(gc(self.store, dry_run=False, rules=RULES))

    @rule(seconds=st.sampled_from([0.5, 3600, DAY / 2, 2 * DAY, 8 * DAY]))
    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.writers_clock.now += seconds

    @rule(seconds=st.floats(-3 * DAY, 3 * DAY))
    def jump(self, seconds: float) -> None:
        """Set the writers' clock: nothing may hang on it."""
        self.writers_clock.now = self.clock.now + seconds

    @rule(number=st.integers(0, 1), data=st.binary(max_size=3))
    def a_new_try_always_succeeds(self, number: int, data: bytes) -> None:
        """Whatever was left there; one that nobody knows, by a person's hand."""
        reference = self.run(put(self.store, TARGETS[number], data))
        model = self.models[number]
        assert reference.data > model.highest
        model.bytes_of[reference.data] = data
        model.acknowledged[reference.data] = reference
        model.highest = reference.data
        assert self.read(TARGETS[number]) == data

    # What is always true.

    @invariant()
    def the_newest_name_with_an_ok_is_the_value(self) -> None:
        for target, model in zip(TARGETS, getattr(self, "models", ()), strict=False):
            folder, names = f"{target.key}/", self.committed(target)
            status = self.run(self.store.state(target))
            if not names:
                assert not status.is_committed
                try:
                    self.read(target)
                    raise AssertionError
                except TargetNotFoundError:
                    continue
            expected = model.bytes_of[names[-1]]
            assert names[-1] >= model.highest
            record = json.loads(self.storage.objects[f"{folder}{names[-1]}.ok"][0])
            assert (record["data"], record["size"]) == (names[-1], len(expected))
            assert self.read(target) == expected
            assert self.storage.objects[f"{folder}{names[-1]}"][0] == expected
            if status.state is not State.FAILED:
                assert status.state is (State.COMPLETE if expected else State.EMPTY)

    @invariant()
    def what_was_acknowledged_can_be_read(self) -> None:
        for model in getattr(self, "models", ()):
            for name, reference in model.acknowledged.items():
                assert self.read(reference) == model.bytes_of[name]

    @invariant()
    def whatever_has_an_ok_is_whole(self) -> None:
        for target in TARGETS if hasattr(self, "models") else ():
            for status in self.run(self.store.history(target)):
                assert not isinstance(status.error, TargetCorruptError), status.why


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
