"""`[fileflow]` settings: who wins, what is refused, how little it costs to ask."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from fileflow_async import config
from fileflow_async.config import Settings, check_poke_interval, check_seconds, described, sources
from fileflow_async.errors import ConfigError

VARIABLE = "AIRFLOW__FILEFLOW__{}"


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine where nothing is configured and Airflow is not loaded; its AIRFLOW_HOME."""
    for name in list(os.environ):
        if name.startswith("AIRFLOW__"):
            monkeypatch.delenv(name)
    for module in ("airflow.configuration", "airflow.sdk.configuration"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.delenv("AIRFLOW_CONFIG", raising=False)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    sources._remembered.cache_clear()
    yield tmp_path
    sources._parsed.cache_clear()
    sources._remembered.cache_clear()


def write_cfg(home: Path, text: str) -> Path:
    path = home / "airflow.cfg"
    path.write_text(text)
    return path


def test_without_any_configuration_there_are_good_defaults(machine: Path) -> None:
    """The default root lies in AIRFLOW_HOME."""
    assert Settings.load() == Settings(
        root=f"file://{machine}/fileflow",
        conn_id=None,
        poke_interval=5.0,
        min_defer_seconds=7.0,
        feed="on",
        durability="fsync",
        abandoned_after=86_400.0,
        retention_days=7,
        allowed_buckets=(),
        target_url=None,
        collect_rarely="on",
    )


def test_airflow_home_is_found_as_airflow_finds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without AIRFLOW_HOME it is ~/airflow; variables are filled in; no character of it breaks the URI."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AIRFLOW_HOME")
    assert config.default_root() == f"file://{tmp_path}/airflow/fileflow"
    monkeypatch.setenv("AIRFLOW_HOME", "$HOME/a b%?#")
    assert config.default_root() == f"file://{tmp_path}/a%20b%25%3F%23/fileflow"
    monkeypatch.setenv("AIRFLOW_HOME", "here")
    assert config.default_root() == (Path.cwd() / "here" / "fileflow").as_uri()


def test_an_argument_wins_over_the_environment_over_the_file(
    monkeypatch: pytest.MonkeyPatch, machine: Path
) -> None:
    """Argument before environment before airflow.cfg before default; None is no argument."""
    write_cfg(machine, "[fileflow]\npoke_interval = 9\nretention_days = 30\nfeed = off\n")
    monkeypatch.setenv("AIRFLOW__FILEFLOW__POKE_INTERVAL", "8")
    monkeypatch.setenv("AIRFLOW__FILEFLOW__RETENTION_DAYS", "31")
    settings = Settings.load(poke_interval=7, retention_days=None)
    assert (settings.poke_interval, settings.retention_days, settings.feed) == (7.0, 31, "off")


def test_what_a_sensor_asks_for_alone_is_what_all_settings_together_say(
    monkeypatch: pytest.MonkeyPatch, machine: Path
) -> None:
    """The same order: environment before airflow.cfg before default; and the same refusal."""
    assert config.configured_poke_interval() == Settings.load().poke_interval == 5.0
    write_cfg(machine, "[fileflow]\npoke_interval = 9\n")
    assert config.configured_poke_interval() == Settings.load().poke_interval == 9.0
    monkeypatch.setenv("AIRFLOW__FILEFLOW__POKE_INTERVAL", "8")
    assert config.configured_poke_interval() == Settings.load().poke_interval == 8.0
    monkeypatch.setenv("AIRFLOW__FILEFLOW__POKE_INTERVAL", "soon")
    with pytest.raises(ConfigError, match="AIRFLOW__FILEFLOW__POKE_INTERVAL"):
        config.configured_poke_interval()


def test_a_misspelt_argument_is_a_type_error() -> None:
    """A setting that does not exist is never silently dropped."""
    with pytest.raises(TypeError, match="poll_interval"):
        Settings.load(poll_interval=5)


def test_airflow_is_asked_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch, machine: Path) -> None:
    """Its own parser knows more sources than the file."""
    write_cfg(machine, "[fileflow]\nroot = /from/the/file\n")
    asked = []

    class Parser:
        def get(self, section: str, key: str, *, fallback: None) -> str | None:
            asked.append((section, key))
            return "/from/airflow" if key == "root" else fallback

    monkeypatch.setitem(sys.modules, "airflow.sdk.configuration", SimpleNamespace(conf=Parser()))
    assert Settings.load().root == "/from/airflow"
    assert ("fileflow", "conn_id") in asked
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", "/from/the/environment")
    assert Settings.load().root == "/from/the/environment"


def test_airflow_is_asked_once_for_what_every_sensor_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred sensors of a DAG file ask; what the environment says still goes before, whenever it does."""
    asked = []

    class Parser:
        def get(self, section: str, key: str, *, fallback: None) -> str | None:
            asked.append((section, key))
            return {"poke_interval": "9", "default_timeout": "60"}.get(key, fallback)

    monkeypatch.setitem(sys.modules, "airflow.configuration", SimpleNamespace(conf=Parser()))
    for _ in range(3):
        assert (config.configured_poke_interval(), config.default_timeout()) == (9.0, 60.0)
    assert asked == [("fileflow", "poke_interval"), ("sensors", "default_timeout")]
    monkeypatch.setenv("AIRFLOW__FILEFLOW__POKE_INTERVAL", "8")
    monkeypatch.setenv("AIRFLOW__SENSORS__DEFAULT_TIMEOUT", "50")
    assert (config.configured_poke_interval(), config.default_timeout()) == (8.0, 50.0)


@pytest.mark.parametrize("text", ["", "soon"])
def test_airflows_own_setting_is_airflows_to_complain_about(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """It does when it is not told a timeout."""
    assert config.default_timeout() is None
    monkeypatch.setenv("AIRFLOW__SENSORS__DEFAULT_TIMEOUT", text)
    assert config.default_timeout() is None


def test_airflow_half_way_through_its_import_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, machine: Path
) -> None:
    """A plugin may ask while Airflow is still being imported: the file gives the same answer."""
    write_cfg(machine, "[fileflow]\nroot = /from/the/file\n")
    monkeypatch.setitem(sys.modules, "airflow.configuration", SimpleNamespace())
    assert Settings.load().root == "/from/the/file"


def test_variables_are_filled_in_as_by_airflow(monkeypatch: pytest.MonkeyPatch, machine: Path) -> None:
    """So that every process sees the same root, whether Airflow is loaded or not."""
    monkeypatch.setenv("SHARE", "/mnt/share")
    write_cfg(machine, "[fileflow]\nroot = $SHARE/ff\n")
    assert Settings.load().root == "/mnt/share/ff"
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", "file://${SHARE}/env")
    assert Settings.load().root == "file:///mnt/share/env"


def test_the_file_is_read_again_when_it_changes(monkeypatch: pytest.MonkeyPatch, machine: Path) -> None:
    """It is parsed once, not once a setting; AIRFLOW_CONFIG may name another."""
    path = write_cfg(machine, "[fileflow]\nconn_id = first\n")
    assert Settings.load().conn_id == "first"
    path.write_text("[fileflow]\nconn_id = second\n")
    os.utime(path, ns=(1, 1))
    assert Settings.load().conn_id == "second"
    assert sources._parsed.cache_info().misses == 2
    monkeypatch.setenv("AIRFLOW_CONFIG", str(machine / "absent.cfg"))
    assert Settings.load().conn_id is None


@pytest.mark.parametrize("text", ["password = hunter2-secret\n", "[fileflow\nhunter2-secret\n", "\xff\xfe"])
def test_a_broken_file_is_named_but_never_quoted(machine: Path, text: str) -> None:
    """A parser's error quotes the line, and airflow.cfg is full of secrets."""
    path = machine / "airflow.cfg"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError) as caught:
        Settings.load()
    assert str(caught.value).startswith(f"{path} is not a valid airflow.cfg: ")
    assert "hunter2" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_interpolation_that_fails_is_a_config_error(machine: Path) -> None:
    """Percent signs are written twice in airflow.cfg."""
    write_cfg(machine, "[fileflow]\nroot = file:///a%20b\n")
    with pytest.raises(ConfigError, match=r"not a valid airflow\.cfg: InterpolationSyntaxError"):
        Settings.load()
    write_cfg(machine, "[fileflow]\nroot = file:///a%%20b\n")
    os.utime(machine / "airflow.cfg", ns=(1, 1))
    assert Settings.load().root == "file:///a%20b"


ENVIRONMENT: list[tuple[str, str, object]] = [
    ("root", " s3://lake/ff\n", "s3://lake/ff"),
    ("conn_id", "aws_default", "aws_default"),
    ("conn_id", "", None),
    ("poke_interval", "1", 1.0),
    ("min_defer_seconds", "0", 0.0),
    ("feed", "off", "off"),
    ("feed", "False", "off"),  # docker compose makes this of an unquoted off
    ("feed", "true", "on"),
    ("durability", "none", "none"),
    ("abandoned_after", "3600", 3600.0),
    ("retention_days", "0", 0),
    ("allowed_buckets", "lake, archive", ("lake", "archive")),
    ("allowed_buckets", "", ()),
    ("target_url", "https://lake.example/{prefix}", "https://lake.example/{prefix}"),
]


@pytest.mark.parametrize(("name", "text", "value"), ENVIRONMENT)
def test_each_setting_is_read_from_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object
) -> None:
    """AIRFLOW__FILEFLOW__ and the name in capitals."""
    monkeypatch.setenv(VARIABLE.format(name.upper()), text)
    assert getattr(Settings.load(), name) == value


REFUSED = [
    ("root", "", "[fileflow] root is not set (or AIRFLOW__FILEFLOW__ROOT)"),
    ("poke_interval", "0.01", "{} must be at least 1 second, got 0.01"),
    ("poke_interval", "soon", "{} must be a positive number of seconds, got 'soon'"),
    ("poke_interval", "nan", "{} must be a positive number of seconds, got nan"),
    ("min_defer_seconds", "-1", "{} must be a number of seconds >= 0, got -1.0"),
    ("feed", "maybe", "{} must be 'on' or 'off', got 'maybe'"),
    ("durability", "fdatasync", "{} must be 'fsync' or 'none', got 'fdatasync'"),
    ("abandoned_after", "inf", "{} must be a positive number of seconds, got inf"),
    ("retention_days", "1.5", "{} must be an integer >= 0, got '1.5'"),
    ("retention_days", "-1", "{} must be an integer >= 0, got -1"),
]


@pytest.mark.parametrize(("name", "text", "message"), REFUSED)
def test_a_bad_text_is_refused_with_the_setting_and_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, message: str
) -> None:
    """Whoever reads the error can be looking at either."""
    variable = VARIABLE.format(name.upper())
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigError) as caught:
        Settings.load()
    assert str(caught.value) == message.format(f"[fileflow] {name} (or {variable})")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("root", "", "[fileflow] root is not set (or AIRFLOW__FILEFLOW__ROOT)"),
        ("root", 5, "root must be a string, got int"),
        ("conn_id", 5, "conn_id must be a string, got int"),
        ("poke_interval", True, "poke_interval must be a positive number of seconds, got True"),
        ("min_defer_seconds", "7", "min_defer_seconds must be a number of seconds >= 0, got '7'"),
        ("feed", None, "feed must be 'on' or 'off', got None"),
        ("retention_days", True, "retention_days must be an integer >= 0, got True"),
        ("allowed_buckets", "lake", "allowed_buckets must be names of buckets, got 'lake'"),
        ("allowed_buckets", [1], "allowed_buckets must be names of buckets, got [1]"),
    ],
)
def test_a_bad_argument_is_refused_by_its_name(name: str, value: object, message: str) -> None:
    """No settings exist that cannot be meant."""
    arguments: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError) as caught:
        Settings(**arguments)
    assert str(caught.value) == message


def test_arguments_take_one_form() -> None:
    """Paths, timedeltas, lists and booleans are understood, and kept as what the annotations say."""
    settings = Settings.load(
        root=Path("/data/ff"), poke_interval=timedelta(seconds=2), allowed_buckets=["lake"], feed=False
    )
    assert (settings.root, settings.poke_interval) == ("/data/ff", 2.0)
    assert (settings.allowed_buckets, settings.feed) == (("lake",), "off")


@pytest.mark.parametrize("value", [None, 0, -1, float("nan"), float("inf"), "5", True, timedelta(0)])
def test_a_timeout_must_be_a_positive_number_of_seconds(value: object) -> None:
    """Row 40 of the catalogue of bad inputs."""
    with pytest.raises(ConfigError) as caught:
        check_seconds(value)
    assert str(caught.value) == f"timeout must be a positive number of seconds, got {value!r}"


@pytest.mark.parametrize("value", [0, 0.01, -3, timedelta(milliseconds=10)])
def test_a_poke_interval_must_be_at_least_a_second(value: object) -> None:
    """Row 41 of the catalogue of bad inputs."""
    with pytest.raises(ConfigError) as caught:
        check_poke_interval(value)
    assert str(caught.value) == f"poke_interval must be at least 1 second, got {value!r}"


@given(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.timedeltas(), st.binary())
)
def test_whatever_is_given_as_seconds_is_seconds_or_a_config_error(value: object) -> None:
    """Nothing else comes out, and what comes out is finite."""
    for check in (check_seconds, check_poke_interval):
        try:
            seconds = check(value)
        except ConfigError:
            continue
        assert 0 < seconds < float("inf")


@pytest.mark.parametrize(
    ("interval", "expected"), [("1", 1.4), ("5", 7.0), ("0", 7.0), ("x", 7.0), ("", 7.0)]
)
def test_the_wait_before_a_resume_follows_the_workers_heartbeat(
    monkeypatch: pytest.MonkeyPatch, interval: str, expected: float
) -> None:
    """Where the interval is 1 s, a task may be resumed sooner; a bad one is Airflow's to complain about."""
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", interval)
    assert Settings.load().min_defer_seconds == pytest.approx(expected)
    assert Settings.load(min_defer_seconds=3).min_defer_seconds == 3.0


def test_each_setting_is_described_once() -> None:
    """Provider metadata is made from this: all its defaults are texts that the setting itself understands."""
    settings = described()
    assert [each.name for each in settings] == [field.name for field in dataclasses.fields(Settings)]
    for each in settings:
        assert each.variable == VARIABLE.format(each.name.upper())
        assert each.type in ("string", "float", "integer")
        assert each.description.endswith(".")
        assert each.example


@pytest.mark.parametrize("source", ["default", "example"])
def test_a_described_value_is_one_that_can_be_configured(
    monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """Defaults written out are the defaults; examples are examples of something else."""
    for each in described():
        if (text := getattr(each, source)) is not None:
            monkeypatch.setenv(each.variable, text)
    loaded = Settings.load()
    assert (loaded == Settings()) is (source == "default")


def test_settings_are_read_without_importing_airflow(machine: Path) -> None:
    """Importing Airflow takes seconds."""
    write_cfg(machine, "[fileflow]\nroot = s3://lake/ff\n")
    code = (
        "import sys; from fileflow_async.config import Settings; print(Settings.load().root);"
        "assert not {'airflow', 'aiobotocore', 'pandas'} & set(sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == "s3://lake/ff\n"
