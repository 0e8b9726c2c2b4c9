"""Producers whose tries are as old as a test wants them to be."""

import uuid

from fileflow_async.manifest import Producer

T0 = 1_790_000_000_000  # milliseconds: where FakeClock begins


def ti_id(milliseconds: int, *, draw: int = 0) -> str:
    """Return the id that Airflow would give a task instance's try that it makes at that moment."""
    value = (milliseconds << 80) | (0x7 << 76) | (0b10 << 62) | draw
    return str(uuid.UUID(int=value))


def made(milliseconds: int, *, try_number: int = 1, draw: int = 0) -> Producer:
    """Return a try of one task, made at that moment."""
    return Producer(
        dag_id="shop",
        task_id="extract",
        run_id="manual__2026-11-20",
        try_number=try_number,
        ti_id=ti_id(milliseconds, draw=draw),
    )
