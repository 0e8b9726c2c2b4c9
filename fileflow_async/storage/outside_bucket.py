"""Objects that outsiders put into a bucket."""

import asyncio
import os
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fileflow_async.errors import ConfigError
from fileflow_async.pattern import finished_name
from fileflow_async.storage.crew import crew
from fileflow_async.storage.outside import SAMPLE, Answer, FolderSum, Look, Seen
from fileflow_async.storage.outside_threads import spare_threads
from fileflow_async.storage.protocol import Entry, Listing, Storage
from fileflow_async.storage.search import PLACEHOLDER, Search

T = TypeVar("T")

_PAGE = 1000  # keys that one LIST answers
_MOST = 200_000  # keys in one look: 200 requests


class OutsideBucket:
    """A prefix in a bucket of outsiders, an `Outside`.

    All searches are answered by one LIST of the prefix that they have in common, as long as that takes no
    more requests than a LIST for each of them.

    Args:
        storage: The whole bucket, open.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._crowded = 0  # so many prefixes were listed apart: what they have in common holds too much else

    async def look(self, searches: Collection[Search], then: Callable[[Mapping[Search, Answer]], T]) -> T:
        """List what is needed, then go through it and on with what was found on a thread."""
        shallow = all(search.is_shallow for search in searches)
        wanted = _without_covered({want for search in searches for want in _wanted(search)})
        listings = await self._listings(wanted, shallow=shallow)

        def work() -> T:
            now = min(listing.now for listing in listings)
            entries = {entry.key: entry for listing in listings for entry in listing.entries}
            keys = sorted(key for key in entries if not key.endswith("/"))
            return then({search: _Sifting(search, keys, entries).look(now) for search in searches})

        return await asyncio.wrap_future(spare_threads().submit(work))

    async def _listings(self, wanted: Sequence["_Want"], *, shallow: bool) -> Sequence[Listing]:
        if len(wanted) > 1 and len(wanted) > 2 * self._crowded:
            shared = os.path.commonprefix([want.prefix for want in wanted])  # noqa: RUF071 - keys are no paths
            limit = min(_MOST, _PAGE * len(wanted))
            together = await self._storage.list(shared, limit=limit, shallow=shallow)
            if together.complete:
                return [together]
            self._crowded = len(wanted)
        async with crew() as workers:
            apart = [workers.start(self._list, want, shallow=shallow) for want in wanted]
            return [await job.result() for job in apart]

    async def _list(self, want: "_Want", *, shallow: bool) -> Listing:
        # Of all keys that begin with it, a key itself comes first.
        limit = _PAGE if want.is_key else _MOST
        listing = await self._storage.list(want.prefix, limit=limit, shallow=shallow)
        if listing.complete or want.is_key:
            return listing
        raise ConfigError(
            f"there are more than {_MOST} keys that begin with {self._storage.uri(want.prefix)}",
            hint="Name a longer prefix, in front of the first wildcard.",
        )


@dataclass(frozen=True, slots=True, order=True)
class _Want:
    """What has to be listed: one key, or all that begin so."""

    prefix: str
    is_key: bool = False


class _Sifting:
    """What one search finds among the keys of a listing; it may take long."""

    def __init__(self, search: Search, keys: Sequence[str], entries: Mapping[str, Entry]) -> None:
        self._search = search
        self._keys = keys
        self._entries = entries
        self._temporary: list[str] = []

    def look(self, now: float) -> Look:
        """Return the answer."""
        seen = list(self._folders() if self._search.folders else self._objects())
        return Look(seen=seen, now=now, temporary=self._temporary)

    def _paths(self) -> Iterator[str]:
        """Return the paths that may be meant."""
        prefix = _wanted(self._search)[0].prefix
        for index in range(bisect_left(self._keys, prefix), len(self._keys)):
            if not self._keys[index].startswith(prefix):
                break
            yield self._keys[index].removeprefix(self._search.folder)

    def _objects(self) -> Iterator[Seen]:
        pattern = self._search.pattern
        for path in self._paths():
            folder, slash, name = path.rpartition("/")
            finished = finished_name(name)
            if finished is None:
                if pattern.matches(path):
                    entry = self._entries[f"{self._search.folder}{path}"]
                    yield Seen(
                        path=path,
                        size=entry.size,
                        modified=entry.modified,
                        etag=entry.etag,
                        done=self._done(path),
                    )
            elif len(self._temporary) < SAMPLE and (
                pattern.matches(path) or (finished and pattern.matches(f"{folder}{slash}{finished}"))
            ):
                self._temporary.append(path)

    def _folders(self) -> Iterator[Seen]:
        sums: dict[str, FolderSum] = {}
        for path in self._paths():
            entry = self._entries[f"{self._search.folder}{path}"]
            for folder in self._folders_of(path):
                total = sums.setdefault(folder, FolderSum(self._search))
                total.add(path[len(folder) + 1 :], entry.size, entry.modified, (entry.etag,))
        for folder, total in sums.items():
            yield Seen(
                path=f"{folder}/",
                size=total.size,
                modified=total.modified,
                etag=total.etag,
                done=self._done(folder),
            )

    def _folders_of(self, path: str) -> Iterator[str]:
        """Return those folders on the way to a path that are meant."""
        for slash in re.finditer("/", path):
            folder = path[: slash.start()]
            if finished_name(folder.rpartition("/")[2]) is None and self._search.pattern.matches(folder):
                yield folder

    def _done(self, path: str) -> float | None:
        done = self._search.done_path(path)
        entry = None if done is None else self._entries.get(f"{self._search.folder}{done}")
        return None if entry is None else entry.modified


def _wanted(search: Search) -> Sequence[_Want]:
    """Return what a search needs: first what it means itself, then its done files."""
    folder, single = search.folder, search.pattern.single
    if single is not None:
        itself = _Want(f"{folder}{single}/") if search.folders else _Want(f"{folder}{single}", is_key=True)
        done = search.done_path(single)
        return [itself] if done is None else [itself, _Want(f"{folder}{done}", is_key=True)]
    head = re.split(r"[*?\[]", search.pattern.parts[0].text, maxsplit=1)[0]
    wanted = [_Want(f"{folder}{head}")]
    if search.done_file is not None and len(search.pattern.parts) == 1:
        before, *placeholder = PLACEHOLDER.split(search.done_file, maxsplit=1)
        if placeholder:  # a name's stem begins with what its own beginning has in front of a dot
            wanted.append(_Want(f"{folder}{before}{head.partition('.')[0]}"))
        elif not search.folders:
            wanted.append(_Want(f"{folder}{before}", is_key=True))
    return wanted


def _without_covered(wanted: Collection[_Want]) -> Sequence[_Want]:
    """Return what is left when all is left out that begins with what is listed anyway."""
    kept: list[_Want] = []
    listed = None
    for want in sorted(wanted):
        if listed is None or not want.prefix.startswith(listed):
            kept.append(want)
            listed = listed if want.is_key else want.prefix
    return kept
