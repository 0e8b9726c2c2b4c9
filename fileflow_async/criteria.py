"""What ends a wait for targets."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, cast

from fileflow_async.config import is_number
from fileflow_async.errors import ConfigError, quoted

When = Literal["all", "any"] | int
Policy = Literal["accept", "fail", "skip", "wait"]

_LATEST = 253_402_300_799.0  # the last second of the year 9999, beyond which no message can name one


def check_moment(value: object, name: str) -> None:
    """Refuse what is not a moment in seconds since 1970; None is one that never comes.

    Raises:
        ConfigError: It is none.
    """
    if value is not None and not (is_number(value) and 0 <= cast(float, value) <= _LATEST):
        raise ConfigError(f"{name} must be seconds since 1970, got {quoted(value)}")


class Criteria(NamedTuple):  # no dataclass, which costs a DAG file six times as much: ADR 0030
    """What ends a wait.

    Attributes:
        when: Ready when all targets are, when any is, or when so many are.
        newer_than: Commits made before this moment, in seconds since 1970, do not count; for all targets, or
            for some, by their names.
        on_empty: What a target does that is complete but empty.
        on_corrupt: What a target does whose record and data contradict each other.
        on_abandoned: What a target does whose producer has been silent for long.
    """

    when: When = "all"
    newer_than: float | Mapping[str, float] | None = None
    on_empty: Policy = "accept"
    on_corrupt: Policy = "fail"
    on_abandoned: Policy = "wait"

    def check(self, targets: int) -> None:
        """Refuse what cannot be meant.

        Raises:
            ConfigError: An argument is out of its range.
        """
        if targets < 1:
            raise ConfigError("there is nothing to wait for: no targets were given")
        whole = type(self.when) is int and 1 <= self.when <= targets
        if not whole and self.when not in ("all", "any"):
            raise ConfigError(
                f"when must be 'all', 'any' or a number from 1 to {targets}, got {quoted(self.when)}"
            )
        for name, known in _POLICIES.items():
            if getattr(self, name) not in known:
                words = ", ".join(repr(word) for word in known)
                raise ConfigError(f"{name} must be one of {words}, got {quoted(getattr(self, name))}")
        if (limits := self.newer_than) is not None:
            for limit in limits.values() if isinstance(limits, Mapping) else (limits,):
                check_moment(limit, "newer_than")

    def limit(self, name: str) -> float | None:
        """Return from when on a commit of the target of that name counts."""
        return self.newer_than.get(name) if isinstance(self.newer_than, Mapping) else self.newer_than

    def needed(self, targets: int) -> int:
        """Return how many targets must be ready."""
        if self.when == "all":
            return targets
        return 1 if self.when == "any" else int(self.when)


_POLICIES: dict[str, tuple[Policy, ...]] = {
    "on_empty": ("accept", "fail", "skip", "wait"),
    "on_corrupt": ("fail", "skip", "wait"),
    "on_abandoned": ("wait", "fail", "skip"),
}
