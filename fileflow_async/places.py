"""Where the data that a task depends on is, in one run."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from fileflow_async.dependency import Dependency
from fileflow_async.target import Reference, Slot, Target
from fileflow_async.target_set import TargetSet

CountInstances = Callable[[Dependency, Slot], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The targets behind the dependencies of a task in one run.

    Attributes:
        by_name: The targets, and the sets of them, by the name of the dependency.
        unknown: Dependencies on all instances of a task that has not been expanded yet: the first instance
            stands for all of them, as there is none without it.
    """

    by_name: Mapping[str, Sequence[Target | TargetSet]]
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
        by_name: dict[str, Sequence[Target | TargetSet]] = {}
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
            name: [found[key] for target in targets for key in _keys_in(target, found)]
            for name, targets in self.by_name.items()
        }

    def satisfied(self, references: Sequence[Reference]) -> Collection[str]:
        """Return the keys of the targets, and of the sets, of which there are references."""
        found = [reference.target for reference in references]
        places = {place.key: place for places in self.by_name.values() for place in places}
        return [key for key, place in places.items() if _keys_in(place, found)]


def _keys_in(place: Target | TargetSet, keys: Collection[str]) -> Sequence[str]:
    """Return which of some targets belong to a place."""
    if isinstance(place, TargetSet):
        return [key for key in keys if place.holds(key)]
    return [place.key] if place.key in keys else []
