"""What a store holds: its keys, target by target."""

from collections.abc import AsyncIterator

from fileflow_async.errors import TargetNameError
from fileflow_async.feed import PREFIX as FEED
from fileflow_async.manifest import SUFFIX
from fileflow_async.status import FAILED_SUFFIX, attempt_in, unfinished_in
from fileflow_async.storage.protocol import Entry, Listing
from fileflow_async.store import TargetStore
from fileflow_async.target import Attempt, check_key

_PAGE = 1000  # keys a request: what S3 gives at most


async def targets(store: TargetStore, prefix: str = "") -> AsyncIterator[str]:
    """Yield the keys of the targets of which anything is there, in their order.

    Args:
        store: Where.
        prefix: Only keys that begin so, such as `<dag>/`.
    """
    for part in [prefix] if prefix else await _top(store):
        last = ""
        async for folder, _ in folders(store, part):
            key = folder.removesuffix("/")
            if key != last and _is_key(key):
                yield key
                last = key  # names that are not ours may lie between those of one target


async def folders(store: TargetStore, prefix: str = "") -> AsyncIterator[tuple[str, Listing]]:
    """Yield all the keys, those of one target, or of one minute of the feed, together."""
    folder, entries, now = "", list[Entry](), 0.0
    async for entry, now in _entries(store, prefix):
        if (its := _folder_of(entry.key)) != folder:
            if entries:
                yield folder, Listing(entries, now)
            folder, entries = its, []
        entries.append(entry)
    if entries:
        yield folder, Listing(entries, now)


def is_ours(key: str) -> bool:
    """Tell whether an object belongs to a target or to the feed, by its key alone."""
    return key.startswith(FEED) or (_is_key(_folder_of(key).removesuffix("/")) and _is_of_attempt(key))


async def _top(store: TargetStore) -> list[str]:
    """Return the folders of the DAGs: the feed may have more keys than all of them."""
    found = await store.storage.list("", shallow=True)
    return [entry.key for entry in found.entries if entry.is_folder and not entry.key.startswith(".")]


async def _entries(store: TargetStore, prefix: str) -> AsyncIterator[tuple[Entry, float]]:
    last = ""
    while True:
        page = await store.storage.list(prefix, start_after=last, limit=_PAGE)
        for entry in page.entries:
            yield entry, page.now
            last = entry.key
        if page.complete:
            return


def _folder_of(key: str) -> str:
    """Return the folder of the target, or of the feed's minute, that a key belongs to."""
    parts = key.split("/")
    for index, part in enumerate(parts[:-1]):
        if Attempt.parse(part) is not None:  # a folder of files
            return "".join(f"{each}/" for each in parts[:index])
    return "".join(f"{each}/" for each in parts[:-1])


def _is_of_attempt(key: str) -> bool:
    name = key.removeprefix(_folder_of(key)).partition("/")[0]
    suffixes = (SUFFIX, FAILED_SUFFIX)
    attempts = (
        Attempt.parse(name),
        unfinished_in(name),
        *(attempt_in(name, suffix=each) for each in suffixes),
    )
    return any(attempts)


def _is_key(key: str) -> bool:
    try:
        return check_key(key) == key and not key.startswith(FEED)
    except TargetNameError:
        return False
