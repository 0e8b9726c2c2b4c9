"""Compression: bounded both ways."""

import gzip
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fileflow_async import formats
from fileflow_async.errors import ConfigError, FormatError
from fileflow_async.formats import compression
from fileflow_async.formats.bytes import Bytes
from fileflow_async.formats.compression import Packer, check_compression, unpacked
from fileflow_async.testing.format_contract import pieces_of, written

ZEROS = bytes(1024 * 1024)
BOTH = pytest.mark.parametrize("kind", ["gzip", "zstd"])


def packed(data: bytes, kind: str) -> bytes:
    """Compress without the ballast that ours adds."""
    if kind == "gzip":
        return gzip.compress(data, mtime=0)
    from backports import zstd

    return zstd.compress(data)


def facts(kind: str, size: int | None = None) -> formats.Facts:
    return formats.Facts(format="bytes", name="data.gz", compression=kind, size=size)


@BOTH
@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
async def test_a_bomb_is_refused(kind: str, known: bool) -> None:
    """At two hundred times its size, whole or as a stream, of which no more than that has arrived."""
    bomb = packed(ZEROS * 20, kind)
    about = facts(kind, len(bomb) if known else None)
    limit = 200 * len(bomb)
    for source in (bomb, pieces_of(bomb, 1000)):
        with pytest.raises(FormatError) as caught:
            await formats.read(source, about)
        assert str(caught.value).startswith("'data.gz' becomes more than ")
        if known:
            assert f" {limit} bytes when it is decompressed; at most 200 times its size" in str(caught.value)
    async with formats.batches(bomb, about) as batches:
        with pytest.raises(FormatError):
            assert sum([len(batch) async for batch in batches]) <= limit


@BOTH
async def test_whoever_trusts_the_writer_may_allow_more(kind: str) -> None:
    """Exactly as much as is said."""
    bomb = packed(ZEROS, kind)
    assert await formats.read(bomb, facts(kind), max_decoded=len(ZEROS)) == ZEROS
    with pytest.raises(FormatError, match=rf"^'data.gz' becomes more than {len(ZEROS) - 1} bytes"):
        await formats.read(bomb, facts(kind), max_decoded=len(ZEROS) - 1)
    lines = packed(b'{"a":1}\n' * 1000, kind)
    about = formats.Facts(format="jsonl", name="data.gz", compression=kind)
    async with formats.records(lines, about, max_decoded=7999) as records:
        with pytest.raises(FormatError, match=r"^'data.gz' becomes more than 7999 bytes"):
            assert [each async for each in records] == []


async def test_nothing_becomes_more_than_ten_gibibytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However large it is; here they are ten thousand bytes."""
    monkeypatch.setattr(compression, "LARGEST", 10_000)
    with pytest.raises(FormatError, match=r"^'data.gz' becomes more than 10000 bytes"):
        await formats.read(packed(b"x" * 10_001, "gzip"), facts("gzip", 10_000))
    with pytest.raises(FormatError, match=r"^there are more than 10000 bytes to compress") as caught:
        await written(iter([b"x" * 5000] * 3), Bytes(), compression="gzip")
    assert "without compression" in caught.value.__notes__[0]


@BOTH
@pytest.mark.parametrize("count", [0, 1, 3])
async def test_what_we_write_we_also_read(kind: str, count: int) -> None:
    """Data of nothing but zeros gets ballast, which other programs skip."""
    made = await written(ZEROS * count, Bytes(), compression=kind)
    assert len(made.data) * 200 >= len(ZEROS) * count
    assert await formats.read(pieces_of(made.data, 777), made.facts) == ZEROS * count
    if kind == "gzip":
        assert gzip.decompress(made.data) == ZEROS * count


@BOTH
@pytest.mark.parametrize("cut", [1, 5, 12, -1])
async def test_what_is_cut_short_is_an_error(kind: str, cut: int) -> None:
    """Never a part of the data."""
    data = packed(b"some data, and some more" * 10, kind)
    with pytest.raises(FormatError, match=rf"^'data.gz' is not valid {kind}: it is cut short$"):
        await formats.read(data[:cut], facts(kind))


@BOTH
async def test_what_is_damaged_is_an_error(kind: str) -> None:
    """In the middle, at the end, or behind it."""
    data = packed(b"some data, and some more" * 10, kind)
    for damaged in (b"plain", data[:-3] + b"xxx", data + b"garbage"):
        with pytest.raises(FormatError, match=rf"^'data.gz' is not valid {kind}: "):
            await formats.read(damaged, facts(kind))
    with pytest.raises(FormatError, match="cut short"):
        await formats.read(b"", facts(kind))


@BOTH
async def test_members_and_padding_are_read_as_one(kind: str) -> None:
    """As the programs of the same names do; empty ones too."""
    data = (
        packed(b"a", kind)
        + packed(b"", kind)
        + packed(b"b" * 10, kind)
        + (bytes(40) if kind == "gzip" else b"")
    )
    for size in (1, 3, 1000):
        assert await formats.read(pieces_of(data, size), facts(kind)) == b"a" + b"b" * 10


@BOTH
def test_a_small_piece_is_decompressed_in_steps(kind: str) -> None:
    """So that memory is bounded whatever is in it."""
    bomb = packed(ZEROS * 4, kind)
    steps = list(unpacked([bomb], kind, name="x", max_decoded=10 * len(ZEROS)))
    assert b"".join(steps) == ZEROS * 4
    assert max(map(len, steps)) <= 1024 * 1024


def test_zstd_comes_with_an_extra(hide: Callable[..., None]) -> None:
    """Where Python does not have it yet."""
    hide("backports.zstd", "compression")
    for use in (lambda: Packer("zstd", print), lambda: next(unpacked([b"x"], "zstd", name="x"))):
        with pytest.raises(ConfigError) as caught:
            use()
        assert str(caught.value) == (
            "zstd needs backports.zstd, which is not installed: pip install 'fileflow-async[zstd]'"
        )


def test_pythons_own_zstd_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 3.14 on."""
    from backports import zstd

    monkeypatch.setitem(sys.modules, "compression.zstd", zstd)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    taken: list[bytes] = []
    packer = Packer("zstd", taken.append)
    packer.write(b"abc")
    packer.finish()
    assert b"".join(unpacked(taken, "zstd", name="x")) == b"abc"


def test_an_unknown_compression_is_refused() -> None:
    """With those that are known."""
    with pytest.raises(ConfigError, match=r"^unknown compression 'bz2'; known: gzip, zstd$"):
        check_compression("bz2")
    assert check_compression(None) is None


@pytest.mark.slow
@BOTH
def test_a_bomb_costs_little_memory(kind: str) -> None:
    """Two hundred megabytes of zeros in a few kilobytes; measured in a process of its own."""
    code = f"""
import asyncio, resource, zlib, sys
from fileflow_async import formats
from fileflow_async.errors import FormatError
from fileflow_async.formats.compression import Packer
taken = []
packer = Packer({kind!r}, taken.append)
packer._ballast = lambda size: b""
for _ in range(200): packer.write(bytes(1024 * 1024))
packer.finish()
bomb = b"".join(taken)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
async def main():
    for size in (None, len(bomb)):
        try:
            await formats.read(bomb, formats.Facts(format="bytes", compression={kind!r}, size=size))
        except FormatError:
            continue
        raise SystemExit("it was read")
asyncio.run(main())
print(len(bomb), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    size, grown = map(int, done.stdout.split())
    assert size < 250_000
    assert grown < 64 * 1024  # KiB: the limit is at most 50 MB here


async def test_a_long_stream_is_compressed_and_decompressed_as_it_goes() -> None:
    """What is under way is a few pieces, whatever the length."""
    import os

    noise = os.urandom(512 * 1024)
    state = {"given": 0, "taken": 0, "most": 0}

    def parts() -> Iterator[bytes]:
        for _ in range(100):
            state["given"] += len(noise)
            state["most"] = max(state["most"], state["given"] - state["taken"])
            yield noise

    async def take(piece: bytes) -> None:
        state["taken"] += len(piece)

    await formats.write_to(take, parts(), Bytes(), compression="gzip")
    assert state["given"] == 100 * len(noise)
    assert state["most"] < 20 * 1024 * 1024


def test_levels_are_the_programs_own() -> None:
    """A header without a time, so that the same data has the same bytes."""
    taken: list[Any] = []
    packer = Packer("gzip", taken.append)
    packer.write(b"abc" * 1000)
    packer.finish()
    data = b"".join(taken)
    assert data[4:8] == bytes(4)
    assert len(data) <= len(zlib.compress(b"abc" * 1000, 6)) + 12
