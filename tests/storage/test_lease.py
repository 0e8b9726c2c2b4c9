"""Asking the kernel who writes to a file."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fileflow_async.storage import lease
from fileflow_async.storage.lease import open_writer
from tests.leftovers import assert_nothing_new, held

_WRITER = """
import sys
with open(sys.argv[1], "ab"):
    print("open", flush=True)
    sys.stdin.read()
"""
# A writer comes while we hold the lease: the kernel sends a signal, whose default action ends a process.
_BROKEN_LEASE = """
import fcntl, os, subprocess, sys, time
from fileflow_async.storage import lease
real = fcntl.fcntl
def slow(file, command, *more):
    result = real(file, command, *more)
    if command == fcntl.F_SETLEASE:
        global writer
        code = "import sys; open(sys.argv[1], 'ab').close()"
        writer = subprocess.Popen([sys.executable, "-c", code, sys.argv[1]])
        ours = f" {os.getpid()} "  # a line of it: 1: LEASE BREAKING READ <whose> …
        while not any("BREAKING" in line and ours in line for line in open("/proc/locks")):
            time.sleep(0.001)
    return result
lease.fcntl.fcntl = slow
status = os.stat(sys.argv[1])
print(lease.open_writer(sys.argv[1], size=status.st_size, mtime_ns=status.st_mtime_ns, inode=status.st_ino))
print(writer.wait(timeout=5))
"""

OPEN = "somebody has it open for writing"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that nobody has open."""
    (tmp_path / "a.csv").write_bytes(b"abc")
    return tmp_path / "a.csv"


def asked(path: Path, **other: Any) -> str | None:
    status = path.lstat()
    known = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}
    return open_writer(str(path), **(known | other))


@contextmanager
def writer(path: Path) -> Iterator[None]:
    """Another process that has the file open for writing."""
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield


def test_a_writer_in_another_process_is_seen(file: Path) -> None:
    """Although it writes nothing for a while; once it has closed the file, nobody is."""
    assert asked(file) is None
    with writer(file):
        assert asked(file) == OPEN
        assert asked(file) == OPEN
    assert asked(file) is None


def test_a_writer_in_this_process_is_seen(file: Path) -> None:
    """Another task may run in the same worker."""
    with file.open("ab"):
        assert asked(file) == OPEN


def test_readers_are_no_writers(file: Path) -> None:
    """Whoever reads does no harm."""
    with file.open("rb"):
        assert asked(file) is None


def test_a_writer_that_comes_meanwhile_ends_nobody(file: Path) -> None:
    """It waits for the microseconds of the lease; the kernel's signal is one that is ignored."""
    done = subprocess.run(
        [sys.executable, "-c", _BROKEN_LEASE, str(file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, ["None", "0"]), done.stderr


@pytest.mark.parametrize("other", [{"size": 4}, {"mtime_ns": 5}, {"inode": 6}], ids=str)
def test_a_file_that_changed_since_it_was_seen_is_left_alone(file: Path, other: dict[str, int]) -> None:
    """What was decided about it was about another."""
    assert asked(file, **other) == "it changed while it was looked at"


def test_a_file_that_went_away_is_left_alone(tmp_path: Path) -> None:
    """It may come back as another."""
    gone = open_writer(str(tmp_path / "a.csv"), size=1, mtime_ns=1, inode=1)
    assert gone == "it went away while it was looked at"


def test_links_and_fifos_in_the_place_of_a_file_are_not_followed_or_waited_for(
    tmp_path: Path, file: Path
) -> None:
    """They were no candidates, so they came since; the next look will tell."""
    (tmp_path / "link").symlink_to(file)
    assert open_writer(str(tmp_path / "link"), size=3, mtime_ns=file.stat().st_mtime_ns, inode=1) is None
    os.mkfifo(tmp_path / "fifo")
    assert asked(tmp_path / "fifo", inode=1) == "it changed while it was looked at"


def test_a_file_that_we_may_not_read_is_for_others_to_complain_about(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task that goes on may have other rights than the triggerer."""

    def refusing(*_: Any, **__: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refusing)
    assert asked(file) is None


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.ENOLCK])
def test_where_the_kernel_does_not_tell_that_is_said_once(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    """Network file systems have no leases, and of other people's files they are refused."""

    def refusing(_: int, command: int, *__: Any) -> int:
        if command == fcntl.F_SETLEASE:
            raise OSError(number, os.strerror(number))
        return 0

    monkeypatch.setattr(fcntl, "fcntl", refusing)
    monkeypatch.setattr(lease, "_said", set())
    with caplog.at_level("DEBUG", logger="fileflow_async"):
        assert asked(file) is None
        assert asked(file) is None
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert os.strerror(number) in caplog.text


def test_a_system_without_leases_tells_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Only Linux has them."""
    monkeypatch.delattr(fcntl, "F_SETLEASE")
    monkeypatch.setattr(lease, "_said", set())
    with caplog.at_level("DEBUG", logger="fileflow_async"):
        assert asked(file) is None
    assert "this system has none" in caplog.text


def test_descriptors_are_closed(file: Path) -> None:
    """Whatever the answer: an open lease would keep writers waiting."""
    before = held()
    for _ in range(20):
        asked(file)
        asked(file, size=9)
    with file.open("ab"):
        asked(file)
    assert_nothing_new(before)
