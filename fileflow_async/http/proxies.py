"""Which proxy is between us and an endpoint."""

import base64
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from urllib.request import (  # type: ignore[attr-defined]  # typeshed has the second for some systems only
    getproxies_environment,
    proxy_bypass_environment,
)

from yarl import URL

from fileflow_async.http.request import Pairs
from fileflow_async.http.settings import HttpSettings


@dataclass(frozen=True, slots=True)
class Way:
    """How a request gets to its server.

    Attributes:
        options: What aiohttp is told of a proxy.
        headers: What a proxy takes out of the request itself.
    """

    options: dict[str, Any] = field(default_factory=dict, repr=False)
    headers: Pairs = field(default=(), repr=False)


def way_to(settings: HttpSettings, url: str) -> Way:
    """Return the way to a URL: that of the connection, else that of the environment, else the direct one.

    aiohttp would ask the environment itself, but then sends what is in `~/.netrc` as well.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    proxies = dict(settings.proxies)
    if not proxies and settings.trust_env and not proxy_bypass_environment(parts.netloc):
        proxies = getproxies_environment()
    if not (found := proxies.get(scheme) or proxies.get("all")):
        return Way()
    proxy = URL(found if "://" in found else f"http://{found}")
    bare = {"proxy": proxy.with_user(None)}
    if proxy.user is None:
        return Way(bare)
    credentials = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
    header = ("Proxy-Authorization", f"Basic {credentials}")
    # With https the request itself is none of the proxy's business; it gets one of its own before.
    return Way({**bare, "proxy_headers": dict([header])}) if scheme == "https" else Way(bare, (header,))
