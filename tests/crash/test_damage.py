"""Bits flip and files get shorter: the right error, never wrong bytes."""

import asyncio
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from fileflow_async.errors import FileflowError, TargetCorruptError
from fileflow_async.status import State
from fileflow_async.storage.local import LocalStorage
from fileflow_async.storage.protocol import Storage
from fileflow_async.storage.s3 import S3Storage
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference
from fileflow_async.testing.memory import MemoryStorage
from tests.conftest import ImpatientClock
from tests.crash.tally import Tally, how_many
from tests.crash.works import KEY, PARTS, value
from tests.s3_servers.backdoor import Backdoor

WHAT = "reads of damaged files"
DATA = value("data", 300)
MEBIBYTE = value("mebibyte", 1024 * 1024)
FLIPS = how_many(sample=150, normal=1500, long=5000)  # of each file on each storage; a server is slower
IN_S3 = how_many(sample=5, normal=30, long=1000)


@dataclass
class Victim:
    """A committed target, and the way behind the store's back."""

    store: TargetStore
    run: asyncio.Runner
    write: Callable[[str, bytes | None], None]
    reference: Reference
    tally: Tally
    flips: int = FLIPS
    expected: bytes = DATA

    @property
    def data_key(self) -> str:
        return f"{KEY}/{self.reference.data}"

    @property
    def record_key(self) -> str:
        return f"{self.data_key}.ok"

    def damage(self, key: str, data: bytes | None) -> str:
        """Put something else in a file's place, and return what a reader gets: its error, or `right`."""
        self.write(key, data)
        verdicts = {self.run.run(each()) for each in (self._read, self._read_reference, self._stream)}
        verdict = "right" if verdicts == {"right"} else " or ".join(sorted(verdicts - {"right"}))
        self.tally.add({"right": "right bytes (what changed was not the data)"}.get(verdict, verdict))
        return verdict

    async def _read(self) -> str:
        return await self._tried(KEY)

    async def _read_reference(self) -> str:
        return await self._tried(self.reference)

    async def _tried(self, what: str | Reference) -> str:
        try:
            data = await self.store.read(what)
        except FileflowError as error:
            return type(error).__name__
        assert data == self.expected
        return "right"

    async def _stream(self) -> str:
        got = b""
        try:
            async with self.store.open(KEY) as pieces:
                async for piece in pieces:
                    got += piece
        except FileflowError as error:
            return type(error).__name__
        assert got == self.expected
        return "right"


@pytest.fixture(params=["memory", "local", "s3"])
def victim(request: pytest.FixtureRequest, tmp_path: Path, tally: Tally) -> Iterator[Victim]:
    clock, flips = ImpatientClock(), FLIPS
    storage: Storage
    with asyncio.Runner() as runner, ExitStack() as stack:
        if request.param == "memory":
            storage = memory = MemoryStorage(clock=clock)

            def write(key: str, data: bytes | None) -> None:
                memory.objects.pop(key, None)
                if data is not None:
                    memory.objects[key] = (data, clock.time())

        elif request.param == "s3":
            bucket = Backdoor(request.getfixturevalue("s3_port"), f"test-{uuid.uuid4().hex}")
            runner.run(bucket.make())
            settings = request.getfixturevalue("s3_settings")(bucket.port)
            storage = s3 = S3Storage(bucket.bucket, settings=settings)
            runner.run(s3.__aenter__())
            stack.callback(lambda: runner.run(s3.__aexit__(None, None, None)))
            flips = IN_S3

            def write(key: str, data: bytes | None) -> None:
                runner.run(bucket.delete(key) if data is None else bucket.put(key, data))

        else:
            storage = local = LocalStorage(tmp_path / "root", durability="none", create=True)
            runner.run(local.__aenter__())
            stack.callback(lambda: runner.run(local.__aexit__()))

            def write(key: str, data: bytes | None) -> None:
                path = tmp_path / "root" / key
                path.unlink(missing_ok=True)
                if data is not None:
                    path.write_bytes(data)

        store = TargetStore(storage, clock=clock)
        yield Victim(store, runner, write, runner.run(_commit(store)), tally, flips)


async def _commit(store: TargetStore, data: bytes = DATA) -> Reference:
    async with store.write(KEY, format="csv") as out:
        await out.write(data)
    assert out.reference is not None
    return out.reference


def flipped(data: bytes, bit: int) -> bytes:
    at = bit // 8
    return data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]


def some(places: int, most: int) -> list[int]:
    return random.sample(range(places), min(most, places))


def test_a_flipped_bit_of_the_data_is_never_handed_out(victim: Victim) -> None:
    """Any of them."""
    for bit in some(len(DATA) * 8, victim.flips):
        assert victim.damage(victim.data_key, flipped(DATA, bit)) == "TargetCorruptError", bit


def test_a_flipped_bit_of_the_record_is_told_or_does_no_harm(victim: Victim) -> None:
    """Much of it says who wrote when: that, another version's number apart, is not the data's matter."""
    record = victim.run.run(victim.store.storage.read(victim.record_key))
    for bit in some(len(record) * 8, victim.flips):
        found = victim.damage(victim.record_key, flipped(record, bit))
        assert found in ("right", "TargetCorruptError", "FormatError"), bit
    assert victim.tally["TargetCorruptError"] > victim.flips / 10


def test_data_that_was_cut_is_told(victim: Victim) -> None:
    """Wherever; by its size, so that nobody has to read it for that."""
    for length in sorted(some(len(DATA), 2 * victim.flips)):
        assert victim.damage(victim.data_key, DATA[:length]) == "TargetCorruptError", length
        status = victim.run.run(victim.store.state(KEY))
        assert status.state is State.CORRUPT
        assert status.why == f"{victim.reference.data!r} has {length} bytes; the manifest says {len(DATA)}"
    assert victim.damage(victim.data_key, DATA + b"x") == "TargetCorruptError"


def test_a_record_that_was_cut_is_told(victim: Victim) -> None:
    """Wherever: no part of a record is one."""
    record = victim.run.run(victim.store.storage.read(victim.record_key))
    for length in sorted(some(len(record), victim.flips)):
        assert victim.damage(victim.record_key, record[:length]) == "TargetCorruptError", length
        assert victim.run.run(victim.store.state(KEY)).state is State.CORRUPT
    assert victim.damage(victim.record_key, record + b"x") == "TargetCorruptError"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_damage_to_a_large_target_is_told(victim: Victim) -> None:
    """Of a mebibyte: bits anywhere, and cuts anywhere, near its ends too."""
    victim.expected = MEBIBYTE
    victim.reference = victim.run.run(_commit(victim.store, MEBIBYTE))
    few = max(victim.flips // 25, 1)
    for bit in some(len(MEBIBYTE) * 8, few):
        assert victim.damage(victim.data_key, flipped(MEBIBYTE, bit)) == "TargetCorruptError", bit
    for length in {0, 1, len(MEBIBYTE) - 1, *some(len(MEBIBYTE), few)}:
        assert victim.damage(victim.data_key, MEBIBYTE[:length]) == "TargetCorruptError", length
    assert victim.damage(victim.data_key, MEBIBYTE) == "right"


def test_missing_files_are_told(victim: Victim) -> None:
    """Without its data a record is a lie; without its record data is nothing yet."""
    record = victim.run.run(victim.store.storage.read(victim.record_key))
    assert victim.damage(victim.data_key, None) == "TargetCorruptError"
    assert victim.run.run(victim.store.state(KEY)).state is State.CORRUPT
    victim.write(victim.data_key, DATA)
    assert victim.damage(victim.record_key, None) == "TargetNotFoundError"
    assert victim.run.run(victim.store.state(KEY)).state is State.IN_PROGRESS
    assert victim.damage(victim.record_key, record) == "right"


def test_damage_to_one_file_of_a_folder_is_told(victim: Victim) -> None:
    """Each has its own hash."""

    async def commit() -> Reference:
        async with victim.store.write_folder(KEY, format="csv") as out:
            for name, data in PARTS.items():
                async with out.create(name) as part:
                    await part.write(data)
        assert out.reference is not None
        return out.reference

    reference = victim.run.run(commit())
    for name, data in PARTS.items():
        key = f"{KEY}/{reference.data}/{name}"
        for bit in some(len(data) * 8, min(victim.flips, 50)):
            victim.write(key, flipped(data, bit))
            with pytest.raises(TargetCorruptError, match="does not match its sha256"):
                victim.run.run(victim.store.read(reference, part=name))
            victim.tally.add("TargetCorruptError")
        for damaged in (data[:-1], b"", None):
            victim.write(key, damaged)
            assert victim.run.run(victim.store.state(KEY)).state is State.CORRUPT
            with pytest.raises(TargetCorruptError):
                victim.run.run(victim.store.read(KEY, part=name))
            victim.tally.add("TargetCorruptError")
        victim.write(key, data)
        assert victim.run.run(victim.store.read(KEY, part=name)) == data
