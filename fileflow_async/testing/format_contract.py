"""What every format must do, as tests that its own test class inherits."""
# ruff: noqa: S101 - a contract asserts

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pytest

from fileflow_async import formats
from fileflow_async.errors import ConfigError, FileflowError, FormatError, TargetCorruptError
from fileflow_async.formats.compression import EXTENSIONS

PATIENCE = 10.0  # seconds until what should happen soon is taken to never happen
_SIZES = (1, 7, 4096)  # of the pieces in which bytes arrive


@dataclass(frozen=True)
class Written:
    """A value as it was written.

    Attributes:
        data: Its bytes.
        summary: What the format has found out about it.
        facts: What a commit record would tell a reader.
    """

    data: bytes
    summary: formats.Summary
    facts: formats.Facts


async def written(
    value: Any, format: formats.Format, *, encoding: str | None = None, compression: str | None = None
) -> Written:
    """Write a value."""
    buffer = bytearray()

    async def take(piece: bytes) -> None:
        await asyncio.sleep(0)
        buffer.extend(piece)

    summary = await formats.write_to(take, value, format, encoding=encoding, compression=compression)
    facts = formats.Facts(
        format=format.name,
        name=f"data.{format.extensions[0]}",
        encoding=encoding,
        compression=compression,
        columns=summary.columns,
        size=len(buffer),
    )
    return Written(bytes(buffer), summary, facts)


async def pieces_of(data: bytes, size: int) -> AsyncIterator[bytes]:
    """Let bytes arrive in pieces."""
    for start in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[start : start + size]


class FormatContract:
    """The promises of `fileflow_async.formats.Format`, one test each.

    A subclass gives the format, which must be registered, and some samples. The tests are coroutines for
    pytest-asyncio; `pytest.register_assert_rewrite("fileflow_async.testing.format_contract")` in a conftest
    shows the values when one fails.

    Attributes:
        format: The format, with its default options.
        compressions: Those that it is tried with, where compressing it makes sense.
    """

    pytestmark = pytest.mark.asyncio
    format: formats.Format
    compressions: Sequence[str] = tuple(EXTENSIONS)

    def samples(self) -> Sequence[tuple[Any, Any]]:
        """Return values, each with the kind as which it comes back as it was."""
        raise NotImplementedError

    def streams(self) -> Sequence[tuple[Sequence[Any], Any, Any]]:
        """Return parts that can be written one after another, a kind, and the whole that comes back."""
        return ()

    def unwritable(self) -> Sequence[Any]:
        """Return values that this format does not have."""
        return ()

    def damaged(self) -> Sequence[bytes]:
        """Return bytes that are not in this format."""
        return ()

    def same(self, one: Any, other: Any) -> bool:
        """Tell whether two values are the same; for those to which `==` is not the answer."""
        return bool(one == other)

    def join(self, batches: Sequence[Any]) -> Any:
        """Put together what `formats.batches` has yielded."""
        return [record for batch in batches for record in batch]

    # Names.

    async def test_it_is_found_by_its_name_and_its_extensions(self) -> None:
        """Whoever writes knows the name, whoever finds a file its extension, and perhaps a compression's."""
        assert formats.get(self.format.name) == self.format
        for extension in self.format.extensions:
            assert formats.of_extension(extension) == self.format
            assert formats.of_extension(f".{extension.upper()}.gz") == self.format

    async def test_a_misspelt_option_is_refused(self) -> None:
        """Rather than ignored."""
        with pytest.raises(TypeError, match="optoin"):
            formats.get(self.format.name, optoin=1)

    # Round trips.

    async def test_what_was_written_is_read_back(self) -> None:
        """With what the commit record tells of it."""
        for value, kind in self.samples():
            made = await written(value, self.format)
            assert self.same(await formats.read(made.data, made.facts, kind), value)

    async def test_it_does_not_matter_how_the_bytes_arrive(self) -> None:
        """One at a time, or some."""
        for value, kind in self.samples():
            made = await written(value, self.format)
            for size in _SIZES:
                source = pieces_of(made.data, size)
                assert self.same(await formats.read(source, made.facts, kind), value)

    async def test_batches_are_together_the_whole(self) -> None:
        """Whatever a batch is."""
        for value, kind in self.samples():
            made = await written(value, self.format)
            async with formats.batches(pieces_of(made.data, 64), made.facts, kind) as batches:
                found = [batch async for batch in batches]
            if found:
                assert self.same(self.join(found), value)

    async def test_parts_make_a_whole(self) -> None:
        """Given by an iterator, or by an async one."""
        for parts, kind, whole in self.streams():
            for value in (iter(parts), _later(parts), list(parts)):
                made = await written(value, self.format)
                assert self.same(await formats.read(made.data, made.facts, kind), whole)

    async def test_compressed_it_is_the_same(self) -> None:
        """Or compressing it makes no sense, and is refused."""
        value, kind = self.samples()[0]
        for compression in self.compressions:
            if not self.format.is_compressible:
                with pytest.raises(ConfigError, match="leave compression= out"):
                    await written(value, self.format, compression=compression)
                continue
            made = await written(value, self.format, compression=compression)
            for size in (*_SIZES, len(made.data)):
                source = pieces_of(made.data, size)
                assert self.same(await formats.read(source, made.facts, kind), value)

    async def test_another_encoding_says_the_same(self) -> None:
        """Where it is text."""
        if self.format.is_text:
            for value, kind in self.samples():
                for encoding in ("utf-16", "utf-8-sig"):
                    made = await written(value, self.format, encoding=encoding)
                    assert self.same(await formats.read(pieces_of(made.data, 3), made.facts, kind), value)

    async def test_its_bytes_can_be_had_as_they_are(self) -> None:
        """And as text, where they are text."""
        made = await written(self.samples()[0][0], self.format)
        assert await formats.read(pieces_of(made.data, 7), made.facts, bytes) == made.data
        if self.format.is_text:
            assert await formats.read(pieces_of(made.data, 7), made.facts, str) == made.data.decode()

    async def test_what_it_found_out_fits_into_a_record(self) -> None:
        """Which takes no NaN."""
        for value, _ in self.samples():
            summary = (await written(value, self.format)).summary
            json.dumps([summary.rows, summary.columns, summary.stats], allow_nan=False)

    # What is not right.

    async def test_a_value_that_it_does_not_have_is_refused(self) -> None:
        """With an error of ours."""
        for value in self.unwritable():
            try:
                await written(value, self.format)
            except FileflowError:
                continue
            pytest.fail(f"{type(value).__name__} was written: {value!r:.200}")

    async def test_damaged_data_is_an_error_with_its_name(self) -> None:
        """Never one of the package that parses it."""
        name = f"'data.{self.format.extensions[0]}'"
        for data in self.damaged():
            with pytest.raises(FormatError, match=name):
                await formats.read(data, self._facts(), None)
            async with formats.batches(data, self._facts()) as batches:
                with pytest.raises(FormatError, match=name):
                    assert [batch async for batch in batches] == []

    async def test_a_kind_that_it_is_not_read_as_is_refused(self) -> None:
        """With those that it is."""
        with pytest.raises(ConfigError, match=rf"^format '{self.format.name}' is not read as .*; known: "):
            await formats.read(b"", self._facts(), complex)

    async def test_a_stream_that_contradicts_its_record_is_corrupt(self) -> None:
        """Whatever its data looked like up to there."""
        value, kind = self.samples()[0]
        made = await written(value, self.format)
        for data in (made.data, b"\xff\xfe{[" + made.data):
            with pytest.raises(TargetCorruptError):
                await formats.read(_torn(data), made.facts, kind)

    async def test_an_error_of_whoever_gives_the_value_is_theirs(self) -> None:
        """It passes through as it is."""
        for parts, _, _ in self.streams():
            for value in (_failing(parts), _later(_failing(parts))):
                with pytest.raises(_TheirsError):
                    await written(value, self.format)

    async def test_an_error_of_the_store_ends_the_writing(self) -> None:
        """And is the one that is raised."""

        async def take(piece: bytes) -> None:
            raise _TheirsError

        with pytest.raises(_TheirsError):
            await formats.write_to(take, self.samples()[0][0], self.format)
        await _no_thread_of(self.format)

    # Threads.

    async def test_it_works_in_a_thread_of_its_own_and_leaves_none(self) -> None:
        """The event loop is free, and its default executor is not used."""
        value, kind = self.samples()[0]
        seen: set[str] = set()
        spied = _spy(self.format, lambda: seen.add(threading.current_thread().name))
        formats.register(spied, replace=True)
        try:
            made = await written(value, spied)
            await formats.read(made.data, made.facts, kind)
        finally:
            formats.unregister(self.format.name)
        assert len(seen) == 1
        assert seen.pop().startswith(f"fileflow-{self.format.name}")
        await _no_thread_of(self.format)

    async def test_cancelled_it_ends_at_once_and_leaves_no_thread(self) -> None:
        """Although the store takes nothing, or gives nothing."""
        value, kind = self.samples()[0]
        made = await written(value, self.format)

        async def take(piece: bytes) -> None:
            await asyncio.Event().wait()

        async def stuck() -> AsyncIterator[bytes]:
            yield made.data[:1]
            await asyncio.Event().wait()

        for work in (formats.write_to(take, value, self.format), formats.read(stuck(), made.facts, kind)):
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await work
            assert time.monotonic() - began < PATIENCE / 2
            await _no_thread_of(self.format)

    def _facts(self) -> formats.Facts:
        return formats.Facts(format=self.format.name, name=f"data.{self.format.extensions[0]}")


class _TheirsError(Exception):
    pass


async def _later(parts: Any) -> AsyncIterator[Any]:
    for part in parts:
        await asyncio.sleep(0)
        yield part


def _failing(parts: Sequence[Any]) -> Iterator[Any]:
    yield from parts
    raise _TheirsError


async def _torn(data: bytes) -> AsyncIterator[bytes]:
    yield data
    raise TargetCorruptError("the hash differs")


async def _no_thread_of(format: formats.Format) -> None:
    deadline = time.monotonic() + PATIENCE
    name = f"fileflow-{format.name}"
    while threads := [each for each in threading.enumerate() if each.name.startswith(name)]:
        assert time.monotonic() < deadline, f"{threads} are still there"
        await asyncio.sleep(0.01)


def _spy(format: formats.Format, look: Callable[[], None]) -> formats.Format:
    """Return the format with a look at the thread on which it works."""
    kind = type(format)

    def write(self: Any, value: Any, file: Any) -> Any:
        look()
        return kind.write(self, value, file)

    def read(self: Any, file: Any, wanted: Any, facts: Any) -> Any:
        look()
        return kind.read(self, file, wanted, facts)

    spied = type(kind.__name__, (kind,), {"write": write, "read": read, "__slots__": ()})
    made: formats.Format = spied(**{each.name: getattr(format, each.name) for each in fields(format)})
    return made


__all__ = ["FormatContract", "Written", "pieces_of", "written"]
