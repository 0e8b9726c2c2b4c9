"""The kinds of Python values that formats deal with, known without importing their packages."""

import typing
from collections import abc
from enum import Enum
from typing import Any

from fileflow_async.errors import ConfigError, quoted


class Kind(Enum):
    """A kind of value; its own value is how messages call it."""

    PANDAS = "pandas.DataFrame"
    POLARS = "polars.DataFrame"
    ARROW = "pyarrow.Table"
    RECORDS = "list"
    MAPPING = "dict"
    ANY = "object"
    TEXT = "str"
    BYTES = "bytes"
    ITERATOR = "Iterator"

    @property
    def is_frame(self) -> bool:
        """Whether it is a table of one of the three packages."""
        return self in (Kind.PANDAS, Kind.POLARS, Kind.ARROW)


_NAMES = {
    **{kind.value: kind for kind in Kind},
    "pandas": Kind.PANDAS,
    "pd.DataFrame": Kind.PANDAS,
    "polars": Kind.POLARS,
    "pl.DataFrame": Kind.POLARS,
    "pyarrow": Kind.ARROW,
    "pa.Table": Kind.ARROW,
    "records": Kind.RECORDS,
    "json": Kind.ANY,
    "text": Kind.TEXT,
    "iterator": Kind.ITERATOR,
    "AsyncIterator": Kind.ITERATOR,
}
_TYPES: dict[Any, Kind] = {
    list: Kind.RECORDS,
    dict: Kind.MAPPING,
    abc.Mapping: Kind.MAPPING,
    abc.Sequence: Kind.RECORDS,
    object: Kind.ANY,
    Any: Kind.ANY,
    str: Kind.TEXT,
    bytes: Kind.BYTES,
    **dict.fromkeys(
        (abc.Iterator, abc.Iterable, abc.Generator, abc.AsyncIterator, abc.AsyncIterable), Kind.ITERATOR
    ),
}


def kind_of(wanted: Any) -> Kind | None:
    """Return the kind that a type, an annotation or a name asks for; None when it is none of ours.

    `pandas.DataFrame`, `"pandas"`, `list[dict[str, Any]]`, `Iterator[dict]`, `str` and the like.
    """
    if isinstance(wanted, Kind):
        return wanted
    if isinstance(wanted, str):
        return _NAMES.get(wanted)
    plain = typing.get_origin(wanted) or wanted
    try:
        known = _TYPES.get(plain)
    except TypeError:  # it cannot be a key, so it is no type either
        return None
    return known or (_of_package(plain) if isinstance(plain, type) else None)


def kind_of_value(value: Any) -> Kind | None:
    """Return the kind of a value that is to be written; None when it is none of ours."""
    if isinstance(value, str):
        return Kind.TEXT
    if isinstance(value, bytes | bytearray | memoryview):
        return Kind.BYTES
    if (kind := next(filter(None, map(_of_package, type(value).__mro__)), None)) is not None:
        return kind
    if isinstance(value, abc.Mapping):
        return Kind.MAPPING
    if isinstance(value, list | tuple):
        return Kind.RECORDS
    return Kind.ITERATOR if isinstance(value, abc.Iterable | abc.AsyncIterable) else None


def _of_package(kind: type) -> Kind | None:
    package = kind.__module__.partition(".")[0]
    if package == "pyarrow" and kind.__name__ == "RecordBatch":
        return Kind.ARROW
    name = f"{package}.{kind.__name__}"
    return _NAMES[name] if name in _FRAMES else None


_FRAMES = frozenset(kind.value for kind in Kind if kind.is_frame)


def check_kind(wanted: Any, allowed: typing.Sequence[Kind], format: str) -> Kind:
    """Return the kind that is asked for; by default the first of those that a format hands back.

    Raises:
        ConfigError: The format does not hand back such values.
    """
    if wanted is None:
        return allowed[0]
    kind = kind_of(wanted)
    if kind is not None and kind in allowed:
        return kind
    known = ", ".join(each.value for each in allowed)
    raise ConfigError(f"format {format!r} is not read as {called(wanted)}; known: {known}")


def called(wanted: Any) -> str:
    """Return how a message calls a type that somebody asked for."""
    if isinstance(wanted, Kind):
        return wanted.value
    return f"{wanted.__module__}.{wanted.__qualname__}" if isinstance(wanted, type) else quoted(wanted)
