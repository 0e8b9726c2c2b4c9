"""Open a folder through an Airflow connection of type `fs`."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import BaseHook

from fileflow_async.errors import ConfigError, quoted
from fileflow_async.hooks.connection import ConnectionDetails, connection, fetch, run_synchronously
from fileflow_async.storage.local_threads import Threads
from fileflow_async.storage.protocol import Storage
from fileflow_async.storage.resolve import LocalRoot, open_storage, parse_root

_PATIENCE = 30.0  # seconds: as long as LocalStorage has for a disk that does not answer


class LocalStorageHook(BaseHook):
    """Open folders, but only those that the connection's path allows.

    The `path` in the extra of an `fs` connection is a fence: a root must be that folder or lie below it,
    symbolic links followed. So whoever administers connections decides where tasks may read and write.
    Without a path the connection allows every folder. It never changes a root: where a target lies must not
    depend on a connection.

    Args:
        fs_conn_id: The connection's id.
    """

    conn_name_attr: ClassVar[str] = "fs_conn_id"
    default_conn_name: ClassVar[str] = "fs_default"
    conn_type: ClassVar[str] = "fs"
    hook_name: ClassVar[str] = "File (path)"

    def __init__(self, fs_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = fs_conn_id

    async def settings(self) -> str | None:
        """Return the folder in which roots must lie; None where the connection allows every one.

        Raises:
            ConfigError: The connection does not exist, is of another type or has a path that is none.
        """
        return _fence(await connection(self.conn_id))

    @asynccontextmanager
    async def open_storage(
        self,
        root: LocalRoot | str,
        *,
        durability: Literal["fsync", "none"] = "fsync",
        create: bool = False,
    ) -> AsyncIterator[Storage]:
        """Open the storage of a root on disk; see `storage.resolve.open_storage`.

        Raises:
            ConfigError: The connection does not allow that root, or as `settings`.
            StorageUnavailableError: The disk does not answer.
        """
        where = root if isinstance(root, LocalRoot) else parse_root(root)
        if not isinstance(where, LocalRoot):
            raise ConfigError(f"connection {self.conn_id!r} is of type 'fs', which does not open {where}")
        fence = await self.settings()
        if fence and not await _in_time(where, partial(_lies_in, where.directory, fence)):
            allowed = f"{quoted(fence)}, the path of connection {self.conn_id!r}"
            raise ConfigError(f"root {quoted(where.directory)} is not in {allowed}")
        async with open_storage(where, durability=durability, create=create) as storage:
            yield storage

    def test_connection(self) -> tuple[bool, str]:
        """Try to list the connection's path, as Airflow's button Test does."""
        try:
            fence = _fence(run_synchronously(fetch(self.conn_id)))
        except ConfigError as error:
            return False, str(error)
        if fence is None:
            return False, f"connection {self.conn_id!r} has no path in its extra: it allows every folder"
        try:
            os.listdir(fence)  # noqa: PTH208
        except OSError as error:
            return False, f"cannot list {quoted(fence)}: {error.strerror}"
        return True, f"{quoted(fence)} can be listed"

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the form of a connection looks."""
        return {
            "hidden_fields": ["host", "schema", "port", "login", "password"],
            "relabeling": {},
            "placeholders": {"extra": '{"path": "/data"}'},
        }


async def _in_time(root: LocalRoot, look: Callable[[], bool]) -> bool:
    """Look at a disk that may hang, so that no thread that others need hangs with it."""
    threads = Threads(f"root {quoted(root.directory)}", 1, _PATIENCE, bool)
    try:
        return await threads.look(look)
    finally:
        threads.close()


def _fence(details: ConnectionDetails) -> str | None:
    details.require("fs", "a root on disk")
    path = details.extra.get("path")
    if path in (None, ""):
        return None
    if not isinstance(path, str) or not path.startswith("/"):
        raise ConfigError(f"the path of connection {details.conn_id!r} must be absolute, got {quoted(path)}")
    return path


def _lies_in(directory: str, fence: str) -> bool:
    real = os.path.realpath(fence)
    return os.path.commonpath([real, os.path.realpath(directory)]) == real
