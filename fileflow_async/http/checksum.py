"""Checksums that somebody says a body has."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fileflow_async.errors import ConfigError, EndpointAnswerError, quoted

# Best first; what a server calls them, and what hashlib does.
_ALGORITHMS = {"sha-512": "sha512", "sha-256": "sha256", "sha": "sha1", "md5": "md5"}
_HEADERS = ("Repr-Digest", "Content-Digest", "Digest")  # RFC 9530, and what it replaced
_CLAIM = re.compile(r"(?:^|,)\s*([A-Za-z0-9-]+)\s*=\s*:?([A-Za-z0-9+/]+=*):?\s*(?=,|;|$)")
_GIVEN = re.compile(r"(sha512|sha256|sha1|md5):([0-9A-Fa-f]+)")


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a hash of the bytes must be.

    Attributes:
        algorithm: As hashlib calls it.
        digest: The hash.
        source: Who says so.
    """

    algorithm: str
    digest: bytes
    source: str

    def begin(self) -> Any:
        """Return a hash of no bytes."""
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def check(self, found: Any, what: str) -> None:
        """Compare.

        Raises:
            EndpointAnswerError: The bytes are others.
        """
        if found.digest() != self.digest:
            raise EndpointAnswerError(
                f"{what}: {self.algorithm} is {found.hexdigest()}, "
                f"expected {self.digest.hex()} by {self.source}"
            )


def parse_checksum(text: object) -> Checksum:
    """Return what people write as `sha256:e3b0…`.

    Raises:
        ConfigError: It is none.
    """
    found = _GIVEN.fullmatch(text) if isinstance(text, str) else None
    if found is None or len(found[2]) != 2 * hashlib.new(found[1], usedforsecurity=False).digest_size:
        raise ConfigError(f"checksum must be such as 'sha256:' with 64 digits, got {quoted(text)}")
    return Checksum(found[1], bytes.fromhex(found[2]), "the argument checksum")


def claimed(headers: Mapping[str, str]) -> Checksum | None:
    """Return the best checksum that a head has for the bytes that are sent; None where it has none."""
    for header in _HEADERS:
        claims = {name.lower(): value for name, value in _CLAIM.findall(headers.get(header, ""))}
        for name, algorithm in _ALGORITHMS.items():
            if name in claims and (digest := _decoded(claims[name], algorithm)) is not None:
                return Checksum(algorithm, digest, f"the header {header}")
    if (digest := _decoded(headers.get("Content-MD5", ""), "md5")) is not None:
        return Checksum("md5", digest, "the header Content-MD5")
    return None


def _decoded(text: str, algorithm: str) -> bytes | None:
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) == hashlib.new(algorithm, usedforsecurity=False).digest_size else None
