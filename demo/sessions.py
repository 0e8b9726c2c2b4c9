"""Processes by session, so that none is left behind.

A session is all that a process has started, and what that has started in turn. Airflow puts each task into
a process group of its own, so that signals to groups would miss the tasks of a worker that is killed; nothing
of it leaves its session.

Run as a program it is the guard: it reads ids of sessions, one a line, and ends those that were named an odd
number of times when its input ends. That is when the process that started them is gone, however it went.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

import psutil

LOOK_INTERVAL = 0.05


def members(session: int) -> Iterator[int]:
    """Yield the ids of the processes of a session that are alive."""
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                yield pid
        except (ProcessLookupError, PermissionError, psutil.Error):
            continue


def send(session: int, signum: int) -> None:
    """Send a signal to all processes of a session."""
    for pid in members(session):
        _send(pid, signum)


def end(sessions: Iterable[int], *, limit: float) -> None:
    """Ask the leaders of sessions to end, and make an end of what is left of them after so many seconds.

    Whoever is impatient presses Ctrl-C once more, and does not wait for the limit.
    """
    left = set(sessions)
    try:
        for leader in left:
            _send(leader, signal.SIGTERM)
            _send(leader, signal.SIGCONT)  # one that was stopped would not hear
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline and (left := {each for each in left if any(members(each))}):
            time.sleep(LOOK_INTERVAL)
    except KeyboardInterrupt:
        pass
    finally:
        while left := {each for each in left if any(members(each))}:
            for session in left:
                send(session, signal.SIGKILL)
            time.sleep(LOOK_INTERVAL)


def _send(pid: int, signum: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signum)


if __name__ == "__main__":
    named: set[int] = set()
    for line in sys.stdin:
        named ^= {int(line)}
    end(named, limit=10)
