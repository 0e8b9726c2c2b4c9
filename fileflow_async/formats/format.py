"""What a format promises, executed by `testing.format_contract`."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar, Self

from fileflow_async.errors import ConfigError
from fileflow_async.formats.compression import check_compression
from fileflow_async.formats.encoding import check_encoding, is_utf8
from fileflow_async.formats.kinds import Kind, check_kind
from fileflow_async.manifest import Manifest

BINARY = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of data beside its bytes; a commit record has it all.

    Attributes:
        format: The name of its format.
        name: How messages call it.
        encoding: That of its text; None is UTF-8.
        compression: How it is compressed: gzip, zstd or not at all.
        columns: The names and the types of its columns, where they were recorded.
        size: Its bytes as they are stored, where that is known.
    """

    format: str | None = None
    name: str = "data"
    encoding: str | None = None
    compression: str | None = None
    columns: Sequence[tuple[str, str]] | None = None
    size: int | None = None

    @property
    def length(self) -> int | None:
        """How many bytes reach the format; None where that is not known, or depends on what they are."""
        return self.size if self.compression is None and is_utf8(self.encoding) else None

    @classmethod
    def of(cls, record: Manifest) -> Self:
        """Take them from a commit record."""
        return cls(
            format=record.format,
            name=record.data,
            encoding=record.encoding,
            compression=record.compression,
            columns=record.columns,
            size=record.size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a format found out about data while it wrote it; all of it is optional.

    Attributes:
        rows: How many there are.
        columns: Their names and types.
        stats: By column: `nulls`, and where they make sense `sum`, `min` and `max`.
    """

    rows: int | None = None
    columns: Sequence[tuple[str, str]] | None = None
    stats: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format(ABC):
    """One way to turn values into bytes and back; what can be chosen about it are its fields.

    The methods are plain synchronous code. They run in a thread of their own, in one hop, and the file that
    they get moves its bytes to and from the event loop while they work: it can be read or written from its
    start to its end, but not sought in. What they raise about the data must be a FormatError.

    Attributes:
        name: What users and records call it.
        extensions: The ends of the names of its data; what is written gets the first.
        content_type: The media type of its data.
        kinds: What it can be read as; the first is the default.
        is_text: Whether its data is text. The file then always speaks UTF-8: other encodings, and errors in
            the data's own, are dealt with on the way. Such data can also be read as str.
        is_compressible: Whether compressing its data makes sense.
    """

    name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    content_type: ClassVar[str] = BINARY
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.ANY,)
    is_text: ClassVar[bool] = False
    is_compressible: ClassVar[bool] = True

    @abstractmethod
    def write(self, value: Any, file: IO[bytes]) -> Summary | None:
        """Write a value; one that was given as an async iterable arrives as an iterator.

        Raises:
            FormatError: The value cannot be written in this format.
        """

    @abstractmethod
    def read(self, file: IO[bytes], kind: Any, facts: Facts) -> Any:
        """Read a value back.

        Args:
            file: The data, decompressed.
            kind: What `kind_of` returned.
            facts: What else is known of it.

        Raises:
            FormatError: The data is not in this format.
        """

    def batches(self, file: IO[bytes], kind: Any, facts: Facts) -> Iterator[Any]:
        """Read a value in batches, in bounded memory where the format allows that; by default it does not."""
        yield self.read(file, kind, facts)

    def check(self, *, encoding: str | None, compression: str | None) -> None:
        """Refuse what its bytes cannot be given.

        Raises:
            ConfigError: The encoding or the compression is unknown, or makes no sense here.
        """
        check_encoding(encoding)
        if check_compression(compression) and not self.is_compressible:
            raise ConfigError(f"format {self.name!r} compresses its data itself; leave compression= out")

    def kind_of(self, wanted: Any) -> Any:
        """Return what a user wants the data as, in the words that `read` understands.

        Raises:
            ConfigError: This format is not read as such a thing.
        """
        return check_kind(wanted, self.kinds, self.name)
