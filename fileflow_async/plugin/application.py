"""The pages of targets: lists and records, never data."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from fileflow_async import codec
from fileflow_async.ancestry import Ancestor, ancestry
from fileflow_async.errors import (
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetCorruptError,
    TargetNameError,
    TargetNotFoundError,
)
from fileflow_async.hooks.store import open_store
from fileflow_async.inventory import targets
from fileflow_async.plugin.access import User, readable, require
from fileflow_async.plugin.pages import rendered
from fileflow_async.status import Status, unreadable
from fileflow_async.store import TargetStore
from fileflow_async.target import check_key

_MOST = 200  # rows of a page
_PATIENCE = 20.0  # seconds for a page, of which many may be asked for at once
_AT_ONCE = asyncio.Semaphore(4)  # pages under way: the API server has other work
_GENERATIONS = 3
_HEADERS = {
    # Nothing is loaded from anywhere and nothing runs; Airflow shows the page in a frame of its own.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (TargetNameError, 400),
    (TargetNotFoundError, 404),
    (TargetAccessError, 502),
    (StorageUnavailableError, 503),
    (TimeoutError, 504),
)

application = FastAPI(title="File targets", docs_url=None, redoc_url=None, openapi_url=None)


@application.middleware("http")
async def harden(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Say of each answer what a browser may do with it."""
    answer = await call_next(request)
    answer.headers.update(_HEADERS)
    return answer


@application.exception_handler(FileflowError)
@application.exception_handler(TimeoutError)
async def explain(request: Request, error: Exception) -> HTMLResponse:
    """Answer with what went wrong in the store."""
    code = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    text = str(error) or "the store does not answer in time"
    return HTMLResponse(rendered("error", text=text), code)


@application.get("/")
async def browse(request: Request, user: User, prefix: str = "") -> HTMLResponse:
    """Show what lies below a prefix: DAGs, the slots of one, or the targets of a slot."""
    if prefix:
        await require(request, user, prefix)
    async with _store() as store:
        if prefix.count("/") < 2:
            folders = await _folders(store, prefix)
            if not prefix:
                allowed = await readable(user)
                shown = [each for each in folders if _dag_of(each) in allowed]
            else:
                shown = folders[: -_MOST - 1 : -1]  # the latest slots first
            more = bool(prefix) and len(shown) < len(folders)
            return HTMLResponse(rendered("folders", prefix=prefix, folders=shown, more=more))
        found, more = await _targets(store, prefix)
    return HTMLResponse(rendered("targets", prefix=prefix, statuses=found, more=more))


@application.get("/target")
async def show(request: Request, user: User, key: str) -> HTMLResponse:
    """Show one target: its record, its history, and what it was made from."""
    await require(request, user, check_key(key))
    async with _store() as store:
        status = await store.state(key)
        history = await store.history(key)
        tree = await _ancestry(store, key)
    allowed = await readable(user)
    return HTMLResponse(
        rendered(
            "target",
            status=status,
            history=history[:_MOST],
            uri=f"{store.root}/{key}",
            tree=tree,
            may_see=lambda ancestor: _dag_of(ancestor.target) in allowed,
        )
    )


@asynccontextmanager
async def _store() -> AsyncIterator[TargetStore]:
    """Open the store that is configured; which one it is, no request decides."""
    async with _AT_ONCE, asyncio.timeout(_PATIENCE), open_store(impatient=True) as store:
        yield store


async def _folders(store: TargetStore, prefix: str) -> list[str]:
    found = await store.storage.list(prefix, shallow=True)
    return [each.key for each in found.entries if each.is_folder and not each.name.startswith(".")]


async def _targets(store: TargetStore, prefix: str) -> tuple[list[Status], bool]:
    keys = list[str]()
    more = False
    async for key in targets(store, prefix):
        if more := len(keys) == _MOST:
            break
        keys.append(key)
    seen = await store.states(keys)
    return [each if isinstance(each := seen[key], Status) else unreadable(key, each) for key in keys], more


async def _ancestry(store: TargetStore, key: str) -> Ancestor | None:
    try:
        return await ancestry(store, key, depth=_GENERATIONS)
    except (TargetNotFoundError, TargetCorruptError):
        return None


def _dag_of(key: str) -> str | None:
    try:
        return codec.decode(key.partition("/")[0])
    except TargetNameError:
        return None
