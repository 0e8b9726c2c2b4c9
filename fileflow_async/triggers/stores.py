"""The stores in which a trigger's targets are, watched together."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Self

from fileflow_async import _compat
from fileflow_async.clock import Clock
from fileflow_async.errors import ConfigError, quoted
from fileflow_async.hooks.store import open_store
from fileflow_async.storage.resolve import Root, parse_root, target_of_uri
from fileflow_async.target_set import SetKey, check_place, folder_of, name_of
from fileflow_async.watch import Inbox, Member, Source, Watch, closed, source_of


@dataclass(frozen=True, slots=True)
class Store:
    """A store, with what the trigger wants of it.

    Attributes:
        root: Its URI.
        conn_id: The Airflow connection that opens it.
        names: What the trigger calls the target of each key.
    """

    root: str
    conn_id: str | None
    names: Mapping[str, str]


def stores_of(root: object, targets: object, conn_id: object) -> Sequence[Store]:
    """Return the stores that a trigger's arguments name; a target that is named twice counts once.

    The connection opens those of the same kind as the root: one for S3 cannot open a folder.

    Raises:
        ConfigError: An argument is wrong.
        TargetNameError: A target cannot be one.
    """
    if not isinstance(root, str):
        raise ConfigError(f"root must be a string, got {quoted(root)}")
    if not isinstance(targets, list | tuple):
        raise ConfigError(f"targets must be a list of keys or URIs, got {quoted(targets)}")
    if conn_id is not None and not isinstance(conn_id, str):
        raise ConfigError(f"conn_id must be a string, got {quoted(conn_id)}")
    home = parse_root(root)
    names: dict[Root, dict[str, str]] = {}
    for target in targets:
        where, key = _place(target, home)
        names.setdefault(where, {}).setdefault(key, target)
    return tuple(
        Store(str(where), conn_id if type(where) is type(home) else None, names[where]) for where in names
    )


def _place(target: object, home: Root) -> tuple[Root, str]:
    if isinstance(target, str) and ("://" in target or target.startswith("/")):
        return _place_of_uri(target)
    return home, check_place(target)


def _place_of_uri(uri: str) -> tuple[Root, str]:
    if (asked := SetKey.parse(uri)) is None:
        root, key = target_of_uri(uri)
        return parse_root(root), key
    # The folder of a set is found as that of any of its targets is.
    root, key = target_of_uri(f"{asked.folder}/output")
    return parse_root(root), f"{folder_of(key)}/{name_of(uri)}"


class Stores:
    """One waiter's shares in the watches of its stores, within an `async with`.

    Args:
        stores: Where its targets are.
        inbox: Who is told of them.
        interval: How often, in seconds, each store is to be polled at least.
        clock: Where the time comes from.
    """

    __slots__ = ("_clock", "_inbox", "_interval", "_shares", "_stores", "_wake")

    def __init__(self, stores: Sequence[Store], inbox: Inbox, *, interval: float, clock: Clock) -> None:
        self._stores = stores
        self._inbox = inbox
        self._interval = interval
        self._clock = clock
        self._wake: float | None = None
        self._shares: tuple[Member, ...] = ()

    async def __aenter__(self) -> Self:
        for store in self._stores:
            member = Watch.join(
                (store.root, store.conn_id),
                partial(_opened, store, self._clock),
                interval=self._interval,
                clock=self._clock,
                count=_count,
            )
            (await member.__aenter__()).subscribe(store.names, self._inbox)
            self._shares += (member,)
        return self

    async def __aexit__(self, *_: object) -> None:
        # All are left before the first is waited for: who is cancelled meanwhile leaves none behind.
        await closed([share.leave() for share in self._shares], self._clock)

    async def refresh(self, names: Collection[str]) -> None:
        """Look at targets, by their names, and return when it has been done."""
        async with asyncio.TaskGroup() as tasks:
            for store, share in zip(self._stores, self._shares, strict=True):
                keys = [key for key, name in store.names.items() if name in names]
                tasks.create_task(share.refresh(keys))

    def wake(self, at: float | None) -> None:
        """Ring the inbox at a moment, in seconds since 1970, instead of the one said before."""
        if at != self._wake:
            self._shares[0].wake(self._inbox, at)
            self._wake = at

    def want(self, interval: float) -> None:
        """Poll at least that often from now on, instead of as said before."""
        for share in self._shares:
            share.want(interval)


@asynccontextmanager
async def _opened(store: Store, clock: Clock) -> AsyncIterator[Source]:
    opening = open_store(store.root, store.conn_id, impatient=True, clock=clock)  # the watch asks again
    async with opening as opened, source_of(opened) as source:
        yield source


def _count(what: str, number: int) -> None:
    _compat.count(f"fileflow.{what}", number)
