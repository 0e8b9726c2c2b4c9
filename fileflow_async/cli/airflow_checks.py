"""What of Airflow's installation and configuration matters to us."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from subprocess import PIPE, STDOUT

from fileflow_async.cli.findings import Finding, Verdict
from fileflow_async.config import Settings, configured, variable

_PATIENCE = 60.0  # seconds: Airflow takes five to be imported, more on a busy machine
_TRIGGERS = "fileflow_async.triggers.file_target"
_HEARTBEAT = 5.0  # seconds: Airflow's default
_HEARTBEATS_BEFORE_RESUMING = 1.2  # below that, tasks fail that are resumed while their worker still exits


def settings_findings(settings: Settings) -> Sequence[Finding]:
    """Look at Airflow's settings, without loading it."""
    return _heartbeat(settings), _fernet_key()


def _heartbeat(settings: Settings) -> Finding:
    text = configured("workers", "min_heartbeat_interval")
    try:
        interval = float(text) if text else _HEARTBEAT
    except ValueError:
        return Finding("heartbeat", Verdict.WRONG, f"[workers] min_heartbeat_interval is {text!r}, no number")
    wait = settings.min_defer_seconds
    what = f"workers beat every {interval:g} s, waiting tasks resume after {wait:g} s at the earliest"
    if wait < interval * _HEARTBEATS_BEFORE_RESUMING:
        return Finding(
            "heartbeat",
            Verdict.WRONG,
            what,
            "Tasks that resume before their worker has exited fail; leave [fileflow] min_defer_seconds out.",
        )
    if interval > 1:
        hint = "[workers] min_heartbeat_interval = 1 lets them resume after 1.4 s."
        return Finding("heartbeat", Verdict.ADVICE, what, hint)
    return Finding("heartbeat", Verdict.OK, what)


def _fernet_key() -> Finding:
    name = variable("core", "fernet_key")
    if os.environ.get(f"{name}_CMD") or os.environ.get(f"{name}_SECRET"):
        return Finding("fernet key", Verdict.OK, "a command or a secrets backend gives it")
    if configured("core", "fernet_key") or configured("core", "fernet_key_cmd"):
        return Finding("fernet key", Verdict.OK, "it is set")
    return Finding(
        "fernet key",
        Verdict.ADVICE,
        "none is configured here: Airflow would keep connections in plain text",
        "Set [core] fernet_key, to the same value for the API server, the scheduler and the triggerer.",
    )


def importable() -> Finding:
    """Import a trigger as a triggerer does, which finds what is installed, but no DAG folder."""
    code, output = _ran("-I", "-c", f"import {_TRIGGERS}")
    if code is None:
        return Finding("import", Verdict.UNKNOWN, output)
    if code != 0:
        return Finding(
            "import",
            Verdict.WRONG,
            f"the triggers cannot be imported: {output}",
            "Install fileflow-async in the environment of the workers, the triggerers and the API server.",
        )
    return Finding("import", Verdict.OK, "the triggers can be imported where this Python runs")


def triggerer() -> Finding:
    """Ask Airflow's command, in a process of its own: it may be broken, or take long."""
    code, output = _ran(
        "-m", "airflow", "jobs", "check", "--job-type", "TriggererJob", "--allow-multiple", "--limit", "100"
    )
    if code == 0:
        count = re.search(r"Found (\d+) alive", output)
        alive = f"{count[1]} triggerers are alive" if count else "a triggerer is alive"
        return Finding("triggerer", Verdict.OK, alive)
    if code is not None and "No alive jobs found" in output:
        return Finding(
            "triggerer",
            Verdict.WRONG,
            "no triggerer is alive: tasks that wait will wait for ever",
            "Start `airflow triggerer`, on each machine that should wait.",
        )
    return Finding("triggerer", Verdict.UNKNOWN, f"Airflow's database cannot be asked: {output}")


def _ran(*arguments: str) -> tuple[int | None, str]:
    """Return the exit code of a Python of ours and what it said last; None for the code when it hangs."""
    command = (sys.executable, *arguments)
    try:
        ended = subprocess.run(command, stdout=PIPE, stderr=STDOUT, timeout=_PATIENCE, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return None, f"no answer within {_PATIENCE:g} s"
    return ended.returncode, _telling(ended.stdout.decode(errors="replace"))


def _telling(printed: str) -> str:
    """Return the line that says what happened: the last that names an error, else the last."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Exit)\b", line)]
    return (named or lines or ["it printed nothing"])[-1]
