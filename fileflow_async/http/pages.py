"""Answers that come page by page."""

import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import urljoin

from asgiref.sync import sync_to_async

from fileflow_async.errors import EndpointAnswerError
from fileflow_async.http.answer import Answer
from fileflow_async.http.json_path import NotThereError, parse_path, value_at
from fileflow_async.http.request import Request, check_endpoint

_LINK = re.compile(r'<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^",;\s]+))*)')
_NEXT = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^",;\s]+))', re.IGNORECASE)


class Pages(Protocol):
    """How the pages of an answer follow each other.

    Attributes:
        items: The JSON path of the records of a page.
    """

    @property
    def items(self) -> str: ...

    def check(self) -> None:
        """Refuse what cannot be meant."""
        ...

    def first(self, request: Request) -> Request:
        """Return the request for the first page."""
        ...

    def after(self, request: Request, answer: Answer, rows: int, url: str) -> Request | None:
        """Return the request for the next page; None where there is none.

        Args:
            request: The one for this page.
            answer: This page.
            rows: How many records it has.
            url: That of this page.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NextLink:
    """Each page has the address of the next one.

    Attributes:
        items: The JSON path of the records of a page.
        path: The JSON path of the address; by default it is in the header `Link`, as `rel="next"`.
    """

    items: str = "$"
    path: str | None = None

    def check(self) -> None:
        """Refuse what cannot be meant."""
        for path in (self.items, self.path or "$"):
            parse_path(path)

    def first(self, request: Request) -> Request:
        """Return the request as it is."""
        return request

    def after(self, request: Request, answer: Answer, rows: int, url: str) -> Request | None:
        """Follow the link; where it may lead is for the client to judge."""
        link = _link(answer) if self.path is None else _there(answer, self.path)
        if link is None or link == "":
            return None
        if not isinstance(link, str):
            raise EndpointAnswerError("the link to the next page is no address")
        try:
            endpoint = check_endpoint(urljoin(url, link))
        except ValueError:
            raise EndpointAnswerError("the link to the next page is no address") from None
        return replace(request, endpoint=endpoint, params=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Each page has a word by which to ask for the next one.

    Attributes:
        path: The JSON path of the word.
        parameter: The parameter in which it is sent.
        items: The JSON path of the records of a page.
    """

    path: str
    parameter: str = "cursor"
    items: str = "$"

    def check(self) -> None:
        """Refuse what cannot be meant."""
        for path in (self.items, self.path):
            parse_path(path)

    def first(self, request: Request) -> Request:
        """Return the request as it is."""
        return request

    def after(self, request: Request, answer: Answer, rows: int, url: str) -> Request | None:
        """Ask with the word that this page has."""
        word = _there(answer, self.path)
        if word is None or word == "" or word is False:
            return None
        if not isinstance(word, str | int):
            raise EndpointAnswerError("the cursor of the next page is neither text nor a number")
        return _with(request, self.parameter, str(word))


@dataclass(frozen=True, slots=True, kw_only=True)
class PageNumber:
    """The pages are counted; the first that is empty is behind the last.

    Attributes:
        parameter: The parameter in which the number is sent.
        start: The number of the first.
        items: The JSON path of the records of a page.
    """

    parameter: str = "page"
    start: int = 1
    items: str = "$"

    def check(self) -> None:
        """Refuse what cannot be meant."""
        parse_path(self.items)

    def first(self, request: Request) -> Request:
        """Ask for the first."""
        return _with(request, self.parameter, str(self.start))

    def after(self, request: Request, answer: Answer, rows: int, url: str) -> Request | None:
        """Ask for the next number."""
        number = int(dict(request.params)[self.parameter])
        return _with(request, self.parameter, str(number + 1)) if rows else None


@dataclass(frozen=True, slots=True)
class Page:
    """The records of a page, as lines of JSON."""

    lines: bytes
    rows: int


async def walked(
    fetch: Callable[[Request], Awaitable[Answer]],
    request: Request,
    pages: Pages,
    *,
    url_of: Callable[[str], str],
    max_pages: int,
) -> AsyncGenerator[Page, None]:
    """Yield one page after another.

    Args:
        fetch: Sends a request until there is a good answer.
        request: That for the first page.
        pages: How they follow each other.
        url_of: Returns the URL of an endpoint.
        max_pages: How many there may be.

    Raises:
        EndpointAnswerError: A page is not what it should be, leads back to another, or there are too many.
    """
    following: Request | None = pages.first(request)
    known: set[str] = set()
    while following is not None:
        if following.key in known:
            raise EndpointAnswerError(f"page {len(known)} leads back to a page that was there before")
        if len(known) >= max_pages:
            raise EndpointAnswerError(f"there are more than {max_pages} pages")
        known.add(following.key)
        answer = await fetch(following)
        # In a thread: a page of megabytes is parsed and written again.
        page = await sync_to_async(_page, thread_sensitive=False)(answer, pages.items, len(known))
        yield page
        following = pages.after(following, answer, page.rows, url_of(following.endpoint))


def _page(answer: Answer, items: str, number: int) -> Page:
    try:
        records = value_at(answer.json(), parse_path(items))
    except NotThereError:
        raise EndpointAnswerError(f"{answer.url}: page {number} has nothing at {items}") from None
    except EndpointAnswerError as error:
        raise EndpointAnswerError(f"{answer.url}: page {number}: {error}") from None
    if not isinstance(records, list):
        raise EndpointAnswerError(f"{answer.url}: page {number} has no list at {items}")
    try:
        lines = [json.dumps(each, ensure_ascii=False, allow_nan=False) for each in records]
        return Page("".join(f"{line}\n" for line in lines).encode(), len(records))
    except ValueError:  # JSON of Python's may have NaN, and halves of characters
        raise EndpointAnswerError(f"{answer.url}: page {number} has a value that JSON has not") from None


def _there(answer: Answer, path: str) -> Any:
    try:
        return value_at(answer.json(), parse_path(path))
    except NotThereError:
        return None


def _link(answer: Answer) -> str | None:
    for url, parameters in _LINK.findall(answer.headers.get("Link", "")):
        relations = [quoted or bare for quoted, bare in _NEXT.findall(parameters)]
        if any("next" in relation.lower().split() for relation in relations):
            return str(url)
    return None


def _with(request: Request, parameter: str, value: str) -> Request:
    others = tuple(each for each in request.params if each[0] != parameter)
    return replace(request, params=(*others, (parameter, value)))
