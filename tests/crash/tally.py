"""What was tried how often with what outcome, for the last lines of the output."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

FORM = os.environ.get("FILEFLOW_FAULTS", "sample")
"""How much is tried: a `sample` of seconds, a `normal` run of minutes, or a `long` one of an hour."""
LONG = FORM == "long"
PATIENCE = 60 if FORM == "sample" else 3600
"""How many seconds a test may take."""


def how_many(*, sample: int, normal: int, long: int) -> int:
    """Return how much of something this form tries."""
    return {"sample": sample, "normal": normal, "long": long}[FORM]


class Tally:
    """The counts of one test."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.counts: Counter[str] = Counter()

    def add(self, outcome: str, number: int = 1) -> None:
        """Count an outcome."""
        self.counts[outcome] += number

    def __getitem__(self, outcome: str) -> int:
        return self.counts[outcome]


class Tallies:
    """The counts of all tests, added up by what was tried."""

    def __init__(self) -> None:
        self._found: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take them from the reports, which come here from other processes too."""
        if report.when != "teardown":
            return
        for name, value in report.user_properties:
            if name == "tally" and isinstance(value, Mapping):
                for what, counts in value.items():
                    self._found.setdefault(what, Counter()).update(counts)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print them, and write them where FILEFLOW_TALLY says."""
        if not self._found:
            return
        terminalreporter.section("what was tried" + (f" ({FORM})"))
        for what, counts in sorted(self._found.items()):
            line = ", ".join(f"{number:,} {outcome}" for outcome, number in counts.items())
            terminalreporter.write_line(f"{what}: {line}")
        if path := os.environ.get("FILEFLOW_TALLY"):
            Path(path).write_text(json.dumps(self._found, indent=1, sort_keys=True) + "\n")
