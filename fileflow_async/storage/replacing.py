"""Store objects in the place of what stands there, for layouts that have one name for all versions.

A `Storage` never overwrites anything, and a target's layout never asks for it; the layout of the original
fileflow does. What is stored here is seen whole or not at all, as there, but the last writer wins.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fileflow_async.clock import SystemClock
from fileflow_async.storage.local import LocalStorage
from fileflow_async.storage.local_errors import translated
from fileflow_async.storage.local_root import Root, opened, sync_folder
from fileflow_async.storage.protocol import BINARY, Sink
from fileflow_async.storage.retry import PATIENT
from fileflow_async.storage.s3_client import Abilities, shared_client
from fileflow_async.storage.s3_download import Downloader
from fileflow_async.storage.s3_place import Place
from fileflow_async.storage.s3_requests import Requests
from fileflow_async.storage.s3_settings import S3Settings
from fileflow_async.storage.s3_upload import upload
from fileflow_async.storage.s3_write import Writer

_NEW = ".new"


def is_under_way(name: str) -> bool:
    """Tell whether a file of that name is one that is being written, or was when its writer died."""
    return name.startswith(".") and name.endswith((_NEW, ".part"))


@asynccontextmanager
async def replaced_file(directory: str, key: str) -> AsyncIterator[Sink]:
    """Open a file for writing; nothing changes unless the block ends well, and then at once.

    Args:
        directory: The folder in which the key lies; made where it is missing.
        key: Its parts joined by `/`.
    """
    folder, slash, name = key.rpartition("/")
    hidden = f".{name}.{secrets.token_hex(6)}{_NEW}"
    async with LocalStorage(directory, create=True) as storage:
        async with storage.create(f"{folder}{slash}{hidden}") as sink:
            yield sink
        try:
            await asyncio.to_thread(_rename, directory, key, hidden)
        except Exception:
            await storage.delete([f"{folder}{slash}{hidden}"])
            raise


def _rename(directory: str, key: str, hidden: str) -> None:
    root = Root(directory)
    root.resolve()
    *parents, name = key.split("/")
    with translated(directory, key, "write"), opened(root.enter(parents, listing=True)) as folder:
        os.rename(hidden, name, src_dir_fd=folder, dst_dir_fd=folder)
        sync_folder(folder)


class _Overwriter(Writer):
    """Stores objects whatever stands there.

    It does not find out what the server understands: that leaves an object in the bucket.
    """

    async def abilities(self) -> Abilities:
        return Abilities(conditional=False, checksums=self.requests.shared.settings.checksums == "crc32")

    async def keep(self, key: str, can: Abilities) -> None:
        """Let it be replaced."""


@asynccontextmanager
async def replaced_object(
    bucket: str, key: str, settings: S3Settings, *, content_type: str = BINARY
) -> AsyncIterator[Sink]:
    """Open an object of S3 for writing; nothing changes unless the block ends well, and then at once."""
    async with shared_client(settings) as shared:
        requests = Requests(bucket, shared, clock=SystemClock(), budget=PATIENT)
        place = Place(bucket)
        writer = _Overwriter(requests, place, Downloader(requests, place))
        async with upload(writer, key, content_type=content_type) as sink:
            yield sink
