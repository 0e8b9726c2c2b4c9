"""Watch tasks by asking again and again, and say what has changed."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from demo.airflow_api import AirflowApi, DagRun, Slots, TaskInstance

_INTERVAL = 0.4  # seconds: a task runs for one


@dataclass(frozen=True, slots=True)
class Change:
    """A task that is in another state than at the look before."""

    instance: TaskInstance
    slots: Slots

    @property
    def name(self) -> str:
        """How the task is called on the screen: `shop.extract[0]`."""
        return name_of(self.instance)


@dataclass
class Watch:
    """Looks at runs, and remembers.

    Attributes:
        api: Where to ask.
        tell: Called with each change.
        check: Called before each look; raises where looking on makes no sense.
        runs: The runs that are looked at.
        states: What each task is in, by its name.
        spent: How many seconds each task was seen in each state, by name and state.
    """

    api: AirflowApi
    tell: Callable[[Change], None]
    check: Callable[[], None] = lambda: None
    runs: list[DagRun] = field(default_factory=list)
    states: dict[str, str | None] = field(default_factory=dict)
    spent: dict[tuple[str, str | None], float] = field(default_factory=lambda: defaultdict(float))
    _looked: float | None = None

    def begin(self, run: DagRun) -> None:
        """Look at a run from now on."""
        self.runs.append(run)

    def until(self, condition: Callable[[Slots], bool], what: str, *, limit: float) -> Slots:
        """Look until something is so, and return the slots at that moment.

        Raises:
            TimeoutError: It was not so in time.
        """
        deadline = time.monotonic() + limit
        while not condition(slots := self.look()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {limit:.0f} s it is still not so: {what}")
            time.sleep(_INTERVAL)
        return slots

    def look(self) -> Slots:
        """Look once, tell what has changed, and return the pool's slots."""
        self.check()
        instances = self.instances()
        slots = self.api.slots()
        self._note(time.monotonic())
        for instance in instances:
            name = name_of(instance)
            if instance.state != self.states.get(name):
                self.states[name] = instance.state
                self.tell(Change(instance, slots))
        for name in self.states.keys() - {name_of(each) for each in instances}:
            del self.states[name]  # a mapped task, as it was before its run expanded it
        return slots

    def instances(self) -> Sequence[TaskInstance]:
        """Return the tasks of all runs as they are now."""
        return [each for run in self.runs for each in self.api.task_instances(run.dag_id, run.run_id)]

    @property
    def is_over(self) -> bool:
        """Whether all runs have come to their ends."""
        now = [
            each for run in self.runs for each in self.api.dag_runs(run.dag_id) if each.run_id == run.run_id
        ]
        return all(run.state in ("success", "failed") for run in now)

    def total(self, state: str) -> float:
        """Return how many seconds all tasks together were seen in a state."""
        return sum(seconds for (_, each), seconds in self.spent.items() if each == state)

    def _note(self, now: float) -> None:
        if self._looked is not None:
            for name, state in self.states.items():
                self.spent[name, state] += now - self._looked
        self._looked = now


def name_of(instance: TaskInstance) -> str:
    """Return what a task is called on the screen."""
    index = "" if instance.map_index < 0 else f"[{instance.map_index}]"
    return f"{instance.dag_id}.{instance.task_id}{index}"
