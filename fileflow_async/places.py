"""Where the data that a task depends on is, in one run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fileflow_async.dependency import Dependency
from fileflow_async.target import Reference, Slot, Target

CountInstances = Callable[[Dependency, Slot], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The targets behind the dependencies of a task in one run.

    Attributes:
        by_name: The targets, by the name of the dependency.
        unknown: Dependencies on all instances of a task that has not been expanded yet: the first instance
            stands for all of them, as there is none without it.
    """

    by_name: Mapping[str, Sequence[Target]]
    unknown: Mapping[str, Dependency]

    @classmethod
    def of(
        cls, dependencies: Mapping[str, Dependency], *, dag_id: str, slot: Slot, count: CountInstances
    ) -> "Places":
        """Find the targets of dependencies.

        Args:
            dependencies: By name.
            dag_id: The DAG that depends on them.
            slot: Its slot.
            count: Tells how many instances a task has; 0 when that is not settled.
        """
        by_name: dict[str, Sequence[Target]] = {}
        unknown: dict[str, Dependency] = {}
        for name, dependency in dependencies.items():
            mapped = count(dependency, slot) if dependency.wants_all else None
            if mapped == 0:
                unknown[name] = dependency
            by_name[name] = dependency.targets(dag_id=dag_id, slot=slot, mapped=mapped or 1)
        return cls(by_name=by_name, unknown=unknown)

    @property
    def keys(self) -> Sequence[str]:
        """The keys of all targets, each once."""
        return tuple(dict.fromkeys(target.key for targets in self.by_name.values() for target in targets))

    def sort(self, references: Sequence[Reference]) -> Mapping[str, Sequence[Reference]]:
        """Return the references by the names of the dependencies that they satisfy."""
        found = {reference.target: reference for reference in references}
        return {
            name: [found[target.key] for target in targets if target.key in found]
            for name, targets in self.by_name.items()
        }
