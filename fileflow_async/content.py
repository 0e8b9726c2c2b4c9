"""What kind of data an attempt writes."""

import codecs
from dataclasses import dataclass

from fileflow_async.errors import ConfigError, quoted
from fileflow_async.storage.protocol import BINARY
from fileflow_async.target import check_extension

_UNSAFE = frozenset({"pickle", "pkl", "joblib", "dill", "cloudpickle"})  # reading them runs what is in them
_KINDS = {  # format -> extension, content type
    "text": ("txt", "text/plain"),
    "bytes": ("bin", BINARY),
    "json": ("json", "application/json"),
    "jsonl": ("jsonl", "application/x-ndjson"),
    "csv": ("csv", "text/csv"),
    "parquet": ("parquet", "application/vnd.apache.parquet"),
    "arrow": ("arrow", "application/vnd.apache.arrow.file"),
}
_COMPRESSIONS = {"gzip": "gz", "zstd": "zst"}  # compression -> extension


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What kind of data an attempt writes: what its name and its record say of it."""

    format: str | None = None
    extension: str | None = None
    content_type: str = BINARY
    encoding: str | None = None
    compression: str | None = None

    @classmethod
    def of(
        cls,
        format: str | None = None,
        *,
        extension: str | None = None,
        content_type: str | None = None,
        encoding: str | None = None,
        compression: str | None = None,
    ) -> "Content":
        """Complete what was asked for, and refuse what cannot be.

        Raises:
            ConfigError: A format is unsafe, an encoding or a compression unknown.
            TargetNameError: The extension cannot be one.
        """
        if format is not None and format.lower() in _UNSAFE:
            raise ConfigError(f"format {format!r} is not supported (unsafe); use parquet, csv, json or bytes")
        if compression is not None and compression not in _COMPRESSIONS:
            known = ", ".join(_COMPRESSIONS)
            raise ConfigError(f"unknown compression {quoted(compression)}; known: {known}")
        _check_encoding(encoding)
        ending, kind = _KINDS.get(format or "", (format, BINARY))
        if ending is not None and compression is not None:
            ending = f"{ending}.{_COMPRESSIONS[compression]}"
        ending = extension or ending
        if ending is not None:
            check_extension(ending)
        return cls(
            format=format,
            extension=ending,
            content_type=content_type or kind,
            encoding=encoding,
            compression=compression,
        )


def _check_encoding(encoding: str | None) -> None:
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise ConfigError(f"unknown encoding {quoted(encoding)}") from error
