"""Read everything once and compare it with its records."""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from fileflow_async.cli.exits import Exit
from fileflow_async.cli.output import Bar, Output
from fileflow_async.cli.place import opened
from fileflow_async.errors import FormatError, TargetCorruptError, TargetNotFoundError
from fileflow_async.inventory import targets
from fileflow_async.status import Status
from fileflow_async.store import TargetStore

_AT_ONCE = 8  # as many threads as a storage on disk has


@dataclass(slots=True)
class _Findings:
    """What was found.

    Attributes:
        read: How many versions were read to their end.
        size: Their bytes.
        uncommitted: How many targets have none.
        damaged: Which are not what their records say: key, data, why.
    """

    read: int = 0
    size: int = 0
    uncommitted: int = 0
    damaged: list[tuple[str, str | None, str]] = field(default_factory=list)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "prefix", nargs="?", default="", help="only keys that begin so, such as <dag>/<slot>/"
    )
    parser.add_argument("--history", action="store_true", help="older versions too")


async def run(options: argparse.Namespace, output: Output) -> int:
    """Print what is damaged."""
    findings = _Findings()
    async with opened(options) as store:
        keys = [key async for key in targets(store, options.prefix)]
        with output.progress("verified", total=len(keys)) as bar:
            await _verify(store, keys, findings, bar, history=options.history)
        root = store.root
    findings.damaged.sort()
    if output.as_json:
        damaged = [{"target": key, "data": data, "why": why} for key, data, why in findings.damaged]
        output.document(
            {
                "root": root,
                "targets": len(keys),
                "read": findings.read,
                "size": findings.size,
                "uncommitted": findings.uncommitted,
                "damaged": damaged,
            }
        )
    else:
        output.table(("DAMAGED", "DATA", "WHY"), findings.damaged)
        output.line(
            f"{_many(findings.read, 'version')} of {_many(len(keys), 'target')} read, "
            f"{_many(findings.size, 'byte')}; "
            f"{findings.uncommitted} without a commit; {len(findings.damaged)} damaged"
        )
    return Exit.NO if findings.damaged else Exit.OK


async def _verify(
    store: TargetStore, keys: Sequence[str], findings: _Findings, bar: Bar, *, history: bool
) -> None:
    left = iter(keys)

    async def work() -> None:
        for key in left:  # shared: each takes the next one
            await _verify_target(store, key, findings, history=history)
            bar.advance()

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_AT_ONCE):
                tasks.create_task(work())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the first: the others are about the same store


async def _verify_target(store: TargetStore, key: str, findings: _Findings, *, history: bool) -> None:
    try:
        versions = [await store.version(key)] if not history else await store.history(key)
    except TargetNotFoundError:
        findings.uncommitted += 1
        return
    except (TargetCorruptError, FormatError) as error:
        findings.damaged.append((key, None, str(error)))
        return
    findings.uncommitted += not versions
    for version in versions:
        await _verify_version(store, version, findings)


async def _verify_version(store: TargetStore, version: Status, findings: _Findings) -> None:
    reference, record = version.reference, version.manifest
    if reference is None or record is None:
        findings.damaged.append((version.key, None, version.why))
        return
    try:
        for part in (None,) if record.parts is None else [each.name for each in record.parts]:
            async with store.open(reference, part=part) as pieces:
                async for piece in pieces:
                    findings.size += len(piece)
    except TargetNotFoundError:
        return  # cleaned up meanwhile
    except TargetCorruptError as error:
        findings.damaged.append((version.key, record.data, str(error)))
    else:
        findings.read += 1


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
