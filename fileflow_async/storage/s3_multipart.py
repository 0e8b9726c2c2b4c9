"""One multipart upload: begun, filled, completed or taken back."""

import logging
from collections.abc import Sequence
from typing import Any

from fileflow_async.errors import FileflowError, TargetNotFoundError
from fileflow_async.storage.protocol import Entry
from fileflow_async.storage.retry import BRIEF
from fileflow_async.storage.s3_abilities import checked, encryption, only_new
from fileflow_async.storage.s3_checksum import as_text, update
from fileflow_async.storage.s3_client import Abilities
from fileflow_async.storage.s3_explain import WRITE, AbortedError, ReplacedError
from fileflow_async.storage.s3_reply import crc32_of, date_of, etag_of
from fileflow_async.storage.s3_requests import SLOWEST, Requests
from fileflow_async.storage.s3_uploads import abort, uploads
from fileflow_async.storage.s3_write import Writer

_TAKING_BACK = 15.0  # seconds; what is left then is a matter for `abandon`, or for a lifecycle rule
_PATIENCE = 600 * SLOWEST  # S3 may take minutes to put thousands of parts together

log = logging.getLogger(__name__)


class Multipart:
    """An upload in parts, to one key.

    Args:
        writer: Of the storage.
        key: Where the object is to stand.
        content_type: Of the object.
        can: What the server understands.
    """

    def __init__(self, writer: Writer, key: str, *, content_type: str, can: Abilities) -> None:
        self._writer = writer
        self._requests = writer.requests
        self._key = key
        self._name = writer.place.key(key)
        self._uri = writer.place.uri(key)
        self._content_type = content_type
        self._can = can
        self._tries = 0
        self._id = ""
        self._keeps: str | None = None  # FULL_OBJECT, or another kind of checksum, or none

    async def begin(self) -> None:
        """Open it."""
        wanted = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"} if self._can.checksums else {}

        async def once(client: Any) -> dict[str, Any]:
            self._tries += 1
            return await self._requests.ask(
                client,
                "create_multipart_upload",
                needs="UploadId",
                Key=self._name,
                ContentType=self._content_type,
                **encryption(self._requests.shared.settings),
                **wanted,
            )

        answer = await self._requests.run(WRITE, self._uri, once)
        self._id = answer["UploadId"]
        self._keeps = answer.get("ChecksumType") or answer.get("ChecksumAlgorithm")

    async def send(self, number: int, part: bytes) -> dict[str, Any]:
        """Store one part; return what completing it takes."""
        sums = await checked(part, self._can) if self._keeps else {}
        answer = await self._requests.call(
            WRITE,
            self._uri,
            "upload_part",
            size=len(part),
            needs="ETag",
            Key=self._name,
            UploadId=self._id,
            PartNumber=number,
            Body=part,
            **sums,
        )
        sums.pop("ChecksumAlgorithm", None)
        return {"PartNumber": number, "ETag": answer["ETag"], **sums}

    async def complete(self, parts: Sequence[dict[str, Any]], *, size: int, crc32: int) -> Entry:
        """Make the object of the parts.

        Raises:
            TargetSupersededError: Another stands there already.
            AbortedError: Somebody took the upload back.
        """
        whole = (
            {"ChecksumType": "FULL_OBJECT", "ChecksumCRC32": as_text(crc32)}
            if self._keeps == "FULL_OBJECT"
            else {}
        )
        try:
            await self._writer.keep(self._key, self._can)
            answer = await self._requests.call(
                WRITE,
                self._uri,
                "complete_multipart_upload",
                size=_PATIENCE,
                needs="ETag",
                Key=self._name,
                UploadId=self._id,
                MultipartUpload={"Parts": parts},
                **whole,
                **only_new(self._can),
            )
        except (AbortedError, ReplacedError) as error:
            # So it is when a first try has done its work, and its reply was lost.
            return await self._standing(size, crc32, error)
        return Entry(self._key, size, date_of(answer, default=self._requests.clock.time()), etag_of(answer))

    async def _standing(self, size: int, crc32: int, error: FileflowError) -> Entry:
        """Return what stands under the key when it is ours."""
        try:
            found = await self._writer.reader.head(self._key)
        except TargetNotFoundError:
            if isinstance(error, AbortedError):
                raise error from None
            raise self._writer.contradicted(self._key) from None
        if found["ContentLength"] != size or await self._crc32_of(found) != as_text(crc32):
            raise self._writer.superseded(self._key)
        return await self._writer.reader.stat(self._key)

    async def _crc32_of(self, found: dict[str, Any]) -> str:
        if told := crc32_of(found):
            return told
        value = 0  # the store does not know it: read it all, which is seldom needed and always right
        async with self._writer.reader.stream(self._key, etag=etag_of(found)) as pieces:
            async for piece in pieces:
                value = await update(piece, value)
        return as_text(value)

    async def tidy(self) -> None:
        """Take back an upload of which we never heard, because the reply was lost."""
        if self._tries > 1:
            await self.take_back()

    async def _take_back_others(self, requests: Requests) -> None:
        # Replies were lost, and with them names of uploads. The key is nobody else's: they are all ours.
        for each in await uploads(requests, self._writer.place, self._name):
            if each.name == self._name:
                await abort(requests, self._uri, self._name, each.id)

    async def take_back(self) -> None:
        """Leave no part behind; a failure is only logged, for the error that led here matters more."""
        requests = self._requests.with_budget(BRIEF)
        try:
            async with requests.clock.timeout(_TAKING_BACK):
                if self._id:
                    await abort(requests, self._uri, self._name, self._id)
                if self._tries > 1 or not self._id:
                    await self._take_back_others(requests)
        except Exception as error:
            log.warning("%s: some of its parts may be left behind (%s)", self._uri, type(error).__name__)
