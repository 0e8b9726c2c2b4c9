"""What one try of a task of Airflow is about."""

from collections.abc import Mapping, Sequence

from airflow.sdk import Context

from fileflow_async._compat import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from fileflow_async.dependency import Dependency
from fileflow_async.manifest import Producer
from fileflow_async.target import Reference, Slot
from fileflow_async.work import Assignment


def assignment(
    context: Context, dependencies: Mapping[str, Dependency], inputs: Mapping[str, Sequence[Reference]]
) -> Assignment:
    """Return what a try is to read and where it is to write."""
    ti = context["ti"]
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    producer = Producer.of(ti)
    return Assignment(
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        slot=Slot.of(context),
        map_index=producer.map_index,
        dependencies=dependencies,
        inputs=inputs,
        producer=producer,
        interval=None if start is None or end is None else (start.isoformat(), end.isoformat()),
    )


def is_final(error: BaseException, context: Context) -> bool:
    """Tell whether Airflow will not try the task again after this error."""
    if isinstance(error, AirflowSkipException):
        return False
    ti = context["ti"]
    no_more = ti.max_tries == 0 or ti.try_number > ti.max_tries
    return no_more or isinstance(error, AirflowFailException | AirflowSensorTimeout)
