"""What was begun since a moment and has not ended: threads, and open descriptors.

Counts would not tell: what an earlier test left to the garbage collector may go at any time.
"""

import os
import threading
import time
from contextlib import suppress

_PATIENCE = 5.0  # seconds until what is closing must be closed


def held() -> frozenset[object]:
    """Return the threads and descriptors of this process, but for the pool of a loop, which grows."""
    threads = [each for each in threading.enumerate() if not each.name.startswith("asyncio_")]
    descriptors = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that listed them
            descriptors.append(f"{descriptor} to {os.readlink(f'/proc/self/fd/{descriptor}')}")
    return frozenset[object]([*threads, *descriptors])


def assert_nothing_new(before: frozenset[object]) -> None:
    """Wait a while until nothing is held but what was held before; not on an event loop."""
    until = time.monotonic() + _PATIENCE
    while (new := held() - before) and time.monotonic() < until:
        time.sleep(0.01)
    assert not new
