"""What is known of one target that somebody waits for."""

import asyncio
import zlib
from dataclasses import dataclass, field

from fileflow_async.status import Status
from fileflow_async.target import run_of
from fileflow_async.watch.alarms import Alarm
from fileflow_async.watch.inbox import Inbox

TICKS = 120  # moments within ten minutes, at one of which it is rechecked


@dataclass(slots=True, eq=False)
class Watched:
    """A target and those who wait for it.

    Attributes:
        key: Its key.
        inboxes: Who is told, and what they call it.
        status: What was told last.
        looking: Whether a look is under way.
        again: Whether another look was asked for meanwhile: the one under way may have begun too early.
        hinted: How many looks are left to explain a hint.
        rechecked: Whether nothing but the clock asked for the look.
        suspected: Since when it has been seen damaged.
        alarm: When to look again.
        asked: Who waits for the next look to be done.
        answering: Who waits for the look under way to be done.
    """

    key: str
    inboxes: dict[Inbox, str] = field(default_factory=dict)
    status: Status | None = None
    looking: bool = False
    again: bool = False
    hinted: int = 0
    rechecked: bool = False
    suspected: float | None = None
    alarm: Alarm | None = None
    asked: list[asyncio.Future[None]] | None = None
    answering: list[asyncio.Future[None]] | None = None

    @property
    def tick(self) -> int:
        """At which moment it is rechecked: the same for the targets of one run."""
        return zlib.crc32(run_of(self.key).encode()) % TICKS

    def begin(self) -> None:
        """Note that a look begins."""
        self.looking = True
        self.answering, self.asked = self.asked, None

    def end(self) -> bool:
        """Note that a look has ended, well or not; return whether another one is wanted."""
        for looked in self.answering or ():
            if not looked.done():
                looked.set_result(None)
        again, self.again = self.again, False
        self.looking, self.answering = False, None
        return again
