"""Show one target: its record, inputs, checks and history."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from fileflow_async.cli.described import producer_of, record_payload, status_payload, when
from fileflow_async.cli.exits import Exit
from fileflow_async.cli.output import Output
from fileflow_async.cli.place import opened, place_of
from fileflow_async.manifest import SUFFIX, Manifest, timestamp
from fileflow_async.status import State, Status, Survey, Writing
from fileflow_async.store import TargetStore

_EXITS = {State.ABSENT: Exit.NOT_FOUND, State.CORRUPT: Exit.NO, State.UNREADABLE: Exit.NO}


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("key", metavar="KEY", help="<dag>/<slot>/<task>[/map=<i>]/<name>, or a whole URI")


async def run(options: argparse.Namespace, output: Output) -> int:
    """Print what there is to know of a target."""
    root, key = await place_of(options, options.key)
    async with opened(options, root) as store:
        status = await store.state(key)
        history = await store.history(key)
        attempts = await _without_record(store, key)
        uri = store.storage.uri(key)
    if output.as_json:
        output.document(_payload(status, history, attempts, uri))
    else:
        _print(status, history, attempts, uri, output)
    return _EXITS.get(status.state, Exit.OK)


async def _without_record(store: TargetStore, key: str) -> Sequence[Writing]:
    survey = Survey.of(await store.storage.list(f"{key}/", shallow=True))
    records = {entry.name.removesuffix(SUFFIX) for entry in survey.records}
    found = [each for each in survey.begun if each.attempt.name not in records]
    return sorted(found, key=lambda each: each.attempt.name, reverse=True)


def _payload(
    status: Status, history: Sequence[Status], attempts: Sequence[Writing], uri: str
) -> dict[str, Any]:
    return {
        **status_payload(status),
        "uri": uri,
        "record": None if status.manifest is None else record_payload(status.manifest),
        "failure": None if status.failure is None else status.failure.error,
        "unfinished": [
            {
                "data": each.attempt.name,
                "try": each.attempt.try_number,
                "since": timestamp(each.since),
                "size": each.size,
                "last_written": timestamp(each.modified) if each.modified else None,
            }
            for each in attempts
        ],
        "history": [status_payload(each) for each in history],
    }


def _print(
    status: Status, history: Sequence[Status], attempts: Sequence[Writing], uri: str, output: Output
) -> None:
    output.line(uri)
    output.table(("", ""), _facts(status))
    record = status.manifest or Manifest(data="", size=0, sha256="")
    output.table(
        ("INPUT", "DATA", "SHA256"), [(each.target, each.data, each.sha256[:12]) for each in record.inputs]
    )
    output.table(
        ("CHECK", "PASSED", "BLOCKS", "MESSAGE"),
        [
            (check.get("name"), _yes(check.get("passed")), _yes(check.get("blocking")), check.get("message"))
            for check in record.checks
        ],
    )
    output.table(
        ("PART", "#SIZE", "SHA256"), [(part.name, part.size, part.sha256[:12]) for part in record.parts or ()]
    )
    output.table(
        ("UNFINISHED", "#TRY", "SINCE", "#SIZE"),
        [(each.attempt.name, each.attempt.try_number, timestamp(each.since), each.size) for each in attempts],
    )
    output.table(
        ("VERSION", "STATE", "COMMITTED", "#SIZE", "#ROWS", "SHA256", "PRODUCER"),
        [
            (
                each.manifest.data,
                each.state,
                when(each),
                each.manifest.size,
                each.manifest.rows,
                each.manifest.sha256[:12],
                producer_of(each),
            )
            if each.manifest
            else ("", each.state, when(each), "", "", "", each.why)
            for each in history
        ],
    )


def _facts(status: Status) -> Iterator[tuple[str, object]]:
    yield "state", status.state
    yield "why", status.why
    if status.failure is not None:
        yield "failed", status.failure.error
    if (record := status.manifest) is None:
        return
    yield "data", record.data
    yield "size", f"{record.size} bytes"
    yield "sha256", record.sha256
    described = (record.format, record.content_type, record.encoding, record.compression)
    if any(described):
        yield "format", ", ".join(word for word in described if word)
    if record.rows is not None:
        yield "rows", record.rows
    if record.columns:
        yield "columns", ", ".join(f"{name} {kind}" for name, kind in record.columns)
    if record.interval is not None:
        yield "interval", " to ".join(record.interval)
    producer = record.producer
    if producer.task_id is not None:
        mapped = f"[{producer.map_index}]" if producer.map_index >= 0 else ""
        yield "task", f"{producer.dag_id}.{producer.task_id}{mapped}"
    yield "producer", producer_of(status)
    yield "begun", record.started
    yield "committed", record.committed


def _yes(value: object) -> str:
    return "yes" if value else "no"
