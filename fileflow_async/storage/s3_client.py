"""One S3 client for all who use the same settings in an event loop."""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from fileflow_async.storage import s3_session
from fileflow_async.storage.s3_settings import S3Settings

_clients: WeakKeyDictionary[AbstractEventLoop, dict[S3Settings, "SharedClient"]] = WeakKeyDictionary()


@dataclass(eq=False, slots=True)
class _Connected:
    """An open client; one that was replaced lives on until its last request has ended."""

    client: Any
    closing: AsyncExitStack
    requests: int = 0
    replaced: bool = False

    async def leave(self) -> None:
        if self.replaced and not self.requests:
            # Sockets are closed before the first await in there, so a cancellation cannot keep them.
            await self.closing.aclose()


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a server turned out to understand."""

    conditional: bool
    checksums: bool


@dataclass(eq=False, slots=True)
class SharedClient:
    """A client, those who share it, and what they found out about the server.

    Attributes:
        settings: What it was made from.
        users: How many share it.
        abilities: By bucket.
        probing: Held while somebody finds out the abilities.
    """

    settings: S3Settings
    users: int = 0
    abilities: dict[str, Abilities] = field(default_factory=dict)
    probing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _connected: _Connected | None = None
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        # As many as there are connections: who waits for one here has not begun to run out of time.
        self._slots = asyncio.Semaphore(self.settings.max_connections)

    @asynccontextmanager
    async def borrowed(self) -> AsyncIterator[Any]:
        """Lend the botocore client for one request, once there is a free connection."""
        async with self._slots:
            connected = await self._connection()
            connected.requests += 1
            try:
                yield connected.client
            finally:
                connected.requests -= 1
                await connected.leave()

    async def renew(self, stale: Any) -> None:
        """Replace the client `stale` by one with new credentials, unless somebody did so already."""
        async with self._connecting:
            if (connected := self._connected) is not None and connected.client is stale:
                self._connected = None
                connected.replaced = True
                await connected.leave()

    async def close(self) -> None:
        """Close the client, once nobody shares it."""
        if (connected := self._connected) is not None:
            self._connected = None
            connected.replaced = True
            await connected.leave()

    async def _connection(self) -> _Connected:
        async with self._connecting:  # whoever comes first connects for all; cancelled, the next one does
            if self._connected is None:
                self._connected = await _connect(self.settings)
            return self._connected


async def _connect(settings: S3Settings) -> _Connected:
    closing = AsyncExitStack()
    client = await closing.enter_async_context(s3_session.client(settings))
    return _Connected(client, closing)


@asynccontextmanager
async def shared_client(settings: S3Settings) -> AsyncIterator[SharedClient]:
    """Share this event loop's client of these settings.

    The first request makes it, the last to leave closes it.
    """
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    shared = clients.get(settings)
    if shared is None:
        shared = clients[settings] = SharedClient(settings)
    shared.users += 1
    try:
        yield shared
    finally:
        shared.users -= 1
        if not shared.users:
            del clients[settings]
            await shared.close()
