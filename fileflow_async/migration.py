"""Copy the files of the original fileflow, `<dag>/<task>/<YYYY-MM-DD>`, into targets."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from enum import StrEnum

from fileflow_async.digest import Digest
from fileflow_async.errors import (
    FileflowError,
    FormatError,
    StorageUnavailableError,
    TargetAccessError,
    TargetCorruptError,
    TargetNameError,
    TargetNotFoundError,
    TargetSupersededError,
    TargetWriteError,
)
from fileflow_async.inventory import is_ours
from fileflow_async.manifest import Producer
from fileflow_async.storage.protocol import Entry, Storage
from fileflow_async.storage.replacing import is_under_way
from fileflow_async.store import TargetStore
from fileflow_async.target import Slot, Target

_PAGE = 1000  # keys a request: what S3 gives at most
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MIDNIGHT = time(tzinfo=UTC)


class Fate(StrEnum):
    """What became of an old file."""

    NEW = "new"  # to be copied
    COPIED = "copied"
    PRESENT = "present"  # the target has the same data already
    DIFFERENT = "different"  # the target has other data, which stays
    UNKNOWN = "unknown"  # it is no file of the original's layout
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """What became of one old file.

    Attributes:
        source: Its key below the old prefix.
        size: Its bytes.
        fate: In one word.
        target: The key of its target, where it has one.
        why: What is wrong.
        sha256: The hash of its data, where it was read.
    """

    source: str
    size: int
    fate: Fate
    target: str | None = None
    why: str = ""
    sha256: str | None = None


async def migrate(
    source: Storage,
    store: TargetStore,
    *,
    dry_run: bool = True,
    prefix: str = "",
    at: time = _MIDNIGHT,
    format: str | None = None,
) -> AsyncIterator[Migrated]:
    """Copy old files into targets and yield what became of each; the files stay.

    What was copied before is found by its hash and left alone, so that it can be run again. A file is read a
    second time before its target is committed, and the target after that.

    Args:
        source: Where the old files lie, from the original's `storage_prefix` or bucket on.
        store: Where the targets are.
        dry_run: Copy nothing.
        prefix: Only files whose keys begin so, such as `<dag>/<task>/`.
        at: The time of day of the runs, which the original left out of its names.
        format: What the files are, for the records; the original did not say.

    Raises:
        StorageUnavailableError: One of the two does not answer.
        TargetAccessError: It refuses.
    """
    last, complete = "", False
    while not complete:
        page = await source.list(prefix, start_after=last, limit=_PAGE)
        complete = page.complete
        for entry in page.entries:
            last = entry.key
            if not is_ours(entry.key) and not is_under_way(entry.name):
                yield await _migrated(source, store, entry, dry_run=dry_run, at=at, format=format)


async def _migrated(
    source: Storage, store: TargetStore, entry: Entry, *, dry_run: bool, at: time, format: str | None
) -> Migrated:
    file = Migrated(source=entry.key, size=entry.size, fate=Fate.NEW)
    try:
        target = _target(entry.key, at)
    except TargetNameError as error:
        return replace(file, fate=Fate.UNKNOWN, why=str(error))
    file = replace(file, target=target.key)
    try:
        if (before := await _before(source, store, entry, target)) is not None:
            fate, why = before
            return replace(file, fate=fate, why=why)
        if not dry_run:
            sha256 = await _copy(source, store, entry, target, format)
            file = replace(file, fate=Fate.COPIED, sha256=sha256)
    except (StorageUnavailableError, TargetAccessError):
        raise
    except FileflowError as error:
        return replace(file, fate=Fate.FAILED, why=str(error))
    return file


def _target(key: str, at: time) -> Target:
    """Return the target of an old file.

    Raises:
        TargetNameError: It is not one of the original's.
    """
    parts = key.split("/")
    if len(parts) != 3 or not _DAY.fullmatch(parts[2]):
        raise TargetNameError("it is not <dag>/<task>/<YYYY-MM-DD>")
    try:
        day = date.fromisoformat(parts[2])
    except ValueError as error:
        raise TargetNameError(f"{parts[2]} is no day") from error
    slot = Slot(logical_date=datetime.combine(day, at))
    return Target(dag_id=parts[0], task_id=parts[1], slot=slot)


async def _before(
    source: Storage, store: TargetStore, entry: Entry, target: Target
) -> tuple[Fate, str] | None:
    """Return what is there already; None when nothing is."""
    try:
        record = (await store.version(target)).manifest
    except TargetNotFoundError:
        return None
    except (TargetCorruptError, FormatError) as error:
        return Fate.DIFFERENT, str(error)
    if record is not None and record.size == entry.size and record.sha256 == await _hash(source, entry):
        return Fate.PRESENT, ""
    return Fate.DIFFERENT, "the target has other data already"


async def _copy(source: Storage, store: TargetStore, entry: Entry, target: Target, format: str | None) -> str:
    """Copy one file, and return its hash once it is the target's."""
    producer = Producer(dag_id=target.dag_id, task_id=target.task_id)
    async with store.begin(target, format=format, producer=producer) as draft:
        async with source.stream(entry.key, etag=entry.etag) as pieces:
            async for piece in pieces:
                await draft.write(piece)
        await draft.finish()
        if await _hash(source, entry) != draft.record().sha256:
            raise TargetSupersededError(f"{source.uri(entry.key)} was changed while it was copied")
        reference = await store.commit(draft)
    async with store.open(reference) as pieces:
        async for _ in pieces:  # it is verified at its end
            pass
    return reference.sha256


async def _hash(source: Storage, entry: Entry) -> str:
    async with Digest() as digest:
        async with source.stream(entry.key, etag=entry.etag) as pieces:
            async for piece in pieces:
                await digest.update(piece)
        if digest.size != entry.size:
            raise TargetWriteError(f"{source.uri(entry.key)} has {digest.size} bytes, not {entry.size}")
        return await digest.hexdigest()
