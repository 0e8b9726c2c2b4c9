"""The table of faults and goals: what may happen, what must hold, and which tests show it."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

TESTS = Path(__file__).parents[1]
TABLE = Path(__file__).with_name("matrix.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        id: A number for a fault, `G` and a number for a goal.
        what: The fault, or the goal.
        expected: What must hold, or the figure that is aimed at.
        made: How the fault is made here, or where the goal stands.
        tests: Which tests show it: files below `tests/`, with the names of tests or without.
        tried: Whose counts belong to it, by what the tests call them, perhaps with `: ` and one outcome.
        e2e: Modules of the end-to-end run, which show the same in a whole Airflow.
        peer: What others did in the same place.
    """

    id: str
    what: str
    expected: str
    made: str
    tests: Sequence[str]
    tried: Sequence[str] = ()
    e2e: Sequence[str] = ()
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """All lines."""

    faults: Sequence[Row]
    goals: Sequence[Row]

    @classmethod
    def load(cls) -> Self:
        """Read the table."""
        table = tomllib.loads(TABLE.read_text())
        return cls(_rows(table["fault"]), _rows(table["goal"]))

    @property
    def rows(self) -> Sequence[Row]:
        """Faults, then goals."""
        return (*self.faults, *self.goals)

    def tests(self, ids: Sequence[str] = ()) -> Sequence[str]:
        """Return the tests of some rows, or of all, each once."""
        chosen = [row for row in self.rows if not ids or row.id in ids]
        if unknown := set(ids) - {row.id for row in self.rows}:
            raise SystemExit(f"there is no row {', '.join(sorted(unknown))}")
        return sorted({test for row in chosen for test in row.tests})


def _rows(table: Mapping[str, Mapping[str, Any]]) -> Sequence[Row]:
    return tuple(Row(id=name, **facts) for name, facts in table.items())
