"""Write a target's data to standard output."""

import argparse
import asyncio
import sys

from fileflow_async.cli.exits import Exit
from fileflow_async.cli.output import Output
from fileflow_async.cli.place import opened, place_of
from fileflow_async.cli.versions import declare_version, version_of


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    declare_version(parser)


async def run(options: argparse.Namespace, output: Output) -> int:
    """Print the bytes as they come; damage is an error at their end."""
    root, key = await place_of(options, options.key)
    async with opened(options, root) as store:
        version = await version_of(store, key, options.version)
        async with store.open(version, part=options.part) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(_write, piece)  # whoever reads may be slow
    return Exit.OK


def _write(piece: bytes) -> None:
    left = memoryview(piece)
    while left:  # unbuffered, as by PYTHONUNBUFFERED, it may take a part only
        left = left[sys.stdout.buffer.write(left) :]
    sys.stdout.buffer.flush()
