"""Show the first rows or lines of a target."""

import argparse
import json
from collections.abc import AsyncIterator
from typing import Any

from fileflow_async import formats
from fileflow_async.cli.exits import Exit
from fileflow_async.cli.output import Output
from fileflow_async.cli.place import opened, place_of
from fileflow_async.cli.versions import declare_version, version_of
from fileflow_async.errors import ConfigError
from fileflow_async.formats import Facts, Kind
from fileflow_async.manifest import Manifest

_LONGEST = 80  # characters of a cell, for people
_DUMPED = 16  # bytes a line of what is no text
_JSON = 16_000_000  # bytes: it is read whole, into some ten times as much memory


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    declare_version(parser)
    parser.add_argument("-n", "--lines", type=int, default=10, help="how many; by default 10")
    parser.add_argument("--format", help="read it as that, where none was recorded")


async def run(options: argparse.Namespace, output: Output) -> int:
    """Print the beginning, which is not verified: that takes the end."""
    root, key = await place_of(options, options.key)
    async with opened(options, root) as store:
        version = await version_of(store, key, options.version)
        record = (await store.version(version)).manifest
        assert record is not None  # noqa: S101  # what version() returns has one
        async with store.open(version, part=options.part) as pieces:
            facts = _facts(record, options.format)
            if facts.format in ("bytes", None):
                _dump(await _bytes(pieces, options.lines * _DUMPED), output)
            elif facts.format == "text":
                _lines(await _text(pieces, facts, options.lines), output)
            elif facts.format == "json":
                await _json(pieces, facts, options.lines, output)
            else:
                _rows(await _records(pieces, facts, options.lines), facts, output)
    return Exit.OK


def _facts(record: Manifest, format: str | None) -> Facts:
    known = Facts.of(record)
    if format is None:
        return known
    return Facts(format=format, name=known.name, encoding=known.encoding, compression=known.compression)


async def _bytes(pieces: AsyncIterator[bytes], count: int) -> bytes:
    found = b""
    async for piece in pieces:
        found += piece[: count - len(found)]
        if len(found) >= count:
            break
    return found


async def _text(pieces: AsyncIterator[bytes], facts: Facts, count: int) -> list[str]:
    text = ""
    async with formats.batches(pieces, facts, Kind.TEXT) as batches:
        async for batch in batches:
            text += batch
            if text.count("\n") >= count:
                break
    return text.splitlines()[:count]


async def _records(pieces: AsyncIterator[bytes], facts: Facts, count: int) -> list[Any]:
    found = list[Any]()
    async with formats.records(pieces, facts) as records:
        async for record in records:
            if len(found) >= count:
                break
            found.append(record)
    return found


async def _json(pieces: AsyncIterator[bytes], facts: Facts, count: int, output: Output) -> None:
    if facts.size is not None and facts.size > _JSON:
        raise ConfigError(f"{facts.name!r} is one JSON value of {facts.size} bytes; use `fileflow cat`")
    value = await formats.read(pieces, facts, Kind.ANY)
    if output.as_json:
        output.document({"format": "json", "value": value})
        return
    for line in json.dumps(value, indent=2, ensure_ascii=False).splitlines()[:count]:
        output.line(line)


def _dump(data: bytes, output: Output) -> None:
    if output.as_json:
        output.document({"format": "bytes", "hex": data.hex()})
        return
    for start in range(0, len(data), _DUMPED):
        line = data[start : start + _DUMPED]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        output.line(f"{start:08x}  {line.hex(' '):<{3 * _DUMPED}} {text}")


def _lines(lines: list[str], output: Output) -> None:
    if output.as_json:
        output.document({"format": "text", "lines": lines})
        return
    for line in lines:
        output.line(line)


def _rows(records: list[Any], facts: Facts, output: Output) -> None:
    types = dict(facts.columns or ())
    names = list(types) or list(dict.fromkeys(name for each in records for name in _members(each)))
    if output.as_json:
        columns = [[name, types.get(name)] for name in names]
        output.document({"format": facts.format, "columns": columns, "rows": records})
        return
    header = [f"{name} ({types[name]})" if name in types else str(name) for name in names]
    output.table(header, [[_cell(_members(each).get(name)) for name in names] for each in records])


def _members(record: Any) -> dict[str, Any]:
    return record if isinstance(record, dict) else {"value": record}


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
