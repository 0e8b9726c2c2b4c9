"""An input as a file."""

import asyncio
import io
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import IO

import pandas as pd
import pytest

from fileflow_async import upstream_file
from fileflow_async.engine import Engine
from fileflow_async.errors import TargetCorruptError
from fileflow_async.store import TargetStore
from fileflow_async.task_runner import AsyncTaskRunner, TaskRunner
from fileflow_async.testing.memory import MemoryStorage
from fileflow_async.testing.rehearsal import rehearse
from fileflow_async.upstream_file import UpstreamFile
from tests.conftest import ImpatientClock
from tests.test_task_runner import CONTEXT, running

DATA = bytes(range(256)) * 40
PIECE = 1000


class Input:
    """An input in small pieces, and who has it open.

    Attributes:
        fails_at: At which piece it raises.
    """

    def __init__(self) -> None:
        self.open = 0
        self.opened = 0
        self.handed = 0
        self.fails_at: int | None = None

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[AsyncIterator[bytes]]:
        self.open += 1
        self.opened += 1
        try:
            yield self._pieces()
        finally:
            self.open -= 1

    async def _pieces(self) -> AsyncIterator[bytes]:
        for number, start in enumerate(range(0, len(DATA), PIECE)):
            await asyncio.sleep(0)
            if number == self.fails_at:
                raise TargetCorruptError("damaged")
            self.handed += 1
            yield DATA[start : start + PIECE]


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


@pytest.fixture
def source() -> Input:
    return Input()


@pytest.fixture
def file(source: Input, engine: Engine) -> "Iterator[io.BufferedReader[UpstreamFile]]":
    with io.BufferedReader(UpstreamFile(source, len(DATA), engine), 512) as file:
        yield file
    assert source.open == 0


def test_it_is_read_as_any_file_is(file: IO[bytes]) -> None:
    """At random, beside a file that is known to be right."""
    right, random_ = io.BytesIO(DATA), random.Random(7)
    for _ in range(300):
        if random_.random() < 0.4:
            whence = random_.choice((io.SEEK_SET, io.SEEK_CUR, io.SEEK_END))
            to = random_.randrange(len(DATA) + 500)
            offset = to - {io.SEEK_SET: 0, io.SEEK_CUR: right.tell(), io.SEEK_END: len(DATA)}[whence]
            if to <= len(DATA):  # behind the end a file of bytes stands where nothing is
                assert file.seek(offset, whence) == right.seek(offset, whence)
        size = random_.choice((0, 1, 100, 5000, -1))
        assert file.read(size) == right.read(size)
        assert file.tell() == right.tell()
    assert file.seek(0) == 0
    assert [*file] == [*io.BytesIO(DATA)]


def test_no_more_is_drawn_than_was_asked_for(file: IO[bytes], source: Input) -> None:
    """However large the input is; to go back within the buffer draws nothing."""
    assert source.opened == 0
    file.read(10)
    assert (source.handed, source.opened) == (1, 1)
    file.seek(0)
    file.read(300)
    assert (source.handed, source.opened) == (1, 1)
    file.read(3000)
    file.seek(0)
    assert (file.read(1), source.opened, source.open) == (DATA[:1], 2, 1)


def test_what_has_failed_is_not_at_its_end(file: IO[bytes], source: Input) -> None:
    """A reader that goes on after an error would take what it has for all there is; to go back is allowed."""
    source.fails_at = 3
    for _ in range(3):
        with pytest.raises(TargetCorruptError, match="damaged"):
            file.read()
    source.fails_at = None
    file.seek(0)
    assert file.read() == DATA


def test_what_a_signal_interrupted_is_not_at_its_end(source: Input, engine: Engine) -> None:
    """The piece under way is lost."""

    class TimeIsUp(BaseException):
        pass

    def ring(*_: object) -> None:
        raise TimeIsUp

    never = asyncio.Event()

    @asynccontextmanager
    async def slow() -> AsyncIterator[AsyncIterator[bytes]]:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"1"
            os.kill(os.getpid(), signal.SIGUSR1)
            await never.wait()

        yield pieces()

    before = signal.signal(signal.SIGUSR1, ring)
    try:
        file = UpstreamFile(slow, 2, engine)
        assert file.read(1) == b"1"
        for _ in range(2):
            with pytest.raises(TimeIsUp):
                file.read(1)
        file.close()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_what_is_closed_is_closed(source: Input, engine: Engine) -> None:
    """Twice is no error; on the loop, as when it is thrown away there, the end of the try closes it."""
    file = UpstreamFile(source, len(DATA), engine)
    file.read(1)
    file.close()
    file.close()
    assert source.open == 0
    with pytest.raises(ValueError, match="an input that is closed"):
        file.read(1)
    with pytest.raises(ValueError, match="3 bytes before the beginning"):
        UpstreamFile(source, len(DATA), engine).seek(-3)

    async def throw_away() -> None:
        other.close()

    other = UpstreamFile(source, len(DATA), engine)
    other.read(1)
    engine.run(throw_away())
    assert source.open == 1
    engine.run(other.end())
    assert source.open == 0


def test_an_input_is_closed_with_the_try_that_reads_it(store: TargetStore) -> None:
    """Who forgets it leaves nothing behind; afterwards there is nothing to read."""
    runner, other = TaskRunner(CONTEXT), AsyncTaskRunner(CONTEXT)
    with running(runner, store, orders=DATA):
        file = runner.get_upstream_stream("orders")
        assert file.read(3) == DATA[:3]
    with pytest.raises(ValueError, match="whose task has ended"):
        file.read(10**7)
    with running(other, store, orders=DATA) as engine:
        spooled = engine.run(other.get_upstream_stream("orders"))
        assert spooled.read() == DATA
    assert spooled.closed


def test_a_large_input_of_async_logic_lies_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small one does not; a damaged one is not handed out."""
    monkeypatch.setattr(upstream_file, "_HELD", 1000)
    runner, storage = AsyncTaskRunner(CONTEXT), MemoryStorage()
    store = TargetStore(storage, clock=ImpatientClock())
    with running(runner, store, large=DATA, small=b"1", damaged=b"1") as engine:
        large, small = (engine.run(runner.get_upstream_stream(name)) for name in ("large", "small"))
        assert (large._rolled, small._rolled) == (True, False)  # type: ignore[attr-defined]
        assert (large.read(), small.read()) == (DATA, b"1")
        reference = runner.work.reference("damaged")
        storage.objects[f"{reference.target}/{reference.data}"] = (b"2", 0.0)
        with pytest.raises(TargetCorruptError):
            engine.run(runner.get_upstream_stream("damaged"))


class Copy(TaskRunner):
    def run(self) -> None:
        self.write_from_stream(self.get_upstream_stream("orders"))


class CopyAsync(AsyncTaskRunner):
    async def run(self) -> None:
        await self.write_from_stream(await self.get_upstream_stream("orders"))


@pytest.mark.parametrize("runner", [Copy, CopyAsync])
def test_an_input_may_be_written_as_it_is_read(runner: type[TaskRunner] | type[AsyncTaskRunner]) -> None:
    """Both on the loop of the task."""
    assert rehearse(runner, inputs={"orders": DATA}).read(kind=bytes) == DATA


def test_pandas_reads_it() -> None:
    """It seeks about in it."""

    class Count(TaskRunner):
        def run(self) -> None:
            frame = pd.read_parquet(self.get_upstream_stream("frame"))
            self.write_json(int(frame["n"].sum()))

    assert rehearse(Count, inputs={"frame": pd.DataFrame({"n": range(1000)})}).read() == 499_500
