"""When a wait looks."""

from typing import Protocol

from fileflow_async.config import check_poke_interval, check_seconds
from fileflow_async.criteria import check_moment
from fileflow_async.errors import ConfigError, quoted


class Timed(Protocol):
    """A trigger, by the arguments that every one that waits has for it."""

    poke_interval: float
    backoff: bool
    max_wait: float | None
    deadline: float | None
    not_before: float | None


def check_times(trigger: Timed) -> None:
    """Refuse what cannot be meant.

    Raises:
        ConfigError: An argument is out of its range.
    """
    check_poke_interval(trigger.poke_interval)
    check_moment(trigger.deadline, "deadline")
    check_moment(trigger.not_before, "not_before")
    if trigger.max_wait is not None:
        check_seconds(trigger.max_wait, "max_wait")
    if not isinstance(trigger.backoff, bool):
        raise ConfigError(f"backoff must be true or false, got {quoted(trigger.backoff)}")


class Pace:
    """Doubles an interval each time that one of it has passed.

    Args:
        interval: Seconds, at first.
        now: In seconds since 1970.
        longest: Seconds, at last; None for no end to it.

    Attributes:
        interval: Seconds, by now.
        next: When it changes, in seconds since 1970; None when it does no more.
    """

    __slots__ = ("_longest", "interval", "next")

    def __init__(self, interval: float, now: float, *, longest: float | None) -> None:
        self._longest = longest
        self.interval = interval
        self.next: float | None = now + interval

    def advance(self, now: float) -> bool:
        """Tell whether the interval has changed."""
        before = self.interval
        while self.next is not None and now >= self.next:
            self.interval *= 2
            self.next += self.interval
            if self._longest is not None and self.interval >= self._longest:
                self.interval, self.next = max(self._longest, before), None
        return self.interval != before
