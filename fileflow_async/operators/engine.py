"""An operator that owns an event loop while its task runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk import BaseOperator

from fileflow_async.engine import Engine


class EngineOperator(BaseOperator):
    """The base of operators and sensors whose work is async inside."""

    _engine: Engine | None = (
        None  # never one of the instance before it runs: operators are copied and serialised
    )

    @property
    def engine(self) -> Engine:
        """The event loop of the task.

        Raises:
            RuntimeError: The task does not run.
        """
        if self._engine is None:
            raise RuntimeError(f"the task {self.task_id!r} does not run, so it has no event loop")
        return self._engine

    def on_kill(self) -> None:
        """Cancel what runs; its clean-up still runs, and nothing is published."""
        if self._engine is not None:
            self._engine.cancel()
        super().on_kill()

    @contextmanager
    def running(self) -> Iterator[Engine]:
        """Have an event loop; the outermost of nested blocks owns it."""
        if self._engine is not None:
            yield self._engine
            return
        with Engine() as engine:
            self._engine = engine
            try:
                yield engine
            finally:
                del self._engine
