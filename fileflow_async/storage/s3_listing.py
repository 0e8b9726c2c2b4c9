"""List the keys below a prefix of a bucket."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from fileflow_async.errors import ConfigError
from fileflow_async.storage.protocol import Entry, Listing
from fileflow_async.storage.s3_explain import LIST
from fileflow_async.storage.s3_page import Page
from fileflow_async.storage.s3_place import PROBE, Place
from fileflow_async.storage.s3_reply import date_of
from fileflow_async.storage.s3_requests import Requests

PAGE = 1000  # keys: S3's own limit
# Put behind a folder's "/", it is behind every key of the folder: no key has this character. ("0", which
# follows "/", would not do: StartAfter leaves out the very key that it names.)
BEHIND = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Found:
    """One answer to a LIST.

    Attributes:
        entries: What is there, by keys of the storage.
        last: The last key that was looked at, also one that is none of ours.
        more: Whether there is more behind it.
        token: What brings the next page.
        ordered: Whether the entries came in their order.
        now: The store's clock.
    """

    entries: list[Entry]
    last: str
    more: bool
    token: str | None
    ordered: bool
    now: float


class Lister:
    """Asks for the keys of one storage."""

    def __init__(self, requests: Requests, place: Place) -> None:
        self._requests = requests
        self._place = place

    async def page(
        self,
        prefix: str = "",
        *,
        after: str = "",
        token: str | None = None,
        size: int = PAGE,
        shallow: bool = False,
    ) -> Found:
        """Return the next keys of a prefix: at most `size` behind `after`, or where the token says."""
        where: dict[str, Any] = {"StartAfter": self._place.base + after} if after else {}
        if token:
            where = {"ContinuationToken": token}
        if shallow:
            where["Delimiter"] = "/"
        answer = await self._requests.call(
            LIST,
            self._place.uri(prefix),
            "list_objects_v2",
            needs="Page",
            Prefix=self._place.base + prefix,
            MaxKeys=min(size, PAGE),
            EncodingType="url",
            **where,
        )
        return self._found(answer, prefix)

    def _found(self, answer: dict[str, Any], prefix: str) -> Found:
        page: Page = answer["Page"]
        cut = len(self._place.base)
        entries = [
            Entry(entry.key[cut:], entry.size, entry.modified, entry.etag)
            for entry in page.entries
            if _is_ours(entry, cut)
        ]
        return Found(
            entries=entries,
            last=page.entries[-1].key[cut:] if page.entries else "",
            more=page.more,
            token=page.token,
            ordered=page.ordered,
            now=date_of(answer, default=self._requests.clock.time()),
        )

    async def list(
        self, prefix: str = "", *, start_after: str = "", limit: int | None = None, shallow: bool = False
    ) -> Listing:
        """Return the objects of a prefix; see `Storage.list`."""
        if not _is_text(prefix):
            return Listing((), self._requests.clock.time())
        entries: list[Entry] = []
        after, token = behind(prefix, start_after) if shallow else start_after, None
        while True:
            size = PAGE if limit is None else max(1, limit - len(entries))
            found = await self.page(prefix, after=after, token=token, size=size, shallow=shallow)
            entries += [entry for entry in found.entries if entry.key > start_after]
            if not found.ordered:
                if limit is not None or start_after:
                    raise self.unordered()
                entries.sort(key=attrgetter("key"))
            if not found.more or (limit is not None and len(entries) >= limit):
                complete = not found.more and (limit is None or len(entries) <= limit)
                return Listing(tuple(entries[:limit]), found.now, complete)
            after, token = found.last, found.token
            if shallow and not token:
                after = behind(prefix, after)

    def unordered(self) -> ConfigError:
        """Return what to raise where the order is needed, and is not there."""
        return ConfigError(
            f"{self._place.root} lists its keys out of order, so that parts of a listing cannot be had",
            hint="S3 Express does so. Use another bucket, or switch the feed off.",
        )


def _is_text(prefix: str) -> bool:
    return prefix == prefix.encode(errors="ignore").decode()


def _is_ours(entry: Entry, cut: int) -> bool:
    """Leave out the probe, and the empty objects that consoles make for folders."""
    key = entry.key[cut:]
    return key not in ("", PROBE) and (
        not key.endswith("/") or (entry.modified == 0.0 and entry.etag is None)
    )


def behind(prefix: str, key: str) -> str:
    """Return a key behind all that a shallow listing shows up to `key`."""
    head, slash, _ = key.removeprefix(prefix).partition("/")
    return f"{prefix}{head}/{BEHIND}" if slash and key.startswith(prefix) else key
