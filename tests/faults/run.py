"""Run the tests of the table, and keep what they tried."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import pytest

from tests.faults.matrix import TESTS

RECORD = TESTS.parent / "docs" / "reliability.json"
FORMS = ("sample", "normal", "long")
# What takes milliseconds in a sample may take minutes here: it is only an hour of silence that ends a run.
_OPTIONS = ("-q", "-n", "2", "--durations=10", "--timeout=3600", "-o", "faulthandler_timeout=3500")


@dataclass
class Outcomes:
    """A plugin that notes how each test ended, whatever its parameters.

    Attributes:
        ended: How often each test, by its id without parameters, passed, failed or was skipped.
    """

    ended: dict[str, Counter[str]] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take it from the reports, which come here from other processes too."""
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.partition("[")[0].removeprefix("tests/")
            self.ended.setdefault(name, Counter())[report.outcome] += 1


@dataclass
class Record:
    """What was tried, and in which form, as the page tells it.

    Attributes:
        tests: For each test its form, and how often it passed.
        tried: For each thing that is counted its form, and how often each outcome came.
    """

    tests: dict[str, dict[str, Any]] = field(default_factory=dict)
    tried: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Self:
        """Read what was kept."""
        return cls(**json.loads(RECORD.read_text())) if RECORD.exists() else cls()

    def save(self) -> None:
        """Keep it."""
        RECORD.write_text(json.dumps(vars(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n")

    def passed(self, tests: Sequence[str]) -> int:
        """Return how often tests passed; a file stands for all that are in it."""
        return sum(
            ended["passed"]
            for name, ended in self.tests.items()
            if any(name == test or name.startswith(f"{test}::") for test in tests)
        )

    def count(self, what: str) -> int:
        """Return how often something was tried, or came out so: `kills`, or `kills: the old value`."""
        name, _, outcome = what.partition(": ")
        counts: dict[str, int] = self.tried.get(name, {}).get("counts", {})
        return counts.get(outcome, 0) if outcome else sum(counts.values())

    def add(self, form: str, made: "Run") -> None:
        """Put a run in the place of what there was of the same tests; what is of a greater form stays."""
        for name, outcomes in made.ended.items():
            if not _is_greater(self.tests.get(name), form):
                self.tests[name] = {
                    "form": form,
                    "passed": outcomes["passed"],
                    "skipped": outcomes["skipped"],
                }
        for name, counts in made.tried.items():
            if counts and not _is_greater(self.tried.get(name), form):
                self.tried[name] = {"form": form, "counts": dict(counts)}


def _is_greater(kept: Mapping[str, Any] | None, form: str) -> bool:
    return kept is not None and FORMS.index(kept["form"]) > FORMS.index(form)


@dataclass(frozen=True)
class Run:
    """What came of one."""

    went_well: bool
    ended: Mapping[str, Counter[str]]
    tried: Mapping[str, Mapping[str, int]]


def run(tests: Sequence[str], form: str, folder: Path) -> Run:
    """Run tests in a form; what they count passes through a file in the folder."""
    outcomes, tallies = Outcomes(), folder / "tallies.json"
    whole = {test for test in tests if "::" not in test}
    paths = [str(TESTS / test) for test in tests if test in whole or test.partition("::")[0] not in whole]
    with patch.dict(os.environ, {"FILEFLOW_FAULTS": form, "FILEFLOW_TALLY": str(tallies)}):
        code = pytest.main([*_OPTIONS, *paths], plugins=[outcomes])
    tried = json.loads(tallies.read_text()) if tallies.exists() else {}
    return Run(code == pytest.ExitCode.OK, outcomes.ended, tried)
