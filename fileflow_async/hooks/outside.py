"""Open the place where outsiders put files, through an Airflow connection where one is given."""

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from functools import partial

from fileflow_async.aside import aside
from fileflow_async.config import Settings
from fileflow_async.errors import ConfigError, quoted
from fileflow_async.hooks.connection import connection
from fileflow_async.hooks.store import _allowed
from fileflow_async.storage.outside import Outside
from fileflow_async.storage.outside_bucket import OutsideBucket
from fileflow_async.storage.outside_disk import OutsideDisk, look_in_time
from fileflow_async.storage.outside_threads import spare_threads
from fileflow_async.storage.protocol import Storage
from fileflow_async.storage.resolve import S3Root, open_storage, parse_root
from fileflow_async.storage.retry import BRIEF
from fileflow_async.storage.search import Search


@asynccontextmanager
async def open_outside(search: Search, conn_id: str | None = None) -> AsyncIterator[Outside]:
    """Open the folder or bucket of a search for looking, and close it when the block ends.

    S3's faults that may pass get ten seconds: whoever looks will look again.

    Args:
        search: What is looked for; all searches with its `key` can be answered.
        conn_id: The Airflow connection that opens it: of type `fs` for a folder, which must lie in the path
            of the connection, `aws` for S3. Without one, a folder is opened as it is, and S3 with the
            credentials that the machine has.

    Raises:
        ConfigError: The connection is wrong or does not allow that, or the bucket is not among
            `[fileflow] allowed_buckets`.
        FileflowError: The bucket cannot be opened.
    """
    with spare_threads().kept():
        if search.is_on_disk:
            await _check_fence(search.folder, conn_id)
            with closing(OutsideDisk(search.folder)) as disk:
                yield disk
        else:
            async with await _bucket(search.store, conn_id) as bucket:
                yield OutsideBucket(bucket)


async def _check_fence(folder: str, conn_id: str | None) -> None:
    if conn_id is None:
        return
    await connection(conn_id)  # loads Airflow off the loop, or says that there is none
    from fileflow_async.hooks.local import LocalStorageHook

    fence = await LocalStorageHook(conn_id).settings()
    if fence is not None and not await look_in_time(folder, partial(_lies_in, folder, fence)):
        raise ConfigError(
            f"folder {quoted(folder)} is not in {quoted(fence)}, the path of connection {conn_id!r}"
        )


def _lies_in(folder: str, fence: str) -> bool:
    real = os.path.realpath(fence)
    return os.path.commonpath([real, os.path.realpath(folder)]) == real


async def _bucket(uri: str, conn_id: str | None) -> AbstractAsyncContextManager[Storage]:
    settings = await aside(Settings.load)  # it may read airflow.cfg
    root = parse_root(uri, allowed_buckets=_allowed(settings))
    if conn_id is None:
        return open_storage(root, budget=BRIEF)
    await connection(conn_id)
    from fileflow_async.hooks.s3 import S3StorageHook

    return S3StorageHook(conn_id).open_storage(root if isinstance(root, S3Root) else uri, budget=BRIEF)
