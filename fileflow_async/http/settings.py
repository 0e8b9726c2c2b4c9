"""How an endpoint is reached, and as whom."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from fileflow_async.config import check_seconds
from fileflow_async.errors import ConfigError, quoted
from fileflow_async.http.redaction import Redactor
from fileflow_async.http.request import Pairs, check_address, check_endpoint

Origin = tuple[str, str, int]

_PORTS = {"http": 80, "https": 443}
_MIB = 1 << 20
# Headers of a connection whose values are no secrets: hiding "application/json" would garble every text.
_PLAIN = frozenset({"accept", "accept-encoding", "accept-language", "content-type", "user-agent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """What a connection says about a server; its text shows no secret.

    Attributes:
        conn_id: The connection.
        base: The address under which endpoints lie; empty where each is a whole URL.
        headers: Sent with each request to this origin.
        params: Added to the query of each request to this origin.
        auth: `basic`, `bearer`, `digest`, or the dotted path of a function; None for nobody in particular.
        login: Who.
        password: By what.
        verify: Whether the server's certificate is checked; or the file of those whom to believe.
        cert: The file of our own certificate, and that of its key.
        proxies: The proxy of each scheme; where there is none, the environment is asked.
        trust_env: Whether it is.
        redirect_hosts: Where redirects and next pages may lead besides: `host` or `host:port`.
    """

    conn_id: str | None = None
    base: str = ""
    headers: Pairs = field(default=(), repr=False)
    params: Pairs = field(default=(), repr=False)
    auth: str | None = None
    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    verify: bool | str = True
    cert: tuple[str, str | None] | None = field(default=None, repr=False)
    proxies: Pairs = field(default=(), repr=False)
    trust_env: bool = True
    redirect_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.base:
            check_address(self.base, "the host")
        if self.auth in ("basic", "digest") and self.login is None:
            raise ConfigError(f"auth type {self.auth!r} needs a login")
        if self.auth == "bearer" and self.password is None:
            raise ConfigError("auth type 'bearer' needs a password, which is the token")

    def url(self, endpoint: str) -> str:
        """Return the URL of an endpoint.

        Raises:
            ConfigError: It is no whole URL, and there is nothing that it could be below.
        """
        if "://" in check_endpoint(endpoint).partition("?")[0]:
            return endpoint
        if not self.base:
            raise ConfigError(
                "there is neither a connection with a host nor an endpoint that is a whole URL",
                hint="Write https://… as the endpoint, or name a connection.",
            )
        if not endpoint or endpoint.startswith("?"):
            return f"{self.base}{endpoint}"
        return f"{self.base.rstrip('/')}/{endpoint.lstrip('/')}"

    def allows(self, url: str) -> bool:
        """Tell whether a server may send us there, as nobody in particular."""
        _, host, port = origin(url)
        return bool({host, f"{host}:{port}"} & {each.lower() for each in self.redirect_hosts})

    def redactor(self, *further: str) -> Redactor:
        """Return what hides all secrets of the connection from a text."""
        both = f"{self.login or ''}:{self.password or ''}"
        headers = (value for name, value in self.headers if name.lower() not in _PLAIN)
        proxies = (urlsplit(proxy).password for _, proxy in self.proxies)
        params = (value for _, value in self.params)
        encoded = base64.b64encode(both.encode("utf-8", "surrogatepass")).decode()
        return Redactor([self.password, encoded, *headers, *params, *proxies, *further])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long one request may take, how much it may bring and how far it may lead.

    Attributes:
        connect: Seconds until there is a connection.
        read: Seconds of silence.
        total: Seconds in all; None where only silence counts.
        max_size: Bytes of the unpacked body; None for any number.
        max_redirects: How many redirects are followed.
    """

    connect: float = 10.0
    read: float = 30.0
    total: float | None = 60.0
    max_size: int | None = _MIB
    max_redirects: int = 0

    def __post_init__(self) -> None:
        for name in ("connect", "read", "total"):
            if name != "total" or self.total is not None:
                check_seconds(getattr(self, name), f"{name}_timeout")
        whole: Mapping[str, Any] = {"max_size": self.max_size, "max_redirects": self.max_redirects}
        for name, value in whole.items():
            if not (name == "max_size" and value is None) and (type(value) is not int or value < 0):
                raise ConfigError(f"{name} must be an integer >= 0, got {quoted(value)}")


def origin(url: str) -> Origin:
    """Return the scheme, host and port of a URL.

    Raises:
        ConfigError: It has none.
    """
    parts = urlsplit(check_address(url, "the URL"))
    scheme = parts.scheme.lower()
    return scheme, cast(str, parts.hostname), parts.port or _PORTS[scheme]
