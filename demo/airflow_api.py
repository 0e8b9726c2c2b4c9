"""The few questions that one asks a running Airflow, over its REST API."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import httpx

_PAGE = 100  # the most that Airflow gives at once
_PATIENCE = 10.0  # seconds in which a server that restarts is asked again


@dataclass(frozen=True, slots=True)
class DagRun:
    """A run of a DAG."""

    dag_id: str
    run_id: str
    state: str
    logical_date: datetime | None


@dataclass(frozen=True, slots=True)
class TaskInstance:
    """A task in a run, as it is at the moment; `map_index` is -1 where the task is not mapped.

    `pid` is the process that runs it or ran it last, `triggerer` the job of the triggerer that waits for it.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    start: datetime | None
    end: datetime | None
    pid: int | None = None
    triggerer: int | None = None
    logical_date: datetime | None = None


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of a pool: those that there are, those that are taken, and tasks that wait without one."""

    total: int
    occupied: int
    running: int
    queued: int
    deferred: int


@dataclass(frozen=True, slots=True)
class Job:
    """A component that has announced itself, such as a `TriggererJob`."""

    kind: str
    state: str | None
    start: datetime


class AirflowApi:
    """Asks the API server of Airflow 3, whose simple auth manager lets in everybody, or users by passwords.

    Every method raises `httpx.HTTPError`: at once where the server refuses, after some seconds where it does
    not answer.

    Args:
        url: Where the server listens, such as `http://127.0.0.1:8080`.
        login: A user and the password; left out where everybody is let in.
    """

    def __init__(self, url: str, *, login: tuple[str, str] | None = None) -> None:
        # A proxy of the company has no business here.
        self._client = httpx.Client(base_url=url, timeout=30.0, trust_env=False)
        self._login = login
        self._token: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def health(self) -> Mapping[str, str]:
        """Return the status of each component; of none where the server does not answer yet."""
        try:
            answer = self._client.get("/api/v2/monitor/health")
        except httpx.TransportError:
            return {}
        parts = answer.json() if answer.is_success else {}
        return {name: part.get("status") or "unknown" for name, part in parts.items()}

    def jobs(self) -> list[Job]:
        """Return the components that have announced themselves, those that have ended included."""
        return [
            Job(each["job_type"], each["state"], _moment(each["start_date"]))
            for each in self._pages("/api/v2/jobs", "jobs")
        ]

    def dag_ids(self) -> set[str]:
        """Return the DAGs that can be run."""
        return {each["dag_id"] for each in self._pages("/api/v2/dags", "dags")}

    def import_errors(self) -> Mapping[str, str]:
        """Return what is wrong with DAG files, by their names."""
        found = self._pages("/api/v2/importErrors", "import_errors")
        return {each["filename"]: each["stack_trace"] for each in found}

    def unpause(self, dag_id: str) -> None:
        """Let the runs of a DAG begin."""
        self._call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})

    def trigger(
        self, dag_id: str, *, logical_date: datetime | None = None, conf: Mapping[str, Any] | None = None
    ) -> DagRun:
        """Begin a run."""
        moment = None if logical_date is None else logical_date.isoformat()
        body = {"logical_date": moment, "conf": dict(conf or {})}
        return _dag_run(self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body))

    def backfill(self, dag_id: str, first: datetime, last: datetime) -> None:
        """Begin the runs of a DAG that has a schedule, from one logical date to another."""
        body = {"dag_id": dag_id, "from_date": first.isoformat(), "to_date": last.isoformat()}
        self._call("POST", "/api/v2/backfills", body)

    def dag_runs(self, dag_id: str = "~") -> list[DagRun]:
        """Return the runs of a DAG, or of all."""
        return [_dag_run(each) for each in self._pages(f"/api/v2/dags/{dag_id}/dagRuns", "dag_runs")]

    def task_instances(self, dag_id: str = "~", run_id: str = "~") -> list[TaskInstance]:
        """Return the tasks of a run, of all runs of a DAG, or of all runs."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return [_task_instance(each) for each in self._pages(path, "task_instances")]

    def clear(self, instance: TaskInstance) -> None:
        """Let a task that has ended run once more."""
        task = instance.task_id if instance.map_index < 0 else [instance.task_id, instance.map_index]
        body = {"dry_run": False, "only_failed": False, "dag_run_id": instance.run_id, "task_ids": [task]}
        self._call("POST", f"/api/v2/dags/{instance.dag_id}/clearTaskInstances", body)

    def slots(self, pool: str = "default_pool") -> Slots:
        """Return what is going on in a pool."""
        found = self._call("GET", f"/api/v2/pools/{pool}")
        return Slots(
            found["slots"],
            found["occupied_slots"],
            found["running_slots"],
            found["queued_slots"],
            found["deferred_slots"],
        )

    def xcom(self, instance: TaskInstance, key: str = "return_value") -> Any:
        """Return what a task has pushed."""
        path = f"{_path(instance)}/xcomEntries/{key}?map_index={instance.map_index}"
        return self._call("GET", path)["value"]

    def log(self, instance: TaskInstance, *, try_number: int | None = None) -> list[str]:
        """Return the lines of a task's log."""
        path = f"{_path(instance)}/logs/{try_number or instance.try_number}?map_index={instance.map_index}"
        lines = self._call("GET", path)["content"]
        return [line if isinstance(line, str) else _line(line) for line in lines]

    def _pages(self, path: str, name: str) -> Iterator[dict[str, Any]]:
        offset, total = 0, 1
        while offset < total:
            page = self._call("GET", f"{path}?limit={_PAGE}&offset={offset}")
            yield from page[name]
            offset, total = offset + _PAGE, page["total_entries"]

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._ask(method, path, body)
            except (httpx.TransportError, httpx.HTTPStatusError) as error:
                refused = isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
                # What changes something is not sent twice: the first may have been understood.
                if refused or method == "POST" or time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        if self._token is None:
            self._token = self._new_token()
        headers = {"Authorization": f"Bearer {self._token}"}
        answer = self._client.request(method, path, json=body, headers=headers)
        return answer.raise_for_status().json()

    def _new_token(self) -> str:
        if self._login is None:
            answer = self._client.get("/auth/token")
        else:
            username, password = self._login
            answer = self._client.post("/auth/token", json={"username": username, "password": password})
        token: str = answer.raise_for_status().json()["access_token"]
        return token


def _path(instance: TaskInstance) -> str:
    return f"/api/v2/dags/{instance.dag_id}/dagRuns/{instance.run_id}/taskInstances/{instance.task_id}"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _dag_run(found: Mapping[str, Any]) -> DagRun:
    moment = found["logical_date"]
    return DagRun(found["dag_id"], found["dag_run_id"], found["state"], _moment(moment) if moment else None)


def _task_instance(found: Mapping[str, Any]) -> TaskInstance:
    start, end = found["start_date"], found["end_date"]
    return TaskInstance(
        found["dag_id"],
        found["dag_run_id"],
        found["task_id"],
        found["map_index"],
        found["state"],
        found["try_number"],
        _moment(start) if start else None,
        _moment(end) if end else None,
        found["pid"],
        (found["triggerer_job"] or {}).get("id"),
        _moment(moment) if (moment := found["logical_date"]) else None,
    )


def _line(message: Mapping[str, Any]) -> str:
    """Write a structured message as a line, with the traceback if it has one."""
    words = [str(message.get("timestamp") or ""), str(message.get("level") or ""), str(message["event"])]
    lines = [" ".join(word for word in words if word)]
    for detail in message.get("error_detail") or []:
        lines.append(f"  {detail.get('exc_type')}: {detail.get('exc_value')}")
        lines += [f"    {frame['filename']}:{frame['lineno']} {frame['name']}" for frame in detail["frames"]]
    return "\n".join(lines)
