"""Texts without the secrets that are sent to an endpoint."""

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

HIDDEN = "***"

_SHORT = 4  # characters: hiding every "1" and "me" would make a text unreadable, and guards nothing
_HEADER = re.compile(
    r"authorization|cookie|token|secret|passw|credential|signature|(api|access)[-_]?key|session",
    re.IGNORECASE,
)
# Exact names: a `page_token` is no secret.
_PARAMETERS = re.compile(
    r"(access_?|auth_?|refresh_?|id_?|bearer_?|private_?|security_?)?token|(x-)?(api|access|subscription)[-_]?key"
    r"|auth|authorization|pass|passw(or)?d|pwd|(client_?|shared_?)?secret|sig|signature|credentials?"
    r"|x-(amz|goog)-(signature|credential|security-token)",
    re.IGNORECASE,
)


def is_secret_header(name: str) -> bool:
    """Tell whether a header of that name holds a secret."""
    return _HEADER.search(name) is not None


def is_secret_parameter(name: str) -> bool:
    """Tell whether a parameter of that name holds a secret."""
    return _PARAMETERS.fullmatch(name) is not None


class Redactor:
    """Hides secrets that it knows, however they are written.

    Args:
        secrets: What to hide; texts of a few characters are left alone.
    """

    def __init__(self, secrets: Iterable[str | None]) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        longest_first = sorted((form for form in forms if len(form) >= _SHORT), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __repr__(self) -> str:
        return "Redactor(…)"

    def text(self, text: str) -> str:
        """Return the text with `***` in the place of each secret."""
        return text if self._known is None else self._known.sub(HIDDEN, text)

    def url(self, url: str) -> str:
        """Return a URL without the values of its query, its fragment, credentials and secrets."""
        return self.text(shown_url(url))


def shown_url(url: str) -> str:
    """Return a URL without credentials, fragment and the values of its query: any of them may be a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    query = "&".join(
        f"{name}={HIDDEN}" if separator else HIDDEN
        for name, separator, _ in (part.partition("=") for part in parts.query.split("&") if part)
    )
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def _forms(secret: str) -> set[str]:
    """Return the ways in which a secret may be written in a URL, a header or a message."""
    raw = secret.encode("utf-8", "surrogatepass")
    return {secret, quote(raw), quote(raw, safe=""), quote_plus(raw), base64.b64encode(raw).decode()}
