"""Parse the command line and run the command."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn, Protocol, cast

from fileflow_async.cli.exits import Exit, exit_of
from fileflow_async.cli.output import Output
from fileflow_async.errors import FileflowError

# name -> what it does; the module of that name has the rest, and imports only what it needs
COMMANDS = {
    "ls": "list targets with the state that each is in",
    "show": "show one target: its record, inputs, checks and history",
    "cat": "write a target's data to standard output, verified",
    "head": "show the first rows or lines of a target",
    "verify": "read everything once and compare it with its records",
    "wait": "wait until targets are committed",
    "gc": "remove what is no longer needed; a dry run unless told otherwise",
    "migrate": "copy the files of the original fileflow into targets",
    "lineage": "show what a target was made from, as a tree",
    "doctor": "check the installation, Airflow and the store",
}
_EXITS = """\
exit codes: 0 well; 1 the answer is no, or something is wrong; 2 wrong usage or configuration;
3 not found; 4 the store does not answer; 5 it refuses; 124 out of time; 130 interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    options = _parsed(sys.argv[1:] if arguments is None else arguments)
    output = Output(as_json=options.json)
    command = _module(options.command)
    try:
        # Airflow 3 looks into its database only for processes that say what they are; it has no public word.
        os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
        return int(asyncio.run(command.run(options, output)))
    except FileflowError as error:
        output.error(error)
        return exit_of(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return Exit.PIPE_CLOSED


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    first = argparse.ArgumentParser(
        prog="fileflow",
        usage="fileflow COMMAND [ARGUMENTS]",
        description="Look at file targets, wait for them and clean up.\n\ncommands:\n"
        + "\n".join(f"  {name:<9} {what}" for name, what in COMMANDS.items()),
        epilog=f"`fileflow COMMAND --help` tells more of each.\n{_EXITS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    first.add_argument("--version", action=_Version, nargs=0, help="show the version")
    first.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    first.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    chosen = first.parse_args(arguments)
    what = COMMANDS[chosen.command]
    parser = argparse.ArgumentParser(
        prog=f"fileflow {chosen.command}", description=f"{what[0].upper()}{what[1:]}."
    )
    parser.set_defaults(command=chosen.command)
    _module(chosen.command).declare(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, errors too")
    store = parser.add_argument_group("store")
    store.add_argument("--root", help="URI of the store; by default [fileflow] root")
    store.add_argument("--conn-id", help="Airflow connection that opens it; by default [fileflow] conn_id")
    return parser.parse_args(chosen.arguments)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        parser.exit(message=f"fileflow-async {version('fileflow-async')}\n")


class Command(Protocol):
    """What the module of a command has."""

    def declare(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""
        ...

    async def run(self, options: argparse.Namespace, output: Output) -> int:
        """Do it, and return the exit code."""
        ...


def _module(name: str) -> Command:
    return cast(Command, import_module(f"fileflow_async.cli.{name}"))


def _forget_stdout() -> None:
    """Let the interpreter's last flush of standard output go nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
