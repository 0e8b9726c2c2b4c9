"""What counts as arrived: decisions without I/O about files of outsiders."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import islice
from operator import attrgetter
from typing import NamedTuple, Self

from fileflow_async.arrival_rules import Rules, trust_of
from fileflow_async.arrived import Arrived, ArrivedFile, Trust, described, digest_of
from fileflow_async.errors import (
    FileflowError,
    StorageUnavailableError,
    TargetSupersededError,
    quoted,
)
from fileflow_async.outcome import SAMPLE, WHOLE, Missing, Outcome
from fileflow_async.status import State
from fileflow_async.storage.outside import Look, Seen
from fileflow_async.storage.search import Search

_REFUSED_FOR, _REFUSED_LOOKS = 60.0, 3  # a refusal is believed when it stands so long and was seen so often
_REFUSED_PAUSE = 20.0  # seconds between looks at what refuses: it is to be said within 90
_SLACK = 2.0  # seconds that a done file may be older: S3 counts whole ones, FAT every second one


class _Track(NamedTuple):
    """Since when a file has looked the same, by a monotonic clock, and how often."""

    version: tuple[object, ...]
    since: float
    looks: int


class _Verdict(NamedTuple):
    """Why a file does not count yet."""

    state: State
    why: str
    is_arriving: bool = False  # looks may settle it


@dataclass(frozen=True, slots=True)
class _Words:
    """What is said of many files, made once."""

    changing: _Verdict
    young: _Verdict
    not_done: _Verdict
    undone: _Verdict
    empty: _Verdict
    guess: str

    @classmethod
    def of(cls, search: Search, rules: Rules) -> Self:
        """Put the rules into words."""
        done = quoted(search.done_file)
        same = f"the same in {rules.looks} looks over {rules.quiet:g} s"
        quiet = ", nobody on this host who writes" if search.is_on_disk else ""
        return cls(
            changing=_Verdict(
                State.IN_PROGRESS, f"it is new or changes; it has to be {same}", is_arriving=True
            ),
            young=_Verdict(State.IN_PROGRESS, f"it is less than {rules.min_age:g} s old", is_arriving=True),
            not_done=_Verdict(State.IN_PROGRESS, f"its done file {done} is not there"),
            undone=_Verdict(State.IN_PROGRESS, f"it was written to after its done file {done}"),
            empty=_Verdict(State.EMPTY, "it is empty"),
            guess=f"stability heuristic used: {same}, at least {rules.min_age:g} s old{quiet}",
        )


@dataclass(slots=True)
class _Picture:
    """What the last look showed.

    Attributes:
        arrived: What counts.
        others: Why the rest does not, by path; None is the search as a whole.
        arriving: How many of the rest looks may settle.
    """

    arrived: list[Seen] = field(default_factory=list)
    others: list[tuple[str | None, _Verdict]] = field(default_factory=list)
    arriving: int = 0

    def add(self, path: str | None, verdict: _Verdict) -> None:
        """Add what has not arrived."""
        self.others.append((path, verdict))
        self.arriving += verdict.is_arriving

    def sample(self) -> list[tuple[str | None, _Verdict]]:
        """Return the first of what has not arrived, where possible of what is about to."""
        coming = islice((each for each in self.others if each[1].is_arriving), SAMPLE)
        rest = islice((each for each in self.others if not each[1].is_arriving), SAMPLE)
        return [*coming, *rest][:SAMPLE]


class Arrival:
    """One wait for files of outsiders: remembers since when each looks the same, and decides when it is over.

    Args:
        search: What is waited for.
        rules: What counts.
    """

    def __init__(self, search: Search, rules: Rules) -> None:
        self.search = search
        self._rules = rules
        self._tracks: Mapping[str, _Track] = {}
        self._refusals: Mapping[str | None, tuple[float, int]] = {}
        self._picture = _Picture()
        self._picture.add(None, _Verdict(State.UNREADABLE, "it could not be looked at yet"))
        self._trust = trust_of(search)
        self._words = _Words.of(search, rules)

    def decide(self, answer: Look | Exception, now: float) -> Arrived | None:
        """Take a look in, made at a monotonic moment, and return how the wait ends; None when it goes on."""
        if isinstance(answer, Exception):
            picture = _Picture()
            picture.add(None, _Verdict(State.UNREADABLE, _text(answer)))
            refused = self._refused([(None, answer)], now)
        else:
            self._follow(answer.seen, now)
            picture = self._pictured(answer, now)
            refused = self._refused(answer.unseen.items(), now)
        self._picture = picture  # at once: another thread may ask for it
        if self._is_enough(picture):
            return self._event(Outcome.READY, picture)
        return self._event(Outcome.UNREADABLE, picture) if refused else None

    def confirm(self, event: Arrived, look: Look) -> Sequence[ArrivedFile]:
        """Return all that an event says has arrived, once a later look has shown it unchanged.

        Raises:
            TargetSupersededError: Something of it has changed, or went away.
        """
        there = {file.uri: file for file in self._files(look.seen)}
        if event.is_whole:
            for file in event.ready:
                if (now := there.get(file.uri)) is None or now.version != file.version:
                    change = "went away" if now is None else "changed"
                    raise TargetSupersededError(f"{file.uri!r} {change} after it had arrived")
            return event.ready
        files = self._those_of(event, look)
        if digest_of(files) != event.digest:
            many = f"{event.ready_count} files of {self.search.asked!r}"
            raise TargetSupersededError(f"some of the {many} changed after they had arrived")
        return sorted(files, key=attrgetter("uri"))

    def _those_of(self, event: Arrived, look: Look) -> Sequence[ArrivedFile]:
        """Return what an event must have meant that does not hold all: what did not come later."""
        missing = {each.target for each in event.missing}
        newest = event.newest or 0.0
        seen = [each for each in self._data(look) if each.modified <= newest and self._is_whole(each)]
        return [file for file in self._files(seen) if file.uri not in missing]

    def _is_whole(self, seen: Seen) -> bool:
        """Tell whether a file would count if it stayed as it is."""
        undone = self._trust is Trust.DONE_FILE and self._not_done(seen) is not None
        return seen.problem is None and not undone and self._too_small(seen) is None

    def timeout(self) -> Arrived:
        """Return the event that says that the time is over."""
        return self._event(Outcome.TIMEOUT, self._picture)

    def describe(self) -> str:
        """Return what the last look showed, in words that stay the same while nothing happens."""
        picture = self._picture
        return described(len(picture.arrived), self._missing(picture), len(picture.others))

    @property
    def is_in_doubt(self) -> bool:
        """Whether the last look showed what only further looks can settle."""
        return bool(self._refusals or self._picture.arriving)

    def pause(self, interval: float) -> float:
        """Return after how many seconds to look again, when there is nothing after `interval`."""
        if self._picture.arriving:
            interval = min(interval, self._rules.look_interval)
        return min(interval, _REFUSED_PAUSE) if self._refusals else interval

    def _follow(self, seen: Sequence[Seen], now: float) -> None:
        """Note what changed: it starts anew; what went away is forgotten."""
        tracks: dict[str, _Track] = {}
        for each in seen:
            before = self._tracks.get(each.path)
            if before is not None and before.version == each.version:
                tracks[each.path] = before._replace(looks=before.looks + 1)
            else:
                tracks[each.path] = _Track(each.version, now, 1)
        self._tracks = tracks

    def _data(self, look: Look) -> Iterable[Seen]:
        """Return what was seen without the done files, which a wide pattern means as well."""
        if self._trust is not Trust.DONE_FILE or self.search.folders:
            return look.seen
        done_files = {self.search.done_path(seen.path) for seen in look.seen}
        return (seen for seen in look.seen if seen.path not in done_files)

    def _pictured(self, look: Look, now: float) -> _Picture:
        picture = _Picture()
        for seen in self._data(look):
            verdict = self._verdict(seen, look.now, now)
            if verdict is None:
                picture.arrived.append(seen)
            else:
                picture.add(seen.path, verdict)
        if self._trust is Trust.STABLE and self._is_enough(picture):
            self._leave_open_ones(picture, look.objection)
        for path, error in look.unseen.items():
            passes = isinstance(error, StorageUnavailableError)  # then there may be more in a moment
            picture.add(path, _Verdict(State.UNREADABLE, _text(error), is_arriving=passes))
        if len(picture.arrived) < self._rules.min_count:
            self._explain(picture, look)
        return picture

    def _verdict(self, seen: Seen, store_now: float, now: float) -> _Verdict | None:
        """Return why a file does not count yet; None when it does."""
        if seen.problem is not None:
            return _Verdict(State.ABSENT, seen.problem)
        verdict = None
        if self._trust is Trust.DONE_FILE:
            verdict = self._not_done(seen)
        elif self._trust is Trust.STABLE:
            verdict = self._unsettled(seen, store_now, now)
        return verdict or self._too_small(seen)

    def _not_done(self, seen: Seen) -> _Verdict | None:
        if seen.done is None:
            return self._words.not_done
        # A done file that was there before the data proves nothing: it may be yesterday's.
        return self._words.undone if seen.modified > seen.done + _SLACK else None

    def _unsettled(self, seen: Seen, store_now: float, now: float) -> _Verdict | None:
        track = self._tracks[seen.path]
        same_for = now - track.since
        if track.looks < self._rules.looks or same_for < self._rules.quiet:
            return self._words.changing
        # What was seen the same for so long is so old, even where the store's clock is ahead.
        if max(store_now - seen.modified, same_for) < self._rules.min_age:
            return self._words.young
        return None

    def _too_small(self, seen: Seen) -> _Verdict | None:
        if seen.size >= self._rules.min_size:
            return None
        if seen.size == 0:
            return self._words.empty
        return _Verdict(State.IN_PROGRESS, f"it has {seen.size} bytes, fewer than {self._rules.min_size}")

    def _leave_open_ones(self, picture: _Picture, objection: Callable[[Seen], str | None]) -> None:
        """Take out what somebody writes to at this moment: asked last, since it opens the files."""
        for seen in sorted(picture.arrived, key=attrgetter("modified"), reverse=True):
            if (why := objection(seen)) is not None:
                picture.arrived.remove(seen)
                picture.add(seen.path, _Verdict(State.IN_PROGRESS, why, is_arriving=True))
                if self._rules.on_arriving == "wait":
                    break

    def _explain(self, picture: _Picture, look: Look) -> None:
        """Say why there is too little, where no file can say it."""
        count = len(picture.arrived) + len(picture.others)
        if count == 0:
            names = ", ".join(quoted(path) for path in look.temporary)
            why = f"only temporary names match: {names}" if names else look.absent or "nothing is there"
            picture.add(None, _Verdict(State.ABSENT, why))
        elif count < self._rules.min_count:
            picture.add(None, _Verdict(State.ABSENT, f"{count} of {self._rules.min_count} files are there"))

    def _refused(self, errors: Iterable[tuple[str | None, Exception]], now: float) -> bool:
        """Believe a refusal only when it lasts: rights and mounts come and go for a moment."""
        refusals = {}
        for place, error in errors:
            if not isinstance(error, StorageUnavailableError):
                since, looks = self._refusals.get(place, (now, 0))
                refusals[place] = since, looks + 1
        self._refusals = refusals
        return any(
            looks >= _REFUSED_LOOKS and now - since >= _REFUSED_FOR for since, looks in refusals.values()
        )

    def _is_enough(self, picture: _Picture) -> bool:
        settled = self._rules.on_arriving == "skip" or not picture.arriving
        return len(picture.arrived) >= self._rules.min_count and settled

    def _event(self, outcome: Outcome, picture: _Picture) -> Arrived:
        arrived = picture.arrived
        first = nsmallest(SAMPLE if len(arrived) > WHOLE else WHOLE, arrived, key=attrgetter("path"))
        ends_well = outcome is Outcome.READY
        return Arrived(
            outcome=outcome,
            ready=tuple(self._files(first)),
            missing=self._missing(picture),
            ready_count=len(arrived),
            missing_count=len(picture.others),
            guess=self._words.guess if ends_well and self._trust is Trust.STABLE else None,
            newest=max(seen.modified for seen in arrived) if ends_well else None,
            digest=digest_of(self._files(arrived)) if ends_well else None,
        )

    def _files(self, arrived: Iterable[Seen]) -> Iterator[ArrivedFile]:
        return (ArrivedFile.of(seen, self.search.uri(seen.path), self._trust) for seen in arrived)

    def _missing(self, picture: _Picture) -> Sequence[Missing]:
        return tuple(
            Missing(
                target=self.search.asked if path is None else self.search.uri(path),
                state=str(verdict.state),
                why=verdict.why,
            )
            for path, verdict in picture.sample()
        )


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, FileflowError) else f"{type(error).__name__}: {error}"
