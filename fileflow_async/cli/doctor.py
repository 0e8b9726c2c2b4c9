"""Check the installation, Airflow and the store."""

import argparse
import asyncio
from collections.abc import AsyncIterator

from fileflow_async.cli.exits import Exit
from fileflow_async.cli.findings import Finding, Verdict, wrong
from fileflow_async.cli.output import Output
from fileflow_async.cli.place import opened
from fileflow_async.config import Settings
from fileflow_async.errors import FileflowError


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--no-airflow", action="store_true", help="leave out what only Airflow can answer")


async def run(options: argparse.Namespace, output: Output) -> int:
    """Print a line for each check, and what to do about what is wrong."""
    findings = list[Finding]()
    async for finding in _findings(options):
        findings.append(finding)
        if not output.as_json:
            output.verdict(str(finding.verdict), f"{finding.check}: {finding.what}", finding.hint)
    must_be_mended = any(finding.verdict is Verdict.WRONG for finding in findings)
    if output.as_json:
        payloads = [finding.to_payload() for finding in findings]
        output.document({"ok": not must_be_mended, "findings": payloads})
    return Exit.NO if must_be_mended else Exit.OK


async def _findings(options: argparse.Namespace) -> AsyncIterator[Finding]:
    from fileflow_async.cli import airflow_checks, machine_checks, store_checks

    try:
        settings = await asyncio.to_thread(Settings.load, root=options.root, conn_id=options.conn_id)
    except FileflowError as error:
        yield wrong("settings", error)
        return
    yield Finding("settings", Verdict.OK, f"root {settings.root}, connection {settings.conn_id or 'none'}")
    try:
        async with opened(options) as store:
            yield Finding("root", Verdict.OK, f"{store.root} can be opened")
            async for finding in store_checks.findings(store):
                yield finding
            for finding in await asyncio.to_thread(machine_checks.findings, store.root):
                yield finding
    except FileflowError as error:
        yield wrong("root", error)
    for finding in await asyncio.to_thread(airflow_checks.settings_findings, settings):
        yield finding
    if not options.no_airflow:
        for check in (airflow_checks.importable, airflow_checks.triggerer):
            yield await asyncio.to_thread(check)
