"""The driver for S3."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import date
from typing import IO, cast

from fileflow_async.errors import ConfigError, TargetNameError, quoted
from fileflow_async.formats.encoding import check_encoding
from fileflow_async.storage.protocol import BINARY, Sink, Storage, check_key
from fileflow_async.storage.replacing import replaced_object
from fileflow_async.storage.s3 import S3Storage
from fileflow_async.storage.s3_client import shared_client
from fileflow_async.storage.s3_settings import S3Settings
from fileflow_async.storage_drivers.driver import TEXT
from fileflow_async.storage_drivers.keyed import KeyedDriver, part


class S3StorageDriver(KeyedDriver):
    """Objects in a bucket: `<dag>/<task>/<YYYY-MM-DD>`.

    Args:
        access_key_id: With `secret_access_key` the credentials; without, an Airflow connection's, or those
            that the machine has.
        secret_access_key: See `access_key_id`.
        bucket_name: The bucket; it is not asked for before it is used.
        conn_id: An Airflow connection of type `aws`, for a region, an endpoint or a role, too.
        settings: All of that in one, where there is no Airflow.

    Raises:
        ConfigError: There is no bucket, one half of the credentials, or several ways to have them.
    """

    def __init__(
        self,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        bucket_name: str = "",
        *,
        conn_id: str | None = None,
        settings: S3Settings | None = None,
    ) -> None:
        if not bucket_name:
            raise ConfigError("an S3StorageDriver needs a bucket_name")
        if sum(map(bool, (access_key_id or secret_access_key, conn_id, settings))) > 1:
            raise ConfigError(
                "an S3StorageDriver takes credentials, a conn_id or settings, not several of them"
            )
        self.bucket_name = bucket_name
        self.conn_id = conn_id
        self._settings = settings or S3Settings(
            access_key_id=access_key_id or None, secret_access_key=secret_access_key or None
        )

    def get_filename(self, dag_id: str, task_id: str, execution_date: date) -> str:
        return f"s3://{self.bucket_name}/{self.get_key_name(dag_id, task_id, execution_date)}"

    def get_path(self, dag_id: str, task_id: str) -> str:
        return f"s3://{self.bucket_name}/{part(dag_id, 'dag_id')}/{part(task_id, 'task_id')}"

    def get_key_name(self, dag_id: str, task_id: str, execution_date: date) -> str:
        """Return the key of a task's object of a day."""
        day = self.execution_date_string(execution_date)
        return f"{part(dag_id, 'dag_id')}/{part(task_id, 'task_id')}/{day}"

    def get_read_stream(self, dag_id: str, task_id: str, execution_date: date) -> IO[bytes]:
        """Open a copy of a task's object on this machine's disk; see `StorageDriver.get_read_stream`."""
        key = self.get_key_name(dag_id, task_id, execution_date)
        with ExitStack() as unless_returned:
            copy = unless_returned.enter_context(tempfile.TemporaryFile())
            self._run(lambda: self._download(key, copy))
            copy.seek(0)
            unless_returned.pop_all()
            return cast(IO[bytes], copy)

    def list_filenames_in_path(self, path: str) -> list[str]:
        """Return the names of the objects directly in a path, which is a whole `s3://` URL; sorted."""
        bucket = f"s3://{self.bucket_name}"
        if not f"{path}/".startswith(f"{bucket}/"):
            raise TargetNameError(f"{quoted(path)} does not lie in {bucket}")
        return self._names(path[len(bucket) :].strip("/"))

    def get_or_create_key(self, key_name: str) -> "S3Key":
        """Return an object by its key, whether it exists or is still to be written."""
        return S3Key(self, check_key(key_name))

    def _key_of(self, dag_id: str, task_id: str, execution_date: date) -> str:
        return self.get_key_name(dag_id, task_id, execution_date)

    def _hold(self, stack: ExitStack) -> None:
        assert self._engine is not None  # noqa: S101 - whoever calls this has just made it
        stack.enter_context(self._engine.opened(shared_client(self._engine.run(self._reach()))))

    async def _reach(self) -> S3Settings:
        if self.conn_id is None:
            return self._settings
        from fileflow_async.hooks.s3 import S3StorageHook

        return await S3StorageHook(self.conn_id).settings()

    async def _download(self, key: str, copy: IO[bytes]) -> None:
        async with self._storage(key) as storage, storage.stream(key) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(copy.write, piece)

    @asynccontextmanager
    async def _storage(self, key: str) -> AsyncIterator[Storage]:
        async with S3Storage(self.bucket_name, settings=await self._reach()) as storage:
            yield storage

    @asynccontextmanager
    async def _replaced(self, key: str, content_type: str | None) -> AsyncIterator[Sink]:
        settings, kind = await self._reach(), content_type or BINARY
        async with replaced_object(self.bucket_name, key, settings, content_type=kind) as sink:
            yield sink


class S3Key:
    """One object of a driver's bucket, as code for the original may use it."""

    def __init__(self, driver: S3StorageDriver, name: str) -> None:
        self._driver = driver
        self.name = name

    def set_contents_from_string(self, data: str | bytes, content_type: str | None = TEXT) -> None:
        """Write the object."""
        self._driver._put(self.name, data, content_type)

    def get_contents_as_string(self, encoding: str = "utf-8") -> str:
        """Return its text.

        Raises:
            TargetNotFoundError: It does not exist.
        """
        check_encoding(encoding)
        uri = f"s3://{self._driver.bucket_name}/{self.name}"
        return self._driver._text(self.name, encoding, uri)
