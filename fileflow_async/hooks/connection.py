"""Airflow connections, looked up asynchronously once every few minutes."""

import asyncio
import contextvars
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from fileflow_async.aside import aside
from fileflow_async.clock import Clock, SystemClock
from fileflow_async.errors import ConfigError

if TYPE_CHECKING:
    from airflow.sdk import Connection

    _Ask = Callable[[str], Connection]
    _AskAsync = Callable[[str], Awaitable[Connection]]

# Minutes: a triggerer answers lookups one after another at 28 to 90 ms each, the first one after 6 s; changed
# credentials should be noticed without a restart all the same.
KEPT_FOR = 300.0

P = ParamSpec("P")
R = TypeVar("R")
_Answer = Exception | None  # what went wrong; nothing when it is known now, or when nobody asked to the end


@dataclass(frozen=True, slots=True)
class ConnectionDetails:
    """What an Airflow connection says; its text shows no more of it than its id with its type."""

    conn_id: str
    conn_type: str | None = None
    host: str | None = field(default=None, repr=False)
    port: int | None = field(default=None, repr=False)
    schema: str | None = field(default=None, repr=False)
    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def require(self, conn_type: str, purpose: str) -> None:
        """Check what the connection is for.

        Raises:
            ConfigError: It is of another type.
        """
        # Airflow's command line calls a type generic that no installed provider knows: aws without Amazon's.
        if self.conn_type not in (conn_type, "generic"):
            raise ConfigError(
                f"connection {self.conn_id!r} is of type {self.conn_type!r}, {purpose} needs {conn_type!r}"
            )


async def connection(conn_id: str) -> ConnectionDetails:
    """Return a connection of Airflow as this process knows it, or ask Airflow for it.

    Raises:
        ConfigError: There is none, it cannot be understood or may not be read, or there is no Airflow to ask.
    """
    return await _connections.get(conn_id)


def forget(conn_id: str) -> None:
    """Ask Airflow again the next time: what is known has stopped working."""
    _connections.forget(conn_id)


async def fetch(conn_id: str) -> ConnectionDetails:
    """Ask Airflow for a connection, whatever is known of it.

    Raises:
        ConfigError: As `connection`.
    """
    if not conn_id:
        raise ConfigError("conn_id is empty")
    ask, ask_synchronously, missing = await aside(_airflow, conn_id)
    try:
        try:
            found = await ask(conn_id)
        except missing:  # dag.test() says so of every connection in the database: it has no asynchronous path
            found = await aside(ask_synchronously, conn_id)
    except missing as error:
        raise ConfigError(
            f"connection {conn_id!r} does not exist",
            hint="Airflow also says so while its database or its API server cannot be asked.",
        ) from error
    except PermissionError as error:
        raise ConfigError(f"connection {conn_id!r} may not be read here") from error
    return _details(conn_id, found)


class Connections:
    """Connections that are known for a while.

    Many may ask for one at the same time: each event loop looks it up once, for all of them. That one does
    not exist is not remembered, so that it can be made while somebody waits for it.

    Args:
        ask: What looks a connection up.
        clock: Where the time comes from.
        kept_for: For how many seconds an answer is good.
    """

    def __init__(
        self,
        ask: Callable[[str], Awaitable[ConnectionDetails]] = fetch,
        *,
        clock: Clock | None = None,
        kept_for: float = KEPT_FOR,
    ) -> None:
        self._ask = ask
        self._clock = clock or SystemClock()
        self._kept_for = kept_for
        self._known: dict[str, tuple[float, ConnectionDetails]] = {}
        self._asked: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Future[_Answer]] = {}

    async def get(self, conn_id: str) -> ConnectionDetails:
        """Return a connection.

        Raises:
            ConfigError: As `fetch`.
        """
        while (known := self._valid(conn_id)) is None:
            asked = self._asked.get((asyncio.get_running_loop(), conn_id))
            if asked is None:
                return await self._lead(conn_id)
            answer = await asyncio.shield(asked)  # it is shared: who stops waiting must not cancel it
            if isinstance(answer, BaseException):
                raise answer
        return known

    def forget(self, conn_id: str) -> None:
        """Ask again the next time."""
        self._known.pop(conn_id, None)

    def _valid(self, conn_id: str) -> ConnectionDetails | None:
        until, details = self._known.get(conn_id, (0.0, None))
        return details if self._clock.monotonic() < until else None

    async def _lead(self, conn_id: str) -> ConnectionDetails:
        """Ask for all who want the same; if this one is cancelled meanwhile, the next of them asks."""
        loop = asyncio.get_running_loop()
        asked = self._asked[loop, conn_id] = loop.create_future()
        answer: _Answer = None
        try:
            details = await self._ask(conn_id)
            self._known[conn_id] = (self._clock.monotonic() + self._kept_for, details)
            return details
        except Exception as error:
            answer = error
            raise
        finally:
            del self._asked[loop, conn_id]
            asked.set_result(answer)


_connections = Connections()


def run_synchronously(work: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine for a caller that is not one, in a thread of its own: the caller's may run a loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        # With the context: that is where Airflow keeps a connection that is tested before it is stored.
        return thread.submit(contextvars.copy_context().run, asyncio.run, work).result()


def _airflow(conn_id: str) -> "tuple[_AskAsync, _Ask, type[Exception]]":
    """Import what answers, in a thread: it takes seconds where Airflow is not loaded yet."""
    try:
        from airflow.providers.common.compat.connection import get_async_connection
        from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook
    except ImportError as error:
        raise ConfigError(
            f"connection {conn_id!r} cannot be looked up without Airflow; install apache-airflow "
            "with apache-airflow-providers-common-compat, or leave conn_id out"
        ) from error
    return get_async_connection, BaseHook.get_connection, AirflowNotFoundException


def _details(conn_id: str, found: "Connection") -> ConnectionDetails:
    return ConnectionDetails(
        conn_id=conn_id,
        conn_type=found.conn_type or None,
        host=found.host or None,
        port=found.port,
        schema=found.schema or None,
        login=found.login or None,
        password=found.password or None,
        extra=MappingProxyType(_extra(conn_id, found.extra)),
    )


def _extra(conn_id: str, text: str | None) -> dict[str, Any]:
    """Parse the extra ourselves.

    Airflow takes a broken one for an empty one. Besides, its property `extra_dejson` synchronously asks the
    supervisor to mask what is in there, which raises DeadlockImminentError on an event loop that talks to the
    supervisor at the same time. It was masked already, when the connection came.
    """
    try:
        extra = json.loads(text) if text and text.strip() else {}
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ConfigError(f"the extra of connection {conn_id!r} must be a JSON object")
    return extra
