"""The storage drivers of the original fileflow, for whoever moves over.

They keep its names, arguments and paths: one file or object a task and day, replaced by whoever writes last.
There are no records beside them and nothing can wait for them; only targets have that. What is new: files are
replaced at once or not at all, streams are not held in memory, nothing is asked of S3 before it is needed,
and whatever goes wrong is a StorageError, or an error of another kind of this package's family.

The methods are synchronous. Each call has an event loop of its own, unless the driver is used as a context
manager: then it keeps one, with its connections, to the end of the block.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, ExitStack
from datetime import date
from typing import IO, Any, Self, TypeVar, cast

from fileflow_async.config import SECTION, configured
from fileflow_async.engine import Engine
from fileflow_async.errors import (
    ConfigError,
    StorageDriverError,
    TargetNameError,
    TargetNotFoundError,
    quoted,
)
from fileflow_async.formats.encoding import Decoder, check_encoding
from fileflow_async.storage.local import LocalStorage
from fileflow_async.storage.local_errors import translated
from fileflow_async.storage.local_root import Root
from fileflow_async.storage.protocol import BINARY, PIECE, Sink, check_key
from fileflow_async.storage.replacing import is_under_way, replaced_file, replaced_object
from fileflow_async.storage.s3 import S3Storage
from fileflow_async.storage.s3_client import shared_client
from fileflow_async.storage.s3_settings import S3Settings

__all__ = [
    "FileStorageDriver",
    "S3Key",
    "S3StorageDriver",
    "StorageDriver",
    "StorageDriverError",
    "get_storage_driver",
]

Result = TypeVar("Result")
_TEXT = "text/plain"
_ENVIRONMENTS = ("production", "qa", "development", "test")
_DEFAULTS = {
    "storage_type": "file",
    "storage_prefix": "storage",
    "environment": "production",
    "aws_bucket_name": "mybeautifulbucket",
}


class StorageDriver:
    """The base class of drivers: where a task's file of a day lies, and how it is read and written."""

    _engine: Engine | None = None

    def __enter__(self) -> Self:
        self._open = ExitStack()
        try:
            self._engine = self._open.enter_context(Engine())
            self._hold(self._open)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def get_filename(self, dag_id: str, task_id: str, execution_date: date) -> str:
        """Return the path or the URL of a task's file of a day."""
        raise NotImplementedError

    def get_path(self, dag_id: str, task_id: str) -> str:
        """Return the path or the URL under which a task's files lie."""
        raise NotImplementedError

    def execution_date_string(self, execution_date: date) -> str:
        """Return a date as it stands in file names: to the day."""
        return execution_date.strftime("%Y-%m-%d")

    def read(self, dag_id: str, task_id: str, execution_date: date, encoding: str = "utf-8") -> str:
        """Return the text of a task's file.

        Raises:
            TargetNotFoundError: There is none.
            FormatError: It is not valid in that encoding.
        """
        raise NotImplementedError

    def get_read_stream(self, dag_id: str, task_id: str, execution_date: date) -> IO[bytes]:
        """Open a task's file; the caller closes it.

        Raises:
            TargetNotFoundError: There is none.
        """
        raise NotImplementedError

    def write(
        self,
        dag_id: str,
        task_id: str,
        execution_date: date,
        data: str | bytes,
        content_type: str | None = _TEXT,
    ) -> None:
        """Write a task's file, in the place of the one that may be there; text becomes UTF-8."""
        raise NotImplementedError

    def write_from_stream(
        self,
        dag_id: str,
        task_id: str,
        execution_date: date,
        stream: IO[Any],
        content_type: str | None = _TEXT,
    ) -> None:
        """Write what a file holds, from where it stands, in bounded memory; see `write`."""
        raise NotImplementedError

    def list_filenames_in_path(self, path: str) -> list[str]:
        """Return the names of the files directly in a path, sorted; not of those in folders below it."""
        raise NotImplementedError

    def list_filenames_in_task(self, dag_id: str, task_id: str) -> list[str]:
        """Return the names of a task's files."""
        return self.list_filenames_in_path(self.get_path(dag_id, task_id))

    def _hold(self, stack: ExitStack) -> None:
        """Open what is worth keeping over several calls."""

    def _run(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        _check_thread()
        if self._engine is not None:
            return self._engine.run(work())
        with Engine() as engine:
            return engine.run(work())

    def _close(self) -> None:
        self._engine = None
        self._open.close()


class FileStorageDriver(StorageDriver):
    """Files in folders: `<prefix>/<dag>/<task>/<YYYY-MM-DD>`.

    Nothing outside the prefix is ever read or written, and links below it are not followed.

    Args:
        prefix: The folder in which all lie; made where it is missing.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def get_filename(self, dag_id: str, task_id: str, execution_date: date) -> str:
        return os.path.join(self.get_path(dag_id, task_id), self.execution_date_string(execution_date))

    def get_path(self, dag_id: str, task_id: str) -> str:
        return os.path.join(self.prefix, _part(dag_id, "dag_id"), _part(task_id, "task_id"))

    def read(self, dag_id: str, task_id: str, execution_date: date, encoding: str = "utf-8") -> str:
        check_encoding(encoding)
        path = self.get_filename(dag_id, task_id, execution_date)
        return _decoded(self._run(lambda: _read_file(self._existing(path), self._key(path))), encoding, path)

    def get_read_stream(self, dag_id: str, task_id: str, execution_date: date) -> IO[bytes]:
        path = self.get_filename(dag_id, task_id, execution_date)
        root, key = Root(self._existing(path)), check_key(self._key(path))
        root.resolve()
        with translated(root.directory, key, "read"):
            return os.fdopen(root.open_file(key), "rb")

    def write(
        self,
        dag_id: str,
        task_id: str,
        execution_date: date,
        data: str | bytes,
        content_type: str | None = _TEXT,
    ) -> None:
        path = self.get_filename(dag_id, task_id, execution_date)
        self._run(lambda: _put(replaced_file(self._root, self._key(path)), data))

    def write_from_stream(
        self,
        dag_id: str,
        task_id: str,
        execution_date: date,
        stream: IO[Any],
        content_type: str | None = _TEXT,
    ) -> None:
        path = self.get_filename(dag_id, task_id, execution_date)
        self._run(lambda: _copy(replaced_file(self._root, self._key(path)), stream))

    def list_filenames_in_path(self, path: str) -> list[str]:
        key, root = self._key(path), self._root
        return self._run(lambda: _names(root, key)) if os.path.isdir(root) else []

    def check_or_create_dir(self, dir: str) -> None:
        """Make a folder where it is missing, and those in which it lies."""
        self._key(dir)
        with translated(self._root, "", "write"):
            os.makedirs(dir, exist_ok=True)

    @property
    def _root(self) -> str:
        return os.path.abspath(self.prefix)

    def _key(self, path: str) -> str:
        """Return a path's way from the prefix, which it must not leave."""
        key = os.path.relpath(os.path.abspath(path), self._root)
        if key.split("/")[0] == "..":
            raise TargetNameError(f"{quoted(path)} does not lie in the prefix {quoted(self.prefix)}")
        return "" if key == "." else key

    def _existing(self, path: str) -> str:
        """Return the root; to the original, a missing one was no other error than a missing file."""
        root = self._root
        if not os.path.isdir(root):
            raise TargetNotFoundError(f"{path!r} does not exist: there is no folder {root!r}")
        return root


class S3StorageDriver(StorageDriver):
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
        return f"s3://{self.bucket_name}/{_part(dag_id, 'dag_id')}/{_part(task_id, 'task_id')}"

    def get_key_name(self, dag_id: str, task_id: str, execution_date: date) -> str:
        """Return the key of a task's object of a day."""
        day = self.execution_date_string(execution_date)
        return f"{_part(dag_id, 'dag_id')}/{_part(task_id, 'task_id')}/{day}"

    def read(self, dag_id: str, task_id: str, execution_date: date, encoding: str = "utf-8") -> str:
        key = self.get_or_create_key(self.get_key_name(dag_id, task_id, execution_date))
        return key.get_contents_as_string(encoding=encoding)

    def get_read_stream(self, dag_id: str, task_id: str, execution_date: date) -> IO[bytes]:
        """Open a copy of a task's object on this machine's disk; see `StorageDriver.get_read_stream`."""
        key = self.get_key_name(dag_id, task_id, execution_date)
        with ExitStack() as unless_returned:
            copy = unless_returned.enter_context(tempfile.TemporaryFile())
            self._run(lambda: self._download(key, copy))
            copy.seek(0)
            unless_returned.pop_all()
            return cast(IO[bytes], copy)

    def write(
        self,
        dag_id: str,
        task_id: str,
        execution_date: date,
        data: str | bytes,
        content_type: str | None = _TEXT,
    ) -> None:
        self._write(self.get_key_name(dag_id, task_id, execution_date), data, content_type)

    def write_from_stream(
        self,
        dag_id: str,
        task_id: str,
        execution_date: date,
        stream: IO[Any],
        content_type: str | None = _TEXT,
    ) -> None:
        key = self.get_key_name(dag_id, task_id, execution_date)
        self._run(lambda: self._upload(key, stream, content_type))

    def list_filenames_in_path(self, path: str) -> list[str]:
        """Return the names of the objects directly in a path, which is a whole `s3://` URL; sorted."""
        bucket = f"s3://{self.bucket_name}"
        if not f"{path}/".startswith(f"{bucket}/"):
            raise TargetNameError(f"{quoted(path)} does not lie in {bucket}")
        return self._run(lambda: self._names(path[len(bucket) :].strip("/")))

    def get_or_create_key(self, key_name: str) -> "S3Key":
        """Return an object by its key, whether it exists or is still to be written."""
        return S3Key(self, check_key(key_name))

    def _hold(self, stack: ExitStack) -> None:
        assert self._engine is not None  # noqa: S101 - whoever calls this has just made it
        stack.enter_context(self._engine.opened(shared_client(self._engine.run(self._reach()))))

    async def _reach(self) -> S3Settings:
        if self.conn_id is None:
            return self._settings
        from fileflow_async.hooks.s3 import S3StorageHook

        return await S3StorageHook(self.conn_id).settings()

    def _write(self, key: str, data: str | bytes, content_type: str | None) -> None:
        self._run(lambda: self._store(key, data, content_type))

    async def _store(self, key: str, data: str | bytes, content_type: str | None) -> None:
        await _put(await self._replaced(key, content_type), data)

    async def _upload(self, key: str, stream: IO[Any], content_type: str | None) -> None:
        await _copy(await self._replaced(key, content_type), stream)

    async def _replaced(self, key: str, content_type: str | None) -> AbstractAsyncContextManager[Sink]:
        return replaced_object(
            self.bucket_name, key, await self._reach(), content_type=content_type or BINARY
        )

    async def _read(self, key: str) -> bytes:
        async with S3Storage(self.bucket_name, settings=await self._reach()) as storage:
            return await storage.read(key)

    async def _download(self, key: str, copy: IO[bytes]) -> None:
        settings = await self._reach()
        async with S3Storage(self.bucket_name, settings=settings) as storage, storage.stream(key) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(copy.write, piece)

    async def _names(self, key: str) -> list[str]:
        async with S3Storage(self.bucket_name, settings=await self._reach()) as storage:
            found = await storage.list(f"{key}/" if key else "", shallow=True)
        return sorted(each.name for each in found.entries if not each.is_folder)


class S3Key:
    """One object of a driver's bucket, as code for the original may use it."""

    def __init__(self, driver: S3StorageDriver, name: str) -> None:
        self._driver = driver
        self.name = name

    def set_contents_from_string(self, data: str | bytes, content_type: str | None = _TEXT) -> None:
        """Write the object."""
        self._driver._write(self.name, data, content_type)

    def get_contents_as_string(self, encoding: str = "utf-8") -> str:
        """Return its text.

        Raises:
            TargetNotFoundError: It does not exist.
        """
        check_encoding(encoding)
        uri = f"s3://{self._driver.bucket_name}/{self.name}"
        return _decoded(self._driver._run(lambda: self._driver._read(self.name)), encoding, uri)


def get_storage_driver(
    storage_type: str | None = None,
    storage_prefix: str | None = None,
    environment: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_bucket_name: str | None = None,
    *,
    conn_id: str | None = None,
) -> StorageDriver:
    """Return the driver that is asked for, or configured by the `[fileflow]` settings of the same names.

    Args:
        storage_type: `file` or `s3`.
        storage_prefix: Where files lie.
        environment: What the bucket's name ends in, without anything between them: qa, development or test;
            nothing for production.
        aws_access_key_id: With `aws_secret_access_key` the credentials for S3; without, the machine's own.
        aws_secret_access_key: See `aws_access_key_id`.
        aws_bucket_name: The bucket, but for its environment.
        conn_id: An Airflow connection of type `aws`, instead of credentials.

    Raises:
        ConfigError: There is no such type or environment.
    """
    kind = _setting("storage_type", storage_type)
    if kind == "file":
        return FileStorageDriver(prefix=_setting("storage_prefix", storage_prefix))
    if kind != "s3":
        raise ConfigError(f"unknown storage_type {quoted(kind)}; known: file, s3")
    bucket = _setting("aws_bucket_name", aws_bucket_name) + _suffix(_setting("environment", environment))
    if conn_id is not None:
        return S3StorageDriver(bucket_name=bucket, conn_id=conn_id)
    key_id = _setting("aws_access_key_id", aws_access_key_id)
    return S3StorageDriver(
        key_id, _setting("aws_secret_access_key", aws_secret_access_key), bucket_name=bucket
    )


def _check_thread() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("this is sync, and was called on an event loop; call it by asyncio.to_thread")


def _setting(name: str, given: str | None) -> str:
    if given is None:
        given = configured(SECTION, name)
    return _DEFAULTS.get(name, "") if given is None else given


def _suffix(environment: str) -> str:
    if environment not in _ENVIRONMENTS:
        raise ConfigError(f"unknown environment {quoted(environment)}; known: {', '.join(_ENVIRONMENTS)}")
    return "" if environment == "production" else environment


def _part(text: str, what: str) -> str:
    """Return an id as it stands in a path: as it is, or refused where it could mean another place."""
    if not isinstance(text, str):
        raise TargetNameError(f"{what} must be a string, got {type(text).__name__}")
    if "/" in text:
        raise TargetNameError(f"{what} {quoted(text)} has a '/', which old paths have no other word for")
    return check_key(text)


def _decoded(data: bytes, encoding: str, name: str) -> str:
    return Decoder(encoding, name).decode(data, final=True)


async def _read_file(root: str, key: str) -> bytes:
    async with LocalStorage(root) as storage:
        return await storage.read(key)


async def _names(root: str, key: str) -> list[str]:
    async with LocalStorage(root) as storage:
        found = await storage.list(f"{key}/" if key else "", shallow=True)
    return sorted(each.name for each in found.entries if not each.is_folder and not is_under_way(each.name))


async def _put(opened: AbstractAsyncContextManager[Sink], data: str | bytes) -> None:
    async with opened as sink:
        await sink.write(data.encode() if isinstance(data, str) else data)


async def _copy(opened: AbstractAsyncContextManager[Sink], stream: IO[Any]) -> None:
    async with opened as sink:
        while piece := await asyncio.to_thread(stream.read, PIECE):
            await sink.write(piece.encode() if isinstance(piece, str) else piece)
