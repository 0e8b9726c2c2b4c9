"""Remove what is no longer needed."""

import argparse
import asyncio
from dataclasses import replace

from fileflow_async.cli.exits import Exit
from fileflow_async.cli.output import Output
from fileflow_async.cli.place import opened
from fileflow_async.cli.spans import span
from fileflow_async.retention import Report, Rules, gc


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("prefix", nargs="?", default="", help="only keys that begin so, such as <dag>/")
    parser.add_argument("--delete", action="store_true", help="do it; without, only say what would be done")
    parser.add_argument("--keep", type=int, metavar="N", help="commits of each target to keep; by default 2")
    parser.add_argument(
        "--keep-for", type=span, metavar="SPAN", help="keep all that is younger; by default retention_days"
    )


async def run(options: argparse.Namespace, output: Output) -> int:
    """Print what was removed, or would be."""
    rules = await asyncio.to_thread(_rules, options)
    async with opened(options) as store:
        with output.progress("removed" if options.delete else "found") as bar:
            report = await gc(
                store,
                dry_run=not options.delete,
                rules=rules,
                prefix=options.prefix,
                progress=lambda _: bar.advance(),
            )
    if output.as_json:
        output.document(_payload(report))
    else:
        _print(report, output)
    return Exit.OK


def _rules(options: argparse.Namespace) -> Rules:
    rules = Rules.configured()  # it may read airflow.cfg
    if options.keep is not None:
        rules = replace(rules, commits=options.keep)
    return rules if options.keep_for is None else replace(rules, commits_for=options.keep_for)


def _payload(report: Report) -> dict[str, object]:
    removed = [{"key": each.key, "size": each.size, "reason": each.reason} for each in report.doomed]
    return {"dry_run": report.dry_run, "kept": report.kept, "size": report.size, "removed": removed}


def _print(report: Report, output: Output) -> None:
    output.table(("KEY", "#SIZE", "REASON"), [(each.key, each.size, each.reason) for each in report.doomed])
    what = "would be removed" if report.dry_run else "removed"
    output.line(f"{len(report.doomed)} objects {what}, {report.size} bytes; {report.kept} kept")
    if report.dry_run and report.doomed:
        output.line("this was a dry run; --delete does it")
