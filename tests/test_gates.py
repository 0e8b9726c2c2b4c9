"""What data must satisfy before anybody can see it."""

import logging
from typing import Any

import pytest

from fileflow_async.errors import ConfigError, GateError
from fileflow_async.gates import (
    Facts,
    Gate,
    Verdict,
    has_columns,
    no_nulls,
    not_empty,
    pass_through,
    rows_between,
)
from fileflow_async.store import TargetStore
from tests.conftest import MakeTarget


def facts(**changed: Any) -> Facts:
    known: dict[str, Any] = {
        "target": "t",
        "size": 10,
        "rows": 2,
        "columns": [("id", "int64")],
        "stats": {"id": {"nulls": 0}, "name": {"nulls": 3}},
    }
    return Facts(**(known | changed))


@pytest.mark.parametrize(
    ("gate", "given", "message"),
    [
        (Gate(not_empty), {}, None),
        (Gate(not_empty), {"rows": 0}, "there are no rows"),
        (Gate(not_empty), {"rows": None}, None),
        (Gate(not_empty), {"rows": None, "size": 0}, "there are no bytes"),
        (rows_between(2), {}, None),
        (rows_between(3), {}, "2 rows; expected 3 to any"),
        (rows_between(2, 2), {}, None),
        (rows_between(0, 1), {}, "2 rows; expected 0 to 1"),
        (rows_between(0), {"rows": None}, "the format does not tell the number of rows"),
        (has_columns("id"), {}, None),
        (has_columns("id", "x"), {}, "missing columns: x"),
        (has_columns("id"), {"columns": None}, "the format does not tell the columns"),
        (no_nulls("id"), {}, None),
        (no_nulls("id", "name"), {}, "'name' has 3 nulls"),
        (no_nulls("id"), {"stats": {"id": {"nulls": 1}}}, "'id' has 1 null"),
        (no_nulls("x"), {}, "nothing is known of the nulls in 'x'"),
    ],
)
async def test_the_gates_that_are_there(gate: Gate, given: dict[str, Any], message: str | None) -> None:
    """What cannot be told does not pass."""
    verdict = await gate.judge(facts(**given))
    assert (verdict["passed"], verdict["message"]) == (message is None, message)


@pytest.mark.parametrize(
    ("verdict", "passed"),
    [(True, True), (None, True), (False, False), ("no", False), ("", False), (1, False)],
)
async def test_a_gate_is_a_function_sync_or_async(verdict: Verdict, passed: bool) -> None:
    """True or nothing is well; False is not, and a text says why not, nor is whatever else there is."""

    def check(_: Facts) -> Verdict:
        return verdict

    async def check_async(_: Facts) -> Verdict:
        return verdict

    for function in (check, check_async):
        judged = await Gate.of(function).judge(facts())
        assert (judged["name"], judged["passed"]) == (function.__name__, passed)


async def test_a_gate_that_breaks_lets_nothing_pass(store: TargetStore, target: MakeTarget) -> None:
    """It must not count as a check that was passed."""

    def broken(_: Facts) -> Verdict:
        raise KeyError("amount")

    async with store.begin(target()) as draft:
        await draft.finish()
        with pytest.raises(KeyError, match="amount"):
            await pass_through(draft, [Gate(broken)])


async def test_a_gate_may_only_warn(
    store: TargetStore, target: MakeTarget, caplog: pytest.LogCaptureFixture
) -> None:
    """The data is published, and its record says what the check said."""
    caplog.set_level(logging.WARNING)
    async with store.begin(target()) as draft:
        await draft.finish()
        await pass_through(draft, [Gate(not_empty, on_failure="warn")])
        await store.commit(draft)
    manifest = (await store.state(target())).manifest
    assert manifest is not None
    assert [(check["name"], check["passed"]) for check in manifest.checks] == [("not_empty", False)]
    assert "gate 'not_empty'" in caplog.text


async def test_what_was_checked_before_stays_in_the_record(store: TargetStore, target: MakeTarget) -> None:
    """The task may have looked itself."""
    async with store.write(target()) as draft:
        draft.checks = [{"name": "own", "passed": True, "blocking": True, "message": None}]
        await draft.finish()
        await pass_through(draft, [Gate(lambda _: True, "ours")])
    record = (await store.state(target())).manifest
    assert record is not None
    assert [check["name"] for check in record.checks] == ["own", "ours"]


async def test_all_that_is_wrong_is_said_at_once(store: TargetStore, target: MakeTarget) -> None:
    """Nobody wants to learn it one run after another."""
    async with store.begin(target()) as draft:
        await draft.finish()
        with pytest.raises(GateError) as caught:
            await pass_through(draft, [Gate(not_empty), rows_between(5), Gate(lambda _: False, "mine")])
    assert str(caught.value).endswith(
        "was not published: not_empty: there are no bytes; "
        "rows_between: the format does not tell the number of rows; mine: the check failed"
    )


def test_a_gate_stays_what_it_is() -> None:
    """A bare function becomes one that blocks."""
    gate = Gate(not_empty, on_failure="warn")
    assert Gate.of(gate) is gate
    assert Gate.of(not_empty) == Gate(not_empty, on_failure="block")


def test_what_is_no_gate_is_refused() -> None:
    """When the DAG is parsed."""
    with pytest.raises(ConfigError, match="a gate must be a function, got 'not_empty'"):
        Gate.of("not_empty")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="on_failure must be 'block' or 'warn', got 'stop'"):
        Gate(not_empty, on_failure="stop")  # type: ignore[arg-type]
