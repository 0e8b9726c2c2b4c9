"""The logic of a task: it reads what others committed, and what it writes is committed after it."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast

from fileflow_async.errors import ConfigError
from fileflow_async.names import OUTPUT

if TYPE_CHECKING:  # ADR 0030
    import pandas as pd

    from fileflow_async.content import ContentOptions
    from fileflow_async.draft import FileDraft
    from fileflow_async.engine import Engine
    from fileflow_async.target import Reference
    from fileflow_async.work import OutputOptions, Work

Result = TypeVar("Result")


class AsyncTaskRunner:
    """The base class of a task's logic that is a coroutine: write `async def run(self)`.

    What is written is published when the method returns, all outputs at once, and not at all when it raises.
    A class may define callbacks, sync or async: `on_ready(references)` before the logic,
    `on_commit(reference)` after each commit, `on_failure(error)` and `on_timeout(missing)`.

    Args:
        context: Airflow's; it is not changed.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self.context = context
        self._work: Work | None = None

    def attach(self, work: "Work", engine: "Engine") -> None:
        """Give the runner its inputs and outputs; the operator or sensor that runs it does."""
        self._work = work

    @property
    def work(self) -> "Work":
        """The inputs and outputs of the try that runs.

        Raises:
            ConfigError: None runs.
        """
        if self._work is None:
            name = type(self).__name__
            raise ConfigError(f"{name} has no inputs and outputs: it was not made by an operator or a sensor")
        return self._work

    async def run(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work; write this method, or another that the task names as its `python_method`."""
        raise NotImplementedError(f"{type(self).__name__} has no run()")

    async def get_input_filename(self, data_dependency: str, dag_id: str | None = None) -> str:
        """Return the URI of the data of an input."""
        reference = await self.work.find(data_dependency, dag_id)
        return self.work.store.storage.uri(f"{reference.target}/{reference.data}")

    async def get_output_filename(self) -> str:
        """Return the URI of the output's folder, and that of its data once it is committed."""
        return self.work.output_uri()

    async def get_upstream_stream(self, data_dependency_key: str, dag_id: str | None = None) -> IO[bytes]:
        """Return an input as a file that can be sought in, at its start, in bounded memory.

        It is verified. A large one lies on disk: read it by `asyncio.to_thread`. It is closed with the try.
        """
        from fileflow_async.upstream_file import spooled

        file = await spooled(self.work.open_input(data_dependency_key, dag_id=dag_id))
        self.work.at_end(partial(asyncio.to_thread, file.close))
        return file

    async def read(self, key: "str | Reference", kind: Any = None, **options: Any) -> Any:
        """Return an input as a value: what suits its format, or the kind that is asked for.

        Args:
            key: Which dependency, or one of the versions it stands for.
            kind: A type or its name, such as `pandas.DataFrame`, `list`, `str` or `bytes`.
            options: Those of the format.
        """
        return await self.work.load(key, kind, **options)

    async def read_upstream_file(
        self, data_dependency_key: str, dag_id: str | None = None, encoding: str = "utf-8"
    ) -> str:
        """Return the text of an input."""
        options = {"dag_id": dag_id, "format": "text", "encoding": encoding}
        return cast(str, await self.work.load(data_dependency_key, str, **options))

    async def read_upstream_json(
        self, data_dependency_key: str, dag_id: str | None = None, encoding: str = "utf-8"
    ) -> Any:
        """Return the value of an input that is JSON."""
        options = {"dag_id": dag_id, "format": "json", "encoding": encoding}
        return await self.work.load(data_dependency_key, **options)

    async def read_upstream_pandas_csv(
        self,
        data_dependency_key: str,
        dag_id: str | None = None,
        encoding: str = "utf-8",
        *,
        clean: Literal["fileflow"] | None = None,
    ) -> "pd.DataFrame":
        """Return an input that is CSV as a frame of pandas.

        With `clean="fileflow"` it is cleaned as the original did: all are texts, and both nothing and `None`
        are None. Without it the frame is what was written.
        """
        options = {"dag_id": dag_id, "format": "csv", "encoding": encoding, "clean": clean}
        return cast("pd.DataFrame", await self.work.load(data_dependency_key, "pandas.DataFrame", **options))

    def open_input(self, key: "str | Reference") -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open an input for reading it in pieces, in bounded memory."""
        return self.work.open_input(key)

    def open_output(
        self, name: str = OUTPUT, **options: "Unpack[ContentOptions]"
    ) -> "AbstractAsyncContextManager[FileDraft]":
        """Open an output for writing it in pieces, in bounded memory."""
        return self.work.open_output(name, **options)

    async def write_file(self, data: str | bytes, content_type: str = "text/plain") -> None:
        """Write text or bytes as the output."""
        form = "text" if isinstance(data, str) else "bytes"
        async with self.open_output(format=form, content_type=content_type, encoding="utf-8") as out:
            await out.write(data)

    async def write_from_stream(self, stream: IO[Any], content_type: str = "text/plain") -> None:
        """Write what a file holds, from where it stands, as the output, in bounded memory."""
        from fileflow_async.storage.protocol import PIECE

        async with self.open_output(format="bytes", content_type=content_type, encoding="utf-8") as out:
            while piece := await asyncio.to_thread(stream.read, PIECE):
                await out.write(piece)

    async def write(
        self,
        value: Any,
        name: str = OUTPUT,
        format: str | None = None,
        *,
        format_options: Mapping[str, Any] | None = None,
        **options: "Unpack[OutputOptions]",
    ) -> None:
        """Write a value as an output.

        Args:
            value: Text, bytes, what JSON knows, a frame of pandas, polars or pyarrow; or an iterable of
                pieces or records, sync or async, which is written as it goes.
            name: Which output.
            format: In which format; by default one that suits the value, parquet for frames.
            format_options: Those of the format.
            options: What else may be said of the data.
        """
        await self.work.save(value, name, format=format, format_options=format_options, **options)

    async def write_json(self, data: Any) -> None:
        """Write a value as the output, in JSON."""
        await self.write(data, format="json")

    async def write_pandas_csv(
        self, data: "pd.DataFrame", *, clean: Literal["fileflow"] | None = None
    ) -> None:
        """Write a frame as the output, in CSV.

        With `clean="fileflow"` it is written as the original did: all quoted, nothing as the text `None`,
        without the index.
        """
        await self.write(data, format="csv", format_options={"clean": clean})

    async def write_timestamp_file(self) -> None:
        """Write as the output when it ran: `{"RUN": …}`, in UTC."""
        await self.write_json({"RUN": datetime.now(UTC).isoformat()})


class TaskRunner:
    """The base class of a task's logic: write `def run(self)`.

    It has the same methods as `AsyncTaskRunner`, which do their work on the event loop that the task owns:
    the next call goes on with the connections of the one before.

    Args:
        context: Airflow's; it is not changed.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self.context = context
        self._twin = AsyncTaskRunner(context)
        self._engine: Engine | None = None

    def attach(self, work: "Work", engine: "Engine") -> None:
        """Give the runner its inputs and outputs; the operator or sensor that runs it does."""
        self._twin.attach(work, engine)
        self._engine = engine

    @property
    def work(self) -> "Work":
        """The inputs and outputs of the try that runs.

        Raises:
            ConfigError: None runs.
        """
        return self._twin.work

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work; write this method, or another that the task names as its `python_method`."""
        raise NotImplementedError(f"{type(self).__name__} has no run()")

    def get_input_filename(self, data_dependency: str, dag_id: str | None = None) -> str:
        """Return the URI of the data of an input."""
        return self._do(self._twin.get_input_filename, data_dependency, dag_id)

    def get_output_filename(self) -> str:
        """Return the URI of the output's folder, and that of its data once it is committed."""
        return self._do(self._twin.get_output_filename)

    def get_upstream_stream(self, data_dependency_key: str, dag_id: str | None = None) -> IO[bytes]:
        """Return an input as a file that can be sought in, at its start, in bounded memory.

        It is read as it is needed, and verified at its end, with an error if it is damaged. It is closed with
        the try.
        """
        from fileflow_async.storage.protocol import PIECE
        from fileflow_async.upstream_file import UpstreamFile

        work = self.work
        reference = self._do(work.find, data_dependency_key, dag_id)
        file = UpstreamFile(lambda: work.open_input(reference), reference.size, self._running)
        work.at_end(file.end)
        return io.BufferedReader(file, PIECE)

    def read(self, key: "str | Reference", kind: Any = None, **options: Any) -> Any:
        """Return an input as a value; see `AsyncTaskRunner.read`."""
        return self._do(self._twin.read, key, kind, **options)

    def read_upstream_file(
        self, data_dependency_key: str, dag_id: str | None = None, encoding: str = "utf-8"
    ) -> str:
        """Return the text of an input."""
        return self._do(self._twin.read_upstream_file, data_dependency_key, dag_id, encoding)

    def read_upstream_json(
        self, data_dependency_key: str, dag_id: str | None = None, encoding: str = "utf-8"
    ) -> Any:
        """Return the value of an input that is JSON."""
        return self._do(self._twin.read_upstream_json, data_dependency_key, dag_id, encoding)

    def read_upstream_pandas_csv(
        self,
        data_dependency_key: str,
        dag_id: str | None = None,
        encoding: str = "utf-8",
        *,
        clean: Literal["fileflow"] | None = None,
    ) -> "pd.DataFrame":
        """Return an input that is CSV as a frame of pandas; see `AsyncTaskRunner`."""
        read = self._twin.read_upstream_pandas_csv
        return self._do(read, data_dependency_key, dag_id, encoding, clean=clean)

    @contextmanager
    def open_input(self, key: "str | Reference") -> Iterator[Iterator[bytes]]:
        """Open an input for reading it in pieces, in bounded memory."""
        with self._running.opened(self._twin.open_input(key)) as pieces:
            yield self._pieces(pieces)

    @contextmanager
    def open_output(self, name: str = OUTPUT, **options: "Unpack[ContentOptions]") -> Iterator["Output"]:
        """Open an output for writing it in pieces, in bounded memory."""
        with self._running.opened(self._twin.open_output(name, **options)) as draft:
            yield Output(draft, self._running)

    def write_file(self, data: str | bytes, content_type: str = "text/plain") -> None:
        """Write text or bytes as the output."""
        self._do(self._twin.write_file, data, content_type)

    def write_from_stream(self, stream: IO[Any], content_type: str = "text/plain") -> None:
        """Write what a file holds, from where it stands, as the output, in bounded memory."""
        from fileflow_async.storage.protocol import PIECE

        # Here and not on the loop: the file may be an input, which draws on the loop itself.
        with self.open_output(format="bytes", content_type=content_type, encoding="utf-8") as out:
            while piece := stream.read(PIECE):
                out.write(piece)

    def write(
        self,
        value: Any,
        name: str = OUTPUT,
        format: str | None = None,
        *,
        format_options: Mapping[str, Any] | None = None,
        **options: "Unpack[OutputOptions]",
    ) -> None:
        """Write a value as an output; see `AsyncTaskRunner.write`."""
        self._do(self._twin.write, value, name, format, format_options=format_options, **options)

    def write_json(self, data: Any) -> None:
        """Write a value as the output, in JSON."""
        self._do(self._twin.write_json, data)

    def write_pandas_csv(self, data: "pd.DataFrame", *, clean: Literal["fileflow"] | None = None) -> None:
        """Write a frame as the output, in CSV; see `AsyncTaskRunner.write_pandas_csv`."""
        self._do(self._twin.write_pandas_csv, data, clean=clean)

    def write_timestamp_file(self) -> None:
        """Write as the output when it ran: `{"RUN": …}`, in UTC."""
        self._do(self._twin.write_timestamp_file)

    @property
    def _running(self) -> "Engine":
        if self._engine is None:
            raise ConfigError(
                f"{type(self).__name__} has no inputs and outputs: it was not made by an operator or a sensor"
            )
        return self._engine

    def _do(self, method: Callable[..., Coroutine[Any, Any, Result]], *args: Any, **kwargs: Any) -> Result:
        return self._running.run(method(*args, **kwargs))

    def _pieces(self, pieces: AsyncIterator[bytes]) -> Iterator[bytes]:
        while (piece := self._running.run(_next(pieces))) is not None:
            yield piece


class Output:
    """An output while sync code writes it.

    Attributes:
        draft: Where `rows`, `columns`, `stats` and `checks` may be set.
    """

    def __init__(self, draft: "FileDraft", engine: "Engine") -> None:
        self.draft = draft
        self._engine = engine

    def write(self, data: bytes | bytearray | memoryview | str) -> None:
        """Take more data, any number of times, in bounded memory."""
        self._engine.run(self.draft.write(data))


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    return await anext(pieces, None)
