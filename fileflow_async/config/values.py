"""Values that can be configured, or given to a task: what each must be."""

import math
import os
from datetime import timedelta
from typing import Any

from fileflow_async.errors import ConfigError, quoted

# YAML reads an unquoted on and off as booleans, so that docker compose hands over true and false.
_SWITCH = {"on": "on", "off": "off", "true": "on", "false": "off"}


def is_number(value: object) -> bool:
    """Tell whether it counts something: a finite number, but not a boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_seconds(value: Any, name: str = "timeout") -> float:
    """Return a time span in seconds, given as a number of them or as a timedelta.

    Raises:
        ConfigError: It is none, or not longer than nothing.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not is_number(seconds) or seconds <= 0:
        raise ConfigError(f"{name} must be a positive number of seconds, got {quoted(value)}")
    return float(seconds)


def check_poke_interval(value: Any, name: str = "poke_interval") -> float:
    """Return an interval between two looks, in seconds.

    Raises:
        ConfigError: It is none, or so short that the looks would be a burden.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if is_number(seconds) and seconds < 1:
        raise ConfigError(f"{name} must be at least 1 second, got {quoted(value)}")
    return check_seconds(value, name)


def check_root(value: Any, name: str = "root") -> str:
    """Return the text of a root, which `storage.resolve.parse_root` understands.

    Raises:
        ConfigError: There is none.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is None or value == "":
        raise ConfigError("[fileflow] root is not set (or AIRFLOW__FILEFLOW__ROOT)")
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a string, got {type(value).__name__}")
    return value


def check_text(value: Any, name: str) -> str | None:
    """Return a text, or None for an empty one.

    Raises:
        ConfigError: It is something else.
    """
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{name} must be a string, got {type(value).__name__}")
    return value or None


def check_wait(value: Any, name: str) -> float:
    """Return a time span in seconds, of any length.

    Raises:
        ConfigError: It is not one.
    """
    if not is_number(value) or value < 0:
        raise ConfigError(f"{name} must be a number of seconds >= 0, got {quoted(value)}")
    return float(value)


def check_days(value: Any, name: str) -> int:
    """Return a number of days.

    Raises:
        ConfigError: It is not one.
    """
    if type(value) is not int or value < 0:
        raise ConfigError(f"{name} must be an integer >= 0, got {quoted(value)}")
    return value


def check_switch(value: Any, name: str) -> str:
    """Return `on` or `off`.

    Raises:
        ConfigError: It is neither.
    """
    if str(value).lower() not in _SWITCH:
        raise ConfigError(f"{name} must be 'on' or 'off', got {quoted(value)}")
    return _SWITCH[str(value).lower()]


def check_durability(value: Any, name: str) -> str:
    """Return `fsync` or `none`.

    Raises:
        ConfigError: It is neither.
    """
    if value not in ("fsync", "none"):
        raise ConfigError(f"{name} must be 'fsync' or 'none', got {quoted(value)}")
    return str(value)


def check_buckets(value: Any, name: str) -> tuple[str, ...]:
    """Return names of buckets.

    Raises:
        ConfigError: They are something else.
    """
    if not isinstance(value, list | tuple) or not all(isinstance(bucket, str) for bucket in value):
        raise ConfigError(f"{name} must be names of buckets, got {quoted(value)}")
    return tuple(value)


def words(text: str) -> tuple[str, ...]:
    """Return what stands between commas or spaces."""
    return tuple(text.replace(",", " ").split())
