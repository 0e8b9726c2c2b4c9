"""Requests to one server, and where its redirects may lead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from aiohttp import ClientTimeout
from yarl import URL

from fileflow_async.clock import Clock, SystemClock
from fileflow_async.errors import ConfigError, EndpointRefusedError, EndpointUnavailableError
from fileflow_async.http.answer import Answer
from fileflow_async.http.body import ACCEPTED
from fileflow_async.http.faults import seconds_until, translated
from fileflow_async.http.proxies import way_to
from fileflow_async.http.request import Pairs, Request
from fileflow_async.http.response import Response
from fileflow_async.http.session import Session, shared_session
from fileflow_async.http.settings import HttpSettings, Limits, Origin, origin

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD = frozenset({307, 308})
# All that a server sees to which a redirect leads and which is not ours.
_HARMLESS = frozenset(
    {"accept", "accept-language", "if-modified-since", "if-none-match", "if-range", "range"}
)
_AGENT = f"fileflow_async/{version('fileflow-async')}"

LOOK = Limits()


@dataclass(frozen=True, slots=True)
class _Hop:
    """One request on the way to the answer.

    Attributes:
        is_own: Whether it goes to the origin that the credentials are for, and never left it before.
    """

    method: str
    url: str
    body: bytes | None
    is_own: bool


class Client:
    """Sends requests in a session that it borrows.

    Args:
        settings: How the server is reached.
        session: Open.
        clock: Where the time comes from.
    """

    def __init__(self, settings: HttpSettings, session: Session, clock: Clock) -> None:
        self.settings = settings
        self._session = session
        self._clock = clock
        self._redactor = settings.redactor()

    async def fetch(self, request: Request, *, limits: Limits = LOOK) -> Answer:
        """Send a request and return the whole answer, whatever its status is.

        Raises:
            EndpointUnavailableError: There is none, or none in time.
            EndpointRefusedError: It leads where it must not.
            EndpointAnswerError: It cannot be read.
        """
        try:
            async with asyncio.timeout(limits.total), self.send(request, limits=limits) as response:
                return await response.answer(limits.max_size)
        except TimeoutError:
            raise EndpointUnavailableError(
                f"{self.shown(request)}: no whole answer in {limits.total:g} s"
            ) from None

    @asynccontextmanager
    async def send(
        self, request: Request, *, limits: Limits = LOOK, headers: Pairs = (), accepted: str = ACCEPTED
    ) -> AsyncIterator[Response]:
        """Send a request; the body of the answer can be read until the block ends.

        Args:
            request: What is asked.
            limits: For how long, and how far it may lead.
            headers: Further ones, for this time.
            accepted: Which encodings of the body are asked for.

        Raises:
            EndpointUnavailableError: There is no answer.
            EndpointRefusedError: It leads where it must not.
        """
        hop = self._first(request)
        home = origin(hop.url)
        given = (*request.headers, *headers, ("Accept-Encoding", accepted))
        for _ in range(limits.max_redirects + 1):
            async with self._asked(hop, given, limits) as response:
                location = response.headers.get("Location")
                if response.status not in _REDIRECTS or location is None or not limits.max_redirects:
                    yield response
                    return
                hop = self._next(hop, response, location, home)
        raise EndpointRefusedError(
            f"{self.shown(request)}: redirected more than {limits.max_redirects} times"
        )

    def shown(self, request: Request) -> str:
        """Return a request as it may be shown."""
        return f"{request.method} {self._shown_url(self.settings.url(request.endpoint))}"

    def _shown_url(self, url: str) -> str:
        return self._redactor.url(url)

    def _first(self, request: Request) -> _Hop:
        url = self.settings.url(request.endpoint)
        is_own = not self.settings.base or origin(url) == origin(self.settings.base)
        hop = _Hop(request.method, url, request.body, is_own)
        if not is_own:
            self._check(hop, self.settings.base)
        return replace(hop, url=_with_query(url, request.params))

    @asynccontextmanager
    async def _asked(self, hop: _Hop, given: Pairs, limits: Limits) -> AsyncIterator[Response]:
        shown = self._shown_url(hop.url)
        what, way = f"{hop.method} {shown}", way_to(self.settings, hop.url)
        with translated(what):
            response = await self._session.client.request(
                hop.method,
                self._full_url(hop),
                data=hop.body,
                headers={**self._headers(hop, given), **dict(way.headers)},
                allow_redirects=False,
                ssl=self._session.tls,
                timeout=_timeout(limits),
                **way.options,
                **self._middlewares(hop),
            )
        async with response:
            retry_after = seconds_until(response.headers.get("Retry-After"), self._clock.time())
            yield Response(response, url=shown, what=what, retry_after=retry_after)

    def _full_url(self, hop: _Hop) -> URL:
        return URL(_with_query(hop.url, self.settings.params if hop.is_own else ()))

    def _headers(self, hop: _Hop, given: Pairs) -> dict[str, str]:
        """Return what is sent in the head: of a name the last, whatever its case."""
        pairs: Pairs = (("User-Agent", _AGENT), ("Accept", "*/*"))
        if hop.is_own:
            pairs = (*pairs, *self.settings.headers, *given, *self._session.identity.headers)
        else:
            pairs = (*pairs, *(each for each in given if each[0].lower() in _HARMLESS | {"accept-encoding"}))
        if hop.body is None:
            pairs = tuple(each for each in pairs if each[0].lower() != "content-type")
        return dict({each[0].lower(): each for each in pairs}.values())

    def _middlewares(self, hop: _Hop) -> dict[str, Any]:
        found = self._session.identity.middlewares if hop.is_own else ()
        return {"middlewares": tuple(found)} if found else {}  # aiohttp before 3.12 does not know the word

    def _next(self, hop: _Hop, response: Response, location: str, home: Origin) -> _Hop:
        """Return where a redirect leads.

        Raises:
            EndpointRefusedError: It must not be followed.
        """
        try:
            url = str(URL(hop.url).join(URL(location)).with_fragment(None))
            # Once it has left, nobody vouches for where it comes back.
            is_own = hop.is_own and origin(url) == home
        except (ConfigError, ValueError):
            raise EndpointRefusedError(f"{response.what}: redirected to what is no address of HTTP") from None
        keeps = response.status in _KEEPS_METHOD or hop.method in ("GET", "HEAD")
        following = _Hop(hop.method if keeps else "GET", url, hop.body if keeps else None, is_own)
        if not is_own:
            self._check(following, hop.url)
        return following

    def _check(self, hop: _Hop, came_from: str) -> None:
        """Refuse to go to another origin than ours, unless the connection names it.

        Raises:
            EndpointRefusedError: It must not be asked, or not that.
        """
        scheme, host, port = origin(hop.url)
        where = f"{scheme}://{host}:{port}"
        if not self.settings.allows(hop.url):
            raise EndpointRefusedError(
                f"{self._shown_url(came_from)} leads to {where}, which the connection does not allow",
                hint="Name the host in `redirect_hosts` of the connection's extra; it gets no credentials.",
            )
        if scheme == "http" and came_from.lower().startswith("https:"):
            raise EndpointRefusedError(
                f"{self._shown_url(came_from)} leads to {where}, which is not encrypted"
            )
        if hop.body is not None:
            raise EndpointRefusedError(
                f"{self._shown_url(came_from)} leads to {where}, for which the body is not meant"
            )


@asynccontextmanager
async def opened(settings: HttpSettings, *, clock: Clock | None = None) -> AsyncIterator[Client]:
    """Open a client in the session that this event loop has for the settings."""
    async with shared_session(settings) as session:
        yield Client(settings, session, clock or SystemClock())


def _with_query(url: str, params: Pairs) -> str:
    return str(URL(url).extend_query(params)) if params else url


def _timeout(limits: Limits) -> ClientTimeout:
    return ClientTimeout(
        total=None, connect=limits.connect, sock_connect=limits.connect, sock_read=limits.read
    )
