"""The original's tests of `TaskRunner`: the same names and arguments, sync and awaited, on top of targets."""

import inspect
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from fileflow_async.dependency import Dependency
from fileflow_async.engine import Engine
from fileflow_async.errors import ConfigError, DependencyError, FormatError
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference, Slot, Target
from fileflow_async.task_runner import AsyncTaskRunner, TaskRunner
from fileflow_async.testing.memory import MemoryStorage
from fileflow_async.work import Assignment, Work
from tests.original.names import keeps

SLOT = Slot(logical_date=datetime(2016, 1, 1, tzinfo=UTC))
CONTEXT = {"ti": "a fake is good enough", "data_dependencies": {"something": "else"}}
BOTH = [TaskRunner, AsyncTaskRunner]
DAGS = [None, "another_dag"]
ENCODINGS = ["utf-8", "latin-1"]


@dataclass
class Running:
    """A runner of either kind while it works.

    Attributes:
        kind: Its class.
        data: What its upstream task has made.
    """

    kind: type[TaskRunner] | type[AsyncTaskRunner]
    engine: Engine
    store: TargetStore
    data: bytes = b"the data"

    def commit(self, dag_id: str | None, data: bytes) -> Reference:
        """Commit what a task of this DAG, or of another, has made."""

        async def write() -> Reference:
            place = Target(dag_id=dag_id or "the_dag", task_id="the_upstream_task", slot=SLOT)
            async with self.store.write(place) as out:
                await out.write(data)
            assert out.reference is not None
            return out.reference

        return self.engine.run(write())

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of a runner in a try of its own, whose output is committed; return the result."""
        inputs = {"the_key": [self.commit(None, self.data)]}
        assignment = Assignment(
            dag_id="the_dag",
            task_id="the_task",
            slot=SLOT,
            dependencies={"the_key": Dependency("the_upstream_task")},
            inputs=inputs,
        )
        with self.engine.opened(Work(self.store, assignment)) as work:
            runner = self.kind(CONTEXT)
            runner.attach(work, self.engine)
            found = getattr(runner, method)(*arguments, **options)
            if inspect.iscoroutine(found):
                found = self.engine.run(found)
            if isinstance(found, io.IOBase):
                assert found.tell() == 0
                found = found.read()
            self.engine.run(work.publish())
        return found

    @property
    def written(self) -> tuple[bytes, str | None]:
        """The data and the content type of what was committed."""

        async def read() -> tuple[bytes, str | None]:
            version = await self.store.version(Target(dag_id="the_dag", task_id="the_task", slot=SLOT))
            assert version.manifest is not None
            assert version.reference is not None
            return await self.store.read(version.reference), version.manifest.content_type

        return self.engine.run(read())


@pytest.fixture(params=BOTH)
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    with Engine() as engine:
        yield Running(request.param, engine, TargetStore(MemoryStorage()))


@keeps("TaskRunner", "test_creation")
@pytest.mark.parametrize("kind", BOTH)
def test_a_runner_is_made_of_a_context_alone(kind: type[TaskRunner]) -> None:
    """It is not changed; what is missing shows when somebody wants to read, and by more than a KeyError."""
    context = dict(CONTEXT)
    runner = kind(context)
    assert runner.context is context
    assert context == CONTEXT
    with pytest.raises(ConfigError, match="has no inputs and outputs"):
        _ = kind({}).work


@keeps("TaskRunner", "test_run")
async def test_logic_has_to_be_written() -> None:
    """The base class has none."""
    with pytest.raises(NotImplementedError):
        TaskRunner(CONTEXT).run()
    with pytest.raises(NotImplementedError):
        await AsyncTaskRunner(CONTEXT).run()


@keeps("TaskRunner", "test_write_timestamp_file")
def test_the_moment_of_the_run_is_written(running: Running) -> None:
    """As JSON, with a zone: the original's was a local time that nobody could place."""
    before = datetime.now(UTC)
    running.call("write_timestamp_file")
    data, content_type = running.written
    assert before <= datetime.fromisoformat(json.loads(data)["RUN"]) <= datetime.now(UTC)
    assert content_type == "application/json"


@keeps("TaskRunner", "test_get_input_filename")
@pytest.mark.parametrize("dag_id", DAGS)
def test_an_input_is_called_by_the_uri_of_its_data(running: Running, dag_id: str | None) -> None:
    """Of this DAG or another; it names one version, as nothing is ever overwritten."""
    there = running.commit("another_dag", b"x")
    uri = running.call("get_input_filename", "the_key", dag_id)
    assert uri.startswith(f"memory://store/{dag_id or 'the_dag'}/20160101T000000Z/the_upstream_task/output/")
    assert (uri.endswith(there.data)) == (dag_id is not None)


@keeps("TaskRunner", "test_get_output_filename")
def test_the_output_is_called_by_the_uri_of_its_folder(running: Running) -> None:
    """Of its own DAG and task; the name of the data is known once it is committed."""
    assert running.call("get_output_filename") == "memory://store/the_dag/20160101T000000Z/the_task/output"


@keeps("TaskRunner", "test_get_upstream_stream")
@pytest.mark.parametrize("dag_id", DAGS)
def test_a_stream_stands_at_its_start(running: Running, dag_id: str | None) -> None:
    """The DAG is the second positional argument."""
    running.commit("another_dag", b"the other data")
    assert running.call("get_upstream_stream", "the_key", dag_id) == (
        b"the other data" if dag_id else b"the data"
    )


@keeps("TaskRunner", "test_read_upstream_file")
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("dag_id", DAGS)
def test_text_is_read_by_its_encoding(running: Running, dag_id: str | None, encoding: str) -> None:
    """By default UTF-8; an unknown encoding, and an unknown key, are errors that say so."""
    running.data = "dätä".encode(encoding)
    running.commit("another_dag", "öther".encode(encoding))
    expected = "öther" if dag_id else "dätä"
    assert running.call("read_upstream_file", "the_key", dag_id, encoding) == expected
    assert running.call("read_upstream_file", "the_key", dag_id=dag_id, encoding=encoding) == expected
    if encoding == "utf-8":
        assert running.call("read_upstream_file", "the_key", dag_id) == expected
    with pytest.raises(ConfigError, match="unheard-of"):
        running.call("read_upstream_file", "the_key", None, "unheard-of")
    with pytest.raises(DependencyError, match="no dependency 'a_key'; declared: 'the_key'"):
        running.call("read_upstream_file", "a_key")


@keeps("TaskRunner", "test_read_upstream_pandas_csv")
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("dag_id", DAGS)
def test_a_frame_is_read(running: Running, dag_id: str | None, encoding: str) -> None:
    """The encoding may be the third positional argument; the original's cleaning is asked for."""
    running.data = "id,name\n7,Jörg\n8,None\n".encode(encoding)
    running.commit("another_dag", running.data)
    read = ("read_upstream_pandas_csv", "the_key", dag_id, encoding)
    cleaned = running.call(*read, clean="fileflow")
    assert cleaned.to_numpy().tolist() == [["7", "Jörg"], ["8", None]]
    assert running.call(*read)["name"].tolist() == ["Jörg", "None"]
    assert running.call(*read)["id"].tolist() == [7, 8]


@keeps("TaskRunner", "test_read_upstream_json")
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("dag_id", DAGS)
def test_json_is_read(running: Running, dag_id: str | None, encoding: str) -> None:
    """By its encoding."""
    running.data = json.dumps({"name": "Jörg"}, ensure_ascii=False).encode(encoding)
    running.commit("another_dag", running.data)
    assert running.call("read_upstream_json", "the_key", dag_id, encoding) == {"name": "Jörg"}
    assert running.call("read_upstream_json", "the_key", dag_id=dag_id, encoding=encoding) == {"name": "Jörg"}


@keeps("TaskRunner", "test_write_file")
def test_text_is_written(running: Running) -> None:
    """As text unless the second positional argument says otherwise."""
    running.call("write_file", "the text")
    assert running.written == (b"the text", "text/plain")
    running.call("write_file", "<p>", "text/html")
    assert running.written == (b"<p>", "text/html")


@keeps("TaskRunner", "test_write_from_stream")
def test_a_stream_is_written(running: Running) -> None:
    """As text unless the second positional argument says otherwise."""
    running.call("write_from_stream", io.BytesIO(b"the data"))
    assert running.written == (b"the data", "text/plain")
    running.call("write_from_stream", io.BytesIO(b"\xe4"), "image/png")
    assert running.written == (b"\xe4", "image/png")


@keeps("TaskRunner", "test_write_pandas_csv")
def test_a_frame_is_written(running: Running) -> None:
    """As it is, where the original cleaned it; that has to be asked for."""
    frame = pd.DataFrame({"id": [7, 8], "name": ["Jörg", None]})
    running.call("write_pandas_csv", frame)
    data, content_type = running.written
    assert (b"None" in data, content_type) == (False, "text/csv")
    running.call("write_pandas_csv", frame, clean="fileflow")
    assert running.written == ('"id","name"\n"7","Jörg"\n"8","None"\n'.encode(), "text/csv")


@keeps("TaskRunner", "test_write_json")
def test_json_is_written(running: Running) -> None:
    """UTF-8 as it is, without blanks; NaN, which is no JSON and which the original wrote, is an error."""
    running.call("write_json", {"name": "Jörg", "n": [1, None]})
    assert running.written == ('{"name":"Jörg","n":[1,null]}'.encode(), "application/json")
    with pytest.raises(FormatError):
        running.call("write_json", float("nan"))
