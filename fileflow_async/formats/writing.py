"""Write values to drafts."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import IO, Any, Protocol, cast

from fileflow_async.errors import ConfigError
from fileflow_async.formats import registry
from fileflow_async.formats.channel import Channel, working
from fileflow_async.formats.compression import Packer
from fileflow_async.formats.encoding import UTF8, Transcoder, is_utf8
from fileflow_async.formats.files import PIECE, Outlet
from fileflow_async.formats.format import Format, Summary
from fileflow_async.formats.package_errors import translated

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
    format.check(encoding=encoding, compression=compression)
    inputs = _batched(value) if isinstance(value, AsyncIterable) else None

    def work(channel: Channel[Summary]) -> Summary:
        items = value if inputs is None else (item for batch in channel.items() for item in batch)
        return _encode(format, items, channel.give, encoding, compression)

    async with working(format.name, work, inputs) as channel:
        async for piece in channel:
            await take(piece)
        return await channel.result()


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
    with translated(f"this cannot be written as {format.name}"):
        summary = format.write(value, cast(IO[bytes], file))
    for finish in finishing:
        finish()
    return summary or Summary()


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
