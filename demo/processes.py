"""Processes with names and logs, which end with the block that started them."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Self

from demo import sessions

PATIENCE = 20.0  # seconds: an idle scheduler has been seen to take 13
TAIL = 30  # lines of a log, enough for a traceback of Airflow


class ProcessError(RuntimeError):
    """A process ended although it should not have, or badly; the message has the end of its log."""


class Processes:
    """Starts processes, each in a session of its own with its log in a file, and stops all of them.

    They end when the block does, whether it ends well, by an error or by Ctrl-C; should this process be
    killed, a guard ends them (see `demo.sessions`).

    Args:
        folder: Where the logs go: `<name>.log`, which a restarted process goes on with.
        environment: The environment of all of them.
        cwd: The folder in which they run.
        patience: How many seconds they have for an orderly end.
    """

    def __init__(
        self, folder: Path, *, environment: Mapping[str, str], cwd: Path, patience: float = PATIENCE
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._cwd = cwd
        self._patience = patience
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._guard: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._guard = subprocess.Popen(
            [sys.executable, "-m", sessions.__name__],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop(*self._running)
        finally:
            if self._guard is not None:
                self._guard.communicate()

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a process under a name; the one that had the name before must have ended."""
        if self.is_alive(name):
            raise ValueError(f"the process {name!r} runs already")
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._tell_guard(process.pid)
        self._running[name] = process

    def run(self, name: str, command: Sequence[str]) -> None:
        """Run a process to its end.

        Raises:
            ProcessError: It failed.
        """
        self.start(name, command)
        code = self._running[name].wait()
        self._forget([name])
        if code != 0:
            raise ProcessError(self._obituary(name, code))

    def kill(self, name: str, signum: int = SIGKILL) -> None:
        """Send a signal to a process and to all that it has started, as when its machine dies."""
        process = self._running[name]
        sessions.send(process.pid, signum)
        if signum == SIGKILL:
            self.stop(name)

    def stop(self, *names: str) -> None:
        """End processes with all that they have started, politely at first."""
        stopped = [name for name in names if name in self._running]
        sessions.end([self._running[name].pid for name in stopped], limit=self._patience)
        self._forget(stopped)

    def is_alive(self, name: str) -> bool:
        """Tell whether a process was started and has not ended."""
        return name in self._running and self._running[name].poll() is None

    def owner(self, pid: int) -> str | None:
        """Return the name of the process that has started another, however indirectly."""
        try:
            session = os.getsid(pid)
        except ProcessLookupError:
            return None
        return next((name for name, process in self._running.items() if process.pid == session), None)

    def check(self) -> None:
        """Make sure that whatever was started and not stopped is alive.

        Raises:
            ProcessError: One is not.
        """
        for name, process in self._running.items():
            if (code := process.poll()) is not None:
                raise ProcessError(self._obituary(name, code))

    def log(self, name: str) -> Path:
        """Return the file with what a process has printed."""
        return self._folder / f"{name}.log"

    def _obituary(self, name: str, code: int) -> str:
        cause = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        lines = self.log(name).read_text(errors="replace").splitlines()[-TAIL:]
        return "\n  ".join([f"{name} ended {cause}; the end of {self.log(name)}:", *lines])

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            process = self._running.pop(name)
            process.wait()
            self._tell_guard(process.pid)

    def _tell_guard(self, session: int) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.write(f"{session}\n")
            self._guard.stdin.flush()
