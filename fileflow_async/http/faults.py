"""What went wrong between us and an endpoint, in our own words."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime

import aiohttp

from fileflow_async.errors import (
    ConfigError,
    EndpointError,
    EndpointRefusedError,
    EndpointUnavailableError,
    FileflowError,
)
from fileflow_async.http.statuses import GOOD, PASSING

_LONGEST = 3600.0  # seconds: a server that wants to be left alone for a day shall be asked once an hour


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise the errors of a client as ours.

    None of them is chained: their texts have URLs, and those may have secrets.

    Args:
        what: The request, as it may be shown.

    Raises:
        EndpointUnavailableError: What may pass.
        EndpointRefusedError: What will not.
        ConfigError: It cannot be asked at all.
    """
    try:
        yield
    except FileflowError:
        raise
    except Exception as error:
        if (ours := _explained(what, error)) is None:
            raise
        raise ours from None


def _explained(what: str, error: Exception) -> FileflowError | None:
    match error:
        case aiohttp.InvalidURL() | UnicodeError():
            return ConfigError(f"{what}: the address cannot be understood")
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            return EndpointRefusedError(f"{what}: the certificate of the server is not to be believed")
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch() | ssl.SSLError():
            return EndpointRefusedError(f"{what}: no encrypted connection could be agreed upon")
        case aiohttp.ClientHttpProxyError():
            kind = EndpointRefusedError if error.status in (401, 403, 407) else EndpointUnavailableError
            return kind(f"{what}: the proxy answered {error.status}")
        case aiohttp.ClientConnectorDNSError():
            return _untouched(f"{what}: the name of the server is not known")
        case TimeoutError():
            return EndpointUnavailableError(f"{what}: no answer in time")
        case aiohttp.ServerDisconnectedError():
            return EndpointUnavailableError(f"{what}: the server closed the connection without an answer")
        case aiohttp.ClientPayloadError():
            return EndpointUnavailableError(f"{what}: the body broke off")
        case aiohttp.ClientConnectorError():
            return _untouched(f"{what}: no connection ({_reason(error.os_error)})")
        case aiohttp.ClientResponseError():
            return EndpointUnavailableError(f"{what}: the answer is not HTTP")
        case aiohttp.ClientError() | OSError():
            return EndpointUnavailableError(f"{what}: the connection broke ({_reason(error)})")
    return None


def _reason(error: BaseException) -> str:
    """Return why, without an exception's own text: it has addresses."""
    return getattr(error, "strerror", None) or type(error).__name__


def _untouched(message: str) -> EndpointUnavailableError:
    error = EndpointUnavailableError(message)
    error.is_untouched = True
    return error


def failed(status: int, retry_after: float | None, what: str) -> EndpointError | None:
    """Return the error that a status stands for; None where it is a good one."""
    if status in GOOD:
        return None
    if status not in PASSING - {404}:
        return EndpointRefusedError(f"{what}: HTTP {status}")
    error = EndpointUnavailableError(f"{what}: HTTP {status}")
    error.retry_after = retry_after
    error.is_untouched = status == 429
    return error


def seconds_until(retry_after: str | None, now: float) -> float | None:
    """Return for how long a Retry-After header asks for a pause; at most an hour, None where it says nothing.

    Args:
        retry_after: Seconds, or a date.
        now: In seconds since 1970.
    """
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(_LONGEST, float(text[:9]))
    try:
        moment: datetime = parsedate_to_datetime(text)
        return min(_LONGEST, max(0.0, moment.timestamp() - now))
    except (TypeError, ValueError, OverflowError):
        return None
