"""Bring what an endpoint has into a target."""

from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import Context

from fileflow_async._compat import AirflowSkipException
from fileflow_async.clock import Clock, SystemClock
from fileflow_async.draft import FileDraft
from fileflow_async.errors import ConfigError, TargetEmptyError, quoted
from fileflow_async.hooks.http import HttpAsyncHook, insisted
from fileflow_async.http.checksum import parse_checksum
from fileflow_async.http.request import Request
from fileflow_async.operators.dive import result_of
from fileflow_async.operators.request import RequestOperator
from fileflow_async.templates import has_template
from fileflow_async.work import Work

if TYPE_CHECKING:
    from fileflow_async.http.client import Client
    from fileflow_async.http.pages import Pages

OnEmpty = Literal["accept", "fail", "skip"]

_CLOCK: Clock = SystemClock()
_TELL = 10.0  # seconds between two lines about the progress
_PAGE = 16 << 20  # bytes of a page, which is held and parsed as a whole
_POLICIES = ("accept", "fail", "skip")


class HttpToTarget(RequestOperator):
    """Downloads from an endpoint, and commits what came only when all of it has.

    The body is streamed into the store in bounded memory. When the connection breaks, it goes on from there,
    as long as the server says that it is still the same (by a strong ETag, else by Last-Modified). The length
    and any digest that the server names are checked. With `pages`, the records of all pages become one target
    of lines of JSON.

    Its result is the reference of its output.

    Args:
        endpoint: The path below the connection's address, or a whole URL of the same origin. Templated.
        http_conn_id: The Airflow connection of type `http`; None where the endpoint is a URL and needs no
            credentials. Templated.
        method: GET, POST …
        request_params: What is added to the URL's query. Templated.
        headers: What is sent in the head, beside the connection's. Templated.
        data: The body: text, or the fields of a form. Templated.
        json: The body as a value of JSON, instead of `data`. Templated.
        pages: How the pages follow each other: `NextLink`, `Cursor` or `PageNumber` of
            `fileflow_async.http.pages`.
        max_pages: How many there may be.
        format: What it is: `csv`, `json` …; by default bytes, or with pages `jsonl`.
        extension: The end of the data's name; by default the format's.
        content_type: Its media type; by default the format's.
        checksum: What must have come, such as `sha256:e3b0…`. Templated.
        on_empty: What an answer without bytes or records does: `"accept"`, `"fail"` or `"skip"`.
        retry_limit: How often in a row a connection may bring nothing. It is tried again after 1, 2, 4 … s,
            or when the server's `Retry-After` says; what lasts longer is for the task's own retries.
        connect_timeout: Seconds until there is a connection.
        read_timeout: Seconds of silence.
        max_size: How many bytes may come, unpacked: in all, by default any number; with pages in each, by
            default 16 MiB.
        max_redirects: How many redirects are followed: within the origin, or without credentials to the
            `redirect_hosts` of the connection.
        kwargs: As for `DiveOperator`.
    """

    template_fields: Sequence[str] = ("checksum",)

    def __init__(
        self,
        *,
        pages: "Pages | None" = None,
        max_pages: int = 10_000,
        format: str | None = None,
        extension: str | None = None,
        content_type: str | None = None,
        checksum: str | None = None,
        on_empty: OnEmpty = "accept",
        retry_limit: int = 5,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        max_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pages = pages
        self.max_pages = max_pages
        self.format = format or ("bytes" if pages is None else "jsonl")
        self.extension = extension
        self.content_type = content_type
        self.checksum = checksum
        self.on_empty = on_empty
        self.retry_limit = retry_limit
        self.connect_timeout = connect_timeout
        self.read_timeout = read_timeout
        self.max_size = max_size
        self._check()

    def execute(self, context: Context) -> Any:
        """Download, and commit what is whole."""
        if (handed_on := self.handed_on_before(context)) is not None:
            return handed_on
        with self.dive(context) as runner:
            self.engine.run(self._bring(runner.work))
        return result_of(runner.work.published)

    async def _bring(self, work: Work) -> None:
        request, hook = Request.by(self), self._hook()
        output = work.open_output(
            format=self.format, extension=self.extension, content_type=self.content_type
        )
        async with hook.open(clock=_CLOCK) as client, output as draft:
            if self.pages is None:
                came = await self._download(hook, client, request, draft)
            else:
                came = await self._walk(hook, client, request, draft, self.pages)
            self._judge(came, client.shown(request))

    async def _download(
        self, hook: HttpAsyncHook, client: "Client", request: Request, draft: FileDraft
    ) -> int:
        """Return how many bytes came."""
        from fileflow_async.http.download import Download

        what = client.shown(request)
        progress = _Progress(self.log, what, _CLOCK)
        download = Download(
            client,
            request,
            limits=hook.limits,
            patience=hook.patience,
            clock=_CLOCK,
            checksum=None if self.checksum is None else parse_checksum(self.checksum),
            progress=progress.tell,
        )
        await download.into(draft.write)
        self.log.info("%s: %s came in %.1f s", what, _told(download.size), progress.seconds)
        return download.size

    async def _walk(
        self, hook: HttpAsyncHook, client: "Client", request: Request, draft: FileDraft, pages: "Pages"
    ) -> int:
        """Return how many records came."""
        from fileflow_async.http.pages import walked

        fetch = partial(insisted, client, limits=hook.limits, patience=hook.patience, clock=_CLOCK)
        progress = _Progress(self.log, client.shown(request), _CLOCK)
        rows = size = 0
        url_of = client.settings.url
        async with aclosing(walked(fetch, request, pages, url_of=url_of, max_pages=self.max_pages)) as walk:
            async for page in walk:
                await draft.write(page.lines)
                rows, size = rows + page.rows, size + len(page.lines)
                progress.tell(size, None)
        draft.rows = rows
        self.log.info(
            "%s: %d records, %s, came in %.1f s", client.shown(request), rows, _told(size), progress.seconds
        )
        return rows

    def _judge(self, came: int, what: str) -> None:
        """Do what is to be done about nothing."""
        if came or self.on_empty == "accept":
            return
        if self.on_empty == "skip":
            raise AirflowSkipException(f"{what}: nothing came; skipped, as it is to be then")
        raise TargetEmptyError(f"{what}: nothing came; nothing was published")

    def _check(self) -> None:
        """Refuse what can be seen to be wrong when the DAG is parsed; templates cannot."""
        if self.on_empty not in _POLICIES:
            words = ", ".join(map(repr, _POLICIES))
            raise ConfigError(f"on_empty must be one of {words}, got {quoted(self.on_empty)}")
        if type(self.max_pages) is not int or self.max_pages < 1:
            raise ConfigError(f"max_pages must be an integer >= 1, got {quoted(self.max_pages)}")
        if self.pages is not None:
            self.pages.check()
            if self.format != "jsonl":
                raise ConfigError(f"pages become jsonl, got the format {quoted(self.format)}")
            if self.checksum is not None:
                raise ConfigError("checksum is that of one body; pages are several")
        if self.checksum is not None and not has_template(self.checksum):
            parse_checksum(self.checksum)
        self._hook()
        if not has_template(self.endpoint, self.request_params, self.headers, self.data, self.json):
            Request.by(self)

    def _hook(self) -> HttpAsyncHook:
        page = _PAGE if self.max_size is None else self.max_size
        return HttpAsyncHook(
            self.http_conn_id,
            retry_limit=self.retry_limit,
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
            total_timeout=None,
            max_size=self.max_size if self.pages is None else page,
            max_redirects=self.max_redirects,
        )


class _Progress:
    """What the log tells of a download, every few seconds.

    Args:
        log: That of the task.
        what: The request, as it may be shown.
        clock: Where the time comes from.
    """

    def __init__(self, log: Any, what: str, clock: Clock) -> None:
        self._log = log
        self._what = what
        self._clock = clock
        self._began = self._told = clock.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return self._clock.monotonic() - self._began

    def tell(self, size: int, total: int | None) -> None:
        """Log how far it is, if that was not done just now."""
        now = self._clock.monotonic()
        if now - self._told < _TELL:
            return
        self._told = now
        of = "" if total is None else f" of {_told(total)}"
        rate = _told(int(size / max(self.seconds, 0.001)))
        self._log.info("%s: %s%s so far, %s/s", self._what, _told(size), of, rate)


def _told(size: int) -> str:
    """Return a number of bytes as people read it."""
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= least:
            return f"{size / least:.1f} {unit}"
    return f"{size} bytes"
