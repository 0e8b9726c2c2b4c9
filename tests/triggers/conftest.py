"""What the tests of the triggers share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import airflow_harness as airflow_harness  # before anything else imports Airflow
from tests.conftest import LoopGuard


@pytest.fixture(autouse=True)
def logging_is_no_blocking(loop_guard: LoopGuard) -> Iterator[None]:
    """Airflow's log and that of pytest write each record to a file."""
    yield
    loop_guard.blocked[:] = [call for call in loop_guard.blocked if call != "io.TextIOWrapper.write"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an empty store."""
    (folder := tmp_path / "store").mkdir()
    monkeypatch.setenv("AIRFLOW__FILEFLOW__DURABILITY", "none")
    return folder
