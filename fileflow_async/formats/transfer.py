"""Write values to drafts, and read them back from verified streams."""

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from typing import IO, Any, Protocol, cast

from fileflow_async.errors import ConfigError, FormatError
from fileflow_async.formats import registry
from fileflow_async.formats.channel import Channel, working
from fileflow_async.formats.compression import Packer, check_compression, unpacked
from fileflow_async.formats.encoding import (
    UTF8,
    Transcoder,
    as_utf8,
    check_encoding,
    decoded,
    is_utf8,
    not_valid,
)
from fileflow_async.formats.files import PIECE, Outlet, reader
from fileflow_async.formats.format import Facts, Format, Summary
from fileflow_async.formats.kinds import Kind, kind_of
from fileflow_async.manifest import Manifest

Source = bytes | AsyncIterable[bytes]
_BATCH = 1024  # records of an async iterable that are handed to the thread at a time: a hop costs 50 µs


class Content(Protocol):
    """What a draft says of its data."""

    @property
    def format(self) -> str | None: ...

    @property
    def encoding(self) -> str | None: ...

    @property
    def compression(self) -> str | None: ...


class Output(Protocol):
    """What a value is written to: a draft."""

    rows: int | None
    columns: Sequence[tuple[str, str]] | None
    stats: Mapping[str, Any]

    @property
    def content(self) -> Content: ...

    async def write(self, data: bytes, /) -> None: ...


async def write(out: Output, value: Any, **options: Any) -> None:
    """Write a value to a draft in the draft's format, and tell the draft its rows, columns and statistics.

    Args:
        out: A draft that was begun with a `format=`.
        value: What the format takes. An iterable, sync or async, is written as it goes, in bounded memory; a
            sync one is drawn from on the format's thread.
        options: Those of the format.

    Raises:
        ConfigError: The draft has no format, or an unknown one; a package is missing.
        FormatError: The value cannot be written in this format.
        TargetWriteError: It cannot be stored, or the encoding has no word for it.
        TypeError: The format has no such option.
    """
    content = out.content
    if content.format is None:
        raise ConfigError("the draft has no format; begin it with format=")
    format = registry.get(content.format, **options)
    summary = await write_to(
        out.write, value, format, encoding=content.encoding, compression=content.compression
    )
    out.rows, out.columns, out.stats = summary.rows, summary.columns, summary.stats


async def write_to(
    take: Callable[[bytes], Awaitable[object]],
    value: Any,
    format: Format | str,
    *,
    encoding: str | None = None,
    compression: str | None = None,
) -> Summary:
    """Write a value to anything that takes bytes, such as one part of a folder; see `write`."""
    format = registry.get(format)
    _check(format, encoding, compression)
    inputs = _batched(value) if isinstance(value, AsyncIterable) else None

    def work(channel: Channel[Summary]) -> Summary:
        items = value if inputs is None else (item for batch in channel.items() for item in batch)
        return _encode(format, items, channel.give, encoding, compression)

    async with working(format.name, work, inputs) as channel:
        async for piece in channel:
            await take(piece)
        return await channel.result()


async def read(
    source: Source,
    facts: Facts | Manifest,
    kind: Any = None,
    *,
    max_decoded: int | None = None,
    **options: Any,
) -> Any:
    """Read a value from bytes or from a verified stream, which is drawn to its end.

    A stream that contradicts its record at its end raises that, whatever the data looked like.

    Args:
        source: What `store.read` returned, or what `store.open` has opened.
        facts: The commit record, or what is known of the data.
        kind: A type or its name: `pandas.DataFrame`, `polars.DataFrame`, `pyarrow.Table`, `list` (of dicts),
            `dict`, `str` or `bytes`, as far as the format is read so; by default what suits it.
        max_decoded: How many bytes compressed data may become.
        options: Those of the format.

    Raises:
        FormatError: The data is damaged, or not in this format.
        ConfigError: The format or the kind is unknown; a package is missing.
        TypeError: The format has no such option.
    """
    reading = _Reading.of(facts, kind, max_decoded, options)
    if reading.kind is Kind.ITERATOR:
        raise ConfigError("read() returns whole values; for an iterator use records() or batches()")
    async with _opened(source, reading, lambda pieces, give: reading.whole(pieces)) as channel:
        return await _verified(channel)


@asynccontextmanager
async def batches(
    source: Source,
    facts: Facts | Manifest,
    kind: Any = None,
    *,
    max_decoded: int | None = None,
    **options: Any,
) -> AsyncIterator[AsyncIterator[Any]]:
    """Open data for reading it in batches, in bounded memory where the format allows that; see `read`.

    A batch is a table of the kind that is asked for, a list of records, or a piece of text or bytes. The
    iterator raises at its end when the stream was not what its record says.
    """
    reading = _Reading.of(facts, None if kind_of(kind) is Kind.ITERATOR else kind, max_decoded, options)
    async with _opened(source, reading, reading.each) as channel:
        yield _verified_batches(channel)


@asynccontextmanager
async def records(
    source: Source, facts: Facts | Manifest, *, max_decoded: int | None = None, **options: Any
) -> AsyncIterator[AsyncIterator[Any]]:
    """Open data for reading it record by record; see `batches`."""
    async with batches(source, facts, Kind.RECORDS, max_decoded=max_decoded, **options) as lists:
        yield (record async for batch in lists for record in batch)


async def _verified(channel: Channel[Any]) -> Any:
    try:
        value = await channel.result()
    except FormatError:
        await channel.drain()  # damage is worse than a wrong format, and explains it
        raise
    await channel.drain()
    return value


async def _verified_batches(channel: Channel[Any]) -> AsyncIterator[Any]:
    try:
        async for batch in channel:
            yield batch
    except FormatError:
        await channel.drain()
        raise
    await channel.drain()


class _Reading:
    """How some data is to be read: runs on the thread."""

    def __init__(self, format: Format, facts: Facts, kind: Any, max_decoded: int | None) -> None:
        self.format = format
        self.facts = facts
        self.kind = kind
        self._max_decoded = max_decoded

    @classmethod
    def of(
        cls, facts: Facts | Manifest, kind: Any, max_decoded: int | None, options: Mapping[str, Any]
    ) -> "_Reading":
        known = Facts.of(facts) if isinstance(facts, Manifest) else facts
        if known.format is None:
            raise ConfigError(f"the format of {known.name!r} was not recorded; name it with Facts(format=…)")
        format = registry.get(known.format, **options)
        _check(format, known.encoding, known.compression)
        wanted = kind_of(kind)
        if wanted is not Kind.ITERATOR and wanted is not Kind.BYTES and wanted is not Kind.TEXT:
            wanted = format.kind_of(kind)
        return cls(format, known, wanted, max_decoded)

    def whole(self, pieces: Iterable[bytes]) -> Any:
        with _translated(f"{self.facts.name!r} is not valid {self.format.name}"):
            pieces = self._unpacked(pieces)
            if self.kind is Kind.BYTES:
                return b"".join(pieces)
            if self.kind is Kind.TEXT:
                return "".join(decoded(pieces, self.facts.encoding, self.facts.name))
            with reader(self._as_utf8(pieces)) as file:
                return self.format.read(file, self.kind, self.facts)

    def each(self, pieces: Iterable[bytes], give: Callable[[Any], None]) -> None:
        with _translated(f"{self.facts.name!r} is not valid {self.format.name}"):
            for batch in self._batches(self._unpacked(pieces)):
                give(batch)

    def _batches(self, pieces: Iterable[bytes]) -> Iterator[Any]:
        if self.kind is Kind.BYTES:
            yield from pieces
        elif self.kind is Kind.TEXT:
            yield from decoded(pieces, self.facts.encoding, self.facts.name)
        else:
            with reader(self._as_utf8(pieces)) as file:
                yield from self.format.batches(file, self.kind, self.facts)

    def _unpacked(self, pieces: Iterable[bytes]) -> Iterable[bytes]:
        facts = self.facts
        if facts.compression is None:
            return pieces
        limit = self._max_decoded
        return unpacked(pieces, facts.compression, name=facts.name, size=facts.size, max_decoded=limit)

    def _as_utf8(self, pieces: Iterable[bytes]) -> Iterable[bytes]:
        return as_utf8(pieces, self.facts.encoding, self.facts.name) if self.format.is_text else pieces


@asynccontextmanager
async def _opened(
    source: Source, reading: _Reading, use: Callable[[Iterable[bytes], Callable[[Any], None]], Any]
) -> AsyncIterator[Channel[Any]]:
    inputs = None if isinstance(source, bytes) else aiter(source)

    def work(channel: Channel[Any]) -> Any:
        return use([source] if isinstance(source, bytes) else channel.items(), channel.give)

    async with working(reading.format.name, work, inputs) as channel:
        yield channel


def _check(format: Format, encoding: str | None, compression: str | None) -> None:
    check_encoding(encoding)
    if check_compression(compression) and not format.is_compressible:
        raise ConfigError(f"format {format.name!r} compresses its data itself; leave compression= out")


def _encode(
    format: Format, value: Any, give: Callable[[bytes], None], encoding: str | None, compression: str | None
) -> Summary:
    """Lay one upon another what the bytes pass through, and write."""
    collected = Outlet(give)
    finishing: list[Callable[[], None]] = [collected.finish]
    take: Callable[[bytes], object] = collected.write
    if compression is not None:
        packer = Packer(compression, take)
        finishing.insert(0, packer.finish)
        take = packer.write
    if format.is_text and not is_utf8(encoding):
        transcoder = Transcoder(encoding or UTF8, take)
        finishing.insert(0, transcoder.finish)
        take = transcoder.write
    file = collected
    if len(finishing) > 1:
        file = Outlet(take)
        finishing.insert(0, file.finish)
    with _translated(f"this cannot be written as {format.name}"):
        summary = format.write(value, cast(IO[bytes], file))
    for finish in finishing:
        finish()
    return summary or Summary()


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Raise a FormatError for what the packages raise about data; users' own errors pass untouched."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise not_valid(error.encoding, error) from error
    except BaseException as error:
        package = type(error).__module__.partition(".")[0]
        if package not in ("pyarrow", "polars", "pandas", "pyo3_runtime"):
            raise
        reason = (str(error).splitlines() or [""])[0][:200]
        raise FormatError(f"{what}: {reason}") from error


async def _batched(items: AsyncIterable[Any]) -> AsyncIterator[list[Any]]:
    batch: list[Any] = []
    weight = 0
    async for item in items:
        batch.append(item)
        weight += _weight(item)
        if weight >= PIECE:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _weight(item: Any) -> int:
    if isinstance(item, str | bytes | bytearray):
        return len(item)
    return PIECE // _BATCH if isinstance(item, Mapping) else PIECE
