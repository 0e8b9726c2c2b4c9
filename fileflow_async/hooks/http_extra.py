"""What an Airflow connection of type `http` says about a server."""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from fileflow_async.errors import ConfigError
from fileflow_async.hooks.connection import ConnectionDetails
from fileflow_async.http.named import check_path
from fileflow_async.http.request import Pairs, as_headers, as_parameters
from fileflow_async.http.settings import HttpSettings

_AUTH = ("basic", "bearer", "digest")
# Airflow's own words that are arguments here: a limit belongs to the request, not to the server.
_ARGUMENTS = ("timeout", "allow_redirects", "max_redirects", "stream", "check_response")
_KNOWN = frozenset(
    {"headers", "params", "auth_type", "verify", "verify_ssl", "cert", "proxy", "proxies", "trust_env"}
    | {"redirect_hosts", *_ARGUMENTS}
)

log = logging.getLogger(__name__)


def settings_of(details: ConnectionDetails) -> HttpSettings:
    """Return what a connection of type `http` says, in the words of Airflow's HTTP provider.

    Host (or a whole address in its place), schema, port, login and password; in the extra `verify`, `cert`,
    `proxies` and `trust_env`, and headers, each by its name or all of them in `headers`. Beyond that
    `params`, `auth_type` and `redirect_hosts`.

    Raises:
        ConfigError: It is of another type or contradicts itself. The message never holds a secret.
    """
    if details.conn_type != "https":
        details.require("http", "HTTP")
    for word in _ARGUMENTS:
        if word in details.extra:
            _warn_once(details.conn_id, word)
    try:
        return HttpSettings(
            conn_id=details.conn_id,
            base=_base(details),
            headers=_headers(details.extra),
            params=as_parameters(_value(details.extra, "params") or {}),
            auth=_auth(details),
            login=details.login,
            password=details.password,
            verify=_verify(details.extra),
            cert=_cert(details.extra),
            proxies=_proxies(details.extra),
            trust_env=_truth(details.extra, "trust_env"),
            redirect_hosts=_texts(_value(details.extra, "redirect_hosts") or [], "redirect_hosts"),
        )
    except ConfigError as error:
        raise ConfigError(f"connection {details.conn_id!r}: {error}") from None


def _base(details: ConnectionDetails) -> str:
    if details.host is None:
        return ""
    if "://" in details.host:
        return details.host
    scheme = details.schema or ("https" if details.conn_type == "https" else "http")
    if scheme not in ("http", "https"):
        raise ConfigError(f"the schema must be http or https, got {scheme!r}")
    host, slash, path = details.host.partition("/")
    port = f":{details.port}" if details.port else ""
    return f"{scheme}://{host}{port}{slash}{path}"


def _auth(details: ConnectionDetails) -> str | None:
    given = details.extra.get("auth_type")
    if given is None:
        return None if details.login is None else "basic"
    return given if given in _AUTH else check_path(given, "auth_type, if none of basic, bearer and digest,")


def _headers(extra: Mapping[str, Any]) -> Pairs:
    loose = {name: value for name, value in extra.items() if name not in _KNOWN and isinstance(value, str)}
    return (*as_headers(loose), *as_headers(_value(extra, "headers") or {}))


def _verify(extra: Mapping[str, Any]) -> bool | str:
    verify = _value(extra, "verify" if "verify" in extra else "verify_ssl", True)
    if not isinstance(verify, bool | str):
        raise ConfigError("verify must be true, false or the path of a file")
    return verify


def _cert(extra: Mapping[str, Any]) -> tuple[str, str | None] | None:
    cert = _value(extra, "cert")
    paths = _texts([cert] if isinstance(cert, str) else cert or [], "cert")
    if len(paths) > 2:
        raise ConfigError("cert must be a path, or that of a certificate and that of its key")
    return (paths[0], paths[1] if len(paths) == 2 else None) if paths else None


def _proxies(extra: Mapping[str, Any]) -> Pairs:
    given = _value(extra, "proxies" if "proxies" in extra else "proxy") or {}
    proxies = {"all": given} if isinstance(given, str) else given
    if not isinstance(proxies, Mapping) or not all(isinstance(each, str) for each in proxies.values()):
        raise ConfigError("proxies must be an address, or addresses by scheme")
    return tuple((str(scheme).removesuffix("://"), proxy) for scheme, proxy in proxies.items())


def _truth(extra: Mapping[str, Any], name: str) -> bool:
    value = _value(extra, name, True)
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false")
    return value


def _texts(given: Any, name: str) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise ConfigError(f"{name} must be a list of texts")
    return tuple(given)


def _value(extra: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """Return a value of the extra, which is a text where the connection is written as a URI."""
    value = extra.get(name, default)
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            return json.loads(value.lower() if value.lower() in ("true", "false") else value)
    return value


@lru_cache(maxsize=256)  # once a process: a connection is understood at each look
def _warn_once(conn_id: str, word: str) -> None:
    log.warning(
        "connection %r has %r in its extra; here that is an argument of the hook, the sensor or the operator",
        conn_id,
        word,
    )
