"""Try what may go wrong: `python -m tests.faults [--form normal] [--record] [3 28 G5]`."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.matrix import Matrix
from tests.faults.page import PAGE, page
from tests.faults.run import FORMS, Record, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("rows", nargs="*", help="rows of the table; all by default")
    parser.add_argument("--form", choices=FORMS, default="normal", help="how much of it")
    parser.add_argument("--record", action="store_true", help="put the counts on docs/reliability.md")
    parser.add_argument("--render", action="store_true", help="only write the page anew")
    arguments = parser.parse_args()
    matrix, kept = Matrix.load(), Record.load()
    if not arguments.render:
        with tempfile.TemporaryDirectory() as folder:
            made = run(matrix.tests(arguments.rows), arguments.form, Path(folder))
        if not made.went_well:
            sys.exit(1)
        kept.add(arguments.form, made)
    if arguments.record or arguments.render:
        kept.save()
        PAGE.write_text(page(matrix, kept))


if __name__ == "__main__":
    main()
