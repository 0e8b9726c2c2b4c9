"""The test's end of the process that those to be killed are forked from."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended.

    Attributes:
        told: What it said before: "committed" once it was told so.
        code: What it exited with; negative when a signal ended it.
        seconds: How long it took.
    """

    told: Sequence[str]
    code: int
    seconds: float = 0.0

    @property
    def was_killed(self) -> bool:
        return self.code == -signal.SIGKILL

    @property
    def was_told(self) -> bool:
        """Whether the commit was acknowledged."""
        return "committed" in self.told


class Zygote:
    """A warm process that forks others."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, work: str, root: Path, **options: Any) -> End:
        """Let a process do a work on the store in `root`, and wait for its end."""
        return End(**self._ask("run", **_job(work, root, options)))

    def why_no_strace(self, root: Path) -> str | None:
        """Say why processes cannot be traced here; None when they can."""
        try:
            self.run("look", root, strace=["-o", "/dev/null"])
        except OSError as error:
            return str(error)
        return None

    def warm(self, **options: Any) -> None:
        """Look into a store, so that what that needs is imported before the first fork that needs it."""
        self._ask("warm", **options)

    def start(self, work: str, root: Path, **options: Any) -> int:
        """Let a process do a work, and return its number."""
        pid: int = self._ask("start", **_job(work, root, options))["pid"]
        return pid

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a process that was started and not waited for."""
        self._ask("signal", pid=pid, signal=number)

    def wait(self, pid: int) -> End:
        """Wait for the end of a process that was started."""
        return End(**self._ask("wait", pid=pid))

    def _ask(self, do: str, **more: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise OSError(answer["error"])
        return answer


def _job(work: str, root: Path, options: dict[str, Any]) -> dict[str, Any]:
    return {"work": work, "root": str(root), "home": str(root.parent), "durability": "fsync"} | options


@contextmanager
def zygote() -> Iterator[Zygote]:
    """Run one while the block lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.zygote_process"],
        cwd=_HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdout.readline()  # it is warm
        yield Zygote(process)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
