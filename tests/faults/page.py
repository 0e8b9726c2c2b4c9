"""The page on reliability, made of the table and of what was tried."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.faults.matrix import TESTS, Matrix, Row
from tests.faults.run import Record

PAGE = TESTS.parent / "docs" / "reliability.md"
_TEMPLATE = Path(__file__).with_name("page.md")


def page(matrix: Matrix, record: Record) -> str:
    """Render it."""
    faults = ([row.id, row.what, row.made, row.expected, tried(row, record)] for row in matrix.faults)
    goals = ([row.id, row.what, row.expected, row.made, tried(row, record)] for row in matrix.goals)
    peers = ([row.id, row.what, row.peer] for row in matrix.faults if row.peer)
    sources = (f"- **{row.id}**: {', '.join(f'`{each}`' for each in shown_by(row))}" for row in matrix.rows)
    return _TEMPLATE.read_text().format(
        faults=table(["", "Fault", "Made by", "Must hold", "Tried"], faults),
        goals=table(["", "Goal", "Figure", "Where it stands", "Tried"], goals),
        peers=table(["", "Fault", "What happened"], peers),
        counts=table(["What", "Form", "Outcomes"], counted(record)),
        tests="\n".join(sources),
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows))


def tried(row: Row, record: Record) -> str:
    """Say how often a row was tried."""
    found = [f"{count:,} {what.partition(':')[0]}" for what in row.tried if (count := record.count(what))]
    if passed := record.passed(row.tests):
        found.append(f"{passed:,} test{'s' * (passed != 1)}")
    if row.e2e:
        found.append("a whole Airflow")
    return ", ".join(found) or "not counted yet"


def counted(record: Record) -> Iterator[Sequence[str]]:
    """Yield each thing that is counted, with its outcomes."""
    for name, kept in sorted(record.tried.items()):
        counts = sorted(kept["counts"].items(), key=lambda count: (-count[1], count[0]))
        yield name, kept["form"], ", ".join(f"{number:,} {outcome}" for outcome, number in counts)


def shown_by(row: Row) -> Sequence[str]:
    """Return what shows a row."""
    return [*row.tests, *(f"e2e/{name}" for name in row.e2e)]
