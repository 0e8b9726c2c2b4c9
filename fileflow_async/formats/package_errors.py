"""What optional packages raise about data, in the words of this family."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fileflow_async.errors import FormatError
from fileflow_async.formats.encoding import not_valid

_PACKAGES = frozenset({"pyarrow", "polars", "pandas"})


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise a FormatError for what the packages raise about data; users' own errors pass untouched."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise not_valid(error.encoding, error) from error
    except _panics() as error:
        raise FormatError(f"{what}: {first_line(error)}") from error
    except Exception as error:
        package = type(error).__module__.partition(".")[0]
        if package not in _PACKAGES or isinstance(error, MemoryError):
            raise
        raise FormatError(f"{what}: {first_line(error)}") from error


def _panics() -> tuple[type[BaseException], ...]:
    """Return what polars raises when it panics, no Exception; where it is not loaded, it cannot."""
    polars = sys.modules.get("polars.exceptions")
    return () if polars is None else (polars.PanicException,)


@contextmanager
def damage(name: str, format: str) -> Iterator[None]:
    """Raise a FormatError for an OSError without a number: so pyarrow calls what it cannot understand."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise FormatError(f"{name!r} is not valid {format}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return the beginning of an error's text; the rest is in the traceback."""
    return (str(error).splitlines() or [""])[0][:200]
