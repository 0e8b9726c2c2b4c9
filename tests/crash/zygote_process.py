"""The process that all those to be killed are forked from: warm, so that each costs milliseconds.

It reads a JSON command a line, and answers each by a line. When it forks, it has no event loop and no thread.
"""

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from typing import Any

from tests.crash.works import perform

_SET_PTRACER = 0x59616D61  # prctl's number for it


class Child:
    """One fork, from its birth until it is reaped; only then may its number become another's."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._tidings, self._tell = os.pipe()
        self._gate, self._open = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._open)
            self._live(job)
        os.close(self._tell)
        os.close(self._gate)

    def _live(self, job: dict[str, Any]) -> None:
        code = 1
        try:
            ctypes.CDLL(None).prctl(_SET_PTRACER, ctypes.c_ulong(-1))  # anybody, where only parents may trace
            os.read(self._gate, 1)  # until somebody opens it: a tracer may have to come first
            os.chdir(job["home"])
            asyncio.run(perform(job, lambda line: _write(self._tell, line)))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def go(self) -> None:
        os.close(self._open)

    def kill_after(self, seconds: float) -> None:
        time.sleep(seconds)
        os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> dict[str, Any]:
        """Wait for its end, and return what it told."""
        told = b""
        while piece := os.read(self._tidings, 65536):
            told += piece
        os.close(self._tidings)
        _, status = os.waitpid(self.pid, 0)
        *lines, _cut = told.decode().split("\n")
        return {"told": lines, "code": os.waitstatus_to_exitcode(status)}


def _write(pipe: int, line: str) -> None:
    os.write(pipe, f"{line}\n".encode())


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Let a child do the job, and be killed at it as the job says."""
    child = Child(job)
    try:
        tracer = _traced(child.pid, job["strace"]) if "strace" in job else None
    except OSError:
        os.kill(child.pid, signal.SIGKILL)
        child.reap()
        raise
    began = time.perf_counter()
    child.go()
    if "kill_after" in job:
        child.kill_after(job["kill_after"])
    found = child.reap()
    found["seconds"] = time.perf_counter() - began
    if tracer is not None:
        tracer.wait()
    return found


def _traced(pid: int, options: list[str]) -> "subprocess.Popen[bytes]":
    """Let strace follow a child; return when it does."""
    with tempfile.TemporaryFile() as errors:
        tracer = subprocess.Popen(["strace", "-f", "-p", str(pid), *options], stderr=errors)
        while b"attached" not in os.pread(errors.fileno(), 1000, 0):
            if tracer.poll() is not None:
                raise OSError(os.pread(errors.fileno(), 1000, 0).decode().strip())
            time.sleep(0.001)
    return tracer


def serve() -> None:
    """Obey until the input ends."""
    children: dict[int, Child] = {}
    for line in sys.stdin:
        job = json.loads(line)
        answer: dict[str, Any]
        try:
            if job["do"] == "run":
                answer = run(job)
            elif job["do"] == "start":
                child = Child(job)
                child.go()
                children[child.pid] = child
                answer = {"pid": child.pid}
            elif job["do"] == "warm":
                asyncio.run(perform({"work": "look", "home": "/", **job}, lambda _: None))
                answer = {}
            elif job["do"] == "signal":
                os.kill(job["pid"], job["signal"])
                answer = {}
            else:
                answer = children.pop(job["pid"]).reap()
        except OSError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


def warm_up() -> None:
    """Do everything once, so that no child has to import or compile anything."""
    with tempfile.TemporaryDirectory() as home:
        for work in ("small", "folder", "two", "gc"):
            job = {"work": work, "home": home, "root": home, "durability": "none", "threads": 1}
            asyncio.run(perform(job, lambda _: None))
    while threading.active_count() > 1:  # the storage's; they end by themselves
        time.sleep(0.001)


if __name__ == "__main__":
    warm_up()
    print(json.dumps({}), flush=True)
    serve()
