"""What one waiter has been told."""

import asyncio
from collections.abc import Mapping

from fileflow_async.errors import StorageUnavailableError
from fileflow_async.status import State, Status


class Inbox:
    """The latest status of each target of one waiter, from any number of watches.

    One task at a time waits for it. (An `asyncio.Event` would be 700 bytes more, for each of 10,000 waiters.)

    Attributes:
        statuses: By what the waiter calls the target.
    """

    __slots__ = ("_reader", "_rung", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[str, Status] = {}
        self._rung = False
        self._reader: asyncio.Future[None] | None = None

    def put(self, name: str, status: Status) -> bool:
        """Note a status; wakes the waiter when it is news, and returns whether it had to be woken."""
        before = self.statuses.get(name)
        self.statuses[name] = status
        return (before is None or not _says_the_same(before, status)) and self.ring()

    def ring(self) -> bool:
        """Wake the waiter, for something else than news; return whether it had to be woken."""
        was_rung, self._rung = self._rung, True
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
        return not was_rung

    async def changed(self) -> Mapping[str, Status]:
        """Return all statuses, once there was news or a ring since the last call."""
        if not self._rung:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        self._rung = False
        return self.statuses


def _says_the_same(before: Status, after: Status) -> bool:
    if State.UNREADABLE not in (before.state, after.state):
        return before == after
    # A refusal is news each time that it is seen: whoever waits counts them. An outage is not: it would wake
    # every waiter of the store at each attempt to reach it.
    transient = isinstance(after.error, StorageUnavailableError)
    return transient and (before.state, before.why) == (after.state, after.why)
