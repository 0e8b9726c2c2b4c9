"""Read values back from verified streams."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fileflow_async.errors import ConfigError, FormatError
from fileflow_async.formats import registry
from fileflow_async.formats.channel import Channel, working
from fileflow_async.formats.compression import unpacked
from fileflow_async.formats.encoding import as_utf8, decoded
from fileflow_async.formats.files import reader
from fileflow_async.formats.filling import Filled, Filling
from fileflow_async.formats.format import Facts, Format
from fileflow_async.formats.kinds import Kind, kind_of
from fileflow_async.formats.package_errors import translated
from fileflow_async.manifest import Manifest

Source = bytes | AsyncIterable[bytes]


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
        facts: The commit record, such as the stream's, or what is known of the data.
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
    inputs = _inputs(source)

    def work(channel: Channel[Any]) -> Any:
        if isinstance(inputs, Filled):
            return reading.whole(channel.items(), partial(channel.tell, inputs.offer))
        return reading.whole(_pieces(source, channel))

    async with working(reading.format.name, work, inputs) as channel:
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
    inputs = None if isinstance(source, bytes) else aiter(source)

    def work(channel: Channel[Any]) -> None:
        reading.each(_pieces(source, channel), channel.give)

    async with working(reading.format.name, work, inputs) as channel:
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
        format.check(encoding=known.encoding, compression=known.compression)
        wanted = kind_of(kind)
        if wanted is not Kind.ITERATOR and wanted is not Kind.BYTES and wanted is not Kind.TEXT:
            wanted = format.kind_of(kind)
        return cls(format, known, wanted, max_decoded)

    def whole(self, pieces: Iterable[bytes], offer: Callable[[memoryview], object] | None = None) -> Any:
        with translated(f"{self.facts.name!r} is not valid {self.format.name}"):
            pieces = self._unpacked(pieces)
            if self.kind is Kind.BYTES:
                return b"".join(pieces)
            if self.kind is Kind.TEXT:
                return "".join(decoded(pieces, self.facts.encoding, self.facts.name))
            is_as_stored = self.facts.compression is None and not self.format.is_text
            with reader(self._as_utf8(pieces), offer if is_as_stored else None) as file:
                return self.format.read(file, self.kind, self.facts)

    def each(self, pieces: Iterable[bytes], give: Callable[[Any], None]) -> None:
        with translated(f"{self.facts.name!r} is not valid {self.format.name}"):
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


def _inputs(source: Source) -> AsyncIterator[Any] | None:
    if isinstance(source, bytes):
        return None
    return Filled(source) if isinstance(source, Filling) else aiter(source)


def _pieces(source: Source, channel: Channel[Any]) -> Iterable[bytes]:
    return [source] if isinstance(source, bytes) else channel.items()
