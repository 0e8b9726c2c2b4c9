"""A real Airflow in a home of its own, as long as a block lasts.

    with Airflow(home, dags=folder) as airflow:
        run = airflow.api.trigger("shop")
        airflow.kill("triggerer")
        airflow.start("triggerer")
        airflow.wait_until_healthy()

Everything lies in its home, and nothing but environment variables configures it:

    home/airflow.db         what Airflow knows, in SQLite unless the environment says otherwise
    home/logs/              the logs of tasks
    home/processes/         what each process has printed: migrate.log, scheduler.log, ...

`airflow standalone` has one process of each kind, and none of them can be killed or replaced by itself.

This runs the `airflow` it is told to, so that it starts any version of Airflow 3 from 3.1 on. Run what uses
it as a module, `python -m demo`: beside this file `import airflow` would find this file.
"""

import base64
import os
import random
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL
from typing import Self

from demo.airflow_api import AirflowApi
from demo.processes import PATIENCE, Processes

# Logs are on this disk, and servers for them would listen on all interfaces.
EMBEDDED: Mapping[str, Sequence[str]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}

HEALTH_LIMIT = 180.0  # seconds: 15 on an idle machine, 45 have been seen on a busy one
_JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
_PORTS = range(18_000, 30_000)  # below those that the system gives to clients


class Airflow:
    """Runs the processes of an Airflow, and ends them with its block.

    Args:
        home: Its folder, which is made.
        dags: The folder of DAG files.
        commands: What to run beside each other: the arguments of `airflow`, by the names that the processes
            are to have here. Two of a kind have two names.
        environment: Further variables, which go before those that are made up here.
        executable: The `airflow` to run; that of this environment if left out.
        port: Where the API server listens on the loopback; a free port if left out.
        patience: How many seconds the processes have for an orderly end.
        tell: Called with what has just been achieved, for those who wait for the start.

    Raises:
        ProcessError: A process ended at the start.
        TimeoutError: They run, but did not get healthy.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags: Path,
        commands: Mapping[str, Sequence[str]] = EMBEDDED,
        environment: Mapping[str, str] | None = None,
        executable: Path | None = None,
        port: int | None = None,
        patience: float = PATIENCE,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.home = home.absolute()
        self.url = f"http://127.0.0.1:{port or free_port()}"
        self.api = AirflowApi(self.url)
        self.environment = self._environment(dags) | dict(environment or {})
        self._commands = commands
        self._executable = (executable or Path(sys.prefix, "bin", "airflow")).absolute()
        self._tell = tell
        self._started: dict[str, datetime] = {}
        self._stack = ExitStack()
        # A task may call other programs of its environment.
        path = f"{self._executable.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        self._processes = Processes(
            self.home / "processes",
            environment={**self.environment, "PATH": path},
            cwd=self.home,
            patience=patience,
        )

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(self.api)
            stack.enter_context(self._processes)
            self._processes.run("migrate", [str(self._executable), "db", "migrate"])
            self._tell("database")
            for name in self._commands:
                self.start(name)
            self.wait_until_healthy()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, name: str) -> None:
        """Start a process, for the first time or again."""
        self._started[name] = datetime.now(UTC)
        self._processes.start(name, [str(self._executable), *self._commands[name]])

    def stop(self, name: str) -> None:
        """End a process as an orchestrator does, by SIGTERM."""
        self._processes.stop(name)

    def kill(self, name: str, signum: int = SIGKILL) -> None:
        """Send a signal to a process with all its children, tasks included, as when its machine dies."""
        self._processes.kill(name, signum)

    def is_alive(self, name: str) -> bool:
        """Tell whether a process runs."""
        return self._processes.is_alive(name)

    def owner(self, pid: int) -> str | None:
        """Return the name of the process that has started another, as a worker does with a task."""
        return self._processes.owner(pid)

    def check(self) -> None:
        """Raise a `ProcessError` if a process has ended that was not stopped or killed here."""
        self._processes.check()

    def log(self, name: str) -> Path:
        """Return the file with what a process has printed."""
        return self._processes.log(name)

    def wait_until_healthy(self, *, limit: float = HEALTH_LIMIT) -> None:
        """Wait until every process has announced itself, those that were started again included.

        A Celery worker announces itself to its broker only: it has to be alive.
        """
        deadline = time.monotonic() + limit
        waiting = [name for name in self._commands if self.is_alive(name)]
        while True:
            self.check()
            for name in [name for name in waiting if self._is_healthy(name)]:
                waiting.remove(name)
                self._tell(name)
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"not healthy after {limit:.0f} s: {', '.join(waiting)}; see {self.home}")
            time.sleep(0.5)

    def wait_for_dags(self, dag_ids: Sequence[str], *, limit: float = 60.0) -> None:
        """Wait until DAGs have been parsed.

        Raises:
            TimeoutError: They have not; the message has the errors of their files.
        """
        deadline = time.monotonic() + limit
        while missing := set(dag_ids) - self.api.dag_ids():
            self.check()
            if time.monotonic() > deadline:
                errors = "\n".join(self.api.import_errors().values())
                raise TimeoutError(f"not parsed after {limit:.0f} s: {', '.join(sorted(missing))}\n{errors}")
            time.sleep(0.5)

    def _is_healthy(self, name: str) -> bool:
        health = self.api.health()
        kind = self._commands[name][0]
        if kind == "api-server" or kind not in _JOBS:
            return health.get("metadatabase") == "healthy"
        if health.get(kind.replace("-", "_")) != "healthy":
            return False
        # That is the newest of its kind only. Each process has to have a job that is younger than itself.
        alike = [each for each in self._started if self._commands[each][0] == kind and self.is_alive(each)]
        started = sorted((self._started[each] for each in alike), reverse=True)
        running = [job for job in self.api.jobs() if job.kind == _JOBS[kind] and job.state == "running"]
        jobs = sorted((job.start for job in running), reverse=True)
        return len(jobs) >= len(started) and all(map(datetime.__ge__, jobs, started))

    def _environment(self, dags: Path) -> dict[str, str]:
        """Return the variables of all processes: nothing of an Airflow that the user has configured."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        return inherited | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags.absolute()),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": self.url.rpartition(":")[2],
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
            # Workers show it to the API server, so that all processes need the same.
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            # With the default of 5 s Airflow may fail a task that resumes while its worker still exits.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"none of 100 ports between {_PORTS.start} and {_PORTS.stop} is free")
