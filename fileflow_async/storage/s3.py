"""Objects in a bucket of S3, or of a server that speaks it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from fileflow_async.clock import Clock, SystemClock
from fileflow_async.errors import FileflowError
from fileflow_async.storage.crew import crew
from fileflow_async.storage.protocol import BINARY, Entry, Listing, Sink, Tail
from fileflow_async.storage.retry import PATIENT, Budget
from fileflow_async.storage.s3_client import shared_client
from fileflow_async.storage.s3_delete import delete
from fileflow_async.storage.s3_download import Downloader
from fileflow_async.storage.s3_leap import list_each
from fileflow_async.storage.s3_listing import Lister
from fileflow_async.storage.s3_place import Place
from fileflow_async.storage.s3_requests import Requests
from fileflow_async.storage.s3_settings import S3Settings
from fileflow_async.storage.s3_tail import S3Tail
from fileflow_async.storage.s3_upload import upload
from fileflow_async.storage.s3_uploads import abort, uploads
from fileflow_async.storage.s3_write import Writer

__all__ = ["S3Settings", "S3Storage"]


class S3Storage:
    """A `Storage` in a bucket, while its `async with` block lasts.

    Args:
        bucket: Its name.
        prefix: What all keys lie below in it; empty for the bucket's root.
        settings: How to reach it; storages with equal settings share one client in an event loop.
        clock: What pauses and deadlines go by; the times of objects are the store's own.
        budget: How long faults that may pass are waited out.

    Raises:
        ConfigError: Bucket or prefix cannot be one.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        settings: S3Settings | None = None,
        *,
        clock: Clock | None = None,
        budget: Budget = PATIENT,
    ) -> None:
        self._place = Place(bucket, prefix)
        self._settings = settings or S3Settings()
        self._clock = clock or SystemClock()
        self._budget = budget
        self._closing = AsyncExitStack()
        self._tools: _Tools | None = None

    async def __aenter__(self) -> Self:
        shared = await self._closing.enter_async_context(shared_client(self._settings))
        requests = Requests(self._place.bucket, shared, clock=self._clock, budget=self._budget)
        self._tools = _Tools.of(requests, self._place)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tools = None
        await self._closing.aclose()

    @property
    def _open(self) -> "_Tools":
        if self._tools is None:
            raise RuntimeError(f"{self.root} is not open: use it within `async with`")
        return self._tools

    @property
    def root(self) -> str:
        return self._place.root

    def uri(self, key: str) -> str:
        return self._place.uri(key)

    async def put(self, key: str, data: bytes, *, content_type: str = BINARY, durable: bool = True) -> Entry:
        return await self._open.writer.put(key, data, content_type=content_type)

    def create(self, key: str, *, content_type: str = BINARY) -> AbstractAsyncContextManager[Sink]:
        """Open a new key for writing a stream; see `Storage.create`.

        Up to 16 MiB leave as one PUT when the block ends, more as a multipart upload: parts of 8 MiB, four
        under way, 48 MiB of memory in all. Parts grow behind the first 8 GiB, and the memory with them.
        """
        return upload(self._open.writer, key, content_type=content_type)

    async def read(self, key: str) -> bytes:
        return await self._open.reader.read(key)

    async def read_each(self, keys: Sequence[str]) -> Mapping[str, bytes | FileflowError]:
        async with crew() as workers:
            jobs = {key: workers.start(_or_error, self.read, key) for key in keys}
            return {key: await job.result() for key, job in jobs.items()}

    async def read_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes:
        return await self._open.reader.read_range(key, start, length, etag=etag)

    def stream(
        self, key: str, *, etag: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open an object for reading it in pieces; see `Storage.stream`.

        Pieces of 8 MiB; four are under way, so that there are 48 MiB of memory in all.
        """
        return self._open.reader.stream(key, etag=etag)

    async def stat(self, key: str) -> Entry:
        return await self._open.reader.stat(key)

    async def list(
        self, prefix: str = "", *, start_after: str = "", limit: int | None = None, shallow: bool = False
    ) -> Listing:
        return await self._open.lister.list(prefix, start_after=start_after, limit=limit, shallow=shallow)

    async def list_each(self, folders: Sequence[str]) -> Mapping[str, Listing | FileflowError]:
        return await list_each(self._open.lister, folders)

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; see `Storage.delete`.

        By batches, commit records before everything else; the order within a batch is the store's.
        """
        await delete(self._open.requests, self._place, keys)

    async def abandon(self, *, before: float, prefix: str = "", dry_run: bool = True) -> Sequence[str]:
        requests, base = self._open.requests, self._place.base
        found = await uploads(requests, self._place, f"{base}{prefix}")
        old = [each for each in found if each.begun < before]
        if not dry_run:
            for each in old:
                await abort(requests, self.uri(each.name[len(base) :]), each.name, each.id)
        return [each.name[len(base) :] for each in old]

    @asynccontextmanager
    async def tail(self, prefix: str) -> AsyncIterator[Tail]:
        yield S3Tail(self._open.requests, self._place, prefix)


@dataclass(frozen=True, slots=True)
class _Tools:
    """What an open storage works with."""

    requests: Requests
    lister: Lister
    reader: Downloader
    writer: Writer

    @classmethod
    def of(cls, requests: Requests, place: Place) -> Self:
        reader = Downloader(requests, place)
        return cls(requests, Lister(requests, place), reader, Writer(requests, place, reader))


async def _or_error(read: Callable[[str], Awaitable[bytes]], key: str) -> bytes | FileflowError:
    try:
        return await read(key)
    except FileflowError as error:
        return error
