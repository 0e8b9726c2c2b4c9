"""Run the logic of a task between its inputs and its outputs."""

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from fileflow_async.errors import ConfigError
from fileflow_async.task_runner import AsyncTaskRunner, TaskRunner

if TYPE_CHECKING:  # ADR 0030
    from fileflow_async.engine import Engine
    from fileflow_async.work import Work

AnyTaskRunner = TaskRunner | AsyncTaskRunner

log = logging.getLogger(__name__)


class Logic(NamedTuple):
    """A class whose method is the work of a task, and what the method is given."""

    python_object: type[TaskRunner] | type[AsyncTaskRunner]
    method: str = "run"
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = MappingProxyType({})

    def check(self) -> None:
        """Refuse what cannot run.

        Raises:
            ConfigError: It is not a task runner, or has no such method.
        """
        given: object = self.python_object
        if not isinstance(given, type) or not issubclass(given, AnyTaskRunner):
            name = getattr(self.python_object, "__name__", repr(self.python_object))
            raise ConfigError(f"python_object must be a TaskRunner or AsyncTaskRunner class, got {name}")
        if not callable(getattr(self.python_object, self.method, None)):
            raise ConfigError(f"{self.python_object.__name__} has no method {self.method!r}")

    def call(self, runner: AnyTaskRunner, engine: "Engine") -> None:
        """Run the method, sync or async."""
        _await(getattr(runner, self.method)(*self.args, **self.kwargs), engine)


@contextmanager
def working(runner: AnyTaskRunner, work: "Work", engine: "Engine") -> Iterator[None]:
    """Have a runner read its inputs and write its outputs; commit these when the block ends well.

    Its callbacks are called: `on_ready` before the block, `on_commit` after each commit, and `on_failure`
    when any of that fails; a failure stays what it is.
    """
    with engine.opened(work):
        runner.attach(work, engine)
        try:
            tell(runner, engine, "on_ready", work.assignment.inputs)
            yield
            for reference in engine.run(work.publish()).values():
                tell(runner, engine, "on_commit", reference)
        except Exception as error:
            _tell_of_failure(runner, engine, error)
            raise


def tell(runner: AnyTaskRunner, engine: "Engine", callback: str, argument: Any) -> None:
    """Call a callback of a runner, sync or async, where its class defines it."""
    if (function := getattr(runner, callback, None)) is not None:
        _await(function(argument), engine)


def _tell_of_failure(runner: AnyTaskRunner, engine: "Engine", error: Exception) -> None:
    try:
        tell(runner, engine, "on_failure", error)
    except Exception:
        log.exception("on_failure of %s failed itself", type(runner).__name__)


def _await(result: Any, engine: "Engine") -> Any:
    return engine.run(result) if inspect.iscoroutine(result) else result
