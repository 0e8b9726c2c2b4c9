"""The table names tests that there are, and the page is what it says."""

from collections import Counter
from importlib import import_module

import pytest

from tests.faults.matrix import TESTS, Matrix, Row
from tests.faults.page import PAGE, page
from tests.faults.run import RECORD, Record, Run

MATRIX = Matrix.load()
EACH_ROW = pytest.mark.parametrize("row", MATRIX.rows, ids=lambda row: row.id)


def test_all_rows_are_there() -> None:
    """Thirty faults and twenty goals, in their order."""
    assert [row.id for row in MATRIX.faults] == [str(number) for number in range(1, 31)]
    assert [row.id for row in MATRIX.goals] == [f"G{number}" for number in range(1, 21)]


@EACH_ROW
def test_the_tests_of_a_row_exist(row: Row) -> None:
    """As pytest finds them: test files, test functions, inherited ones too."""
    assert row.tests
    for test in row.tests:
        file, *names = test.split("::")
        path = TESTS / file
        assert path.is_file(), test
        assert path.name.startswith("test_"), test
        found: object = import_module("tests." + file.removesuffix(".py").replace("/", "."))
        for name in names:
            assert name.startswith(("test_", "Test")), test
            found = getattr(found, name)
    for module in row.e2e:
        assert (TESTS / "e2e" / module).is_file(), module


def test_what_is_counted_belongs_to_a_row() -> None:
    """A test or a tally that was renamed would leave its old counts on the page."""
    record = Record.load()
    assert set(record.tried) <= {what.partition(":")[0] for row in MATRIX.rows for what in row.tried}
    for name in record.tests:
        assert any(name == test or name.startswith(f"{test}::") for test in MATRIX.tests()), name


def test_the_page_is_what_the_table_says() -> None:
    """`python -m tests.faults --render` writes it anew."""
    assert PAGE.read_text() == page(MATRIX, Record.load())
    assert RECORD.stat().st_size < 100_000


def test_a_run_of_a_lesser_form_does_not_replace_a_greater_one() -> None:
    """A sample that ran last says less than what is there."""
    record = Record()
    record.add("long", Run(True, {"a": Counter(passed=5)}, {"kills": {"left the old value": 7}}))
    record.add("normal", Run(True, {"a": Counter(passed=1)}, {"kills": {"left the old value": 1}}))
    assert record.passed(["a"]) == 5
    assert record.tried["kills"]["counts"] == {"left the old value": 7}


def test_rows_are_chosen_by_their_names() -> None:
    """A name that is none is told."""
    assert MATRIX.tests(["16", "G19"]) == sorted({*MATRIX.faults[15].tests, "crash/test_ls.py"})
    with pytest.raises(SystemExit, match="there is no row 31"):
        MATRIX.tests(["31"])
