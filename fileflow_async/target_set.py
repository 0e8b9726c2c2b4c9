"""Several outputs of one task that are wanted from one and the same try."""  # ADR 0024

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from fileflow_async.names import ANY, OUTPUT, check_names
from fileflow_async.target import Reference, Slot, Target, check_key

_COMMA = ","  # no output can have one in its name


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSet:
    """The places of several named outputs of one task in one slot.

    Attributes:
        names: Which; none of them stands for all that the newest try has made.
    """

    dag_id: str
    task_id: str
    slot: Slot
    map_index: int = -1
    names: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`<dag>/<slot>/<task>[/map=<index>]/*`, or with the names in the star's place."""
        return f"{self._folder}/{_COMMA.join(self.names) or ANY}"

    def holds(self, key: str) -> bool:
        """Tell whether the target of that key is one of them."""
        folder, _, name = key.rpartition("/")
        return folder == self._folder and (not self.names or name in self.names)

    @property
    def _folder(self) -> str:
        place = Target(dag_id=self.dag_id, task_id=self.task_id, slot=self.slot, map_index=self.map_index)
        return folder_of(place.key)


class SetKey(NamedTuple):
    """The key of a set, taken apart.

    Attributes:
        folder: What the keys of its targets have in common.
        names: The names of the outputs; none of them stands for all.
    """

    folder: str
    names: tuple[str, ...]

    @classmethod
    def parse(cls, key: str) -> Self | None:
        """Return the parts of a set's key; None for the key of anything else.

        Raises:
            TargetNameError: It has a name that no output can have.
        """
        folder, _, last = key.rpartition("/")
        if last != ANY and _COMMA not in last:
            return None
        return cls(folder, () if last == ANY else check_names(last.split(_COMMA)))

    def keys(self, names: Sequence[str] = ()) -> Sequence[str]:
        """Return the keys of its targets, or of those that are called so."""
        return [f"{self.folder}/{name}" for name in names or self.names]

    @property
    def announced_by(self) -> Sequence[str]:
        """The keys under which the feed tells of it, beside its own."""
        return self.keys(self.names or (OUTPUT,))  # see `everything_beside`


def names_of(place: Target | TargetSet) -> tuple[str, ...]:
    """Return the names of the outputs that a place stands for; none where only the newest try tells."""
    return (place.name,) if isinstance(place, Target) else place.names


def folder_of(key: str) -> str:
    """Return what the keys of all outputs of one task have in common."""
    return key.rpartition("/")[0]


def name_of(key: str) -> str:
    """Return the name of the output that has that key."""
    return key.rpartition("/")[2]


def outputs_in(references: Sequence[Reference]) -> Mapping[str, Sequence[Reference]]:
    """Return versions by the names of the outputs that they are of."""
    found = defaultdict[str, list[Reference]](list)
    for reference in references:
        found[name_of(reference.target)].append(reference)
    return found


def everything_beside(key: str) -> str | None:
    """Return the key of all outputs of the task that makes a target, which the feed has to tell of, too.

    None where the target's own key does: most tasks make one output, and are not to pay for a second entry.
    """
    return None if name_of(key) == OUTPUT else f"{folder_of(key)}/{ANY}"


def check_place(key: object) -> str:
    """Return `key` when it can be that of a target, or of a set of them.

    Raises:
        TargetNameError: It cannot.
    """
    if isinstance(key, str) and (asked := SetKey.parse(key)) is not None:
        check_key(f"{asked.folder}/{OUTPUT}")
        return key
    return check_key(key)  # type: ignore[arg-type]  # which refuses what is no string


def named(target: Target, names: str | Sequence[str]) -> Target | TargetSet:
    """Return the place of an output beside another, or of several that are wanted from one try."""
    if isinstance(names, str) and names != ANY:
        return replace(target, name=names)
    if not isinstance(names, str) and len(names) == 1:
        return replace(target, name=names[0])
    return TargetSet(
        dag_id=target.dag_id,
        task_id=target.task_id,
        slot=target.slot,
        map_index=target.map_index,
        names=() if isinstance(names, str) else tuple(names),
    )
