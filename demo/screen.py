"""What the demo shows: lines that stay, so that they can be read afterwards and in a log."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from textwrap import wrap

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from demo.airflow_api import Slots
from demo.outcome import Verdict
from demo.watching import Change

_WIDTH = 118  # where nobody's terminal says otherwise: a log wraps nothing
_READABLE = 92
_MARKS = {
    "queued": ("·", "dim"),
    "scheduled": ("·", "dim"),
    "running": ("▶", "cyan"),
    "deferred": ("◌", "yellow"),
    "success": ("✓", "green"),
    "skipped": ("–", "dim"),
    "up_for_retry": ("↻", "magenta"),
    "failed": ("✗", "bold red"),
    "upstream_failed": ("✗", "red"),
}


class Screen:
    """Prints, with the seconds since it was made.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = _WIDTH
        self._began = time.monotonic()
        self._slots: Slots | None = None

    def busy(self, text: str) -> AbstractContextManager[object]:
        """Return a block in which a terminal shows that something goes on; a log shows its lines only."""
        return self._console.status(text) if self._console.is_terminal else nullcontext()

    def headline(self, text: str) -> None:
        """Begin a part."""
        self._console.print(f"\n[bold]{text}[/]\n")

    def paragraph(self, text: str) -> None:
        """Explain something, indented, as wide as it reads well."""
        width = min(self._console.width, _READABLE)
        for line in wrap(text, width, initial_indent="  ", subsequent_indent="  "):
            self._console.print(escape(line))

    def command(self, text: str) -> None:
        """Show what one may type; in one piece, so that it can be copied."""
        self._console.print(f"  [cyan]{escape(text)}[/]", soft_wrap=True)

    def ready(self, what: str) -> None:
        """Tell that something is as it should be."""
        self._line(f"[green]✓[/] {escape(what)}")

    def change(self, change: Change) -> None:
        """Tell that a task is in another state, with the slots at that moment."""
        state = change.instance.state
        if state is None:
            return
        mark, style = _MARKS.get(state, ("?", ""))
        self._line(f"[{style}]{mark} {escape(change.name):<22} {state:<12}[/]  {slots_of(change.slots)}")

    def outside(self, what: str) -> None:
        """Tell what somebody else does."""
        self._line(f"[blue]  {escape(what)}[/]")

    def targets(self, verdicts: Sequence[Verdict]) -> None:
        """List the targets, with what is wrong with them."""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for header in ("target", "state", "bytes", "sha256"):
            table.add_column(header, justify="right" if header == "bytes" else "left", no_wrap=True)
        for verdict in verdicts:
            status, style = verdict.status, "red" if verdict.problem else "green"
            state, record = f"[{style}]{status.state}[/]", status.manifest
            facts = (str(record.size), record.sha256[:12]) if record else ()
            table.add_row(escape(status.key), state, *facts)
            if origin := origin_of(verdict):
                table.add_row(f"  [dim]made from {escape(origin)}[/]")
            if verdict.value:
                table.add_row(f"  {escape(verdict.value)}")
        self._console.print(Padding(table, (0, 0, 0, 2), expand=False))

    def problem(self, text: str, lines: Sequence[str] = ()) -> None:
        """Tell what went wrong, with the end of a log."""
        self._console.print(f"[bold red]✗[/] {escape(text)}", soft_wrap=True)
        for line in lines:
            self._console.print(f"    [dim]{escape(line)}[/]", soft_wrap=True)

    def _line(self, markup: str) -> None:
        self._console.print(f"  [dim]{time.monotonic() - self._began:5.1f} s[/]  {markup}", soft_wrap=True)


def slots_of(slots: Slots) -> str:
    """Draw the slots of a pool: a full circle for each that is taken."""
    drawn = "●" * slots.occupied + "○" * (slots.total - slots.occupied)
    waiting = f"  {slots.deferred} waiting in the triggerer" if slots.deferred else ""
    return f"[dim]slots[/] {drawn}[yellow]{waiting}[/]"


def origin_of(verdict: Verdict) -> str:
    """Name the tasks whose data a target was made from; slots are those of the run, names always the same."""
    tasks = Counter(".".join(each.target.split("/")[0:3:2]) for each in verdict.inputs)
    return ", ".join(f"{task} ×{count}" if count > 1 else task for task, count in tasks.items())
