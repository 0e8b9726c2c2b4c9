"""List targets with the state that each is in."""

import argparse
from collections.abc import AsyncIterator

from fileflow_async.cli.described import producer_of, status_payload, when
from fileflow_async.cli.exits import Exit
from fileflow_async.cli.output import Output
from fileflow_async.cli.place import opened
from fileflow_async.inventory import targets
from fileflow_async.status import State, Status, unreadable
from fileflow_async.store import TargetStore

_AT_ONCE = 200  # targets looked at together: on S3, those of one run cost one request


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "prefix", nargs="?", default="", help="only keys that begin so, such as <dag>/<slot>/"
    )
    parser.add_argument(
        "--state", action="append", choices=[state.lower() for state in State], help="only these; repeatable"
    )
    parser.add_argument("--limit", type=int, help="at most so many")


async def run(options: argparse.Namespace, output: Output) -> int:
    """Print a line for each target."""
    rows = []
    async with opened(options) as store:
        async for status in _found(store, options):
            payload = status_payload(status)
            if output.as_json:
                output.document(payload)
                continue
            sizes = payload["size"], payload["rows"]
            rows.append((status.key, status.state, *sizes, when(status), producer_of(status)))
    output.table(("TARGET", "STATE", "#SIZE", "#ROWS", "WHEN", "PRODUCER"), rows)
    return Exit.OK


async def _found(store: TargetStore, options: argparse.Namespace) -> AsyncIterator[Status]:
    wanted, left = set(options.state or ()), options.limit
    async for status in _statuses(store, options.prefix):
        if left is not None and left <= 0:
            return
        if not wanted or status.state.lower() in wanted:
            yield status
            left = None if left is None else left - 1


async def _statuses(store: TargetStore, prefix: str) -> AsyncIterator[Status]:
    keys = list[str]()
    async for key in targets(store, prefix):
        keys.append(key)
        if len(keys) == _AT_ONCE:
            for status in await _look(store, keys):
                yield status
            keys.clear()
    for status in await _look(store, keys):
        yield status


async def _look(store: TargetStore, keys: list[str]) -> list[Status]:
    seen = await store.states(keys)
    return [each if isinstance(each := seen[key], Status) else unreadable(key, each) for key in keys]
