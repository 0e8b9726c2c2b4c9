"""What targets cost in S3: small ones committed, large ones up and down, beside what moves bytes only.

    .venv-bench/bin/python bench/objects.py [--quick] [--rounds N] [--only TEXT] [--json FILE]

The server is a small one in memory, in a process of its own: fast enough not to be what is measured. Nobody
else hashes, announces, or looks whether a newer attempt is there.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

from large import Unhashed
from racing import MIB, Contestant, Lap, Race, Watch, rate, run
from servers import (
    BUCKET,
    Server,
    airflow_path,
    bare_client,
    dollars,
    luigi_client,
    obstore_bucket,
    our_store,
    s3fs_system,
    served,
)
from small import KEY, commit

from fileflow_async import reading
from fileflow_async.storage.protocol import PIECE

AT_ONCE = 8
WINDOW = 4  # parts under way, as ours
Opened = Callable[[Server], AbstractAsyncContextManager[Any]]
One = Callable[[Any, str, bytes], Awaitable[object]]


@asynccontextmanager
async def as_it_is(value: Any) -> AsyncIterator[Any]:
    with nullcontext(value):
        yield value


@dataclass
class Small:
    """Targets of 1 KiB, each under a key of its own."""

    server: Server
    count: int

    def race(self) -> Race:
        return Race(
            f"Commit 1 KiB to S3, {AT_ONCE} at once",
            "commits a second",
            {name: self.rated(*who) for name, who in self.contestants().items()},
            cpu_unit="ms each",
        )

    def prices(self) -> Race:
        return Race(
            "Requests for 1 KiB to S3, at public prices",
            "dollars a million commits",
            {name: self.paid(*who) for name, who in self.contestants().items()},
            more_is_better=False,
            rounds=1,
        )

    def contestants(self) -> dict[str, tuple[Opened, One]]:
        return {
            "limit: aiobotocore, one PUT": (
                bare_client,
                lambda client, key, data: client.put_object(Bucket=BUCKET, Key=key, Body=data),
            ),
            "TargetStore": (our_store, commit),
            "s3fs": (s3fs_system, lambda system, key, data: system._pipe_file(f"{BUCKET}/{key}", data)),
            "obstore": (
                lambda server: as_it_is(obstore_bucket(server)),
                lambda bucket, key, data: bucket.put_async(key, data),
            ),
            "luigi S3Target": (
                lambda server: as_it_is(luigi_client(server)),
                lambda client, key, data: asyncio.to_thread(put_luigi, client, key, data),
            ),
            "Airflow ObjectStoragePath": (
                as_it_is,
                lambda server, key, data: asyncio.to_thread(airflow_path(server, key).write_bytes, data),
            ),
        }

    def rated(self, opened: Opened, one: One) -> Contestant:
        data = os.urandom(1024)

        async def turn() -> Lap:
            self.server.empty()
            async with opened(self.server) as client:
                return await rate(lambda number: one(client, KEY.format(number), data), self.count, AT_ONCE)

        return turn

    def paid(self, opened: Opened, one: One) -> Contestant:
        async def turn() -> Lap:
            self.server.empty()
            async with opened(self.server) as client:
                await one(client, KEY.format("first"), b"x" * 1024)
                before = dollars(self.server.counts())
                for number in range(10):
                    await one(client, KEY.format(number), b"x" * 1024)
                return Lap((dollars(self.server.counts()) - before) / 10 * 1e6)

        return turn


@dataclass
class Large:
    """One object."""

    server: Server
    size: int
    rounds: int

    @property
    def label(self) -> str:
        return f"{self.size // MIB} MiB" if self.size < 1024 * MIB else f"{self.size // MIB // 1024} GiB"

    def up(self) -> Race:
        contestants: dict[str, tuple[Opened, One]] = {
            "limit: aiobotocore, parts of 8 MiB, four at once": (bare_client, in_parts),
            "TargetStore": (our_store, write_in_pieces),
            "s3fs": (s3fs_system, lambda system, key, data: system._pipe_file(f"{BUCKET}/{key}", data)),
            "obstore": (
                lambda server: as_it_is(obstore_bucket(server)),
                lambda bucket, key, data: bucket.put_async(
                    key, data, chunk_size=PIECE, max_concurrency=WINDOW
                ),
            ),
            "luigi S3Target": (
                lambda server: as_it_is(luigi_client(server)),
                lambda client, key, data: asyncio.to_thread(put_luigi, client, key, data),
            ),
            "Airflow ObjectStoragePath": (
                as_it_is,
                lambda server, key, data: asyncio.to_thread(airflow_path(server, key).write_bytes, data),
            ),
        }
        return Race(
            f"Commit {self.label} to S3",
            "MiB a second",
            {name: self.timed(opened, one) for name, (opened, one) in contestants.items()},
            cpu_unit="s a GiB",
            rounds=self.rounds,
        )

    def down(self) -> Race:
        contestants: dict[str, tuple[Opened, One]] = {
            "limit: aiobotocore, ranges of 8 MiB, four at once": (bare_client, in_ranges),
            "TargetStore (verified)": (our_store, read_in_pieces),
            "TargetStore, hash left out": (our_store, read_unhashed),
            "s3fs": (s3fs_system, lambda system, key, _: system._cat_file(f"{BUCKET}/{key}")),
            "obstore": (lambda server: as_it_is(obstore_bucket(server)), get_obstore),
            "luigi S3Target": (
                lambda server: as_it_is(luigi_client(server)),
                lambda client, key, _: asyncio.to_thread(get_luigi, client, key),
            ),
            "Airflow ObjectStoragePath": (
                as_it_is,
                lambda server, key, _: asyncio.to_thread(airflow_path(server, key).read_bytes),
            ),
        }
        return Race(
            f"Read {self.label} from S3",
            "MiB a second",
            {name: self.timed(opened, one, reading=True) for name, (opened, one) in contestants.items()},
            cpu_unit="s a GiB",
            rounds=self.rounds,
        )

    def timed(self, opened: Opened, one: One, *, reading: bool = False) -> Contestant:
        async def turn() -> Lap:
            self.server.empty()
            first, key = KEY.format("first"), KEY.format(0)
            async with opened(self.server) as client:
                if reading:
                    await self.prepare(opened, client, {first: b"x", key: self.data})
                await one(client, first, b"x")  # models, connections: what happens once a process
                with Watch() as watch:
                    await one(client, key, self.data)
                return watch.moved(self.size)

        return turn

    @cached_property
    def data(self) -> bytes:
        return os.urandom(MIB) * (self.size // MIB)

    async def prepare(self, opened: Opened, client: Any, objects: dict[str, bytes]) -> None:
        async with bare_client(self.server) as other:
            for key, data in objects.items():
                if opened is our_store:
                    await write_in_pieces(client, key, data)
                else:
                    await in_parts(other, key, data)


async def in_parts(client: Any, key: str, data: bytes) -> None:
    where = {"Bucket": BUCKET, "Key": key}
    upload = await client.create_multipart_upload(**where)
    where["UploadId"] = upload["UploadId"]
    slots = asyncio.Semaphore(WINDOW)

    async def send(number: int) -> dict[str, Any]:
        async with slots:
            piece = data[(number - 1) * PIECE : number * PIECE]
            sent = await client.upload_part(**where, PartNumber=number, Body=piece)
            return {"PartNumber": number, "ETag": sent["ETag"]}

    parts = await asyncio.gather(*(send(number + 1) for number in range(-(-len(data) // PIECE))))
    await client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})


async def in_ranges(client: Any, key: str, _: bytes) -> None:
    size = (await client.head_object(Bucket=BUCKET, Key=key))["ContentLength"]
    slots = asyncio.Semaphore(WINDOW)

    async def get(start: int) -> int:
        async with slots:
            wanted = f"bytes={start}-{start + PIECE - 1}"
            answer = await client.get_object(Bucket=BUCKET, Key=key, Range=wanted)
            return len(await answer["Body"].read())

    sizes = await asyncio.gather(*(get(start) for start in range(0, size, PIECE)))
    if sum(sizes) != size:
        raise ValueError(sizes)


async def write_in_pieces(store: Any, key: str, data: bytes) -> None:
    async with store.write(key, format="bytes") as out:
        for start in range(0, len(data), PIECE):
            await out.write(data[start : start + PIECE])


async def read_in_pieces(store: Any, key: str, _: bytes) -> None:
    async with store.open(key) as pieces:
        async for _piece in pieces:
            pass


async def read_unhashed(store: Any, key: str, data: bytes) -> None:
    with patch.object(reading, "Digest", Unhashed), patch.object(reading.Piece, "check"):
        await read_in_pieces(store, key, data)


async def get_obstore(bucket: Any, key: str, _: bytes) -> None:
    async for _piece in (await bucket.get_async(key)).stream(min_chunk_size=PIECE):
        pass


def put_luigi(client: Any, key: str, data: bytes) -> None:
    import luigi
    from luigi.contrib.s3 import S3Target

    with S3Target(f"s3://{BUCKET}/{key}", format=luigi.format.Nop, client=client).open("w") as file:
        file.write(data)


def get_luigi(client: Any, key: str) -> None:
    client.get_as_bytes(f"s3://{BUCKET}/{key}")


@asynccontextmanager
async def races(directory: Path, quick: bool) -> AsyncIterator[AsyncIterator[Race]]:
    sizes = ((1, 2), (16, 2)) if quick else ((1, 15), (256, 5), (1024, 2))
    tempfile.tempdir = str(directory)  # luigi writes a file first

    async def each(server: Server) -> AsyncIterator[Race]:
        small = Small(server, 24 if quick else 200)
        yield small.race()
        yield small.prices()
        for size, rounds in sizes:
            large = Large(server, size * MIB, rounds)
            yield large.up()
            yield large.down()

    with served() as server:
        yield each(server)


if __name__ == "__main__":
    run(__doc__, races)
