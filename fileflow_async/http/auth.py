"""Who we are for an endpoint."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fileflow_async.errors import ConfigError
from fileflow_async.http.named import function_named
from fileflow_async.http.request import Pairs, as_headers
from fileflow_async.http.settings import HttpSettings


@dataclass(frozen=True, slots=True)
class Identity:
    """What is added to requests to our own origin.

    Attributes:
        headers: What says so.
        middlewares: What answers a server that asks, as aiohttp calls it.
    """

    headers: Pairs = field(default=(), repr=False)
    middlewares: Sequence[Any] = ()


def identity_of(settings: HttpSettings) -> Identity:
    """Return who the settings say that we are; may import code, and is not for an event loop.

    Raises:
        ConfigError: That way is not known, not installed, or makes nothing that could be sent.
    """
    login, password = settings.login or "", settings.password or ""
    match settings.auth:
        case None:
            return Identity()
        case "basic":
            return Identity((("Authorization", _basic(login, password)),))
        case "bearer":
            return Identity((("Authorization", f"Bearer {password}"),))
        case "digest":
            return Identity(middlewares=(_digest(login, password),))
        case path:
            return _own(path, login, password)


def _basic(login: str, password: str) -> str:
    if ":" in login:
        raise ConfigError("a login with a colon cannot be sent as basic authentication")
    return f"Basic {base64.b64encode(f'{login}:{password}'.encode()).decode()}"


def _digest(login: str, password: str) -> Any:
    try:
        from aiohttp import DigestAuthMiddleware
    except ImportError:
        raise ConfigError("auth type 'digest' needs aiohttp 3.12 or newer") from None
    return DigestAuthMiddleware(login, password)


def _own(path: str, login: str, password: str) -> Identity:
    """Ask a function of the deployment, which gets the login and the password."""
    made = function_named(path, "auth_type")(login, password)
    if isinstance(made, Mapping):
        return Identity(as_headers(made))
    if callable(encode := getattr(made, "encode", None)) and not isinstance(
        made, str
    ):  # as aiohttp.BasicAuth has
        return Identity((("Authorization", encode()),))
    if callable(made):
        return Identity(middlewares=(made,))
    raise ConfigError(
        f"auth type {path!r} returned a {type(made).__name__}; "
        "expected headers, an aiohttp.BasicAuth or a middleware of aiohttp"
    )
