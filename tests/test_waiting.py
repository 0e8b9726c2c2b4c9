"""When a wait is over, and what is then said."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from fileflow_async.criteria import Criteria
from fileflow_async.errors import ConfigError, FormatError, StorageUnavailableError, TargetAccessError
from fileflow_async.manifest import Failure, Producer
from fileflow_async.outcome import Missing, Outcome, WaitEvent
from fileflow_async.status import State, Status, Writing, unreadable
from fileflow_async.target import Attempt, Reference
from fileflow_async.waiting import Wait
from tests.watching import DATA, RUN, absent, complete, in_state

NAMES = ("a", "b", "c")
KEYS = {name: f"{RUN}/{name}/output" for name in NAMES}
MOMENT = 1_790_000_000.0


def statuses(**states: Status) -> Mapping[str, Status]:
    return {name: replace(status, key=KEYS[name]) for name, status in states.items()}


def wait(*names: str, **criteria: Any) -> Wait:
    wait = Wait(targets=names or NAMES, criteria=Criteria(**criteria))
    wait.check()
    return wait


READY = complete("x")
NONE = absent("x")
FAILED = Status(
    key="x", state=State.FAILED, why="its producer failed", failure=Failure(error="no"), failed=MOMENT
)
EMPTY = replace(READY, state=State.EMPTY)
CORRUPT = replace(in_state("x", State.CORRUPT), committed=MOMENT)
ABANDONED = replace(
    in_state("x", State.ABANDONED),
    writing=Writing(attempt=Attempt.begin(int(MOMENT * 1000)), size=1, modified=MOMENT),
)


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("when", ["all", "any", 1, 2, 3])
def test_a_wait_ends_when_enough_are_ready_or_can_no_longer_be(state: State, when: Any) -> None:
    """For each state of one of three targets, with the others absent, then ready."""
    bad = {State.FAILED: FAILED, State.CORRUPT: CORRUPT, State.ABANDONED: ABANDONED, State.EMPTY: EMPTY}
    first = bad.get(state, READY if state is State.COMPLETE else in_state("x", state))
    if state is State.UNREADABLE:
        first = unreadable("x", StorageUnavailableError("down"))
    it = wait(when=when, on_abandoned="fail", on_empty="fail")
    needed = it.criteria.needed(3)
    event = it.decide(statuses(a=first, b=NONE, c=NONE), 0.0)
    is_bad = state in bad
    if state is State.COMPLETE and needed == 1:
        assert event is not None
        assert event.outcome is Outcome.READY
    elif is_bad and needed == 3:
        assert event is not None
        assert event.outcome == state.lower()
    else:
        assert event is None
    event = it.decide(statuses(a=first, b=READY, c=READY), 0.0)
    if needed <= 2 or state is State.COMPLETE:
        assert event is not None
        assert event.outcome is Outcome.READY
    elif is_bad:
        assert event is not None
        assert event.missing[0].target == "a"
    else:
        assert event is None


def test_what_is_not_known_yet_is_waited_for() -> None:
    """A target that was not looked at is neither there nor not there."""
    assert wait().decide({}, 0.0) is None
    assert wait().decide(statuses(a=READY, b=READY), 0.0) is None
    assert wait(when="any").decide(statuses(a=READY), 0.0) is not None


@pytest.mark.parametrize("bad", [FAILED, CORRUPT, ABANDONED, EMPTY, READY])
def test_what_was_before_newer_than_says_nothing(bad: Status) -> None:
    """A failure or damage of yesterday must not end the wait for today's commit."""
    policies: dict[str, Any] = {"on_abandoned": "fail", "on_empty": "fail"}
    it = wait("a", newer_than=MOMENT + 1, **policies)
    assert it.decide(statuses(a=bad), 0.0) is None
    assert "but before 2026-09-21 14:13:21Z" in it.why("a", replace(bad, key=KEYS["a"]))
    assert wait("a", newer_than=MOMENT, **policies).decide(statuses(a=bad), 0.0) is not None
    assert wait("a", newer_than={"a": MOMENT + 1}, **policies).decide(statuses(a=bad), 0.0) is None


def test_a_commit_of_unknown_age_is_not_newer_than_anything() -> None:
    """It is not handed out as fresh."""
    it = wait("a", newer_than=1.0)
    assert it.decide(statuses(a=replace(READY, committed=None)), 0.0) is None


def test_a_refusal_is_believed_after_a_minute_and_three_looks() -> None:
    """Looks are told apart by their statuses: to be asked again at the deadline is none."""
    it = wait("a")

    def refused() -> Mapping[str, Status]:
        return {"a": unreadable(KEYS["a"], TargetAccessError("403"))}

    first = refused()
    assert it.decide(first, 0.0) is None
    assert it.decide(first, 70.0) is None
    assert it.decide(refused(), 71.0) is None
    event = it.decide(refused(), 72.0)
    assert event is not None
    assert (event.outcome, event.missing[0].why) == (Outcome.UNREADABLE, "403")
    it = wait("a")
    for second in (0, 20, 40, 59):
        assert it.decide(refused(), float(second)) is None
    assert it.decide(refused(), 60.0) is not None


@pytest.mark.parametrize(
    "between", [NONE, READY, unreadable("x", StorageUnavailableError("503"))], ids=["seen", "ready", "outage"]
)
def test_a_refusal_that_was_interrupted_begins_anew(between: Status) -> None:
    """Rights come and go for a moment; what happened an hour ago does not count."""
    it = wait("a", "b")

    def refused() -> Mapping[str, Status]:
        return {"a": unreadable(KEYS["a"], TargetAccessError("403"))}

    for second in (0, 30, 59):
        assert it.decide(refused(), float(second)) is None
    assert it.decide(statuses(a=between), 59.5) is None
    for second in (60, 90, 119):
        assert it.decide(refused(), float(second)) is None
    assert it.decide(refused(), 121.0) is not None


def test_an_outage_is_no_refusal() -> None:
    """However long it lasts."""
    it = wait("a")
    for second in range(0, 36_000, 600):
        assert it.decide({"a": unreadable("x", StorageUnavailableError("503"))}, float(second)) is None


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        ({"when": 0}, "when must be 'all', 'any' or a number from 1 to 3, got 0"),
        ({"when": 4}, "got 4"),
        ({"when": 1.0}, "got 1.0"),
        ({"when": False}, "got False"),
        ({"when": ["all"]}, "when must be"),
        ({"on_empty": "explode"}, "on_empty must be one of 'accept', 'fail', 'skip', 'wait', got 'explode'"),
        ({"on_corrupt": "accept"}, "on_corrupt must be one of 'fail', 'skip', 'wait'"),
        ({"on_abandoned": "accept"}, "on_abandoned must be one of 'wait', 'fail', 'skip'"),
        ({"on_abandoned": {}}, "on_abandoned must be one of"),
        ({"newer_than": "now"}, "newer_than must be seconds since 1970, got 'now'"),
        ({"newer_than": float("inf")}, "newer_than must be seconds since 1970"),
        ({"newer_than": {"a": 1e12}}, "newer_than must be seconds since 1970"),
        ({"newer_than": {"d": 1.0}}, "newer_than names 'd', which is not waited for"),
    ],
)
def test_what_cannot_be_meant_is_refused(criteria: Mapping[str, Any], message: str) -> None:
    """Before anybody waits for it."""
    with pytest.raises(ConfigError) as caught:
        wait(**criteria)
    assert message in str(caught.value)


def test_a_wait_for_nothing_is_refused() -> None:
    """It would be ready at once."""
    with pytest.raises(ConfigError, match="nothing to wait for"):
        Wait(targets=(), criteria=Criteria()).check()


# Events.


def reference(number: int, **changes: Any) -> Reference:
    fields = {"target": f"{RUN}/task{number}/output", "data": DATA, "size": 4, "sha256": "0" * 64}
    return Reference(**{**fields, **changes})


def missing(number: int, why: str = "nothing is there") -> Missing:
    return Missing(target=f"{RUN}/task{number}/output", state="ABSENT", why=why)


@given(
    ready=st.integers(0, 80),
    absent=st.integers(0, 80),
    why=st.text(max_size=2000),
    root=st.text(max_size=500),
)
def test_an_event_is_small_json_whatever_is_in_it(ready: int, absent: int, why: str, root: str) -> None:
    """16 kB at most; what was cut is still counted, and it can be read back."""
    event = WaitEvent(
        outcome=Outcome.TIMEOUT,
        ready=[reference(number, root=f"s3://{root}") for number in range(ready)],
        missing=[missing(number, why) for number in range(absent)],
        ready_count=ready,
        missing_count=absent,
    )
    payload = event.to_payload()
    text = json.dumps(payload)
    assert len(text) <= 16_000
    again = WaitEvent.from_payload(json.loads(text))
    assert (again.ready_count, again.missing_count) == (ready, absent)
    assert again.is_whole == (len(again.ready) == ready)
    assert list(again.ready) == list(event.ready)[: len(again.ready)]
    assert len(again.missing) <= 20


def test_up_to_fifty_references_travel_whole() -> None:
    """Of more only the first twenty, and the sensor looks the rest up."""
    for count, expected in ((50, 50), (51, 20)):
        ready = [reference(number, sha256=f"{number:064}") for number in range(count)]
        event = WaitEvent(outcome=Outcome.READY, ready=ready, ready_count=count)
        payload = event.to_payload()
        assert len(payload["ready"]) == expected
        assert WaitEvent.from_payload(payload).is_whole == (count == expected)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        "ready",
        [],
        {},
        {"outcome": "ready"},
        {"outcome": "new", "ready": [], "missing": [], "ready_count": 0, "missing_count": 0},
        {"outcome": "ready", "ready": [{}], "missing": [], "ready_count": 1, "missing_count": 0},
        {"outcome": "ready", "ready": None, "missing": [], "ready_count": 1, "missing_count": 0},
        {"outcome": "ready", "ready": [], "missing": [1], "ready_count": 0, "missing_count": 1},
        {"outcome": "ready", "ready": [], "missing": [], "ready_count": "x", "missing_count": 1},
        {"outcome": "ready", "ready": [], "missing": [], "ready_count": float("inf"), "missing_count": 1},
    ],
)
def test_what_is_no_event_is_an_error(payload: Any) -> None:
    """Never success: somebody else's trigger, another version, an event that was lost."""
    with pytest.raises(FormatError):
        WaitEvent.from_payload(payload)


def test_an_event_describes_itself() -> None:
    """In one line, for the log."""
    event = WaitEvent(
        outcome=Outcome.TIMEOUT,
        ready=[reference(0)],
        missing=[missing(number) for number in range(1, 9)],
        ready_count=1,
        missing_count=8,
    )
    line = event.describe()
    assert line.startswith("1 of 9 targets ready; missing ")
    assert line.endswith("and 3 more")
    assert WaitEvent(outcome=Outcome.READY, ready_count=2).describe() == "2 of 2 targets ready"


def test_a_failure_names_the_task() -> None:
    """What the waiter says is what the producer left."""
    failure = Failure(error="ValueError: no", producer=Producer(task_id="extract", try_number=2))
    status = Status(key=KEYS["a"], state=State.FAILED, why=f"its producer failed: {failure}", failure=failure)
    event = wait("a").decide({"a": status}, 0.0)
    assert event is not None
    assert event.missing == [Missing(target="a", state="FAILED", why=status.why)]
