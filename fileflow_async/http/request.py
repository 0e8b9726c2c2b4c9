"""What an endpoint is asked."""

import hashlib
import json as json_module
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self
from urllib.parse import urlencode, urlsplit

from fileflow_async.errors import ConfigError, quoted
from fileflow_async.http.redaction import is_secret_header, is_secret_parameter

Pairs = tuple[tuple[str, str], ...]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BROKEN = re.compile(r"[\x00-\x20\x7f]")
_FORM = "application/x-www-form-urlencoded"
# What may be asked twice without harm: RFC 9110, 9.2.2.
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


class Asking(Protocol):
    """A task or a trigger, by what it is told to send; see `Request.of`."""

    method: str
    endpoint: str | None
    request_params: Mapping[str, Any] | None
    headers: Mapping[str, str] | None
    data: str | Mapping[str, Any] | None
    json: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question; its text shows none of what is sent with it.

    Attributes:
        method: In capitals.
        endpoint: The path below the connection's address, or a whole URL.
        params: What is added to the URL's query.
        headers: Those of this request; they go before the connection's.
        body: What is sent.
    """

    method: str = "GET"
    endpoint: str = field(default="", repr=False)
    params: Pairs = field(default=(), repr=False)
    headers: Pairs = field(default=(), repr=False)
    body: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        *,
        method: str = "GET",
        endpoint: str | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        data: str | bytes | Mapping[str, Any] | None = None,
        json: Any = None,
    ) -> Self:
        """Make a request from what people write.

        Args:
            method: GET, POST …
            endpoint: The path below the connection's address, or a whole URL.
            params: What is added to the URL's query; a list stands for several values of a name.
            headers: What is sent in the head.
            data: The body: text, bytes, or the fields of a form.
            json: The body as a value of JSON, instead of `data`.

        Raises:
            ConfigError: A part of it cannot be sent.
        """
        if data is not None and json is not None:
            raise ConfigError("both data and json given; a request has one body")
        pairs = as_headers(headers or {})
        body, kind = _body(data, json)
        if kind is not None and not any(name.lower() == "content-type" for name, _ in pairs):
            pairs = (*pairs, ("Content-Type", kind))
        return cls(
            method=_method(method),
            endpoint=check_endpoint(endpoint),
            params=as_parameters(params or {}),
            headers=pairs,
            body=body,
        )

    @classmethod
    def by(cls, asking: Asking) -> Self:
        """Make the request that the arguments of a task or a trigger ask for.

        Raises:
            ConfigError: A part of it cannot be sent, or looks like a credential.
        """
        request = cls.of(
            method=asking.method,
            endpoint=asking.endpoint,
            params=asking.request_params,
            headers=asking.headers,
            data=asking.data,
            json=asking.json,
        )
        request.refuse_credentials()
        return request

    @property
    def key(self) -> str:
        """What is equal for equal requests, and tells nothing about them."""
        parts = [self.method, self.endpoint, self.params, self.headers, (self.body or b"").hex()]
        return hashlib.sha256(json_module.dumps(parts).encode()).hexdigest()

    @property
    def is_repeatable(self) -> bool:
        """Whether it can be sent again when nobody knows what became of it."""
        return self.method in _REPEATABLE

    def refuse_credentials(self) -> None:
        """Refuse to carry what looks like a credential: arguments of tasks and triggers are stored.

        Raises:
            ConfigError: It does.
        """
        query = [part.partition("=")[0] for part in urlsplit(self.endpoint).query.split("&")]
        for name in (*(name for name, _ in self.params), *query):
            if is_secret_parameter(name):
                raise _credential("parameter", name, "params")
        for name, _ in self.headers:
            if is_secret_header(name):
                raise _credential("header", name, "headers")


def _credential(kind: str, name: str, place: str) -> ConfigError:
    return ConfigError(
        f"the {kind} {name!r} looks like a credential, and the arguments of a task can be read by many",
        hint=f"Put it into the connection: as its password, or into {place!r} of its extra.",
    )


def check_endpoint(endpoint: object) -> str:
    """Return what can be the end of a URL, or a whole one.

    Raises:
        ConfigError: It cannot. The message never holds a password that was in it.
    """
    if endpoint is None:
        return ""
    if not isinstance(endpoint, str):
        raise ConfigError(f"endpoint must be a string, got {type(endpoint).__name__}")
    if _BROKEN.search(endpoint):
        raise ConfigError("endpoint has spaces or control characters; write them as %20")
    if "://" in endpoint.partition("?")[0]:
        check_address(endpoint, "endpoint")
    return endpoint


def check_address(text: str, name: str) -> str:
    """Return what is a URL of HTTP without credentials.

    Raises:
        ConfigError: It is not. The message holds none of it but its scheme.
    """
    try:
        parts = urlsplit(text)
        wrong = parts.scheme.lower() not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        raise ConfigError(f"{name} is not a URL that can be read") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{name} holds credentials; they belong into the connection's login and password")
    if wrong:
        raise ConfigError(f"{name} must begin with http:// or https:// and a host")
    return text


def as_parameters(params: object) -> Pairs:
    """Return the names and values of a query.

    Raises:
        ConfigError: They are none.
    """
    if not isinstance(params, Mapping):
        raise ConfigError(f"params must be a mapping, got {type(params).__name__}")
    pairs = []
    for name, value in params.items():
        values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
        for each in values:
            if not isinstance(name, str) or not isinstance(each, str | int | float | bool):
                raise ConfigError(f"params has {quoted(name)}, whose value is a {type(each).__name__}")
            pairs.append((name, str(each).lower() if isinstance(each, bool) else str(each)))
    return tuple(pairs)


def as_headers(headers: object) -> Pairs:
    """Return the names and values of a head.

    Raises:
        ConfigError: They are none. The message never holds a value.
    """
    if not isinstance(headers, Mapping):
        raise ConfigError(f"headers must be a mapping, got {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ConfigError(f"headers has {quoted(name)}, which is not the name of one")
        if not isinstance(value, str) or any(ord(each) < 32 and each != "\t" for each in value):
            raise ConfigError(f"the header {name!r} must be a line of text")
    return tuple(headers.items())


def _method(method: object) -> str:
    if not isinstance(method, str) or not _TOKEN.fullmatch(method):
        raise ConfigError(f"method must be a word such as GET, got {quoted(method)}")
    return method.upper()


def _body(data: object, json: object) -> tuple[bytes | None, str | None]:
    if json is not None:
        try:
            return json_module.dumps(json, allow_nan=False).encode(), "application/json"
        except (TypeError, ValueError) as error:
            raise ConfigError(f"json cannot be sent: {type(error).__name__}") from None
    if isinstance(data, Mapping):
        return urlencode(as_parameters(data)).encode(), _FORM
    if isinstance(data, str):
        try:
            return data.encode(), "text/plain; charset=utf-8"
        except UnicodeError:
            raise ConfigError("data is not text that can be sent") from None
    if data is None or isinstance(data, bytes):
        return data, None
    raise ConfigError(f"data must be text, bytes or a mapping, got {type(data).__name__}")
