"""Ask an endpoint through an Airflow connection of type `http`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseHook
from asgiref.sync import sync_to_async

from fileflow_async.clock import Clock, SystemClock
from fileflow_async.errors import EndpointUnavailableError, FileflowError
from fileflow_async.hooks.connection import connection, fetch, forget, run_synchronously
from fileflow_async.hooks.http_extra import settings_of
from fileflow_async.http.answer import Answer
from fileflow_async.http.patience import Patience, Tries
from fileflow_async.http.request import Request
from fileflow_async.http.settings import HttpSettings, Limits

if TYPE_CHECKING:
    from fileflow_async.http.client import Client

_REFUSALS = frozenset({401, 403, 407})


class HttpAsyncHook(BaseHook):
    """Asks endpoints asynchronously, as an `http` connection says, in the words of Airflow's HTTP provider.

    `http_extra` tells which of them. Redirects are off, unless a number of them is allowed; they then go to
    the same origin, or without any credentials to the `redirect_hosts` of the connection.

    Args:
        http_conn_id: The connection's id; None where each endpoint is a whole URL and needs no credentials.
        method: What `run` does where it is not told.
        retry_limit: How often `run` sends a request again that failed in a way that may pass.
        retry_delay: Seconds before the first time; each further pause may last twice as long, and as long as
            the server's `Retry-After` asks for.
        connect_timeout: Seconds until there is a connection.
        read_timeout: Seconds of silence.
        total_timeout: Seconds that one request may take in all.
        max_size: Bytes that a body may have when it is unpacked.
        max_redirects: How many redirects are followed.
    """

    conn_name_attr: ClassVar[str] = "http_conn_id"
    default_conn_name: ClassVar[str] = "http_default"
    conn_type: ClassVar[str] = "http"
    hook_name: ClassVar[str] = "HTTP"

    def __init__(
        self,
        http_conn_id: str | None = default_conn_name,
        *,
        method: str = "GET",
        retry_limit: int = 3,
        retry_delay: float = 1.0,
        connect_timeout: float = 10.0,
        read_timeout: float = 30.0,
        total_timeout: float | None = 60.0,
        max_size: int | None = 1 << 20,
        max_redirects: int = 0,
    ) -> None:
        super().__init__()
        self.conn_id = http_conn_id
        self.method = method
        self.patience = Patience(retry_limit, retry_delay)
        self.patience.check()
        self.limits = Limits(
            connect=connect_timeout,
            read=read_timeout,
            total=total_timeout,
            max_size=max_size,
            max_redirects=max_redirects,
        )

    async def settings(self) -> HttpSettings:
        """Return how to reach the server.

        Raises:
            ConfigError: The connection does not exist, is of another type or contradicts itself.
        """
        return HttpSettings() if self.conn_id is None else settings_of(await connection(self.conn_id))

    @asynccontextmanager
    async def open(self, *, clock: Clock | None = None) -> "AsyncIterator[Client]":
        """Open a client; all that are open in an event loop with this connection share one session.

        Raises:
            ConfigError: As `settings`.
        """
        settings = await self.settings()
        # In a thread: the first time it takes a tenth of a second.
        client = await sync_to_async(import_module, thread_sensitive=False)("fileflow_async.http.client")
        async with client.opened(settings, clock=clock) as opened:
            yield opened

    async def look(self, request: Request) -> Answer | FileflowError:
        """Send a request once, and return whatever comes of it."""
        try:
            async with self.open() as client:
                answer = await client.fetch(request, limits=self.limits)
        except FileflowError as error:
            return error
        if self.conn_id is not None and answer.status in _REFUSALS:
            forget(self.conn_id)  # its password may have been changed
        return answer

    async def run(
        self,
        endpoint: str | None = None,
        data: str | bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        method: str | None = None,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
    ) -> Answer:
        """Send a request until there is a good answer, and return it.

        What may pass is tried again: no connection, no answer in time, a body that breaks off, 408, 425, 429
        and 5xx. A request that may have changed something, such as a POST, only where it certainly has not.

        Args:
            endpoint: The path below the connection's address, or a whole URL of the same origin.
            data: The body: text, bytes, or the fields of a form.
            headers: What is sent in the head beside the connection's.
            method: By default the hook's.
            params: What is added to the URL's query.
            json: The body as a value of JSON, instead of `data`.

        Raises:
            ConfigError: It cannot be sent, or the connection is wrong.
            EndpointUnavailableError: The server does not answer, or not yet.
            EndpointRefusedError: It refuses, or leads where it must not.
            EndpointAnswerError: The answer cannot be read.
        """
        request = Request.of(
            method=method or self.method,
            endpoint=endpoint,
            params=params,
            headers=headers,
            data=data,
            json=json,
        )
        async with self.open() as client:
            return await insisted(client, request, limits=self.limits, patience=self.patience)

    def test_connection(self) -> tuple[bool, str]:
        """Ask for the connection's address, as Airflow's button Test does."""
        try:
            return run_synchronously(self._try())
        except FileflowError as error:
            return False, str(error)

    async def _try(self) -> tuple[bool, str]:
        from fileflow_async.http.client import opened

        settings = HttpSettings() if self.conn_id is None else settings_of(await fetch(self.conn_id))
        async with opened(settings) as client:
            answer = await client.fetch(Request(), limits=self.limits)
        is_reached = answer.status not in _REFUSALS and answer.status < 500
        return is_reached, f"{answer.url} answers HTTP {answer.status}"

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the form of a connection looks."""
        return {
            "hidden_fields": [],
            "relabeling": {"password": "Password or token"},
            "placeholders": {
                "host": "api.example.org",
                "schema": "https",
                "extra": '{"auth_type": "bearer", "headers": {"Accept": "application/json"}}',
            },
        }


async def insisted(
    client: "Client",
    request: Request,
    *,
    limits: Limits,
    patience: Patience,
    clock: Clock | None = None,
) -> Answer:
    """Send a request until there is a good answer, within the patience.

    Raises:
        EndpointError: There is none.
    """
    from fileflow_async.http.faults import failed

    tries = Tries(patience, clock or SystemClock())
    while True:
        try:
            answer = await client.fetch(request, limits=limits)
            if (error := failed(answer.status, answer.retry_after, client.shown(request))) is None:
                return answer
            raise error
        except EndpointUnavailableError as error:
            may = request.is_repeatable or error.is_untouched
            if not may or not await tries.pause(error):
                raise
