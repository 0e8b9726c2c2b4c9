"""The command as a whole: usage, errors, exit codes, and what it costs to start."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fileflow_async.cli
from fileflow_async.cli.command_line import COMMANDS
from fileflow_async.cli.exits import Exit, exit_of
from fileflow_async.errors import (
    ConfigError,
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetCorruptError,
    TargetNotFoundError,
    TargetTimeoutError,
)
from tests.cli.conftest import KEY, Planted, Run
from tests.s3_servers.backdoor import Backdoor

COMMAND = (sys.executable, "-m", "fileflow_async.cli")
ROOT = Path(__file__).parents[2]


def test_every_module_of_a_command_is_one(fileflow: Run) -> None:
    """The list of commands in the help is that of the modules, each with help of its own."""
    shown = fileflow("--help")
    assert shown.code == 0
    for name, what in COMMANDS.items():
        assert f"  {name:<9} {what}" in shown.out
        own = fileflow(name, "--help")
        assert own.code == 0
        assert own.out.startswith(f"usage: fileflow {name} ")
        assert "--json" in own.out
        assert "--conn-id" in own.out


def test_wrong_usage_is_two(fileflow: Run) -> None:
    """As argparse has it: no command, no such command, no such option, no key."""
    for arguments in ((), ("dance",), ("ls", "--dance"), ("show",), ("wait", KEY, "--timeout", "soon")):
        assert fileflow(*arguments).code == Exit.USAGE, arguments


def test_the_script_is_installed() -> None:
    """Under the name that the documentation uses."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"fileflow": f"{fileflow_async.cli.__name__}:{fileflow_async.cli.main.__name__}"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["ls"], ["ls", "--json"], ["wait", KEY, "--timeout", "1s"]]
)
def test_what_is_not_needed_is_not_imported(arguments: list[str], store: Planted) -> None:
    """A command is there at once: none of these packages takes less than 100 ms."""
    store.put(b"x")
    code = f"""
import sys
from fileflow_async.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
heavy = {{"airflow", "pandas", "polars", "pyarrow", "aiobotocore", "botocore"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=50)


def test_help_does_without_rich_and_the_event_loop() -> None:
    """It is asked for while one types."""
    code = """
import sys
from fileflow_async.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
assert not {"rich", "fileflow_async.store", "fileflow_async.hooks.store"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=50)


def test_an_error_of_ours_is_one_line_with_its_hint(fileflow: Run, store: Planted) -> None:
    """Never a traceback; in JSON when that was asked for."""
    ended = fileflow("ls", "--root", "nowhere")
    assert ended.code == Exit.USAGE
    assert ended.out == ""
    assert ended.err.splitlines() == [
        "fileflow: root 'nowhere' must be absolute",
        "  Write it as /path or file:///path.",
    ]
    ended = fileflow("ls", "--root", "nowhere", "--json")
    assert json.loads(ended.err) == {
        "error": "ConfigError",
        "message": "root 'nowhere' must be absolute",
        "hints": ["Write it as /path or file:///path."],
    }


def test_an_error_of_another_kind_is_not_hidden(monkeypatch: pytest.MonkeyPatch, store: Planted) -> None:
    """It is a mistake of ours, and its traceback is what helps."""

    async def broken(*_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("fileflow_async.cli.ls.run", broken)
    with pytest.raises(ZeroDivisionError):
        fileflow_async.cli.main(["ls"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError, 2),
        (TargetNotFoundError, 3),
        (StorageUnavailableError, 4),
        (TargetAccessError, 5),
        (TargetCorruptError, 1),
        (FileflowError, 1),
        (TargetTimeoutError, 124),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: type[FileflowError], code: int) -> None:
    """Scripts decide by it."""
    assert exit_of(error("message")) == code


def test_a_root_that_is_not_there_is_unavailable(fileflow: Run, store: Planted, tmp_path: Path) -> None:
    """It may be a share that is not mounted."""
    ended = fileflow("ls", "--root", str(tmp_path / "gone"))
    assert ended.code == Exit.UNAVAILABLE
    assert "is it mounted?" in ended.err


def test_ctrl_c_ends_it_quietly(store: Planted) -> None:
    """With 130, as a shell says of SIGINT."""
    process = subprocess.Popen(
        [*COMMAND, "wait", KEY], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "nothing is there" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (Exit.INTERRUPTED, "", "")


def test_a_reader_that_goes_away_is_no_error(store: Planted) -> None:
    """`fileflow cat … | head` prints nothing else than what head takes."""
    store.put(b"line\n" * 1_000_000)
    process = subprocess.Popen([*COMMAND, "cat", KEY], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(5) == b"line\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) == Exit.PIPE_CLOSED


@pytest.mark.timeout(120)
def test_a_connection_of_airflow_opens_the_store(bucket_of_store: Backdoor, store: Planted) -> None:
    """By its id; what is in it is shown to nobody."""
    extra = {"endpoint_url": f"http://127.0.0.1:{bucket_of_store.port}", "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "AKIAPLANTED", "password": "secret-planted", "extra": extra}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment["AIRFLOW_CONN_LAKE"] = json.dumps(connection)
    listing = ("ls", "--json", "--root", f"s3://{bucket_of_store.bucket}/lake", "--conn-id")
    ended = subprocess.run([*COMMAND, *listing, "lake"], capture_output=True, env=environment, text=True)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert "planted" not in ended.stderr
    ended = subprocess.run([*COMMAND, *listing, "lakes"], capture_output=True, env=environment, text=True)
    assert ended.returncode == Exit.USAGE
    assert json.loads(ended.stderr.splitlines()[-1])["message"] == "connection 'lakes' does not exist"
