"""What every storage must do, as tests that its own test class inherits."""

import pytest

from fileflow_async.testing.storage_contract.cancelling import CancelPromises
from fileflow_async.testing.storage_contract.creating import CreatePromises
from fileflow_async.testing.storage_contract.deleting import DeletePromises
from fileflow_async.testing.storage_contract.following import TailPromises
from fileflow_async.testing.storage_contract.keys import BAD_KEYS, TRAPS, KeyPromises
from fileflow_async.testing.storage_contract.listing import ListPromises
from fileflow_async.testing.storage_contract.patience import PATIENCE, eventually
from fileflow_async.testing.storage_contract.putting import PutPromises
from fileflow_async.testing.storage_contract.reading import ReadPromises

__all__ = ["BAD_KEYS", "PATIENCE", "TRAPS", "StorageContract", "eventually"]


class StorageContract(
    KeyPromises,
    PutPromises,
    CreatePromises,
    ReadPromises,
    ListPromises,
    DeletePromises,
    CancelPromises,
    TailPromises,
):
    """The promises of `fileflow_async.storage.protocol.Storage`, one test each.

    A subclass gives the async fixture `storage` (an open, empty storage) and the back door: `plant`, `peek`
    and `keys` read and write behind the storage's back, so that it cannot vouch for itself. The tests are
    coroutines for pytest-asyncio; `pytest.register_assert_rewrite("fileflow_async.testing.storage_contract")`
    in a conftest shows the values when one fails.

    Attributes:
        refuses_overwrite: Whether the backend can tell that other bytes stand under a key already.
        busy_slack: Threads or descriptors that a pool of the backend's may keep between calls.
    """

    pytestmark = pytest.mark.asyncio
