"""The launcher of Airflow, on an `airflow` that is a few lines of shell."""

import os
from pathlib import Path

import psutil
import pytest

from demo.airflow import Airflow
from demo.processes import ProcessError

FAKE = """#!/bin/sh
case $1 in
    db) test -n "$AIRFLOW__API_AUTH__JWT_SECRET" ;;
    scheduler) echo "no such executor"; exit 3 ;;
    *) exec sleep 1000 ;;
esac
"""


@pytest.fixture
def executable(tmp_path: Path) -> Path:
    (path := tmp_path / "airflow").write_text(FAKE)
    path.chmod(0o755)
    return path


def running_in(home: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(home)]


def test_a_process_that_dies_at_the_start_ends_all_of_them(tmp_path: Path, executable: Path) -> None:
    """And its last words are told."""
    home, told = tmp_path / "home", list[str]()
    airflow = Airflow(home, dags=tmp_path, executable=executable, tell=told.append)
    with (
        pytest.raises(ProcessError, match=r"(?s)scheduler ended with exit code 3.*no such executor"),
        airflow,
    ):
        pass
    assert told == ["database"]
    assert running_in(home) == []


def test_what_never_gets_healthy_is_ended_too(tmp_path: Path, executable: Path) -> None:
    home = tmp_path / "home"
    airflow = Airflow(home, dags=tmp_path, executable=executable, commands={"first": ["triggerer"]})
    with airflow._processes:
        airflow.start("first")
        with pytest.raises(TimeoutError, match="not healthy after 0 s: first"):
            airflow.wait_until_healthy(limit=0.1)
        assert running_in(home)
    assert running_in(home) == []


def test_the_airflow_of_the_user_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is configured for it, and two instances share no secret."""
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production")
    monkeypatch.setenv("AIRFLOW_CONFIG", "/etc/airflow.cfg")
    monkeypatch.setenv("LANG", "C")
    one, other = (Airflow(tmp_path, dags=tmp_path, environment={"X": "1"}).environment for _ in range(2))
    assert "production" not in str(one)
    assert "AIRFLOW_CONFIG" not in one
    assert (one["X"], one["LANG"]) == ("1", "C")
    for secret in ("AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY", "AIRFLOW__CORE__FERNET_KEY"):
        assert one[secret] != other[secret]
        assert one[secret] not in os.environ.values()
