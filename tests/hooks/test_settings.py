"""Settings where Airflow itself is there to be asked."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.configuration import AirflowSDKConfigParser

from fileflow_async.config import Settings

CFG = """
[fileflow]
root = file:///data/100%%
conn_id = $CONN_ID
poke_interval = 9
feed = off
allowed_buckets = lake, archive

[workers]
min_heartbeat_interval = 1
"""


def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that Airflow was loaded just now."""
    monkeypatch.setitem(sys.modules, "airflow.configuration", SimpleNamespace(conf=AirflowSDKConfigParser()))


def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("airflow.configuration", "airflow.sdk.configuration"):
        monkeypatch.setitem(sys.modules, module, SimpleNamespace())


def test_with_airflow_and_without_it_settings_are_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A worker and a script must not look for one target in two places."""
    (tmp_path / "airflow.cfg").write_text(CFG)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.delenv("AIRFLOW_CONFIG", raising=False)
    monkeypatch.setenv("CONN_ID", "files")
    monkeypatch.setenv("AIRFLOW__FILEFLOW__RETENTION_DAYS", "30")
    loaded(monkeypatch)
    settings = Settings.load()
    unloaded(monkeypatch)
    assert Settings.load() == settings
    assert settings == Settings(
        root="file:///data/100%",
        conn_id="files",
        poke_interval=9.0,
        min_defer_seconds=1.4,
        feed="off",
        retention_days=30,
        allowed_buckets=("lake", "archive"),
    )


def test_without_a_file_airflows_own_defaults_change_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Airflow knows a default for the heartbeat, and it is the one that we assume."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    loaded(monkeypatch)
    settings = Settings.load()
    unloaded(monkeypatch)
    assert Settings.load() == settings
    assert settings.min_defer_seconds == 7.0
