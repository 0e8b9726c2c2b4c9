"""What a task needs from others, and where that is in a given run."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from fileflow_async.dependency import Dependency, declared, undeclared
from fileflow_async.errors import ConfigError, DependencyError, TargetNameError
from fileflow_async.places import Places
from fileflow_async.target import Reference, Slot, Target

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SLOT = Slot(logical_date=NOON)


def keys(dependency: Dependency, slot: Slot = SLOT, **options: Any) -> list[str]:
    return [target.key for target in dependency.targets(dag_id="shop", slot=slot, **options)]


def test_a_task_of_the_same_dag_is_looked_for_in_the_slot_of_the_run() -> None:
    """This is what a bare task id stands for."""
    assert keys(Dependency.of("extract")) == ["shop/20261120T120000Z/extract/output"]


def test_an_operator_stands_for_its_task() -> None:
    """So does what calling a decorated task returns."""
    operator = SimpleNamespace(task_id="extract")
    assert Dependency.of(operator) == Dependency("extract")
    assert Dependency.of(SimpleNamespace(operator=operator)) == Dependency("extract")


@pytest.mark.parametrize("value", [None, 3, ["extract"], {"task_id": "extract"}])
def test_anything_else_is_no_dependency(value: object) -> None:
    """A list by mistake must not become a task id."""
    with pytest.raises(ConfigError, match="must be a task id, an operator or a Dependency"):
        Dependency.of(value)


def test_another_dag_is_looked_for_in_the_same_slot() -> None:
    """Two DAGs that run for the same day meet there, whatever their run ids."""
    assert keys(Dependency("extract", dag_id="lake")) == ["lake/20261120T120000Z/extract/output"]


@pytest.mark.parametrize(
    ("dependency", "expected"),
    [
        (Dependency("t", offset=timedelta(days=-1)), ["20261119T120000Z"]),
        (
            Dependency("t", offset=[timedelta(hours=1), timedelta(hours=2)]),
            ["20261120T130000Z", "20261120T140000Z"],
        ),
        (Dependency("t", slot=Slot(run_id="r1")), ["run=r1"]),
        (Dependency("t", slot="key=eu"), ["key=eu"]),
        (Dependency("t", slot=["key=eu", Slot(partition_key="us")]), ["key=eu", "key=us"]),
    ],
)
def test_other_slots_are_named_by_an_offset_or_outright(dependency: Dependency, expected: list[str]) -> None:
    """Twenty-four hours of a day are twenty-four offsets."""
    assert keys(dependency) == [f"shop/{slot}/t/output" for slot in expected]
    assert dependency.count == len(expected)


def test_a_slot_that_is_written_out_is_that_slot() -> None:
    """What is none is refused, rather than waited for."""
    (place,) = Dependency("t", slot="20261121T000000Z").targets(dag_id="shop", slot=SLOT)
    assert place.slot == Slot(logical_date=datetime(2026, 11, 21, tzinfo=UTC))
    with pytest.raises(TargetNameError):
        Dependency("t", slot="tomorrow").targets(dag_id="shop", slot=SLOT)


@pytest.mark.parametrize(
    ("map_index", "expected"),
    [(None, [""]), (3, ["map=3/"]), ([0, 2], ["map=0/", "map=2/"]), (range(2), ["map=0/", "map=1/"])],
)
def test_mapped_instances_are_named_by_their_numbers(map_index: Any, expected: list[str]) -> None:
    """One, several, or none where the task is not mapped."""
    dependency = Dependency("t", map_index=map_index)
    assert keys(dependency) == [f"shop/20261120T120000Z/t/{mapped}output" for mapped in expected]
    assert dependency.count == len(expected)


def test_how_many_all_mapped_instances_are_only_the_run_tells() -> None:
    """The wait is for each of them."""
    dependency = Dependency("t", map_index="all")
    assert dependency.wants_all
    assert dependency.count is None
    assert len(keys(dependency, mapped=3)) == 3
    assert keys(dependency) == []


def test_an_offset_needs_a_logical_date() -> None:
    """A run that an asset started has none."""
    with pytest.raises(DependencyError, match="has an offset, but the run has no logical date") as caught:
        keys(Dependency("t", offset=timedelta(days=1)), Slot(run_id="r"))
    assert "slot=" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task_id": ""}, "a dependency needs the id of a task, got ''"),
        ({"task_id": 3}, "a dependency needs the id of a task, got 3"),
        ({"task_id": "t", "slot": "key=a", "offset": timedelta(1)}, "has both slot and offset; give one"),
        ({"task_id": "t", "newer_than": datetime(2026, 1, 1)}, "newer_than must have a time zone"),
        (
            {"task_id": "t", "newer_than": "yesterday"},
            "newer_than must be a datetime or 'run', got 'yesterday'",
        ),
        ({"task_id": "t", "map_index": "any"}, "map_index must be a number, several, or 'all', got 'any'"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_the_dag_is_parsed(
    arguments: dict[str, Any], message: str
) -> None:
    """Not when the task runs."""
    with pytest.raises(ConfigError, match=message):
        Dependency(**arguments)


def test_the_name_of_an_output_is_checked() -> None:
    """It becomes a folder."""
    with pytest.raises(TargetNameError, match="target name 'a/b' may only contain"):
        Dependency("t", name="a/b")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("*", "t/*"),
        (["a", "b"], "t/a,b"),
        (("a", "a"), "t/a"),
        (["a"], "t/a"),
    ],
)
def test_several_outputs_of_one_try_are_one_place(name: Any, expected: str) -> None:
    """A star stands for all of them; what is wanted of each instance and slot is a set of its own."""
    dependency = Dependency("t", name=name)
    assert dependency.is_set
    assert keys(dependency) == [f"shop/20261120T120000Z/{expected}"]
    assert hash(dependency) == hash(Dependency("t", name=name))
    assert Dependency("t", name=name, map_index=range(2)).count == 2


@pytest.mark.parametrize("name", [[], ["a", "*"], ["a/b"], "**", 3])
def test_a_set_needs_names_of_outputs(name: Any) -> None:
    """When the DAG is parsed."""
    with pytest.raises((TargetNameError, ConfigError)):
        Dependency("t", name=name)


def test_a_task_cannot_wait_for_its_own_output() -> None:
    """It would for ever; another slot of its own it can wait for, and its namesake in another DAG."""
    with pytest.raises(DependencyError, match="task 'x' cannot wait for its own output"):
        declared({"self": "x"}, task_id="x")
    yesterday = Dependency("x", offset=timedelta(days=-1))
    for other in (yesterday, Dependency("x", slot="key=latest"), Dependency("x", dag_id="other")):
        assert declared({"before": other}, task_id="x") == {"before": other}


def test_an_undeclared_dependency_is_answered_with_those_declared() -> None:
    """The one that was probably meant is named."""
    assert str(undeclared("ordrs", ["orders", "users"])) == (
        "no dependency 'ordrs'; declared: 'orders', 'users'. Did you mean 'orders'?"
    )
    assert str(undeclared("x", [])) == "no dependency 'x'; declared: none"


def test_places_keep_what_belongs_to_each_dependency() -> None:
    """Two dependencies on the same target are one place."""
    places = Places.of(
        {"a": Dependency("t"), "b": Dependency("t"), "c": Dependency("m", map_index="all")},
        dag_id="shop",
        slot=SLOT,
        count=lambda dependency, slot: 2,
    )
    assert [key.split("/", 2)[2] for key in places.keys] == ["t/output", "m/map=0/output", "m/map=1/output"]
    assert not places.unknown
    version = Reference(
        target=Target(dag_id="shop", task_id="t", slot=SLOT).key, data="d", size=1, sha256="0" * 64
    )
    assert places.sort([version]) == {"a": [version], "b": [version], "c": []}


def test_the_first_instance_stands_for_all_while_their_number_is_open() -> None:
    """There is none without it, so waiting for it is never wrong."""
    dependency = Dependency("m", map_index="all")
    places = Places.of({"m": dependency}, dag_id="shop", slot=SLOT, count=lambda dependency, slot: 0)
    assert places.unknown == {"m": dependency}
    assert [key.split("/", 2)[2] for key in places.keys] == ["m/map=0/output"]
