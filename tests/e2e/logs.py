"""What tasks and triggers have written into Airflow's logs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from demo.airflow_api import TaskInstance

_FIRED = "Trigger fired event"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log: a record of a task's log, or what a process has printed."""

    moment: datetime
    text: str

    @classmethod
    def parse(cls, raw: str) -> "Line | None":
        """Return a line, or None where there is only the rest of one."""
        try:
            moment = json.loads(raw)["timestamp"] if raw.startswith("{") else raw.partition(" ")[0]
            return cls(datetime.fromisoformat(moment), raw)
        except (ValueError, KeyError):
            return None


class Logs:
    """All logs of an Airflow.

    Args:
        home: Its folder.
        triggerers: The names of its triggerers' processes.
    """

    def __init__(self, home: Path, triggerers: tuple[str, ...]) -> None:
        self._tasks = home / "logs"
        self._processes = home / "processes"
        self._triggerers = triggerers

    def files(self) -> list[Path]:
        """Return every file."""
        found = (*self._tasks.rglob("*.log"), *self._processes.iterdir())
        return [path for path in found if path.is_file()]

    def task(self, task: TaskInstance, text: str) -> list[Line]:
        """Return the lines of all tries of a task that hold a text."""
        tries = (path for path in self._of(task) if ".trigger." not in path.name)
        return [line for path in tries for line in grep(path, text)]

    def fired(self, task: TaskInstance) -> list[Line]:
        """Return the lines that tell that a trigger of a task has fired.

        What a quick trigger writes last is in the log of its triggerer, and not in that of the task.
        """
        logs = [self._processes / f"{name}.log" for name in self._triggerers]
        logs += [path for path in self._of(task) if ".trigger." in path.name]
        name = f"{task.dag_id}/{task.run_id}/{task.task_id}/{task.map_index}/"
        return [line for path in logs for line in grep(path, _FIRED) if name in line.text]

    def _of(self, task: TaskInstance) -> Iterator[Path]:
        folder = self._tasks / f"dag_id={task.dag_id}" / f"run_id={task.run_id}" / f"task_id={task.task_id}"
        return folder.glob("attempt=*.log*")


def grep(path: Path, text: str) -> list[Line]:
    """Return the lines of a log that hold a text."""
    found = (Line.parse(raw) for raw in path.read_text(errors="replace").splitlines() if text in raw)
    return [line for line in found if line is not None]
