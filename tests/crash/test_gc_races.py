"""A clean-up that leaves only the newest commit races with readers: right bytes, or told that they went."""

from pathlib import Path

import pytest

from tests.crash.tally import Tally, how_many
from tests.crash.zygote import Zygote

WHAT = "reads while all but the newest is removed"
SECONDS = how_many(sample=4, normal=15, long=120)
# What a reader may be told of a version that is no longer kept; of anything else it must not hear.
GONE = {"TargetNotFoundError", "TargetSupersededError", "TargetCorruptError"}


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
def test_a_clean_up_races_with_readers(zygote: Zygote, tmp_path: Path, tally: Tally) -> None:
    """Three readers, two writers and two who clean up, in processes of their own."""
    (root := tmp_path / "root").mkdir()
    common = {"durability": "none", "threads": 4, "seconds": SECONDS, "lasts": 600}
    pids = [zygote.start("collector", root, **common) for _ in range(2)]
    pids += [
        zygote.start("writer", root, **common, name=f"writer-{number}", kind="script") for number in range(2)
    ]
    pids += [zygote.start("reader", root, **common) for _ in range(3)]
    for pid in pids:
        end = zygote.wait(pid)
        assert end.code == 0
        for line in end.told:
            what, _, rest = line.partition(" ")
            assert what in ("reads", "removed", "acknowledged", "refused", "ended", "error", "incomplete"), (
                line
            )
            if what == "reads":
                tally.add("right, none wrong, none older than the one before", int(rest))
            elif what == "removed":
                tally.add("commits removed", int(rest))
            elif what == "incomplete":  # one look, which a waiter would not believe before a second one
                assert "was listed, but is gone" in rest or "exists but its data" in rest, line
                tally.add("looks that met a version on its way out")
            elif what == "error":
                assert rest.split(" ")[0] in GONE, line
                tally.add("told that the version is gone")
    assert tally["right, none wrong, none older than the one before"] > 10
    assert tally["commits removed"] > 10
