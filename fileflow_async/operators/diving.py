"""What a task does between its inputs and its outputs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk import Context

from fileflow_async._compat import AirflowTaskTimeout
from fileflow_async.engine import Engine
from fileflow_async.errors import FileflowError
from fileflow_async.logic import AnyTaskRunner, working
from fileflow_async.manifest import Producer
from fileflow_async.operators.inputs import XCOM_KEY, find_committed, find_inputs, handed_over
from fileflow_async.operators.lineage import Lineage, emit
from fileflow_async.operators.tries import assignment, is_final
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference
from fileflow_async.work import Work

if TYPE_CHECKING:
    from fileflow_async.operators.dive import DiveOperator


@contextmanager
def diving(
    operator: "DiveOperator",
    context: Context,
    runner: AnyTaskRunner,
    inputs: Mapping[str, Sequence[Reference]] | None,
    further: Mapping[str, Sequence[Reference]],
) -> Iterator[AnyTaskRunner]:
    """Read and write in a block; see `DiveOperator.dive`."""
    operator.lineage = None
    with operator.running() as engine, engine.opened(operator.open_store()) as store:
        try:
            if inputs is None:
                places = operator.places(context)
                inputs = engine.run(find_inputs(store, places, handed_over(places, context)))
            inputs = {**inputs, **further}
            to_do = assignment(context, operator.data_dependencies, inputs)
            work = Work(store, to_do, gates=operator.gates)
            with working(runner, work, engine):
                yield runner
        except (Exception, AirflowTaskTimeout) as error:
            if is_final(error, context):
                _leave_word(operator, engine, store, context, error)
            raise
    hand_on(operator, context, [each for several in inputs.values() for each in several], work.published)


def find_handed_on(operator: "DiveOperator", context: Context) -> Mapping[str, Reference] | None:
    """Return what a try before this one has committed, when that is all there is to make."""
    ti = context["ti"]
    first_try = ti.max_tries - (operator.retries or 0) + 1  # since the task was last cleared
    with operator.running() as engine, engine.opened(operator.open_store()) as store:
        places = {name: assignment(context, {}, {}).target(name) for name in operator.outputs}
        return engine.run(find_committed(store, places, run_id=ti.run_id, first_try=first_try))


def hand_on(
    operator: "DiveOperator", context: Context, inputs: Sequence[Reference], outputs: Mapping[str, Reference]
) -> None:
    """Tell whoever comes after what was made."""
    if outputs:
        payloads = {name: reference.to_payload() for name, reference in outputs.items()}
        context["ti"].xcom_push(key=XCOM_KEY, value=payloads)
    operator.lineage = Lineage(inputs, outputs)
    emit(operator, context, operator.lineage)


def _leave_word(
    operator: "DiveOperator", engine: Engine, store: TargetStore, context: Context, error: BaseException
) -> None:
    """Tell those who wait for the task's output that it has failed for good."""
    message = f"{type(error).__name__}: {error}"
    for target in (assignment(context, {}, {}).target(name) for name in operator.outputs):
        try:
            engine.run(store.fail(target, error=message, producer=Producer.of(context["ti"])))
        except FileflowError as unable:
            operator.log.warning("Those who wait for %s could not be told of the failure: %s", target, unable)
