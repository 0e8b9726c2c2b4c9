"""docker-compose.yml fits Airflow, its .env.example and itself; no Docker is needed to see that."""

import json
import re
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet

from fileflow_async.config import described
from fileflow_async.hooks import aws_extra
from fileflow_async.hooks.connection import ConnectionDetails

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
AIRFLOW = {name: service for name, service in SERVICES.items() if "build" in service}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:[-?])([^}]*))?\}")
EXACT = re.compile(r".+:(\d+\.\d+(\.\d+)?(-[a-z-]+)?|RELEASE\.[\dTZ-]+)$")


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_variable_is_in_the_example_and_none_is_there_for_nothing() -> None:
    assert {name for name, _, _ in VARIABLE.findall(TEXT)} == set(example())


def test_a_secret_has_no_default() -> None:
    """What the example leaves open cannot be left out; what it fills in is the default here."""
    for name, how, default in VARIABLE.findall(TEXT):
        assert (how, default) == ((":-", example()[name]) if example()[name] else (":?", "run tools/dotenv"))


def test_dotenv_fills_in_every_secret(tmp_path: Path) -> None:
    """With one of its own, which nobody else may read; and it never replaces those that may be in use."""
    (tmp_path / "tools").mkdir()
    for name in ("tools/dotenv", ".env.example"):
        shutil.copy(ROOT / name, tmp_path / name)
    command = [str(tmp_path / "tools" / "dotenv")]
    subprocess.run(command, check=True)
    path = tmp_path / ".env"
    values = dict(line.split("=", 1) for line in path.read_text().splitlines() if re.match(r"\w", line))
    secrets = [values[name] for name, value in example().items() if not value]
    assert set(values) == set(example())
    assert len(set(secrets)) == len(secrets)
    assert all(re.fullmatch(r"[\w-]{43}=", secret) for secret in secrets)  # nothing that a URL would change
    Fernet(values["FERNET_KEY"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = subprocess.run(command, check=False, capture_output=True, text=True)
    assert again.returncode == 1
    assert "its secrets may be in use" in again.stderr


def test_the_team_is_complete() -> None:
    """Whatever Airflow 3 consists of, two workers and two triggerers."""
    commands = {" ".join(service["command"]): service for service in AIRFLOW.values()}
    assert set(commands) == {
        "db migrate",
        "api-server",
        "scheduler",
        "dag-processor",
        "celery worker",
        "triggerer",
    }
    for name in ("celery worker", "triggerer"):
        assert commands[name]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("name", sorted(AIRFLOW))
def test_airflow_knows_the_command(name: str) -> None:
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(AIRFLOW[name]["command"])
    assert callable(arguments.func)


@pytest.mark.parametrize("name", ["dag-processor", "triggerer"])
def test_airflow_knows_the_question_for_the_health(name: str) -> None:
    from airflow.cli.cli_parser import get_parser

    _, executable, *arguments = AIRFLOW[name]["healthcheck"]["test"]
    assert executable == "airflow"
    get_parser().parse_args(arguments)


def test_airflow_knows_every_option() -> None:
    """A misspelt one would be ignored without a word."""
    from airflow.configuration import conf

    known = {
        (section, option)
        for section, described_section in conf.configuration_description.items()
        for option in described_section["options"]
    }
    known |= {("fileflow", setting.name) for setting in described()}
    for service in AIRFLOW.values():
        for variable in service["environment"]:
            if variable.startswith("AIRFLOW__"):
                _, section, option = variable.lower().split("__", 2)
                assert (section, option) in known, variable


def test_the_parts_of_airflow_are_one() -> None:
    """One image with the package, one set of secrets, and all that is written down is one and the same."""
    (image,) = {service["image"] for service in AIRFLOW.values()}
    assert image == "fileflow-async:local"
    first, *others = (service["environment"] for service in AIRFLOW.values())
    assert all(other == first for other in others)
    assert {"AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__CORE__FERNET_KEY"} <= set(first)
    assert first["AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"] == "1"


def test_the_connection_opens_minio() -> None:
    """It is understood as it is, and the hosts that are named are services."""
    environment = AIRFLOW["worker"]["environment"]
    given = json.loads(environment[f"AIRFLOW_CONN_{environment['AIRFLOW__FILEFLOW__CONN_ID'].upper()}"])
    details = ConnectionDetails(
        conn_id="lake",
        conn_type=given["conn_type"],
        login=given["login"],
        password=given["password"],
        extra=given["extra"],
    )
    settings = aws_extra.settings_of(details)
    assert settings.endpoint_url == "http://minio:9000"
    assert settings.addressing_style == "path"
    hosts = re.findall(r"(?:http://|@)([a-z-]+)[:/]", " ".join(map(str, environment.values())))
    assert set(hosts) == {"api-server", "postgres", "redis", "minio"}
    assert set(hosts) <= set(SERVICES)


def test_the_bucket_that_is_made_is_the_one_that_is_used() -> None:
    root = AIRFLOW["worker"]["environment"]["AIRFLOW__FILEFLOW__ROOT"]
    bucket = root.removeprefix("s3://").split("/")[0]
    assert f"mc mb --ignore-existing lake/{bucket}\n" in SERVICES["bucket"]["command"][0]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_waits_for_what_can_be_waited_for(name: str) -> None:
    """For the health of what has a check, for the end of what ends."""
    for other, how in SERVICES[name].get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert how["condition"] == "service_completed_successfully"
            assert SERVICES[other].get("restart", "no") == "no"


def test_what_ends_is_waited_for_by_what_stays() -> None:
    """Otherwise `docker compose up --wait` takes its end for a failure."""
    ends = {name for name, service in SERVICES.items() if service.get("restart", "no") == "no"}
    assert ends == {"bucket", "migrate"}
    stays = [service for name, service in SERVICES.items() if name not in ends]
    assert ends == {
        other
        for service in stays
        for other, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_stays_has_a_check_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    if service.get("restart", "no") != "no":
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nothing_is_open_to_the_network(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_an_image_is_of_an_exact_version_or_built_here(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or EXACT.match(service["image"])


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_argument_holds_a_secret(name: str) -> None:
    """Everybody on the host can see arguments; `$$` is what the shell in the container fills in."""
    service = SERVICES[name]
    words = [service.get("command"), service.get("entrypoint"), service.get("healthcheck")]
    assert not VARIABLE.search(json.dumps(words))


def test_every_volume_is_used_and_declared() -> None:
    named = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if re.match(r"[a-z]", volume)
    }
    assert named == set(COMPOSE["volumes"])


def test_the_image_is_exact_hashed_and_not_of_root() -> None:
    """Extras and files exist, versions are those of constraints.txt, and whatever is copied may be."""
    text = (ROOT / "Dockerfile").read_text()
    assert all(EXACT.match(image) for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"--extra (\w+)", text)) <= set(extras)
    installs = re.findall(r"pip install (.*)", text)
    assert len(installs) == 3
    assert all("constraints constraints.txt" in each or "--require-hashes" in each for each in installs)
    assert re.findall(r"^USER (\w+)", text, re.MULTILINE)[-1] == "airflow"
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    assert set(" ".join(copied).split()) == allowed
    assert all((ROOT / name).exists() for name in allowed)
