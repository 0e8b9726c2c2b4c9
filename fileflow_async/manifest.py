"""The commit record: what makes data the value of its target."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn, Self

from fileflow_async.errors import FormatError, TargetCorruptError, quoted
from fileflow_async.target import Reference

VERSION = 1
LIMIT = 65536  # bytes: one small read, and a bound on what a damaged or planted record can cost
SUFFIX = ".ok"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """Who wrote a version: ids only, never a host, a path or a credential."""

    dag_id: str | None = None
    task_id: str | None = None
    run_id: str | None = None
    map_index: int = -1
    try_number: int = 1
    ti_id: str | None = None

    @classmethod
    def of(cls, ti: Any) -> Self:
        """Read the producer from an Airflow task instance."""
        return cls(
            dag_id=ti.dag_id,
            task_id=ti.task_id,
            run_id=ti.run_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
            try_number=ti.try_number,
            ti_id=str(ti.id) if getattr(ti, "id", None) is not None else None,
        )

    def to_payload(self) -> dict[str, Any]:
        """Return the producer as a record has it."""
        return {
            "dag_id": self.dag_id,
            "task_id": self.task_id,
            "run_id": self.run_id,
            "map_index": self.map_index,
            "try": self.try_number,
            "ti_id": self.ti_id,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A version that another was made from."""

    target: str
    data: str
    sha256: str

    def to_payload(self) -> dict[str, Any]:
        """Return the input as a record has it."""
        return {"target": self.target, "data": self.data, "sha256": self.sha256}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a target that is a directory."""

    name: str
    size: int
    sha256: str

    def to_payload(self) -> dict[str, Any]:
        """Return the part as a record has it."""
        return {"name": self.name, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSet:
    """Which outputs of a task were published together.

    Attributes:
        id: Which publication: the name, without its extension, that the newest of their data has.
        names: The outputs, by their names.
    """

    id: str
    names: tuple[str, ...]

    def to_payload(self) -> dict[str, Any]:
        """Return the set as a record has it."""
        return {"id": self.id, "names": list(self.names)}


def combined_sha256(parts: Iterable[Part]) -> str:
    """Return the hash of a folder: that of the sorted lines `<sha256>  <name>`, as `sha256sum` has them."""
    lines = sorted(f"{part.sha256}  {part.name}\n" for part in parts)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def timestamp(moment: float) -> str:
    """Return a moment, in seconds since 1970, as a record has it."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a producer that has failed for good leaves beside its attempts."""

    error: str
    producer: Producer = field(default_factory=Producer)

    def to_bytes(self) -> bytes:
        """Return it as it is stored; of the error the first line, cut to 500 characters."""
        error, producer = _first_line(self.error), self.producer.to_payload()
        record = {"fileflow": VERSION, "error": error, "producer": producer}
        return json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode()

    def __str__(self) -> str:
        task = f"{self.producer.task_id}, " if self.producer.task_id else ""
        return f"{task}try {self.producer.try_number}: {self.error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a commit record says of one version."""

    data: str
    size: int
    sha256: str
    etag: str | None = None
    format: str | None = None
    content_type: str | None = None
    encoding: str | None = None
    compression: str | None = None
    rows: int | None = None
    columns: Sequence[tuple[str, str]] | None = None
    stats: Mapping[str, Any] = field(default_factory=dict)
    producer: Producer = field(default_factory=Producer)
    slot: str | None = None
    interval: tuple[str, str] | None = None
    inputs: Sequence[Input] = ()
    checks: Sequence[Mapping[str, Any]] = ()
    parts: Sequence[Part] | None = None
    output_set: OutputSet | None = None
    started: str | None = None
    committed: str | None = None

    def reference(self, target: str, root: str | None) -> Reference:
        """Return the version that it is the record of, given where it lies."""
        return Reference(
            target=target,
            data=self.data,
            size=self.size,
            sha256=self.sha256,
            rows=self.rows,
            format=self.format,
            root=root,
        )

    def to_bytes(self) -> bytes:
        """Return the record as it is stored.

        Raises:
            FormatError: It would be larger than a reader takes, or holds what JSON cannot.
        """
        record: dict[str, Any] = {
            "fileflow": VERSION,
            "data": self.data,
            "size": self.size,
            "sha256": self.sha256,
            "etag": self.etag,
            "format": self.format,
            "content_type": self.content_type,
            "encoding": self.encoding,
            "compression": self.compression,
            "rows": self.rows,
            "columns": None if self.columns is None else [list(column) for column in self.columns],
            "stats": dict(self.stats),
            "producer": self.producer.to_payload(),
            "slot": self.slot,
            "interval": None if self.interval is None else list(self.interval),
            "inputs": [each.to_payload() for each in self.inputs],
            "checks": [dict(check) for check in self.checks],
            "started": self.started,
            "committed": self.committed,
        }
        if self.parts is not None:
            record["parts"] = [part.to_payload() for part in self.parts]
        if self.output_set is not None:
            record["set"] = self.output_set.to_payload()
        try:
            raw = json.dumps(record, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
        except (TypeError, ValueError) as error:
            raise FormatError(
                f"the commit record of {self.data!r} cannot be written as JSON: {error}"
            ) from error
        if len(raw) > LIMIT:
            raise FormatError(
                f"the commit record of {self.data!r} would be {len(raw)} bytes; the limit is {LIMIT}",
                hint="Record fewer statistics, checks or inputs, or write fewer and larger parts.",
            )
        try:
            parse(raw, self.data + SUFFIX)
        except TargetCorruptError as error:  # published, it would hide the value before it and be none
            raise FormatError(f"the commit record would be refused by every reader: {error}") from error
        return raw


def parse(raw: bytes, name: str) -> Manifest:
    """Return what the record `raw`, stored under the name `name`, says.

    Types are strict, unknown members are ignored, so that later versions can add some.

    Raises:
        TargetCorruptError: It is not a record, or not the record of that name.
        FormatError: It is the record of a later version.
    """
    record = _Record(_load(raw, name), name)
    version = record.integer("fileflow", "format")
    if version != VERSION:
        raise FormatError(
            f"{name!r} uses format {version}; this version reads {VERSION}. Upgrade fileflow_async"
        )
    expected = name.removesuffix(SUFFIX)
    if record.value("data") != expected:
        record.refuse(f"names data {quoted(record.value('data'))}, expected {expected!r}")
    columns, interval = record.items("columns", optional=True), record.items("interval", optional=True)
    size, sha256, parts = record.integer("size"), record.digest(), _parts(record)
    if parts is not None and (size, sha256) != (sum(part.size for part in parts), combined_sha256(parts)):
        record.refuse("has a size or a sha256 that is not that of its parts")
    return Manifest(
        data=expected,
        size=size,
        sha256=sha256,
        etag=record.text("etag"),
        format=record.text("format"),
        content_type=record.text("content_type"),
        encoding=record.text("encoding"),
        compression=record.text("compression"),
        rows=None if record.value("rows") is None else record.integer("rows"),
        columns=None if columns is None else tuple(record.pair(column, "columns") for column in columns),
        stats=record.mapping("stats"),
        producer=_producer(_Record(record.mapping("producer"), name)),
        slot=record.text("slot"),
        interval=None if interval is None else record.pair(interval, "interval"),
        inputs=tuple(
            Input(target=each.required("target"), data=each.required("data"), sha256=each.digest())
            for each in record.records("inputs")
        ),
        checks=tuple(check.members for check in record.records("checks")),
        parts=parts,
        output_set=_output_set(record),
        started=record.text("started"),
        committed=record.text("committed"),
    )


def parse_failure(raw: bytes, name: str) -> Failure:
    """Return what the failure `raw`, stored under the name `name`, says.

    Raises:
        TargetCorruptError: It is not one.
    """
    record = _Record(_load(raw, name), name)
    return Failure(
        error=_first_line(record.required("error")),
        producer=_producer(_Record(record.mapping("producer"), name)),
    )


def _first_line(text: str) -> str:
    return next(iter(text.splitlines()), "")[:500]


def _parts(record: "_Record") -> tuple[Part, ...] | None:
    if record.items("parts", optional=True) is None:
        return None
    parts = tuple(
        Part(name=each.required("name"), size=each.integer("size"), sha256=each.digest())
        for each in record.records("parts")
    )
    for part in parts:
        if any(step in ("", ".", "..") for step in part.name.split("/")):
            record.refuse(f"has a part {quoted(part.name)}, which is no path inside a folder")
    if len({part.name for part in parts}) != len(parts):
        record.refuse("has two parts of one name")
    return parts


def _output_set(record: "_Record") -> OutputSet | None:
    if record.value("set") is None:
        return None
    members = _Record(record.mapping("set"), record.name)
    names = members.items("names") or ()
    if not names or not all(isinstance(name, str) for name in names):
        record.refuse(f"has a set of {quoted(names)}; expected the names of outputs")
    return OutputSet(id=members.required("id"), names=tuple(names))


def _producer(record: "_Record") -> Producer:
    return Producer(
        dag_id=record.text("dag_id"),
        task_id=record.text("task_id"),
        run_id=record.text("run_id"),
        map_index=record.integer("map_index", least=-1, default=-1),
        try_number=record.integer("try", default=1),
        ti_id=record.text("ti_id"),
    )


def _load(raw: bytes, name: str) -> dict[str, Any]:
    def refuse(reason: str) -> NoReturn:
        raise TargetCorruptError(f"{name!r} is not valid JSON{reason}")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            names = [key for key, _ in pairs]
            refuse(f": duplicate key {quoted(next(key for key in names if names.count(key) > 1))}")
        return members

    def constant(text: str) -> NoReturn:
        refuse(f": {text} is not a JSON number")

    def finite(text: str) -> float:
        number = float(text)
        return number if math.isfinite(number) else constant(text)

    if len(raw) > LIMIT:
        raise TargetCorruptError(f"{name!r} is {len(raw)} bytes; the limit is {LIMIT}")
    try:
        record = json.loads(
            raw.decode(), object_pairs_hook=unique, parse_constant=constant, parse_float=finite
        )
    except UnicodeDecodeError as error:
        refuse(f": not UTF-8 at byte {error.start}")
    except json.JSONDecodeError as error:
        cut = error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated string")
        refuse(
            f" ({len(raw)} bytes)" if cut else f": {error.msg.removesuffix(' at')} at character {error.pos}"
        )
    except RecursionError:
        refuse(": nested too deeply")
    except ValueError:  # a number of thousands of digits, which Python will not convert
        refuse(": a number is too long")
    if not isinstance(record, dict):
        raise TargetCorruptError(f"{name!r} is a JSON {type(record).__name__}; expected an object")
    return record


class _Record:
    """The members of a JSON object, each asked for by its type."""

    def __init__(self, members: Mapping[str, Any], name: str) -> None:
        self.members = members
        self.name = name

    def refuse(self, reason: str) -> NoReturn:
        raise TargetCorruptError(f"{self.name!r} {reason}")

    def value(self, key: str) -> Any:
        return self.members.get(key)

    def text(self, key: str) -> str | None:
        value = self.value(key)
        if value is not None and not isinstance(value, str):
            self.refuse(f"has {key} {quoted(value)}; expected a string")
        return value

    def required(self, key: str) -> str:
        value = self.text(key)
        if value is None:
            self.refuse(f"has no {key}")
        return value

    def integer(
        self, key: str, called: str | None = None, *, least: int = 0, default: int | None = None
    ) -> int:
        value = self.members.get(key, default)
        if type(value) is not int or value < least:
            self.refuse(f"has {called or key} {quoted(value)}; expected an integer >= {least}")
        return value

    def digest(self) -> str:
        value = self.value("sha256")
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            self.refuse("has an invalid sha256")
        return value

    def mapping(self, key: str) -> Mapping[str, Any]:
        value = self.members.get(key, {})
        if not isinstance(value, dict):
            self.refuse(f"has {key} {quoted(value)}; expected an object")
        return value

    def items(self, key: str, *, optional: bool = False) -> list[Any] | None:
        value = self.members.get(key)
        if value is None and optional:
            return None
        if not isinstance(value, list):
            self.refuse(f"has {key} {quoted(value)}; expected an array")
        return value

    def records(self, key: str) -> list["_Record"]:
        found = []
        for value in self.items(key, optional=True) or ():
            if not isinstance(value, dict):
                self.refuse(f"has {key} with {quoted(value)}; expected objects")
            found.append(_Record(value, self.name))
        return found

    def pair(self, value: Any, key: str) -> tuple[str, str]:
        if not isinstance(value, list) or len(value) != 2 or not all(isinstance(each, str) for each in value):
            self.refuse(f"has {key} with {quoted(value)}; expected two strings")
        return value[0], value[1]
