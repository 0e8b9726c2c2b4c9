"""Private names of Airflow, from wherever its version keeps them."""

from typing import Any

import pytest
from airflow.sdk.execution_time.supervisor import (
    InProcessTestSupervisor,
    TaskRunResult,
    run_task_in_process,
)

try:
    from airflow.executors.workloads.task import TaskInstanceDTO
    from airflow.executors.workloads.trigger import RunTrigger
    from airflow.sdk._shared.module_loading import import_string
    from airflow.sdk.lineage import HookLineageCollector
    from airflow.sdk.serde import deserialize, serialize
    from airflow.serialization.decoders import smart_decode_trigger_kwargs
except ImportError:  # before 3.2
    from airflow.executors.workloads import (  # type: ignore[attr-defined]
        RunTrigger,
        TaskInstance as TaskInstanceDTO,
    )
    from airflow.lineage.hook import HookLineageCollector  # type: ignore[import-not-found, no-redef]
    from airflow.sdk.module_loading import import_string  # type: ignore[attr-defined]
    from airflow.serialization.serialized_objects import (  # type: ignore[attr-defined, no-redef]
        BaseSerialization,
        smart_decode_trigger_kwargs,
    )

    serialize: Any = BaseSerialization.serialize  # type: ignore[no-redef]
    deserialize: Any = BaseSerialization.deserialize  # type: ignore[no-redef]

try:
    from airflow.sdk.execution_time.comms import (
        AssetStateStoreResult,
        GetAssetStateStoreByName,
        SetAssetStateStoreByName,
    )
    from airflow.sdk.execution_time.context import AssetStateStoreAccessors
except ImportError:  # before 3.3, which keeps nothing for an asset
    AssetStateStoreAccessors = None  # type: ignore[assignment, misc]

try:
    from airflow.sdk.execution_time.comms import DeadlockImminentError
except ImportError:  # before 3.3.2, where it is a deadlock

    class DeadlockImminentError(BaseException):  # type: ignore[no-redef]
        """A request that blocks the loop which would answer it."""


__all__ = [
    "AssetStateStoreAccessors",
    "AssetStateStoreResult",
    "DeadlockImminentError",
    "GetAssetStateStoreByName",
    "HookLineageCollector",
    "RunTrigger",
    "SetAssetStateStoreByName",
    "TaskInstanceDTO",
    "TaskRunResult",
    "deserialize",
    "import_string",
    "run_in_process",
    "serialize",
    "smart_decode_trigger_kwargs",
]


def run_in_process(instance: Any, operator: Any, client: Any) -> TaskRunResult:
    """Run a task with a client of our own, which cannot be given before 3.3."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InProcessTestSupervisor, "_api_client", staticmethod(lambda dag=None: client))
        return run_task_in_process(instance, operator)
