"""What every storage must do, as tests that its own test class inherits."""
# ruff: noqa: S101, PT012 - a contract asserts; a block may only fail at its end

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings, strategies as st

from fileflow_async.errors import (
    FileflowError,
    TargetNameError,
    TargetNotFoundError,
    TargetSupersededError,
)
from fileflow_async.storage.protocol import PIECE, Entry, Listing, Storage, Tail

PATIENCE = 10.0  # seconds until what should happen soon is taken to never happen

# What the codec leaves as it is and what it makes; names that sort otherwise once a folder's "/" counts.
TRAPS = (
    "a-b/x",
    "a.b",
    "a/b",
    "a/bc",
    "a/bc-/x",
    "a/bc.d",
    "a=1/x",
    "a@b,c+d:e/x.csv",
    "a@b,c+d:e/x.csv.ok",
    "ab/-",
    "ab/.x.part",
    "b/c/d/e/f/g",
    "b/c/d/e/f0",
    "b/c/d0",
    "b~0123456789abcdef01234567/x",
    "%2E./x",
    "Z",
    "_/0",
    "run=manual__2026-11-20T10:15:02.123+00:00/t/map=0/output/x",
)
BAD_KEYS = ("", "/", "/a", "a/", "a//b", ".", "..", "../x", "a/./b", "a/../b", "a/..", "a\0b", "a\nb", "\x1f")

_COMPONENTS = ("a", "a-b", "a.b", "a0", "ab", "b", "%2E", "~", "_", "a=b", "Z", "0", "é")
_EXAMPLES = settings(
    deadline=None,
    max_examples=60,
    # The storage outlives an example on purpose; each subclass runs the same examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
_FEW_EXAMPLES = settings(_EXAMPLES, max_examples=12)
Query = tuple[str, str, int | None, bool]


class StorageContract:
    """The promises of `fileflow_async.storage.protocol.Storage`, one test each.

    A subclass gives the async fixture `storage` (an open, empty storage) and the back door: `plant`, `peek`
    and `keys` read and write behind the storage's back, so that it cannot vouch for itself. The tests are
    coroutines for pytest-asyncio; `pytest.register_assert_rewrite("fileflow_async.testing.storage_contract")`
    in a conftest shows the values when one fails.

    Attributes:
        refuses_overwrite: Whether the backend can tell that other bytes stand under a key already.
        busy_slack: Threads or descriptors that a pool of the backend's may keep between calls.
    """

    pytestmark = pytest.mark.asyncio
    refuses_overwrite = True
    busy_slack = 10

    # The back door.

    async def plant(self, key: str, data: bytes) -> None:
        """Store an object without the storage."""
        raise NotImplementedError

    async def peek(self, key: str) -> bytes | None:
        """Return an object without the storage; None when there is none."""
        raise NotImplementedError

    async def keys(self) -> Sequence[str]:
        """Return the keys of everything there is, hidden and temporary objects too, in any order."""
        raise NotImplementedError

    async def spoil(self, folder: str) -> bool:
        """Make a folder (its key ends in `/`) impossible to list; return whether that could be done."""
        return False

    # Shapes and keys.

    async def test_it_is_a_storage(self, storage: Storage) -> None:
        """All methods of the protocol are there."""
        assert isinstance(storage, Storage)

    async def test_a_uri_is_the_root_with_the_key_behind_it(self, storage: Storage) -> None:
        """People can put the two together, and find no credentials in either."""
        assert "://" in storage.root
        assert not storage.root.endswith("/")
        assert "@" not in storage.root
        assert storage.uri("a/b.csv") == f"{storage.root}/a/b.csv"

    @pytest.mark.parametrize("key", BAD_KEYS)
    async def test_a_key_that_could_leave_the_root_is_refused(self, storage: Storage, key: str) -> None:
        """Every method that takes a key checks it before it does anything."""
        for attempt in (
            lambda: storage.put(key, b"x"),
            lambda: _create(storage, key, b"x"),
            lambda: storage.read(key),
            lambda: storage.read_range(key, 0, 1),
            lambda: _stream(storage, key),
            lambda: storage.stat(key),
            lambda: storage.delete([key]),
        ):
            with pytest.raises(TargetNameError):
                await attempt()
        assert await self.keys() == []

    async def test_a_bad_key_spoils_no_other(self, storage: Storage) -> None:
        """`read_each` puts the error in the place of the bytes."""
        await self.plant("a/b", b"x")
        found = await storage.read_each(["../a/b", "a/b"])
        assert isinstance(found["../a/b"], TargetNameError)
        assert found["a/b"] == b"x"

    async def test_every_key_that_the_codec_makes_works(self, storage: Storage) -> None:
        """All that it leaves as it is, `%` and `~` included, comes back as it went in."""
        for number, key in enumerate(TRAPS):
            entry = await storage.put(key, b"%d" % number)
            assert entry.key == key
        for number, key in enumerate(TRAPS):
            assert await self.peek(key) == b"%d" % number
            assert await storage.read(key) == b"%d" % number
        assert await _listed(storage) == sorted(TRAPS)

    async def test_keys_beyond_ascii_work_or_are_refused(self, storage: Storage) -> None:
        """Either is fine, half of either is not; their order is that of UTF-8, not of UTF-16."""
        keys = ["données/é.csv", "données/～", "données/😀"]
        try:
            await storage.put(keys[0], b"0")
        except TargetNameError:
            assert await self.keys() == []
            return
        for key in keys[1:]:
            await storage.put(key, key.encode())
        assert await _listed(storage) == sorted(keys, key=str.encode)
        assert await storage.read(keys[2]) == keys[2].encode()

    async def test_a_key_that_is_not_unicode_is_refused(self, storage: Storage) -> None:
        """A lone surrogate has no bytes, so that it cannot be a place."""
        with pytest.raises(TargetNameError):
            await storage.put("a/\ud800", b"x")
        assert await self.keys() == []

    # put.

    @pytest.mark.parametrize("data", [b"x", b"", b"\0\r\n\xff" * 1000], ids=["one", "empty", "binary"])
    async def test_put_stores_the_bytes(self, storage: Storage, data: bytes) -> None:
        """They are there for everybody once it returns, and its entry is that of `stat`."""
        before = time.time()
        entry = await storage.put("d/x.csv", data, content_type="text/csv")
        assert await self.peek("d/x.csv") == data
        assert await storage.read("d/x.csv") == data
        assert (entry.key, entry.name, entry.size) == ("d/x.csv", "x.csv", len(data))
        assert abs(entry.modified - before) < PATIENCE + 1
        stat = await storage.stat("d/x.csv")
        assert (stat.key, stat.size, stat.etag) == (entry.key, entry.size, entry.etag)
        assert abs(stat.modified - entry.modified) < PATIENCE + 1
        assert await self.keys() == ["d/x.csv"]

    async def test_put_of_a_hint_is_there_as_well(self, storage: Storage) -> None:
        """Only a loss of power may take what need not be durable."""
        assert (await storage.put("d/x", b"1", durable=False)).size == 1
        assert (await storage.put("d/x", b"1", durable=False)).size == 1
        assert await storage.read("d/x") == b"1"

    @pytest.mark.parametrize("data", [b"x", b""], ids=["some", "empty"])
    async def test_put_of_the_same_bytes_again_is_no_error(self, storage: Storage, data: bytes) -> None:
        """A reply may have been lost."""
        await self.plant("d/x", data)
        assert (await storage.put("d/x", data)).size == len(data)
        assert (await storage.put("d/x", data)).size == len(data)
        assert await self.peek("d/x") == data

    @pytest.mark.parametrize(
        "other", [b"new", b"", b"older", b"o"], ids=["same-size", "empty", "longer", "shorter"]
    )
    async def test_put_of_other_bytes_is_refused(self, storage: Storage, other: bytes) -> None:
        """Nothing is ever overwritten, as far as the backend can tell."""
        await self.plant("d/x", b"old")
        if not self.refuses_overwrite:
            await storage.put("d/x", other)
            assert await self.peek("d/x") == other
            return
        with pytest.raises(TargetSupersededError, match="d/x"):
            await storage.put("d/x", other)
        assert await self.peek("d/x") == b"old"
        assert await self.keys() == ["d/x"]

    async def test_many_puts_of_the_same_bytes_at_once_all_succeed(self, storage: Storage) -> None:
        """The race is the lost reply once more."""
        entries = await asyncio.gather(*(storage.put("d/x", b"same") for _ in range(8)))
        assert {entry.size for entry in entries} == {4}
        assert await self.peek("d/x") == b"same"
        assert await self.keys() == ["d/x"]

    async def test_of_many_puts_of_different_bytes_at_once_one_wins(self, storage: Storage) -> None:
        """The winner's bytes stand there, whole, and the others are told."""
        datas = [bytes([65 + number]) * 1000 for number in range(8)]
        results = await asyncio.gather(*(storage.put("d/x", data) for data in datas), return_exceptions=True)
        won = [data for data, result in zip(datas, results, strict=True) if isinstance(result, Entry)]
        assert await self.peek("d/x") in won
        assert await self.keys() == ["d/x"]
        assert all(isinstance(result, Entry | TargetSupersededError) for result in results)
        assert len(won) == 1 or not self.refuses_overwrite

    # create.

    @pytest.mark.parametrize(
        "sizes",
        [
            (),
            (0,),
            (1,),
            (0, 3, 0),
            (1000,) * 3000,
            (PIECE,),
            (PIECE - 1, 2),
            (PIECE + 1, PIECE - 1, 1),
            (5, 2 * PIECE + 3, PIECE // 2 + 1, 7, PIECE // 2),
        ],
        ids=["nothing", "empty", "one", "few", "small", "piece", "across", "around", "mixed"],
    )
    async def test_a_stream_of_any_sizes_comes_out_whole(
        self, storage: Storage, sizes: Sequence[int]
    ) -> None:
        """How it was cut does not show."""
        pattern = os.urandom(4099)  # a prime: no piece looks like the one before
        whole = memoryview((pattern * (sum(sizes) // len(pattern) + 1))[: sum(sizes)])
        start = 0
        async with storage.create("d/x", content_type="text/csv") as sink:
            for size in sizes:
                await sink.write(whole[start : start + size])
                start += size
        assert (sink.entry.key, sink.entry.size) == ("d/x", len(whole))
        assert await self.peek("d/x") == bytes(whole)
        stat = await storage.stat("d/x")
        assert (stat.size, stat.etag) == (sink.entry.size, sink.entry.etag)
        assert await self.keys() == ["d/x"]

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    async def test_a_sink_takes_every_kind_of_bytes(
        self, storage: Storage, kind: Callable[[bytes], bytes | bytearray | memoryview]
    ) -> None:
        """Whatever the caller has them in."""
        async with storage.create("d/x") as sink:
            await sink.write(kind(b"abc"))
            await sink.write(kind(b"def"))
        assert await self.peek("d/x") == b"abcdef"

    @pytest.mark.parametrize("size", [10, PIECE // 2, PIECE + 10])
    async def test_a_buffer_may_be_used_again_once_write_returned(self, storage: Storage, size: int) -> None:
        """No bytes are shared with the caller behind its back."""
        buffer = bytearray(b"1" * size)
        async with storage.create("d/x") as sink:
            await sink.write(buffer)
            buffer[:] = b"2" * size
            await sink.write(buffer)
            buffer[:] = b"3" * size
            buffer.clear()
        assert await self.peek("d/x") == b"1" * size + b"2" * size

    async def test_nothing_is_visible_before_the_block_ends(self, storage: Storage) -> None:
        """Writes under way show, if at all, under hidden names that end in `.part`."""
        async with storage.create("d/x.csv") as sink:
            await sink.write(b"x" * (PIECE + 1))
            assert await self.peek("d/x.csv") is None
            with pytest.raises(TargetNotFoundError):
                await storage.read("d/x.csv")
            names = [entry.name for entry in (await storage.list()).entries]
            names += [key.rpartition("/")[2] for key in await self.keys()]
            assert all(name.startswith(".") and name.endswith(".part") for name in names)
        assert await _listed(storage) == ["d/x.csv"]

    @pytest.mark.parametrize("size", [0, 10, 2 * PIECE + 1])
    async def test_an_exception_in_the_block_publishes_nothing(self, storage: Storage, size: int) -> None:
        """It comes out as it is, and what was written is taken back."""
        with pytest.raises(ZeroDivisionError):
            async with storage.create("d/x") as sink:
                await sink.write(b"x" * size)
                raise ZeroDivisionError
        assert await self.keys() == []
        await storage.put("d/x", b"the key is free")
        assert await self.peek("d/x") == b"the key is free"

    @pytest.mark.parametrize("size", [0, 10, 2 * PIECE + 1])
    async def test_a_cancelled_block_publishes_nothing(self, storage: Storage, size: int) -> None:
        """What was written is taken back, soon if not at once."""
        inside = asyncio.Event()

        async def write() -> None:
            async with storage.create("d/x") as sink:
                await sink.write(b"x" * size)
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(write())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await self.peek("d/x") is None
        await eventually(self._is_empty)
        await storage.put("d/x", b"the key is free")

    async def test_a_block_whose_write_was_cancelled_publishes_nothing(self, storage: Storage) -> None:
        """Nobody knows how much of it was written, even where the block goes on."""
        with pytest.raises(FileflowError):
            async with storage.create("d/x") as sink:
                await sink.write(b"1")
                write = asyncio.create_task(sink.write(b"2" * (3 * PIECE)))
                await asyncio.sleep(0)
                write.cancel()
                with suppress(asyncio.CancelledError):
                    await write
                assert write.cancelled()
                await sink.write(b"3")
        await eventually(self._is_empty)

    async def test_create_never_replaces(self, storage: Storage) -> None:
        """As `put`: other bytes that stand there stay."""
        await self.plant("d/x", b"old")
        if not self.refuses_overwrite:
            await _create(storage, "d/x", b"new")
            assert await self.peek("d/x") == b"new"
            return
        with pytest.raises(TargetSupersededError, match="d/x"):
            await _create(storage, "d/x", b"new")
        assert await self.peek("d/x") == b"old"
        assert await self.keys() == ["d/x"]

    async def test_create_refuses_what_came_while_it_wrote(self, storage: Storage) -> None:
        """The end of the block looks once more."""
        if not self.refuses_overwrite:
            await _create(storage, "d/x", b"new")
            assert await self.peek("d/x") == b"new"
            return
        with pytest.raises(TargetSupersededError, match="d/x"):
            async with storage.create("d/x") as sink:
                await sink.write(b"late")
                await self.plant("d/x", b"first")
        assert await self.peek("d/x") == b"first"
        assert await self.keys() == ["d/x"]

    async def test_of_two_that_create_the_same_key_one_wins(self, storage: Storage) -> None:
        """The winner's bytes stand there, whole."""
        datas = [b"A" * (PIECE + 1), b"B" * (PIECE + 2)]
        results = await asyncio.gather(
            *(_create(storage, "d/x", data) for data in datas), return_exceptions=True
        )
        won = [data for data, result in zip(datas, results, strict=True) if isinstance(result, Entry)]
        assert await self.peek("d/x") in won
        assert await self.keys() == ["d/x"]
        assert all(isinstance(result, Entry | TargetSupersededError) for result in results)
        assert len(won) == 1 or not self.refuses_overwrite

    # Reading.

    async def test_what_is_not_there_is_not_found(self, storage: Storage) -> None:
        """Nor is a folder an object, nor a key that another begins with."""
        await self.plant("d/x.csv/y", b"x")
        for key in ("nothing", "no/thing", "d", "d/x", "d/x.csv", "d/x.csv/z"):
            for call in (storage.read, partial(storage.read_range, start=0, length=1), storage.stat):
                with pytest.raises(TargetNotFoundError, match=key):
                    await call(key)
            with pytest.raises(TargetNotFoundError, match=key):
                await _stream(storage, key)

    @pytest.mark.parametrize("size", [0, 1, PIECE, 2 * PIECE + 1])
    async def test_a_stream_has_the_bytes_of_a_read(self, storage: Storage, size: int) -> None:
        """In pieces that keep memory bounded."""
        data = os.urandom(1021) * (size // 1021) + b"x" * (size % 1021)
        await self.plant("d/x", data)
        assert await storage.read("d/x") == data
        async with storage.stream("d/x") as pieces:
            read = [piece async for piece in pieces]
        assert b"".join(read) == data
        assert all(0 < len(piece) <= PIECE for piece in read)

    async def test_a_stream_may_be_left_early(self, storage: Storage) -> None:
        """By a break, or by an exception, which comes out as it is."""
        await self.plant("d/x", b"x" * (2 * PIECE + 1))
        async with storage.stream("d/x") as pieces:
            async for piece in pieces:
                assert piece
                break
        with pytest.raises(ZeroDivisionError):
            async with storage.stream("d/x") as pieces:
                raise ZeroDivisionError
        assert len(await storage.read("d/x")) == 2 * PIECE + 1

    async def test_a_range_is_cut_at_the_end_of_the_object(self, storage: Storage) -> None:
        """Behind the end there are no bytes, which is no error."""
        await self.plant("d/x", b"0123456789")
        ranges = [(0, 10), (0, 1), (3, 4), (9, 1), (9, 5), (0, 99), (10, 1), (99, 1)]
        for start, length in ranges:
            data = await storage.read_range("d/x", start, length)
            assert data == b"0123456789"[start : start + length]
        await self.plant("d/empty", b"")
        assert await storage.read_range("d/empty", 0, 10) == b""

    async def test_read_each_puts_errors_in_the_place_of_bytes(self, storage: Storage) -> None:
        """One that is not there spoils no other."""
        await self.plant("d/x", b"1")
        await self.plant("d/empty", b"")
        await self.plant("e/y", b"2" * 100_000)
        found = await storage.read_each(["d/x", "d/none", "e/y", "f/none", "d/empty"])
        assert list(found) == ["d/x", "d/none", "e/y", "f/none", "d/empty"]
        assert (found["d/x"], found["e/y"], found["d/empty"]) == (b"1", b"2" * 100_000, b"")
        assert isinstance(found["d/none"], TargetNotFoundError)
        assert isinstance(found["f/none"], TargetNotFoundError)
        assert await storage.read_each([]) == {}

    async def test_an_etag_tells_when_the_object_is_another(self, storage: Storage) -> None:
        """Where the backend has such a thing; where it has none, it is None everywhere."""
        entry = await storage.put("d/x", b"old")
        assert {each.etag for each in (await storage.list()).entries} == {entry.etag}
        assert await storage.read_range("d/x", 0, 3, etag=entry.etag) == b"old"
        assert await _stream(storage, "d/x", etag=entry.etag) == b"old"
        if entry.etag is None:
            return
        await self.plant("d/x", b"new")
        with pytest.raises(TargetSupersededError, match="d/x"):
            await storage.read_range("d/x", 0, 3, etag=entry.etag)
        with pytest.raises(TargetSupersededError, match="d/x"):
            await _stream(storage, "d/x", etag=entry.etag)

    # Listing.

    @pytest_asyncio.fixture
    async def tree(self, storage: Storage) -> Sequence[str]:
        """Plant the keys that are hard to list."""
        for key in TRAPS:
            await self.plant(key, key.encode())
        return TRAPS

    async def test_no_objects_is_an_empty_listing(self, storage: Storage) -> None:
        """Whatever the prefix, keys or not."""
        for prefix in (
            "",
            "a",
            "a/",
            "a/b",
            "/",
            "/a",
            "a//b",
            "..",
            "../",
            "../x",
            "a/../b",
            "./",
            "é",
            "a\0b/",
            "\ud800",
        ):
            for shallow in (False, True):
                listing = await storage.list(prefix, shallow=shallow)
                assert (list(listing.entries), listing.complete) == ([], True)

    async def test_a_listing_tells_sizes_and_times(self, storage: Storage) -> None:
        """Ages are counted by the store's own clock."""
        await self.plant("d/x", b"123")
        listing = await storage.list("d/")
        (entry,) = listing.entries
        assert (entry.key, entry.size, entry.is_folder) == ("d/x", 3, False)
        assert -2 < listing.now - entry.modified < PATIENCE + 1  # S3 cuts its times to seconds
        assert entry == await storage.stat("d/x")

    async def test_an_object_is_listed_once_put_returned(self, storage: Storage) -> None:
        """And no longer once `delete` did."""
        for number in range(5):
            await storage.put(f"d/{number}", b"")
            assert await _listed(storage) == [f"d/{each}" for each in range(number + 1)]
        for number in range(5):
            await storage.delete([f"d/{number}"])
            assert await _listed(storage) == [f"d/{each}" for each in range(number + 1, 5)]

    async def test_keys_are_listed_in_the_order_of_their_bytes(
        self, storage: Storage, tree: Sequence[str]
    ) -> None:
        """`a-b/` and `a.b` before `a/`, which a walk of folders gets wrong."""
        assert await _listed(storage) == sorted(tree)
        assert (await _listed(storage, shallow=True))[1:5] == ["Z", "_/", "a-b/", "a.b"]

    @_EXAMPLES
    @given(
        prefix=st.one_of(
            st.sampled_from(
                ["", "a", "a/", "a/b", "a/bc", "ab/.", "b", "b/c/d", "b/c/d/", "run=", "%", "none", "a//"]
            ),
            st.sampled_from(TRAPS).flatmap(lambda key: st.integers(0, len(key)).map(lambda end: key[:end])),
        ),
        start_after=st.one_of(
            st.sampled_from(["", "a", "a/", "a/zzz", "a0", "b/", "b/c/d/", "b/c/d0", "zzz", "~", "A"]),
            st.sampled_from(TRAPS),
        ),
        limit=st.one_of(st.none(), st.integers(1, 25)),
        shallow=st.booleans(),
    )
    async def test_a_listing_is_what_the_model_says(
        self,
        storage: Storage,
        tree: Sequence[str],
        prefix: str,
        start_after: str,
        limit: int | None,
        shallow: bool,
    ) -> None:
        """Prefix, start_after, limit and shallow, in every combination."""
        if _is_inside_object(prefix, tree):
            return  # a backend with real folders may refuse to look into a file
        await self._compare(storage, tree, (prefix, start_after, limit, shallow))

    @_FEW_EXAMPLES
    @given(
        data=st.data(),
        parts=st.lists(
            st.lists(st.sampled_from(_COMPONENTS), min_size=1, max_size=3).map("/".join),
            min_size=1,
            max_size=8,
            unique=True,
        ),
    )
    async def test_any_tree_is_listed_as_the_model_says(
        self, storage: Storage, data: st.DataObject, parts: Sequence[str]
    ) -> None:
        """Drawn trees, each with drawn queries."""
        case = f"case{os.urandom(6).hex()}/"  # its own folder: nothing to clean up between examples
        keys = [case + part for part in parts if not any(other.startswith(f"{part}/") for other in parts)]
        for key in keys:
            await self.plant(key, b"")
        for _ in range(4):
            prefix = case + data.draw(st.sampled_from(["", "a", "a/", "a/a", "b/", "é"]))
            start_after = data.draw(st.one_of(st.just(""), st.sampled_from(keys), st.just(f"{case}a/")))
            limit = data.draw(st.one_of(st.none(), st.integers(1, 9)))
            if not _is_inside_object(prefix, keys):
                await self._compare(storage, keys, (prefix, start_after, limit, data.draw(st.booleans())))

    async def _compare(self, storage: Storage, keys: Sequence[str], query: Query) -> None:
        prefix, start_after, limit, shallow = query
        listing = await storage.list(prefix, start_after=start_after, limit=limit, shallow=shallow)
        expected = _model(keys, query)
        assert [entry.key for entry in listing.entries] == expected[:limit]
        assert listing.complete == (len(expected) <= (len(expected) if limit is None else limit))
        for entry in listing.entries:
            if entry.is_folder:
                assert (entry.size, entry.modified) == (0, 0.0)

    async def test_pages_make_up_the_whole(self, storage: Storage, tree: Sequence[str]) -> None:
        """The last key of a page is where the next one starts, folders included."""
        for shallow in (False, True):
            found: list[str] = []
            complete = False
            while not complete:
                page = await storage.list(start_after=found[-1] if found else "", limit=3, shallow=shallow)
                found += [entry.key for entry in page.entries]
                complete = page.complete
                assert len(found) <= len(tree)
            assert found == await _listed(storage, shallow=shallow)

    async def test_list_each_lists_each_folder(self, storage: Storage, tree: Sequence[str]) -> None:
        """As a shallow `list` would; one that does not exist is empty."""
        folders = ["a/", "a/bc-/", "b/c/", "none/", "none/none/", "ab/"]
        found = await storage.list_each(folders)
        assert list(found) == folders
        for folder in folders:
            listing = found[folder]
            assert isinstance(listing, Listing)
            assert listing.complete
            assert list(listing.entries) == list((await storage.list(folder, shallow=True)).entries)
        assert await storage.list_each([]) == {}

    async def test_a_folder_that_cannot_be_listed_spoils_no_other(
        self, storage: Storage, tree: Sequence[str]
    ) -> None:
        """Its error stands in the place of its listing."""
        spoilt = await self.spoil("b/c/")
        found = await storage.list_each(["a/", "b/c/", "ab/", "../", "a//b/"])
        for folder in ("a/", "ab/"):
            listing = found[folder]
            assert isinstance(listing, Listing)
            assert list(listing.entries) == list((await storage.list(folder, shallow=True)).entries)
        assert isinstance(found["b/c/"], FileflowError) == spoilt
        for folder in ("../", "a//b/"):
            listing = found[folder]
            assert isinstance(listing, TargetNameError) or not listing.entries  # type: ignore[union-attr]

    # delete, abandon.

    async def test_delete_removes_what_it_was_given(self, storage: Storage) -> None:
        """And nothing that only looks like it; what is not there is no error."""
        for key in ("d/x", "d/x.ok", "d/xy", "e/x"):
            await self.plant(key, b"1")
        await storage.delete(["d/x", "d/none", "none/none", "e/x", "d/x"])
        assert sorted(await self.keys()) == ["d/x.ok", "d/xy"]
        await storage.delete([])
        await storage.delete(key for key in ("d/x.ok", "d/xy"))
        assert await self.keys() == []
        await storage.put("d/x", b"2")
        assert await self.peek("d/x") == b"2"

    async def test_delete_keeps_the_order(self, storage: Storage) -> None:
        """Whoever sees that a later key is gone finds no earlier one."""
        keys = [f"d/{number:02d}" for number in range(20)]
        keys = keys[::2] + keys[1::2]
        for key in keys:
            await self.plant(key, b"1")
        task = asyncio.create_task(storage.delete(keys))
        while not task.done():
            for earlier, later in pairwise(keys):
                if await self.peek(later) is None:
                    assert await self.peek(earlier) is None
            await asyncio.sleep(0)
        await task
        assert await self.keys() == []

    async def test_abandon_leaves_whole_objects_alone(self, storage: Storage) -> None:
        """It takes back only what `list` cannot show."""
        await self.plant("d/x", b"1")
        later = time.time() + 3600
        assert list(await storage.abandon(before=later)) == []
        assert list(await storage.abandon(before=later, dry_run=False)) == []
        assert await self.keys() == ["d/x"]

    # Cancellation.

    async def test_a_cancelled_put_stores_all_or_nothing(self, storage: Storage) -> None:
        """Wherever it was stopped; and the key can be put again."""
        for steps in _STEPS:
            await self._cancel_after(steps, storage.put(f"d/{steps}", b"x" * 1000))
            assert await self.peek(f"d/{steps}") in (None, b"x" * 1000)
        await eventually(self._has_no_parts)
        for steps in _STEPS:
            await eventually(partial(_is_put, storage, f"d/{steps}", b"x" * 1000))

    async def test_a_cancelled_create_stores_all_or_nothing(self, storage: Storage) -> None:
        """Wherever it was stopped, and nothing is left of it."""
        data = b"x" * (PIECE + 1)
        for steps in _STEPS:
            await self._cancel_after(steps, _create(storage, f"d/{steps}", data))
        await eventually(self._has_no_parts)
        for key in await self.keys():
            assert await self.peek(key) == data

    async def test_cancelling_leaves_nothing_busy(self, storage: Storage) -> None:
        """No task, thread or descriptor stays for a call that was cancelled."""
        await self.plant("d/x", b"x" * (PIECE + 1))
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: storage.read("d/x"),
            lambda: storage.read_range("d/x", 1, PIECE),
            lambda: _stream(storage, "d/x"),
            lambda: storage.stat("d/x"),
            lambda: storage.list(),
            lambda: storage.list_each(["d/"]),
            lambda: storage.read_each(["d/x"]),
            lambda: storage.delete(["e/x"]),
            lambda: _tail_once(storage),
        ]
        for call in calls:
            await call()
        tasks, threads, descriptors = asyncio.all_tasks(), threading.active_count(), await _descriptors()
        for call in calls:
            for steps in _STEPS:
                await self._cancel_after(steps, call())
        assert len(_STEPS) > self.busy_slack  # else one leak a round would not show

        async def settled() -> bool:
            return (
                asyncio.all_tasks() == tasks
                and threading.active_count() <= threads + self.busy_slack
                and await _descriptors() <= descriptors + self.busy_slack
            )

        await eventually(settled)
        assert len(await storage.read("d/x")) == PIECE + 1

    async def _cancel_after(self, steps: int, call: Awaitable[object]) -> None:
        task = asyncio.ensure_future(call)
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _is_empty(self) -> bool:
        return not await self.keys()

    async def _has_no_parts(self) -> bool:
        return not any(key.endswith(".part") for key in await self.keys())

    # tail.

    async def test_a_tail_of_nothing_is_empty(self, storage: Storage) -> None:
        """The prefix need not exist yet, and a name that comes then is found."""
        async with storage.tail(".feed/") as tail:
            assert list(await tail.names()) == []
            assert list(await tail.names()) == []
            name = await _announce(storage, 1)
            await eventually(partial(_gives, tail, name))

    async def test_a_tail_begins_with_the_last_moments(self, storage: Storage) -> None:
        """Whoever opens it late still sees what just came."""
        name = await _announce(storage, 1)
        async with storage.tail(".feed/") as tail:
            assert name in await tail.names()

    async def test_a_tail_gives_new_names(self, storage: Storage) -> None:
        """Each as soon as its `put` returned, and none that nobody put."""
        put = set()
        async with storage.tail(".feed/") as tail:
            for number in range(10):
                name = await _announce(storage, number)
                put.add(name)
                names = await tail.names()
                assert name in names
                assert put.issuperset(names)

    async def test_a_tail_loses_nothing_while_minutes_roll_over(self, storage: Storage) -> None:
        """Names in many folders, put while it looks."""
        found: set[str] = set()
        done = asyncio.Event()

        async def follow() -> None:
            async with storage.tail(".feed/") as tail:
                ended = False
                while not ended:
                    ended = done.is_set()  # before the look: one more must follow the last put
                    found.update(await tail.names())
                    await asyncio.sleep(0.002)

        follower = asyncio.create_task(follow())
        put = {await _announce(storage, number, minutes=number // 3) for number in range(60)}
        done.set()
        await follower
        assert found == put

    async def test_a_tail_survives_the_removal_of_its_folders(self, storage: Storage) -> None:
        """Old minutes are cleaned up while it looks."""
        async with storage.tail(".feed/") as tail:
            for number in range(5):
                name = await _announce(storage, number, minutes=number)
                await eventually(partial(_gives, tail, name))
                await storage.delete([entry.key for entry in (await storage.list(".feed/")).entries])
            assert await self.keys() == []
            name = await _announce(storage, 9)
            await eventually(partial(_gives, tail, name))

    async def test_waiting_for_a_change_can_be_cancelled(self, storage: Storage) -> None:
        """It may return or not; names are found all the same."""
        async with storage.tail(".feed/") as tail:
            await tail.names()
            for number in range(5):
                await self._cancel_after(number, tail.changed())
                name = await _announce(storage, number)
                await eventually(partial(_gives, tail, name))


_STEPS = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    13,
    21,
    34,
    55,
    89,
    144,
    233,
    377,
)  # of the event loop, until it is stopped


async def eventually(condition: Callable[[], Awaitable[bool]], *, seconds: float = PATIENCE) -> None:
    """Return once the condition holds; fail when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.005)


def _model(keys: Sequence[str], query: Query) -> list[str]:
    prefix, start_after, _, shallow = query
    found = set()
    for key in keys:
        if key.startswith(prefix):
            head, folder, _ = key[len(prefix) :].partition("/")
            found.add(prefix + head + folder if shallow else key)
    return sorted((key for key in found if key.encode() > start_after.encode()), key=str.encode)


def _is_inside_object(prefix: str, keys: Collection[str]) -> bool:
    return any(prefix.startswith(f"{key}/") for key in keys)


async def _listed(storage: Storage, *, shallow: bool = False) -> list[str]:
    listing = await storage.list(shallow=shallow)
    assert listing.complete
    return [entry.key for entry in listing.entries]


async def _create(storage: Storage, key: str, data: bytes) -> Entry:
    async with storage.create(key) as sink:
        await sink.write(data)
    return sink.entry


async def _stream(storage: Storage, key: str, *, etag: str | None = None) -> bytes:
    async with storage.stream(key, etag=etag) as pieces:
        return b"".join([piece async for piece in pieces])


async def _is_put(storage: Storage, key: str, data: bytes) -> bool:
    try:
        return (await storage.put(key, data)).size == len(data)
    except TargetSupersededError:  # a cancelled one is still being taken back
        return False


async def _announce(storage: Storage, number: int, *, minutes: int = 0) -> str:
    """Put a feed entry made so many minutes from now, and return its name."""
    milliseconds = int(time.time() * 1000) + 60_000 * minutes
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    name = f"{moment:%Y%m%dT%H%M%S}{milliseconds % 1000:03d}Z-{number:024x}"
    await storage.put(f".feed/{moment:%Y%m%dT%H%M}/{name}", b"")
    return name


async def _gives(tail: Tail, name: str) -> bool:
    return name in await tail.names()


async def _tail_once(storage: Storage) -> None:
    async with storage.tail(".feed/") as tail:
        await tail.names()


async def _descriptors() -> int:
    def count() -> int:
        folder = Path("/proc/self/fd")
        return sum(1 for _ in folder.iterdir()) if folder.exists() else 0  # none on other systems than Linux

    return await asyncio.to_thread(count)
