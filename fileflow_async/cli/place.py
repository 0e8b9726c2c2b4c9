"""Which store and which target the arguments of a command name."""

import argparse
import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

from fileflow_async.config import Settings
from fileflow_async.hooks.store import open_store
from fileflow_async.storage.resolve import parse_root, target_of_uri
from fileflow_async.store import TargetStore
from fileflow_async.target import check_key


def opened(
    options: argparse.Namespace, root: str | None = None, **more: Any
) -> AbstractAsyncContextManager[TargetStore]:
    """Open the store that the options name, or that of another root with the same connection."""
    return open_store(root or options.root, options.conn_id, impatient=True, **more)


async def place_of(options: argparse.Namespace, name: str) -> tuple[str | None, str]:
    """Return the root and the key of a target, which is named by its key or its URI.

    The root is None where it is the one that is configured: its connection belongs to it.

    Raises:
        TargetNameError: It is neither.
    """
    name = name.rstrip("/")  # as a shell completes a folder
    if "://" not in name and not name.startswith("/"):
        return options.root, check_key(name)
    root, key = target_of_uri(name)
    own = options.root or (await asyncio.to_thread(Settings.load)).root
    return (options.root if root == str(parse_root(own)) else root), key
