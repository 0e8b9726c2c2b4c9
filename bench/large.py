"""What a large target costs on disk: a file copied into a store, and read out of it again.

    .venv-bench/bin/python bench/large.py [--quick] [--rounds N] [--only TEXT] [--directory DIR] [--json FILE]

A commit hashes what it writes. What that costs is shown apart: the same commit with the hash left out, and
the hash alone. Luigi and ObjectStoragePath neither hash nor sync.
"""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from racing import MIB, Contestant, Lap, Race, Watch, run
from small import KEY, opened

from fileflow_async import draft
from fileflow_async.digest import Digest
from fileflow_async.storage.protocol import PIECE
from fileflow_async.store import TargetStore


class Unhashed(Digest):
    """Counts bytes only."""

    async def update(self, data: bytes) -> None:
        self.size += len(data)


@dataclass
class Large:
    """One file."""

    directory: Path
    size: int
    rounds: int

    @property
    def label(self) -> str:
        return f"{self.size // MIB} MiB" if self.size < 1024 * MIB else f"{self.size // MIB // 1024} GiB"

    def writing(self) -> Race:
        """Return who copies it."""
        return Race(
            f"Commit {self.label} to disk",
            "MiB a second",
            {
                "limit: copy (sendfile), fsync": self.copied(shutil.copyfile, synced=True),
                "TargetStore": self.by_store("fsync"),
                "TargetStore, hash left out": self.by_store("fsync", hashed=False),
                "in pieces, fsync, rename, sha256 after it": self.copied(in_pieces, synced=True, hashed=True),
                'TargetStore, durability="none", hash left out': self.by_store("none", hashed=False),
                "luigi LocalTarget, no fsync, no hash": self.copied(by_luigi, synced=False),
                "Airflow ObjectStoragePath, no fsync, no hash": self.copied(by_path, synced=False),
                "limit: copy (sendfile), no fsync": self.copied(shutil.copyfile, synced=False),
                "sha256 alone, in memory": self.hashed,
            },
            cpu_unit="s a GiB",
            rounds=self.rounds,
        )

    def reading(self) -> Race:
        """Return who reads it."""
        return Race(
            f"Read {self.label} from disk",
            "MiB a second",
            {
                "limit: read in pieces, sha256": self.read(plain, hashed=True),
                "TargetStore (verified)": self.read_by_store,
                "read in pieces, no hash": self.read(plain, hashed=False),
                "luigi LocalTarget, no hash": self.read(of_luigi, hashed=False),
                "Airflow ObjectStoragePath, no hash": self.read(of_path, hashed=False),
            },
            cpu_unit="s a GiB",
            rounds=self.rounds,
        )

    @property
    def source(self) -> Path:
        """The file, made when it is first asked for."""
        path = self.directory / f"source-{self.size}"
        if not path.exists():
            with path.open("wb") as file:
                for _ in range(self.size // MIB):
                    file.write(os.urandom(MIB))
                os.fsync(file.fileno())
        return path

    def copied(
        self, copy: Callable[[Path, Path], object], *, synced: bool, hashed: bool = False
    ) -> Contestant:
        def work(root: str) -> None:
            copy(self.source, Path(root, ".x"))
            if hashed:
                with Path(root, ".x").open("rb") as file:
                    hashlib.file_digest(file, "sha256")
            if synced:
                with Path(root, ".x").open("rb+") as file:
                    os.fsync(file.fileno())
            Path(root, ".x").rename(Path(root, "x"))

        async def turn() -> Lap:
            with tempfile.TemporaryDirectory(dir=self.directory) as root:
                with Watch() as watch:
                    await asyncio.to_thread(work, root)
                return watch.moved(self.size)

        return turn

    def by_store(self, durability: Any, *, hashed: bool = True) -> Contestant:
        async def turn() -> Lap:
            async with self.opened(durability) as store:
                with patch.object(draft, "Digest", Digest if hashed else Unhashed):
                    with Watch() as watch:
                        await copy_into(store, self.source)
                    return watch.moved(self.size)

        return turn

    @asynccontextmanager
    async def opened(self, durability: Any) -> AsyncIterator[TargetStore]:
        with tempfile.TemporaryDirectory(dir=self.directory) as root:
            async with opened(Path(root), durability=durability) as store:
                yield store

    async def hashed(self) -> Lap:
        data = bytes(min(self.size, 256 * MIB))
        with Watch() as watch:
            await asyncio.to_thread(hashlib.sha256, data)
        return watch.moved(len(data))

    def read(self, reader: Callable[[Path], Any], *, hashed: bool) -> Contestant:
        def work() -> None:
            digest = hashlib.sha256()
            with reader(self.source) as file:
                while piece := file.read(PIECE):
                    if hashed:
                        digest.update(piece)

        async def turn() -> Lap:
            with Watch() as watch:
                await asyncio.to_thread(work)
            return watch.moved(self.size)

        return turn

    async def read_by_store(self) -> Lap:
        async with self.opened("none") as store:
            await copy_into(store, self.source)
            with Watch() as watch:
                async with store.open(KEY.format(0)) as pieces:
                    async for _ in pieces:
                        pass
            return watch.moved(self.size)


async def copy_into(store: TargetStore, source: Path) -> None:
    async with store.write(KEY.format(0), format="bytes") as out:
        with source.open("rb", buffering=0) as file:
            while piece := await asyncio.to_thread(file.read, PIECE):
                await out.write(piece)


def plain(path: Path) -> Any:
    return path.open("rb", buffering=0)


def of_luigi(path: Path) -> Any:
    import luigi

    return luigi.LocalTarget(str(path), format=luigi.format.Nop).open("r")


def of_path(path: Path) -> Any:
    from airflow.sdk import ObjectStoragePath

    return ObjectStoragePath(f"file://{path}").open("rb")


def in_pieces(source: Path, target: Path) -> None:
    with source.open("rb", buffering=0) as read, target.open("wb", buffering=0) as write:
        shutil.copyfileobj(read, write, PIECE)


def by_luigi(source: Path, target: Path) -> None:
    import luigi

    writing = luigi.LocalTarget(str(target), format=luigi.format.Nop).open("w")
    with source.open("rb", buffering=0) as read, writing as write:
        shutil.copyfileobj(read, write, PIECE)


def by_path(source: Path, target: Path) -> None:
    from airflow.sdk import ObjectStoragePath

    with source.open("rb", buffering=0) as read, ObjectStoragePath(f"file://{target}").open("wb") as write:
        shutil.copyfileobj(read, write, PIECE)


@asynccontextmanager
async def races(directory: Path, quick: bool) -> AsyncIterator[AsyncIterator[Race]]:
    sizes = ((1, 3), (16, 2)) if quick else ((1, 15), (256, 5), (1024, 3))

    async def each() -> AsyncIterator[Race]:
        for size, rounds in sizes:
            large = Large(directory, size * MIB, rounds)
            yield large.writing()
            yield large.reading()
            large.source.unlink()

    yield each()


if __name__ == "__main__":
    run(__doc__, races)
