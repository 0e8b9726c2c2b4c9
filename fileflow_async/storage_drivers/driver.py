"""What a storage driver is."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from datetime import date
from typing import IO, Any, Self, TypeVar

from fileflow_async.engine import Engine

TEXT = "text/plain"

Result = TypeVar("Result")


class StorageDriver:
    """The base class of drivers: where a task's file of a day lies, and how it is read and written."""

    # Not abstract, as in the original: a driver of users' own may leave out what it is never asked for.

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
        content_type: str | None = TEXT,
    ) -> None:
        """Write a task's file, in the place of the one that may be there; text becomes UTF-8."""
        raise NotImplementedError

    def write_from_stream(
        self,
        dag_id: str,
        task_id: str,
        execution_date: date,
        stream: IO[Any],
        content_type: str | None = TEXT,
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
        refuse_event_loop()
        if self._engine is not None:
            return self._engine.run(work())
        with Engine() as engine:
            return engine.run(work())

    def _close(self) -> None:
        self._engine = None
        self._open.close()


def refuse_event_loop() -> None:
    """Refuse to be called where it would block an event loop.

    Raises:
        RuntimeError: There is one in this thread.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("this is sync, and was called on an event loop; call it by asyncio.to_thread")
