"""What a look for files of outsiders showed, in the words in which it is told."""

from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Self

from fileflow_async.arrival_rules import Rules
from fileflow_async.errors import quoted
from fileflow_async.outcome import SAMPLE
from fileflow_async.status import State
from fileflow_async.storage.outside import Seen
from fileflow_async.storage.search import Search


class Verdict(NamedTuple):
    """Why a file does not count yet."""

    state: State
    why: str
    is_arriving: bool = False  # looks may settle it


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of many files, made once."""

    changing: Verdict
    young: Verdict
    not_done: Verdict
    undone: Verdict
    empty: Verdict
    guess: str

    @classmethod
    def of(cls, search: Search, rules: Rules) -> Self:
        """Put the rules into words."""
        done = quoted(search.done_file)
        same = f"the same in {rules.looks} looks over {rules.quiet:g} s"
        quiet = ", nobody on this host who writes" if search.is_on_disk else ""
        return cls(
            changing=Verdict(
                State.IN_PROGRESS, f"it is new or changes; it has to be {same}", is_arriving=True
            ),
            young=Verdict(State.IN_PROGRESS, f"it is less than {rules.min_age:g} s old", is_arriving=True),
            not_done=Verdict(State.IN_PROGRESS, f"its done file {done} is not there"),
            undone=Verdict(State.IN_PROGRESS, f"it was written to after its done file {done}"),
            empty=Verdict(State.EMPTY, "it is empty"),
            guess=f"stability heuristic used: {same}, at least {rules.min_age:g} s old{quiet}",
        )


@dataclass(slots=True)
class Picture:
    """What the last look showed.

    Attributes:
        arrived: What counts.
        others: Why the rest does not, by path; None is the search as a whole.
        arriving: How many of the rest looks may settle.
    """

    arrived: list[Seen] = field(default_factory=list)
    others: list[tuple[str | None, Verdict]] = field(default_factory=list)
    arriving: int = 0

    def add(self, path: str | None, verdict: Verdict) -> None:
        """Add what has not arrived."""
        self.others.append((path, verdict))
        self.arriving += verdict.is_arriving

    def sample(self) -> list[tuple[str | None, Verdict]]:
        """Return the first of what has not arrived, where possible of what is about to."""
        coming = islice((each for each in self.others if each[1].is_arriving), SAMPLE)
        rest = islice((each for each in self.others if not each[1].is_arriving), SAMPLE)
        return [*coming, *rest][:SAMPLE]
