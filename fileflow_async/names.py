"""What an output can be called."""

import re
from collections.abc import Sequence

from fileflow_async.errors import TargetNameError, quoted

OUTPUT = "output"  # what an output is called that needs no name
ANY = "*"  # all that there are: no output can be called so

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_NAME_LIMIT = 100


def check_name(name: str) -> str:
    """Return `name` when it can be the name of an output.

    Raises:
        TargetNameError: It cannot.
    """
    if not isinstance(name, str):
        raise TargetNameError(f"target name must be a string, got {type(name).__name__}")
    if len(name) > _NAME_LIMIT:
        raise TargetNameError(f"target name is {len(name)} characters long; the limit is {_NAME_LIMIT}")
    if not name:
        raise TargetNameError("target name is empty")
    if not _NAME.fullmatch(name):
        raise TargetNameError(
            f"target name {quoted(name)} may only contain letters, digits, '_', '-', '.' "
            "and must not start with '.' or '-'"
        )
    return name


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of outputs, each once, when they can be those of a set.

    Raises:
        TargetNameError: One of them cannot be one, or there is none.
    """
    checked = tuple(dict.fromkeys(map(check_name, names)))
    if not checked:
        raise TargetNameError("a set of outputs needs at least one name, or '*' for all of them")
    return checked


def is_name(text: str) -> bool:
    """Tell whether an output can be called so; the instances of a mapped task are not."""
    try:
        check_name(text)
    except TargetNameError:
        return False
    return True
