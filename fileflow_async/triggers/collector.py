"""Python's garbage collector, in a process that is full of waits."""  # ADR 0038

import gc
from contextlib import suppress

from fileflow_async.aside import aside
from fileflow_async.config import Settings
from fileflow_async.errors import ConfigError

_USUAL, _RARE = 10, 100  # collections of the middle generation from one of all objects to the next

_is_settled = False  # for the process, as the collector is


async def collect_rarely() -> None:
    """Let Python go over all objects ten times more rarely, unless somebody has said how often.

    Each time all triggers stand still: for all that Airflow has imported, and for all waits.
    """
    global _is_settled
    if _is_settled:
        return
    _is_settled = True
    young, middle, old = gc.get_threshold()
    try:
        if old == _USUAL and await _may():
            gc.set_threshold(young, middle, _RARE)
    except BaseException:
        _is_settled = False  # by the next wait
        raise


async def _may() -> bool:
    with suppress(ConfigError):  # whoever opens a store says what is wrong
        return (await aside(Settings.load)).collect_rarely == "on"
    return False
