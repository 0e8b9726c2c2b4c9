"""What a watch asks of an open store."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from fileflow_async.errors import FileflowError
from fileflow_async.feed import PREFIX, hash_in
from fileflow_async.status import Status
from fileflow_async.storage.protocol import Tail
from fileflow_async.store import TargetStore


class Source(Protocol):
    """The truth about targets, and hints where it may have changed.

    Whatever it raises is waited out: errors of ours mean what they say, a timeout or a lost connection is one
    for now, anything else is taken for a fault of the targets that were asked for.
    """

    @property
    def is_prompt(self) -> bool:
        """Whether `changed` returns at every hint; it returns once more when that ends."""
        ...

    async def look(self, keys: Collection[str]) -> Mapping[str, Status | FileflowError]:
        """Return the truth about some targets."""
        ...

    async def hints(self) -> Collection[str] | None:
        """Return the hashes of targets that may have changed; None for all of them."""
        ...

    async def changed(self) -> None:
        """Return when `hints` is likely to have something new; may never return."""
        ...


OpenSource = Callable[[], AbstractAsyncContextManager[Source]]


@asynccontextmanager
async def source_of(store: TargetStore) -> AsyncIterator[Source]:
    """Open what a watch asks of a store: its targets, with its feed where it has one."""
    if store.feed is None:
        yield _Unannounced(store)
        return
    async with store.storage.tail(PREFIX) as tail:
        yield _Announced(store, tail)


class _Announced:
    """A store whose commits are announced."""

    def __init__(self, store: TargetStore, tail: Tail) -> None:
        self.look = store.states
        self.changed = tail.changed
        self._tail = tail

    @property
    def is_prompt(self) -> bool:
        return self._tail.is_prompt

    async def hints(self) -> Collection[str]:
        return {hash_in(name) for name in await self._tail.names()}


class _Unannounced:
    """A store that writes no feed: every target is looked at once an interval."""

    is_prompt = False

    def __init__(self, store: TargetStore) -> None:
        self.look = store.states

    async def hints(self) -> None:
        return None

    async def changed(self) -> None:
        await asyncio.get_running_loop().create_future()
