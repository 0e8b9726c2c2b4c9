"""`wait`, in processes of its own where somebody else commits meanwhile."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from fileflow_async import Producer
from fileflow_async.cli.exits import Exit
from fileflow_async.watch import Member, Watch
from tests.cli.conftest import KEY, Planted, Run

OTHER = "shop/20261120T000000Z/report/output"


@contextmanager
def waiting(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the command while the block lasts."""
    pipe = subprocess.PIPE
    command = (sys.executable, "-m", "fileflow_async.cli", "wait", *arguments)
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_it_returns_when_the_target_is_committed(any_store: Planted) -> None:
    """And tells meanwhile what it waits for, once for each state."""
    with waiting(KEY, "--poke-interval", "1s") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"waiting for {KEY} (nothing is there)\n"
        any_store.put(b"value")
        out, err = process.communicate(timeout=40)
        assert process.returncode == Exit.OK
    assert out == "ready: 1 of 1 targets ready\n"
    assert err == ""


def test_what_is_there_is_ready_at_once(fileflow: Run, any_store: Planted) -> None:
    reference = any_store.put(b"value")
    payload = fileflow("wait", KEY, f"{any_store.root}/{KEY}", "--json").payload
    assert payload["outcome"] == "ready"
    assert payload["ready"][0]["data"] == reference.data


def test_all_are_waited_for_unless_any_will_do(fileflow: Run, any_store: Planted) -> None:
    any_store.put(b"value")
    assert fileflow("wait", KEY, OTHER, "--any", "--timeout", "20s").code == Exit.OK
    ended = fileflow("wait", KEY, OTHER, "--timeout", "1s")
    assert ended.code == Exit.TIMEOUT
    assert ended.out == f"timeout: 1 of 2 targets ready; missing {OTHER} (nothing is there)\n"
    assert ended.err.startswith(f"ready {KEY} (committed by try 1, 5 bytes)\n")


def test_it_ends_when_it_was_told_to(fileflow: Run, store: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither sooner nor later; and until then it looks as often as it was told to."""
    asked: list[float | None] = []
    intervals: list[float] = []
    join = Watch.join

    def limit(seconds: float | None) -> asyncio.Timeout:
        asked.append(seconds)
        return asyncio.timeout(seconds)

    def noting(*arguments: Any, interval: float, **more: Any) -> Member:
        intervals.append(interval)
        return join(*arguments, interval=interval, **more)

    seen = SimpleNamespace(timeout=limit, to_thread=asyncio.to_thread)
    monkeypatch.setattr("fileflow_async.cli.wait.asyncio", seen)
    monkeypatch.setattr(Watch, "join", noting)
    began = time.monotonic()
    assert fileflow("wait", KEY, "--timeout", "1s", "--poke-interval", "7s").code == Exit.TIMEOUT
    assert time.monotonic() - began >= 1.0
    assert (asked, intervals) == ([1.0], [7.0])


def test_older_commits_need_not_count(fileflow: Run, any_store: Planted) -> None:
    any_store.put(b"value")
    assert fileflow("wait", KEY, "--newer-than", "1h").code == Exit.OK
    ended = fileflow("wait", KEY, "--newer-than", "2099-01-01T00:00Z", "--timeout", "1s")
    assert ended.code == Exit.TIMEOUT
    assert "but before 2099-01-01 00:00:00Z" in ended.out


def test_a_producer_that_has_failed_ends_it(fileflow: Run, any_store: Planted) -> None:
    """What is empty only where that was asked for."""
    any_store.work(lambda opened: opened.fail(KEY, error="boom", producer=Producer()))
    ended = fileflow("wait", KEY)
    assert ended.code == Exit.NO
    assert "boom" in ended.out
    any_store.put(b"", OTHER)
    assert fileflow("wait", OTHER).code == Exit.OK
    assert fileflow("wait", OTHER, "--on-empty", "fail").code == Exit.NO


def test_a_store_that_cannot_be_opened_is_no_wait(fileflow: Run) -> None:
    """Whoever mistypes a root should not wait for ever."""
    assert fileflow("wait", KEY, "--root", "/nowhere/at/all").code == Exit.UNAVAILABLE


@pytest.mark.parametrize("arguments", [["--poke-interval", "0.1"], ["--newer-than", "2026-11-20T06:00"]])
def test_what_cannot_be_meant_is_refused(arguments: list[str], fileflow: Run, store: Planted) -> None:
    """Such as a moment without a time zone."""
    assert fileflow("wait", KEY, *arguments).code == Exit.USAGE
