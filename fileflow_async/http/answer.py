"""What an endpoint answered to one look."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from fileflow_async.errors import EndpointAnswerError

_LARGE = 64 * 1024  # bytes of JSON that take a millisecond to parse


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A status, a head and a body within the limit; its text shows neither head nor body.

    Attributes:
        url: Who answered, as it may be shown.
        status: The code.
        headers: The head; names in any case.
        body: What came, unpacked; of one that is larger than it may be, nothing.
        is_whole: Whether that is all of it.
        retry_after: In how many seconds the server wants to be asked again, where it says so.
    """

    url: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    is_whole: bool = True
    retry_after: float | None = None

    @property
    def size(self) -> int | None:
        """The bytes of the body, where they are known."""
        return len(self.body) if self.is_whole else None

    @cached_property
    def sha256(self) -> str | None:
        """The hash of the body, where it is whole."""
        return sha256(self.body).hexdigest() if self.is_whole else None

    @property
    def content_type(self) -> str:
        """The media type, in small letters and without its parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @cached_property
    def text(self) -> str:
        """The body as text, by the charset that the head names; what is none of it is replaced."""
        charset = "utf-8"
        for parameter in self.headers.get("Content-Type", "").split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "charset":
                charset = value.strip().strip("\"'")
        try:
            return self.body.decode(charset, "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")

    @property
    def is_large(self) -> bool:
        """Whether parsing it would hold an event loop up."""
        return len(self.body) > _LARGE

    def json(self) -> Any:
        """Return the value that the body is, the same object each time.

        Raises:
            EndpointAnswerError: It is not JSON, or was too large to be kept.
        """
        if isinstance(self._parsed, EndpointAnswerError):
            raise self._parsed
        return self._parsed

    @cached_property
    def _parsed(self) -> Any:
        if not self.is_whole:
            return EndpointAnswerError("the body is larger than it may be")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return EndpointAnswerError("the body is not JSON")
