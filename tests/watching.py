"""A store that does what a test says, and those who wait for its targets."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fileflow_async.errors import FileflowError
from fileflow_async.feed import target_hash
from fileflow_async.manifest import Manifest
from fileflow_async.status import State, Status
from fileflow_async.testing.clock import FakeClock
from fileflow_async.watch import Inbox, Member, Source, Watch

RUN = "shop/20260921T000000Z"
KEY = f"{RUN}/extract/output"
DATA = "20260921T141320000Z-t01-7c9e1f02ab44.csv"


def absent(key: str) -> Status:
    """Return the status of a target that is not there."""
    return Status(key=key, state=State.ABSENT, why="nothing is there")


def complete(key: str, *, data: str = DATA, committed: float = 1_790_000_000.0) -> Status:
    """Return the status of a target that is committed."""
    manifest = Manifest(data=data, size=4, sha256="0" * 64)
    return Status(
        key=key, state=State.COMPLETE, why="committed by try 1", manifest=manifest, committed=committed
    )


def in_state(key: str, state: State, why: str = "so it is") -> Status:
    """Return a status that says no more than its state."""
    return Status(key=key, state=state, why=why)


@dataclass
class FakeSource:
    """A `Source`.

    Attributes:
        truth: What a look shows; targets that are not in it are absent.
        feed: What the next poll brings; None where there is no feed.
        looked: The targets of each look so far.
        polled: How many times hints were asked for.
        opened: How many times it was opened.
        closed: How many times it was closed.
        on_look: Called at each look; what it raises the look raises.
        on_hints: The same for hints.
        on_open: The same for opening.
        on_close: The same for closing.
        held: When set, a look reads the truth at once and answers once the event is set.
    """

    truth: dict[str, Status | FileflowError] = field(default_factory=dict)
    feed: list[str] | None = field(default_factory=list)
    looked: list[list[str]] = field(default_factory=list)
    polled: int = 0
    opened: int = 0
    closed: int = 0
    on_look: Callable[[Collection[str]], object] = lambda keys: None
    on_hints: Callable[[], object] = lambda: None
    on_open: Callable[[], object] = lambda: None
    on_close: Callable[[], object] = lambda: None
    held: asyncio.Event | None = None
    is_prompt: bool = False
    sign: asyncio.Event = field(default_factory=asyncio.Event)
    looking: dict[str, int] = field(default_factory=dict)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Source]:
        self.on_open()
        await asyncio.sleep(0)
        self.opened += 1
        try:
            yield self
        finally:
            await asyncio.sleep(0)
            self.closed += 1
            self.on_close()

    async def look(self, keys: Collection[str]) -> Mapping[str, Status | FileflowError]:
        self.looked.append(list(keys))
        for key in keys:
            self.looking[key] = self.looking.get(key, 0) + 1
            assert self.looking[key] == 1, f"two looks at {key} at the same time"
        try:
            await asyncio.sleep(0)
            self.on_look(keys)
            answers = {key: self.truth.get(key, absent(key)) for key in keys}
            await (self.held.wait() if self.held else asyncio.sleep(0))
            return answers
        finally:
            for key in keys:
                self.looking[key] -= 1

    async def hints(self) -> Collection[str] | None:
        self.polled += 1
        await asyncio.sleep(0)
        self.on_hints()
        if self.feed is None:
            return None
        hashes, self.feed = self.feed, []
        self.sign.clear()
        return hashes

    async def changed(self) -> None:
        await self.sign.wait()

    def put(self, status: Status, *, announced: bool = True, sign: bool = False) -> None:
        """Make a status the truth about its target."""
        self.truth[status.key] = status
        if announced and self.feed is not None:
            self.feed.append(target_hash(status.key))
        if sign:
            self.sign.set()

    @property
    def looks(self) -> list[str]:
        """Every target looked at so far, in order."""
        return [key for keys in self.looked for key in keys]


@dataclass
class Waiter:
    """Somebody who waits for targets until they are told what they want, or are cancelled."""

    told: list[dict[str, Status]] = field(default_factory=list)
    inbox: Inbox = field(default_factory=Inbox)
    member: Member | None = None

    @property
    def share(self) -> Member:
        """The membership of whoever has begun to wait."""
        assert self.member is not None
        return self.member

    @property
    def states(self) -> list[State]:
        """What was told of the only target, each state once in a row."""
        states: list[State] = []
        for statuses in self.told:
            for status in statuses.values():
                if states[-1:] != [status.state]:
                    states.append(status.state)
        return states

    async def wait(
        self,
        source: FakeSource,
        clock: FakeClock,
        *keys: str,
        interval: float = 5.0,
        name: str = "store",
        until: Callable[[Mapping[str, Status]], bool] | None = None,
        **options: object,
    ) -> None:
        """Wait until every target is committed."""
        keys = keys or (KEY,)
        enough = until or (
            lambda statuses: all(key in statuses and statuses[key].is_committed for key in keys)
        )
        join = Watch.join(name, source.open, interval=interval, clock=clock, **options)  # type: ignore[arg-type]
        async with join as self.member:
            self.member.subscribe(dict(zip(keys, keys, strict=True)), self.inbox)
            while not enough(self.inbox.statuses):
                self.told.append(dict(await self.inbox.changed()))


class Waiters:
    """Waiters in tasks, which a test may leave to themselves."""

    def __init__(self, source: FakeSource, clock: FakeClock) -> None:
        self.source = source
        self.clock = clock
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, *keys: str, **options: object) -> Waiter:
        """Let somebody wait."""
        waiter = Waiter()
        wait = waiter.wait(self.source, self.clock, *keys, **options)  # type: ignore[arg-type]
        self.tasks.append(asyncio.create_task(wait))
        return waiter

    @property
    def done(self) -> list[bool]:
        """Who waits no longer."""
        return [task.done() for task in self.tasks]

    async def settle(self) -> None:
        """Let everybody run on, however many they are."""
        for _ in range(10 + len(self.tasks) // 100):
            await self.clock.settle()

    async def stop(self) -> None:
        """Cancel whoever still waits; raise what went wrong for one."""
        for task in self.tasks:
            task.cancel()
        for result in await asyncio.gather(*self.tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


def failing(make: Callable[[], BaseException]) -> Callable[..., None]:
    """Return something that always fails."""

    def fail(*_: object) -> None:
        raise make()

    return fail


def calm(*_: object) -> None:
    """Do nothing."""


class Turns:
    """Counts who is woken in each turn of the loop.

    Attributes:
        woken: How many were, by the turn.
    """

    def __init__(self) -> None:
        self.woken: Counter[int] = Counter()
        self._turn = 0

    def inbox(self) -> Inbox:
        """Return an inbox whose bell is counted."""
        turns = self

        class Noting(Inbox):
            def ring(self) -> bool:
                turns.woken[turns._turn] += 1
                return super().ring()

        return Noting()

    async def take(self, number: int) -> None:
        """Let so many turns pass."""
        for _ in range(number):
            await asyncio.sleep(0)
            self._turn += 1


def the_watch() -> Watch:
    """Return the only watch of this loop."""
    (watch,) = Watch._running[asyncio.get_running_loop()].values()
    return watch


def others() -> set[asyncio.Task[object]]:
    """Return all tasks but the test's own."""
    return asyncio.all_tasks() - {asyncio.current_task()}
