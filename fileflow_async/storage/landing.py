"""Where what threads have done comes to an event loop."""

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any


class Landing:
    """Hands the results of calls on threads to those who wait for them on one event loop.

    As `asyncio.wrap_future` does, for half the time that it holds the interpreter's lock: the loop is woken
    once for all that lands before it looks, and each wake-up lets go of that lock.

    Args:
        loop: The event loop, for which all methods are.
    """  # ADR 0034

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._landed: deque[tuple[asyncio.Future[Any], Future[Any]]] = deque()
        self._is_told = False

    def waiter(self, call: "Future[Any]") -> "asyncio.Future[Any]":
        """Return what has the outcome of a call once it lands; whoever no longer waits cancels the call."""
        waiter = self.loop.create_future()
        call.add_done_callback(partial(self._land, waiter))
        return waiter

    def _land(self, waiter: "asyncio.Future[Any]", call: "Future[Any]") -> None:
        self._landed.append((waiter, call))
        # Whoever finds it told is in time: the loop forgets that first, and hands over until none is left.
        if not self._is_told:
            self._is_told = True
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self.loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        self._is_told = False
        while self._landed:
            waiter, call = self._landed.popleft()
            if not waiter.done():
                _settle(waiter, call)


def _settle(waiter: "asyncio.Future[Any]", call: "Future[Any]") -> None:
    if call.cancelled():
        waiter.cancel()
    elif (error := call.exception()) is not None:
        waiter.set_exception(error)
    else:
        waiter.set_result(call.result())
