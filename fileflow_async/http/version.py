"""Which version of what is at an endpoint an answer had."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What changes with what is at an endpoint."""

    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Version | None":
        """Return what an answer says; None where it says nothing."""
        version = cls(etag=headers.get("ETag"), last_modified=headers.get("Last-Modified"))
        return None if version == cls() else version

    def differs(self, other: "Version") -> bool:
        """Tell whether the other is another, by the best that both have."""
        if self.etag is not None and other.etag is not None:
            return self.etag.removeprefix("W/") != other.etag.removeprefix("W/")
        if self.last_modified is not None and other.last_modified is not None:
            return self.last_modified != other.last_modified
        return self != other
