"""Wait until targets are committed."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

from fileflow_async.cli.exits import Exit
from fileflow_async.cli.output import Output
from fileflow_async.cli.place import opened, place_of
from fileflow_async.cli.spans import moment, span
from fileflow_async.clock import SystemClock
from fileflow_async.config import Settings
from fileflow_async.criteria import Criteria
from fileflow_async.outcome import Outcome, WaitEvent
from fileflow_async.status import Status
from fileflow_async.waiting import Wait
from fileflow_async.watch import Inbox, Source, Watch, source_of

_CLOCK = SystemClock()
_EXITS = {Outcome.READY: Exit.OK, Outcome.TIMEOUT: Exit.TIMEOUT}


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("keys", nargs="+", metavar="KEY", help="a target's key, or its whole URI")
    parser.add_argument("--any", action="store_true", help="one of them is enough")
    parser.add_argument("--timeout", type=span, metavar="SPAN", help="90s, 15m, 2h; by default never")
    parser.add_argument("--poke-interval", type=span, metavar="SPAN", help="between two looks at a store")
    parser.add_argument(
        "--newer-than",
        type=moment,
        metavar="MOMENT",
        help="older commits do not count; 2026-11-20T06:00Z, 2h",
    )
    parser.add_argument("--on-empty", choices=("accept", "fail", "wait"), default="accept")


async def run(options: argparse.Namespace, output: Output) -> int:
    """Tell what is missing whenever that changes, and print how the wait has ended."""
    settings = await asyncio.to_thread(Settings.load, poke_interval=options.poke_interval)
    names: dict[str | None, dict[str, str]] = {}
    for name in options.keys:
        root, key = await place_of(options, name)
        names.setdefault(root, {}).setdefault(key, name)  # named twice, it is one target
    wait = Wait(
        targets=tuple(name for each in names.values() for name in each.values()),
        criteria=Criteria(
            when="any" if options.any else "all", newer_than=options.newer_than, on_empty=options.on_empty
        ),
    )
    wait.check()
    inbox = Inbox()
    async with AsyncExitStack() as stack:
        for root, its in names.items():
            async with opened(options, root):
                pass  # what is wrong with the store is an error now; later it is something to wait for
            opening = partial(_source, options, root)
            watch = Watch.join(root, opening, interval=settings.poke_interval, clock=_CLOCK)
            (await stack.enter_async_context(watch)).subscribe(its, inbox)
        event = await _ended(wait, inbox, options.timeout, output)
    if output.as_json:
        output.document(event.to_payload())
    else:
        output.line(f"{event.outcome}: {event.describe()}")
    return _EXITS.get(event.outcome, Exit.NO)


@asynccontextmanager
async def _source(options: argparse.Namespace, root: str | None) -> AsyncIterator[Source]:
    async with opened(options, root) as store, source_of(store) as source:
        yield source


async def _ended(wait: Wait, inbox: Inbox, seconds: float | None, output: Output) -> WaitEvent:
    """Return how the wait ends, and tell meanwhile what it waits for."""
    told: dict[str, str] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (event := wait.decide(inbox.statuses, _CLOCK.monotonic())) is None:
                _tell(wait, inbox.statuses, told, output)
                await inbox.changed()
            return event
    return wait.event(Outcome.TIMEOUT, inbox.statuses)


def _tell(wait: Wait, statuses: Mapping[str, Status], told: dict[str, str], output: Output) -> None:
    """Say of each target whose state has changed what it is in."""
    for name, status in statuses.items():
        if told.get(name) != status.state:
            told[name] = status.state
            if not output.as_json:
                ready = "ready" if wait.is_ready(name, status) else "waiting for"
                output.note(f"{ready} {name} ({wait.why(name, status)})")
