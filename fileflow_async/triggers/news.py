"""Which commits have not been announced yet."""

import logging
from collections.abc import Mapping, Sequence

from fileflow_async.clock import Clock
from fileflow_async.hooks.store import open_store
from fileflow_async.status import State, Status
from fileflow_async.target import Reference
from fileflow_async.triggers.cursor import Cursor
from fileflow_async.triggers.stores import Store
from fileflow_async.waiting import Wait

_AGAIN = 10.0  # seconds until what went wrong is tried again
_HIDING = frozenset({State.CORRUPT, State.FAILED})  # what does not show the commits before it

log = logging.getLogger(__name__)


class News:
    """Finds the commits behind the last one announced.

    Args:
        stores: Where the targets are.
        wait: Which commits count.
        cursor: What was announced.
        clock: Where the time comes from.

    Attributes:
        again: When to ask again although nothing has changed, in seconds since 1970.
    """

    def __init__(self, stores: Sequence[Store], wait: Wait, cursor: Cursor, clock: Clock) -> None:
        self.again: float | None = None
        self._stores = stores
        self._wait = wait
        self._cursor = cursor
        self._clock = clock
        self._done: dict[str, Status] = {}

    async def of(self, statuses: Mapping[str, Status]) -> Sequence[tuple[str, Reference]]:
        """Return what has not been announced, of each target the oldest first, with its place."""
        found, failed = list[tuple[str, Reference]](), False
        for store in self._stores:
            for key, name in store.names.items():
                if (status := statuses.get(name)) is None or status is self._done.get(name):
                    continue
                try:
                    references = await self._unannounced(store, key, name, status)
                except Exception as error:  # neither an outage of Airflow nor one of the store ends a watch
                    failed = True
                    self._say(name, error)
                else:
                    found += [(f"{store.root}/{key}", reference) for reference in references]
                    self._done[name] = status
        self.again = self._clock.time() + _AGAIN if failed else None
        return found

    def _say(self, name: str, error: Exception) -> None:
        if self.again is None:  # once, not at each attempt
            log.warning("the commits of %s cannot be announced for now: %s", name, error)

    async def _unannounced(self, store: Store, key: str, name: str, status: Status) -> Sequence[Reference]:
        newest = status.reference if self._wait.is_ready(name, status) else None
        if newest is None and status.state not in _HIDING:
            return ()
        last = await self._cursor.last(f"{store.root}/{key}")
        if last is None:  # of what was there before anybody watched, only the value
            return () if newest is None else (newest,)
        if newest is not None and newest.data <= last:
            return ()
        async with open_store(store.root, store.conn_id, clock=self._clock) as opened:
            commits = [each for each in await opened.history(key) if self._wait.is_ready(name, each)]
        found = {each.reference for each in commits} | {newest}
        return sorted(
            (each for each in found if each is not None and each.data > last), key=lambda each: each.data
        )
