"""The feed: an empty object a commit, so that one poll serves every waiter of a store.

It is a hint, never the truth: entries may come late, twice or not at all.
"""

import hashlib
import logging
from datetime import UTC, datetime, timedelta

from fileflow_async.storage.protocol import Storage
from fileflow_async.target import token_at

PREFIX = ".feed/"
_MINUTE = "%Y%m%dT%H%M"
_KEPT = timedelta(hours=1)  # on disk: a scan looks at every minute folder, and 144 of them cost 0.4 ms

log = logging.getLogger(__name__)


def target_hash(key: str) -> str:
    """Return how the feed calls the target of that key."""
    return hashlib.blake2b(key.encode(), digest_size=12).hexdigest()


def hash_in(name: str) -> str:
    """Return which target an entry's name is about."""
    return name.rpartition("-")[2]


def entry_key(key: str, moment: float) -> str:
    """Return the key of the entry that says that the target of `key` changed at that moment."""
    minute = f"{datetime.fromtimestamp(moment, UTC):{_MINUTE}}"
    return f"{PREFIX}{minute}/{token_at(int(moment * 1000))}-{target_hash(key)}"


class Feed:
    """Where a store's commits are announced."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._minute = ""
        self.failures = 0  # announcements lost; each costs its waiters the time until their next re-check

    async def append(self, key: str, moment: float) -> None:
        """Announce that the target of `key` changed, at a moment of the store's clock.

        A failure is logged and counted, never raised: the commit stands.
        """
        try:
            entry = entry_key(key, moment)
            await self._storage.put(entry, b"", durable=False)
            await self._prune(entry)
        except Exception as error:  # whatever it is: the commit stands
            self.failures += 1
            log.warning("%s is committed, but its feed entry could not be written: %s", key, error)

    async def _prune(self, entry: str) -> None:
        """Remove old entries; on S3 `gc` or a lifecycle rule does, as tasks may lack the right to delete."""
        minute = entry.split("/")[1]
        if minute == self._minute or not self._storage.root.startswith("file:"):
            return
        self._minute = minute
        oldest = f"{datetime.strptime(minute, _MINUTE) - _KEPT:{_MINUTE}}"
        folders = await self._storage.list(PREFIX, shallow=True)
        for folder in folders.entries:
            if folder.name < oldest:
                old = await self._storage.list(folder.key)
                await self._storage.delete(each.key for each in old.entries)
