"""One session for all who use the same settings in an event loop."""

import asyncio
import ssl
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import aiohttp
from asgiref.sync import sync_to_async

from fileflow_async.errors import ConfigError, FileflowError
from fileflow_async.http.auth import Identity, identity_of
from fileflow_async.http.settings import HttpSettings

_CONNECTIONS = 20  # to a server at a time: further requests wait for one of them

_sessions: WeakKeyDictionary[AbstractEventLoop, dict[HttpSettings, "_Shared"]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Session:
    """An open session, and who we are in it.

    Attributes:
        client: aiohttp's.
        identity: What is sent to our own origin only.
        tls: What is expected of the server's certificate, as aiohttp takes it.
    """

    client: aiohttp.ClientSession
    identity: Identity
    tls: ssl.SSLContext | bool


@dataclass(eq=False, slots=True)
class _Shared:
    users: int = 0
    session: Session | None = None
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


@asynccontextmanager
async def shared_session(settings: HttpSettings) -> AsyncIterator[Session]:
    """Share this event loop's session of these settings; the last to leave closes it.

    Raises:
        ConfigError: A certificate cannot be read, or nobody knows how to say who we are.
    """
    sessions = _sessions.setdefault(asyncio.get_running_loop(), {})
    if (shared := sessions.get(settings)) is None:
        shared = sessions[settings] = _Shared()
    shared.users += 1
    try:
        async with shared.opening:  # whoever comes first opens it for all; cancelled, the next one does
            if shared.session is None:
                shared.session = await _open(settings)
        yield shared.session
    finally:
        shared.users -= 1
        if not shared.users:
            del sessions[settings]
            if shared.session is not None:
                # Its sockets are closed before the first await in there: a cancellation cannot keep them.
                await shared.session.client.close()


async def _open(settings: HttpSettings) -> Session:
    # In a thread: code is imported and files of certificates are read.
    identity, tls = await sync_to_async(_prepared, thread_sensitive=False)(settings)
    client = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit_per_host=_CONNECTIONS),
        auto_decompress=False,  # a body of 400 kB could become one of 400 MB: see `body`
        cookie_jar=aiohttp.DummyCookieJar(),  # what one task is given another must not send
        skip_auto_headers=("Content-Type",),
        trust_env=False,
    )
    # It would send a request again whose connection is closed without an answer, and a look is one request.
    client._retry_connection = False
    return Session(client, identity, tls)


def _prepared(settings: HttpSettings) -> tuple[Identity, ssl.SSLContext | bool]:
    try:
        return identity_of(settings), _tls(settings)
    except FileflowError:
        raise
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigError(f"a certificate of connection {settings.conn_id!r} cannot be used: {why}") from None
    except Exception as error:  # a function of the deployment; its text may have the password
        raise ConfigError(f"auth type {settings.auth!r} failed with {type(error).__name__}") from None


def _tls(settings: HttpSettings) -> ssl.SSLContext | bool:
    if settings.cert is None and not isinstance(settings.verify, str):
        return settings.verify
    context = ssl.create_default_context(cafile=settings.verify if isinstance(settings.verify, str) else None)
    if settings.verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.cert is not None:
        context.load_cert_chain(*settings.cert)
    return context
