"""Targets in the words of JSON, the same in every command."""

from collections.abc import Mapping
from typing import Any

from fileflow_async.manifest import Manifest, timestamp
from fileflow_async.status import Status


def status_payload(status: Status) -> dict[str, Any]:
    """Return what a look at a target showed."""
    record, writing = status.manifest, status.writing
    return {
        "target": status.key,
        "state": str(status.state),
        "why": status.why,
        "when": when(status),
        "size": record.size if record else writing.size if writing else None,
        "rows": record.rows if record else None,
        "data": record.data if record else None,
        "sha256": record.sha256 if record else None,
        "format": record.format if record else None,
        "producer": _producer(status),
        "writing": writing
        and {
            "data": writing.attempt.name,
            "try": writing.attempt.try_number,
            "since": timestamp(writing.since),
            "size": writing.size,
        },
    }


def record_payload(record: Manifest) -> dict[str, Any]:
    """Return all that a commit record says."""
    return {
        "data": record.data,
        "size": record.size,
        "sha256": record.sha256,
        "format": record.format,
        "content_type": record.content_type,
        "encoding": record.encoding,
        "compression": record.compression,
        "rows": record.rows,
        "columns": None if record.columns is None else [list(column) for column in record.columns],
        "stats": record.stats,
        "producer": record.producer.to_payload(),
        "interval": None if record.interval is None else list(record.interval),
        "inputs": [each.to_payload() for each in record.inputs],
        "checks": list(record.checks),
        "parts": None if record.parts is None else [part.to_payload() for part in record.parts],
        "started": record.started,
        "committed": record.committed,
    }


def when(status: Status) -> str | None:
    """Return when the newest thing was done, by the store's clock."""
    moment = status.failed or status.committed
    if moment is None and status.writing is not None:
        moment = status.writing.since
    return None if moment is None else timestamp(moment)


def producer_of(status: Status) -> str:
    """Return which try of which run a target is from, in a few words."""
    producer = _producer(status)
    if producer is None:
        return ""
    run = producer["run_id"]
    return f"try {producer['try']}" + (f" of {run}" if run else "")


def _producer(status: Status) -> Mapping[str, Any] | None:
    if status.manifest is not None:
        return status.manifest.producer.to_payload()
    return status.failure.producer.to_payload() if status.failure is not None else None
