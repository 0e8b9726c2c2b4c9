"""What is told of tasks, from answers that Airflow 3.3.2 has given."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from rich.console import Console

from demo import watching
from demo.airflow_api import AirflowApi, DagRun
from demo.processes import ProcessError
from demo.screen import Screen
from demo.watching import Watch

DAY = datetime(2026, 11, 20, tzinfo=UTC)
RUN = DagRun("shop", "manual__1", "running", DAY)


def instance(task_id: str, state: str | None, *, map_index: int = -1) -> dict[str, Any]:
    return {
        "dag_id": "shop",
        "dag_run_id": "manual__1",
        "task_id": task_id,
        "map_index": map_index,
        "state": state,
        "try_number": 1,
        "start_date": "2026-11-21T17:09:55.803937Z",
        "end_date": None,
        "pid": None,
        "triggerer_job": None,
        "logical_date": "2026-11-21T00:00:00Z",
    }


def pool(occupied: int, deferred: int) -> dict[str, Any]:
    return {
        "name": "default_pool",
        "slots": 2,
        "occupied_slots": occupied,
        "running_slots": occupied,
        "queued_slots": 0,
        "deferred_slots": deferred,
    }


class Server:
    """Answers as Airflow does; what is in `looks` one look after the other, the last for ever."""

    def __init__(self) -> None:
        self.looks: list[tuple[list[dict[str, Any]], dict[str, Any]]] = []
        self.states = ["running"]
        self.asked: list[str] = []
        self.broken: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if request.url.path == "/auth/token":
            return httpx.Response(200, json={"access_token": "secret"})
        assert request.headers["Authorization"] == "Bearer secret"
        if self.broken:
            return httpx.Response(self.broken.pop())
        instances, slots = self.looks[0]
        if request.url.path == "/api/v2/pools/default_pool":
            if len(self.looks) > 1:
                self.looks.pop(0)
            return httpx.Response(200, json=slots)
        if request.url.path.endswith("/taskInstances"):
            offset = int(request.url.params["offset"])
            page = {"task_instances": instances[offset : offset + 100], "total_entries": len(instances)}
            return httpx.Response(200, json=page)
        assert request.url.path == "/api/v2/dags/shop/dagRuns"
        runs = [
            {"dag_id": "shop", "dag_run_id": f"manual__{number}", "state": state, "logical_date": None}
            for number, state in enumerate(self.states, 1)
        ]
        return httpx.Response(200, json={"dag_runs": runs, "total_entries": len(runs)})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def api(server: Server) -> Iterator[AirflowApi]:
    with AirflowApi("http://127.0.0.1:1") as api:
        api._client = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(server))
        yield api


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def watch(api: AirflowApi, out: io.StringIO) -> Watch:
    screen = Screen(Console(file=out, highlight=False))
    (watch := Watch(api, tell=screen.change)).begin(RUN)
    return watch


def test_each_change_is_told_once_with_the_slots(watch: Watch, server: Server, out: io.StringIO) -> None:
    """What is as it was is not told again, and neither is a task that Airflow has not thought of yet."""
    server.looks = [
        ([instance("extract", None), instance("report", "running")], pool(1, 0)),
        ([instance("extract", "queued", map_index=0), instance("report", "deferred")], pool(1, 1)),
        ([instance("extract", "queued", map_index=0), instance("report", "deferred")], pool(0, 2)),
    ]
    for _ in server.looks.copy():
        watch.look()
    assert [line.split(" s  ", 1)[1].rstrip() for line in out.getvalue().splitlines()] == [
        "▶ shop.report            running       slots ●○",
        "· shop.extract[0]        queued        slots ●○  1 waiting in the triggerer",
        "◌ shop.report            deferred      slots ●○  1 waiting in the triggerer",
    ]
    assert watch.states == {"shop.extract[0]": "queued", "shop.report": "deferred"}


def test_a_look_goes_on_until_it_is_so(watch: Watch, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_INTERVAL", 0)
    report = [instance("report", "deferred")]
    server.looks = [(report, pool(2, 0)), (report, pool(1, 1)), (report, pool(0, 1))]
    slots = watch.until(lambda slots: slots.occupied == 0, "no slot is taken", limit=10)
    assert (slots.occupied, slots.deferred) == (0, 1)
    with pytest.raises(TimeoutError, match="after 0 s it is still not so: two wait"):
        watch.until(lambda slots: slots.deferred == 2, "two wait", limit=0)


def test_nobody_watches_an_airflow_that_is_gone(watch: Watch, server: Server) -> None:
    """It would be a wait for nothing."""
    server.looks = [([], pool(0, 0))]
    watch.look()

    def check() -> None:
        raise ProcessError("triggerer ended by signal 9")

    watch.check = check
    with pytest.raises(ProcessError, match="triggerer"):
        watch.until(lambda _: False, "never", limit=10)


def test_the_time_in_a_state_is_added_up(watch: Watch, server: Server) -> None:
    """Between two looks a task is in what the first has shown."""
    server.looks = [([instance("report", "deferred"), instance("day", "deferred")], pool(0, 2))]
    watch.look()
    assert watch._looked is not None
    watch._looked -= 10
    watch.look()
    assert watch.total("deferred") == pytest.approx(20, abs=1)
    assert watch.total("running") == 0


@pytest.mark.parametrize(("state", "over"), [("running", False), ("success", True), ("failed", True)])
def test_runs_are_over_when_those_that_were_begun_are(
    watch: Watch, server: Server, state: str, over: bool
) -> None:
    """Others of the DAG do not count."""
    server.looks, server.states = [([], pool(0, 0))], [state, "running"]
    assert watch.is_over is over


def test_more_tasks_than_fit_on_a_page_are_all_seen(api: AirflowApi, server: Server) -> None:
    server.looks = [([instance("part", "success", map_index=index) for index in range(250)], pool(0, 0))]
    assert [each.map_index for each in api.task_instances()] == list(range(250))


def test_a_server_that_restarts_is_asked_again(api: AirflowApi, server: Server) -> None:
    """But nothing is begun twice, and a refusal is believed at once."""
    server.looks = [([], pool(1, 2))]
    server.broken = [503]
    assert api.slots().deferred == 2
    server.broken = [503]
    with pytest.raises(httpx.HTTPStatusError, match="503"):
        api.trigger("shop")
    server.broken = [403]
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        api.slots()
    assert server.asked.count("/auth/token") == 1
