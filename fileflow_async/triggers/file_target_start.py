"""Wait for targets in the triggerer from the start, before any worker has seen the task."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow.triggers.base import TriggerEvent

from fileflow_async.config import is_number
from fileflow_async.criteria import Policy, When
from fileflow_async.dependency import Dependency
from fileflow_async.errors import ConfigError, quoted
from fileflow_async.target import Slot
from fileflow_async.templates import has_template
from fileflow_async.triggers.arguments import ArgumentsTrigger
from fileflow_async.triggers.file_target import FileTargetTrigger
from fileflow_async.triggers.start import BACKSTOP


@dataclass(kw_only=True, eq=False, repr=False)
class FileTargetStartTrigger(ArgumentsTrigger):
    """Does what `FileTargetTrigger` does, for a task that starts in the triggerer: its slot is a template.

    Attributes:
        slot: What `SLOT_TEMPLATE` becomes in a run.
        dag_id: The DAG of the task.
        dependencies: What it waits for, as `to_payload` writes it.
        fileflow_root: The URI of the store.
        fileflow_conn_id: The Airflow connection that opens it.
        when: `all`, `any`, or how many.
        poke_interval: How often, in seconds, the store is asked at least.
        on_empty: What a target does that is complete but empty: accept, fail, skip or wait.
        on_corrupt: What a damaged target does: fail, skip or wait.
        on_abandoned: What a target does whose producer has been silent for long: wait, fail or skip.
        backoff: Ask half as often each time.
        max_wait: How many seconds `backoff` may put between two looks.
        backstop: How many seconds Airflow's own timeout lies behind the end of the wait.
    """

    slot: str
    dag_id: str
    dependencies: list[dict[str, Any]]
    fileflow_root: str
    fileflow_conn_id: str | None = None
    when: When = "all"
    poke_interval: float = 5.0
    on_empty: Policy = "accept"
    on_corrupt: Policy = "fail"
    on_abandoned: Policy = "wait"
    backoff: bool = False
    max_wait: float | None = None
    backstop: float = BACKSTOP

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event."""
        async for event in self.resolved().run():
            yield event

    def resolved(self) -> FileTargetTrigger:
        """Return the trigger that waits for the targets of this run.

        Raises:
            ConfigError: An argument is wrong.
        """
        if not isinstance(self.dependencies, list | tuple):
            raise ConfigError(f"dependencies must be a list, got {quoted(self.dependencies)}")
        slot = self._slot()
        targets = [
            target.key
            for payload in self.dependencies
            for target in from_payload(payload).targets(dag_id=self.dag_id, slot=slot)
        ]
        return FileTargetTrigger(
            root=self.fileflow_root,
            conn_id=self.fileflow_conn_id,
            targets=targets,
            when=self.when,
            poke_interval=self.poke_interval,
            deadline=self._deadline(),
            on_empty=self.on_empty,
            on_corrupt=self.on_corrupt,
            on_abandoned=self.on_abandoned,
            backoff=self.backoff,
            max_wait=self.max_wait,
        )

    def _slot(self) -> Slot:
        try:
            known = json.loads(self.slot)
            moment = known["logical_date"]
            return Slot(
                logical_date=None if moment is None else datetime.fromisoformat(moment),
                partition_key=known["partition_key"],
                run_id=known["run_id"],
            )
        except (TypeError, ValueError, KeyError) as error:
            raise ConfigError(f"the slot of this run cannot be told from {quoted(self.slot)}") from error

    def _deadline(self) -> float | None:
        """Return our deadline: before the moment at which Airflow's scheduler ends the wait, if it can be."""
        if not is_number(self.backstop) or self.backstop < 0:
            raise ConfigError(f"backstop must be a number of seconds >= 0, got {quoted(self.backstop)}")
        until = getattr(self, "timeout_after", None)  # set by the triggerer, and kept when another takes over
        return until.timestamp() - self.backstop if isinstance(until, datetime) else None


def to_payload(dependency: Dependency) -> dict[str, Any]:
    """Return a dependency as JSON.

    Raises:
        ConfigError: Where it is cannot be told by the triggerer alone.
    """
    texts = (dependency.task_id, dependency.dag_id, *_several(dependency.slot))
    if dependency.wants_all or dependency.newer_than is not None:
        raise ConfigError(
            f"the dependency on {dependency.task_id!r} has map_index='all' or newer_than; only a worker can "
            "resolve them, so the task cannot start from the trigger"
        )
    if has_template(texts):
        raise ConfigError(
            f"the dependency on {dependency.task_id!r} has templates; only a worker can fill them in, so the "
            "task cannot start from the trigger"
        )
    return {
        "task_id": dependency.task_id,
        "dag_id": dependency.dag_id,
        "name": dependency.name if isinstance(dependency.name, str) else list(dependency.name),
        "slot": [str(slot) for slot in _several(dependency.slot)],
        "map_index": dependency.map_index
        if isinstance(dependency.map_index, int | None)
        else list(dependency.map_index),
        "offset": [offset.total_seconds() for offset in _several(dependency.offset)],
    }


def from_payload(payload: Mapping[str, Any]) -> Dependency:
    """Read a dependency back.

    Raises:
        ConfigError: It is none.
    """
    try:
        return Dependency(
            payload["task_id"],
            dag_id=payload["dag_id"],
            name=payload["name"],
            slot=payload["slot"] or None,
            map_index=payload["map_index"],
            offset=[timedelta(seconds=seconds) for seconds in payload["offset"]] or None,
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{quoted(payload)} is not a dependency") from error


def _several(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list | tuple) else (value,)
