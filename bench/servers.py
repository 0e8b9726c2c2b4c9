"""The S3 server that contestants race against, and who speaks to it."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.store import TargetStore

BUCKET = "lake"
USER, PASSWORD, REGION = "anybody", "opens nothing", "us-east-1"
DOLLARS = {"PUT": 5e-6, "POST": 5e-6, "LIST": 5e-6, "GET": 4e-7, "HEAD": 4e-7, "DELETE": 0.0}  # a request


@dataclass(frozen=True)
class Server:
    """A server in memory that counts its requests; see `s3_stub`."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def counts(self) -> dict[str, int]:
        """Return how many requests of each kind there were."""
        return self._administer("counts")

    def empty(self) -> None:
        """Forget all objects and all counts."""
        self._administer("empty")
        self._administer("reset")

    def _administer(self, word: str) -> dict[str, int]:
        with urllib.request.urlopen(f"{self.url}/-/{word}") as answer:  # noqa: S310
            found: dict[str, int] = json.load(answer)
            return found


@contextmanager
def served() -> Iterator[Server]:
    """Run a server while the block lasts."""
    program = Path(__file__).with_name("s3_stub.py")
    process = subprocess.Popen([sys.executable, str(program), "0"], stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield Server(int(next(iter(process.stdout or ()))))
        finally:
            process.terminate()


def dollars(counts: dict[str, int]) -> float:
    """Return what requests cost at S3's public prices."""
    return sum(DOLLARS[kind] * count for kind, count in counts.items())


@asynccontextmanager
async def our_store(server: Server) -> AsyncIterator[TargetStore]:
    """Open a store that has found out already what the server understands."""
    settings = S3Settings(
        endpoint_url=server.url,
        region=REGION,
        access_key_id=USER,
        secret_access_key=PASSWORD,
        addressing_style="path",
    )
    async with S3Storage(BUCKET, "ff", settings) as storage:
        await storage.put("first", b"")
        yield TargetStore(storage)


@asynccontextmanager
async def bare_client(server: Server) -> AsyncIterator[Any]:
    """Open a client of aiobotocore's."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import AioSession

    config = AioConfig(s3={"addressing_style": "path"}, max_pool_connections=32)
    async with AioSession().create_client(
        "s3",
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=USER,
        aws_secret_access_key=PASSWORD,
        config=config,
    ) as client:
        yield client


@asynccontextmanager
async def s3fs_system(server: Server) -> AsyncIterator[Any]:
    """Open s3fs in this loop."""
    from s3fs import S3FileSystem

    system = S3FileSystem(
        key=USER,
        secret=PASSWORD,
        endpoint_url=server.url,
        asynchronous=True,
        skip_instance_cache=True,
        use_listings_cache=False,
        client_kwargs={"region_name": REGION},
    )
    session = await system.set_session()
    try:
        yield system
    finally:
        await session.close()


def obstore_bucket(server: Server) -> Any:
    from obstore.store import S3Store

    return S3Store(
        BUCKET,
        endpoint=server.url,
        region=REGION,
        access_key_id=USER,
        secret_access_key=PASSWORD,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def luigi_client(server: Server) -> Any:
    from luigi.contrib.s3 import S3Client

    return S3Client(USER, PASSWORD, endpoint_url=server.url, region_name=REGION)


def airflow_path(server: Server, key: str) -> Any:
    """Return an ObjectStoragePath; s3fs is what moves its bytes."""
    from airflow.sdk import ObjectStoragePath

    return ObjectStoragePath(
        f"s3://{BUCKET}/{key}",
        key=USER,
        secret=PASSWORD,
        endpoint_url=server.url,
        client_kwargs={"region_name": REGION},
    )
