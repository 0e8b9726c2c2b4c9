"""A target of any size moves through a few tens of megabytes of memory."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.crash.tally import LONG, Tally
from tests.crash.zygote import Zygote, zygote as run_zygote
from tests.s3_servers.backdoor import Backdoor

WHAT = "megabytes of memory for a stream"
MIB = 1024 * 1024
BOUND = 100 * MIB


@pytest.mark.slow
@pytest.mark.timeout(1200 if LONG else 60)
def test_a_stream_to_disk_and_back(roomy: Path, tally: Tally) -> None:
    """Hash and syncs included; measured by the peak of the process, less what it had before."""
    size = (5 * 1024 if LONG else 256) * MIB
    (root := roomy / "root").mkdir()
    with run_zygote() as fresh:  # one that has no memory to reuse
        assert _move(fresh, root, size, tally) < BOUND


def _move(zygote: Zygote, root: Path, size: int, tally: Tally, **options: object) -> int:
    end = zygote.run("memory", root, size=size, threads=8, **options)
    assert end.code == 0
    found: dict[str, int] = json.loads(end.told[0])
    assert found["read"] == size
    where = "S3" if "s3" in options else "disk"
    tally.add(f"to write {size // MIB} MiB to {where}", found["write"] // MIB)
    tally.add(f"to write and read {size // MIB} MiB on {where}", found["both"] // MIB)
    return found["both"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not LONG, reason="the server for tests takes a minute for it: FILEFLOW_FAULTS=long")
async def test_a_stream_to_s3_and_back(tmp_path: Path, bucket: Backdoor, tally: Tally) -> None:
    """The same in parts, four of them under way."""
    server = {"s3": {"endpoint_url": f"http://127.0.0.1:{bucket.port}"}, "bucket": bucket.bucket}

    def move() -> int:
        with run_zygote() as fresh:
            fresh.warm(**server)
            return _move(fresh, tmp_path / "none", 256 * MIB, tally, **server)

    assert await asyncio.to_thread(move) < BOUND
