"""S3Storage keeps the promises of every storage, on a real server."""

from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from fileflow_async.storage.protocol import Storage
from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.storage.s3_place import PROBE
from fileflow_async.testing.storage_contract import StorageContract
from tests.s3_servers.backdoor import Backdoor

PREFIX = "ff/team=a"


class TestS3Storage(StorageContract):
    """Below a prefix."""

    prefix = PREFIX

    @pytest.fixture
    async def storage(
        self, bucket: Backdoor, s3_settings: Callable[..., S3Settings]
    ) -> AsyncIterator[Storage]:
        self._bucket = bucket
        async with S3Storage(bucket.bucket, self.prefix, s3_settings(bucket.port)) as storage:
            yield storage

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    async def plant(self, key: str, data: bytes) -> None:
        await self._bucket.put(self._full(key), data)

    async def peek(self, key: str) -> bytes | None:
        return await self._bucket.get(self._full(key))

    async def keys(self) -> Sequence[str]:
        cut = len(self._full(""))
        found = [key[cut:] for key in await self._bucket.keys() if key != self._full(PROBE)]
        # An upload that was left open is what a `.part` is on disk.
        parts = [key[cut:].rpartition("/") for key in await self._bucket.uploads()]
        return found + [f"{folder}{slash}.{name}.part" for folder, slash, name in parts]
