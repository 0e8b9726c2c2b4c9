"""Multipart uploads that somebody left open."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fileflow_async.storage.s3_explain import ABORT, UPLOADS, AbortedError
from fileflow_async.storage.s3_place import Place
from fileflow_async.storage.s3_requests import Requests


@dataclass(frozen=True, slots=True)
class Upload:
    """One of them.

    Attributes:
        name: The key in the bucket.
        id: Its own.
        begun: When, in seconds since 1970.
    """

    name: str
    id: str
    begun: float


async def uploads(requests: Requests, place: Place, prefix: str) -> list[Upload]:
    """Return the uploads under way to keys of the bucket that begin with `prefix`."""
    found: list[Upload] = []
    marker: dict[str, Any] = {}
    while True:
        answer = await requests.call(
            UPLOADS, place.root, "list_multipart_uploads", needs="Bucket", Prefix=prefix, **marker
        )
        found += [
            Upload(each["Key"], each["UploadId"], each["Initiated"].timestamp())
            for each in answer.get("Uploads", ())
        ]
        if not answer.get("IsTruncated"):
            return found
        marker = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}


async def abort(requests: Requests, uri: str, name: str, upload: str) -> None:
    """Take one back; it is no error when it is gone."""
    with suppress(AbortedError):
        await requests.call(ABORT, uri, "abort_multipart_upload", Key=name, UploadId=upload)
