"""Whether a file of outsiders counts as arrived."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fileflow_async.arrival.picture import Verdict, Words
from fileflow_async.arrival_rules import Rules, trust_of
from fileflow_async.arrived import Trust
from fileflow_async.status import State
from fileflow_async.storage.outside import Look, Seen
from fileflow_async.storage.search import Search

_SLACK = 2.0  # seconds that a done file may be older: S3 counts whole ones, FAT every second one


class _Track(NamedTuple):
    """Since when a file has looked the same, by a monotonic clock, and how often."""

    version: tuple[object, ...]
    since: float
    looks: int


class Judge:
    """Judges the files that looks show; it remembers since when each has looked the same.

    Args:
        search: What is waited for.
        rules: What counts.

    Attributes:
        trust: Why a file would be taken to be whole.
        words: How that is told.
    """

    def __init__(self, search: Search, rules: Rules) -> None:
        self.trust = trust_of(search)
        self.words = Words.of(search, rules)
        self._search = search
        self._rules = rules
        self._tracks: Mapping[str, _Track] = {}

    def follow(self, seen: Sequence[Seen], now: float) -> None:
        """Note what changed: it starts anew; what went away is forgotten."""
        tracks: dict[str, _Track] = {}
        for each in seen:
            before = self._tracks.get(each.path)
            if before is not None and before.version == each.version:
                tracks[each.path] = before._replace(looks=before.looks + 1)
            else:
                tracks[each.path] = _Track(each.version, now, 1)
        self._tracks = tracks

    def data(self, look: Look) -> Iterable[Seen]:
        """Return what was seen without the done files, which a wide pattern means as well."""
        if self.trust is not Trust.DONE_FILE or self._search.folders:
            return look.seen
        done_files = {self._search.done_path(seen.path) for seen in look.seen}
        return (seen for seen in look.seen if seen.path not in done_files)

    def verdict(self, seen: Seen, store_now: float, now: float) -> Verdict | None:
        """Return why a file does not count yet; None when it does."""
        if seen.problem is not None:
            return Verdict(State.ABSENT, seen.problem)
        verdict = None
        if self.trust is Trust.DONE_FILE:
            verdict = self._not_done(seen)
        elif self.trust is Trust.STABLE:
            verdict = self._unsettled(seen, store_now, now)
        return verdict or self._too_small(seen)

    def _not_done(self, seen: Seen) -> Verdict | None:
        if seen.done is None:
            return self.words.not_done
        # A done file that was there before the data proves nothing: it may be yesterday's.
        return self.words.undone if seen.modified > seen.done + _SLACK else None

    def _unsettled(self, seen: Seen, store_now: float, now: float) -> Verdict | None:
        track = self._tracks[seen.path]
        same_for = now - track.since
        if track.looks < self._rules.looks or same_for < self._rules.quiet:
            return self.words.changing
        # What was seen the same for so long is so old, even where the store's clock is ahead.
        if max(store_now - seen.modified, same_for) < self._rules.min_age:
            return self.words.young
        return None

    def _too_small(self, seen: Seen) -> Verdict | None:
        if seen.size >= self._rules.min_size:
            return None
        if seen.size == 0:
            return self.words.empty
        return Verdict(State.IN_PROGRESS, f"it has {seen.size} bytes, fewer than {self._rules.min_size}")

    def would_count(self, seen: Seen) -> bool:
        """Tell whether a file would count if it stayed as it is."""
        undone = self.trust is Trust.DONE_FILE and self._not_done(seen) is not None
        return seen.problem is None and not undone and self._too_small(seen) is None
