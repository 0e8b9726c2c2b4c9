"""What one try reads and writes: all published at its end, or none."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fileflow_async.dependency import Dependency
from fileflow_async.errors import DependencyError, GateError, TargetNotFoundError, TargetWriteError
from fileflow_async.gates import Gate, not_empty
from fileflow_async.manifest import Producer
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference, Slot, Target
from fileflow_async.testing.memory import MemoryStorage
from fileflow_async.work import Assignment, Work

SLOT = Slot(logical_date=datetime(2026, 11, 20, tzinfo=UTC))
PRODUCER = Producer(dag_id="shop", task_id="report", run_id="r", try_number=2)


def target(task_id: str = "report", name: str = "output", dag_id: str = "shop") -> Target:
    return Target(dag_id=dag_id, task_id=task_id, slot=SLOT, name=name)


async def commit(store: TargetStore, place: Target, data: bytes) -> Reference:
    async with store.write(place) as out:
        await out.write(data)
    assert out.reference is not None
    return out.reference


def assignment(**inputs: list[Reference]) -> Assignment:
    return Assignment(
        dag_id="shop",
        task_id="report",
        slot=SLOT,
        dependencies={name: Dependency("extract") for name in inputs},
        inputs=inputs,
        producer=PRODUCER,
    )


async def test_an_input_is_the_very_version_that_was_found(store: TargetStore) -> None:
    """What its producer commits later does not change what a running task reads."""
    old = await commit(store, target("extract"), b"old")
    await commit(store, target("extract"), b"new")
    async with Work(store, assignment(orders=[old])) as work:
        assert await work.read("orders") == b"old"
        async with work.open_input("orders") as pieces:
            assert b"".join([piece async for piece in pieces]) == b"old"


async def test_an_input_may_be_read_from_another_dag(store: TargetStore) -> None:
    """The same task's output there, in the same slot, the newest there is."""
    here = await commit(store, target("extract"), b"here")
    await commit(store, target("extract", dag_id="lake"), b"there")
    async with Work(store, assignment(orders=[here])) as work:
        assert await work.read("orders", dag_id="lake") == b"there"
        with pytest.raises(TargetNotFoundError):
            await work.read("orders", dag_id="nowhere")
        with pytest.raises(DependencyError, match="no dependency 'ordrs'"):
            await work.read("ordrs", dag_id="lake")


async def test_a_dependency_of_several_targets_is_read_one_by_one(store: TargetStore) -> None:
    """Which of them `read` should take nobody could tell."""
    both = [await commit(store, target("extract", name=name), name.encode()) for name in ("a", "b")]
    async with Work(store, assignment(parts=both)) as work:
        with pytest.raises(
            DependencyError, match="the dependency 'parts' stands for 2 targets; read them one by one"
        ):
            await work.read("parts")
        assert [await work.read(reference) for reference in work.references("parts")] == [b"a", b"b"]


async def test_an_unknown_input_is_answered_with_those_declared(store: TargetStore) -> None:
    """A slip of the pen costs no search."""
    async with Work(store, assignment(orders=[])) as work:
        with pytest.raises(DependencyError, match="Did you mean 'orders'"):
            await work.read("ordrs")


async def test_outputs_become_values_all_at_once_at_the_end(store: TargetStore) -> None:
    """Until then readers see the old ones, and the records name producer and inputs."""
    orders = await commit(store, target("extract"), b"orders")
    async with Work(store, assignment(orders=[orders])) as work:
        for name in ("good", "bad"):
            async with work.open_output(name, format="json") as out:
                await out.write(json.dumps(name).encode())
        assert not (await store.state(target(name="good"))).is_committed
        with pytest.raises(TargetNotFoundError):
            await store.read(target(name="good"))
        published = await work.publish()
    assert list(published) == ["good", "bad"]
    status = await store.state(target(name="bad"))
    assert status.reference == published["bad"]
    assert status.manifest is not None
    assert status.manifest.producer == PRODUCER
    assert [(each.target, each.sha256) for each in status.manifest.inputs] == [(orders.target, orders.sha256)]


async def test_an_output_tells_which_days_it_is_about(store: TargetStore) -> None:
    """As its run does."""
    days = ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z")
    async with Work(store, replace(assignment(), interval=days)) as work:
        await work.save("x")
        reference = (await work.publish())["output"]
    record = (await store.version(reference)).manifest
    assert record is not None
    assert record.interval == days


async def test_an_output_that_was_opened_and_not_finished_publishes_none(store: TargetStore) -> None:
    """Although the task's logic may have caught the error."""
    async with Work(store, assignment()) as work:
        async with work.open_output("good") as out:
            await out.write(b"good")
        with pytest.raises(ZeroDivisionError):
            async with work.open_output("bad") as out:
                raise ZeroDivisionError
        with pytest.raises(TargetWriteError, match="the output 'bad' was opened but not finished"):
            await work.publish()
    assert not (await store.state(target(name="good"))).is_committed


async def test_an_output_is_written_once(store: TargetStore) -> None:
    """The second would silently replace the first."""
    async with Work(store, assignment()) as work:
        async with work.open_output():
            pass
        with pytest.raises(TargetWriteError, match="the output 'output' was written already"):
            async with work.open_output():
                pass


async def test_a_try_that_fails_publishes_nothing(store: TargetStore, storage: MemoryStorage) -> None:
    """Whatever was written so far."""

    async def fail_half_way() -> None:
        async with Work(store, assignment()) as work:
            async with work.open_output() as out:
                await out.write(b"half")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await fail_half_way()
    assert not any(key.endswith(".ok") for key in storage.objects)


async def test_an_output_passes_its_gates_before_anybody_can_see_it(store: TargetStore) -> None:
    """One refused output holds the others back, too; what the gates said is in the record."""
    async with Work(store, assignment(), gates={"bad": [Gate(not_empty)]}) as work:
        for name, data in (("good", b"x"), ("bad", b"")):
            async with work.open_output(name) as out:
                await out.write(data)
        with pytest.raises(GateError, match="was not published: not_empty: there are no bytes"):
            await work.publish()
    assert not (await store.state(target(name="good"))).is_committed
    async with Work(store, assignment(), gates={"good": [Gate(not_empty)]}) as work:
        async with work.open_output("good") as out:
            await out.write(b"x")
        await work.publish()
    manifest = (await store.state(target(name="good"))).manifest
    assert manifest is not None
    assert manifest.checks == ({"name": "not_empty", "passed": True, "blocking": True, "message": None},)


async def test_where_the_output_is_can_be_asked_before_and_after(store: TargetStore) -> None:
    """First its folder, then the data that was committed."""
    async with Work(store, assignment()) as work:
        assert work.output_uri() == f"{store.root}/{target().key}"
        async with work.open_output() as out:
            await out.write(b"x")
        published = await work.publish()
        assert work.output_uri() == f"{store.root}/{target().key}/{published['output'].data}"
