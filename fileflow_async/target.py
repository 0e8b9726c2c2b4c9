"""Places, attempts and versions as frozen values: keys and names, no I/O."""

import os
import random
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Self

from fileflow_async import codec
from fileflow_async.errors import FormatError, TargetNameError, quoted
from fileflow_async.names import OUTPUT, check_name

_EXTENSION = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")
RESERVED_EXTENSIONS = frozenset({"ok", "part", "failed"})
_ATTEMPT = re.compile(r"([0-9]{8}T[0-9]{9}Z)-t([0-9]{2,9})-([0-9a-f]{12})(?:\.(.+))?")
_DATE = "%Y%m%dT%H%M%S"
_END = 253_402_300_799_999  # the last millisecond that a token can name: nothing could be newer than it

# Seeded by the system, once a process. To ask the system for each attempt lets go of the interpreter lock on
# the event loop, which beside busy threads gets it back only after a while. ADR 0031
_nonces = random.Random()
os.register_at_fork(after_in_child=_nonces.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What a run is about, so that another DAG can name it without knowing the run's id.

    A partition key goes before a logical date, and that before a run id: give whatever the run has.
    """

    logical_date: datetime | None = None
    partition_key: str | None = None
    run_id: str | None = None

    def __post_init__(self) -> None:
        if self.logical_date is None and self.partition_key is None and self.run_id is None:
            raise TargetNameError("a slot needs a partition_key, a logical_date or a run_id")
        if self.partition_key is not None:
            codec.encode(self.partition_key, "partition_key")
        if self.run_id is not None:
            codec.encode(self.run_id, "run_id")
        if self.logical_date is None:
            return
        if not isinstance(self.logical_date, datetime):
            raise TargetNameError(f"logical_date must be a datetime, got {type(self.logical_date).__name__}")
        if self.logical_date.utcoffset() is None:
            raise TargetNameError(f"logical_date must have a time zone, got {self.logical_date.isoformat()}")

    @classmethod
    def of(cls, context: Mapping[str, Any]) -> Self:
        """Read the slot of an Airflow task's run from its context."""
        run = context.get("dag_run")

        def given(name: str) -> Any:
            value = context.get(name)
            return getattr(run, name, None) if value is None else value

        return cls(
            logical_date=given("logical_date"), partition_key=given("partition_key"), run_id=given("run_id")
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the slot of which `text` is the text.

        Raises:
            TargetNameError: No slot has that text.
        """
        kind, separator, rest = text.partition("=")
        if separator and kind == "run":
            return cls(run_id=rest)
        if separator and kind == "key":
            return cls(partition_key=rest)
        for form in (f"{_DATE}Z", f"{_DATE}.%fZ"):
            try:
                slot = cls(logical_date=datetime.strptime(text, form).replace(tzinfo=UTC))
            except ValueError:
                continue
            if str(slot) == text:  # strptime takes one digit for two, and small letters
                return slot
        raise TargetNameError(f"{quoted(text)} is not a slot; expected 20261120T000000Z, run=… or key=…")

    def __str__(self) -> str:
        if self.partition_key is not None:
            return f"key={self.partition_key}"
        if self.logical_date is not None:
            moment = self.logical_date.astimezone(UTC)
            return moment.strftime(f"{_DATE}.%fZ" if moment.microsecond else f"{_DATE}Z")
        return f"run={self.run_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The place of one named output of one task in one slot."""

    dag_id: str
    task_id: str
    slot: Slot
    map_index: int = -1
    name: str = OUTPUT

    def __post_init__(self) -> None:
        codec.encode(self.dag_id, "dag_id")
        codec.encode(self.task_id, "task_id")
        if type(self.map_index) is not int or self.map_index < -1:
            raise TargetNameError(f"map_index must be an integer >= -1, got {quoted(self.map_index)}")
        check_name(self.name)

    @property
    def key(self) -> str:
        """`<dag>/<slot>/<task>[/map=<index>]/<name>`, every part encoded."""
        parts = [
            codec.encode(self.dag_id, "dag_id"),
            codec.encode(str(self.slot), "slot"),
            codec.encode(self.task_id, "task_id"),
        ]
        if self.map_index >= 0:
            parts.append(f"map={self.map_index}")
        return "/".join([*parts, self.name])

    @classmethod
    def parse(cls, key: str) -> Self:
        """Return the target of which `key` is the key.

        Raises:
            TargetNameError: No target has that key, or an id in it was too long to be kept whole.
        """
        dag, slot, task, *mapped, name = _parts(key)
        index = -1
        if mapped:
            index = int(mapped[0].removeprefix("map="))
        return cls(
            dag_id=codec.decode(dag),
            task_id=codec.decode(task),
            slot=Slot.parse(codec.decode(slot)),
            map_index=index,
            name=name,
        )

    def __str__(self) -> str:
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"'{self.name}' of {self.dag_id}/{self.slot}/{self.task_id}{mapped}"


def _parts(key: str) -> list[str]:
    parts = key.split("/")
    mapped = parts[3:-1]
    whole = len(parts) in (4, 5) and all(re.fullmatch(r"map=(0|[1-9][0-9]*)", part) for part in mapped)
    if not whole or any(part.startswith(".") or not part or len(part) > codec.LONGEST for part in parts):
        raise TargetNameError(
            f"{quoted(key)} is not the key of a target: <dag>/<slot>/<task>[/map=<i>]/<name>"
        )
    check_name(parts[-1])
    return parts


def check_key(key: str) -> str:
    """Return `key` when it can be a target's key, of ids cut or whole.

    Raises:
        TargetNameError: It cannot.
    """
    if not isinstance(key, str):
        raise TargetNameError(f"a target's key must be a string, got {type(key).__name__}")
    for part in _parts(key)[:3]:
        if not re.fullmatch(r"(?:[A-Za-z0-9_=,@+:.~-]|%[0-9A-F]{2})+", part):
            raise TargetNameError(f"{quoted(key)} has the part {quoted(part)}, which is not an encoded id")
    return key


def run_of(key: str) -> str:
    """Return what the targets of one run have in common: `<dag>/<slot>`."""
    return "/".join(key.split("/", 2)[:2])


def check_extension(extension: str) -> str:
    """Return `extension` when data may have it.

    Raises:
        TargetNameError: It is not one, or the protocol needs it for itself.
    """
    if not _EXTENSION.fullmatch(extension):
        raise TargetNameError(f"extension {quoted(extension)} may only contain letters, digits, '_' and '.'")
    if extension.rpartition(".")[2] in RESERVED_EXTENSIONS:
        raise TargetNameError(f"extension {quoted(extension)} is reserved")
    return extension


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at producing a target; newer is what sorts later by name."""

    token: str
    try_number: int
    nonce: str
    extension: str | None = None

    @classmethod
    def begin(cls, milliseconds: int, *, try_number: int = 1, extension: str | None = None) -> Self:
        """Name a new attempt; the nonce tells it from another of the same millisecond."""
        if extension is not None:
            check_extension(extension)
        if type(try_number) is not int or not 0 <= try_number < 10**9:
            raise TargetNameError(f"try_number must be an integer >= 0, got {quoted(try_number)}")
        if milliseconds >= _END:  # it would be committed, and seen by nobody
            raise TargetNameError(f"no attempt can be as new as {token_at(_END)}")
        nonce = f"{_nonces.getrandbits(48):012x}"
        return cls(token_at(milliseconds), try_number, nonce, extension)

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Return the attempt that wrote data of that name; None when the name is nobody's."""
        if not (found := _ATTEMPT.fullmatch(name)):
            return None
        token, try_number, nonce, extension = found.groups()
        try:
            if token_milliseconds(token) >= _END:
                return None
            if extension is not None:
                check_extension(extension)
        except ValueError:
            return None
        attempt = cls(token, int(try_number), nonce, extension)
        return attempt if attempt.name == name else None

    @property
    def name(self) -> str:
        """The name of the data; with `.ok` behind it, that of its commit record."""
        suffix = f".{self.extension}" if self.extension else ""
        return f"{self.stem}{suffix}"

    @property
    def stem(self) -> str:
        """The name without its extension."""
        return f"{self.token}-t{self.try_number:02d}-{self.nonce}"


def token_at(milliseconds: int) -> str:
    """Return the token of a moment, given in milliseconds since 1970: `20261120T101502123Z`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):{_DATE}}{rest:03d}Z"


def token_milliseconds(token: str) -> int:
    """Return the milliseconds since 1970 that a token names.

    Raises:
        ValueError: It names no moment, such as the 31st of February.
    """
    year, month, day = int(token[:4]), int(token[4:6]), int(token[6:8])
    hour, minute, second = int(token[9:11]), int(token[11:13]), int(token[13:15])
    moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)  # strptime takes ten times as long
    return int(moment.timestamp()) * 1000 + int(token[15:18])


def milliseconds_of(ti_id: str | None) -> int | None:
    """Return when a task instance's try was made, by its id; None when that is no UUIDv7 of these ages."""
    if ti_id is None:
        return None
    try:
        unique = uuid.UUID(ti_id)
    except ValueError:
        return None
    made = unique.int >> 80
    return made if unique.version == 7 and made < _END else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One committed version of a target: small enough for XCom, and for as long as the version is kept."""

    target: str
    data: str
    size: int
    sha256: str
    rows: int | None = None
    format: str | None = None
    root: str | None = None

    def to_payload(self) -> dict[str, Any]:
        """Return the reference as a JSON object."""
        payload = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in payload.items() if value is not None}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Read a reference back; unknown members are ignored.

        Raises:
            FormatError: It is not a reference.
        """
        if not isinstance(payload, Mapping):
            raise FormatError(f"a reference must be a mapping, got {type(payload).__name__}")
        kinds: dict[str, tuple[type, bool]] = {
            "target": (str, True),
            "data": (str, True),
            "size": (int, True),
            "sha256": (str, True),
            "rows": (int, False),
            "format": (str, False),
            "root": (str, False),
        }
        values: dict[str, Any] = {}
        for name, (kind, required) in kinds.items():
            value = payload.get(name)
            wrong = type(value) is not kind or (isinstance(value, int) and value < 0)
            if wrong and (required or value is not None):
                raise FormatError(f"the reference {quoted(dict(payload))} has {name} {quoted(value)}")
            values[name] = value
        try:
            check_key(values["target"])
        except TargetNameError as error:
            raise FormatError(f"the reference {quoted(dict(payload))} names no target: {error}") from error
        if Attempt.parse(values["data"]) is None:
            raise FormatError(f"the reference names data {quoted(values['data'])}, which no attempt writes")
        if not re.fullmatch(r"[0-9a-f]{64}", values["sha256"]):
            raise FormatError(f"the reference {quoted(dict(payload))} has an invalid sha256")
        return cls(**values)
