"""From the URI of a root to an open storage."""

import os
import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, unquote

from fileflow_async.config import check_root
from fileflow_async.errors import ConfigError, TargetNameError, quoted

if TYPE_CHECKING:  # ADR 0030
    from fileflow_async.storage.protocol import Storage
    from fileflow_async.storage.retry import Budget
    from fileflow_async.storage.s3_settings import S3Settings

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters or more: C: is a drive of Windows
_EXPECTED = {"file": "file:///path", "s3": "s3://bucket/prefix"}
_HOST = re.compile(r"[^:@]*(?::\d{1,5})?")
_PASSWORD = re.compile(r":(?!//)[^@]*@")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNQUOTED = "/=,@+:"  # beside letters, digits and _.-~: as in keys, so that a URI reads alike throughout


@dataclass(frozen=True, slots=True)
class LocalRoot:
    """A folder of this machine, or of a share that it has mounted; its text is the `file:///` URI.

    Attributes:
        directory: Its absolute path.
    """

    directory: str

    def __str__(self) -> str:
        return f"file://{quote(self.directory, safe=_UNQUOTED)}"


@dataclass(frozen=True, slots=True)
class S3Root:
    """A bucket, or a part of it; its text is the `s3://` URI.

    Attributes:
        bucket: Its name.
        prefix: What the keys begin with, without a slash at its end; empty for the whole bucket.
    """

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".removesuffix("/")


Root = LocalRoot | S3Root


def parse_root(root: str | os.PathLike[str], *, allowed_buckets: Collection[str] = ()) -> Root:
    """Return the root that a URI or an absolute path names.

    The bucket and prefix of S3 are taken as they are, as by the AWS command line; a `file:///` URI is
    percent-decoded, a path is not. One slash at the end means nothing.

    Args:
        root: `s3://bucket/prefix`, `file:///path` or `/path`.
        allowed_buckets: Which buckets it may name; any when there are none.

    Raises:
        ConfigError: It is none. The message never holds credentials, whatever was given.
    """
    text = _checked(check_root(root))
    if text.startswith("/"):
        return _local(text)
    if not (scheme := _SCHEME.match(text)):
        raise ConfigError(f"root {quoted(text)} must be absolute", hint="Write it as /path or file:///path.")
    if (kind := scheme[1].lower()) not in _EXPECTED:
        raise ConfigError(f"storage scheme {quoted(scheme[1])} is not supported; use file or s3")
    if not text.startswith(f"{kind}://"):
        raise _invalid(text, kind)
    return _local(_path_in(text)) if kind == "file" else _s3(text, allowed_buckets)


def target_of_uri(uri: str) -> tuple[str, str]:
    """Return the root and the key of the target that a URI names.

    The key is the last four parts, or five when the last but one is `map=<index>`; the rest is the root. (A
    task cannot be called that: Airflow allows no `=`.) The key is taken as it is, so that the URI is
    `<root>/<key>` whatever the ids in it are. The root is returned as the URI that `parse_root` makes of it.

    Raises:
        TargetNameError: It has too few parts, or its end cannot be a target's key.
        ConfigError: Its beginning cannot be a root.
    """
    if not isinstance(uri, str):
        raise TargetNameError(f"the URI of a target must be a string, got {type(uri).__name__}")
    parts = uri.split("/")
    length = 5 if re.fullmatch(r"map=\d+", "".join(parts[-2:-1])) else 4
    root, key = "/".join(parts[:-length]), "/".join(parts[-length:])
    if root.rstrip("/") in ("", "file:", "s3:"):
        _refuse_credentials(uri)
        raise TargetNameError(
            f"{quoted(uri)} is not the URI of a target: <root>/<dag>/<slot>/<task>[/map=<i>]/<name>"
        )
    from fileflow_async.target import check_key

    return str(parse_root(root)), check_key(key)


@asynccontextmanager
async def open_storage(
    root: Root | str | os.PathLike[str],
    *,
    s3_settings: "S3Settings | None" = None,
    durability: Literal["fsync", "none"] = "fsync",
    create: bool = False,
    budget: "Budget | None" = None,
) -> "AsyncIterator[Storage]":
    """Open the storage of a root, and close it when the block ends.

    Args:
        root: As `parse_root` understands it, or what that has returned.
        s3_settings: How to reach S3, for a root that is there; by default as the machine is set up.
        durability: Whether files survive a loss of power (`fsync`), for a root on disk.
        create: Make the folder of a root on disk where it is missing. A bucket is never made.
        budget: How long S3's faults that may pass are waited out; by default with patience.

    Raises:
        ConfigError: The root is none, or not a folder.
        StorageUnavailableError: The folder does not exist.
        TargetAccessError: It may not be used, or not be made.
    """
    where = root if isinstance(root, Root) else parse_root(root)
    if isinstance(where, LocalRoot):
        from fileflow_async.storage.local import LocalStorage

        async with LocalStorage(where.directory, durability=durability, create=create) as local:
            yield local
    else:
        from fileflow_async.storage.retry import PATIENT
        from fileflow_async.storage.s3 import S3Settings, S3Storage

        settings = s3_settings or S3Settings()
        async with S3Storage(where.bucket, where.prefix, settings, budget=budget or PATIENT) as s3:
            yield s3


def _checked(text: str) -> str:
    _refuse_credentials(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError("root is not valid Unicode text") from None
    if "?" in text:
        raise _unclean()
    return text


def _refuse_credentials(text: str) -> None:
    """Refuse whatever may be a name with a password, in any scheme, however badly it is written."""
    if text.startswith(("/", "file:///")):
        return
    host = text.partition("://")[2].partition("/")[0]
    if not _HOST.fullmatch(host) or _PASSWORD.search(text):
        raise ConfigError("credentials in the root URI are not accepted; use an Airflow connection")


def _unclean() -> ConfigError:
    return ConfigError("root must not contain '..', empty parts or '?'")


def _invalid(uri: str, kind: str) -> ConfigError:
    return ConfigError(f"root {quoted(uri)} is not a valid URI; expected {_EXPECTED[kind]}")


def _clean(text: str) -> str:
    """Return a path or a prefix without the slash at its end."""
    text = text.removesuffix("/")
    if any(part in ("", ".", "..") for part in text.split("/")):
        raise _unclean()
    if any(ord(character) < 32 for character in text):
        raise ConfigError(f"root {quoted(text)} must not contain control characters")
    return text


def _path_in(uri: str) -> str:
    host, slash, path = uri.removeprefix("file://").partition("/")
    if host:
        raise ConfigError(f"root {quoted(uri)} names the host {quoted(host)}; expected {_EXPECTED['file']}")
    if slash and not _BROKEN_ESCAPE.search(path):
        with suppress(UnicodeDecodeError):
            return unquote(f"/{path}", errors="strict")
    raise _invalid(uri, "file")


def _local(path: str) -> LocalRoot:
    if path == "/":
        raise ConfigError("root is the whole file system; name a folder in it")
    return LocalRoot(f"/{_clean(path[1:])}")


def _s3(uri: str, allowed_buckets: Collection[str]) -> S3Root:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise _invalid(uri, "s3")
    from fileflow_async.storage.s3_place import Place

    Place(bucket)  # which raises if it cannot be one
    if allowed_buckets and bucket not in allowed_buckets:
        raise ConfigError(f"bucket {quoted(bucket)} is not in allowed_buckets")
    return S3Root(bucket, _clean(prefix) if prefix else "")
