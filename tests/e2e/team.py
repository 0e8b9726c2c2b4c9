"""Airflow with two of everything that there may be two of, a database, a broker, and an S3 server."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from demo.airflow import Airflow
from demo.airflow_api import DagRun, TaskInstance
from demo.processes import Processes
from fileflow_async import Slot, Target, TargetStore
from fileflow_async.storage.resolve import open_storage, parse_root
from tests.e2e.account import Account, FailedCheckError
from tests.e2e.logs import Logs
from tests.e2e.servers import Postgres, Redis, password
from tests.s3_servers.radosgw import Radosgw

Answer = TypeVar("Answer")

BUCKET = "lake"
SLOTS = 4  # of two workers together
TABLES, WAITS = 5, 5  # tables on each storage, and waits for each of them
CAPACITY = 40  # waits of a triggerer, fewer than one DAG has: else one of two may get all of them
FEW = 2  # waits for each of the tables, where it is not about their number
MIB = 1024 * 1024
LONG = 48  # MiB of a long write
DAGS = ("tables", "waits", "killed", "outage", "late", "days", "reports", "frozen", "database")
STORAGES = ("local", "s3")
EXAMPLES = "examples"  # the store that is configured, in S3 too; the DAGs above name theirs
ENDED = {"success", "failed", "skipped", "upstream_failed"}
TRIGGERERS = ("triggerer-1", "triggerer-2")
WORKERS = ("worker-1", "worker-2")

_SOURCES = (Path(__file__).parent / "dags", Path(__file__).parents[2] / "dags")


def _worker(name: str) -> Sequence[str]:
    own = ("--celery-hostname", f"{name}@%h", "--pid", f"{name}.pid")
    return ("celery", "worker", "--skip-serve-logs", "--concurrency", str(SLOTS // len(WORKERS)), *own)


_COMMANDS: Mapping[str, Sequence[str]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    **dict.fromkeys(TRIGGERERS, ("triggerer", "--skip-serve-logs", "--capacity", str(CAPACITY))),
    **{name: _worker(name) for name in WORKERS},
}

# So that what dies is missed within seconds: the defaults wait for half a minute and for five.
_IMPATIENCE = {
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
}


class Team:
    """The whole system, as long as a block lasts.

    Attributes:
        secrets: What must be found nowhere.
    """

    def __init__(self, folder: Path, account: Account) -> None:
        self.folder = folder
        self.account = account
        self.secrets = {
            name: password() for name in ("PostgreSQL's password", "Redis's password", "S3's key")
        }
        self.moment = datetime.now(UTC).replace(microsecond=0)  # the slot of all runs but backfills'
        database, broker, key = self.secrets.values()
        self._processes = Processes(folder / "servers", environment=dict(os.environ), cwd=folder)
        self.postgres = Postgres(folder / "postgres", self._processes, password=database)
        self.redis = Redis(folder / "redis", self._processes, password=broker)
        self.s3 = Radosgw(folder / "ceph", self._processes, secret=key)
        self.roots = {
            "local": f"file://{folder}/store",
            "s3": f"s3://{BUCKET}/e2e",
            EXAMPLES: f"s3://{BUCKET}/examples",
        }
        self.inbox = folder / "inbox"
        self._dags = folder / "dags"
        self.airflow = Airflow(
            folder / "airflow",
            dags=self._dags,
            commands=_COMMANDS,
            environment=self._environment(),
        )
        self.logs = Logs(self.airflow.home, TRIGGERERS)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        (self.folder / "store").mkdir()
        self.inbox.mkdir()
        for number, source in enumerate(_SOURCES):
            shutil.copytree(source, self._dags / str(number), ignore=shutil.ignore_patterns("__pycache__"))
        with ExitStack() as stack:
            stack.enter_context(self._processes)
            self.postgres.start()
            self.redis.start()
            self.s3.start(BUCKET)
            self.account.note("PostgreSQL, Redis and Ceph's S3 server run")
            stack.enter_context(self.airflow)
            self.airflow.wait_for_dags([f"{name}_{storage}" for name in DAGS for storage in STORAGES])
            self.account.note(f"Airflow runs: {', '.join(_COMMANDS)}")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def trigger(self, name: str) -> list[DagRun]:
        """Begin a run of a DAG on each storage."""
        return [
            self.airflow.api.trigger(f"{name}_{storage}", logical_date=self.moment) for storage in STORAGES
        ]

    def tasks(self, name: str, *storages: str) -> list[TaskInstance]:
        """Return the tasks of a DAG on some storages, or on all."""
        return [
            task
            for storage in storages or STORAGES
            for task in self.airflow.api.task_instances(f"{name}_{storage}")
        ]

    def target(self, task: TaskInstance) -> Target:
        """Return what a task commits."""
        return Target(dag_id=task.dag_id, task_id=task.task_id, slot=Slot(logical_date=task.logical_date))

    def until(self, is_so: Callable[[], object], text: str, *, limit: float = 180.0) -> None:
        """Wait for something.

        Raises:
            FailedCheckError: It does not happen in time.
        """
        deadline = time.monotonic() + limit
        while not is_so():
            self.check()
            if time.monotonic() > deadline:
                raise FailedCheckError(f"not so within {limit:.0f} s: {text}")
            time.sleep(0.3)

    def check(self) -> None:
        """Raise a `ProcessError` if a process has ended that was not to."""
        self.airflow.check()
        self._processes.check()

    def revive(self) -> list[str]:
        """Start again what has ended of Airflow, as whatever keeps it alive does, and return the names."""
        names = [name for name in _COMMANDS if not self.airflow.is_alive(name)]
        for name in names:
            self.airflow.stop(name)  # what it has left
            self.airflow.start(name)
        return names

    def until_ended(self, names: Collection[str], *, limit: float = 300.0) -> None:
        """Wait until all tasks of DAGs have ended."""
        self.until(
            lambda: all(task.state in ENDED for name in names for task in self.tasks(name)),
            f"all tasks of {', '.join(names)} have ended",
            limit=limit,
        )

    def result(self, task: TaskInstance) -> Any:
        """Return what a task has committed as JSON."""
        return json.loads(self.ask(storage_of(task), lambda store: store.read(self.target(task))))

    def versions(self, task: TaskInstance) -> int:
        """Return how many times a task has committed something."""
        return len(self.ask(storage_of(task), lambda store: store.history(self.target(task))))

    def ask(self, storage: str, question: Callable[[TargetStore], Coroutine[Any, Any, Answer]]) -> Answer:
        """Ask a store something, past Airflow."""

        async def answer() -> Answer:
            root = parse_root(self.roots[storage])
            async with open_storage(root, s3_settings=self.s3.settings) as opened:
                return await question(TargetStore(opened))

        return asyncio.run(answer())

    def _environment(self) -> dict[str, str]:
        settings = self.s3.settings
        connection = {
            "conn_type": "aws",
            "login": settings.access_key_id,
            "password": settings.secret_access_key,
            "extra": {"endpoint_url": settings.endpoint_url, "region_name": settings.region},
        }
        return _IMPATIENCE | {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__PARALLELISM": "32",
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "100",
            "AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT": str(SLOTS),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{self.postgres.address}",
            "AIRFLOW__CELERY__BROKER_URL": self.redis.url,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{self.postgres.address}",
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",  # no run but those that are begun here
            "AIRFLOW__FILEFLOW__ROOT": self.roots[EXAMPLES],
            "AIRFLOW__FILEFLOW__CONN_ID": "lake",
            "AIRFLOW_VAR_INBOX": str(self.inbox),
            "AIRFLOW_CONN_LAKE": json.dumps(connection),
            "E2E_LOCAL_ROOT": self.roots["local"],
            "E2E_S3_ROOT": self.roots["s3"],
            "E2E_TABLES": str(TABLES),
            "E2E_WAITS": str(WAITS),
            "E2E_FEW": str(FEW),
            "E2E_LONG": str(LONG),
        }


def storage_of(task: TaskInstance) -> str:
    """Return on which storage a task works."""
    return task.dag_id.rpartition("_")[2]
