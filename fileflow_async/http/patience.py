"""How often a request is sent again, and when."""

import random
from dataclasses import dataclass

from fileflow_async.clock import Clock
from fileflow_async.config import check_seconds
from fileflow_async.errors import ConfigError, EndpointUnavailableError, quoted

_LONGEST = 60.0  # seconds between two tries, unless the server asks for more
# Seconds that a slot is held because a server asks for it; beyond that the task's own retries are better.
_LONGEST_WISH = 900.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How much of it a request has.

    Attributes:
        retry_limit: How often it is sent again.
        retry_delay: Seconds before the first time; each further pause may last twice as long.
    """

    retry_limit: int = 3
    retry_delay: float = 1.0

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ConfigError: A number is out of its range.
        """
        if type(self.retry_limit) is not int or not 0 <= self.retry_limit <= 1000:
            raise ConfigError(
                f"retry_limit must be an integer from 0 to 1000, got {quoted(self.retry_limit)}"
            )
        check_seconds(self.retry_delay, "retry_delay")


class Tries:
    """The tries of one request.

    Attributes:
        failures: How many of them failed since something came of one.
    """

    def __init__(self, patience: Patience, clock: Clock) -> None:
        self._patience = patience
        self._clock = clock
        self.failures = 0

    async def pause(self, error: EndpointUnavailableError) -> bool:
        """Pause behind a failure; return False at once when there must be no further try."""
        self.failures += 1
        wish = error.retry_after or 0.0
        if self.failures > self._patience.retry_limit or wish > _LONGEST_WISH:
            return False
        longest = min(_LONGEST, self._patience.retry_delay * 2.0 ** min(self.failures - 1, 16))
        # Half of it jitter: a fleet that failed together does not come back together, nor at once.
        await self._clock.sleep(max(wish, longest * random.uniform(0.5, 1.0)))
        return True
