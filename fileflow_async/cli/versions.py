"""Which version of a target a command reads, and which part of it."""

import argparse

from fileflow_async.errors import TargetNotFoundError, quoted
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference


def declare_version(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name it."""
    parser.add_argument("key", metavar="KEY", help="<dag>/<slot>/<task>[/map=<i>]/<name>, or a whole URI")
    parser.add_argument("--part", help="which file, where the target is a folder")
    parser.add_argument("--version", metavar="DATA", help="an older version, by the name that `show` gives")


async def version_of(store: TargetStore, key: str, data: str | None) -> Reference | str:
    """Return the version of that name; the key, which stands for the newest, when none is asked for.

    Raises:
        TargetNotFoundError: It is not kept.
    """
    if data is None:
        return key
    for status in await store.history(key):
        if (reference := status.reference) is not None and reference.data == data:
            return reference
    raise TargetNotFoundError(
        f"{store.storage.uri(key)} keeps no version {quoted(data)}",
        hint=f"`fileflow show {key}` lists those that it keeps.",
    )
