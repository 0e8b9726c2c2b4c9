"""What tests of the store find there, and put there behind its back."""

import hashlib
import json
from typing import Any

from fileflow_async.store import TargetStore
from fileflow_async.target import Reference, Target
from fileflow_async.testing.memory import MemoryStorage

HOUR = 3600.0
DAY = 24 * HOUR
OLD = "20260921T141319000Z-t01-aaaaaaaaaaaa"  # a second before FakeClock begins
NEW = "20260921T141321000Z-t01-bbbbbbbbbbbb"  # a second after


async def put(store: TargetStore, what: Target | str, data: bytes, **options: Any) -> Reference:
    """Commit one value."""
    async with store.write(what, **options) as out:
        await out.write(data)
    assert out.reference is not None
    return out.reference


def record_for(name: str, data: bytes, /, **changes: Any) -> bytes:
    """Return a commit record as another writer may have left it."""
    record = {"fileflow": 1, "data": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return json.dumps(record | changes).encode()


def plant(storage: MemoryStorage, key: str, data: bytes = b"", *, age: float = 0.0) -> None:
    storage.objects[key] = (data, storage.clock.time() - age)


def plant_commit(storage: MemoryStorage, folder: str, name: str, data: bytes, /, **changes: Any) -> None:
    plant(storage, f"{folder}/{name}", data)
    plant(storage, f"{folder}/{name}.ok", record_for(name, data, **changes))


def kept(storage: MemoryStorage, prefix: str = "shop/") -> list[str]:
    return sorted(key for key in storage.objects if key.startswith(prefix))
