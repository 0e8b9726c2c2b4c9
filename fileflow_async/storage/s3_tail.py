"""Follow new names below a prefix of a bucket by one LIST a call."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from fileflow_async.errors import StorageUnavailableError
from fileflow_async.storage.retry import BRIEF
from fileflow_async.storage.s3_listing import Found, Lister
from fileflow_async.storage.s3_place import Place
from fileflow_async.storage.s3_requests import Requests
from fileflow_async.target import token_at

NEAR = 15.0  # seconds that a name may be late: it is made before it is stored, by another clock
FAR = 120.0  # looked back once a minute, for those that are later
_FAR_EVERY = 60.0
PAGES = 50

log = logging.getLogger(__name__)


class S3Tail:
    """The names of the last moments, by the store's clock.

    Where a LIST begins is told by the `Date` of the one before, and never by the newest name: a single writer
    whose clock is fast would hide everybody else. So names are listed again and again while they are near,
    and those that were seen are remembered as long.
    """

    is_prompt = False

    def __init__(self, requests: Requests, place: Place, prefix: str) -> None:
        self._lister = Lister(requests.with_budget(BRIEF), place)  # whoever follows asks again by itself
        self._uri = place.uri(prefix)
        self._prefix = prefix
        self._date: float | None = None  # the store's, when it began to answer the last LIST
        self._far_date = float("-inf")
        self._seen: set[str] = set()
        self._fresh: list[str] = []  # seen, but not returned yet
        self._rest: tuple[str, float] | None = None  # where a LIST of too many pages was left, and its date

    async def names(self) -> Sequence[str]:
        """Return the names that appeared since the last call.

        Raises:
            StorageUnavailableError: The store does not answer; or there are more than 50 pages, and the
                caller is blind until further calls have come to their end. All is returned then.
        """
        if self._date is None:  # by our own clock, an hour fast, we would see nothing
            self._date = (await self._lister.page(self._prefix, size=1)).now
        far = self._date - self._far_date >= _FAR_EVERY
        after, began = self._rest or (self._start(self._date, far=far), None)
        for _ in range(PAGES):
            found = await self._lister.page(self._prefix, after=after)
            began = found.now if began is None else began
            self._note(found)
            if not found.more:
                self._far_date = self._date if far else self._far_date
                self._date, self._rest = began, None
                names, self._fresh = self._fresh, []
                return names
            after = found.last
        self._rest = (after, began or self._date)
        log.warning("there are more than %d pages of new names below %s", PAGES, self._uri)
        raise StorageUnavailableError(
            f"{self._uri} has more than {PAGES} pages of new names; not all were read"
        )

    def _start(self, date: float, *, far: bool) -> str:
        start = _key_at(date - (FAR if far else NEAR))
        if far:  # what lies before it is never listed again
            self._seen = {key for key in self._seen if key > start}
        return f"{self._prefix}{start}"

    def _note(self, found: Found) -> None:
        if not found.ordered:
            raise self._lister.unordered()
        for entry in found.entries:
            key = entry.key[len(self._prefix) :]
            if key not in self._seen:
                self._seen.add(key)
                self._fresh.append(entry.name)

    async def changed(self) -> None:
        """Never return: S3 does not call back."""
        await asyncio.get_running_loop().create_future()


def _key_at(moment: float) -> str:
    minute = f"{datetime.fromtimestamp(moment, UTC):%Y%m%dT%H%M}"
    return f"{minute}/{token_at(int(moment * 1000))}"
