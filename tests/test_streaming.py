"""What a task streams takes no more memory than a few pieces."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.tally import LONG

MIB = 1024 * 1024
SIZE = (5 * 1024 if LONG else 256) * MIB
BOUND = 100  # MiB: pieces of 8, some of them under way
ALL = ("pieces", "file", "copy", "spooled", "copied")


@pytest.mark.slow
@pytest.mark.timeout(1800 if LONG else 120)
def test_every_way_to_stream_takes_a_bounded_memory(roomy: Path) -> None:
    """In a process of its own: by the peak of its memory, less what it had before."""
    command = [sys.executable, "-m", "tests.streaming", str(roomy), str(SIZE), *ALL]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    peaks: dict[str, int] = json.loads(told.splitlines()[-1])
    print(f"MiB of memory for {SIZE // MIB} MiB: {peaks}")
    assert sorted(peaks) == sorted(("make", *ALL))
    assert {name: peak for name, peak in peaks.items() if peak > BOUND} == {}
