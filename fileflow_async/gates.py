"""Quality gates: what data must satisfy before anybody can see it."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from fileflow_async.errors import ConfigError, GateError, quoted

if TYPE_CHECKING:
    from fileflow_async.draft import Draft

Verdict = bool | str | None

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of data that is whole and not yet committed.

    Attributes:
        target: The key of the target.
        size: Its bytes.
        rows: Its rows; None where the format does not tell.
        columns: Its columns with their types; None where the format does not tell.
        stats: Simple statistics of its columns, such as `{"amount": {"sum": 12.5, "min": 1, "nulls": 0}}`.
    """

    target: str
    size: int
    rows: int | None
    columns: Sequence[tuple[str, str]] | None
    stats: Mapping[str, Any]


Check = Callable[[Facts], Verdict | Awaitable[Verdict]]


@dataclass(frozen=True, slots=True)
class Gate:
    """A check, and what its failure does.

    Attributes:
        check: A function, sync or async, of the facts: True or None is well, False is not, and a text says
            why not.
        name: How the record and the log call it.
        on_failure: `block` publishes nothing; `warn` publishes, and the record says that the check failed.
    """

    check: Check
    name: str = ""
    on_failure: Literal["block", "warn"] = "block"

    def __post_init__(self) -> None:
        if not callable(self.check):
            raise ConfigError(f"a gate must be a function, got {quoted(self.check)}")
        if self.on_failure not in ("block", "warn"):
            raise ConfigError(f"on_failure must be 'block' or 'warn', got {quoted(self.on_failure)}")
        if not self.name:
            object.__setattr__(self, "name", getattr(self.check, "__name__", type(self.check).__name__))

    @classmethod
    def of(cls, gate: Self | Check) -> "Gate":
        """Return the gate that a bare function stands for: one that blocks."""
        return gate if isinstance(gate, Gate) else cls(gate)

    async def judge(self, facts: Facts) -> Mapping[str, Any]:
        """Run the check, and return what the record says of it.

        Raises:
            Exception: Whatever the check raises: one that breaks lets nothing pass.
        """
        verdict = self.check(facts)
        if inspect.isawaitable(verdict):
            verdict = await verdict
        passed = verdict is None or verdict is True
        return {
            "name": self.name,
            "passed": passed,
            "blocking": self.on_failure == "block",
            "message": verdict if isinstance(verdict, str) else None,
        }


async def pass_through(draft: "Draft", gates: Sequence[Gate]) -> None:
    """Run the gates of data that is whole; their results go into its record.

    Raises:
        GateError: One that blocks has refused it.
    """
    facts = Facts(
        target=draft.key,
        size=draft.record().size,
        rows=draft.rows,
        columns=draft.columns,
        stats=draft.stats,
    )
    draft.checks = [*draft.checks, *[await gate.judge(facts) for gate in gates]]
    failed = [check for check in draft.checks if not check["passed"]]
    for check in failed:
        log.warning("gate %r: %s: %s", check["name"], draft.key, check["message"] or "the check failed")
    if blocking := [check for check in failed if check["blocking"]]:
        reasons = "; ".join(
            f"{check['name']}: {check['message'] or 'the check failed'}" for check in blocking
        )
        raise GateError(f"{draft.uri} was not published: {reasons}")


def not_empty(facts: Facts) -> Verdict:
    """Refuse data without rows, or without bytes where the format has no rows."""
    if facts.rows is None:
        return facts.size > 0 or "there are no bytes"
    return facts.rows > 0 or "there are no rows"


def rows_between(least: int, most: int | None = None) -> Gate:
    """Refuse data with fewer or more rows."""

    def check(facts: Facts) -> Verdict:
        if facts.rows is None:
            return "the format does not tell the number of rows"
        well = facts.rows >= least and (most is None or facts.rows <= most)
        return well or f"{facts.rows} rows; expected {least} to {'any' if most is None else most}"

    return Gate(check, "rows_between")


def has_columns(*names: str) -> Gate:
    """Refuse data that lacks one of these columns."""

    def check(facts: Facts) -> Verdict:
        if facts.columns is None:
            return "the format does not tell the columns"
        missing = [name for name in names if name not in dict(facts.columns)]
        return not missing or f"missing columns: {', '.join(missing)}"

    return Gate(check, "has_columns")


def no_nulls(*names: str) -> Gate:
    """Refuse data in which one of these columns has a null."""

    def check(facts: Facts) -> Verdict:
        for name in names:
            if "nulls" not in (stats := facts.stats.get(name, {})):
                return f"nothing is known of the nulls in {name!r}"
            if stats["nulls"]:
                return f"{name!r} has {stats['nulls']} null{'' if stats['nulls'] == 1 else 's'}"
        return True

    return Gate(check, "no_nulls")
