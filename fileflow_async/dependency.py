"""What a task needs from others, and where that is in a given run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Self

from fileflow_async.errors import ConfigError, DependencyError, quoted
from fileflow_async.names import ANY, OUTPUT, check_name, check_names

if TYPE_CHECKING:  # ADR 0030
    from fileflow_async.target import Slot, Target
    from fileflow_async.target_set import TargetSet

    MapIndex = int | Sequence[int] | Literal["all"] | None
    AnySlot = Slot | str | Sequence[Slot | str] | None

ALL = "all"


@dataclass(frozen=True, slots=True)
class Dependency:
    """The output of a task: of this run, of another DAG's run at the same slot, or of any other slot.

    Args:
        task_id: The task that produces it.
        dag_id: Its DAG; by default the one that depends on it.
        name: Which of its outputs. Several names, or `"*"` for all of them, stand for a set that comes from
            one and the same try.
        slot: Which slot, or which slots; by default the one of the run that depends on it.
        map_index: Which mapped instance, which ones, or `"all"` of them; None where the task is not mapped.
        offset: How far the slot lies from this run's logical date, such as `timedelta(days=-1)`; several give
            several slots: `[timedelta(hours=hour) for hour in range(24)]` is every hour of a day.
        newer_than: Only a commit made since then counts; `"run"` stands for the start of this run.
    """

    task_id: str
    dag_id: str | None = None
    name: str | Sequence[str] = OUTPUT
    slot: "AnySlot" = None
    map_index: "MapIndex" = None
    offset: timedelta | Sequence[timedelta] | None = None
    newer_than: datetime | Literal["run"] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.name, list | tuple):
            object.__setattr__(self, "name", check_names(self.name))
        elif self.name != ANY:
            check_name(self.name)  # type: ignore[arg-type]  # which refuses what is no string
        if not self.task_id or not isinstance(self.task_id, str):
            raise ConfigError(f"a dependency needs the id of a task, got {quoted(self.task_id)}")
        if self.slot is not None and self.offset is not None:
            raise ConfigError(f"the dependency on {self.task_id!r} has both slot and offset; give one")
        if isinstance(self.newer_than, datetime) and self.newer_than.utcoffset() is None:
            raise ConfigError(f"newer_than must have a time zone, got {self.newer_than.isoformat()}")
        if not (self.newer_than in (None, "run") or isinstance(self.newer_than, datetime)):
            raise ConfigError(f"newer_than must be a datetime or 'run', got {quoted(self.newer_than)}")
        if isinstance(self.map_index, str) and self.map_index != ALL:
            raise ConfigError(f"map_index must be a number, several, or 'all', got {quoted(self.map_index)}")

    @classmethod
    def of(cls, declared: Any) -> Self:
        """Return the dependency that a value of `data_dependencies` declares: one, a task id or an operator.

        Raises:
            ConfigError: It is none of these.
        """
        if isinstance(declared, cls):
            return declared
        task_id = declared if isinstance(declared, str) else getattr(operator_in(declared), "task_id", None)
        if not isinstance(task_id, str):
            raise ConfigError(
                f"a dependency must be a task id, an operator or a Dependency, got {quoted(declared)}"
            )
        return cls(task_id)

    @property
    def wants_all(self) -> bool:
        """Whether how many targets it stands for is known only when the producer has been expanded."""
        return self.map_index == ALL

    @property
    def is_set(self) -> bool:
        """Whether it stands for several outputs of one try."""
        return self.name == ANY or not isinstance(self.name, str)

    @property
    def count(self) -> int | None:
        """How many targets it stands for; None where only the run tells."""
        slots = len(_several(self.slot if self.offset is None else self.offset))
        return None if self.wants_all else slots * len(self._indexes())

    def targets(
        self, *, dag_id: str, slot: "Slot", mapped: int | None = None
    ) -> "Sequence[Target | TargetSet]":
        """Return the targets, or the sets of them, that it stands for in a run.

        Args:
            dag_id: The DAG that depends on it.
            slot: That DAG's slot.
            mapped: How many instances the producer has, where it `wants_all`.
        """
        from fileflow_async.target import Target
        from fileflow_async.target_set import named

        indexes = range(mapped or 0) if self.wants_all else self._indexes()
        return [
            named(
                Target(dag_id=self.dag_id or dag_id, task_id=self.task_id, slot=its, map_index=index),
                self.name,
            )
            for its in self._slots(slot)
            for index in indexes
        ]

    def at(self, *, slot: "AnySlot") -> Self:
        """Return the same dependency at another slot."""
        return replace(self, slot=slot)

    def _indexes(self) -> Sequence[int]:
        match self.map_index:
            case None | "all":
                return (-1,)
            case int(index):
                return (index,)
            case several:
                return tuple(several)

    def _slots(self, slot: "Slot") -> "Sequence[Slot]":
        from fileflow_async.target import Slot

        if self.offset is not None:
            return [self._moved(slot, each) for each in _several(self.offset)]
        if self.slot is None:
            return (slot,)
        return [Slot.parse(each) if isinstance(each, str) else each for each in _several(self.slot)]

    def _moved(self, slot: "Slot", offset: timedelta) -> "Slot":
        from fileflow_async.target import Slot

        if slot.logical_date is None:
            raise DependencyError(
                f"the dependency on {self.task_id!r} has an offset, but the run has no logical date ({slot})",
                hint="Name the slot with slot=, which may be a template.",
            )
        return Slot(logical_date=slot.logical_date + offset)


def operator_in(declared: Any) -> Any:
    """Return the operator behind a declared value: an operator, or what calling a decorated task returned."""
    return getattr(declared, "operator", declared)


def declared(dependencies: Mapping[str, Any] | None, *, task_id: str) -> dict[str, Dependency]:
    """Return what a task declares, checked.

    Raises:
        ConfigError: A value is no dependency.
        DependencyError: The task depends on itself.
    """
    found = {key: Dependency.of(value) for key, value in (dependencies or {}).items()}
    for dependency in found.values():
        here = dependency.dag_id is None and dependency.slot is None and dependency.offset is None
        if here and dependency.task_id == task_id:
            raise DependencyError(f"task {task_id!r} cannot wait for its own output")
    return found


def undeclared(key: str, known: Sequence[str]) -> DependencyError:
    """Return the error for a key that is not declared, with what is and what was probably meant."""
    from difflib import get_close_matches

    names = ", ".join(repr(name) for name in known) or "none"
    close = get_close_matches(key, known, n=1)
    suggestion = f". Did you mean {close[0]!r}?" if close else ""
    return DependencyError(f"no dependency {key!r}; declared: {names}{suggestion}")


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple | range) else (value,)
