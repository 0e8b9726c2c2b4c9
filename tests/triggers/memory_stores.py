"""Stores in memory in the place of those that a trigger opens, on the test's clock."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from fileflow_async.clock import Clock
from fileflow_async.outcome import WaitEvent
from fileflow_async.store import TargetStore
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from fileflow_async.triggers import FileTargetTrigger, news, stores

ROOT = "s3://lake/ff"


class Stores:
    """What `open_store` opens.

    Attributes:
        storages: By root; one that nobody has asked for is empty.
        opened: How many times each was opened, by root and connection.
        open: How many are open.
        fault: When set, it is raised by opening.
        impatient: How the last one was opened.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.storages: dict[str, MemoryStorage] = {}
        self.opened: Counter[tuple[str, str | None]] = Counter()
        self.open = 0
        self.fault: Exception | None = None
        self.impatient: bool | None = None

    def __getitem__(self, root: str) -> TargetStore:
        """Return the store of a root."""
        return TargetStore(self.storage(root), clock=self.clock)

    def storage(self, root: str = ROOT) -> MemoryStorage:
        """Return what the store of a root stands on."""
        if root not in self.storages:
            storage = self.storages[root] = MemoryStorage(clock=self.clock)
            storage.root = root
        return self.storages[root]

    @asynccontextmanager
    async def open_store(
        self, root: str, conn_id: str | None = None, *, impatient: bool = False, clock: Clock | None = None
    ) -> AsyncIterator[TargetStore]:
        await asyncio.sleep(0)
        self.impatient = impatient
        if self.fault is not None:
            raise self.fault
        self.opened[root, conn_id] += 1
        self.open += 1
        try:
            yield self[root]
        finally:
            self.open -= 1


@contextmanager
def replaced(clock: FakeClock) -> Iterator[Stores]:
    """Replace what the triggers open."""
    fake = Stores(clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "open_store", fake.open_store)
        patch.setattr(news, "open_store", fake.open_store)
        yield fake


class Waiting:
    """A trigger that waits, in a task."""

    def __init__(self, trigger: FileTargetTrigger, clock: FakeClock) -> None:
        self.trigger = trigger
        self.task = asyncio.create_task(trigger.wait(clock))

    @property
    def event(self) -> WaitEvent | None:
        """How the wait has ended; None while it goes on."""
        return self.task.result() if self.task.done() else None

    @property
    def outcome(self) -> str | None:
        """The same in a word."""
        return str(self.event.outcome) if self.event is not None else None


def waiting(clock: FakeClock, *targets: str, **arguments: Any) -> Waiting:
    """Let a trigger wait for targets."""
    return Waiting(FileTargetTrigger(**{"root": ROOT, "targets": list(targets), **arguments}), clock)


def why(event: WaitEvent | None) -> Mapping[str, str]:
    """Return why each target is missing."""
    assert event is not None
    return {each.target: each.why for each in event.missing}
