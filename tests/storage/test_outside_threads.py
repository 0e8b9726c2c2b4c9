"""Threads that look for files of outsiders."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable

import pytest

from fileflow_async.storage.outside_threads import SpareThreads, spare_threads


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fileflow-outside"]


def eventually(condition: Callable[[], bool]) -> bool:
    for _ in range(1000):
        if condition():
            return True
        time.sleep(0.005)
    return False


@pytest.fixture(autouse=True)
def nothing_before() -> None:
    """Threads of other tests have ended."""
    assert eventually(lambda: not ours())


def test_a_call_gives_its_result_or_its_error() -> None:
    """On a thread that no end of the process waits for."""
    threads = SpareThreads()
    assert threads.submit(pow, 2, exp=5).result() == 32
    assert threads.submit(lambda: threading.current_thread().daemon).result()
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 // 0).result()
    assert eventually(lambda: not ours())


def test_a_thread_is_used_again_while_they_are_kept() -> None:
    """Also after an error."""
    threads = SpareThreads()
    with threads.kept():
        first = threads.submit(threading.get_ident).result()
        with pytest.raises(ZeroDivisionError):
            threads.submit(lambda: 1 // 0).result()
        assert {threads.submit(threading.get_ident).result() for _ in range(20)} == {first}
        assert len(ours()) == 1
    assert eventually(lambda: not ours())


def test_there_are_as_many_as_calls_at_the_same_time() -> None:
    """However many of them hang."""
    threads, answering = SpareThreads(), threading.Event()
    with threads.kept():
        hung = [threads.submit(answering.wait) for _ in range(30)]
        assert [threads.submit(pow, 2, 3).result() for _ in range(5)] == [8] * 5
        assert len(ours()) == 31
        answering.set()
        assert all(each.result() for each in hung)
        threads.submit(pow, 2, 3).result()
        assert len(ours()) == 31
    assert eventually(lambda: not ours())


def test_the_last_one_to_leave_ends_them() -> None:
    """Those that hang end once they are answered."""
    threads, answering = SpareThreads(), threading.Event()
    with threads.kept():
        with threads.kept():
            threads.submit(pow, 2, 3).result()
        assert len(ours()) == 1
        threads.submit(answering.wait)
    assert eventually(lambda: len(ours()) == 1)
    answering.set()
    assert eventually(lambda: not ours())
    assert threads.submit(pow, 2, 3).result() == 8
    assert eventually(lambda: not ours())


def test_each_loop_has_its_own() -> None:
    """So that a forked process does not hand its calls to threads that it does not have."""

    async def mine() -> SpareThreads:
        assert spare_threads() is spare_threads()
        return spare_threads()

    first, second = asyncio.run(mine()), asyncio.run(mine())
    assert first is not second
    kept = [weakref.ref(first), weakref.ref(second)]
    del first, second
    assert eventually(lambda: gc.collect() >= 0 and [each() for each in kept] == [None, None])
