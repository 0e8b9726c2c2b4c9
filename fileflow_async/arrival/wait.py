"""One wait for files of outsiders."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from operator import attrgetter

from fileflow_async.arrival.judging import Judge
from fileflow_async.arrival.picture import Picture, Verdict
from fileflow_async.arrival_rules import Rules
from fileflow_async.arrived import Arrived, ArrivedFile, Trust, described, digest_of
from fileflow_async.errors import FileflowError, StorageUnavailableError, TargetSupersededError, quoted
from fileflow_async.outcome import SAMPLE, WHOLE, Missing, Outcome
from fileflow_async.refusal import lasts
from fileflow_async.status import State
from fileflow_async.storage.outside import Look, Seen
from fileflow_async.storage.search import Search

_REFUSED_PAUSE = 20.0  # seconds between looks at what refuses: it is to be said within 90


class Arrival:
    """One wait for files of outsiders: remembers since when each looks the same, and decides when it is over.

    Args:
        search: What is waited for.
        rules: What counts.
    """

    def __init__(self, search: Search, rules: Rules) -> None:
        self.search = search
        self._rules = rules
        self._judge = Judge(search, rules)
        self._refusals: Mapping[str | None, tuple[float, int]] = {}
        self._picture = Picture()
        self._picture.add(None, Verdict(State.UNREADABLE, "it could not be looked at yet"))

    def decide(self, answer: Look | Exception, now: float) -> Arrived | None:
        """Take a look in, made at a monotonic moment, and return how the wait ends; None when it goes on."""
        if isinstance(answer, Exception):
            picture = Picture()
            picture.add(None, Verdict(State.UNREADABLE, _text(answer)))
            refused = self._refused([(None, answer)], now)
        else:
            self._judge.follow(answer.seen, now)
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
        seen = [
            each
            for each in self._judge.data(look)
            if each.modified <= newest and self._judge.would_count(each)
        ]
        return [file for file in self._files(seen) if file.uri not in missing]

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

    def _pictured(self, look: Look, now: float) -> Picture:
        picture = Picture()
        for seen in self._judge.data(look):
            verdict = self._judge.verdict(seen, look.now, now)
            if verdict is None:
                picture.arrived.append(seen)
            else:
                picture.add(seen.path, verdict)
        if self._judge.trust is Trust.STABLE and self._is_enough(picture):
            self._leave_open_ones(picture, look.objection)
        for path, error in look.unseen.items():
            passes = isinstance(error, StorageUnavailableError)  # then there may be more in a moment
            picture.add(path, Verdict(State.UNREADABLE, _text(error), is_arriving=passes))
        if len(picture.arrived) < self._rules.min_count:
            self._explain(picture, look)
        return picture

    def _leave_open_ones(self, picture: Picture, objection: Callable[[Seen], str | None]) -> None:
        """Take out what somebody writes to at this moment: asked last, since it opens the files."""
        for seen in sorted(picture.arrived, key=attrgetter("modified"), reverse=True):
            if (why := objection(seen)) is not None:
                picture.arrived.remove(seen)
                picture.add(seen.path, Verdict(State.IN_PROGRESS, why, is_arriving=True))
                if self._rules.on_arriving == "wait":
                    break

    def _explain(self, picture: Picture, look: Look) -> None:
        """Say why there is too little, where no file can say it."""
        count = len(picture.arrived) + len(picture.others)
        if count == 0:
            names = ", ".join(quoted(path) for path in look.temporary)
            why = f"only temporary names match: {names}" if names else look.absent or "nothing is there"
            picture.add(None, Verdict(State.ABSENT, why))
        elif count < self._rules.min_count:
            picture.add(None, Verdict(State.ABSENT, f"{count} of {self._rules.min_count} files are there"))

    def _refused(self, errors: Iterable[tuple[str | None, Exception]], now: float) -> bool:
        """Note who refuses, and tell whether one of them does for long enough to be believed."""
        refusals = {}
        for place, error in errors:
            if not isinstance(error, StorageUnavailableError):
                since, looks = self._refusals.get(place, (now, 0))
                refusals[place] = since, looks + 1
        self._refusals = refusals
        return any(lasts(since, looks, now) for since, looks in refusals.values())

    def _is_enough(self, picture: Picture) -> bool:
        settled = self._rules.on_arriving == "skip" or not picture.arriving
        return len(picture.arrived) >= self._rules.min_count and settled

    def _event(self, outcome: Outcome, picture: Picture) -> Arrived:
        arrived = picture.arrived
        first = nsmallest(SAMPLE if len(arrived) > WHOLE else WHOLE, arrived, key=attrgetter("path"))
        ends_well = outcome is Outcome.READY
        return Arrived(
            outcome=outcome,
            ready=tuple(self._files(first)),
            missing=self._missing(picture),
            ready_count=len(arrived),
            missing_count=len(picture.others),
            guess=self._judge.words.guess if ends_well and self._judge.trust is Trust.STABLE else None,
            newest=max(seen.modified for seen in arrived) if ends_well else None,
            digest=digest_of(self._files(arrived)) if ends_well else None,
        )

    def _files(self, arrived: Iterable[Seen]) -> Iterator[ArrivedFile]:
        return (ArrivedFile.of(seen, self.search.uri(seen.path), self._judge.trust) for seen in arrived)

    def _missing(self, picture: Picture) -> Sequence[Missing]:
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
