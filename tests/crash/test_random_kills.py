"""A process is killed at a random moment of a commit: the old value or the new one, never half."""

import random
from pathlib import Path

import pytest

from tests.crash.judging import CASES, Case, judge, prepare
from tests.crash.tally import PATIENCE, Tally, how_many
from tests.crash.zygote import Zygote

WHAT = "kills at a random moment"
TRIES = how_many(sample=20, normal=40, long=1000)  # of each case


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.timeout(PATIENCE)
def test_a_process_is_killed_at_a_random_moment(
    zygote: Zygote, tmp_path: Path, tally: Tally, case: Case
) -> None:
    """Anywhere between its birth and a little after its end."""
    longest = 0.0
    for number in range(3):
        root = tmp_path / f"whole-{number}" / "root"
        prepare(root, case)
        whole = zygote.run(case.work, root)
        assert whole.was_told
        longest = max(longest, whole.seconds)
    for number in range(TRIES):
        root = tmp_path / str(number) / "root"
        prepare(root, case)
        end = zygote.run(case.work, root, kill_after=random.uniform(0, 1.1 * longest))
        left = judge(root, case, was_told=end.was_told)
        tally.add(f"left the {left} value" if end.was_killed else "got through")
