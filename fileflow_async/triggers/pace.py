"""How a wait becomes more patient."""


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
