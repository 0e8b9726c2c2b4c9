"""The way to a value inside JSON."""

import re
from typing import Any, cast

from fileflow_async.errors import ConfigError, quoted

_STEP = re.compile(r"""\.([A-Za-z_][\w-]*)|\[(-?\d+)\]|\[(?:'([^']*)'|"([^"]*)")\]""", re.ASCII)
_LONGEST = 1000  # characters

Steps = tuple[str | int, ...]


class NotThereError(LookupError):
    """There is no value at the end of the path."""


def parse_path(path: object) -> Steps:
    """Return the steps of a path such as `$.jobs[0].state` or `$['a key'][-1]`.

    Raises:
        ConfigError: It is none. Wildcards, filters and `..` are not understood: a path leads to one value.
    """
    if not isinstance(path, str) or not path.startswith("$") or len(path) > _LONGEST:
        raise ConfigError(f"a JSON path must begin with '$', such as $.jobs[0].state; got {quoted(path)}")
    steps: list[str | int] = []
    position = 1
    while position < len(path):
        found = _STEP.match(path, position)
        if found is None:
            raise ConfigError(
                f"the JSON path {quoted(path)} cannot be understood from {path[position:]!r} on"
            )
        name, index, single, double = found.groups()
        steps.append(
            int(index) if index is not None else next(x for x in (name, single, double) if x is not None)
        )
        position = found.end()
    return tuple(steps)


def value_at(value: Any, steps: Steps) -> Any:
    """Return what is at the end of a path.

    Raises:
        NotThereError: Nothing is.
    """
    for step in steps:
        try:
            if isinstance(step, int) != isinstance(value, list) or not isinstance(value, list | dict):
                raise NotThereError(step)
            value = cast(Any, value)[step]
        except (IndexError, KeyError):
            raise NotThereError(step) from None
    return value
