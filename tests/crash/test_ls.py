"""Whoever has only `ls` knows which file is the value, and that is the one that the store reads."""

import asyncio
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from fileflow_async.errors import TargetNotFoundError, TargetSupersededError
from fileflow_async.storage.local import LocalStorage
from fileflow_async.store import TargetStore
from tests.crash.tally import Tally, how_many
from tests.crash.works import KEY
from tests.tries import T0, made

WHAT = "folders told by `ls` alone"
HISTORIES = how_many(sample=30, normal=200, long=2000)

# The rule of the page about the protocol: the newest name that has an .ok.
RULE = "ls | grep '\\.ok$' | tail -n 1 | sed 's/\\.ok$//'"


async def history(store: TargetStore) -> None:
    """Let tries of all kinds pass: some commit, some die, some fail, some come too late."""
    for number in range(random.randrange(6)):
        producer = made(T0 + random.randrange(100_000), try_number=number + 1)
        draft = store.begin(KEY, producer=producer, format="csv")
        try:
            async with draft as out:
                await out.write(b"%d" % number)
                if random.random() < 0.6:
                    await store.commit(out)
        except TargetSupersededError:
            continue
        if random.random() < 0.2:
            await store.fail(KEY, error="out of luck", producer=producer)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_newest_name_with_an_ok_is_the_value(tmp_path: Path, tally: Tally) -> None:
    """Whatever else lies beside it."""
    for number in range(HISTORIES):
        asyncio.run(_one(tmp_path / str(number), tally))
    assert tally["the file that is read"] > HISTORIES / 4


async def _one(root: Path, tally: Tally) -> None:
    async with LocalStorage(root, durability="none", create=True) as storage:
        store = TargetStore(storage)
        await history(store)
        said = await asyncio.to_thread(_by_rule, root / KEY)
        try:
            version = await store.version(KEY)
        except TargetNotFoundError:
            assert said is None
            tally.add("no value")
            return
        assert version.reference is not None
        assert said == version.reference.data
        assert await store.read(KEY) == await asyncio.to_thread((root / KEY / said).read_bytes)
        tally.add("the file that is read")
    await asyncio.to_thread(shutil.rmtree, root)


def _by_rule(folder: Path) -> str | None:
    if not folder.is_dir():
        return None
    shown = subprocess.run(["sh", "-c", RULE], cwd=folder, capture_output=True, text=True, check=True)
    return shown.stdout.strip() or None
