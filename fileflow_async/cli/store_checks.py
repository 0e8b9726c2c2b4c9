"""Try in a store all that tasks, waits and cleaning up do there."""

import secrets
from collections.abc import AsyncIterator

from fileflow_async.cli.findings import Finding, Verdict, attempted, wrong
from fileflow_async.errors import StorageError, TargetAccessError, TargetSupersededError
from fileflow_async.storage.protocol import Entry
from fileflow_async.store import TargetStore

FOLDER = ".doctor/"  # hidden: no target lies there
_SKEW = 5.0  # seconds between two clocks that nothing of ours minds; S3 tells its time in whole seconds
_FIRST, _SECOND = b"fileflow doctor", b"fileflow doctor, again"


async def findings(store: TargetStore) -> AsyncIterator[Finding]:
    """Write a small object, look for it, read it, and remove it."""
    storage, key = store.storage, f"{FOLDER}{secrets.token_hex(8)}"
    began = store.clock.time()
    try:
        entry = await storage.put(key, _FIRST)
    except StorageError as error:
        yield _refused("write", error, "Tasks cannot commit; allow writing.")
    else:
        yield Finding("write", Verdict.OK, "an object can be written")
        yield _clocks(began, store.clock.time(), entry)
        yield await _conditional(store, key)
        yield await _read(store, key)
        yield await attempted(
            "delete",
            lambda: storage.delete([key]),
            "an object can be removed",
            otherwise=Verdict.ADVICE,
            hint=f"Only `fileflow gc` needs it; {key} was left behind.",
        )
    yield await attempted("list", lambda: storage.list(FOLDER, limit=1), "objects can be listed")
    if store.root.startswith("s3:"):
        yield await attempted(
            "uploads",
            lambda: storage.abandon(before=0.0, dry_run=True),
            "unfinished uploads can be listed",
            otherwise=Verdict.ADVICE,
            hint="Only `fileflow gc` needs it, to remove what writers that died have left.",
        )


def _clocks(began: float, ended: float, entry: Entry) -> Finding:
    skew = max(began - entry.modified - 1.0, entry.modified - ended, 0.0)
    if skew <= _SKEW:
        return Finding("clock", Verdict.OK, "this machine and the store agree on the time")
    return Finding(
        "clock",
        Verdict.WRONG,
        f"this machine and the store are {skew:.0f} s apart",
        "Have both set their clocks by NTP: the order of attempts goes by them.",
    )


async def _conditional(store: TargetStore, key: str) -> Finding:
    try:
        await store.storage.put(key, _SECOND)
    except TargetSupersededError:
        return Finding("conditional writes", Verdict.OK, "an object is never replaced")
    except StorageError as error:
        return Finding("conditional writes", Verdict.UNKNOWN, str(error))
    return Finding(
        "conditional writes",
        Verdict.ADVICE,
        "the store replaces an object although it is asked not to",
        "Nothing is wrong: names are unique. Of two writers of one name the store would not tell the second.",
    )


async def _read(store: TargetStore, key: str) -> Finding:
    try:
        found = await store.storage.read(key)
    except StorageError as error:
        return _refused("read", error, "Tasks cannot read their inputs; allow reading.")
    if found not in (_FIRST, _SECOND):
        return Finding("read", Verdict.WRONG, f"{store.storage.uri(key)} comes back with other bytes")
    return Finding("read", Verdict.OK, "what was written is read back")


def _refused(check: str, error: StorageError, hint: str) -> Finding:
    """Return the finding that an error is, with the hint where it is about a right."""
    if isinstance(error, TargetAccessError):
        return Finding(check, Verdict.WRONG, str(error), hint)
    return wrong(check, error)
