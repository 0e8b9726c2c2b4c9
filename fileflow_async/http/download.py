"""One body of any size, over connections that break."""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fileflow_async.clock import Clock
from fileflow_async.errors import EndpointAnswerError, EndpointUnavailableError
from fileflow_async.http.body import bounded, unpacked
from fileflow_async.http.checksum import Checksum, claimed
from fileflow_async.http.client import Client
from fileflow_async.http.faults import failed
from fileflow_async.http.patience import Patience, Tries
from fileflow_async.http.request import Pairs, Request
from fileflow_async.http.response import Response
from fileflow_async.http.settings import Limits
from fileflow_async.http.version import Version

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")

Write = Callable[[bytes], Awaitable[None]]
Progress = Callable[[int, int | None], None]

log = logging.getLogger(__name__)


class ChangedError(EndpointAnswerError):
    """What is there has changed while it was downloaded."""


class Download:
    """A download that goes on where it broke off, as long as the server says that it is the same.

    Args:
        client: Borrowed.
        request: What is asked.
        limits: Of each connection; `max_size` is that of the whole.
        patience: How often in a row nothing may come of a connection.
        clock: Where the time comes from.
        checksum: What must have come in the end.
        progress: Told how many bytes have come, and of how many.

    Attributes:
        size: The bytes that have come, unpacked.
    """

    def __init__(
        self,
        client: Client,
        request: Request,
        *,
        limits: Limits,
        patience: Patience,
        clock: Clock,
        checksum: Checksum | None = None,
        progress: Progress = lambda size, total: None,
    ) -> None:
        self.size = 0
        self._client = client
        self._request = request
        self._limits = limits
        self._tries = Tries(patience, clock)
        self._progress = progress
        self._checksum = checksum
        self._given: Any = None if checksum is None else checksum.begin()
        self._head: _Head | None = None

    async def into(self, write: Write) -> None:
        """Hand all of it to a function, piece by piece and in order.

        Raises:
            EndpointUnavailableError: It cannot be brought to an end, or breaks too often.
            EndpointRefusedError: The server refuses.
            EndpointAnswerError: It has changed on the way, is too large, or is not what it should be.
        """
        while True:
            before = self.size
            try:
                await self._some(write)
                break
            except EndpointUnavailableError as error:
                if self.size > before:
                    self._tries.failures = 0
                if not self._can_resume(error) or not await self._tries.pause(error):
                    raise
                log.warning("%s; going on at byte %d", error, self.size)
        self._check()

    def _can_resume(self, error: EndpointUnavailableError) -> bool:
        if not self.size:
            return self._request.is_repeatable or error.is_untouched
        can = self._request.is_repeatable and self._head is not None and self._head.validator is not None
        if not can:
            error.add_note("It cannot go on from there: the server names no version, or packs what it sends.")
        return can

    async def _some(self, write: Write) -> None:
        """Take what one connection brings."""
        sent = self._client.send(
            self._request, limits=self._limits, headers=self._condition(), accepted="identity"
        )
        async with sent as response:
            if (error := failed(response.status, response.retry_after, response.what)) is not None:
                raise error
            known = self._begin(response)
            pieces = unpacked(self._claimed(response, known), response.encoding, response.what)
            left = None if self._limits.max_size is None else self._limits.max_size - self.size
            async for piece in bounded(pieces, left, response.what):
                await write(piece)
                self.size += len(piece)
                if self._given is not None:
                    self._given.update(piece)
                self._progress(self.size, self._total)

    async def _claimed(self, response: Response, known: int) -> AsyncIterator[bytes]:
        """Yield what was not known, and hash it as it was sent."""
        async for piece in response.packed():
            new, known = piece[known:], max(0, known - len(piece))
            if new:
                if self._head is not None and self._head.hashed is not None:
                    self._head.hashed.update(new)
                yield new

    def _condition(self) -> Pairs:
        """Return the headers that ask for the rest, if it is still the same."""
        if not self.size or self._head is None or self._head.validator is None:
            return ()
        return (("Range", f"bytes={self.size}-"), ("If-Range", self._head.validator))

    def _begin(self, response: Response) -> int:
        """Return how many bytes of an answer are known already.

        Raises:
            ChangedError: It is another than the one before.
            EndpointAnswerError: It is a part that was not asked for.
        """
        if not self.size:
            if response.status == 206:
                raise EndpointAnswerError(f"{response.what}: a part of it came, and nobody asked for a part")
            self._head = _Head(response)
            return 0
        if self._head is None or self._head.differs(response):
            raise ChangedError(
                f"{response.what}: it has changed after {self.size} bytes; nothing was published"
            )
        if response.status != 206:
            return self.size  # it knows no ranges, but has the same version
        found = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        total = self._total
        if found is None or int(found[1]) != self.size or (total and found[3] not in ("*", str(total))):
            raise EndpointAnswerError(f"{response.what}: another part of it came than the one asked for")
        return 0

    @property
    def _total(self) -> int | None:
        return None if self._head is None else self._head.total

    def _check(self) -> None:
        """Compare what came with what should have come."""
        what = self._client.shown(self._request)
        if self._total is not None and self.size != self._total:
            raise EndpointAnswerError(f"{what}: {self.size} bytes came of {self._total}")
        if self._head is not None and self._head.claim is not None:
            self._head.claim.check(self._head.hashed, what)
        if self._checksum is not None:
            self._checksum.check(self._given, what)


class _Head:
    """What the first answer says of all that is to come.

    Attributes:
        total: How many bytes; None where it does not say.
        validator: By what the rest can be asked for; None where it cannot.
        claim: What hash they have, by the server.
        hashed: What hash they have so far, as they were sent.
    """

    def __init__(self, response: Response) -> None:
        self._version = Version.of(response.headers)
        is_packed = bool(response.encoding)
        length = response.headers.get("Content-Length", "")
        has_body = response.status not in (204, 205)
        self.total = int(length) if has_body and not is_packed and length.isdigit() else None
        self.validator = None if is_packed or self._version is None else _strong(self._version)
        self.claim = claimed(response.headers)
        self.hashed: Any = None if self.claim is None else self.claim.begin()

    def differs(self, response: Response) -> bool:
        """Tell whether an answer is of another version; one that does not say is."""
        version = Version.of(response.headers)
        return self._version is None or version is None or self._version.differs(version)


def _strong(version: Version) -> str | None:
    """Return what only the same bytes have; a weak ETag is one of bytes that are as good."""
    if version.etag is not None:
        return None if version.etag.startswith("W/") else version.etag
    return version.last_modified
