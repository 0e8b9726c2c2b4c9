"""What all tests share: the guard of the event loop, the fakes, and the stores."""

import asyncio
import builtins
import io
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest
from blockbuster import BlockBuster, BlockBusterFunction, BlockingError
from hypothesis import HealthCheck, settings

from fileflow_async.clock import SystemClock
from fileflow_async.storage.local import LocalStorage
from fileflow_async.storage.protocol import Storage
from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.store import TargetStore
from fileflow_async.target import Slot, Target
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.s3_servers.backdoor import Backdoor

pytest_plugins = ["tests.http_server", "tests.s3_servers.fixtures", "tests.shop"]
pytest.register_assert_rewrite("fileflow_async.testing.storage_contract")

# Machines are shared: how long an example takes says nothing, and the first in a new clone makes tables.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

NOON = datetime(2026, 11, 20, tzinfo=UTC)

# What blockbuster does not know: `open` and the calls that a storage on disk is made of.
_FURTHER = ("os.open", "os.fsync", "os.fdatasync", "os.lstat", "os.truncate", "os.makedirs")
# Python reads source files for imports and for the lines of a traceback, coverage for what it measures,
# hypothesis for constants worth drawing, FastAPI for where a route is written.
_MAY_BLOCK = (
    ("<frozen importlib._bootstrap>", {"_find_and_load"}),
    ("<frozen importlib._bootstrap_external>", {"get_data"}),
    ("linecache.py", {"checkcache", "updatecache"}),
    ("tokenize.py", {"open"}),
    ("coverage/python.py", {"get_python_source", "read_python_source"}),
    ("coverage/control.py", {"_should_trace"}),
    ("coverage/collector.py", {"lock_data"}),  # when another thread is measured for the first time
    ("hypothesis/internal/conjecture/providers.py", {"_get_local_constants"}),
    ("fastapi/routing.py", {"_extract_endpoint_context"}),
    ("_pytest/assertion/rewrite.py", {"exec_module"}),
    ("logging/__init__.py", {"emit"}),  # a line of a log goes where the deployment says; here to a file
)


class LoopGuard:
    """What blocked the event loop in this test; those that it meant to provoke it takes out."""

    def __init__(self) -> None:
        self.blocked: list[str] = []


@pytest.fixture(autouse=True)
def loop_guard() -> Iterator[LoopGuard]:
    """Fail the test when anything in it blocks the event loop, although the error be caught."""
    guard = LoopGuard()

    class NotedError(BlockingError):
        def __init__(self, func: str) -> None:
            super().__init__(func)
            guard.blocked.append(func)

    blockbuster = BlockBuster()
    for name in _FURTHER:
        blockbuster.functions[name] = BlockBusterFunction(None, name)
    for module in (builtins, io):  # pathlib takes the other
        blockbuster.functions[f"{module.__name__}.open"] = BlockBusterFunction(module, "open")
    for function in blockbuster.functions.values():
        for file, names in _MAY_BLOCK:
            function.can_block_in(file, names)
    patch = pytest.MonkeyPatch()
    patch.setattr("blockbuster.blockbuster.BlockingError", NotedError)
    blockbuster.activate()
    try:
        yield guard
    finally:
        blockbuster.deactivate()
        patch.undo()
    if guard.blocked:
        pytest.fail(f"the event loop was blocked by {', '.join(guard.blocked)}")


@pytest.fixture
def roomy() -> Iterator[Path]:
    """A folder whose content goes with the test, not three runs later."""
    path = Path(tempfile.mkdtemp(prefix="fileflow-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves when the test says so."""
    return FakeClock()


@pytest.fixture
def storage(clock: FakeClock) -> MemoryStorage:
    """An empty storage in memory, on the test's clock."""
    return MemoryStorage(clock=clock)


@pytest.fixture
def store(storage: MemoryStorage, clock: FakeClock) -> TargetStore:
    """A store of targets in that storage."""
    return TargetStore(storage, clock=clock)


class ImpatientClock(SystemClock):
    """The machine's clock, but nobody sleeps by it.

    Attributes:
        slept: How long each sleep would have been.
    """

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@dataclass(frozen=True)
class AnyStore:
    """A store on some storage, and the way behind its back."""

    kind: str
    store: TargetStore
    clock: ImpatientClock
    _plant: Callable[[str, bytes], Awaitable[None]]

    @property
    def storage(self) -> Storage:
        return self.store.storage

    async def plant(self, key: str, data: bytes) -> None:
        """Store or replace an object without the storage."""
        await self._plant(key, data)

    async def keys(self, prefix: str = "") -> list[str]:
        """Return the keys of a target, or of all of them; the feed's are left out."""
        entries = (await self.storage.list(prefix)).entries
        return [entry.key for entry in entries if not entry.key.startswith(".feed/")]


@pytest.fixture(params=["memory", "local", "s3"])
def kind_of_storage(request: pytest.FixtureRequest) -> tuple[str, int]:
    """Each storage there is, with the port of its server, which no event loop should wait for."""
    return request.param, request.getfixturevalue("s3_port") if request.param == "s3" else 0


@pytest.fixture
async def any_store(kind_of_storage: tuple[str, int], tmp_path: Path) -> AsyncIterator[AnyStore]:
    """A store, on each storage there is: what holds for one must hold for all."""
    clock, (kind, port) = ImpatientClock(), kind_of_storage
    async with AsyncExitStack() as stack:
        storage: Storage
        if kind == "memory":
            storage = memory = MemoryStorage(clock=clock)

            async def plant(key: str, data: bytes) -> None:
                memory.objects[key] = (data, clock.time())

        elif kind == "local":
            local = LocalStorage(tmp_path / "root", durability="none", create=True)
            storage = await stack.enter_async_context(local)

            def write(key: str, data: bytes) -> None:
                (path := tmp_path / "root" / key).parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

            async def plant(key: str, data: bytes) -> None:
                await asyncio.to_thread(write, key, data)

        else:
            bucket = Backdoor(port, f"test-{uuid.uuid4().hex}")
            await bucket.make()
            settings = S3Settings(
                endpoint_url=f"http://127.0.0.1:{port}",
                region="us-east-1",
                access_key_id="AKIAPLANTED",
                secret_access_key="secret-planted",
                addressing_style="path",
            )
            storage = await stack.enter_async_context(S3Storage(bucket.bucket, settings=settings))
            plant = bucket.put
        yield AnyStore(kind, TargetStore(storage, clock=clock), clock, plant)


class MakeTarget(Protocol):
    """How the fixture `target` is called."""

    def __call__(
        self, name: str = "output", *, task_id: str = "extract", dag_id: str = "shop", map_index: int = -1
    ) -> Target: ...


@pytest.fixture
def target() -> MakeTarget:
    """Make targets of one run."""

    def make(
        name: str = "output", *, task_id: str = "extract", dag_id: str = "shop", map_index: int = -1
    ) -> Target:
        return Target(
            dag_id=dag_id, task_id=task_id, slot=Slot(logical_date=NOON), map_index=map_index, name=name
        )

    return make
