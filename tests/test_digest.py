"""The hash of a stream, computed beside its input and output."""

import asyncio
import hashlib
import threading

import pytest
from hypothesis import given, settings, strategies as st

from fileflow_async.digest import Digest

BIG = 300 * 1024  # more than is hashed on the loop


async def digest_of(*pieces: bytes) -> tuple[int, str]:
    async with Digest() as digest:
        for piece in pieces:
            await digest.update(piece)
        return digest.size, await digest.hexdigest()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 100, BIG - 1, BIG, 2 * BIG]), max_size=6))
async def test_pieces_of_any_size_make_one_hash(sizes: list[int]) -> None:
    """Small ones on the loop, large ones beside it, in their order."""
    pieces = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    whole = b"".join(pieces)
    assert await digest_of(*pieces) == (len(whole), hashlib.sha256(whole).hexdigest())


async def test_small_pieces_start_no_thread() -> None:
    """Most targets are small."""
    before = set(threading.enumerate())
    async with Digest() as digest:
        await digest.update(b"x" * 1000)
        assert set(threading.enumerate()) <= before
        assert await digest.hexdigest() == hashlib.sha256(b"x" * 1000).hexdigest()


async def test_large_pieces_are_hashed_beside_the_loop() -> None:
    """One at a time, in one thread, which is gone soon after the block."""
    before = set(threading.enumerate())
    async with Digest() as digest:
        await digest.update(b"x" * BIG)
        await digest.update(b"y" * BIG)
        mine = set(threading.enumerate()) - before
        assert [thread.name.startswith("fileflow-sha256") for thread in mine] == [True]
        assert await digest.hexdigest() == hashlib.sha256(b"x" * BIG + b"y" * BIG).hexdigest()
    await asyncio.to_thread(mine.pop().join, 10)
    assert not any(
        thread.name.startswith("fileflow-sha256") for thread in set(threading.enumerate()) - before
    )


async def test_a_block_that_is_left_early_waits_for_nothing() -> None:
    """By an error, or by cancellation."""

    async def leave() -> None:
        async with Digest() as digest:
            await digest.update(b"x" * BIG)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await leave()
