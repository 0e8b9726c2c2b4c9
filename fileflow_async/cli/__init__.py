"""The `fileflow` command: a module for each of its commands, imported when it is asked for."""

from fileflow_async.cli.command_line import main

__all__ = ["main"]
