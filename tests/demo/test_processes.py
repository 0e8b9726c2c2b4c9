"""Processes end with the block that started them, whatever becomes of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from demo import sessions
from demo.processes import ProcessError, Processes

# A worker with a task, in a process group of its own as Airflow's are; neither listens to SIGTERM.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setpgid(0, 0)
print("up", flush=True)
time.sleep(1000)
"""
LAUNCHER = """
import os, sys, time
from pathlib import Path
from demo.processes import Processes

with Processes(Path(sys.argv[1]), environment=os.environ, cwd=Path.cwd()) as processes:
    processes.start("worker", [sys.executable, "-c", sys.argv[2]])
    time.sleep(1000)
"""


def until(condition: Callable[[], bool], *, limit: float = 20.0) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "it never was so"
        time.sleep(0.02)


def up(log: Path) -> bool:
    """Whether the worker and its task both run."""
    return log.exists() and log.read_text().count("up") == 2


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path, environment=os.environ, cwd=tmp_path, patience=2) as processes:
        yield processes


def started(processes: Processes, code: str = STUBBORN) -> int:
    """Start a worker with a task and return its session."""
    processes.start("worker", [sys.executable, "-c", code])
    session = processes._running["worker"].pid
    if code is STUBBORN:
        until(lambda: up(processes.log("worker")))
        assert len(set(sessions.members(session))) == 2
    return session


def test_none_is_left_behind_by_a_block_that_fails(tmp_path: Path) -> None:
    """Children included, though they have left the process group and ignore a polite word."""
    session = 0

    def fail() -> None:
        nonlocal session
        with Processes(tmp_path, environment=os.environ, cwd=tmp_path, patience=0.2) as processes:
            session = started(processes)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert session
    assert not list(sessions.members(session))


def test_killing_takes_the_children_along(processes: Processes) -> None:
    """As when the machine dies; and it can be started again under its name."""
    session = started(processes)
    processes.kill("worker")
    assert not list(sessions.members(session))
    assert not processes.is_alive("worker")
    processes.check()  # what was killed on purpose is no loss
    processes.start("worker", [sys.executable, "-c", "import time; time.sleep(1000)"])
    assert processes.is_alive("worker")


def test_what_ends_by_itself_is_told_with_the_end_of_its_log(processes: Processes) -> None:
    processes.start("worker", [sys.executable, "-c", "print('no database'); raise SystemExit(3)"])
    until(lambda: not processes.is_alive("worker"))
    with pytest.raises(ProcessError, match=r"(?s)worker ended with exit code 3.*worker\.log.*no database"):
        processes.check()


def test_a_process_that_has_to_end_well_does(processes: Processes) -> None:
    processes.run("migrate", [sys.executable, "-c", "print('done')"])
    assert processes.log("migrate").read_text() == "done\n"
    with pytest.raises(ProcessError, match="migrate ended with exit code 1"):
        processes.run("migrate", [sys.executable, "-c", "raise SystemExit(1)"])


def test_a_name_is_taken_once(processes: Processes) -> None:
    started(processes, "import time; time.sleep(1000)")
    with pytest.raises(ValueError, match="'worker' runs already"):
        started(processes)


def test_the_guard_forgets_what_has_ended(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is named twice is over; its number may be somebody else's by then."""
    told: list[int] = []
    monkeypatch.setattr(processes, "_tell_guard", told.append)
    processes.run("migrate", [sys.executable, "-c", ""])
    session = started(processes, "import time; time.sleep(1000)")
    assert told.count(session) == 1
    processes.kill("worker")
    assert sorted(map(told.count, told)) == [2, 2, 2, 2]


def test_the_guard_spares_what_was_named_twice() -> None:
    """And ends what was named once."""
    code = "import time; time.sleep(1000)"
    spared, ended = (subprocess.Popen([sys.executable, "-c", code], start_new_session=True) for _ in range(2))
    try:
        named = f"{spared.pid}\n{ended.pid}\n{spared.pid}\n"
        guard = [sys.executable, "-m", sessions.__name__]
        subprocess.run(guard, input=named, text=True, check=True, cwd=Path(__file__).parents[2])
        assert ended.wait(10) == -signal.SIGTERM
        assert spared.poll() is None
    finally:
        for each in (spared, ended):
            each.kill()
            each.wait()


def test_one_that_is_stopped_hears_that_it_is_to_end() -> None:
    """It would be killed when the time is over, without a word."""
    stopped = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True
    )
    try:
        stopped.send_signal(signal.SIGSTOP)
        sessions.end([stopped.pid], limit=2)
        assert stopped.wait(10) == -signal.SIGTERM
    finally:
        stopped.kill()
        stopped.wait()


def test_whoever_is_impatient_need_not_wait_for_the_limit(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C makes an end of them at once, and is over with that."""
    session = started(processes)
    pressed: list[float] = []

    def sleep(seconds: float) -> None:
        if not pressed:
            pressed.append(time.monotonic())
            raise KeyboardInterrupt
        time.sleep(seconds)

    monkeypatch.setattr(sessions, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    try:
        sessions.end([session], limit=30)
    except KeyboardInterrupt:
        pytest.fail("it went on to whoever was ending them")
    assert time.monotonic() - pressed[0] < 10
    assert not list(sessions.members(session))


def test_the_guard_ends_them_when_their_launcher_is_killed(tmp_path: Path) -> None:
    """Which then cannot do it itself; nor does what strikes its process group reach the guard."""
    launcher = subprocess.Popen(
        [
            sys.executable,
            "-c",
            LAUNCHER,
            str(tmp_path),
            "import time; print('up', flush=True); time.sleep(1000)",
        ],
        start_new_session=True,
    )
    until(lambda: (tmp_path / "worker.log").exists() and "up" in (tmp_path / "worker.log").read_text())
    children = [int(pid) for pid in subprocess.check_output(["pgrep", "-P", str(launcher.pid)]).split()]
    assert len(children) == 2  # the guard and the worker
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    until(lambda: not any(list(sessions.members(pid)) for pid in children))
