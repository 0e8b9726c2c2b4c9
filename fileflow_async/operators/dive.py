"""Operators that read what other tasks committed and commit what they make."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from itertools import chain
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowTaskTimeout

from fileflow_async.dependency import Dependency, declared, operator_in
from fileflow_async.engine import Engine
from fileflow_async.errors import FileflowError
from fileflow_async.hooks.store import open_store
from fileflow_async.manifest import Producer
from fileflow_async.operators.engine import EngineOperator
from fileflow_async.operators.inputs import XCOM_KEY, find_inputs, handed_over, places_of
from fileflow_async.operators.logic import AnyTaskRunner, Logic, assignment, is_final, working
from fileflow_async.places import Places
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference
from fileflow_async.task_runner import AsyncTaskRunner, TaskRunner
from fileflow_async.work import Work

_TEMPLATED = ("fileflow_root", "fileflow_conn_id")


class DiveOperator(EngineOperator):
    """Declares whose data a task depends on; subclass it, or mix it into any other operator, in any order.

    A subclass reads and writes in a block: `with self.dive(context) as runner:`, where `runner` is a
    `TaskRunner`. What it wrote is committed when the block ends well.

    Args:
        data_dependencies: The data that the task needs, by the names that its logic uses: a task id of this
            DAG, an operator of it (which also becomes an upstream task), or a `Dependency`, whose texts may
            be templates.
        fileflow_root: The URI of the store; by default `[fileflow] root`. Templated.
        fileflow_conn_id: The Airflow connection that opens it. Templated.
        kwargs: As for any operator, or for the one that it is mixed into.
    """

    template_fields: Sequence[str] = _TEMPLATED

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keep the template fields of all the classes that are mixed."""
        super().__init_subclass__(**kwargs)
        inherited = (vars(base).get("template_fields", ()) for base in cls.__mro__)
        cls.template_fields = tuple(dict.fromkeys(chain.from_iterable(inherited)))

    def __init__(
        self,
        *,
        data_dependencies: Mapping[str, Any] | None = None,
        fileflow_root: str | None = None,
        fileflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_dependencies = declared(data_dependencies, task_id=self.task_id)
        self.fileflow_root = fileflow_root
        self.fileflow_conn_id = fileflow_conn_id
        for upstream in map(operator_in, (data_dependencies or {}).values()):
            if not isinstance(upstream, str | Dependency):
                self.set_upstream(upstream)

    def open_store(self) -> AbstractAsyncContextManager[TargetStore]:
        """Open the task's store."""
        return open_store(self.fileflow_root, self.fileflow_conn_id)

    def places(self, context: Context) -> Places:
        """Return where the data of the dependencies is in this run."""
        return places_of(self, self.data_dependencies, context)

    @contextmanager
    def dive(
        self,
        context: Context,
        *,
        runner: AnyTaskRunner | None = None,
        inputs: Mapping[str, Sequence[Reference]] | None = None,
    ) -> Iterator[Any]:
        """Read and write in a block; what it writes is committed when it ends well, and not at all otherwise.

        The references of what was committed are pushed under the XCom key `fileflow`, by the names of the
        outputs.

        Args:
            context: Airflow's.
            runner: Which task runner the block gets; by default a plain `TaskRunner`.
            inputs: The versions to read; by default those this run was told of, else the newest.
        """
        runner = runner or TaskRunner(context)
        with self.running() as engine, engine.opened(self.open_store()) as store:
            try:
                if inputs is None:
                    places = self.places(context)
                    inputs = engine.run(find_inputs(store, places, handed_over(places, context)))
                work = Work(store, assignment(context, self.data_dependencies, inputs))
                with working(runner, work, engine):
                    yield runner
            except (Exception, AirflowTaskTimeout) as error:
                if is_final(error, context):
                    self._leave_word(engine, store, context, error)
                raise
        if work.published:
            payloads = {name: reference.to_payload() for name, reference in work.published.items()}
            context["ti"].xcom_push(key=XCOM_KEY, value=payloads)

    def _leave_word(self, engine: Engine, store: TargetStore, context: Context, error: BaseException) -> None:
        """Tell those who wait for the task's output that it has failed for good."""
        message = f"{type(error).__name__}: {error}"
        target = assignment(context, {}, {}).target()
        try:
            engine.run(store.fail(target, error=message, producer=Producer.of(context["ti"])))
        except FileflowError as unable:
            self.log.warning("Those who wait for %s could not be told of the failure: %s", target, unable)


class DivePythonOperator(DiveOperator):
    """Runs the logic of a `TaskRunner` or `AsyncTaskRunner` class.

    Its result is the reference of its one output, or a mapping of several by their names.

    Args:
        python_object: The class.
        python_method: The method that is the logic, sync or async.
        op_args: Positional arguments of the method; templated.
        op_kwargs: Arguments of the method by name; templated. They never change the context.
        kwargs: As for `DiveOperator`.
    """

    template_fields: Sequence[str] = ("op_args", "op_kwargs")
    ui_color = "#d8ecf3"

    def __init__(
        self,
        *,
        python_object: type[TaskRunner] | type[AsyncTaskRunner],
        python_method: str = "run",
        op_args: Sequence[Any] = (),
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.python_object = python_object
        self.python_method = python_method
        self.op_args = op_args
        self.op_kwargs = op_kwargs or {}
        Logic(python_object, python_method).check()

    def execute(self, context: Context) -> Any:
        """Run the logic on the data of the dependencies."""
        logic = Logic(self.python_object, self.python_method, self.op_args, self.op_kwargs)
        with self.dive(context, runner=self.python_object(context)) as runner:
            logic.call(runner, self.engine)
        return result_of(runner)


def result_of(runner: AnyTaskRunner) -> Any:
    """Return what a task hands on: the reference of its one output, or those of several by their names."""
    payloads = {name: reference.to_payload() for name, reference in runner.work.published.items()}
    return next(iter(payloads.values())) if len(payloads) == 1 else payloads or None
