"""What makes an answer the one that is waited for."""

from dataclasses import dataclass
from enum import Enum
from itertools import combinations
from typing import Any

from fileflow_async.errors import ConfigError, quoted
from fileflow_async.http.json_path import Steps, parse_path
from fileflow_async.http.named import check_path
from fileflow_async.http.statuses import GOOD, PASSING, statuses


class Verdict(Enum):
    """What is to be done about it."""

    YES = "yes"
    WAIT = "wait"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What makes an answer the one that is waited for: all that is given.

    Attributes:
        ok_status: Statuses that may be it; by default 2xx.
        wait_status: Statuses that mean: not yet; they go before the defaults.
        fail_status: Statuses that mean: never.
        json_path: Where in the body something must be.
        expected: What it must be; None for anything but null.
        response_check: The dotted path of a function that must say yes.
        changed: Whether the version must be another than the one that was there.
        keeps_body: Whether the body will be stored.
    """

    ok_status: frozenset[int] | None = None
    wait_status: frozenset[int] = frozenset()
    fail_status: frozenset[int] = frozenset()
    json_path: Steps | None = None
    expected: Any = None
    response_check: str | None = None
    changed: bool = False
    keeps_body: bool = False

    @classmethod
    def of(
        cls,
        *,
        ok_status: Any = None,
        wait_status: Any = None,
        fail_status: Any = None,
        json_path: str | None = None,
        expected: Any = None,
        response_check: str | None = None,
        changed: bool = False,
        keeps_body: bool = False,
    ) -> "Criteria":
        """Read them from what people write.

        Raises:
            ConfigError: One cannot be meant.
        """
        if expected is not None and json_path is None:
            raise ConfigError("expected is given, but no json_path where that should be")
        if not isinstance(changed, bool):
            raise ConfigError(f"changed must be true or false, got {quoted(changed)}")
        sets = {
            name: None if given is None else statuses(given, name)
            for name, given in (
                ("ok_status", ok_status),
                ("wait_status", wait_status),
                ("fail_status", fail_status),
            )
        }
        for (name, these), (other, those) in combinations(sets.items(), 2):
            if both := (these or frozenset()) & (those or frozenset()):
                raise ConfigError(f"{name} and {other} both have {min(both)}")
        return cls(
            ok_status=sets["ok_status"],
            wait_status=sets["wait_status"] or frozenset(),
            fail_status=sets["fail_status"] or frozenset(),
            json_path=None if json_path is None else parse_path(json_path),
            expected=expected,
            response_check=None if response_check is None else check_path(response_check, "response_check"),
            changed=changed,
            keeps_body=keeps_body,
        )

    @property
    def needs_body(self) -> bool:
        """Whether the body is more than a weight."""
        return self.keeps_body or self.json_path is not None or self.response_check is not None

    def of_status(self, status: int) -> Verdict:
        """Return what a status means; YES is for the rest of the answer to confirm."""
        if status in self.fail_status:
            return Verdict.FAILED
        if status in (GOOD - self.wait_status if self.ok_status is None else self.ok_status):
            return Verdict.YES
        if status in self.wait_status | PASSING | GOOD | {304}:
            return Verdict.WAIT
        return Verdict.REFUSED
