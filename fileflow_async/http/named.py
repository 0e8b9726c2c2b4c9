"""Functions that are named by their dotted path."""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

from fileflow_async.errors import ConfigError, quoted

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)


def check_path(path: object, name: str) -> str:
    """Return what can be the dotted path of a function.

    Raises:
        ConfigError: It cannot.
    """
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise ConfigError(f"{name} must be the dotted path of a function, got {quoted(path)}")
    return path


def function_named(path: str, name: str) -> Callable[..., Any]:
    """Import a function; not for an event loop.

    Raises:
        ConfigError: There is none.
    """
    module, _, attribute = check_path(path, name).rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:
        raise ConfigError(
            f"{name} {path!r} cannot be imported: {type(error).__name__}: {error}",
            hint="The triggerer imports it too, and does not know what is in the DAGs' files.",
        ) from error
    if not callable(found):
        raise ConfigError(f"{name} {path!r} is a {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]
