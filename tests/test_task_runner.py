"""The logic of a task: what it reads, and what it writes."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
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
from fileflow_async.testing.rehearsal import rehearse
from fileflow_async.work import Assignment, Work

SLOT = Slot(logical_date=datetime(2026, 11, 20, tzinfo=UTC))
CONTEXT = {"ti": "a fake is good enough"}


@contextmanager
def running(runner: TaskRunner | AsyncTaskRunner, store: TargetStore, **inputs: bytes) -> Iterator[Engine]:
    """Have a runner work as an operator would, on these inputs."""

    async def commit(name: str, data: bytes) -> Reference:
        async with store.write(Target(dag_id="shop", task_id=name, slot=SLOT)) as out:
            await out.write(data)
        assert out.reference is not None
        return out.reference

    with Engine() as engine:
        assignment = Assignment(
            dag_id="shop",
            task_id="report",
            slot=SLOT,
            dependencies={name: Dependency(name) for name in inputs},
            inputs={name: [engine.run(commit(name, data))] for name, data in inputs.items()},
        )
        with engine.opened(Work(store, assignment)) as work:
            runner.attach(work, engine)
            yield engine
            engine.run(work.publish())


@pytest.fixture
def store() -> TargetStore:
    return TargetStore(MemoryStorage())


def written(store: TargetStore, name: str = "output") -> tuple[bytes, str | None, str | None]:
    """Return what was committed: the data, the format and the content type."""

    async def read() -> tuple[bytes, str | None, str | None]:
        place = Target(dag_id="shop", task_id="report", slot=SLOT, name=name)
        manifest = (await store.state(place)).manifest
        assert manifest is not None
        return await store.read(place), manifest.format, manifest.content_type

    with Engine() as engine:
        return engine.run(read())


@pytest.mark.parametrize("dag_id", [None, "shop"])
def test_an_input_is_read_as_it_is_wanted(store: TargetStore, dag_id: str | None) -> None:
    """As bytes, text, JSON, a file or a stream; the DAG may be the second positional argument."""
    runner = TaskRunner(CONTEXT)
    text = json.dumps({"n": "é"}, ensure_ascii=False)
    with running(runner, store, orders=text.encode()):
        assert runner.read("orders") == text.encode()
        assert runner.read_upstream_file("orders", dag_id) == text
        assert runner.read_upstream_file("orders", dag_id, encoding="latin-1") == text.encode().decode(
            "latin-1"
        )
        assert runner.read_upstream_json("orders", dag_id) == {"n": "é"}
        stream = runner.get_upstream_stream("orders", dag_id)
        assert (stream.tell(), stream.read(), stream.seek(0)) == (0, text.encode(), 0)
        with runner.open_input("orders") as pieces:
            assert b"".join(pieces) == text.encode()


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda runner: runner.write_file("é"), ("é".encode(), "text", "text/plain")),
        (lambda runner: runner.write_file(b"\xe4", "image/png"), (b"\xe4", "bytes", "image/png")),
        (lambda runner: runner.write_from_stream(io.BytesIO(b"abc")), (b"abc", "bytes", "text/plain")),
        (lambda runner: runner.write_from_stream(io.StringIO("é")), ("é".encode(), "bytes", "text/plain")),
        (lambda runner: runner.write_json({"a": 1}), (b'{"a":1}', "json", "application/json")),
    ],
)
def test_an_output_is_written_as_it_is_meant(store: TargetStore, write: Any, expected: Any) -> None:
    """With the content type of the original, or the one that is given."""
    runner = TaskRunner(CONTEXT)
    with running(runner, store):
        write(runner)
    assert written(store) == expected


def test_the_time_that_is_written_has_a_zone(store: TargetStore) -> None:
    """The original wrote a local time that nobody could place."""
    runner = TaskRunner(CONTEXT)
    before = datetime.now(UTC)
    with running(runner, store):
        runner.write_timestamp_file()
    moment = datetime.fromisoformat(json.loads(written(store)[0])["RUN"])
    assert before <= moment <= datetime.now(UTC)


def test_outputs_are_written_piece_by_piece(store: TargetStore) -> None:
    """In bounded memory, with what is known of them."""
    runner = TaskRunner(CONTEXT)
    with running(runner, store), runner.open_output("rows", format="csv", encoding="utf-8") as out:
        for number in range(3):
            out.write(f"{number}\n")
        out.draft.rows = 3
    assert written(store, "rows") == (b"0\n1\n2\n", "csv", "text/csv")


def test_a_runner_knows_where_its_data_is(store: TargetStore) -> None:
    """The output's folder before the commit, its data after it."""
    runner = TaskRunner(CONTEXT)
    with running(runner, store, orders=b"x"):
        reference = runner.work.reference("orders")
        assert runner.get_input_filename("orders") == f"{store.root}/{reference.target}/{reference.data}"
        assert runner.get_output_filename() == f"{store.root}/shop/20261120T000000Z/report/output"
        runner.write_file("x")


def test_an_unknown_input_lists_the_known_ones(store: TargetStore) -> None:
    """A bare KeyError said nothing."""
    runner = TaskRunner(CONTEXT)
    with running(runner, store, orders=b"x"), pytest.raises(DependencyError, match="Did you mean 'orders'"):
        runner.read_upstream_file("ordrs")


def test_the_async_runner_has_the_same_methods(store: TargetStore) -> None:
    """Awaited."""

    class Report(AsyncTaskRunner):
        async def run(self) -> None:
            total = (await self.read_upstream_json("orders")) + len(await self.read("orders"))
            assert (await self.get_upstream_stream("orders")).read() == b"40"
            assert (await self.get_input_filename("orders")).startswith(store.root)
            assert (await self.get_output_filename()).endswith("/report/output")
            async with self.open_input("orders") as pieces:
                assert [piece async for piece in pieces] == [b"40"]
            await self.write_json(total)

    runner = Report(CONTEXT)
    with running(runner, store, orders=b"40") as engine:
        engine.run(runner.run())
    assert written(store)[0] == b"42"


def test_a_runner_that_nobody_runs_says_so() -> None:
    """Rather than fail somewhere inside."""
    for runner in (TaskRunner(CONTEXT), AsyncTaskRunner(CONTEXT)):
        with pytest.raises(
            ConfigError, match="Runner has no inputs and outputs: it was not made by an operator"
        ):
            _ = runner.work
    with pytest.raises(ConfigError, match="has no inputs and outputs"):
        TaskRunner(CONTEXT).read("orders")


async def test_a_runner_without_logic_says_so() -> None:
    """As the original did."""
    with pytest.raises(NotImplementedError, match=r"TaskRunner has no run\(\)"):
        TaskRunner(CONTEXT).run()
    with pytest.raises(NotImplementedError, match=r"AsyncTaskRunner has no run\(\)"):
        await AsyncTaskRunner(CONTEXT).run()


FRAME = pd.DataFrame({"id": [7, 8], "name": ["é", None]})


@pytest.mark.parametrize(
    ("value", "format"),
    [
        ("é", "text"),
        (b"\xe4", "bytes"),
        ({"a": [1, None]}, "json"),
        (3, "json"),
        (None, "json"),
        (FRAME, "parquet"),
    ],
)
def test_a_value_is_written_in_the_format_that_suits_it(store: TargetStore, value: Any, format: str) -> None:
    """And read back as what it was."""
    first = TaskRunner(CONTEXT)
    with running(first, store):
        first.write(value)
    assert written(store)[1] == format
    second = rehearse(Copy, inputs={"copied": value})
    if isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(second.read(kind=pd.DataFrame), value)
    else:
        assert second.read() == value


class Copy(TaskRunner):
    def run(self) -> None:
        self.write(self.read("copied"))


def test_what_suits_nothing_must_be_named(store: TargetStore) -> None:
    """An iterator may be anything."""
    runner = TaskRunner(CONTEXT)
    with running(runner, store):
        with pytest.raises(ConfigError, match="which format suits a generator cannot be told; name it"):
            runner.write(number for number in range(3))
        runner.write(({"n": number} for number in range(3)), format="jsonl", compression="gzip")
    assert written(store)[1] == "jsonl"


@pytest.mark.parametrize("clean", [None, "fileflow"])
def test_a_frame_is_written_and_read_as_csv(store: TargetStore, clean: Any) -> None:
    """As it is; or cleaned as the original did, where nothing and `None` are the same."""
    runner = TaskRunner(CONTEXT)
    with running(runner, store):
        runner.write_pandas_csv(FRAME, clean=clean)
    data = written(store)[0]
    assert (b'"None"' in data) == (clean == "fileflow")
    reader = TaskRunner(CONTEXT)
    with running(reader, store, frame=data):
        frame = reader.read_upstream_pandas_csv("frame", clean=clean)
    expected = ["7", "8"] if clean else [7, 8]
    assert frame["id"].tolist() == expected
    assert frame["name"].tolist()[0] == "é"
    assert frame["name"].isna().tolist() == [False, True]


def test_damaged_text_is_an_error_that_says_where(store: TargetStore) -> None:
    """Not a frame with holes."""
    runner = TaskRunner(CONTEXT)
    with running(runner, store, orders=b"abc\xff"):
        with pytest.raises(FormatError, match="is not valid utf-8 at byte 3"):
            runner.read_upstream_file("orders")
        runner.write("whatever")
