"""Several outputs of one task that are wanted from one and the same try: places and keys."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fileflow_async.errors import TargetNameError
from fileflow_async.target import Slot, Target
from fileflow_async.target_set import (
    SetKey,
    TargetSet,
    check_place,
    everything_beside,
    named,
    names_of,
)

SLOT = Slot(logical_date=datetime(2026, 11, 20, tzinfo=UTC))
OUTPUT = Target(dag_id="shop", task_id="split", slot=SLOT)
FOLDER = "shop/20261120T000000Z/split"


@pytest.mark.parametrize(
    ("names", "key"),
    [
        ("output", f"{FOLDER}/output"),
        ("large", f"{FOLDER}/large"),
        (["large"], f"{FOLDER}/large"),
        (["large", "small"], f"{FOLDER}/large,small"),
        ("*", f"{FOLDER}/*"),
    ],
)
def test_the_key_of_a_set_names_its_outputs(names: Any, key: str) -> None:
    """One output is a target as ever; no output can be called like a set."""
    place = named(OUTPUT, names)
    assert place.key == check_place(key) == key
    asked = SetKey.parse(key)
    assert isinstance(place, TargetSet) == (asked is not None)
    assert names_of(place) == (() if names == "*" else (names,) if isinstance(names, str) else tuple(names))
    if asked is not None:
        assert asked == (FOLDER, names_of(place))
        with pytest.raises(TargetNameError):
            Target.parse(key)


def test_a_set_holds_the_outputs_of_one_instance_of_one_task() -> None:
    """Those named, or all of them; a mapped instance is another place."""
    two, every = named(OUTPUT, ["a", "b"]), named(OUTPUT, "*")
    mapped = named(Target(dag_id="shop", task_id="split", slot=SLOT, map_index=3), "*")
    assert isinstance(two, TargetSet)
    assert isinstance(every, TargetSet)
    assert isinstance(mapped, TargetSet)
    assert [two.holds(f"{FOLDER}/{name}") for name in "abc"] == [True, True, False]
    assert [every.holds(f"{FOLDER}/{name}") for name in "abc"] == [True, True, True]
    assert not every.holds(f"{FOLDER}/map=3/a")
    assert mapped.holds(f"{FOLDER}/map=3/a")
    assert not every.holds("shop/20261120T000000Z/splitter/a")


def test_the_feed_tells_of_a_set_by_the_keys_of_its_outputs() -> None:
    """Of all outputs by a key of its own, which a task whose one output is `output` saves itself."""
    assert SetKey(FOLDER, ("a", "b")).announced_by == [f"{FOLDER}/a", f"{FOLDER}/b"]
    assert SetKey(FOLDER, ()).announced_by == [f"{FOLDER}/output"]
    assert everything_beside(f"{FOLDER}/a") == f"{FOLDER}/*"
    assert everything_beside(f"{FOLDER}/output") is None


@pytest.mark.parametrize(
    "key",
    [f"{FOLDER}/a,", f"{FOLDER}/a,*", f"{FOLDER}/a,map=1", "*", "shop/*", f"{FOLDER}/a/b/*", "a b/c/d/*"],
)
def test_what_is_like_the_key_of_a_set_and_is_none_is_refused(key: str) -> None:
    """It would be waited for, for ever."""
    with pytest.raises(TargetNameError):
        check_place(key)


def test_a_name_twice_counts_once() -> None:
    """As everywhere."""
    assert SetKey.parse(f"{FOLDER}/a,b,a") == (FOLDER, ("a", "b"))
