"""A storage in a folder of this machine, or of a share that it has mounted."""

import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from logging import getLogger
from typing import Literal, Self

import aiofiles

from fileflow_async.errors import ConfigError, FileflowError, quoted
from fileflow_async.storage import local_files
from fileflow_async.storage.local_errors import translated
from fileflow_async.storage.local_hidden import HiddenFile
from fileflow_async.storage.local_root import Root
from fileflow_async.storage.local_scan import Scan, list_each
from fileflow_async.storage.local_stream import LocalSink, Pieces
from fileflow_async.storage.local_tail import LocalTail
from fileflow_async.storage.local_threads import Pulse, Threads
from fileflow_async.storage.protocol import BINARY, PIECE, Entry, Listing, Sink, Tail, check_key
from fileflow_async.storage.resolve import LocalRoot

log = getLogger(__name__)


class LocalStorage:
    """A `Storage` in a folder.

    Links, FIFOs, sockets and devices below the root are refused, never followed or opened; the root itself
    may be reached through links, which are followed once, when the storage is opened. Ages are counted by
    this machine's clock: a share's server should have the same time.

    Args:
        root_directory: The folder, by its absolute path.
        durability: `fsync`, so that what is stored survives a loss of power; `none` where that is no matter.
        threads: How many calls may be at the disk at once.
        timeout: How many seconds a look may take without a sign of life before the disk is taken to hang.
            Writes, and reads of more than 8 MiB, take as long as they do.
        create: Make the folder where it is missing.

    Raises:
        ConfigError: The path is not absolute, or the durability unknown; on entering, it is no folder.
        StorageUnavailableError: On entering, the folder does not exist, or the disk does not answer.
        TargetAccessError: On entering, the folder may not be opened.
    """

    def __init__(
        self,
        root_directory: str | os.PathLike[str],
        *,
        durability: Literal["fsync", "none"] = "fsync",
        threads: int = 8,
        timeout: float = 30.0,
        create: bool = False,
    ) -> None:
        directory = os.fspath(root_directory)
        if not os.path.isabs(directory):
            raise ConfigError(f"root {quoted(directory)} must be absolute")
        if durability not in ("fsync", "none"):
            raise ConfigError(f"durability must be 'fsync' or 'none', got {quoted(durability)}")
        self._root = Root(directory.rstrip("/") or "/")
        self._uri = str(LocalRoot(self._root.directory))
        self._durable = durability == "fsync"
        self._create = create
        self._threads = Threads(f"root {self._root.directory!r}", threads, timeout, self._root.probe)

    async def __aenter__(self) -> Self:
        try:
            await self._threads.look(self._open)
        except BaseException:
            self._threads.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._threads.close()

    @property
    def root(self) -> str:
        """The URI of the folder."""
        return self._uri

    def uri(self, key: str) -> str:
        return f"{self._uri}/{key}"

    async def put(self, key: str, data: bytes, *, content_type: str = BINARY, durable: bool = True) -> Entry:
        """Store `data` under a new key; when cancelled, it is there whole or not at all."""
        hidden = self._hidden(key, durable=durable)
        whole = bytes(data)  # a copy only of what may change while the thread has it
        try:
            return await self._threads.run(partial(hidden.put, whole))
        except BaseException:
            hidden.abandon()
            raise

    @asynccontextmanager
    async def create(self, key: str, *, content_type: str = BINARY) -> AsyncIterator[Sink]:
        """Open a new key for writing a stream."""
        hidden = self._hidden(key)
        lane = self._threads.lane()
        try:
            await self._threads.result(lane.submit(hidden.open))
            sink = LocalSink(lane, hidden)
            yield sink
            publish = partial(hidden.publish, await sink.rest())
            sink.finish(await self._threads.result(lane.end(publish)))
        except Exception:
            await self._threads.result(lane.end(hidden.discard))
            raise
        except BaseException:
            hidden.abandon()
            lane.end(hidden.discard)  # not awaited: a cancelled task ends now, whatever the disk does
            raise

    async def read(self, key: str) -> bytes:
        look = partial(local_files.read_small, self._root, check_key(key), limit=PIECE)
        lane = self._threads.lane()
        try:
            found = await self._threads.look(look, executor=lane)
            if isinstance(found, bytes):
                return found
            rest = partial(local_files.read_rest, self._root, key, found)
            return await self._threads.result(lane.submit(rest))
        finally:
            lane.close()

    async def read_each(self, keys: Sequence[str]) -> Mapping[str, bytes | FileflowError]:
        pulse = Pulse()
        look = partial(local_files.read_each, self._root, tuple(keys), pulse)
        return await self._threads.look(look, pulse=pulse)

    async def read_range(self, key: str, start: int, length: int, *, etag: str | None = None) -> bytes:
        work = partial(local_files.read_range, self._root, check_key(key), start, length)
        return await (self._threads.look(work) if length <= PIECE else self._threads.run(work))

    @asynccontextmanager
    async def stream(self, key: str, *, etag: str | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open an object for reading it in pieces."""
        path = f"{self._root.directory}/{check_key(key)}"
        lane = self._threads.lane()

        def opener(_path: str, _flags: int) -> int:
            with translated(self._root.directory, key, "read"):
                return self._root.open_file(key)

        try:
            async with self._threads.in_time():
                file = await aiofiles.open(path, "rb", buffering=0, opener=opener, executor=lane)
            yield Pieces(file, self._root.directory, key)
        finally:
            lane.close()

    async def stat(self, key: str) -> Entry:
        return await self._threads.look(partial(local_files.stat_one, self._root, check_key(key)))

    async def list(
        self, prefix: str = "", *, start_after: str = "", limit: int | None = None, shallow: bool = False
    ) -> Listing:
        pulse = Pulse()
        scan = Scan(self._root, prefix, start_after=start_after, shallow=shallow, pulse=pulse)
        return await self._threads.look(partial(scan.listing, limit), pulse=pulse)

    async def list_each(self, folders: Sequence[str]) -> Mapping[str, Listing | FileflowError]:
        pulse = Pulse()
        return await self._threads.look(partial(list_each, self._root, tuple(folders), pulse), pulse=pulse)

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, and the folders that become empty by it; when cancelled, soon no more of them."""
        checked = [check_key(key) for key in keys]
        wanted = True
        try:
            await self._threads.run(partial(local_files.remove, self._root, checked, lambda: wanted))
        finally:
            wanted = False

    async def abandon(self, *, before: float, prefix: str = "", dry_run: bool = True) -> Sequence[str]:
        """Return nothing: `list` shows whatever a writer has left behind."""
        return ()

    @asynccontextmanager
    async def tail(self, prefix: str) -> AsyncIterator[Tail]:
        """Follow the keys that appear below a prefix."""
        tail = LocalTail(self._root, check_key(prefix.removesuffix("/")), self._threads)
        try:
            yield tail
        finally:
            tail.close()

    def _open(self) -> None:
        if self._create:
            self._root.make_root(durable=self._durable)
        self._root.resolve()
        if not self._durable:
            log.info("durability is none: a loss of power may take what is in %s", self._root.directory)

    def _hidden(self, key: str, *, durable: bool = True) -> HiddenFile:
        return HiddenFile(self._root, check_key(key), durable=durable and self._durable)
