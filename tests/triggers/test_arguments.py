"""Triggers whose arguments are the fields of a dataclass."""

from collections.abc import AsyncIterator

import pytest
from airflow.triggers.base import TriggerEvent

from fileflow_async.triggers import FileTargetTrigger
from fileflow_async.triggers.arguments import ArgumentsTrigger


def test_a_class_that_is_no_dataclass_says_so() -> None:
    """Its fields would be those of its parent."""

    class Forgotten(ArgumentsTrigger):
        async def run(self) -> AsyncIterator[TriggerEvent]:
            yield TriggerEvent(None)

    with pytest.raises(TypeError, match="Forgotten is not a dataclass"):
        Forgotten().serialize()  # type: ignore[no-untyped-call]


def test_all_triggers_of_a_class_share_a_logger() -> None:
    """One for each of 10,000 waits would take 9 MB."""
    one, other = (FileTargetTrigger(root="/ff", targets=[]) for _ in range(2))
    assert one.log is other.log
    assert "_log" not in vars(one)


def test_a_trigger_shows_its_arguments() -> None:
    """Airflow logs it."""
    text = repr(FileTargetTrigger(root="/ff", targets=["a"], conn_id="disk"))
    assert "FileTargetTrigger" in text
    assert "root=/ff" in text
