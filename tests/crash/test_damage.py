"""Bits flip and files get shorter: the right error, never wrong bytes."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from fileflow_async.errors import FileflowError, TargetCorruptError
from fileflow_async.status import State
from fileflow_async.storage.local import LocalStorage
from fileflow_async.storage.protocol import Storage
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference
from fileflow_async.testing.memory import MemoryStorage
from tests.conftest import ImpatientClock
from tests.crash.tally import LONG, Tally
from tests.crash.works import KEY, PARTS, value

WHAT = "reads of damaged files"
DATA = value("data", 300)
FLIPS = 5000 if LONG else 150  # of each file on each storage


@dataclass
class Victim:
    """A committed target, and the way behind the store's back."""

    store: TargetStore
    run: asyncio.Runner
    write: Callable[[str, bytes | None], None]
    reference: Reference
    tally: Tally

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
        assert data == DATA
        return "right"

    async def _stream(self) -> str:
        got = b""
        try:
            async with self.store.open(KEY) as pieces:
                async for piece in pieces:
                    got += piece
        except FileflowError as error:
            return type(error).__name__
        assert got == DATA
        return "right"


@pytest.fixture(params=["memory", "local"])
def victim(request: pytest.FixtureRequest, tmp_path: Path, tally: Tally) -> Iterator[Victim]:
    clock = ImpatientClock()
    storage: Storage
    with asyncio.Runner() as runner, ExitStack() as stack:
        if request.param == "memory":
            storage = memory = MemoryStorage(clock=clock)

            def write(key: str, data: bytes | None) -> None:
                memory.objects.pop(key, None)
                if data is not None:
                    memory.objects[key] = (data, clock.time())

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
        yield Victim(store, runner, write, runner.run(_commit(store)), tally)


async def _commit(store: TargetStore) -> Reference:
    async with store.write(KEY, format="csv") as out:
        await out.write(DATA)
    assert out.reference is not None
    return out.reference


def flipped(data: bytes, bit: int) -> bytes:
    at = bit // 8
    return data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]


def some(bits: int) -> list[int]:
    return random.sample(range(bits), min(FLIPS, bits))


def test_a_flipped_bit_of_the_data_is_never_handed_out(victim: Victim) -> None:
    """Any of them."""
    for bit in some(len(DATA) * 8):
        assert victim.damage(victim.data_key, flipped(DATA, bit)) == "TargetCorruptError", bit


def test_a_flipped_bit_of_the_record_is_told_or_does_no_harm(victim: Victim) -> None:
    """Much of it says who wrote when: that, another version's number apart, is not the data's matter."""
    record = victim.run.run(victim.store.storage.read(victim.record_key))
    for bit in some(len(record) * 8):
        found = victim.damage(victim.record_key, flipped(record, bit))
        assert found in ("right", "TargetCorruptError", "FormatError"), bit
    assert victim.tally["TargetCorruptError"] > FLIPS / 10


def test_data_that_was_cut_is_told(victim: Victim) -> None:
    """Wherever; by its size, so that nobody has to read it for that."""
    for length in range(len(DATA)):
        assert victim.damage(victim.data_key, DATA[:length]) == "TargetCorruptError", length
        status = victim.run.run(victim.store.state(KEY))
        assert status.state is State.CORRUPT
        assert status.why == f"{victim.reference.data!r} has {length} bytes; the manifest says {len(DATA)}"
    assert victim.damage(victim.data_key, DATA + b"x") == "TargetCorruptError"


def test_a_record_that_was_cut_is_told(victim: Victim) -> None:
    """Wherever: no part of a record is one."""
    record = victim.run.run(victim.store.storage.read(victim.record_key))
    for length in range(0, len(record), 1 if LONG else 3):
        assert victim.damage(victim.record_key, record[:length]) == "TargetCorruptError", length
        assert victim.run.run(victim.store.state(KEY)).state is State.CORRUPT
    assert victim.damage(victim.record_key, record + b"x") == "TargetCorruptError"


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
        for bit in some(len(data) * 8)[:50]:
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
