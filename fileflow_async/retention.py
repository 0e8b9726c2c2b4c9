"""Clean up: what no reader can want any more, and what no writer will finish."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from asgiref.sync import sync_to_async

from fileflow_async import manifest
from fileflow_async.config import Settings
from fileflow_async.errors import ConfigError
from fileflow_async.feed import PREFIX as FEED
from fileflow_async.inventory import folders, is_ours
from fileflow_async.status import FAILED_SUFFIX, attempt_in, unfinished_in
from fileflow_async.storage.protocol import Entry, Listing
from fileflow_async.store import TargetStore
from fileflow_async.target import Attempt

DAY = 86_400.0


class Reason(StrEnum):
    """Why something may go."""

    OLD_COMMIT = "an old commit"
    ORPHAN = "an attempt that was never committed"
    OLD_FAILURE = "an old failure"
    OLD_FEED = "an old feed entry"
    OLD_UPLOAD = "an upload that was never finished"


@dataclass(frozen=True, slots=True)
class Doomed:
    """An object that `gc` removed, or would remove."""

    key: str
    size: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Report:
    """What `gc` did, or would do.

    Attributes:
        doomed: In the order in which they were, or would be, removed.
        kept: How many objects stay.
        dry_run: Whether nothing was removed.
    """

    doomed: Sequence[Doomed]
    kept: int
    dry_run: bool

    @property
    def size(self) -> int:
        """The bytes that are, or would be, free again."""
        return sum(each.size for each in self.doomed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is kept; ages are in seconds, by the store's clock.

    Attributes:
        commits: So many of the newest commits of each target, whatever their age.
        commits_for: Older commits, and failures, so long.
        orphans_for: Attempts without a commit so long: their writer may be alive.
        feed_for: Feed entries so long.
    """

    commits: int = 2
    commits_for: float = 7 * DAY
    orphans_for: float = DAY
    feed_for: float = DAY

    @classmethod
    def configured(cls) -> Self:
        """Return the rules that the `[fileflow]` settings make."""
        return cls(commits_for=Settings.load().retention_days * DAY)

    def __post_init__(self) -> None:
        if self.commits < 1:
            raise ConfigError(
                f"the newest commit is never removed: commits must be at least 1, got {self.commits}"
            )
        for name in ("commits_for", "orphans_for", "feed_for"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must not be negative, got {getattr(self, name)}")


async def gc(
    store: TargetStore,
    *,
    dry_run: bool = True,
    rules: Rules | None = None,
    prefix: str = "",
    progress: Callable[[Doomed], None] | None = None,
) -> Report:
    """Remove what the rules do not keep, or only say what that would be.

    The newest commit of a target always stays, and so does every name that is not ours. A record goes before
    its data: a reader never meets a record whose data is gone for longer than a moment.

    Args:
        store: Where.
        dry_run: Remove nothing.
        rules: What is kept; by default as `[fileflow] retention_days` says.
        prefix: Only keys that begin so, such as `<dag>/`.
        progress: Called for each object once it is removed, or would be.
    """
    doomed: list[Doomed] = []
    looked, seen = set[str](), 0
    rules = rules or await sync_to_async(Rules.configured, thread_sensitive=False)()
    async for folder, page in folders(store, prefix):
        seen += len(page.entries)
        if folder in looked or not any(_doomed(folder, page, rules)):
            continue
        looked.add(folder)
        # The page may be old, and part of the folder only: an attempt may have been committed since.
        found = list(_doomed(folder, await store.storage.list(folder), rules))
        found = [each for each in found if each.key.startswith(prefix)]
        if not dry_run:
            await store.storage.delete(each.key for each in found)
        doomed += found
        for each in found:
            if progress is not None:
                progress(each)
    kept = max(0, seen - len(doomed))
    now = (await store.storage.list(prefix, limit=1)).now
    before = now - rules.orphans_for
    uploads = await store.storage.abandon(before=before, prefix=prefix, dry_run=True)
    for key in filter(is_ours, uploads):
        if not dry_run:
            await store.storage.abandon(before=before, prefix=key, dry_run=False)
        doomed.append(Doomed(key, 0, Reason.OLD_UPLOAD))
        if progress is not None:
            progress(doomed[-1])
    return Report(doomed, kept, dry_run)


def _doomed(folder: str, listing: Listing, rules: Rules) -> Iterator[Doomed]:
    if folder.startswith(FEED):
        for entry in listing.entries:
            if listing.now - entry.modified > rules.feed_for:
                yield Doomed(entry.key, entry.size, Reason.OLD_FEED)
        return
    attempts = _by_attempt(folder, listing.entries)
    committed = sorted((name for name, files in attempts.items() if files.record is not None), reverse=True)
    for name, files in sorted(attempts.items()):
        for entry, reason in files.doomed(listing.now, rules, is_kept=name in committed[: rules.commits]):
            yield Doomed(entry.key, entry.size, reason)


@dataclass(slots=True)
class _Files:
    """What one attempt left."""

    record: Entry | None = None
    failure: Entry | None = None
    data: list[Entry] = field(default_factory=list)
    unfinished: list[Entry] = field(default_factory=list)

    def doomed(self, now: float, rules: Rules, *, is_kept: bool) -> Iterator[tuple[Entry, Reason]]:
        """Yield what may go, the record before its data."""
        files = [*self.data, *self.unfinished]
        if self.record is None:
            if files and now - max(entry.modified for entry in files) > rules.orphans_for:
                yield from ((entry, Reason.ORPHAN) for entry in files)
        elif not is_kept and now - self.record.modified > rules.commits_for:
            yield from ((entry, Reason.OLD_COMMIT) for entry in [self.record, *files])
        else:
            left = (entry for entry in self.unfinished if now - entry.modified > rules.orphans_for)
            yield from ((entry, Reason.ORPHAN) for entry in left)
        if self.failure is not None and now - self.failure.modified > rules.commits_for:
            yield self.failure, Reason.OLD_FAILURE


def _by_attempt(folder: str, entries: Sequence[Entry]) -> dict[str, _Files]:
    """Sort the files of a target by the name of the attempt's data; leave out what is not ours."""
    found: defaultdict[str, _Files] = defaultdict(_Files)
    for entry in entries:
        name = entry.key[len(folder) :].partition("/")[0]
        if Attempt.parse(name):
            found[name].data.append(entry)
        elif attempt := attempt_in(name, suffix=manifest.SUFFIX):
            found[attempt.name].record = entry
        elif attempt := attempt_in(name, suffix=FAILED_SUFFIX):
            found[attempt.name].failure = entry
        elif attempt := unfinished_in(name):
            found[attempt.name].unfinished.append(entry)
    return found
