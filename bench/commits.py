"""What a commit costs: small ones and large ones, beside what does less, in one and the same run.

    .venv/bin/python bench/commits.py [--quick] [--json FILE] [--directory DIR]

Contestants take turns, so that what else the machine does hits all of them; figures are medians, and only
ratios travel to other machines. S3 is moto on this machine: what it can take is in the figures of all.
"""

import argparse
import asyncio
import hashlib
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fileflow_async.storage.local import LocalStorage
from fileflow_async.storage.protocol import PIECE
from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.store import TargetStore

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.s3_servers.backdoor import Backdoor
from tests.s3_servers.moto_server import moto_server

MIB = 1024 * 1024
KEY = "shop/20261120T000000Z/task-{}/output"
Contestant = Callable[[], Awaitable[float]]


@dataclass
class Race:
    """Contestants for one thing, the first of which is what the others are compared with."""

    name: str
    unit: str
    contestants: Mapping[str, Contestant]
    more_is_better: bool = True
    figures: dict[str, list[float]] = field(default_factory=dict)

    async def run(self, rounds: int) -> None:
        """Let them take turns."""
        for _ in range(rounds):
            for name, contestant in self.contestants.items():
                self.figures.setdefault(name, []).append(await contestant())
                print(".", end="", file=sys.stderr, flush=True)

    def rows(self) -> list[dict[str, Any]]:
        """Return the medians, and how they compare."""
        medians = {name: statistics.median(values) for name, values in self.figures.items()}
        base = next(iter(medians.values()))
        return [
            {
                "name": name,
                "median": median,
                "least": min(self.figures[name]),
                "most": max(self.figures[name]),
                "ratio": median / base,
            }
            for name, median in medians.items()
        ]

    def table(self) -> str:
        """Return the same for people."""
        lines = [f"\n{self.name} ({self.unit})"]
        lines += [
            f"  {row['name']:<52}{row['median']:>10,.1f}  ({row['least']:,.1f} to {row['most']:,.1f})"
            f"{row['ratio']:>9.2f} ×"
            for row in self.rows()
        ]
        return "\n".join(lines)


# Small commits


@dataclass
class Small:
    """Commits of 1 KiB, each of a new target."""

    directory: Path
    count: int
    data: bytes = field(default_factory=lambda: os.urandom(1024))

    def races(self) -> list[Race]:
        """Return what is compared."""
        return [
            Race(
                f"1 KiB, {at_once} at once" if at_once > 1 else "1 KiB, one at a time",
                "commits a second",
                {
                    "temporary file, fsync, rename, fsync of its folder": self.by_hand(at_once, synced=True),
                    "TargetStore, fsync": self.by_store(at_once, "fsync"),
                    "temporary file, rename (luigi)": self.by_hand(at_once, synced=False),
                    'TargetStore, durability="none"': self.by_store(at_once, "none"),
                    'TargetStore, durability="none", no feed': self.by_store(at_once, "none", feed=False),
                },
            )
            for at_once in (1, 32)
        ]

    def by_store(self, at_once: int, durability: Any, *, feed: bool = True) -> Contestant:
        async def run() -> float:
            async with opened(self.directory, durability=durability, feed=feed) as store:

                async def one(number: int) -> None:
                    async with store.write(KEY.format(number), format="bytes") as out:
                        await out.write(self.data)

                return await rate(one, self.count, at_once)

        return run

    def by_hand(self, at_once: int, *, synced: bool) -> Contestant:
        """One hop to a thread for each, as the fastest that an event loop may do."""

        def put(root: str, number: int) -> None:
            folder = f"{root}/{KEY.format(number)}"
            os.makedirs(folder)
            file = os.open(f"{folder}/.x", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(file, self.data)
            if synced:
                os.fsync(file)
            os.close(file)
            os.rename(f"{folder}/.x", f"{folder}/x")
            if synced:
                file = os.open(folder, os.O_RDONLY)
                os.fsync(file)
                os.close(file)

        async def run() -> float:
            with tempfile.TemporaryDirectory(dir=self.directory) as root:

                async def one(number: int) -> None:
                    await asyncio.to_thread(put, root, number)

                return await rate(one, self.count, at_once)

        return run


async def rate(one: Callable[[int], Awaitable[None]], count: int, at_once: int) -> float:
    """Return how many of them can be done in a second."""
    await one(-1)
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await one(number)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(worker())
    return count / (time.perf_counter() - began)


@asynccontextmanager
async def opened(
    directory: Path, *, durability: Any = "fsync", feed: bool = True
) -> AsyncIterator[TargetStore]:
    """Open a store in a new folder, which goes with the block."""
    with tempfile.TemporaryDirectory(dir=directory) as root:
        async with LocalStorage(root, durability=durability) as storage:
            yield TargetStore(storage, feed=feed)


# Large ones


def throughput(size: int, seconds: float) -> float:
    return size / MIB / seconds


@dataclass
class Large:
    """A file that is copied into a store, and read out of it."""

    directory: Path
    size: int

    def races(self) -> list[Race]:
        """Return what is compared."""
        self.source = self.directory / "source"
        with self.source.open("wb") as file:
            for _ in range(self.size // MIB):
                file.write(os.urandom(MIB))
        return [
            Race(
                f"{self.size // MIB} MiB to disk",
                "MiB a second",
                {
                    "copy (sendfile), fsync": self.copied(shutil.copyfile, synced=True),
                    "temporary file in pieces, fsync, rename": self.copied(in_pieces, synced=True),
                    "the same with sha256 after it": self.copied(in_pieces, synced=True, hashed=True),
                    "TargetStore, fsync": self.by_store("fsync"),
                    "copy (sendfile)": self.copied(shutil.copyfile, synced=False),
                    "temporary file in pieces, rename (luigi)": self.copied(in_pieces, synced=False),
                    'TargetStore, durability="none"': self.by_store("none"),
                    "sha256 alone, in memory": self.hashed,
                },
            ),
            Race(
                f"{self.size // MIB} MiB from disk",
                "MiB a second",
                {
                    "read in pieces": self.read(hashed=False),
                    "read in pieces, sha256 after each": self.read(hashed=True),
                    "TargetStore.open (verified)": self.read_by_store,
                },
            ),
        ]

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

        async def run() -> float:
            with tempfile.TemporaryDirectory(dir=self.directory) as root:
                began = time.perf_counter()
                await asyncio.to_thread(work, root)
                return throughput(self.size, time.perf_counter() - began)

        return run

    def by_store(self, durability: Any) -> Contestant:
        async def run() -> float:
            async with opened(self.directory, durability=durability) as store:
                began = time.perf_counter()
                await copy_into(store, self.source)
                return throughput(self.size, time.perf_counter() - began)

        return run

    async def hashed(self) -> float:
        data = bytes(self.size)
        began = time.perf_counter()
        await asyncio.to_thread(hashlib.sha256, data)
        return throughput(self.size, time.perf_counter() - began)

    def read(self, *, hashed: bool) -> Contestant:
        def work() -> None:
            digest = hashlib.sha256()
            with self.source.open("rb", buffering=0) as file:
                while piece := file.read(PIECE):
                    if hashed:
                        digest.update(piece)

        async def run() -> float:
            began = time.perf_counter()
            await asyncio.to_thread(work)
            return throughput(self.size, time.perf_counter() - began)

        return run

    async def read_by_store(self) -> float:
        async with opened(self.directory, durability="none") as store:
            await copy_into(store, self.source)
            began = time.perf_counter()
            await read_out_of(store)
            return throughput(self.size, time.perf_counter() - began)


def in_pieces(source: Path, target: Path) -> None:
    with source.open("rb", buffering=0) as read, target.open("wb", buffering=0) as write:
        while piece := read.read(PIECE):
            write.write(piece)


async def copy_into(store: TargetStore, source: Path) -> None:
    async with store.write(KEY.format(0), format="bytes") as out:
        with source.open("rb", buffering=0) as file:
            while piece := await asyncio.to_thread(file.read, PIECE):
                await out.write(piece)


async def read_out_of(store: TargetStore) -> None:
    async with store.open(KEY.format(0)) as pieces:
        async for _ in pieces:
            pass


# S3


@dataclass
class OnS3:
    """The same to a server that speaks S3."""

    port: int
    size: int
    small: int

    def races(self) -> list[Race]:
        """Return what is compared."""
        self.data = os.urandom(self.size)
        return [
            Race(
                f"{self.size // MIB} MiB to S3",
                "MiB a second",
                {
                    "aiobotocore, parts of 8 MiB, four at once": self.bare(self.in_parts),
                    "aiobotocore, one PUT": self.bare(self.in_one),
                    "TargetStore": self.by_store(self.written),
                    "sha256 and CRC32 alone, in memory": self.hashed,
                },
            ),
            Race(
                f"{self.size // MIB} MiB from S3",
                "MiB a second",
                {
                    "aiobotocore, ranges of 8 MiB, four at once": self.bare(self.in_ranges),
                    "TargetStore.open (verified)": self.by_store(self.read),
                },
            ),
            Race(
                "1 KiB to S3, 8 at once",
                "commits a second",
                {
                    "aiobotocore, one PUT": self.bare(self.many_puts),
                    "TargetStore (two LISTs, three PUTs)": self.by_store(self.many_commits),
                },
            ),
        ]

    def by_store(self, work: Callable[[TargetStore], Awaitable[float]]) -> Contestant:
        async def run() -> float:
            async with self.bucket() as bucket:
                settings = S3Settings(
                    endpoint_url=f"http://127.0.0.1:{self.port}",
                    region="us-east-1",
                    access_key_id="anybody",
                    secret_access_key="opens nothing",  # noqa: S106
                    addressing_style="path",
                )
                async with S3Storage(bucket, "ff", settings) as storage:
                    store = TargetStore(storage)
                    async with store.write(
                        KEY.format("first"), format="bytes"
                    ) as out:  # connects, and probes
                        await out.write(b"")
                    return await work(store)

        return run

    async def written(self, store: TargetStore) -> float:
        began = time.perf_counter()
        async with store.write(KEY.format(0), format="bytes") as out:
            for start in range(0, self.size, PIECE):
                await out.write(self.data[start : start + PIECE])
        return throughput(self.size, time.perf_counter() - began)

    async def read(self, store: TargetStore) -> float:
        await self.written(store)
        began = time.perf_counter()
        await read_out_of(store)
        return throughput(self.size, time.perf_counter() - began)

    async def many_commits(self, store: TargetStore) -> float:
        async def one(number: int) -> None:
            async with store.write(KEY.format(number), format="bytes") as out:
                await out.write(self.data[:1024])

        return await rate(one, self.small, 8)

    async def hashed(self) -> float:
        began = time.perf_counter()
        await asyncio.gather(
            asyncio.to_thread(hashlib.sha256, self.data), asyncio.to_thread(zlib.crc32, self.data)
        )
        return throughput(self.size, time.perf_counter() - began)

    def bare(self, work: Callable[[Any, str], Awaitable[float]]) -> Contestant:
        async def run() -> float:
            from aiobotocore.config import AioConfig
            from aiobotocore.session import AioSession

            async with AsyncExitStack() as stack:
                bucket = await stack.enter_async_context(self.bucket())
                client = await stack.enter_async_context(
                    AioSession().create_client(
                        "s3",
                        endpoint_url=f"http://127.0.0.1:{self.port}",
                        region_name="us-east-1",
                        aws_access_key_id="anybody",
                        aws_secret_access_key="opens nothing",  # noqa: S106
                        config=AioConfig(s3={"addressing_style": "path"}, max_pool_connections=32),
                    )
                )
                await client.put_object(Bucket=bucket, Key="first", Body=b"")
                return await work(client, bucket)

        return run

    async def in_one(self, client: Any, bucket: str) -> float:
        began = time.perf_counter()
        await client.put_object(Bucket=bucket, Key="x", Body=self.data)
        return throughput(self.size, time.perf_counter() - began)

    async def in_parts(self, client: Any, bucket: str) -> float:
        began = time.perf_counter()
        where = {"Bucket": bucket, "Key": "x"}
        upload = await client.create_multipart_upload(**where)
        where["UploadId"] = upload["UploadId"]
        slots = asyncio.Semaphore(4)

        async def send(number: int) -> dict[str, Any]:
            async with slots:
                piece = self.data[(number - 1) * PIECE : number * PIECE]
                sent = await client.upload_part(**where, PartNumber=number, Body=piece)
                return {
                    "PartNumber": number,
                    "ETag": sent["ETag"],
                    "ChecksumCRC32": sent.get("ChecksumCRC32"),
                }

        parts = await asyncio.gather(*(send(number + 1) for number in range(-(-self.size // PIECE))))
        parts = [{name: value for name, value in part.items() if value} for part in parts]
        await client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        return throughput(self.size, time.perf_counter() - began)

    async def in_ranges(self, client: Any, bucket: str) -> float:
        await self.in_parts(client, bucket)
        slots = asyncio.Semaphore(4)

        async def get(start: int) -> int:
            async with slots:
                what = f"bytes={start}-{start + PIECE - 1}"
                answer = await client.get_object(Bucket=bucket, Key="x", Range=what)
                return len(await answer["Body"].read())

        began = time.perf_counter()
        sizes = await asyncio.gather(*(get(start) for start in range(0, self.size, PIECE)))
        took = time.perf_counter() - began
        if sum(sizes) != self.size:
            raise ValueError(sizes)
        return throughput(self.size, took)

    async def many_puts(self, client: Any, bucket: str) -> float:
        async def one(number: int) -> None:
            await client.put_object(Bucket=bucket, Key=KEY.format(number), Body=self.data[:1024])

        return await rate(one, self.small, 8)

    @asynccontextmanager
    async def bucket(self) -> AsyncIterator[str]:
        """A new bucket, emptied with the block: the server holds all in memory."""
        made = Backdoor(self.port, f"bench-{time.time_ns()}")
        await made.make()
        try:
            yield made.bucket
        finally:
            for key in await made.keys():
                await made.delete(key)


async def main(options: argparse.Namespace) -> list[Race]:
    """Run all races, and print them."""
    races: list[Race] = []
    with (
        tempfile.TemporaryDirectory(prefix="fileflow-bench-", dir=options.directory) as name,
        moto_server() as port,
    ):
        directory = Path(name)
        small = Small(directory, 100 if options.quick else 400)
        large = Large(directory, (64 if options.quick else 256) * MIB)
        on_s3 = OnS3(port, (32 if options.quick else 256) * MIB, 40 if options.quick else 100)
        races = [*small.races(), *large.races(), *on_s3.races()]
        for race in races:
            await race.run(options.rounds or (3 if options.quick else 5))
            print(race.table(), flush=True)
    return races


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="less of everything: half a minute")
    parser.add_argument("--rounds", type=int, help="turns of each contestant")
    parser.add_argument("--directory", type=Path, help="on which disk; by default where temporary files go")
    parser.add_argument("--json", type=Path, help="where to write the figures, too")
    options = parser.parse_args()
    races = asyncio.run(main(options))
    if options.json is not None:
        machine = {
            "python": platform.python_version(),
            "system": platform.platform(),
            "processors": os.cpu_count(),
        }
        found = {race.name: {"unit": race.unit, "figures": race.rows()} for race in races}
        options.json.write_text(json.dumps({"machine": machine, "races": found}, indent=1) + "\n")
