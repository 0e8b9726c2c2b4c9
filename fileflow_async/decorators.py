"""A plain function as a task: its parameters are what it depends on, what it returns is what it makes."""

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory

from fileflow_async._compat import determine_kwargs
from fileflow_async.errors import FormatError
from fileflow_async.operators.dive import DiveOperator, result_of

if TYPE_CHECKING:  # ADR 0030
    from fileflow_async.target import Reference
    from fileflow_async.task_runner import TaskRunner


class DiveDecoratedOperator(DecoratedOperator, DiveOperator):
    """Calls a function, sync or async, with the data it depends on, and commits what it returns.

    A parameter that is named like a dependency gets the data, read as its annotation says; so does one that
    is given what another such task returned. A function that returns nothing commits nothing.

    Args:
        python_callable: The function.
        op_args: Its positional arguments; templated.
        op_kwargs: Its arguments by name; templated.
        output_format: The format of what it returns; by default one that suits it.
        kwargs: As for `DiveOperator`.
    """

    custom_operator_name: ClassVar[str] = "@task.dive"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Sequence[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        data_dependencies: Mapping[str, Any] | None = None,
        output_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        later = dict.fromkeys(
            data_dependencies or {}
        )  # Airflow checks that the function can be called at all
        super().__init__(
            python_callable=python_callable,
            op_args=op_args or (),
            op_kwargs={**later, **(op_kwargs or {})},
            data_dependencies=data_dependencies,
            **kwargs,
        )
        self.output_format = output_format

    def execute(self, context: Context) -> Any:
        """Read what the function depends on, call it, and commit what it returns."""
        if (handed_on := self.handed_on_before(context)) is not None:
            return handed_on
        named = {**self._named(), **self.op_kwargs}
        given = {name: found for name, value in named.items() if (found := _references(value))}
        with self.dive(context, further=given) as runner:
            returned = self.python_callable(**self._arguments(runner, context, named))
            if inspect.iscoroutine(returned):
                returned = self.engine.run(returned)
            if returned is not None:
                runner.write(returned, format=self.output_format)
        return result_of(runner.work.published)

    def _named(self) -> Mapping[str, Any]:
        """Return the positional arguments by their names."""
        return inspect.signature(self.python_callable).bind_partial(*self.op_args).arguments

    def _arguments(
        self, runner: "TaskRunner", context: Context, named: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        inputs = runner.work.assignment.inputs
        wanted = determine_kwargs(self.python_callable, (), {**context, **named, **dict.fromkeys(inputs)})
        annotations = typing.get_type_hints(self.python_callable)
        return {
            name: self._input(runner, name, annotations.get(name)) if name in inputs else value
            for name, value in wanted.items()
        }

    def _input(self, runner: "TaskRunner", name: str, annotation: Any) -> Any:
        """Return the data of a parameter; of a dependency on a set a dict of it, by the outputs' names."""
        from fileflow_async.target_set import outputs_in

        references = runner.work.references(name)
        if name not in self.data_dependencies or not self.data_dependencies[name].is_set:
            return self._load(runner, references, annotation)
        _, of_each = typing.get_args(annotation) or (str, None)
        outputs = outputs_in(references)
        return {output: self._load(runner, several, of_each) for output, several in outputs.items()}

    def _load(self, runner: "TaskRunner", references: "Sequence[Reference]", annotation: Any) -> Any:
        """Return the data of a parameter; of a dependency on several targets a list of it."""
        from fileflow_async.target import Reference

        many = typing.get_origin(annotation) is list and typing.get_args(annotation)
        wanted = annotation
        if many and (len(references) != 1 or many[0] is Reference):
            wanted = many[0]
        elif len(references) == 1:
            many = ()
        values = [
            each if wanted is Reference else self.engine.run(runner.work.load(each, wanted))
            for each in references
        ]
        return values if many or len(references) != 1 else values[0]


def dive_task(
    python_callable: Callable[..., Any] | None = None, multiple_outputs: bool | None = None, **kwargs: Any
) -> TaskDecorator:
    """Make a task of a function: `@task.dive(data_dependencies={"orders": "extract"})`.

    Args:
        python_callable: The function.
        multiple_outputs: As of `@task`.
        kwargs: As for `DiveDecoratedOperator`.
    """
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=DiveDecoratedOperator,
        **kwargs,
    )


def _references(value: Any) -> "Sequence[Reference]":
    """Return the versions that a value from XCom names; none where it is anything else."""
    from fileflow_async.target import Reference

    payloads = value if isinstance(value, list | tuple) else [value]
    try:
        return [Reference.from_payload(payload) for payload in payloads]
    except (FormatError, ValueError):
        return ()
