"""The guard of the event loop, which every test of this project runs under."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from blockbuster import BlockingError

from tests.conftest import LoopGuard


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (file := tmp_path / "x").touch()
    return file


async def test_what_blocks_the_loop_is_noted_although_it_be_caught(loop_guard: LoopGuard, file: Path) -> None:
    """Code that survives its own errors must not hide this one."""
    for block in (
        lambda: time.sleep(0.001),
        lambda: open(file).close(),
        lambda: file.open().close(),
        lambda: os.open(file, os.O_RDONLY),
        lambda: os.fsync(0),
        lambda: os.lstat(file),
        lambda: os.listdir(file.parent),
        file.stat,
    ):
        with pytest.raises(BlockingError):
            block()
        assert len(loop_guard.blocked) == 1
        loop_guard.blocked.clear()


async def test_a_thread_may_block(tmp_path: Path) -> None:
    """Only the loop must not."""
    assert await asyncio.to_thread((tmp_path / "x").exists) is False


def test_so_may_a_test_without_a_loop(tmp_path: Path) -> None:
    """There is nothing to hold up."""
    (tmp_path / "x").write_text("x")
    assert (tmp_path / "x").read_text() == "x"
