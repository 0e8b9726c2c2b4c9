"""Sets of HTTP's statuses."""

import re
from collections.abc import Sequence
from typing import Any

from fileflow_async.errors import ConfigError, quoted

_CLASS = re.compile(r"([1-5])xx", re.IGNORECASE)
_RANGE = re.compile(r"([1-5]\d\d)-([1-5]\d\d)")

GOOD = frozenset(range(200, 300))
# Not there yet, too slow, too early, too often, and whatever happens to the server.
PASSING = frozenset({404, 408, 425, 429, *range(500, 600)})


def statuses(given: Any, name: str) -> frozenset[int]:
    """Return the set that people write as `[200, "4xx", "500-503"]`.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ConfigError(f"{name} must be a list such as [200, '4xx', '500-503'], got {quoted(given)}")
    found: set[int] = set()
    for each in given:
        found |= _some(each, name)
    return frozenset(found)


def _some(each: Any, name: str) -> set[int]:
    if type(each) is int and 100 <= each <= 599:
        return {each}
    if isinstance(each, str):
        if whole := _CLASS.fullmatch(each):
            return set(range(int(whole[1]) * 100, int(whole[1]) * 100 + 100))
        if (span := _RANGE.fullmatch(each)) and int(span[1]) <= int(span[2]):
            return set(range(int(span[1]), int(span[2]) + 1))
    raise ConfigError(f"{name} has {quoted(each)}, which is neither a status nor a range of them")
