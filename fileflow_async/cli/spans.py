"""Spans and moments of time as people write them."""

import argparse
import re
from datetime import datetime

_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m|h|d)?")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def span(text: str) -> float:
    """Return the seconds of `90`, `90s`, `15m`, `2h` or `7d`."""
    if not (found := _SPAN.fullmatch(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time; write 90s, 15m, 2h or 7d")
    return float(found[1]) * _SECONDS[found[2] or "s"]


def moment(text: str) -> float:
    """Return the seconds since 1970 of a moment in ISO 8601, or of a span, which is that long ago."""
    if _SPAN.fullmatch(text):
        return datetime.now().astimezone().timestamp() - span(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no moment; write 2026-11-20T06:00Z, or 2h for two hours ago"
        ) from None
    if found.utcoffset() is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone; write {text}Z or {text}+01:00")
    return found.timestamp()
