"""What a version was made from, by the commit records."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fileflow_async.errors import FileflowError, StorageUnavailableError, TargetAccessError
from fileflow_async.manifest import Manifest
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference, Target


class Fate(StrEnum):
    """What has become of a version since another was made from it."""

    CURRENT = "current"
    REMADE = "remade"  # a newer version has the same content
    CHANGED = "changed"  # a newer version has other content
    GONE = "gone"  # nothing is there any more, or it is in another store
    UNKNOWN = "unknown"  # it could not be looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """A version, with those that it was made from.

    Attributes:
        target: The key of its target.
        data: The name of its data.
        sha256: The hash of its data.
        fate: What has become of it.
        is_kept: Whether it can still be read.
        is_repeated: Whether its own inputs stand elsewhere in the tree.
        inputs: The versions that it was made from, as far as its record is kept and was asked for.
    """

    target: str
    data: str
    sha256: str
    fate: Fate
    is_kept: bool = True
    is_repeated: bool = False
    inputs: Sequence["Ancestor"] = ()

    def to_payload(self) -> dict[str, Any]:
        """Return the tree as a JSON object."""
        return {
            "target": self.target,
            "data": self.data,
            "sha256": self.sha256,
            "fate": str(self.fate),
            "kept": self.is_kept,
            "repeated": self.is_repeated,
            "inputs": [each.to_payload() for each in self.inputs],
        }


async def ancestry(store: TargetStore, what: Target | Reference | str, *, depth: int = 10) -> Ancestor:
    """Return the tree of the versions that a version was made from.

    Args:
        store: Where all of them are looked for.
        what: A version, or a target, which stands for its newest.
        depth: How many generations.

    Raises:
        TargetNotFoundError: Nothing is committed, or the version is no longer kept.
        TargetCorruptError: The record contradicts the data, or the reference.
    """
    status = await store.version(what)
    reference = status.reference
    assert reference is not None  # noqa: S101  # what version() returns has one
    return await _Tree(store).grown(reference.target, reference.data, reference.sha256, depth)


class _Tree:
    def __init__(self, store: TargetStore) -> None:
        self._store = store
        self._seen = set[tuple[str, str]]()

    async def grown(self, target: str, data: str, sha256: str, depth: int) -> Ancestor:
        fate, record = await self._looked_up(target, data, sha256)
        is_repeated = (target, data) in self._seen
        inputs = list[Ancestor]()
        if record is not None and depth > 0 and not is_repeated:
            self._seen.add((target, data))
            for each in record.inputs:
                inputs.append(await self.grown(each.target, each.data, each.sha256, depth - 1))
        return Ancestor(
            target=target,
            data=data,
            sha256=sha256,
            fate=fate,
            is_kept=record is not None,
            is_repeated=is_repeated and bool(record and record.inputs),
            inputs=inputs,
        )

    async def _looked_up(self, target: str, data: str, sha256: str) -> tuple[Fate, Manifest | None]:
        """Return what has become of a version, and its record where it is kept."""
        try:
            history = await self._store.history(target)
        except (StorageUnavailableError, TargetAccessError):
            raise
        except FileflowError:  # an input is any text that somebody put into a record
            return Fate.UNKNOWN, None
        records = [each.manifest for each in history if each.manifest is not None]
        record = next((each for each in records if each.data == data and each.sha256 == sha256), None)
        newest = records[0] if records else None
        if newest is None:
            return (Fate.UNKNOWN if history else Fate.GONE), None
        if newest is record:
            return Fate.CURRENT, record
        if newest.data < data:
            return Fate.GONE, None
        return (Fate.REMADE if newest.sha256 == sha256 else Fate.CHANGED), record
