"""The way behind a storage's back."""

from abc import ABC, abstractmethod
from collections.abc import Sequence


class BackDoor(ABC):
    """What a subclass of the contract gives, so that the storage cannot vouch for itself."""

    refuses_overwrite = True
    busy_slack = 10

    @abstractmethod
    async def plant(self, key: str, data: bytes) -> None:
        """Store an object without the storage."""

    @abstractmethod
    async def peek(self, key: str) -> bytes | None:
        """Return an object without the storage; None when there is none."""

    @abstractmethod
    async def keys(self) -> Sequence[str]:
        """Return the keys of everything there is, hidden and temporary objects too, in any order."""

    async def spoil(self, folder: str) -> bool:
        """Make a folder (its key ends in `/`) impossible to list; return whether that could be done."""
        return False

    async def _is_empty(self) -> bool:
        """Tell whether there is nothing, hidden or not."""
        return not await self.keys()

    async def _has_no_parts(self) -> bool:
        """Tell whether nothing is left of writes that were stopped."""
        return not any(key.endswith(".part") for key in await self.keys())
