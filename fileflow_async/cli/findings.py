"""What a check of `doctor` says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from fileflow_async.errors import FileflowError


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    ADVICE = "advice"  # it works; something could be better
    UNKNOWN = "unknown"  # it could not be found out from here
    WRONG = "wrong"  # it must be mended


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `doctor`.

    Attributes:
        check: What was checked, in a word or two.
        verdict: How it ended.
        what: What was found.
        hint: What to do about it.
    """

    check: str
    verdict: Verdict
    what: str
    hint: str = ""

    def to_payload(self) -> dict[str, str]:
        """Return it as a JSON object."""
        return {"check": self.check, "verdict": str(self.verdict), "what": self.what, "hint": self.hint}


async def attempted(
    check: str,
    trial: Callable[[], Awaitable[object]],
    well: str,
    *,
    otherwise: Verdict = Verdict.WRONG,
    hint: str = "",
) -> Finding:
    """Try something, and return whether it went well."""
    try:
        await trial()
    except FileflowError as error:
        return Finding(check, otherwise, str(error), hint or _hint_of(error))
    return Finding(check, Verdict.OK, well)


def wrong(check: str, error: FileflowError) -> Finding:
    """Return the finding that an error is."""
    return Finding(check, Verdict.WRONG, str(error), _hint_of(error))


def _hint_of(error: FileflowError) -> str:
    return " ".join(getattr(error, "__notes__", ()))
