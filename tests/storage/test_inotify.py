"""Inotify tells what appears in folders, until it is interrupted or closed."""

import errno
import os
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fileflow_async.storage.inotify import ANY, GONE, Inotify
from tests.leftovers import assert_nothing_new, held

SOON = 5.0


@pytest.fixture
def inotify() -> Iterator[Inotify]:
    """One that watches nothing yet."""
    made = Inotify()
    yield made
    made.close()


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Two folders."""
    for name in "ab":
        (tmp_path / name).mkdir()
    return [str(tmp_path / name) for name in "ab"]


def test_what_appears_is_told_with_its_folder(inotify: Inotify, folders: list[str]) -> None:
    """Made, linked, renamed into it, a file or a folder; whatever bytes its name has."""
    inotify.watch(folders)
    one, other = map(Path, folders)
    (one / "made").touch()
    os.link(one / "made", other / "linked")
    os.rename(one / "made", other / "renamed")
    (other / os.fsdecode(b"\xff" * 200)).mkdir()
    found: list[tuple[str, str]] = []
    while len(found) < 4:
        found += inotify.changes(SOON)
    assert found == [
        (folders[0], "made"),
        (folders[1], "linked"),
        (folders[1], "renamed"),
        (folders[1], os.fsdecode(b"\xff" * 200)),
    ]


def test_what_is_written_or_removed_is_not_told(inotify: Inotify, folders: list[str]) -> None:
    """Nobody has to wake up for it."""
    file = Path(folders[0], "file")
    file.touch()
    inotify.watch(folders)
    file.write_text("more")
    file.unlink()
    began = time.monotonic()
    assert list(inotify.changes(0.05)) == []
    assert time.monotonic() - began > 0.04  # nor is it asked again and again


def test_a_folder_that_goes_is_told(inotify: Inotify, folders: list[str]) -> None:
    """Removed or renamed; the other one is watched on, and both can be watched again when they are back."""
    for go in (os.rmdir, lambda path: os.rename(path, f"{path}-away")):
        inotify.watch(folders)
        go(folders[0])
        assert (folders[0], GONE) in inotify.changes(SOON)
        Path(folders[1], f"on{time.monotonic()}").touch()
        assert [folder for folder, _ in inotify.changes(SOON)] == [folders[1]]
        os.mkdir(folders[0])


def test_only_the_last_folders_are_watched(inotify: Inotify, folders: list[str]) -> None:
    """Those that stay are watched without a gap."""
    inotify.watch(folders)
    Path(folders[1], "before").touch()
    inotify.watch(folders[1:])
    Path(folders[0], "nobody").touch()
    Path(folders[1], "after").touch()
    found: list[tuple[str, str]] = []
    while len(found) < 2:
        found += inotify.changes(SOON)
    assert found == [(folders[1], "before"), (folders[1], "after")]
    assert list(inotify.changes(0.05)) == []


def test_what_is_no_longer_watched_is_given_back(inotify: Inotify, folders: list[str]) -> None:
    """The system has a limit for all of a user's; also when one of the next folders is not there."""
    for watched, wanted in ((2, folders), (1, folders[1:]), (1, [folders[0], f"{folders[0]}/none"])):
        with suppress(FileNotFoundError):
            inotify.watch(wanted)
        known = Path(f"/proc/self/fdinfo/{inotify._file}").read_text()
        assert known.count("inotify wd:") == watched


def test_a_watch_that_cannot_be_given_back_is_an_error(
    inotify: Inotify, folders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it went with its folder."""
    inotify.watch(folders)

    def fail(*_arguments: int) -> int:
        raise OSError(errno.EBADF, "bad file descriptor")

    monkeypatch.setattr(inotify, "_remove", fail)
    with pytest.raises(OSError, match="bad file descriptor"):
        inotify.watch(folders[1:])


def test_a_folder_that_is_not_there_is_an_error(inotify: Inotify, folders: list[str]) -> None:
    """Of its own kind: what is there can be asked for again."""
    with pytest.raises(FileNotFoundError, match="inotify_add_watch"):
        inotify.watch([*folders, f"{folders[0]}/none"])
    inotify.watch(folders)
    Path(folders[0], "file").touch()
    assert list(inotify.changes(SOON)) == [(folders[0], "file")]


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_no_folder_is_refused(inotify: Inotify, folders: list[str], kind: str) -> None:
    """Above all a link, which may point to where only we may look."""
    place = Path(folders[0], "place")
    if kind == "link":
        place.symlink_to(folders[1])
    else:
        place.touch()
    with pytest.raises(OSError, match="inotify_add_watch") as caught:
        inotify.watch([str(place)])
    assert caught.value.errno == errno.ENOTDIR


def test_a_queue_that_ran_over_is_told_of_every_folder(
    inotify: Inotify, folders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As is what came before; what is about a folder that is no longer watched is passed over."""
    inotify.watch(folders)
    event = struct.Struct("iIII16s")
    (first, _) = inotify._paths
    events = event.pack(first, 0x100, 0, 16, b"name") + event.pack(999, 0x100, 0, 16, b"other")
    events += struct.pack("iIII", -1, 0x4000, 0, 0)
    monkeypatch.setattr(os, "read", lambda file, size: events)
    assert inotify.changes(0) == [(folders[0], "name"), (folders[0], ANY), (folders[1], ANY)]


def test_a_folder_that_is_unmounted_is_gone(
    inotify: Inotify, folders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing appears there any more, though it may be mounted again."""
    inotify.watch(folders)
    (first, _) = inotify._paths
    monkeypatch.setattr(os, "read", lambda file, size: struct.pack("iIII", first, 0x2000, 0, 0))
    assert inotify.changes(0) == [(folders[0], GONE)]


def test_an_interruption_ends_every_wait(inotify: Inotify, folders: list[str]) -> None:
    """The one under way, and those that come after it."""
    inotify.watch(folders)
    began = time.monotonic()
    timer = threading.Timer(0.05, inotify.interrupt)
    timer.start()
    for _ in range(3):
        assert list(inotify.changes(60.0)) == []
    timer.join()
    assert time.monotonic() - began < 30.0


def test_a_program_that_is_started_inherits_nothing(folders: list[str]) -> None:
    """It would keep the watches for as long as it runs."""
    made = Inotify()
    made.watch(folders)
    seen = subprocess.run(["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, check=True)
    made.close()
    assert b"inotify" not in seen.stdout
    assert b"eventfd" not in seen.stdout


def test_no_descriptor_is_left(folders: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it cannot be made as a whole."""

    def none(*args: int) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    before = held()
    for _ in range(3):
        made = Inotify()
        made.watch(folders)
        made.close()
    with monkeypatch.context() as patch:
        patch.setattr(os, "eventfd", none)
        with pytest.raises(OSError, match="too many"):
            Inotify()
    assert_nothing_new(before)
