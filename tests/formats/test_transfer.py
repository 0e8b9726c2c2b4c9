"""From a value to a committed target, and back from a verified stream."""

import asyncio
import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fileflow_async import formats
from fileflow_async.errors import ConfigError, FormatError, TargetCorruptError, TargetWriteError
from fileflow_async.formats import packages
from fileflow_async.formats.csv import Csv
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from fileflow_async.testing.format_contract import pieces_of, written
from tests.conftest import MakeTarget

FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", None]})


async def test_a_frame_becomes_a_target_and_a_frame_again(store: TargetStore, target: MakeTarget) -> None:
    """The record tells what is in it, and the types with which it is read."""
    async with store.write(target(), format="csv", encoding="utf-8", compression="zstd") as draft:
        await formats.write(draft, FRAME)
    assert draft.reference is not None
    assert draft.reference.data.endswith(".csv.zst")
    assert draft.reference.rows == 2
    record = (await store.version(target())).manifest
    assert record is not None
    assert record.columns == (("a", "int64"), ("b", "string"))
    assert record.stats == {"a": {"nulls": 0, "sum": 3, "min": 1, "max": 2}, "b": {"nulls": 1}}
    async with store.open(draft.reference) as stream:
        found = await formats.read(stream, record, pd.DataFrame)
    pd.testing.assert_frame_equal(found, FRAME)
    assert await formats.read(await store.read(draft.reference), record, list) == [
        {"a": 1, "b": "x"},
        {"a": 2, "b": None},
    ]


async def test_records_are_written_and_read_as_they_go(store: TargetStore, target: MakeTarget) -> None:
    """From an async iterator, into another."""

    async def rows() -> AsyncIterator[dict[str, int]]:
        for number in range(5000):
            yield {"n": number}

    async with store.write(target(), format="jsonl") as draft:
        await formats.write(draft, rows())
    record = (await store.version(target())).manifest
    assert record is not None
    assert record.rows == 5000
    async with store.open(target()) as stream, formats.records(stream, record) as found:
        assert [row["n"] async for row in found] == list(range(5000))


async def test_no_rows_are_empty_to_whoever_waits(store: TargetStore, target: MakeTarget) -> None:
    """Although there is a header."""
    async with store.write(target(), format="csv") as draft:
        await formats.write(draft, FRAME.head(0))
    assert (await store.state(target())).state.name == "EMPTY"


async def test_damage_is_never_taken_for_a_wrong_format(tmp_path: Path, target: MakeTarget) -> None:
    """A stream is drawn to its end, where it is checked, although its beginning cannot be parsed."""
    async with LocalStorage(tmp_path, durability="none") as storage:
        store = TargetStore(storage)
        async with store.write(target(), format="json") as draft:
            await formats.write(draft, list(range(1000)))
        record = (await store.version(target())).manifest
        assert record is not None
        assert draft.reference is not None
        path = tmp_path / target().key / draft.reference.data
        await asyncio.to_thread(_damage, path)
        with pytest.raises(TargetCorruptError):
            async with store.open(target()) as stream:
                await formats.read(stream, record)
        async with store.open(target()) as stream, formats.batches(stream, record) as batches:
            with pytest.raises(TargetCorruptError):
                assert [batch async for batch in batches] == []


def _damage(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(b"x" + path.read_bytes()[1:])


async def test_a_stream_is_drawn_to_its_end_although_the_value_ends_before() -> None:
    """It is only checked there."""
    ended: list[bool] = []

    async def stream() -> AsyncIterator[bytes]:
        yield b"a\n1\n"
        ended.append(True)

    class Hasty(Csv):
        def read(self, file: IO[bytes], kind: Any, facts: formats.Facts) -> Any:
            return file.read(1)

    formats.register(Hasty(), replace=True)
    try:
        assert await formats.read(stream(), formats.Facts(format="csv")) == b"a"
    finally:
        formats.unregister("csv")
    assert ended == [True]


@pytest.mark.parametrize("fails", [True, False])
async def test_a_long_stream_is_checked_however_early_its_reader_has_had_enough(fails: bool) -> None:
    """More of it is to come than is drawn ahead: neither a value nor an error of its beginning counts."""

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield bytes(1 << 17)
        raise TargetCorruptError("the hash differs")

    class Hasty(Csv):
        def read(self, file: IO[bytes], kind: Any, facts: formats.Facts) -> Any:
            if fails:
                raise FormatError("the beginning cannot be parsed")
            return file.read(1)

        def batches(self, file: IO[bytes], kind: Any, facts: formats.Facts) -> Iterator[Any]:
            yield self.read(file, kind, facts)

    formats.register(Hasty(), replace=True)
    try:
        with pytest.raises(TargetCorruptError):
            await formats.read(stream(), formats.Facts(format="csv"))
        async with formats.batches(stream(), formats.Facts(format="csv")) as batches:
            with pytest.raises(TargetCorruptError):
                assert [batch async for batch in batches] in ([], [b"\0"])
    finally:
        formats.unregister("csv")


async def test_a_failed_write_publishes_nothing(store: TargetStore, target: MakeTarget) -> None:
    """Whoever's fault it is."""

    def rows() -> Iterator[dict[str, int]]:
        yield {"a": 1}
        raise LookupError("theirs")

    with pytest.raises(LookupError, match="theirs"):
        async with store.write(target(), format="csv") as draft:
            await formats.write(draft, rows())
    with pytest.raises(FormatError):
        async with store.write(target(), format="csv") as draft:
            await formats.write(draft, 1)
    assert (await store.state(target())).state.name == "ABSENT"


async def test_what_is_missing_or_wrong_is_told_before_anything_is_written(
    store: TargetStore, target: MakeTarget
) -> None:
    """A draft without a format, or of an unknown one; a misspelt option; data that was not described."""
    for options, error, message in (
        ({}, ConfigError, r"^the draft has no format; begin it with format=$"),
        ({"format": "avro"}, ConfigError, r"^unknown format 'avro'; known: "),
        (
            {"format": "parquet", "compression": "gzip"},
            ConfigError,
            r"^format 'parquet' compresses its data itself",
        ),
    ):
        with pytest.raises(error, match=message):
            async with store.write(target(), **options) as draft:  # type: ignore[arg-type]
                await formats.write(draft, FRAME)
    with pytest.raises(TypeError, match="clena"):
        async with store.write(target(), format="csv") as draft:
            await formats.write(draft, FRAME, clena="fileflow")
    with pytest.raises(
        ConfigError, match=r"^the format of 'data' was not recorded; name it with Facts\(format=…\)$"
    ):
        await formats.read(b"", formats.Facts())
    with pytest.raises(ConfigError, match=r"^unknown encoding 'utf-9'$"):
        await formats.read(b"", formats.Facts(format="csv", encoding="utf-9"))
    with pytest.raises(ConfigError, match=r"^unknown compression 'rar'"):
        await formats.write_to(_nowhere, "x", "text", compression="rar")


async def _nowhere(piece: bytes) -> None:
    pass


async def test_an_iterator_is_not_a_value_but_a_way_to_read_one() -> None:
    """The error says where to find it."""
    facts = formats.Facts(format="jsonl")
    for kind in (Iterator, AsyncIterator, "iterator"):
        with pytest.raises(
            ConfigError, match=r"^read\(\) returns whole values; for an iterator use records\(\)"
        ):
            await formats.read(b"", facts, kind)
        async with formats.batches(b'{"a":1}\n', facts, kind) as batches:
            assert [batch async for batch in batches] == [[{"a": 1}]]


async def test_a_part_of_a_folder_is_written_as_a_draft_is(store: TargetStore, target: MakeTarget) -> None:
    """With what was found out about it for whoever puts the parts together."""
    async with store.write_folder(target(), format="parquet") as folder:
        async with folder.create("part-0.parquet") as part:
            summary = await formats.write_to(part.write, FRAME, "parquet")
        folder.rows = summary.rows
    data = await store.read(target(), part="part-0.parquet")
    assert len(await formats.read(data, formats.Facts(format="parquet"))) == 2


async def test_an_option_is_the_same_for_whoever_reads() -> None:
    """By its name."""
    assert await formats.read(b"NaN", formats.Facts(format="json"), allow_nan=True) != 0
    with pytest.raises(TypeError, match="allow_nna"):
        await formats.read(b"1", formats.Facts(format="json"), allow_nna=True)


async def test_text_can_be_read_in_pieces() -> None:
    """In its encoding, which cuts no character."""
    facts = formats.Facts(format="csv", encoding="utf-16")
    data = "a\né\n".encode("utf-16")
    async with formats.batches(pieces_of(data, 3), facts, str) as batches:
        assert "".join([batch async for batch in batches]) == "a\né\n"
    async with formats.batches(pieces_of(data, 3), facts, bytes) as batches:
        assert b"".join([batch async for batch in batches]) == data


async def test_errors_that_are_no_matter_of_the_data_pass_untouched() -> None:
    """No memory, say."""

    class Greedy(Csv):
        def write(self, value: Any, file: IO[bytes]) -> Any:
            raise MemoryError

    with pytest.raises(MemoryError):
        await formats.write_to(_nowhere, FRAME, Greedy())


async def test_other_loops_and_executors_are_left_alone() -> None:
    """The loop's default executor may be full of somebody's work."""
    loop = asyncio.get_running_loop()
    made = await written(FRAME, Csv())
    await formats.read(made.data, made.facts)
    assert getattr(loop, "_default_executor", None) is None


async def test_a_draft_is_not_written_to_while_it_is_cancelled(
    store: TargetStore, target: MakeTarget
) -> None:
    """All writing is done by the task that owns the draft."""
    go = asyncio.Event()

    async def rows() -> AsyncIterator[dict[str, int]]:
        yield {"a": 1}
        go.set()
        await asyncio.Event().wait()

    async def work() -> None:
        async with store.write(target(), format="jsonl") as draft:
            await formats.write(draft, rows())

    task = asyncio.ensure_future(work())
    await go.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await store.state(target())).state.name == "ABSENT"


def test_an_import_that_fails_for_another_reason_is_that_error() -> None:
    """Only missing extras are explained."""
    with pytest.raises(ModuleNotFoundError, match="nonesuch"), packages.needed("this"):
        __import__("nonesuch")
    assert packages.is_installed("json")
    assert not packages.is_installed("nonesuch")


@pytest.mark.parametrize("error", [pa.ArrowInvalid("a\nb"), pl.exceptions.ComputeError("a\nb")])
async def test_what_a_package_says_is_cut_to_one_line(error: Exception) -> None:
    """The rest is in the traceback."""

    class Failing(Csv):
        def write(self, value: Any, file: IO[bytes]) -> Any:
            raise error

    with pytest.raises(FormatError) as caught:
        await formats.write_to(_nowhere, FRAME, Failing())
    assert str(caught.value) == "this cannot be written as csv: a"
    assert caught.value.__cause__ is error


async def test_text_that_is_no_unicode_is_a_drafts_own_error() -> None:
    """Whatever the format."""
    for format in ("text", "json", "jsonl", "csv"):
        value: Any = "\ud800" if format in ("text", "json") else [{"a": "\ud800"}]
        with pytest.raises(TargetWriteError, match=r"^write\(\) got text that is not valid utf-8: "):
            await formats.write_to(_nowhere, value, format)


def test_a_five_gigabyte_table_would_not_be_held() -> None:
    """Here a hundred megabytes as an iterable, in a process of its own, in each format that can."""
    code = """
import asyncio, resource, sys
from fileflow_async import formats
row = {"a": 1, "b": "x" * 1000, "c": 1.5}
async def main(name):
    sizes = []
    async def take(piece):
        sizes.append(len(piece))
    def rows(count):
        for number in range(count):
            yield dict(row)
    def texts(count):
        for number in range(count):
            yield "x" * 1000 if name == "text" else b"x" * 1000
    make = texts if name in ("text", "bytes") else rows
    await formats.write_to(take, make(20_000), name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await formats.write_to(take, make(120_000), name)
    return sum(sizes) >> 20, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
print([(name, *asyncio.run(main(name))) for name in sys.argv[1:]])
"""
    names = ["text", "bytes", "jsonl", "csv", "arrow", "parquet"]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True)
    for name, size, grown in json.loads(done.stdout.replace("(", "[").replace(")", "]").replace("'", '"')):
        assert size > 100 or name == "parquet", (name, size)
        assert grown < 60, (name, grown)


async def test_an_open_file_is_no_source_but_its_bytes_are() -> None:
    """A source is bytes, or arrives by and by."""
    with pytest.raises(TypeError):
        await formats.read(io.BytesIO(b"1"), formats.Facts(format="json"))  # type: ignore[arg-type]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("compression", [None, "gzip"])
async def test_a_target_of_any_encoding_holds_the_text_alone(
    store: TargetStore, target: MakeTarget, encoding: str, compression: str | None
) -> None:
    """With one mark of the byte order at its start, and none behind what a format gave to the draft."""
    async with store.write(target(), format="text", encoding=encoding, compression=compression) as draft:
        await formats.write(draft, "Grüße")
    record = (await store.version(target())).manifest
    assert record is not None
    data = await store.read(target())
    assert await formats.read(data, record, bytes) == "Grüße".encode(encoding)
    assert await formats.read(data, record) == "Grüße"
