"""What a small target costs on disk: 1 KiB, committed and read, beside what does less.

    .venv-bench/bin/python bench/small.py [--quick] [--rounds N] [--only TEXT] [--directory DIR] [--json FILE]

The limit is what an event loop may do at best: one hop to a thread for each file, with the very calls that a
commit must make. Luigi, ObjectStoragePath and the XCom backend sync nothing; nor does the second of ours.

What a turn has written stays until the end. ext4 does not give an inode away again within five minutes, and
steps over each of them whenever it looks for a free one: what one contestant removed, the next would pay for.
"""  # ADR 0034

import asyncio
import fcntl
import os
import struct
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from racing import Contestant, Lap, Race, rate, run

from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore

KEY = "shop/20261120T000000Z/task-{}/output"
_GET_FLAGS, _SET_FLAGS, _TOP = 0x80086601, 0x40086602, 0x20000  # of linux/fs.h; `chattr +T`


@asynccontextmanager
async def opened(
    directory: Path, *, durability: Any = "fsync", feed: bool = True
) -> AsyncIterator[TargetStore]:
    """Open a store in a new folder."""
    async with LocalStorage(tempfile.mkdtemp(dir=directory), durability=durability) as storage:
        yield TargetStore(storage, feed=feed)


async def commit(store: TargetStore, key: str, data: bytes) -> None:
    """Commit one target."""
    async with store.write(key, format="bytes") as out:
        await out.write(data)


@dataclass
class Small:
    """Targets of 1 KiB, each at a place of its own."""

    directory: Path
    count: int
    data: bytes = field(default_factory=lambda: os.urandom(1024))

    def committing(self, at_once: int) -> Race:
        """Return who writes them."""
        return Race(
            f"Commit 1 KiB to disk, {f'{at_once} at once' if at_once > 1 else 'one at a time'}",
            "commits a second",
            {
                "limit: file, fsync, rename, fsync of its folder": self.in_threads(put_synced, at_once),
                "TargetStore": self.by_store(at_once, durability="fsync"),
                "limit: file, rename": self.in_threads(put, at_once),
                'TargetStore, durability="none"': self.by_store(at_once, durability="none"),
                'TargetStore, durability="none", no feed': self.by_store(
                    at_once, durability="none", feed=False
                ),
                "luigi LocalTarget, no fsync": self.in_threads(put_luigi, at_once),
                "Airflow ObjectStoragePath, no fsync, not atomic": self.in_threads(put_path, at_once),
                "Airflow XComObjectStorageBackend, no fsync": self.in_threads(put_xcom, at_once),
            },
            cpu_unit="ms each",
        )

    def reading(self) -> Race:
        """Return who reads one, again and again."""
        return Race(
            "Read 1 KiB from disk, one at a time",
            "reads a second",
            {
                "limit: open, read": self.read_in_threads(lambda path: Path(path).read_bytes()),
                "TargetStore (verified)": self.read_by_store,
                "luigi LocalTarget": self.read_in_threads(get_luigi),
                "Airflow ObjectStoragePath": self.read_in_threads(get_path),
            },
            cpu_unit="ms each",
        )

    def by_store(self, at_once: int, **options: Any) -> Contestant:
        async def turn() -> Lap:
            async with opened(self.directory, **options) as store:
                return await rate(
                    lambda number: commit(store, KEY.format(number), self.data), self.count, at_once
                )

        return turn

    async def read_by_store(self) -> Lap:
        async with opened(self.directory, durability="none") as store:
            await commit(store, KEY.format(0), self.data)
            return await rate(lambda _: store.read(KEY.format(0)), self.count, 1)

    def in_threads(self, one: Callable[[str, str, bytes], object], at_once: int) -> Contestant:
        async def turn() -> Lap:
            root = tempfile.mkdtemp(dir=self.directory)
            return await rate(
                lambda number: asyncio.to_thread(one, root, KEY.format(number), self.data),
                self.count,
                at_once,
            )

        return turn

    def read_in_threads(self, one: Callable[[str], bytes]) -> Contestant:
        async def turn() -> Lap:
            with tempfile.NamedTemporaryFile(dir=self.directory) as file:
                file.write(self.data)
                file.flush()

                async def read(_: int) -> None:
                    if await asyncio.to_thread(one, file.name) != self.data:
                        raise ValueError(file.name)

                return await rate(read, self.count, 1)

        return turn


def scatter(directory: Path) -> None:
    """Have ext4 put each folder made here elsewhere on the disk, away from what others removed just now."""
    descriptor = os.open(directory, os.O_RDONLY)
    with suppress(OSError):  # another file system
        (flags,) = struct.unpack("i", fcntl.ioctl(descriptor, _GET_FLAGS, struct.pack("i", 0)))
        fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("i", flags | _TOP))
    os.close(descriptor)


# One file each, on a thread.


def put(root: str, key: str, data: bytes, *, synced: bool = False) -> None:
    folder = f"{root}/{key}"
    os.makedirs(folder)
    file = os.open(f"{folder}/.x", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(file, data)
    if synced:
        os.fsync(file)
    os.close(file)
    os.rename(f"{folder}/.x", f"{folder}/x")
    if synced:
        file = os.open(folder, os.O_RDONLY)
        os.fsync(file)
        os.close(file)


def put_synced(root: str, key: str, data: bytes) -> None:
    put(root, key, data, synced=True)


def put_luigi(root: str, key: str, data: bytes) -> None:
    import luigi

    with luigi.LocalTarget(f"{root}/{key}/x", format=luigi.format.Nop).open("w") as file:
        file.write(data)


def get_luigi(path: str) -> bytes:
    import luigi

    with luigi.LocalTarget(path, format=luigi.format.Nop).open("r") as file:
        return bytes(file.read())


def put_path(root: str, key: str, data: bytes) -> None:
    from airflow.sdk import ObjectStoragePath

    path = ObjectStoragePath(f"file://{root}/{key}/x")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def get_path(path: str) -> bytes:
    from airflow.sdk import ObjectStoragePath

    return bytes(ObjectStoragePath(f"file://{path}").read_bytes())


def put_xcom(root: str, key: str, data: bytes) -> None:
    """The value is text: bytes are nothing that an XCom may be."""
    os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"] = f"file://{root}"
    os.environ["AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"] = "0"
    from airflow.providers.common.io.xcom.backend import XComObjectStorageBackend, _get_base_path

    _get_base_path.cache_clear()
    XComObjectStorageBackend.serialize_value(
        data.hex()[:1024], key="return_value", dag_id="shop", task_id=key, run_id="run"
    )


@asynccontextmanager
async def races(directory: Path, quick: bool) -> AsyncIterator[AsyncIterator[Race]]:
    async def each() -> AsyncIterator[Race]:
        scatter(directory)
        small = Small(directory, 50 if quick else 300)
        for at_once in (1, 32):
            yield small.committing(at_once)
        yield small.reading()

    yield each()


if __name__ == "__main__":
    run(__doc__, races)
