"""Operators that read what other tasks committed and commit what they make."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink, Context

from fileflow_async.dependency import Dependency, declared, operator_in
from fileflow_async.errors import ConfigError
from fileflow_async.names import OUTPUT, check_name
from fileflow_async.operators.engine import EngineOperator
from fileflow_async.operators.links import TargetsLink

if TYPE_CHECKING:
    from fileflow_async.gates import Check, Gate
    from fileflow_async.logic import AnyTaskRunner
    from fileflow_async.operators.lineage import Lineage
    from fileflow_async.places import Places
    from fileflow_async.storage_drivers import StorageDriver
    from fileflow_async.store import TargetStore
    from fileflow_async.target import Reference
    from fileflow_async.task_runner import AsyncTaskRunner, TaskRunner

# Every DAG file pays for the imports above; for those within methods only a task that runs. ADR 0030

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
        outputs: The names of what the task makes.
        gates: What its output must satisfy before anybody can see it: functions, or `Gate` around one; or
            several of them by the names of the outputs.
        skip_if_committed: Do no work where a try before this one has committed all outputs since the task was
            last cleared: it only failed to say so.
        kwargs: As for any operator, or for the one that it is mixed into.
    """

    template_fields: Sequence[str] = _TEMPLATED
    operator_extra_links: Collection[BaseOperatorLink] = (TargetsLink(),)
    data_dependencies: dict[str, Dependency]
    fileflow_root: str | None
    fileflow_conn_id: str | None
    outputs: tuple[str, ...]
    gates: "Mapping[str, Sequence[Gate]]"
    skip_if_committed: bool
    lineage: "Lineage | None" = None
    _storage: "StorageDriver | None" = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keep the template fields, and the links, of all the classes that are mixed."""
        super().__init_subclass__(**kwargs)
        inherited = (vars(base).get("template_fields", ()) for base in cls.__mro__)
        cls.template_fields = tuple(dict.fromkeys(chain.from_iterable(inherited)))
        links = [vars(base).get("operator_extra_links", ()) for base in cls.__mro__]
        if not any(isinstance(each, property) for each in links):  # else it stays that of whoever comes first
            cls.operator_extra_links = tuple(
                {link.name: link for each in links[::-1] for link in each}.values()
            )

    def __init__(
        self,
        *,
        data_dependencies: Mapping[str, Any] | None = None,
        fileflow_root: str | None = None,
        fileflow_conn_id: str | None = None,
        outputs: Sequence[str] = (OUTPUT,),
        gates: "Sequence[Gate | Check] | Mapping[str, Sequence[Gate | Check]]" = (),
        skip_if_committed: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        names = tuple(check_name(name) for name in outputs)
        vars(self).update(  # past Airflow's __setattr__: ADR 0030
            data_dependencies=declared(data_dependencies, task_id=self.task_id),
            fileflow_root=fileflow_root,
            fileflow_conn_id=fileflow_conn_id,
            outputs=names,
            gates=_gates(gates, names),
            skip_if_committed=skip_if_committed,
        )
        for upstream in map(operator_in, (data_dependencies or {}).values()):
            if not isinstance(upstream, str | Dependency):
                self.set_upstream(upstream)

    @property
    def storage(self) -> "StorageDriver":
        """The storage driver that is configured, for code that moves over from fileflow; targets need none.

        It is made when it is first asked for, and may be set, such as in a test.
        """
        if self._storage is None:
            from fileflow_async.storage_drivers import get_storage_driver

            self._storage = get_storage_driver()
        return self._storage

    @storage.setter
    def storage(self, driver: "StorageDriver") -> None:
        self._storage = driver

    def open_store(self, *, impatient: bool = False) -> "AbstractAsyncContextManager[TargetStore]":
        """Open the task's store; see `hooks.store.open_store`."""
        from fileflow_async.hooks.store import open_store

        return open_store(self.fileflow_root, self.fileflow_conn_id, impatient=impatient)

    def places(self, context: Context) -> "Places":
        """Return where the data of the dependencies is in this run."""
        from fileflow_async.operators.inputs import places_of

        return places_of(self, self.data_dependencies, context)

    @contextmanager
    def dive(
        self,
        context: Context,
        *,
        runner: "AnyTaskRunner | None" = None,
        inputs: "Mapping[str, Sequence[Reference]] | None" = None,
        further: "Mapping[str, Sequence[Reference]] | None" = None,
    ) -> Iterator[Any]:
        """Read and write in a block; what it writes is committed when it ends well, and not at all otherwise.

        The references of what was committed are pushed under the XCom key `fileflow`, by the names of the
        outputs.

        Args:
            context: Airflow's.
            runner: Which task runner the block gets; by default a plain `TaskRunner`.
            inputs: The versions to read; by default those this run was told of, else the newest.
            further: More of them, by name.
        """
        from fileflow_async.operators.diving import diving
        from fileflow_async.task_runner import TaskRunner

        with diving(self, context, runner or TaskRunner(context), inputs, further or {}) as dived:
            yield dived

    def handed_on_before(self, context: Context) -> Any:
        """Return the result of a try before this one that committed all but died before it said so."""
        if not self.skip_if_committed:
            return None
        from fileflow_async.operators.diving import find_handed_on, hand_on

        if (found := find_handed_on(self, context)) is None:
            return None
        self.log.info("All outputs were committed by a try before this one; there is nothing left to do")
        hand_on(self, context, (), found)
        return result_of(found)

    def get_openlineage_facets_on_complete(self, ti: Any) -> Any:
        """Return what OpenLineage is told once the task has ended well."""
        from fileflow_async.operators.lineage import openlineage

        return openlineage(self.lineage)


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
        python_object: "type[TaskRunner] | type[AsyncTaskRunner]",
        python_method: str = "run",
        op_args: Sequence[Any] = (),
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        from fileflow_async.logic import Logic

        super().__init__(**kwargs)
        self.python_object = python_object
        self.python_method = python_method
        self.op_args = op_args
        self.op_kwargs = op_kwargs or {}
        Logic(python_object, python_method).check()

    def execute(self, context: Context) -> Any:
        """Run the logic on the data of the dependencies."""
        from fileflow_async.logic import Logic

        if (handed_on := self.handed_on_before(context)) is not None:
            return handed_on
        logic = Logic(self.python_object, self.python_method, self.op_args, self.op_kwargs)
        with self.dive(context, runner=self.python_object(context)) as runner:
            logic.call(runner, self.engine)
        return result_of(runner.work.published)


def result_of(outputs: "Mapping[str, Reference]") -> Any:
    """Return what a task hands on: the reference of its one output, or those of several by their names."""
    payloads = {name: reference.to_payload() for name, reference in outputs.items()}
    return next(iter(payloads.values())) if len(payloads) == 1 else payloads or None


def _gates(
    given: "Sequence[Gate | Check] | Mapping[str, Sequence[Gate | Check]]", outputs: Sequence[str]
) -> "Mapping[str, Sequence[Gate]]":
    if not given:
        return dict.fromkeys(outputs, ())
    from fileflow_async.gates import Gate

    by_name = given if isinstance(given, Mapping) else dict.fromkeys(outputs, given)
    for name in by_name:
        if name not in outputs:
            known = ", ".join(repr(output) for output in outputs)
            raise ConfigError(f"there are gates for the output {name!r}; the task's outputs are {known}")
    return {name: tuple(Gate.of(gate) for gate in gates) for name, gates in by_name.items()}
