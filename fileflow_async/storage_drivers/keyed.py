"""What the drivers for files and for S3 have in common: each file is an object of a storage, under a key."""

import asyncio
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from datetime import date
from typing import IO, Any

from fileflow_async.errors import TargetNameError, quoted
from fileflow_async.formats.encoding import Decoder, check_encoding
from fileflow_async.storage.protocol import PIECE, Sink, Storage, check_key
from fileflow_async.storage_drivers.driver import TEXT, StorageDriver, refuse_event_loop


class KeyedDriver(StorageDriver, ABC):
    """A driver that says which key a task's file has, how to open the storage, and how to replace an object.

    It stands between `StorageDriver`, which users derive from, and the two that are here, so that the
    signatures of the original are written once.
    """

    @abstractmethod
    def _key_of(self, dag_id: str, task_id: str, execution_date: date) -> str:
        """Return the key of a task's file of a day."""

    @abstractmethod
    def _storage(self, key: str) -> AbstractAsyncContextManager[Storage]:
        """Open the storage in which a key is to be looked for."""

    @abstractmethod
    def _replaced(self, key: str, content_type: str | None) -> AbstractAsyncContextManager[Sink]:
        """Open an object for writing; nothing changes unless the block ends well, and then at once."""

    def read(self, dag_id: str, task_id: str, execution_date: date, encoding: str = "utf-8") -> str:
        check_encoding(encoding)
        name = self.get_filename(dag_id, task_id, execution_date)
        return self._text(self._key(dag_id, task_id, execution_date), encoding, name)

    def write(
        self,
        dag_id: str,
        task_id: str,
        execution_date: date,
        data: str | bytes,
        content_type: str | None = TEXT,
    ) -> None:
        self._put(self._key(dag_id, task_id, execution_date), data, content_type)

    def write_from_stream(
        self,
        dag_id: str,
        task_id: str,
        execution_date: date,
        stream: IO[Any],
        content_type: str | None = TEXT,
    ) -> None:
        key = self._key(dag_id, task_id, execution_date)
        self._run(lambda: _copy(self._replaced(key, content_type), stream))

    def _key(self, dag_id: str, task_id: str, execution_date: date) -> str:
        refuse_event_loop()  # before a path is made absolute, which asks the disk
        return self._key_of(dag_id, task_id, execution_date)

    def _text(self, key: str, encoding: str, name: str) -> str:
        data = self._run(lambda: _bytes(self._storage(key), key))
        return Decoder(encoding, name).decode(data, final=True)

    def _put(self, key: str, data: str | bytes, content_type: str | None) -> None:
        self._run(lambda: _put(self._replaced(key, content_type), data))

    def _names(self, key: str) -> list[str]:
        """Return the names of what lies directly in a folder."""
        return self._run(lambda: _names(self._storage(key), key))


def part(text: str, what: str) -> str:
    """Return an id as it stands in a path: as it is.

    Raises:
        TargetNameError: It could mean another place.
    """
    if not isinstance(text, str):
        raise TargetNameError(f"{what} must be a string, got {type(text).__name__}")
    if "/" in text:
        raise TargetNameError(f"{what} {quoted(text)} has a '/', which old paths have no other word for")
    return check_key(text)


async def _bytes(opened: AbstractAsyncContextManager[Storage], key: str) -> bytes:
    async with opened as storage:
        return await storage.read(key)


async def _names(opened: AbstractAsyncContextManager[Storage], key: str) -> list[str]:
    async with opened as storage:
        found = await storage.list(f"{key}/" if key else "", shallow=True)
    return sorted(each.name for each in found.entries if not each.is_folder)


async def _put(opened: AbstractAsyncContextManager[Sink], data: str | bytes) -> None:
    async with opened as sink:
        await sink.write(_encoded(data))


async def _copy(opened: AbstractAsyncContextManager[Sink], stream: IO[Any]) -> None:
    async with opened as sink:
        while piece := await asyncio.to_thread(stream.read, PIECE):
            await sink.write(_encoded(piece))


def _encoded(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data
