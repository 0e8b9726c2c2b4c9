"""An answer whose body is still to be read."""

from collections.abc import AsyncIterator, Mapping

import aiohttp

from fileflow_async.errors import EndpointError
from fileflow_async.http.answer import Answer
from fileflow_async.http.body import TooLargeError, bounded, unpacked
from fileflow_async.http.faults import translated
from fileflow_async.http.statuses import GOOD


class Response:
    """The head of an answer, and the way to its body.

    Attributes:
        url: Who answers, as it may be shown.
        what: The request, as it may be shown.
        status: The code.
        headers: The head; names in any case.
        retry_after: In how many seconds the server wants to be asked again, where it says so.
    """

    def __init__(
        self, response: aiohttp.ClientResponse, *, url: str, what: str, retry_after: float | None
    ) -> None:
        self.url = url
        self.what = what
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self.retry_after = retry_after
        self._response = response

    @property
    def encoding(self) -> str:
        """How the body is compressed; empty where it is not."""
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        return "" if encoding == "identity" else encoding

    async def packed(self) -> AsyncIterator[bytes]:
        """Yield the body as it is sent.

        Raises:
            EndpointUnavailableError: It breaks off.
        """
        content = self._response.content
        while True:
            with translated(self.what):
                piece = await content.readany()
            if not piece:
                return
            yield piece

    def pieces(self, most: int | None = None) -> AsyncIterator[bytes]:
        """Yield the body without its compression.

        Raises:
            TooLargeError: It is larger than so many bytes.
            EndpointAnswerError: Its compression cannot be undone.
            EndpointUnavailableError: It breaks off.
        """
        return bounded(unpacked(self.packed(), self.encoding, self.what), most, self.what)

    async def answer(self, most: int | None) -> Answer:
        """Read the body, and return the whole answer; without the body where that is too large.

        Raises:
            EndpointError: The body of a good answer cannot be read; that of another is not missed.
        """
        body, is_whole = bytearray(), True
        try:
            async for piece in self.pieces(most):
                body += piece
        except TooLargeError:
            is_whole = False
        except EndpointError:
            if self.status in GOOD:
                raise
            is_whole = False
        return Answer(
            url=self.url,
            status=self.status,
            headers=self.headers,
            body=bytes(body) if is_whole else b"",
            is_whole=is_whole,
            retry_after=self.retry_after,
        )
