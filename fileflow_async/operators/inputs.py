"""Find the versions that a task of Airflow depends on."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from airflow.sdk import BaseOperator, Context

from fileflow_async.dependency import Dependency
from fileflow_async.errors import ConfigError, DependencyError
from fileflow_async.places import Places
from fileflow_async.set_status import set_of
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference, Slot, Target
from fileflow_async.target_set import names_of
from fileflow_async.templates import has_template

XCOM_KEY = "fileflow"


def places_of(operator: BaseOperator, dependencies: Mapping[str, Dependency], context: Context) -> Places:
    """Return where the data of dependencies is in this run."""
    return Places.of(
        {name: _rendered(operator, dependency, context) for name, dependency in dependencies.items()},
        dag_id=context["ti"].dag_id,
        slot=Slot.of(context),
        count=partial(_count_instances, context),
    )


def handed_over(places: Places, context: Context) -> Mapping[str, Sequence[Reference]]:
    """Return the versions that tasks of this run told of by XCom, by the keys of their targets and sets."""
    ti, slot = context["ti"], Slot.of(context)
    found: dict[str, Sequence[Reference]] = {}
    for place in {place.key: place for several in places.by_name.values() for place in several}.values():
        if place.dag_id == ti.dag_id and place.slot == slot:
            told = ti.xcom_pull(task_ids=place.task_id, key=XCOM_KEY, map_indexes=place.map_index)
            if isinstance(told, Mapping) and all(name in told for name in names_of(place)):
                # What one try told of it has made: they belong together.
                names = names_of(place) or told
                found[place.key] = [Reference.from_payload(told[name]) for name in names]
    return found


async def find_inputs(
    store: TargetStore, places: Places, known: Mapping[str, Sequence[Reference]]
) -> Mapping[str, Sequence[Reference]]:
    """Return the version of each dependency: the one this run was told of, else the newest.

    Raises:
        TargetNotFoundError: Nothing is committed at one of them, or of a set only a part.
    """
    return {
        name: [each for place in several for each in known.get(place.key) or await store.versions(place)]
        for name, several in places.by_name.items()
    }


async def find_committed(
    store: TargetStore, places: Mapping[str, Target], *, run_id: str, first_try: int
) -> Mapping[str, Reference] | None:
    """Return the versions of all outputs, by their names, when a try of this run has committed them all.

    Args:
        store: Where.
        places: The outputs, by their names.
        run_id: The run.
        first_try: Tries before this one do not count.
    """
    found: dict[str, Reference] = {}
    tries = set[str]()
    for name, target in places.items():
        status = await store.state(target)
        if status.manifest is None or status.reference is None or not status.is_committed:
            return None
        producer = status.manifest.producer
        if producer.run_id != run_id or producer.try_number < first_try:
            return None
        found[name] = status.reference
        tries.add(set_of(status.manifest).id)
    return found if len(tries) == 1 else None


def _count_instances(context: Context, dependency: Dependency, slot: Slot) -> int:
    """Return how many instances a mapped task has; 0 while it is not expanded.

    Raises:
        DependencyError: Airflow can only be asked by a logical date, and the slot has none.
    """
    ti = context["ti"]
    dag_id = dependency.dag_id or ti.dag_id
    which: dict[str, Any] = {"dag_id": dag_id, "task_ids": [dependency.task_id]}
    if slot == Slot.of(context) and dag_id == ti.dag_id:
        which["run_ids"] = [ti.run_id]
    elif slot.logical_date is not None:
        which["logical_dates"] = [slot.logical_date]
    else:
        raise DependencyError(
            f"map_index='all' cannot be told for {dag_id}.{dependency.task_id} in the slot {slot}",
            hint="Name the instances with map_index=range(...).",
        )
    # Before it is expanded a task has one instance without a number, for which the client cannot ask.
    is_expanded = ti.get_ti_count(**which, map_index=0) > 0
    return int(ti.get_ti_count(**which)) if is_expanded else 0


def _rendered(operator: BaseOperator, dependency: Dependency, context: Context) -> Dependency:
    """Return a dependency with its templates filled in.

    Raises:
        ConfigError: One of them is empty then.
    """
    texts = {name: getattr(dependency, name) for name in ("task_id", "dag_id", "slot")}
    filled = {
        name: operator.render_template(text, context) for name, text in texts.items() if has_template(text)
    }
    for name, value in filled.items():
        if not value or value == "None":
            raise ConfigError(f"target template {texts[name]!r} rendered to an empty name")
    return replace(dependency, **filled) if filled else dependency
