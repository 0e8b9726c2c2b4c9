"""An HTTP server on loopback that does what a test says, down to the bytes on the wire."""

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from fileflow_async.hooks.connection import forget

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class HttpServer:
    """A server in a thread of its own, so that sync code can be served too.

    Attributes:
        port: Where it listens.
        seen: The requests so far, by path.
    """

    port: int = 0
    seen: dict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    _handlers: dict[str, Handler] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self, path: str, *handlers: Handler) -> str:
        """Answer requests for a path: one handler after another, the last for ever. Returns its URL."""
        left = list(handlers)

        async def next_one(request: web.BaseRequest) -> web.StreamResponse:
            return await (left.pop(0) if len(left) > 1 else left[0])(request)

        self._handlers[path] = next_one
        return f"{self.url}{path}"

    def count(self, path: str) -> int:
        return len(self.seen[path])

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.seen[request.path].append(
            Seen(request.method, request.path, request.query_string, request.headers.copy(), body)
        )
        handler = self._handlers.get(request.path)
        return web.Response(status=404) if handler is None else await handler(request)


def says(
    status: int = 200,
    body: bytes | str = b"",
    headers: Mapping[str, str] | None = None,
    *,
    after: float = 0.0,
) -> Handler:
    """Answer at once, or after so many seconds."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(after)
        data = body.encode() if isinstance(body, str) else body
        return web.Response(status=status, body=data, headers=headers)

    return handler


def writes(*pieces: bytes, abort: bool = False) -> Handler:
    """Put bytes on the wire, whatever they are, and close the connection."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        for piece in pieces:
            request.transport.write(piece)
            await asyncio.sleep(0.01)
        if abort:
            request.transport.abort()
        else:
            request.transport.close()
        return web.Response()

    return handler


def never() -> Handler:
    """Take the request, and say nothing."""

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(3600)
        return web.Response()

    return handler


def redirects(location: str, status: int = 302) -> Handler:
    return says(status, headers={"Location": location})


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, **fields: Any) -> None:
    """Make a connection, as if nobody had asked for one of that name before."""
    if "extra" in fields:
        fields["extra"] = json.dumps(fields["extra"])
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "http", **fields}))
    forget(conn_id)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands between this machine and the world is no part of the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def http_server() -> Iterator[HttpServer]:
    """A server that answers 404 until it is told otherwise."""
    with running() as server:
        yield server


@pytest.fixture
def other_server() -> Iterator[HttpServer]:
    """A second one: the same host with another port is another origin."""
    with running() as server:
        yield server


class running:  # noqa: N801 - reads as a function
    """Run a server for a block."""

    def __enter__(self) -> HttpServer:
        self._server, self._started = HttpServer(), threading.Event()
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(),), name="http-server", daemon=True
        )
        self._thread.start()
        assert self._started.wait(10)
        return self._server

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(web.Server(self._server.answer, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._server.port = runner.addresses[0][1]
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()
