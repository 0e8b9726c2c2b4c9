"""Wait out faults that may pass, with a limit."""

import random
from dataclasses import dataclass

from fileflow_async.clock import Clock


@dataclass(frozen=True, slots=True)
class Budget:
    """How much patience one call has.

    Args:
        attempts: Tries in all.
        seconds: Since the first try; none begins later.
        first: The longest pause behind the first try; each further one may last twice as long.
        longest: The longest pause of all.
    """

    attempts: int = 30
    seconds: float = 120.0
    first: float = 0.1
    longest: float = 8.0


PATIENT = Budget()
BRIEF = Budget(attempts=3, seconds=10.0)  # for whoever asks again by itself


class Trial:
    """The tries of one call.

    Attributes:
        failures: How many of them failed.
    """

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._began = clock.monotonic()
        self.failures = 0

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return self._clock.monotonic() - self._began

    async def pause(self, *, at_most: int | None = None) -> bool:
        """Pause behind a failure; return False at once when there must be no further try."""
        attempts = self._budget.attempts if at_most is None else min(at_most, self._budget.attempts)
        # Full jitter: a fleet that failed together does not come back together.
        doubled = 2 ** min(self.failures - 1, 30)
        pause = random.uniform(0, min(self._budget.longest, self._budget.first * doubled))
        if self.failures >= attempts or self.seconds + pause > self._budget.seconds:
            return False
        await self._clock.sleep(pause)
        return True
