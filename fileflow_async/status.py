"""What lies in a target's folder, and what state that makes: decisions without I/O."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from fileflow_async import manifest
from fileflow_async.errors import (
    FileflowError,
    FormatError,
    StorageError,
    TargetCorruptError,
    TargetNotFoundError,
)
from fileflow_async.manifest import Failure, Manifest
from fileflow_async.storage.protocol import Entry, Listing
from fileflow_async.target import Attempt, Reference, token_milliseconds

FAILED_SUFFIX = ".failed"
_PART_SUFFIX = ".part"
_FAILED_PART = FAILED_SUFFIX + _PART_SUFFIX


class State(StrEnum):
    """What a look at a target shows."""

    ABSENT = "ABSENT"
    IN_PROGRESS = "IN_PROGRESS"
    ABANDONED = "ABANDONED"
    COMPLETE = "COMPLETE"
    EMPTY = "EMPTY"
    CORRUPT = "CORRUPT"
    FAILED = "FAILED"
    UNREADABLE = "UNREADABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """An attempt that has no commit record, newer than all that have one."""

    attempt: Attempt
    size: int
    modified: float
    is_folder: bool = False

    @property
    def since(self) -> float:
        """When it began, in seconds since 1970."""
        return token_milliseconds(self.attempt.token) / 1000

    def __str__(self) -> str:
        return f"try {self.attempt.try_number} since {_clock_time(self.since)}, {_size(self.size)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a look at one target showed.

    Attributes:
        key: The target's key.
        state: What it is in.
        why: The same for people, in a few words.
        manifest: The record of the newest commit, where it could be read.
        error: Why it is CORRUPT or UNREADABLE.
        writing: The attempt under way, where there is one.
        failure: What its producer said when it failed for good.
        committed: When the newest commit was made, by the store's clock.
        failed: When its producer failed for good, by the store's clock.
        root: The store's URI.
        members: Where it is a set of targets that is committed, what was seen of each.
    """

    key: str
    state: State
    why: str
    manifest: Manifest | None = None
    error: FileflowError | None = None
    writing: Writing | None = None
    failure: Failure | None = None
    committed: float | None = None
    failed: float | None = None
    root: str | None = None
    members: tuple["Status", ...] = ()

    @property
    def is_committed(self) -> bool:
        """Whether there is a value that can be read, an empty one included."""
        return self.state in (State.COMPLETE, State.EMPTY)

    @property
    def reference(self) -> Reference | None:
        """The version that was seen."""
        return None if self.manifest is None else self.manifest.reference(self.key, self.root)

    @property
    def references(self) -> Sequence[Reference]:
        """The versions that were seen: of a target one, of a set one for each of its outputs."""
        found = [each.reference for each in self.members or (self,)]
        return [each for each in found if each is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A target's folder, sorted by what its names mean; names that mean nothing are left out.

    Attributes:
        records: Commit records, oldest first.
        data: The data, finished or not, by the attempt's name.
        failures: What failed attempts left, oldest first.
        begun: Every attempt that has data.
        settled: The newest token of a commit, or of a failure, told in whole or in half; "" for none.
        now: The store's clock when it was listed.
    """

    records: tuple[Entry, ...]
    data: Mapping[str, Entry]
    failures: tuple[Entry, ...]
    begun: tuple[Writing, ...]
    settled: str
    now: float

    @classmethod
    def of(cls, listing: Listing) -> "Survey":
        """Sort what a complete shallow listing of a target's folder shows."""
        records, failures, data, begun, settled = [], [], {}, [], {""}
        for entry in listing.entries:
            name = entry.name
            if (attempt := Attempt.parse(name)) is not None:
                data[name] = entry
                begun.append(_writing(attempt, entry))
            elif entry.is_folder:
                continue  # only data can be one
            elif attempt_in(name, suffix=manifest.SUFFIX):
                records.append(entry)
                settled.add(token_of(entry))
            elif attempt_in(name, suffix=FAILED_SUFFIX):
                failures.append(entry)
                settled.add(token_of(entry))
            elif (attempt := unfinished_in(name)) and name.endswith(_FAILED_PART):
                settled.add(attempt.token)  # to tell of a failure is no attempt at the value
            elif attempt:
                begun.append(_writing(attempt, entry))
        return cls(
            records=tuple(records),
            data=data,
            failures=tuple(failures),
            begun=tuple(begun),
            settled=max(settled),
            now=listing.now,
        )

    def highest(self, *, under_way_until: str | None) -> str:
        """Return the newest token of what is settled, and of what is under way up to a token; "" for none."""
        begun = (each.attempt.token for each in self.begun)
        if under_way_until is not None:
            begun = (token for token in begun if token <= under_way_until)
        return max((self.settled, *begun))

    @property
    def record(self) -> Entry | None:
        """The newest commit record: newest by name alone, whatever is in it."""
        return max(self.records, key=lambda entry: entry.name, default=None)

    @property
    def failure(self) -> Entry | None:
        """What the newest failure left, unless its try has committed after all, or a newer one has begun.

        By tokens: what one try left differs only in what is drawn at random.
        """
        newest = max(self.failures, key=lambda entry: entry.name, default=None)
        if newest is None or (self.record is not None and token_of(newest) <= token_of(self.record)):
            return None
        if self.writing is not None and token_of(newest) < self.writing.attempt.token:
            return None  # the producer was cleared and tries again
        return newest

    @property
    def writing(self) -> Writing | None:
        """The newest attempt, unless a commit is newer."""
        newest = max(self.begun, key=lambda each: each.attempt.name, default=None)
        if newest is None or (self.record is not None and newest.attempt.name < self.record.name):
            return None
        return newest


def check_data(record: Manifest, survey: Survey) -> None:
    """Compare a record with the data that the survey lists.

    Raises:
        TargetCorruptError: They contradict each other.
    """
    name, found = record.data, survey.data.get(record.data)
    if found is None:
        raise TargetCorruptError(f"'{name}{manifest.SUFFIX}' exists but its data {name!r} does not")
    if found.is_folder != (record.parts is not None):
        raise TargetCorruptError(
            f"{name!r} is {'a folder' if found.is_folder else 'one file'}; the manifest differs"
        )
    if found.is_folder:
        return
    if found.size != record.size:
        raise TargetCorruptError(f"{name!r} has {found.size} bytes; the manifest says {record.size}")
    if record.etag is not None and found.etag is not None and found.etag != record.etag:
        raise TargetCorruptError(f"{name!r} has ETag {found.etag}; the manifest says {record.etag}")


def judge(
    key: str,
    survey: Survey,
    raw: Mapping[str, bytes | FileflowError],
    *,
    abandoned_after: float,
    root: str | None = None,
) -> Status:
    """Decide what state a target is in.

    Args:
        key: The target's key.
        survey: What lies in its folder.
        raw: The small records that `wanted` names, or why one could not be read.
        abandoned_after: From what age on, in seconds, an unfinished attempt counts as abandoned.
        root: The store's URI, for the references.

    Raises:
        StorageError: A record could not be read for a reason that says nothing about the target.
    """
    if survey.failure is not None:
        return _failed(key, survey.failure, raw)
    if survey.record is None:
        return _unfinished(key, survey, abandoned_after)
    try:
        record = manifest.parse(_content(raw, survey.record), survey.record.name)
        check_data(record, survey)
    except (TargetCorruptError, FormatError) as error:
        modified = survey.record.modified
        return Status(
            key=key, state=State.CORRUPT, why=str(error), error=error, committed=modified, root=root
        )
    empty = record.size == 0 or record.rows == 0
    return Status(
        key=key,
        state=State.EMPTY if empty else State.COMPLETE,
        why=_committed(record),
        manifest=record,
        writing=survey.writing,
        committed=survey.record.modified,
        root=root,
    )


def folder_in_question(status: Status) -> str | None:
    """Return the folder to be listed before the status can be believed; None when it can be as it is."""
    if status.manifest is not None and status.manifest.parts is not None:
        return f"{status.key}/{status.manifest.data}/"
    if status.state is State.ABANDONED and status.writing is not None and status.writing.is_folder:
        return f"{status.key}/{status.writing.attempt.name}/"
    return None


def judge_folder(status: Status, inside: Listing, *, abandoned_after: float) -> Status:
    """Return the status, now that the files of the folder in question are known."""
    if status.manifest is not None:
        try:
            _check_parts(status.manifest, inside)
        except TargetCorruptError as error:
            return replace(
                status, state=State.CORRUPT, why=str(error), error=error, manifest=None, writing=None
            )
        return status
    writing = status.writing
    if writing is None or not inside.entries:
        return status
    writing = replace(
        writing,
        size=sum(entry.size for entry in inside.entries),
        modified=max(entry.modified for entry in inside.entries),
    )
    return _judge_writing(status.key, writing, inside.now, abandoned_after)


def _check_parts(record: Manifest, inside: Listing) -> None:
    sizes = {entry.key.partition(f"/{record.data}/")[2]: entry.size for entry in inside.entries}
    for part in record.parts or ():
        if part.name not in sizes:
            raise TargetCorruptError(
                f"'{record.data}{manifest.SUFFIX}' exists but its data {part.name!r} does not"
            )
        if sizes[part.name] != part.size:
            raise TargetCorruptError(
                f"{part.name!r} has {sizes[part.name]} bytes; the manifest says {part.size}"
            )


def wanted(survey: Survey) -> tuple[str, ...]:
    """Return the keys of the small records that `judge` needs."""
    newest = survey.failure or survey.record
    return () if newest is None or newest.size > manifest.LIMIT else (newest.key,)


def absent(key: str) -> Status:
    """Return the status of a target where nothing is."""
    return Status(key=key, state=State.ABSENT, why="nothing is there")


def unreadable(key: str, error: Exception) -> Status:
    """Return the status of a target that could not be looked at."""
    known = error if isinstance(error, FileflowError) else StorageError(f"{type(error).__name__}: {error}")
    return Status(key=key, state=State.UNREADABLE, why=str(known), error=known)


def only(survey: Survey, record: Entry) -> Survey:
    """Return the survey as if that commit record were the only one."""
    return replace(survey, records=(record,), failures=(), begun=())


def _failed(key: str, failed: Entry, raw: Mapping[str, bytes | FileflowError]) -> Status:
    try:
        failure = manifest.parse_failure(_content(raw, failed), failed.name)
    except TargetCorruptError as error:
        failure = Failure(error=str(error))
    return Status(
        key=key,
        state=State.FAILED,
        why=f"its producer failed: {failure}",
        failure=failure,
        failed=failed.modified,
    )


def _unfinished(key: str, survey: Survey, abandoned_after: float) -> Status:
    writing = survey.writing
    if writing is None:
        return absent(key)
    return _judge_writing(key, writing, survey.now, abandoned_after)


def _judge_writing(key: str, writing: Writing, now: float, abandoned_after: float) -> Status:
    if now - (writing.modified or writing.since) > abandoned_after:
        return Status(key=key, state=State.ABANDONED, why=f"abandoned by {writing}", writing=writing)
    return Status(key=key, state=State.IN_PROGRESS, why=f"being written by {writing}", writing=writing)


def _content(raw: Mapping[str, bytes | FileflowError], entry: Entry) -> bytes:
    if entry.size > manifest.LIMIT:
        raise TargetCorruptError(f"{entry.name!r} is {entry.size} bytes; the limit is {manifest.LIMIT}")
    content = raw[entry.key]
    if isinstance(content, TargetNotFoundError):
        raise TargetCorruptError(f"{entry.name!r} was listed, but is gone") from content
    if isinstance(content, FileflowError):
        raise content
    return content


def token_of(entry: Entry) -> str:
    """Return the token of the attempt that an entry belongs to."""
    return entry.name.partition("-")[0]


def attempt_in(name: str, *, suffix: str) -> Attempt | None:
    """Return the attempt that left something of that name; None when it is not its name and that suffix."""
    return Attempt.parse(name.removesuffix(suffix)) if name.endswith(suffix) else None


def removable(folder: str, listing: Listing, *, abandoned_after: float) -> Sequence[str]:
    """Return the keys in a target's folder, in the order in which they can be removed.

    What an attempt without a record has written lately is left out: its writer may be alive.
    """
    files = defaultdict[str, list[Entry]](list)
    tales, others = list[tuple[tuple[str, bool, str], Entry, str]](), list[Entry]()
    for entry in listing.entries:
        name, inside, _ = entry.key.removeprefix(folder).partition("/")
        if attempt := Attempt.parse(name) or unfinished_in(name):
            files[attempt.name].append(entry)
        elif not inside and (attempt := attempt_in(name, suffix=FAILED_SUFFIX)):
            tales.append(((attempt.token, False, name), entry, ""))
        elif not inside and (attempt := attempt_in(name, suffix=manifest.SUFFIX)):
            tales.append(((attempt.token, True, name), entry, attempt.name))
        else:
            others.append(entry)
    ordered = list[Entry]()
    for _, entry, data in sorted(tales, key=lambda tale: tale[0]):
        ordered += [entry, *files.pop(data, ())]
    for orphan in files.values():
        if listing.now - max(entry.modified for entry in orphan) > abandoned_after:
            ordered += orphan
    return [entry.key for entry in (*ordered, *others)]


def unfinished_in(name: str) -> Attempt | None:
    """Return the attempt whose data, record or failure is still written under that hidden name."""
    if not name.startswith(".") or not name.endswith(_PART_SUFFIX):
        return None
    whole = name[1:].removesuffix(_PART_SUFFIX)
    return Attempt.parse(whole.removesuffix(manifest.SUFFIX).removesuffix(FAILED_SUFFIX))


def _writing(attempt: Attempt, entry: Entry) -> Writing:
    return Writing(attempt=attempt, size=entry.size, modified=entry.modified, is_folder=entry.is_folder)


def _committed(record: Manifest) -> str:
    rows = "" if record.rows is None else f", {record.rows} row{'' if record.rows == 1 else 's'}"
    return f"committed by try {record.producer.try_number}, {_size(record.size)}{rows}"


def _clock_time(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%SZ}"


def _size(size: int) -> str:
    if size < 1000:
        return f"{size} bytes"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"
