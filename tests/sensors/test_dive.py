"""Wait for the data of other tasks, then work on it: the same answers in every mode."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from fileflow_async import AsyncTaskRunner, Dependency, DiveSensorAsync, Reference, TaskRunner, open_store
from fileflow_async._compat import AirflowRescheduleException
from fileflow_async.errors import (
    ConfigError,
    DependencyError,
    FormatError,
    TargetAccessError,
    TargetCorruptError,
    TargetEmptyError,
)
from fileflow_async.manifest import Producer
from fileflow_async.outcome import Outcome
from fileflow_async.target import Slot, Target
from fileflow_async.triggers import FileTargetStartTrigger
from fileflow_async.triggers.file_target_start import from_payload, to_payload
from tests.airflow_context import NOON, FakeRun
from tests.sensors.modes import MODES, carried_out, deferral, event_of, modes, resumed

pytestmark = pytest.mark.usefixtures("root", "dag", "no_pause")

ORDERS = {"orders": "extract"}


def commit(place: Target, data: bytes = b"data", **options: Any) -> Reference:
    """Commit a target as another task would."""

    async def write() -> Reference:
        async with open_store() as store:
            async with store.write(place, **options) as out:
                await out.write(data)
            assert out.reference is not None
            return out.reference

    return asyncio.run(write())


def fail(place: Target, error: str) -> None:
    """Leave what a producer leaves that has failed for good."""

    async def tell() -> None:
        async with open_store() as store:
            await store.fail(place, error=error, producer=Producer(task_id="extract", try_number=3))

    asyncio.run(tell())


def sensor_in(mode: str, **arguments: Any) -> DiveSensorAsync:
    given = {"task_id": "wait", "data_dependencies": ORDERS, "poke_interval": 1, "timeout": 60}
    return DiveSensorAsync(**{**given, **MODES[mode], **arguments})


@modes
def test_a_sensor_runs_on_at_once_when_all_is_there(run: FakeRun, mode: str) -> None:
    """Nothing is deferred that need not wait."""
    reference = commit(run.target("extract"))
    assert sensor_in(mode).execute(run.context("wait")) == {"orders": reference.to_payload()}


def test_a_look_gives_a_silent_store_seconds_and_the_work_minutes(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait asks again without a slot; whoever works has nobody to ask again for it."""
    commit(run.target("extract"), b"32")
    asked: list[bool] = []

    def opening(*args: Any, impatient: bool) -> Any:
        asked.append(impatient)
        return open_store(*args)

    monkeypatch.setattr("fileflow_async.hooks.store.open_store", opening)
    sensor_in("deferred", python_object=Add).execute(run.context("wait"))
    assert asked == [True, False]


@modes
def test_a_sensor_waits_for_what_is_missing(run: FakeRun, mode: str) -> None:
    """In whichever way it waits, it finds the same."""
    waiting = sensor_in(mode)
    if mode == "in a slot":
        commit(run.target("extract"), b"there")
    result = carried_out(waiting, run.context("wait"), lambda: commit(run.target("extract"), b"there"))
    assert (result["orders"]["target"], result["orders"]["size"]) == (run.target("extract").key, 5)


def test_a_wait_in_a_slot_ends_when_the_data_comes(run: FakeRun) -> None:
    """It holds its worker, but it watches as the triggerer would."""

    async def later() -> Any:
        waiting = asyncio.to_thread(sensor_in("in a slot").execute, run.context("wait"))
        task = asyncio.ensure_future(waiting)
        async with open_store() as store, store.write(run.target("extract")) as out:
            await out.write(b"late")
        return await task

    result = asyncio.run(later())
    assert result["orders"]["size"] == 4


@dataclass
class Cell:
    """One cell of the sensor's contract: what lies there, what the sensor is told, and how it must end."""

    ending: type[BaseException]
    says: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    there: Callable[[FakeRun], object] = lambda run: None
    is_over: bool = True  # whether the time is up when it is looked at


def corrupt(run: FakeRun) -> None:
    reference = commit(run.target("extract"), b"1234567890")
    path = Path(str(reference.root).removeprefix("file://")) / reference.target / reference.data
    path.chmod(0o640)
    path.write_bytes(b"1")


def stale(run: FakeRun) -> None:
    commit(run.target("extract"))


CELLS = {
    "timeout": Cell(
        AirflowSensorTimeout, "waited 1 s for 'output' of shop/20261120T120000Z/extract; last state ABSENT"
    ),
    "timeout, soft_fail": Cell(AirflowSkipException, "skipped", {"soft_fail": True}),
    "timeout, never_fail": Cell(AirflowSkipException, "skipped", {"never_fail": True}),
    "empty, fail": Cell(
        TargetEmptyError,
        "'output' of shop/20261120T120000Z/extract is complete but empty",
        {"on_empty": "fail"},
        lambda run: commit(run.target("extract"), b""),
        is_over=False,
    ),
    "empty, fail, soft_fail": Cell(
        TargetEmptyError,
        "is complete but empty",
        {"on_empty": "fail", "soft_fail": True},
        lambda run: commit(run.target("extract"), b""),
        is_over=False,
    ),
    "empty, fail, never_fail": Cell(
        AirflowSkipException,
        "is complete but empty",
        {"on_empty": "fail", "never_fail": True},
        lambda run: commit(run.target("extract"), b""),
        is_over=False,
    ),
    "empty, skip": Cell(
        AirflowSkipException,
        "is complete but empty",
        {"on_empty": "skip"},
        lambda run: commit(run.target("extract"), b""),
        is_over=False,
    ),
    "empty, wait": Cell(
        AirflowSensorTimeout,
        "last state EMPTY",
        {"on_empty": "wait"},
        lambda run: commit(run.target("extract"), b""),
    ),
    "corrupt": Cell(TargetCorruptError, "has 1 bytes; the manifest says 10", there=corrupt, is_over=False),
    "corrupt, skip": Cell(
        AirflowSkipException, "has 1 bytes", {"on_corrupt": "skip"}, there=corrupt, is_over=False
    ),
    "failed": Cell(
        AirflowFailException,
        "its producer failed: extract, try 3: KeyError: 'amount'",
        {"soft_fail": True},
        lambda run: fail(run.target("extract"), "KeyError: 'amount'\nsecond line"),
        is_over=False,
    ),
    "stale": Cell(
        AirflowSensorTimeout,
        "but before 2",
        {"data_dependencies": {"orders": Dependency("extract", newer_than=datetime(2199, 1, 1, tzinfo=UTC))}},
        stale,
    ),
}


@modes
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_of_the_contract_is_the_same_in_every_mode(run: FakeRun, cell: str, mode: str) -> None:
    """What a wait ends with depends on what lies there, not on who looks."""
    wanted = CELLS[cell]
    wanted.there(run)
    arguments = {"timeout": 1 if wanted.is_over else 60, **wanted.arguments}
    began = datetime.now(UTC) - timedelta(seconds=0.7 if wanted.is_over else 0)
    context = run.context("wait", start_date=began, rescheduled=began)
    with pytest.raises(wanted.ending) as caught:
        carried_out(sensor_in(mode, **arguments), context, lambda: None)
    assert wanted.says in str(caught.value)


class Add(TaskRunner):
    """Adds to the number it is given by others, and remembers what it was told."""

    told: list[tuple[str, Any]]

    def run(self, step: int = 1) -> None:
        self.write_json(self.read_upstream_json("orders") + step)

    def on_ready(self, references: Any) -> None:
        self.told.append(("ready", references["orders"][0].target))

    async def on_commit(self, reference: Reference) -> None:
        self.told.append(("commit", reference.target))

    def on_failure(self, error: Exception) -> None:
        self.told.append(("failure", str(error)))

    def on_timeout(self, missing: Any) -> None:
        self.told.append(("timeout", [each.target for each in missing]))


class AddAsync(AsyncTaskRunner):
    """The same, as a coroutine."""

    async def run(self, step: int = 1) -> None:
        await self.write_json(await self.read_upstream_json("orders") + step)


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    Add.told = []


def read(place: Target) -> Any:
    async def load() -> bytes:
        async with open_store() as store:
            return await store.read(place)

    return json.loads(asyncio.run(load()))


@pytest.mark.parametrize("logic", [Add, AddAsync])
@modes
def test_a_sensor_works_on_what_it_waited_for(run: FakeRun, mode: str, logic: Any) -> None:
    """One task waits, works and commits; its result is the reference of what it made."""
    waiting = sensor_in(mode, python_object=logic, op_kwargs={"step": 10})
    if mode == "in a slot":
        commit(run.target("extract"), b"32")
    result = carried_out(waiting, run.context("wait"), lambda: commit(run.target("extract"), b"32"))
    assert read(run.target("wait")) == 42
    assert Reference.from_payload(result).target == run.target("wait").key
    assert run.xcoms["wait", -1, "fileflow"] == {"output": result}


def test_the_logic_works_on_what_was_waited_for(run: FakeRun) -> None:
    """Though something newer is committed before it begins."""
    waiting, context = sensor_in("deferred", python_object=Add), run.context("wait")
    commit(run.target("extract"), b"1")
    with waiting.running():
        event = waiting.look(context)
        assert event is not None
        commit(run.target("extract"), b"100")
        waiting.arrived(context, event)
    assert read(run.target("wait")) == 2


def test_a_commit_before_the_run_does_not_count_where_that_is_asked_for(run: FakeRun) -> None:
    """Neither for the look nor for the trigger."""
    orders = {"orders": Dependency("extract", newer_than="run")}
    waiting, context = sensor_in("deferred", data_dependencies=orders), run.context("wait")
    began = context["dag_run"].start_date
    assert began is not None
    trigger = waiting.trigger(context, deadline=1.0, not_before=None)
    assert trigger.newer_than == {run.target("extract").key: began.timestamp()}
    with waiting.running():
        run.start_date = datetime.now(UTC) + timedelta(hours=1)
        commit(run.target("extract"))
        assert waiting.look(run.context("wait")) is None
        run.start_date = datetime.now(UTC) - timedelta(hours=1)
        assert waiting.look(run.context("wait")) is not None


def test_what_looks_damaged_is_looked_at_again(run: FakeRun) -> None:
    """It may be a clean-up that is seen half way: one look does not end the wait."""
    corrupt(run)
    waiting = sensor_in("deferred")
    with waiting.running():
        assert waiting.look(run.context("wait")) is None
    assert waiting.is_in_doubt


def test_an_outage_is_no_doubt(run: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may last for hours, for which no slot is held."""
    waiting = sensor_in("deferred")
    monkeypatch.setenv("AIRFLOW__FILEFLOW__ROOT", "/nowhere/at/all")
    with waiting.running():
        assert waiting.look(run.context("wait")) is None
    assert not waiting.is_in_doubt


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_each_policy_is_that_of_its_outcome(policy: Any) -> None:
    """Those of other outcomes are not asked for."""
    for outcome in (Outcome.EMPTY, Outcome.CORRUPT, Outcome.ABANDONED):
        waiting = sensor_in("deferred", task_id=f"wait_{outcome}", **{f"on_{outcome}": policy})
        assert waiting.policy_of(outcome) == policy
        assert waiting.policy_of(Outcome.FAILED) == "fail"


def test_the_logic_is_told_of_what_happens(run: FakeRun) -> None:
    """Sync or async, as each callback is written."""
    commit(run.target("extract"), b"1")
    sensor_in("deferred", python_object=Add).execute(run.context("wait"))
    assert Add.told == [("ready", run.target("extract").key), ("commit", run.target("wait").key)]
    commit(run.target("extract"), b"no json")
    with pytest.raises(ValueError, match="Expecting value"):
        sensor_in("deferred", task_id="broken", python_object=Add).execute(run.context("broken"))
    happened, message = Add.told[-1]
    assert (happened, "is not valid JSON: Expecting value: line 1 column 1" in message) == ("failure", True)


def test_the_logic_is_told_of_what_was_missing_when_the_time_was_over(run: FakeRun) -> None:
    """It may clean up, or send word."""
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    with pytest.raises(AirflowSensorTimeout):
        sensor_in("deferred", python_object=Add).execute(run.context("wait", start_date=long_ago))
    assert Add.told == [("timeout", [run.target("extract").key])]


def test_a_failure_for_good_ends_the_waits_behind_it(run: FakeRun) -> None:
    """Its own waiters learn at once which task failed, in which try, and why."""
    commit(run.target("extract"), b"no json")
    context = run.context("wait", try_number=2, max_tries=1)
    with pytest.raises(ValueError, match="Expecting value"):
        sensor_in("deferred", python_object=Add).execute(context)
    behind = sensor_in("deferred", task_id="behind", data_dependencies={"x": "wait"})
    with pytest.raises(
        AirflowFailException, match=r"its producer failed: wait, try 2: FormatError: .* is not valid JSON"
    ):
        behind.execute(run.context("behind"))


def test_a_failure_that_is_tried_again_ends_no_wait(run: FakeRun) -> None:
    """The next try may succeed."""
    commit(run.target("extract"), b"no json")
    with pytest.raises(ValueError, match="Expecting value"):
        sensor_in("deferred", python_object=Add).execute(run.context("wait", try_number=1, max_tries=1))
    behind = sensor_in("deferred", task_id="behind", data_dependencies={"x": "wait"})
    with pytest.raises(TaskDeferred):
        behind.execute(run.context("behind"))


@pytest.mark.parametrize(("interval", "least"), [(1, 5), (60, 60)])
def test_a_task_that_is_rescheduled_stays_away_for_some_seconds(
    run: FakeRun, interval: float, least: float
) -> None:
    """Airflow fails one that runs again before its scheduler has seen its worker exit."""
    before = datetime.now(UTC)
    with pytest.raises(AirflowRescheduleException) as caught:
        sensor_in("rescheduled", poke_interval=interval, timeout=600).execute(run.context("wait"))
    assert least <= (caught.value.reschedule_date - before).total_seconds() < least + 5


def test_the_deadline_is_a_moment_that_no_deferral_moves(run: FakeRun) -> None:
    """It counts from the first start of the try, which Airflow keeps; its own timeout comes behind it."""
    began = datetime.now(UTC) - timedelta(seconds=40)
    context = run.context("wait", start_date=began)
    waiting = sensor_in("deferred", timeout=100)
    first, again = deferral(waiting, context), deferral(waiting, context)
    assert first.trigger.deadline == again.trigger.deadline == pytest.approx(began.timestamp() + 100)
    assert first.timeout is not None
    assert 60 < first.timeout.total_seconds() <= 90


def test_the_trigger_gets_what_the_sensor_was_given(run: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON and no secret: a row in Airflow's database, in plain text."""
    monkeypatch.setenv("AIRFLOW__FILEFLOW__MIN_DEFER_SECONDS", "7")
    waiting = sensor_in(
        "deferred", when="any", on_empty="wait", exponential_backoff=True, max_wait=600, poke_interval=30
    )
    now = datetime.now(UTC).timestamp()
    path, arguments = deferral(waiting, run.context("wait")).trigger.serialize()
    assert path == "fileflow_async.triggers.file_target.FileTargetTrigger"
    assert json.loads(json.dumps(arguments)) == arguments
    assert arguments["targets"] == [run.target("extract").key]
    assert (arguments["when"], arguments["on_empty"]) == ("any", "wait")
    assert (arguments["poke_interval"], arguments["backoff"], arguments["max_wait"]) == (30, True, 600)
    assert now + 7 <= arguments["not_before"] <= now + 9


@pytest.mark.parametrize("event", [None, {}, "ready", {"outcome": "fine"}, {"outcome": "ready", "ready": 3}])
def test_an_event_that_is_none_is_an_error_never_success(run: FakeRun, event: Any) -> None:
    """Whoever sent it."""
    commit(run.target("extract"))
    with pytest.raises(FormatError, match="is not the event of a wait"):
        sensor_in("deferred").execute_complete(run.context("wait"), event)


def test_an_event_is_believed_only_as_far_as_the_store_shows_the_same(run: FakeRun) -> None:
    """What was deleted meanwhile is waited for again."""
    reference = commit(run.target("extract"))
    waiting, context = sensor_in("deferred"), run.context("wait")

    async def delete() -> None:
        async with open_store() as store:
            await store.delete(run.target("extract"))

    event = {
        "outcome": "ready",
        "ready": [reference.to_payload()],
        "missing": [],
        "ready_count": 1,
        "missing_count": 0,
    }
    assert waiting.execute_complete(context, event) == {"orders": reference.to_payload()}
    asyncio.run(delete())
    with pytest.raises(TaskDeferred):
        waiting.execute_complete(context, event)


def test_an_event_that_comes_twice_does_the_same_twice(run: FakeRun) -> None:
    """Two triggerers may have run the same trigger."""
    waiting, context = sensor_in("deferred"), run.context("wait")
    deferred = deferral(waiting, context)
    commit(run.target("extract"))
    assert resumed(waiting, context, event_of(deferred)) == resumed(waiting, context, event_of(deferred))


@pytest.mark.parametrize(
    ("flag", "ending"), [({}, AirflowSensorTimeout), ({"soft_fail": True}, AirflowSkipException)]
)
def test_airflows_own_timeout_is_a_timeout(
    run: FakeRun, flag: dict[str, Any], ending: type[Exception]
) -> None:
    """It comes when no triggerer was there to end the wait."""
    with pytest.raises(ending, match="the trigger did not say for what"):
        sensor_in("deferred", **flag).resume_execution(
            "__fail__", {"error": "Trigger timeout"}, run.context("wait")
        )


def test_a_trigger_that_failed_is_an_error_that_soft_fail_does_not_hide(run: FakeRun) -> None:
    """A broken sensor must not look healthy."""
    with pytest.raises(Exception, match="Trigger failure") as caught:
        sensor_in("deferred", soft_fail=True).resume_execution(
            "__fail__", {"error": "Trigger failure"}, run.context("wait")
        )
    assert not isinstance(caught.value, AirflowSkipException)


def test_all_mapped_instances_are_waited_for_once_their_number_is_known(run: FakeRun) -> None:
    """Before the task is expanded, its first instance stands for all."""
    waiting = sensor_in("deferred", data_dependencies={"parts": Dependency("part", map_index="all")})
    context = run.context("wait")
    first = deferral(waiting, context)
    assert first.trigger.targets == [run.target("part", map_index=0).key]
    run.mapped["shop", "part"] = 3
    commit(run.target("part", map_index=0))

    with pytest.raises(TaskDeferred) as again:
        waiting.execute_complete(context, event_of(first))
    assert again.value.trigger.targets == [run.target("part", map_index=index).key for index in range(3)]
    for index in (1, 2):
        commit(run.target("part", map_index=index))
    found = resumed(waiting, context, event_of(again.value))
    assert [reference["target"] for reference in found["parts"]] == again.value.trigger.targets


def test_mapped_instances_that_nobody_can_count_are_an_error(run: FakeRun) -> None:
    """The first is there, so its task was expanded; a run that Airflow has forgotten cannot be waited for."""
    commit(run.target("part", map_index=0))
    waiting = sensor_in("deferred", data_dependencies={"parts": Dependency("part", map_index="all")})
    with pytest.raises(DependencyError, match="how many instances 'part' has, for the dependency 'parts'"):
        waiting.execute(run.context("wait"))


def test_templates_in_a_dependency_are_filled_in(run: FakeRun) -> None:
    """One that becomes empty is refused with the template."""
    commit(Target(dag_id="lake", task_id="extract", slot=run.slot))
    context = run.context("wait", {"params": {"dag": "lake"}})
    there = {"orders": Dependency("extract", dag_id="{{ params.dag }}")}
    assert (
        sensor_in("deferred", data_dependencies=there)
        .execute(context)["orders"]["target"]
        .startswith("lake/")
    )
    nowhere = {"orders": Dependency("extract", dag_id="{{ params.get('none') or '' }}")}
    with pytest.raises(ConfigError, match="rendered to an empty name"):
        sensor_in("deferred", task_id="w2", data_dependencies=nowhere).execute(context)


def test_enough_of_several_partitions_is_enough(run: FakeRun) -> None:
    """Twenty hours of a day's twenty-four."""
    hours = Dependency("hourly", dag_id="lake", offset=[timedelta(hours=hour) for hour in range(24)])
    waiting = sensor_in("deferred", data_dependencies={"hours": hours}, when=20)
    targets = [each for each in hours.targets(dag_id="shop", slot=run.slot) if isinstance(each, Target)]
    for target in targets[:19]:
        commit(target)
    deferred = deferral(waiting, run.context("wait"))
    commit(targets[22])
    assert len(resumed(waiting, run.context("wait"), event_of(deferred))["hours"]) == 20


def test_an_operator_as_dependency_becomes_an_upstream_task(run: FakeRun) -> None:
    """A bare task id does not: the sensor then waits beside it."""
    before = sensor_in("deferred", task_id="extract", data_dependencies={"x": "y"})
    assert sensor_in("deferred", data_dependencies={"orders": before}).upstream_task_ids == {"extract"}
    assert sensor_in("deferred", task_id="w2").upstream_task_ids == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data_dependencies": {}}, "the sensor 'wait' has no data_dependencies to wait for"),
        ({"data_dependencies": {"a": "wait"}}, "task 'wait' cannot wait for its own output"),
        ({"when": "some"}, "when must be 'all', 'any' or a number from 1 to 1, got 'some'"),
        ({"when": 2}, "when must be 'all', 'any' or a number from 1 to 1, got 2"),
        ({"on_empty": "ignore"}, "on_empty must be one of 'accept', 'fail', 'skip', 'wait', got 'ignore'"),
        ({"timeout": 0}, "timeout must be a positive number of seconds, got 0"),
        ({"poke_interval": 0.01}, "poke_interval must be at least 1 second, got 0.01"),
        ({"python_object": dict}, "python_object must be a TaskRunner or AsyncTaskRunner class, got dict"),
        ({"python_object": Add, "python_method": "go"}, "Add has no method 'go'"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_the_dag_is_parsed(
    arguments: dict[str, Any], message: str
) -> None:
    """With a message that says what was expected."""
    with pytest.raises((ConfigError, DependencyError)) as caught:
        sensor_in("deferred", **arguments)
    assert str(caught.value) == message


def test_a_misspelt_argument_is_a_type_error() -> None:
    """It must not vanish in a `**kwargs`."""
    with pytest.raises(TypeError, match="poll_interval"):
        sensor_in("deferred", poll_interval=5)


def test_a_store_that_refuses_for_good_ends_the_wait_as_unreadable(run: FakeRun, root: Path) -> None:
    """The look alone does not decide: what refuses may come back."""
    missing = sensor_in("deferred", fileflow_root=f"file://{root}/file.txt")
    (root / "file.txt").write_text("not a folder")
    trigger = deferral(missing, run.context("wait")).trigger
    assert trigger.root == f"file://{root}/file.txt"
    event = {
        "outcome": "unreadable",
        "ready": [],
        "missing": [
            {"target": run.target("extract").key, "state": "UNREADABLE", "why": "it is not a directory"}
        ],
        "ready_count": 0,
        "missing_count": 1,
    }
    with pytest.raises(TargetAccessError, match=r"'output' of .*extract: it is not a directory"):
        missing.execute_complete(run.context("wait"), event)


def test_killing_the_task_cancels_its_coroutine(run: FakeRun) -> None:
    """Airflow calls on_kill in the main thread; the clean-up runs, and nothing is published."""
    seen: list[str] = []
    commit(run.target("extract"))

    class Endless(AsyncTaskRunner):
        async def run(self) -> None:
            await self.write_json("half")
            try:
                killed.on_kill()
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                seen.append("cleaned up")
                raise

    killed = sensor_in("deferred", python_object=Endless)
    with pytest.raises(asyncio.CancelledError):
        killed.execute(run.context("wait"))
    assert seen == ["cleaned up"]

    async def look() -> bool:
        async with open_store() as store:
            return (await store.state(run.target("wait"))).is_committed

    assert not asyncio.run(look())


def test_a_sensor_may_start_in_the_triggerer(run: FakeRun) -> None:
    """Its slot is a template there, as nothing else tells it; the deadline is Airflow's, less a little."""
    waiting = sensor_in("deferred", start_from_trigger=True, timeout=100)
    arguments = waiting.start_trigger_args
    assert waiting.start_from_trigger
    assert arguments is not None
    assert arguments.timeout == timedelta(seconds=130)
    assert arguments.trigger_kwargs is not None
    assert json.loads(json.dumps(arguments.trigger_kwargs)) == arguments.trigger_kwargs
    context = run.context("wait")
    filled = {**arguments.trigger_kwargs, "slot": waiting.render_template(waiting.slot, context)}
    trigger = FileTargetStartTrigger(**filled)
    vars(trigger)["timeout_after"] = datetime.now(UTC) + timedelta(seconds=130)  # as the triggerer does
    resolved = trigger.resolved()
    assert resolved.targets == [run.target("extract").key]
    assert resolved.deadline == pytest.approx(time.time() + 100, abs=2)
    assert FileTargetStartTrigger(**filled).resolved().deadline is None
    reference = commit(run.target("extract"))
    event = asyncio.run(anext_of(trigger)).payload
    assert waiting.execute_complete(context, event) == {"orders": reference.to_payload()}


@pytest.mark.parametrize(("limit", "patience"), [(None, 100), (500, 100), (110, 100), (20, 20)])
def test_a_start_in_the_triggerer_keeps_both_limits(
    run: FakeRun, limit: float | None, patience: float
) -> None:
    """Airflow cuts its own timeout of such a wait to the execution_timeout; ours lies at it or before."""
    limits: dict[str, Any] = {} if limit is None else {"execution_timeout": timedelta(seconds=limit)}
    waiting = sensor_in("deferred", start_from_trigger=True, timeout=100, **limits)
    arguments, now = waiting.start_trigger_args, datetime.now(UTC)
    assert arguments is not None
    assert arguments.timeout is not None
    slot = waiting.render_template(waiting.slot, run.context("wait"))
    trigger = FileTargetStartTrigger(**{**(arguments.trigger_kwargs or {}), "slot": slot})
    ends = min(arguments.timeout, limits.get("execution_timeout", arguments.timeout))
    vars(trigger)["timeout_after"] = now + ends  # as Airflow does
    assert trigger.resolved().deadline == pytest.approx(now.timestamp() + patience)


def test_a_start_in_the_triggerer_waits_as_any_other(run: FakeRun) -> None:
    """Whatever the sensor was told, both of its triggers know."""
    waiting = sensor_in(
        "deferred",
        start_from_trigger=True,
        when="any",
        poke_interval=7.0,
        on_empty="wait",
        on_corrupt="skip",
        on_abandoned="fail",
        exponential_backoff=True,
        max_wait=timedelta(seconds=90),
        fileflow_conn_id="lake",
    )
    context = run.context("wait")
    assert waiting.start_trigger_args is not None
    slot = waiting.render_template(waiting.slot, context)
    start = FileTargetStartTrigger(**{**(waiting.start_trigger_args.trigger_kwargs or {}), "slot": slot})
    other = waiting.trigger(context, deadline=1.0, not_before=None)
    others = {"deadline": None, "not_before": None, "newer_than": None}
    assert start.resolved().serialize()[1] | others == other.serialize()[1] | others
    assert (other.backoff, other.max_wait, other.poke_interval) == (True, 90.0, 7.0)
    assert (other.when, other.conn_id) == ("any", "lake")
    assert (other.on_empty, other.on_corrupt, other.on_abandoned) == ("wait", "skip", "fail")


@pytest.mark.parametrize(
    "dependency",
    [
        Dependency("t"),
        Dependency("t", dag_id="other", name="orders", map_index=3, offset=timedelta(hours=-1)),
        Dependency("t", name=["a", "b"], slot=["key=x", "key=y"], map_index=[1, 2]),
    ],
    ids=str,
)
def test_a_dependency_is_read_back_as_it_was_written(dependency: Dependency) -> None:
    """As JSON, which Airflow stores with the DAG."""
    slot = Slot(logical_date=NOON)
    read = from_payload(json.loads(json.dumps(to_payload(dependency))))
    assert read.targets(dag_id="shop", slot=slot) == dependency.targets(dag_id="shop", slot=slot)


@pytest.mark.parametrize("backstop", [-1.0, float("nan"), "soon", None])
async def test_a_backstop_that_is_none_is_an_error_of_its_task(backstop: Any) -> None:
    """With it the wait would end behind Airflow's own end of it, or never."""
    slot = '{"logical_date": null, "partition_key": null, "run_id": "r"}'
    trigger = FileTargetStartTrigger(
        slot=slot, dag_id="shop", dependencies=[], fileflow_root="file:///x", backstop=backstop
    )
    with pytest.raises(ConfigError, match="backstop must be a number of seconds >= 0"):
        await anext(trigger.run())


async def anext_of(trigger: Any) -> Any:
    return await anext(trigger.run())


@pytest.mark.parametrize(
    "run", [FakeRun(logical_date=None, run_id="asset__1"), FakeRun(logical_date=NOON.replace(microsecond=7))]
)
def test_the_slot_of_a_start_is_that_of_the_run(run: FakeRun) -> None:
    """Whatever the run has."""
    waiting = sensor_in("deferred", start_from_trigger=True)
    assert waiting.start_trigger_args is not None
    filled = {**(waiting.start_trigger_args.trigger_kwargs or {})}
    filled["slot"] = waiting.render_template(waiting.slot, run.context("wait"))
    assert FileTargetStartTrigger(**filled).resolved().targets == [run.target("extract").key]


@pytest.mark.parametrize(
    ("dependency", "message"),
    [
        (Dependency("t", map_index="all"), "has map_index='all' or newer_than"),
        (Dependency("t", newer_than="run"), "has map_index='all' or newer_than"),
        (Dependency("t", dag_id="{{ params.dag }}"), "has templates"),
        (Dependency("t", slot="key={{ ds }}"), "has templates"),
    ],
)
def test_what_only_a_worker_can_resolve_cannot_start_in_the_triggerer(
    dependency: Dependency, message: str
) -> None:
    """It is refused when the DAG is parsed."""
    with pytest.raises(ConfigError, match=message):
        sensor_in("deferred", data_dependencies={"x": dependency}, start_from_trigger=True)


def test_a_mapped_task_does_not_start_in_the_triggerer(run: FakeRun) -> None:
    """Airflow would hand the trigger the arguments of no instance."""
    with pytest.raises(ConfigError, match="the task 'wait' is mapped; it cannot start from the trigger"):
        sensor_in("deferred", start_from_trigger=True).execute(run.context("wait", map_index=0))


@pytest.mark.parametrize(
    "slot", ["", "{}", "[1]", '{"logical_date": "soon", "partition_key": null, "run_id": "r"}']
)
async def test_a_slot_that_cannot_be_told_is_an_error_of_its_task(slot: str) -> None:
    """Raised while the trigger runs, never by its constructor."""
    trigger = FileTargetStartTrigger(slot=slot, dag_id="shop", dependencies=[], fileflow_root="file:///x")
    with pytest.raises(ConfigError, match="the slot of this run cannot be told from"):
        await anext(trigger.run())


async def test_a_dependency_that_is_none_is_an_error_of_its_task() -> None:
    """A row that another version wrote."""
    slot = '{"logical_date": null, "partition_key": null, "run_id": "r"}'
    trigger = FileTargetStartTrigger(
        slot=slot, dag_id="shop", dependencies=[{"task": "t"}], fileflow_root="file:///x"
    )
    with pytest.raises(ConfigError, match="is not a dependency"):
        await anext(trigger.run())
