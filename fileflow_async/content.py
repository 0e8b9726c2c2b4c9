"""What kind of data an attempt writes."""

from dataclasses import dataclass
from typing import TypedDict

from fileflow_async.formats.compression import EXTENSIONS, check_compression
from fileflow_async.formats.encoding import check_encoding
from fileflow_async.formats.registry import find, refuse_unsafe
from fileflow_async.storage.protocol import BINARY
from fileflow_async.target import check_extension


class ContentOptions(TypedDict, total=False):
    """What may be said of the data of an attempt when it begins; all of it is optional.

    Attributes:
        format: What the data is: text, bytes, json, jsonl, csv, parquet, arrow, or a word of your own.
        extension: The end of the data's name; by default the format's.
        content_type: Its media type; by default the format's.
        encoding: How text given to `write` becomes bytes.
        compression: How the data given is compressed already: gzip or zstd.
    """

    format: str | None
    extension: str | None
    content_type: str | None
    encoding: str | None
    compression: str | None


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
        ending, kind = format, BINARY  # a word of the user's own, where no format has that name
        if format is not None:
            refuse_unsafe(format)
            if (known := find(format)) is not None:
                ending, kind = known.extensions[0], known.content_type
        check_compression(compression)
        check_encoding(encoding)
        if compression is not None and ending is not None:
            ending = f"{ending}.{EXTENSIONS[compression]}"
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
