"""Spans and moments as people write them."""

import argparse
import time

import pytest

from fileflow_async.cli.spans import moment, span


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("7d", 604_800), ("0", 0)]
)
def test_a_span_has_a_unit_or_is_seconds(text: str, seconds: float) -> None:
    assert span(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-1", "1w", "1h30m", "nan", "inf"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no span"):
        span(text)


def test_a_moment_is_one_or_so_long_ago() -> None:
    assert moment("1970-01-01T01:00+01:00") == 0
    assert moment("2026-11-20T06:00Z") == 1_795_154_400
    assert abs(moment("1h") - (time.time() - 3600)) < 5


@pytest.mark.parametrize("text", ["yesterday", "2026-11-20T06:00", "2026-11-20"])
def test_a_moment_needs_its_time_zone(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        moment(text)
