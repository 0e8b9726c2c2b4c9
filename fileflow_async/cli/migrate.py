"""Copy the files of the original fileflow into targets."""

import argparse
import os
from collections import Counter
from datetime import UTC, datetime, time

from fileflow_async.cli.exits import Exit
from fileflow_async.cli.output import Output
from fileflow_async.cli.place import opened
from fileflow_async.hooks.store import open_store
from fileflow_async.migration import Fate, Migrated, migrate


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "source", type=_root, metavar="SOURCE", help="the original's storage_prefix, or s3://bucket"
    )
    parser.add_argument("prefix", nargs="?", default="", help="only files below it: <dag>/ or <dag>/<task>/")
    parser.add_argument("--copy", action="store_true", help="do it; without, only say what would be done")
    parser.add_argument("--format", help="what the files are: csv, json, text, …; by default not recorded")
    parser.add_argument(
        "--at", type=_time, default="00:00", metavar="HH:MM", help="time of day of the runs, in UTC"
    )
    parser.add_argument("--source-conn-id", metavar="ID", help="Airflow connection that opens the source")


async def run(options: argparse.Namespace, output: Output) -> int:
    """Print what became of each file, or would."""
    files = list[Migrated]()
    async with opened(options) as store, open_store(options.source, options.source_conn_id) as old:
        with output.progress("copied" if options.copy else "found") as bar:
            async for file in migrate(
                old.storage,
                store,
                dry_run=not options.copy,
                prefix=options.prefix,
                at=options.at,
                format=options.format,
            ):
                files.append(file)
                bar.advance()
    if output.as_json:
        output.document({"dry_run": not options.copy, "files": [_payload(file) for file in files]})
    else:
        _print(files, output, dry_run=not options.copy)
    bad = (Fate.DIFFERENT, Fate.UNKNOWN, Fate.FAILED)
    return Exit.NO if any(file.fate in bad for file in files) else Exit.OK


def _root(text: str) -> str:
    return text if "://" in text else os.path.abspath(text)  # noqa: PTH100  # which keeps links as they are


def _time(text: str) -> time:
    try:
        return datetime.strptime(text, "%H:%M").time().replace(tzinfo=UTC)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time of day; write 06:00") from None


def _payload(file: Migrated) -> dict[str, object]:
    return {
        "source": file.source,
        "size": file.size,
        "fate": file.fate,
        "target": file.target,
        "sha256": file.sha256,
        "why": file.why,
    }


def _print(files: list[Migrated], output: Output, *, dry_run: bool) -> None:
    output.table(
        ("FILE", "#SIZE", "", "TARGET", "WHY"),
        [(file.source, file.size, file.fate, file.target, file.why) for file in files],
    )
    counts = Counter(file.fate for file in files)
    said = ", ".join(f"{counts[fate]} {fate}" for fate in Fate if counts[fate])
    output.line(f"{len(files)} files: {said}" if files else "no files")
    if dry_run and counts[Fate.NEW]:
        output.line("this was a dry run; --copy does it")
