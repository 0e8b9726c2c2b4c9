"""What the headers of an S3 answer tell."""

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from fileflow_async.storage.s3_errors import NotS3Error

_PAGE = re.compile(r"text/html|application/xhtml")
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_OURS = ("x-amz", "x-goog-")  # some header of this kind is in every answer of every S3 server


def refuse_strangers(response_dict: Mapping[str, Any], **_: Any) -> None:
    """Raise NotS3Error on a web page: a captive portal says 200, or 404, to anything.

    Runs before botocore parses an answer. A server in trouble (500, 429) may say so on a page.
    """
    headers = response_dict["headers"]
    status = response_dict["status_code"]
    strange = _PAGE.match(headers.get("content-type", "")) and not any(
        name.lower().startswith(_OURS) for name in headers
    )
    if strange and status < 500 and status != 429:
        raise NotS3Error(content_type(headers))


def content_type(headers: Mapping[str, str]) -> str:
    """Return the kind of the body, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip()[:80] or "no content type"


def headers_of(answer: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the headers of an answer, by their names in lower case."""
    headers: Mapping[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
    return headers


def date_of(answer: Mapping[str, Any], *, default: float) -> float:
    """Return the store's clock when it answered, in seconds since 1970."""
    try:
        return parsedate_to_datetime(headers_of(answer)["date"]).timestamp()
    except (KeyError, ValueError):
        return default


def etag_of(answer: Mapping[str, Any]) -> str:
    """Return the object's ETag without its quotes."""
    return unquoted(answer["ETag"])


def unquoted(etag: str) -> str:
    """Return an ETag as we keep it."""
    return etag.strip('"')


def quoted(etag: str) -> str:
    """Return an ETag as S3 wants it."""
    return f'"{etag}"'


def modified_of(answer: Mapping[str, Any]) -> float:
    """Return when the object was last modified, in seconds since 1970; 0.0 where S3 does not tell."""
    modified = answer.get("LastModified")
    return modified.timestamp() if isinstance(modified, datetime) else 0.0


def range_of(answer: Mapping[str, Any]) -> tuple[int, int]:
    """Return the first byte that is being sent, and the size of the whole object."""
    if found := _RANGE.fullmatch(answer.get("ContentRange") or ""):
        return int(found[1]), int(found[2])
    return 0, int(answer["ContentLength"])


def crc32_of(answer: Mapping[str, Any]) -> str | None:
    """Return the CRC32 of the whole object; None where the store has none, or one of its parts' only."""
    checksum: str | None = answer.get("ChecksumCRC32")
    return None if checksum and "-" in checksum else checksum
