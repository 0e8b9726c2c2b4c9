"""Announce each commit of targets to the DAGs that are scheduled on an asset."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import chain

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from fileflow_async import _compat
from fileflow_async.clock import Clock, SystemClock
from fileflow_async.config import check_poke_interval
from fileflow_async.criteria import Criteria, Policy, check_moment
from fileflow_async.errors import ConfigError, FileflowError, quoted
from fileflow_async.target import Reference
from fileflow_async.target_set import SetKey
from fileflow_async.triggers.arguments import ArgumentsTrigger
from fileflow_async.triggers.collector import collect_rarely
from fileflow_async.triggers.cursor import Cursor
from fileflow_async.triggers.news import News
from fileflow_async.triggers.progress import Progress
from fileflow_async.triggers.stores import Store, Stores, stores_of
from fileflow_async.waiting import Wait
from fileflow_async.watch import Inbox

_CLOCK: Clock = SystemClock()
_RESTART = 60.0  # seconds before it ends by an error: Airflow makes it anew at once, for ever


@dataclass(kw_only=True, eq=False, repr=False)
class FileTargetEventTrigger(ArgumentsTrigger, BaseEventTrigger):
    """Fires an event for each new commit of a target, for ever: the trigger of an `AssetWatcher`.

    Such as::

        trigger = FileTargetEventTrigger(root="s3://lake/ff", targets=["shop/key=latest/extract/output"])
        Asset("orders", watchers=[AssetWatcher(name="orders", trigger=trigger)])

    The event is the reference of the version; the DAG finds it in the asset event, as `extra["payload"]`.

    The first start announces the commit that is there. From then on each commit is announced, in order and
    once, those included that were made while no triggerer ran: which was the last is kept in Airflow's
    database (3.3 or newer; with 3.1 and 3.2 each start of a triggerer announces the commit that is there).

    Should a triggerer die in the seconds between an event and the note of it, the commit is announced again.
    Whoever must not work twice compares `target`, `data` and `sha256` of the reference with what it did last,
    such as the `inputs` in the record of its own output.

    Attributes:
        root: The URI of the store.
        targets: Keys of targets in it; a target elsewhere is given by its whole URI.
        conn_id: The Airflow connection that opens the store, and others of its kind.
        poke_interval: How often, in seconds, a store is asked at least; all who wait in a store share that.
        newer_than: Commits made before this moment, in seconds since 1970, are not announced.
        on_empty: Whether a commit that is empty is announced (`accept`) or not (`wait`).
    """

    root: str
    targets: list[str]
    conn_id: str | None = None
    poke_interval: float = 5.0
    newer_than: float | None = None
    on_empty: Policy = "accept"

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the reference of each new commit."""
        await collect_rarely()
        async with aclosing(self.commits(_CLOCK)) as commits:
            async for reference in commits:
                yield TriggerEvent(reference.to_payload())

    async def commits(self, clock: Clock) -> AsyncGenerator[Reference, None]:
        """Yield each new commit.

        Raises:
            ConfigError: An argument is wrong; a minute late, since the triggerer begins again at once.
            TargetNameError: A target cannot be one; so is this.
        """
        try:
            stores = stores_of(self.root, self.targets, self.conn_id)
            wait = self._checked(stores)
        except FileflowError as error:
            self.log.warning("this trigger can announce nothing: %s", error)
            await clock.sleep(_RESTART)
            raise
        inbox, cursor = Inbox(), Cursor(_compat.asset_states(self))
        news, progress = News(stores, wait, cursor, clock), Progress(wait, self.log, until=None)
        async with Stores(stores, inbox, interval=self.poke_interval, clock=clock) as watched:
            while True:
                progress.tell(inbox.statuses, clock.time())
                for place, reference in await news.of(inbox.statuses):
                    yield reference
                    cursor.announce(place, reference, clock.time())
                await cursor.write(clock.time())
                moments = (cursor.next, news.again)
                watched.wake(min((moment for moment in moments if moment is not None), default=None))
                await inbox.changed()

    def _checked(self, stores: Sequence[Store]) -> Wait:
        """Return what is announced, when no argument is wrong."""
        if self.on_empty not in ("accept", "wait"):
            raise ConfigError(f"on_empty must be one of 'accept', 'wait', got {quoted(self.on_empty)}")
        names = [name for store in stores for name in store.names.values()]
        for key in chain.from_iterable(store.names for store in stores):
            if SetKey.parse(key) is not None:
                raise ConfigError(f"{quoted(key)} is a set of targets; name the one to be announced")
        wait = Wait(targets=names, criteria=Criteria(newer_than=self.newer_than, on_empty=self.on_empty))
        wait.check()
        check_moment(self.newer_than, "newer_than")
        check_poke_interval(self.poke_interval)
        return wait
