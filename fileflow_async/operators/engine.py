"""An operator that owns an event loop while its task runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:  # ADR 0030
    from fileflow_async.engine import Engine


class EngineOperator(BaseOperator):
    """The base of operators and sensors whose work is async inside."""

    # Never one of the instance before it runs: operators are copied and serialised.
    _engine: "Engine | None" = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Have a kill reach both halves of a mixture, also when the other half comes first."""
        super().__init_subclass__(**kwargs)
        first = next(base for base in cls.__mro__ if "on_kill" in vars(base))
        if not issubclass(first, EngineOperator):  # Airflow's operators hand nothing on
            cls.on_kill = _killing_both(first)  # type: ignore[assignment, method-assign]

    @property
    def engine(self) -> "Engine":
        """The event loop of the task.

        Raises:
            RuntimeError: The task does not run.
        """
        if self._engine is None:
            raise RuntimeError(f"the task {self.task_id!r} does not run, so it has no event loop")
        return self._engine

    def on_kill(self) -> None:
        """Cancel what runs; its clean-up still runs, and nothing is published."""
        _cancel(self)
        super().on_kill()

    @contextmanager
    def running(self) -> "Iterator[Engine]":
        """Have an event loop; the outermost of nested blocks owns it."""
        if self._engine is not None:
            yield self._engine
            return
        from fileflow_async.engine import Engine

        with Engine() as engine:
            self._engine = engine
            try:
                yield engine
            finally:
                del self._engine


def _cancel(operator: EngineOperator) -> None:
    if operator._engine is not None:
        operator._engine.cancel()


def _killing_both(other: Any) -> Callable[[EngineOperator], None]:
    def on_kill(self: EngineOperator) -> None:
        _cancel(self)
        other.on_kill(self)

    return on_kill
