"""The formats that there are, by name or by extension."""

import dataclasses
import difflib
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from fileflow_async.errors import ConfigError, quoted
from fileflow_async.formats.format import Format

# Reading them runs what is in them.
_UNSAFE = frozenset({"pickle", "pkl", "joblib", "dill", "cloudpickle", "marshal", "shelve"})
# name -> module and class; the modules import none of the packages that they use before they use them
_BUILT_IN = {
    "text": ("text", "Text"),
    "bytes": ("bytes", "Bytes"),
    "json": ("json", "Json"),
    "jsonl": ("jsonl", "Jsonl"),
    "csv": ("csv", "Csv"),
    "parquet": ("parquet", "Parquet"),
    "arrow": ("arrow", "Arrow"),
}
_formats: dict[str, Format] = {}


def register(format: Format, *, replace: bool = False) -> None:
    """Make a format known by its name and its extensions, in this process.

    Every process that writes or reads such data must do so; a module that all of them import is the place for
    it.

    Args:
        format: An instance, whose fields are the defaults of its options.
        replace: Whether it may take the place of another format, a built-in one included.

    Raises:
        ConfigError: The name or an extension belongs to another format, or is unsafe.
    """
    refuse_unsafe(format.name)
    for extension in format.extensions:
        refuse_unsafe(extension)
    if not replace:
        for other in _all():
            if other.name != format.name and (shared := set(other.extensions) & set(format.extensions)):
                raise ConfigError(f"extension {min(shared)!r} belongs to format {other.name!r} already")
        if format.name in names():
            raise ConfigError(f"there is a format {format.name!r} already; pass replace=True to replace it")
    _formats[format.name] = format


def unregister(name: str) -> None:
    """Forget a format that was registered; a built-in one that it replaced is back."""
    _formats.pop(name, None)


def names() -> list[str]:
    """Return the names of all formats, sorted."""
    return sorted({*_BUILT_IN, *_formats})


def get(format: Format | str, **options: Any) -> Format:
    """Return a format by its name, with some of its options changed.

    Raises:
        ConfigError: There is none of that name, or it is unsafe.
        TypeError: It has no such option.
    """
    if isinstance(format, str):
        refuse_unsafe(format)
        if (found := find(format)) is None:
            raise _unknown("format", format, names())
        format = found
    return dataclasses.replace(format, **options) if options else format


def find(name: str) -> Format | None:
    """Return a format by its name; None when there is none."""
    if name not in _formats and name in _BUILT_IN:
        module, member = _BUILT_IN[name]
        _formats[name] = getattr(import_module(f"fileflow_async.formats.{module}"), member)()
    return _formats.get(name)


def of_extension(extension: str) -> Format:
    """Return the format of data whose name ends so; of two extensions, the last may be a compression's.

    Raises:
        ConfigError: No format has it, or it is unsafe.
    """
    from fileflow_async.formats.compression import EXTENSIONS

    plain = extension.removeprefix(".").lower()
    head, _, last = plain.rpartition(".")
    if last in EXTENSIONS.values() and head:
        plain = head
    plain = plain.rpartition(".")[2]
    refuse_unsafe(plain)
    known = {each: format for format in _all() for each in format.extensions}
    if plain not in known:
        raise _unknown("extension", plain, sorted(known))
    return known[plain]


def refuse_unsafe(name: str) -> None:
    """Refuse formats that run code when they are read.

    Raises:
        ConfigError: It is one.
    """
    if name.lower() in _UNSAFE:
        raise ConfigError(f"format {name!r} is not supported (unsafe); use parquet, csv, json or bytes")


def _all() -> Iterable[Format]:
    return [format for name in names() if (format := find(name)) is not None]


def _unknown(what: str, name: str, known: list[str]) -> ConfigError:
    close = difflib.get_close_matches(name.lower(), known, n=1)
    suggestion = f" Did you mean {close[0]!r}?" if close else ""
    return ConfigError(f"unknown {what} {quoted(name)}; known: {', '.join(known)}.{suggestion}")
