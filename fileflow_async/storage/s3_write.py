"""Store objects, each under a name that nobody else has."""

from fileflow_async.errors import StorageUnavailableError, TargetNotFoundError, TargetSupersededError
from fileflow_async.storage.protocol import BINARY, Entry
from fileflow_async.storage.s3_abilities import abilities, checked, encryption, only_new
from fileflow_async.storage.s3_client import Abilities
from fileflow_async.storage.s3_download import Downloader
from fileflow_async.storage.s3_explain import WRITE, ReplacedError
from fileflow_async.storage.s3_place import Place
from fileflow_async.storage.s3_reply import date_of, etag_of
from fileflow_async.storage.s3_requests import Requests


class Writer:
    """Stores small objects of one storage, and tells what became of those whose fate is unknown."""

    def __init__(self, requests: Requests, place: Place, reader: Downloader) -> None:
        self.requests = requests
        self.place = place
        self.reader = reader

    async def put(self, key: str, data: bytes, *, content_type: str = BINARY) -> Entry:
        """Store some bytes; see `Storage.put`.

        When the reply to a first try is lost, the second finds the object there. So does whoever comes too
        late: the bytes tell which.
        """
        name = self.place.key(key)
        can = await self.abilities()
        try:
            await self.keep(key, can)
            answer = await self.requests.call(
                WRITE,
                self.place.uri(key),
                "put_object",
                size=len(data),
                needs="ETag",
                Key=name,
                Body=data,
                ContentType=content_type,
                **encryption(self.requests.shared.settings),
                **await checked(data, can),
                **only_new(can),
            )
        except ReplacedError:
            return await self._same(key, data)
        return Entry(key, len(data), date_of(answer, default=self.requests.clock.time()), etag_of(answer))

    async def abilities(self) -> Abilities:
        """Return what the server understands."""
        return await abilities(self.requests, self.place)

    async def keep(self, key: str, can: Abilities) -> None:
        """Where the server does not do it, look whether something stands there already, as well as that goes.

        Raises:
            ReplacedError: It does.
        """
        if not can.conditional and await self.reader.exists(key):
            raise ReplacedError(f"{self.place.uri(key)!r} exists already")

    def superseded(self, key: str) -> TargetSupersededError:
        """Return what to raise when other bytes stand in the place."""
        return TargetSupersededError(f"{self.place.uri(key)!r} exists already with other bytes")

    async def _same(self, key: str, data: bytes) -> Entry:
        try:
            if await self.reader.read(key) != data:
                raise self.superseded(key)
            return await self.reader.stat(key)
        except TargetNotFoundError:
            raise self.contradicted(key) from None

    def contradicted(self, key: str) -> StorageUnavailableError:
        """Return what to raise when the store says that an object exists, and that it does not."""
        return StorageUnavailableError(
            f"{self.place.uri(key)!r} was refused because it exists, which it does not"
        )
