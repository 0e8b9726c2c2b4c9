"""Moves a large input through a task, and tells how much memory that took: `python -m tests.streaming`."""

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from fileflow_async.dependency import Dependency
from fileflow_async.engine import Engine
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from fileflow_async.target import Slot
from fileflow_async.task_runner import AsyncTaskRunner, TaskRunner
from fileflow_async.work import Assignment, Work

MIB = 1024 * 1024
CHUNK = bytes(range(256)) * (MIB // 256)


class Streams(TaskRunner):
    def make(self, size: int) -> None:
        with self.open_output() as out:
            for _ in range(size // MIB):
                out.write(CHUNK)

    def pieces(self, size: int) -> None:
        with self.open_input("large") as pieces:
            assert sum(map(len, pieces)) == size

    def file(self, size: int) -> None:
        with self.get_upstream_stream("large") as file:
            read = 0
            while piece := file.read(MIB):
                read += len(piece)
            assert read == size

    def copy(self, size: int) -> None:
        self.write_from_stream(self.get_upstream_stream("large"))


class AsyncStreams(AsyncTaskRunner):
    async def spooled(self, size: int) -> None:
        file = await self.get_upstream_stream("large")
        assert await asyncio.to_thread(file.seek, 0, 2) == size

    async def copied(self, size: int) -> None:
        async with self.open_input("large") as pieces, self.open_output() as out:
            async for piece in pieces:
                await out.write(piece)


def memory(name: str) -> int:
    """Return what the kernel says of this process: `VmRSS` now, or `VmHWM` at its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def peak_of(work: Callable[[], object]) -> int:
    """Return by how many MiB the memory grew at its peak."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew here
    before = memory("VmRSS")
    work()
    return (memory("VmHWM") - before) // MIB


def main(root: str, size: int, methods: list[str]) -> None:
    """Make an input of so many bytes, and stream it in each of the ways that are named."""
    found = {}
    with Engine() as engine, engine.opened(LocalStorage(Path(root), durability="none")) as storage:
        store, slot = TargetStore(storage), Slot(logical_date=datetime(2026, 11, 20, tzinfo=UTC))
        large = None
        for name in ["make", *methods]:
            kind = Streams if hasattr(Streams, name) else AsyncStreams
            runner = kind({})
            task = Assignment(
                dag_id="d",
                task_id=name,
                slot=slot,
                dependencies={"large": Dependency("make")},
                inputs={"large": [large]} if large else {},
            )
            with engine.opened(Work(store, task)) as work:
                runner.attach(work, engine)

                def act(
                    runner: TaskRunner | AsyncTaskRunner = runner, name: str = name, work: Work = work
                ) -> None:
                    if (result := getattr(runner, name)(size)) is not None:
                        engine.run(result)
                    engine.run(work.publish())

                found[name] = peak_of(act)
                made = work.published.get("output")
            if large is not None and made is not None:
                engine.run(store.delete(made.target))
            large = large or made
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
