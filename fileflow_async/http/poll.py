"""One look at an endpoint for all who ask it the same."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import ClassVar

from fileflow_async.clock import Clock
from fileflow_async.errors import EndpointUnavailableError, FileflowError
from fileflow_async.http.answer import Answer
from fileflow_async.sharing import Shared

_GAP = 0.5  # seconds between two looks at least, whoever asks
_EARLY = 0.001  # seconds: a clock may wake us a little too soon
_SLICE = 100  # waiters woken between two turns of the loop

log = logging.getLogger(__name__)

Sight = Answer | FileflowError


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen, and when, by the clock's monotonic time."""

    sight: Sight
    moment: float


class Poll:
    """The looks at one endpoint and the waits that they serve; `join` it.

    Args:
        look: Sends the request, once; returns errors of ours, raises others.
        clock: Where the time comes from.

    Attributes:
        looks: How many there were.
    """

    _running: ClassVar[Shared["Poll"]] = Shared()

    def __init__(self, look: Callable[[], Awaitable[Sight]], clock: Clock) -> None:
        self.looks = 0
        self._look = look
        self._clock = clock
        self._waiting: dict[asyncio.Future[Look], float] = {}
        self._asked = asyncio.Event()
        self._next = math.inf
        self._earliest = -math.inf
        self._last: Look | None = None

    @classmethod
    def join(
        cls, key: Hashable, look: Callable[[], Awaitable[Sight]], *, clock: Clock
    ) -> AbstractAsyncContextManager["Poll"]:
        """Share this loop's poll of an endpoint; the last to leave ends it.

        Args:
            key: All that the request depends on.
            look: Sends it; that of the first to join is used.
            clock: Where the time comes from.
        """
        return cls._running.join(key, lambda: cls(look, clock))

    async def look(self, due: float, *, since: float) -> Look:
        """Return the next look: at the moment that is due, or before it, when others are.

        Args:
            due: By the clock's monotonic time.
            since: A look that was later than this will do.
        """
        if self._last is not None and self._last.moment > since:
            return self._last
        seen: asyncio.Future[Look] = asyncio.get_running_loop().create_future()
        self._waiting[seen] = due
        if due < self._next:
            self._asked.set()
        try:
            return await seen
        finally:
            self._waiting.pop(seen, None)

    async def run(self) -> None:
        """Look whenever somebody is to be looked for."""
        while True:
            await self._due()
            await self._tell(await self._see())

    async def _due(self) -> None:
        """Return when somebody is to be looked for."""
        while True:
            self._asked.clear()
            self._next = max(self._earliest, min(self._waiting.values(), default=math.inf))
            left = self._next - self._clock.monotonic()
            if left <= _EARLY:
                return
            with suppress(TimeoutError):
                async with self._clock.timeout(None if math.isinf(left) else left):
                    await self._asked.wait()

    async def _see(self) -> Look | Exception:
        began = self._clock.monotonic()
        try:
            sight = await self._look()
        except Exception as error:  # a mistake of ours: each of those who wait shall fail by it
            log.exception("the look at an endpoint failed")
            self._earliest = self._clock.monotonic() + _GAP
            return error
        finally:
            self.looks += 1
        now = self._clock.monotonic()
        wish = sight.retry_after if isinstance(sight, Answer | EndpointUnavailableError) else None
        self._earliest = now + max(_GAP, now - began, wish or 0.0)
        self._last = Look(sight, now)
        return self._last

    async def _tell(self, what: Look | Exception) -> None:
        for told, seen in enumerate(list(self._waiting), start=1):
            if not seen.done():
                if isinstance(what, Look):
                    seen.set_result(what)
                else:
                    seen.set_exception(what)
            # Those who come from here on have not asked for this look, and `since` says whether it will do.
            self._waiting.pop(seen, None)
            if told % _SLICE == 0:
                await asyncio.sleep(0)
