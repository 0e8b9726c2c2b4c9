"""The catalogue of bad inputs: what belongs to the target protocol, by exact text.

The numbers are those of the catalogue. Rows on roots, buckets, disks and waits are tested where those are.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fileflow_async import codec, manifest
from fileflow_async.content import Content
from fileflow_async.errors import (
    ConfigError,
    FileflowError,
    FormatError,
    TargetCorruptError,
    TargetNameError,
    TargetSupersededError,
    TargetWriteError,
)
from fileflow_async.status import State
from fileflow_async.store import TargetStore
from fileflow_async.target import Slot, Target, check_extension
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.conftest import MakeTarget
from tests.planting import NEW, kept, plant, put, record_for
from tests.tries import T0, made

DATA = f"{NEW}.csv"
OK = f"{DATA}.ok"
SLOT = Slot(run_id="r")


def place(**changes: Any) -> Target:
    return Target(**{"dag_id": "d", "task_id": "t", "slot": SLOT, **changes})


class TestNames:
    """Rows 1 to 8, 11, 57."""

    def test_1_a_dag_that_is_called_dot_dot(self) -> None:
        """It is no error: it is stored as `%2E.`."""
        assert place(dag_id="..").key == "%2E./run=r/t/output"

    def test_2_a_task_whose_id_ends_in_a_newline(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is stored as `%0A`, with a warning."""
        codec._encode.cache_clear()
        with caplog.at_level(logging.WARNING):
            assert place(task_id="a\n").key == "d/run=r/a%0A/output"
        assert caplog.messages == [r"task_id 'a\n' contains a control character"]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"dag_id": ""}, "dag_id is empty"),
            ({"dag_id": None}, "dag_id must be a string, got NoneType"),
            ({"task_id": ""}, "task_id is empty"),
            ({"task_id": 5}, "task_id must be a string, got int"),
            ({"dag_id": "\ud800"}, "dag_id is not valid Unicode text"),
            (
                {"name": "a/b"},
                (
                    "target name 'a/b' may only contain letters, digits, '_', '-', '.' "
                    "and must not start with '.' or '-'"
                ),
            ),
            ({"name": ""}, "target name is empty"),
            ({"name": None}, "target name must be a string, got NoneType"),
            ({"name": "x" * 101}, "target name is 101 characters long; the limit is 100"),
            ({"map_index": -2}, "map_index must be an integer >= -1, got -2"),
            ({"map_index": True}, "map_index must be an integer >= -1, got True"),
            ({"map_index": "1"}, "map_index must be an integer >= -1, got '1'"),
        ],
    )
    def test_3_to_7_ids_names_and_map_indexes(self, given: dict[str, Any], message: str) -> None:
        """Refused when the target is made."""
        with pytest.raises(TargetNameError) as caught:
            place(**given)
        assert str(caught.value) == message

    def test_8_a_key_is_never_too_long_but_for_its_prefix(self) -> None:
        """Ids are cut, so that only a root's prefix can bring a key of S3 above 1,024 bytes."""
        longest = place(
            dag_id="x" * 1000,
            task_id="x" * 1000,
            slot=Slot(run_id="x" * 1000),
            map_index=999_999,
            name="x" * 100,
        )
        attempt = f"/{token_name()}.parquet.zst.ok"
        assert len(longest.key + attempt) < 700

    @pytest.mark.parametrize("extension", ["csv.ok", "part", "csv.part", "failed"])
    def test_11_a_reserved_extension(self, extension: str) -> None:
        """The protocol needs it for itself."""
        with pytest.raises(TargetNameError) as caught:
            check_extension(extension)
        assert str(caught.value) == f"extension {extension!r} is reserved"

    @pytest.mark.parametrize("format", ["pickle", "joblib"])
    def test_57_a_format_that_runs_code(self, format: str) -> None:
        """Reading it would."""
        with pytest.raises(ConfigError) as caught:
            Content.of(format)
        assert str(caught.value) == (
            f"format '{format}' is not supported (unsafe); use parquet, csv, json or bytes"
        )


def token_name() -> str:
    return f"{NEW[:19]}-t99-{'f' * 12}"


class TestRecords:
    """Rows 26 to 32: whatever lies under the name of a record."""

    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            # 26
            (b"", f"'{OK}' is not valid JSON (0 bytes)"),
            (b'{"fileflow": 1, "data": "2026', f"'{OK}' is not valid JSON (29 bytes)"),
            (b'{"fileflow": 1,', f"'{OK}' is not valid JSON (15 bytes)"),
            # 27
            (b" " * 70_000, f"'{OK}' is 70000 bytes; the limit is 65536"),
            # 28
            (b'{"rows": NaN}', f"'{OK}' is not valid JSON: NaN is not a JSON number"),
            (b'{"rows": -Infinity}', f"'{OK}' is not valid JSON: -Infinity is not a JSON number"),
            (b'{"rows": 1e999}', f"'{OK}' is not valid JSON: 1e999 is not a JSON number"),
            (b'{"size": 1, "size": 2}', f"'{OK}' is not valid JSON: duplicate key 'size'"),
            (
                b"\xef\xbb\xbf{}",
                f"'{OK}' is not valid JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at character 0",
            ),
            ("{}".encode("utf-16"), f"'{OK}' is not valid JSON: not UTF-8 at byte 0"),
            (b"[" * 60_000, f"'{OK}' is not valid JSON: nested too deeply"),
            (b"[" * 200_000, f"'{OK}' is 200000 bytes; the limit is 65536"),
            (b"9" * 5_000, f"'{OK}' is not valid JSON: a number is too long"),
            (b'{"a" 1}', f"'{OK}' is not valid JSON: Expecting ':' delimiter at character 5"),
            (b'{"a": "\n"}', f"'{OK}' is not valid JSON: Invalid control character at character 7"),
            (b"<html></html>", f"'{OK}' is not valid JSON: Expecting value at character 0"),
        ],
    )
    async def test_26_to_28_what_is_no_json(
        self, store: TargetStore, storage: MemoryStorage, raw: bytes, message: str
    ) -> None:
        """By the parser, by a look, and by reading alike."""
        await self._refused(store, storage, raw, message)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            # 29
            ({"data": "../../etc/passwd"}, f"'{OK}' names data '../../etc/passwd', expected '{DATA}'"),
            # 30
            ({"size": -1}, f"'{OK}' has size -1; expected an integer >= 0"),
            ({"size": 1.5}, f"'{OK}' has size 1.5; expected an integer >= 0"),
            ({"size": "5"}, f"'{OK}' has size '5'; expected an integer >= 0"),
            ({"size": True}, f"'{OK}' has size True; expected an integer >= 0"),
            # 31
            ({"sha256": "a" * 63}, f"'{OK}' has an invalid sha256"),
        ],
    )
    async def test_29_to_31_what_is_no_record(
        self, store: TargetStore, storage: MemoryStorage, change: dict[str, Any], message: str
    ) -> None:
        """By the parser, by a look, and by reading alike."""
        await self._refused(store, storage, record_for(DATA, b"1", **change), message)

    async def test_32_a_record_of_a_later_version(self, store: TargetStore, storage: MemoryStorage) -> None:
        """It says which one reads it."""
        message = f"'{OK}' uses format 2; this version reads 1. Upgrade fileflow_async"
        await self._refused(store, storage, record_for(DATA, b"1", fileflow=2), message, kind=FormatError)

    async def _refused(
        self,
        store: TargetStore,
        storage: MemoryStorage,
        raw: bytes,
        message: str,
        *,
        kind: type[FileflowError] = TargetCorruptError,
    ) -> None:
        plant(storage, f"{place().key}/{DATA}", b"1")
        plant(storage, f"{place().key}/{OK}", raw)
        with pytest.raises(kind) as caught:
            manifest.parse(raw, OK)
        assert str(caught.value) == message
        status = await store.state(place())
        assert (status.state, status.why) == (State.CORRUPT, message)
        await _refuses_to_read(store, storage, message, kind)


async def _refuses_to_read(
    store: TargetStore, storage: MemoryStorage, message: str, kind: type[FileflowError] = TargetCorruptError
) -> None:
    reading = asyncio.create_task(store.read(place()))
    assert isinstance(storage.clock, FakeClock)
    await storage.clock.advance(2)
    with pytest.raises(kind) as caught:
        await reading
    assert type(caught.value) is kind
    assert str(caught.value) == message


class TestData:
    """Rows 33 to 37: data that is not what its record says."""

    async def test_33_data_that_is_missing(self, store: TargetStore, storage: MemoryStorage) -> None:
        """Its record is there."""
        plant(storage, f"{place().key}/{OK}", record_for(DATA, b"1"))
        message = f"'{OK}' exists but its data '{DATA}' does not"
        assert (await store.state(place())).why == message
        await _refuses_to_read(store, storage, message)

    async def test_34_data_of_the_wrong_size(self, store: TargetStore, storage: MemoryStorage) -> None:
        """With both sizes."""
        plant(storage, f"{place().key}/{OK}", record_for(DATA, b"1", size=5_242_880))
        plant(storage, f"{place().key}/{DATA}", b"1234567890")
        message = f"'{DATA}' has 10 bytes; the manifest says 5242880"
        assert (await store.state(place())).why == message
        await _refuses_to_read(store, storage, message)

    async def test_35_data_with_the_wrong_hash(self, store: TargetStore, storage: MemoryStorage) -> None:
        """With the beginnings of both hashes."""
        plant(storage, f"{place().key}/{OK}", record_for(DATA, b"12345"))
        plant(storage, f"{place().key}/{DATA}", b"1234X")
        read, said = (hashlib.sha256(data).hexdigest()[:12] for data in (b"1234X", b"12345"))
        message = f"'{DATA}' does not match its sha256 (read {read}…, manifest {said}…)"
        assert (await store.state(place())).state is State.COMPLETE  # only reading sees that
        await _refuses_to_read(store, storage, message)

    async def test_36_data_that_is_replaced_while_it_is_read(self, clock: FakeClock) -> None:
        """It is looked at once more."""

        class Replaced(MemoryStorage):
            @asynccontextmanager
            async def stream(
                self, key: str, *, etag: str | None = None
            ) -> AsyncIterator[AsyncIterator[bytes]]:
                async with super().stream(key, etag="another") as pieces:
                    yield pieces

        storage = Replaced(clock=clock)
        store = TargetStore(storage, clock=clock)
        reference = await put(store, place(), b"12345", format="csv")

        async def stream() -> None:
            async with store.open(place()):
                pytest.fail("nothing may be handed out")

        reading = asyncio.create_task(stream())
        await clock.advance(2)
        with pytest.raises(TargetSupersededError) as caught:
            await reading
        assert str(caught.value) == (
            f"'memory://store/{place().key}/{reference.data}' was replaced while it was read; retried once"
        )

    async def test_37_data_of_no_bytes_or_rows(self, store: TargetStore, target: MakeTarget) -> None:
        """A look says EMPTY; what comes of it is the waiter's policy."""
        await put(store, target(), b"")
        assert (await store.state(target())).state is State.EMPTY


class TestWriting:
    """Rows 46, 48, 49, 50. Row 47, bytes that are no text, is a matter of formats: a store reads bytes."""

    async def test_46_text_for_a_binary_target(self, store: TargetStore) -> None:
        """An encoding makes it bytes."""

        async def write() -> None:
            async with store.write(place()) as out:
                await out.write("text")

        with pytest.raises(TargetWriteError) as caught:
            await write()
        assert str(caught.value) == "write() got str for a binary target; pass encoding="

    async def test_46_an_unknown_encoding(self, store: TargetStore) -> None:
        """Before anything is written."""
        with pytest.raises(ConfigError) as caught:
            await store.write(place(), encoding="utf-9").__aenter__()
        assert str(caught.value) == "unknown encoding 'utf-9'"

    async def test_48_a_write_after_the_commit(self, store: TargetStore) -> None:
        """Nobody would ever read it."""
        async with store.begin(place()) as draft:
            await store.commit(draft)
            with pytest.raises(TargetWriteError) as caught:
                await draft.write(b"late")
        assert str(caught.value) == "target was already committed"

    async def test_48_no_commit(
        self, store: TargetStore, storage: MemoryStorage, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nothing is published, and a warning says so."""
        async with store.begin(place()) as draft:
            await draft.write(b"1")
        assert caplog.messages == [f"{draft.uri}: closed without commit(); nothing was published"]
        assert caplog.records[0].levelno == logging.WARNING
        assert kept(storage, "") == []

    async def test_49_an_exception_in_the_block(self, store: TargetStore, storage: MemoryStorage) -> None:
        """The very same comes out, and nothing is left."""
        error = ZeroDivisionError("boom")

        async def write() -> None:
            async with store.write(place()) as out:
                await out.write(b"1")
                raise error

        with pytest.raises(ZeroDivisionError) as caught:
            await write()
        assert caught.value is error
        assert kept(storage, "") == []

    async def test_50_a_zombies_commit(self, store: TargetStore, storage: MemoryStorage) -> None:
        """With the name of what stands there."""

        async def write() -> None:
            async with store.write(place(), producer=made(T0)):
                plant(storage, f"{place().key}/{OK}", record_for(DATA, b"1"))

        with pytest.raises(TargetSupersededError) as caught:
            await write()
        assert str(caught.value) == (
            f"a newer attempt already committed {DATA}; this attempt's result was not published"
        )


def test_no_message_is_flooded_by_what_was_given() -> None:
    """Values are quoted and cut to 120 characters."""
    with pytest.raises(TargetNameError) as caught:
        place(map_index="x" * 10_000)
    assert len(str(caught.value)) < 180
    with pytest.raises(TargetCorruptError) as corrupt:
        manifest.parse(json.dumps({"fileflow": 1, "data": "x" * 60_000}).encode(), OK)
    assert len(str(corrupt.value)) < 300
