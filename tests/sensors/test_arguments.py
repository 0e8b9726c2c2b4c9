"""How the arguments of sensors reach them: given, by default, of many at once."""

import copy
import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import DAG, BaseSensorOperator, TaskGroup
from airflow.sdk.bases import operator

from fileflow_async import DiveOperator, DiveSensorAsync
from fileflow_async.operators.request import RequestOperator
from fileflow_async.sensors.arrival import ArrivalSensorAsync
from fileflow_async.sensors.http import HttpSensorAsync
from fileflow_async.sensors.waiting import WaitingSensor

START = datetime(2026, 11, 20, tzinfo=UTC)
DEFAULTS: dict[str, Any] = {
    "deferrable": False,
    "poke_interval": 7,
    "timeout": 99,
    "soft_fail": True,
    "retries": 3,
}
DIVING: dict[str, Any] = {
    "data_dependencies": {"orders": "extract"},
    "fileflow_root": "/srv/ff",
    "fileflow_conn_id": "files",
    "outputs": ("large", "small"),
    "skip_if_committed": True,
}
SENSORS: list[Any] = [
    (DiveSensorAsync, {}, {**DIVING, "when": 1, "on_empty": "wait"}),
    (ArrivalSensorAsync, {}, {"path": "file:///in/a.csv", "looks": 4}),
    (HttpSensorAsync, {}, {**DIVING, "endpoint": "/jobs/1", "changed": True}),
]


def dag(**defaults: Any) -> DAG:
    return DAG("shop", schedule=None, start_date=START, default_args=defaults)


def seen(sensor: Any, names: Any) -> dict[str, Any]:
    """Return what a sensor has of its arguments."""
    held = {**vars(sensor), **getattr(sensor, "criteria", type("", (), {"_asdict": dict})())._asdict()}
    held["data_dependencies"] = {
        name: each.task_id for name, each in held.get("data_dependencies", {}).items()
    }
    return {name: held[name] for name in names}


@pytest.mark.parametrize(("kind", "given", "defaults"), SENSORS)
def test_default_args_reach_every_argument(
    kind: type[WaitingSensor], given: dict[str, Any], defaults: dict[str, Any]
) -> None:
    """Those of the DAG and of the task group, as of any operator; what is given goes before."""
    defaults = {**DEFAULTS, **defaults}
    eight: Any = {"poke_interval": 8}
    with dag(**defaults):
        sensor = kind(task_id="wait", **given)
        other = kind(task_id="other", timeout=50, **given)
        with TaskGroup("group", default_args=eight):
            grouped = kind(task_id="wait", **given)
    assert seen(sensor, defaults) == defaults
    assert seen(other, defaults) == {**defaults, "timeout": 50}
    assert seen(grouped, defaults) == {**defaults, "poke_interval": 8}


@pytest.mark.parametrize(("kind", "given", "defaults"), SENSORS)
def test_they_reach_classes_that_are_derived(
    kind: type[WaitingSensor], given: dict[str, Any], defaults: dict[str, Any]
) -> None:
    """Whether these have arguments of their own or not."""

    class Plain(kind):  # type: ignore[misc, valid-type]
        pass

    class Own(kind):  # type: ignore[misc, valid-type]
        def __init__(self, *, note: str = "", **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.note = note

    defaults = {**DEFAULTS, **defaults}
    with dag(**defaults, note="kept"):
        plain, own = Plain(task_id="plain", **given), Own(task_id="own", **given)
    assert seen(plain, defaults) == defaults
    assert seen(own, {**defaults, "note": ""}) == {**defaults, "note": "kept"}


@pytest.mark.parametrize(("kind", "given", "defaults"), SENSORS)
def test_a_mapped_sensor_has_what_all_its_instances_share(
    kind: type[WaitingSensor], given: dict[str, Any], defaults: dict[str, Any]
) -> None:
    """Airflow checks the names of the arguments when it is declared, and makes each from all of them."""
    shared = {**DEFAULTS, **defaults}
    del shared["timeout"]
    with dag():
        mapped = kind.partial(task_id="wait", **given, **shared).expand(timeout=[1, 2])
    assert seen(mapped.unmap({"timeout": 2}), {**shared, "timeout": 2}) == {**shared, "timeout": 2}
    with pytest.raises(TypeError, match="poll_interval"):
        kind.partial(task_id="other", poll_interval=3)


@pytest.mark.parametrize(("kind", "given", "defaults"), SENSORS)
def test_a_copy_has_the_same(
    kind: type[WaitingSensor], given: dict[str, Any], defaults: dict[str, Any]
) -> None:
    """Airflow copies every task when a part of a DAG is asked for."""
    sensor = kind(task_id="wait", **given, **DEFAULTS, **defaults)
    assert seen(copy.deepcopy(sensor), defaults) == seen(sensor, defaults) == defaults


def test_what_is_derived_of_both_has_the_arguments_of_both() -> None:
    """In either order; each constructor is called once."""
    called = []

    class Audited(DiveOperator):
        def __init__(self, *, audit: str = "", **kwargs: Any) -> None:
            called.append(audit)
            super().__init__(**kwargs)
            self.audit = audit

    class First(Audited, DiveSensorAsync):
        pass

    class Last(DiveSensorAsync, Audited):
        pass

    for kind in (First, Last):
        task = kind(task_id="wait", audit="me", **DIVING, **DEFAULTS)
        assert seen(task, {**DIVING, **DEFAULTS, "audit": ""}) == {**DIVING, **DEFAULTS, "audit": "me"}
        assert isinstance(task, DiveOperator)
    assert called == ["me", "me"]


@pytest.mark.parametrize("kind", [DiveSensorAsync, ArrivalSensorAsync, HttpSensorAsync])
def test_default_args_reach_each_argument_of_airflows_sensors(kind: Any) -> None:
    """Though nothing fills them in around their constructor."""
    defaults = {
        "poke_interval": 7,
        "timeout": 99,
        "soft_fail": True,
        "mode": "reschedule",
        "exponential_backoff": True,
        "max_wait": timedelta(seconds=60),
        "silent_fail": True,
        "never_fail": False,
    }
    own = inspect.signature(BaseSensorOperator.__init__).parameters.keys() - {"self", "kwargs"}
    assert own == defaults.keys()
    given: Any = {"path": "file:///in/a.csv"} if kind is ArrivalSensorAsync else DIVING
    given = {**given, "endpoint": "/jobs/1"} if kind is HttpSensorAsync else given
    with dag(**defaults):
        sensor, other = kind(task_id="wait", **given), kind(task_id="other", mode="poke", **given)
    assert seen(sensor, defaults) == defaults
    assert other.mode == "poke"


def test_few_constructors_make_a_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Around each Airflow puts what a file of a hundred sensors feels, three times for its own."""
    merge, merged = operator.get_merged_defaults, []

    def merging(*args: Any, **kwargs: Any) -> Any:
        merged.append(kwargs)
        return merge(*args, **kwargs)

    monkeypatch.setattr(operator, "get_merged_defaults", merging)
    DiveSensorAsync(task_id="wait", **DIVING)
    ours = len(merged)
    FileSensor(task_id="wait", filepath="/in/a.csv")
    assert (ours, len(merged) - ours) == (2, 3)


@pytest.mark.parametrize("kind", [DiveSensorAsync, RequestOperator, HttpSensorAsync])
def test_what_dives_is_a_dive_operator(kind: type) -> None:
    """So that a policy of a cluster can tell."""
    assert issubclass(kind, DiveOperator)
