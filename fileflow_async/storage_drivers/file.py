"""The driver for files."""

import os
from contextlib import AbstractAsyncContextManager
from datetime import date
from typing import IO

from fileflow_async.errors import TargetNameError, TargetNotFoundError, quoted
from fileflow_async.storage.local import LocalStorage
from fileflow_async.storage.local_errors import translated
from fileflow_async.storage.local_root import Root
from fileflow_async.storage.protocol import Sink, Storage, check_key
from fileflow_async.storage.replacing import is_under_way, replaced_file
from fileflow_async.storage_drivers.keyed import KeyedDriver, part


class FileStorageDriver(KeyedDriver):
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
        return os.path.join(self.prefix, part(dag_id, "dag_id"), part(task_id, "task_id"))

    def get_read_stream(self, dag_id: str, task_id: str, execution_date: date) -> IO[bytes]:
        key = check_key(self._key_of(dag_id, task_id, execution_date))
        root = Root(self._existing(key))
        root.resolve()
        with translated(root.directory, key, "read"):
            return os.fdopen(root.open_file(key), "rb")

    def list_filenames_in_path(self, path: str) -> list[str]:
        key = self._within(path)
        if not os.path.isdir(self._root):
            return []
        return [name for name in self._names(key) if not is_under_way(name)]

    def check_or_create_dir(self, dir: str) -> None:
        """Make a folder where it is missing, and those in which it lies."""
        self._within(dir)
        with translated(self._root, "", "write"):
            os.makedirs(dir, exist_ok=True)

    @property
    def _root(self) -> str:
        return os.path.abspath(self.prefix)

    def _key_of(self, dag_id: str, task_id: str, execution_date: date) -> str:
        return self._within(self.get_filename(dag_id, task_id, execution_date))

    def _within(self, path: str) -> str:
        """Return a path's way from the prefix, which it must not leave."""
        key = os.path.relpath(os.path.abspath(path), self._root)
        if key.split("/")[0] == "..":
            raise TargetNameError(f"{quoted(path)} does not lie in the prefix {quoted(self.prefix)}")
        return "" if key == "." else key

    def _existing(self, key: str) -> str:
        """Return the root; to the original, a missing one was no other error than a missing file."""
        root = self._root
        if not os.path.isdir(root):
            path = os.path.join(root, key)
            raise TargetNotFoundError(f"{path!r} does not exist: there is no folder {root!r}")
        return root

    def _storage(self, key: str) -> AbstractAsyncContextManager[Storage]:
        return LocalStorage(self._existing(key))

    def _replaced(self, key: str, content_type: str | None) -> AbstractAsyncContextManager[Sink]:
        return replaced_file(self._root, key)
