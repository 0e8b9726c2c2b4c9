"""Turn values into bytes, whole or as they go, by formats of ours or of users.

Text, bytes, json, jsonl, csv, parquet and arrow are there. Never pickle, nor anything else that runs code
when it is read.
"""

from importlib import import_module
from types import ModuleType

from fileflow_async.formats.format import Facts, Format, Summary
from fileflow_async.formats.kinds import Kind, kind_of
from fileflow_async.formats.reading import batches, read, records
from fileflow_async.formats.registry import get, names, of_extension, register, unregister
from fileflow_async.formats.writing import write, write_to

__all__ = [
    "Facts",
    "Format",
    "Kind",
    "Summary",
    "batches",
    "get",
    "kind_of",
    "names",
    "of_extension",
    "read",
    "records",
    "register",
    "unregister",
    "write",
    "write_to",
]

# The modules of the formats, so that `formats.csv` is there once it is asked for.
_MODULES = frozenset({"arrow", "bytes", "csv", "json", "jsonl", "parquet", "text"})


def __getattr__(name: str) -> ModuleType:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
