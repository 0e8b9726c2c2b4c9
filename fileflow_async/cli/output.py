"""What a command prints: text and tables for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from fileflow_async.errors import FileflowError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text
    from rich.tree import Tree

_WIDE = 100_000  # columns, where nobody looks: a line of a file is not wrapped
_STYLES = {
    "COMPLETE": "green",
    "EMPTY": "yellow",
    "IN_PROGRESS": "cyan",
    "ABANDONED": "yellow",
    "CORRUPT": "bold red",
    "FAILED": "red",
    "UNREADABLE": "red",
    "ok": "green",
    "advice": "yellow",
    "unknown": "cyan",
    "wrong": "bold red",
}


def printable(value: object) -> str:
    """Return a text without characters that could command a terminal: names and data are others' words."""
    text = "" if value is None else str(value)
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


class Output:
    """Where a command prints to.

    Args:
        as_json: Whether results and errors are JSON.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    def document(self, payload: Mapping[str, Any]) -> None:
        """Print a JSON object, in one line."""
        _write(sys.stdout, json.dumps(payload, ensure_ascii=False, default=str) + "\n")

    def line(self, text: str = "") -> None:
        """Print a line of text."""
        _write(sys.stdout, printable(text) + "\n")

    def note(self, text: str) -> None:
        """Print a line that is not part of the result."""
        _write(sys.stderr, printable(text) + "\n")

    def error(self, error: FileflowError) -> None:
        """Print an error with its hints: one line, and one for each hint."""
        hints = getattr(error, "__notes__", ())
        if self.as_json:
            payload = {"error": type(error).__name__, "message": str(error), "hints": list(hints)}
            _write(sys.stderr, json.dumps(payload, ensure_ascii=False) + "\n")
            return
        self.note(f"fileflow: {error}")
        for hint in hints:
            self.note(f"  {hint}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table; nothing where there are no rows. A column whose name begins with # has numbers."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
        for column in columns:
            table.add_column(column.removeprefix("#"), justify="right" if column[:1] == "#" else "left")
        for row in rows:
            cells = (printable(cell) for cell in row)
            table.add_row(*(Text(cell, style=_STYLES.get(cell, ""), overflow="fold") for cell in cells))
        if table.row_count:
            self._print(table)

    @contextmanager
    def progress(self, description: str, *, total: float | None = None) -> Iterator["Bar"]:
        """Show a bar while the block lasts, where somebody looks."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = _console(sys.stderr)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f} of {task.total:.0f}" if total else "{task.completed:.0f}"),
            TimeRemainingColumn(),
        )
        quiet = self.as_json or not console.is_terminal
        with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
            yield Bar(progress, description, total)

    def verdict(self, word: str, text: str, hint: str = "") -> None:
        """Print how a check ended, with what to do about it below."""
        from rich.text import Text

        lines = Text(f"{word:<8}", style=_STYLES.get(word, ""))
        lines.append(printable(text), style="default")
        if hint:
            lines.append(f"\n{'':<8}{printable(hint)}", style="dim")
        self._print(lines)

    def tree(self, tree: "Tree") -> None:
        """Print a tree."""
        self._print(tree)

    def _print(self, drawing: "Table | Tree | Text") -> None:
        console = _console(sys.stdout)
        with console.capture() as captured:
            console.print(drawing)
        text = captured.get()
        if not console.is_terminal:
            text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
        _write(sys.stdout, text)


class Bar:
    """A bar that shows how far a command is."""

    def __init__(self, progress: "Progress", description: str, total: float | None) -> None:
        self._progress = progress
        self._task = progress.add_task(description, total=total)

    def advance(self, by: float = 1.0) -> None:
        """Show that so much more is done."""
        self._progress.advance(self._task, by)


def _console(file: TextIO) -> "Console":
    from rich.console import Console

    width = None if file.isatty() else _WIDE
    return Console(file=file, width=width, markup=False, emoji=False, highlight=False)


def _write(file: TextIO, text: str) -> None:
    file.write(text)
    file.flush()
