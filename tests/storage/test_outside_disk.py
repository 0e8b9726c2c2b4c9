"""Looking through folders of outsiders."""

import asyncio
import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fileflow_async.errors import (
    ConfigError,
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
)
from fileflow_async.storage import outside_disk, outside_scan
from fileflow_async.storage.local_root import open_below
from fileflow_async.storage.local_threads import Pulse
from fileflow_async.storage.outside import Answer, Look, Seen
from fileflow_async.storage.outside_disk import OutsideDisk, look_in_time
from fileflow_async.storage.outside_scan import OutsideScan
from fileflow_async.storage.search import Search
from tests.crash.tally import how_many
from tests.leftovers import assert_nothing_new, held


def plant(folder: Path, *names: str, data: bytes = b"x") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def searching(folder: Path, text: str, **more: Any) -> Search:
    return Search.of(pattern=f"{folder}/{text}", **more)


def scan(*searches: Search) -> Mapping[Search, Answer]:
    return OutsideScan(searches[0].folder, Pulse()).answers(searches)


def look(search: Search) -> Look:
    answer = scan(search)[search]
    assert isinstance(answer, Look)
    return answer


def paths(found: Look) -> list[str]:
    return sorted(seen.path for seen in found.seen)


def one(found: Look) -> Seen:
    [seen] = found.seen
    return seen


def as_nobody(word: str, text: str) -> str:
    """Return what a user without any rights finds; root may look everywhere."""
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, word, text], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")

_LOOK = """
import os, sys
from fileflow_async.errors import FileflowError
from fileflow_async.storage.local_threads import Pulse
from fileflow_async.storage.outside_scan import OutsideScan
from fileflow_async.storage.search import Search
search = Search.of(**{sys.argv[1]: sys.argv[2]})
os.setgroups([]); os.setgid(65534); os.setuid(65534)  # not before: the interpreter may be in root's home
try:
    answer = OutsideScan(search.folder, Pulse()).answers([search])[search]
except FileflowError as error:
    answer = error
if isinstance(answer, Exception):
    print(type(answer).__name__, answer)
else:
    print(sorted(seen.path for seen in answer.seen), {p: str(e) for p, e in answer.unseen.items()})
"""


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A folder that everybody can get to."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o755)
    return tmp_path


def test_a_literal_name_is_that_file_only(tmp_path: Path) -> None:
    """Brackets and stars are characters like others; Airflow's FileTrigger waits for ever, or errs."""
    plant(tmp_path, "rep[1].csv", "rep1.csv", "aZZb.csv")
    assert paths(look(Search.of(path=tmp_path / "rep[1].csv"))) == ["rep[1].csv"]
    assert paths(look(Search.of(path=tmp_path / "a*b.csv"))) == []
    plant(tmp_path, "a*b.csv")
    assert paths(look(Search.of(path=tmp_path / "a*b.csv"))) == ["a*b.csv"]


def test_what_is_seen_of_a_file(tmp_path: Path) -> None:
    """Enough to notice any change of it."""
    plant(tmp_path, "a.csv", data=b"abc")
    seen, status = one(look(searching(tmp_path, "*"))), (tmp_path / "a.csv").stat()
    assert seen == Seen(
        path="a.csv",
        size=3,
        modified=status.st_mtime,
        mtime_ns=status.st_mtime_ns,
        inode=status.st_ino,
    )
    assert one(look(Search.of(path=tmp_path / "a.csv"))) == seen


def test_the_look_counts_ages_from_before_it_began(tmp_path: Path) -> None:
    """So that nothing seems older than it is."""
    before = time.time()
    found = look(searching(tmp_path, "*"))
    assert before <= found.now <= time.time()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*.csv", ["a.csv"]),
        ("*", ["a.csv", "b.txt"]),
        ("*/*.csv", ["d/a.csv"]),
        ("**/*.csv", ["a.csv", "d/a.csv", "d/e/a.csv"]),
        ("**", ["a.csv", "b.txt", "d/a.csv", "d/e/a.csv"]),
        ("d/**", ["a.csv", "e/a.csv"]),
        ("*/e/*", ["d/e/a.csv"]),
        ("x*", []),
    ],
)
def test_a_pattern_finds_what_it_means(tmp_path: Path, text: str, expected: list[str]) -> None:
    """In folders below too, but not in hidden ones or in Hadoop's for unfinished work."""
    plant(tmp_path, "a.csv", "b.txt", "d/a.csv", "d/e/a.csv", ".h/a.csv", "_temporary/0/a.csv", "c.csv.tmp")
    assert paths(look(searching(tmp_path, text))) == expected


def test_several_searches_share_a_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each folder is listed once, whatever is looked for; single names without any listing."""
    plant(tmp_path, "a.csv", "d/b.csv", "e/c.csv")
    listed: list[int] = []

    def counting(folder: int, scandir: Callable[[int], Any] = os.scandir) -> Any:
        listed.append(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", counting)
    searches = [searching(tmp_path, text) for text in ("*.csv", "*/b.csv", "**", "x*")]
    single = Search.of(path=tmp_path / "a.csv")
    found = scan(*searches, single)
    assert [paths(found[each]) for each in (*searches, single)] == [  # type: ignore[arg-type]
        ["a.csv"],
        ["d/b.csv"],
        ["a.csv", "d/b.csv", "e/c.csv"],
        [],
        ["a.csv"],
    ]
    assert len(listed) == 3
    listed.clear()
    scan(single)
    assert listed == []


def test_a_walk_goes_only_where_something_may_be_meant(tmp_path: Path) -> None:
    """A pattern of one part must not cost a walk through all the folders below."""
    plant(tmp_path, "a.csv", "d/b.csv")
    pulse = Pulse()
    search = searching(tmp_path, "*.csv")
    OutsideScan(search.folder, pulse).answers([search])
    assert pulse.beats == 2


def test_a_folder_that_does_not_exist_holds_nothing_yet(tmp_path: Path) -> None:
    """It may be made by whoever puts the files; the reason says what is missing."""
    for search in (searching(tmp_path, "d/*.csv"), Search.of(path=tmp_path / "d/a.csv")):
        found = look(search)
        assert (list(found.seen), found.absent) == ([], f"'{tmp_path}/d' does not exist")


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    """It is not as if nothing was there."""
    plant(tmp_path, "d")
    with pytest.raises(TargetAccessError, match="is not a directory"):
        scan(searching(tmp_path, "d/*.csv"))


def test_links_are_told_but_not_followed(tmp_path: Path) -> None:
    """Whoever may write to the folder could point them at what only we may read."""
    plant(tmp_path, "in/a.csv", "elsewhere/b.csv")
    (tmp_path / "in/l.csv").symlink_to(tmp_path / "elsewhere/b.csv")
    (tmp_path / "in/dangling.csv").symlink_to("nowhere")
    (tmp_path / "in/d").symlink_to(tmp_path / "elsewhere")
    found = {seen.path: seen.problem for seen in look(searching(tmp_path / "in", "**")).seen}
    link = "it is a symbolic link; links are not followed"
    assert found == {"a.csv": None, "l.csv": link, "dangling.csv": link, "d": link}
    assert one(look(Search.of(path=tmp_path / "in/l.csv"))).problem == link
    assert paths(look(searching(tmp_path / "in", "d/*"))) == ["b.csv"]  # whoever named it meant it


def test_what_is_no_file_is_told_but_not_opened(tmp_path: Path) -> None:
    """To open a FIFO would wait for its writer."""
    os.mkfifo(tmp_path / "fifo.csv")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.csv"))
        problems = {seen.problem for seen in look(searching(tmp_path, "*.csv")).seen}
    assert problems == {"it is not a regular file"}
    (tmp_path / "d.csv").mkdir()
    assert one(look(Search.of(path=tmp_path / "d.csv"))).problem == "it is a folder"


def test_names_that_are_no_text_are_files_like_others(tmp_path: Path) -> None:
    """They come in URIs that name exactly them."""
    name = os.fsencode(tmp_path) + b"/\xff\xfe.csv"
    Path(os.fsdecode(name)).write_bytes(b"x")
    search = searching(tmp_path, "*.csv")
    uri = search.uri(one(look(search)).path)
    assert uri == f"file://{tmp_path}/%FF%FE.csv"
    assert one(look(Search.of(path=uri))).problem is None


def test_temporary_names_are_only_mentioned(tmp_path: Path) -> None:
    """A few of those that match, by what they are called now or may be called in the end."""
    plant(tmp_path, "a.csv.tmp", ".nfs0001", ".b.csv.part", "c.txt.tmp")
    assert look(searching(tmp_path, "*.csv")).temporary == [".b.csv.part", "a.csv.tmp"]
    assert look(searching(tmp_path, "*")).temporary[0].startswith(".")
    assert len(look(searching(tmp_path, "*")).temporary) == 3
    assert look(Search.of(path=tmp_path / "a.csv")).temporary == ["a.csv.tmp"]
    plant(tmp_path, "a.csv")
    assert look(Search.of(path=tmp_path / "a.csv")).temporary == []
    for search in (searching(tmp_path, "*.csv"), Search.of(path=tmp_path / "a.csv")):
        assert paths(look(search)) == ["a.csv"]


def test_a_done_file_is_found_beside_or_in_the_folder(tmp_path: Path) -> None:
    """Its time comes along, since one older than the data proves nothing."""
    plant(tmp_path, "a.csv", "b.csv", "a.csv.done", "a.ok", "d/x.csv", "d/_SUCCESS")
    os.utime(tmp_path / "a.csv.done", (5.0, 5.0))
    named = {
        seen.path: seen.done for seen in look(searching(tmp_path, "*.csv", done_file="{name}.done")).seen
    }
    assert named == {"a.csv": 5.0, "b.csv": None}
    assert one(look(Search.of(path=tmp_path / "a.csv", done_file="{stem}.ok"))).done is not None
    assert one(look(Search.of(path=tmp_path / "b.csv", done_file="{stem}.ok"))).done is None
    whole = {
        seen.path: seen.done for seen in look(searching(tmp_path, "**/*.csv", done_file="_SUCCESS")).seen
    }
    assert [path for path, done in whole.items() if done is not None] == ["d/x.csv"]


def test_a_done_file_must_be_a_file(tmp_path: Path) -> None:
    """A folder or a link of that name is something else."""
    plant(tmp_path, "a.csv", "b.csv", "real")
    (tmp_path / "a.csv.done").mkdir()
    (tmp_path / "b.csv.done").symlink_to("real")
    assert {seen.done for seen in look(searching(tmp_path, "*.csv", done_file="{name}.done")).seen} == {None}


def test_a_folder_is_the_sum_of_its_files(tmp_path: Path) -> None:
    """Without its done file and what is temporary; its tag changes with each of them."""
    plant(tmp_path, "dt=1/p-0", "dt=1/h=2/p-1", data=b"abc")
    plant(tmp_path, "dt=1/_SUCCESS", "dt=1/p-2.tmp", "dt=1/.crc", "dt=1/_temporary/0/p-3", "dt=1/.h/p-4")
    search = searching(tmp_path, "dt=*/", done_file="_SUCCESS")
    seen = one(look(search))
    assert (seen.path, seen.size, seen.problem) == ("dt=1/", 6, None)
    assert seen.modified == max((tmp_path / "dt=1" / name).stat().st_mtime for name in ("p-0", "h=2/p-1"))
    assert seen.done == (tmp_path / "dt=1/_SUCCESS").stat().st_mtime
    assert one(look(Search.of(path=f"{tmp_path}/dt=1/", done_file="_SUCCESS"))) == seen
    tags = {seen.etag}
    for change in (
        lambda: os.utime(tmp_path / "dt=1/p-0", (7.0, 7.0)),
        lambda: plant(tmp_path, "dt=1/p-5"),
        lambda: (tmp_path / "dt=1/p-5").rename(tmp_path / "dt=1/p-6"),
        lambda: (tmp_path / "dt=1/p-6").unlink(),
    ):
        change()
        tags.add(one(look(search)).etag)
    assert len(tags) == 5 - 1  # the last brings back the state before
    plant(tmp_path, "dt=1/p-7.tmp")
    assert one(look(search)).etag in tags


def test_folders_have_done_files_beside_them_too(tmp_path: Path) -> None:
    """By a name with a placeholder."""
    plant(tmp_path, "dt=1/p-0", "dt=1.done", "dt=2/p-0", "dt=3", ".dt=4/p-0")
    found = {
        seen.path: seen.done is not None
        for seen in look(searching(tmp_path, "*/", done_file="{name}.done")).seen
    }
    assert found == {"dt=1/": True, "dt=2/": False}
    assert one(look(Search.of(path=f"{tmp_path}/dt=3/", done_file="x"))).problem == "it is not a folder"
    assert paths(look(Search.of(path=f"{tmp_path}/dt=9/", done_file="x"))) == []


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc", "/nowhere"])
def test_a_folder_with_a_link_in_it_never_counts(tmp_path: Path, target: str) -> None:
    """Who reads the folder would have to follow it, or lack something."""
    plant(tmp_path, "d/a", "d/_SUCCESS")
    (tmp_path / "d/b").symlink_to(target)
    seen = one(look(searching(tmp_path, "*/", done_file="_SUCCESS")))
    assert seen.problem == "'b' in it: it is a symbolic link; links are not followed"


def test_a_file_that_vanishes_meanwhile_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the listing and the look at it; Airflow's FileTrigger fails the task."""
    plant(tmp_path, "a.csv", "b.csv", "d/c.csv")

    def vanishing(path: Any, *, stat: Callable[..., Any] = os.stat, **more: Any) -> Any:
        if path == "a.csv":
            (tmp_path / "a.csv").unlink(missing_ok=True)
        return stat(path, **more)

    monkeypatch.setattr(os, "stat", vanishing)
    assert paths(look(searching(tmp_path, "**"))) == ["b.csv", "d/c.csv"]


@pytest.mark.parametrize("becomes", ["nothing", "file", "link"])
def test_a_folder_that_vanishes_meanwhile_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, becomes: str
) -> None:
    """A link that takes its place is not followed."""
    plant(tmp_path, "in/a.csv", "in/d/c.csv", "elsewhere/secret.csv")

    def replaced(folder: int, name: str) -> int:
        if name == "d" and not (tmp_path / "moved").exists():
            (tmp_path / "in/d").rename(tmp_path / "moved")
            if becomes == "file":
                plant(tmp_path, "in/d")
            elif becomes == "link":
                (tmp_path / "in/d").symlink_to(tmp_path / "elsewhere")
        return open_below(folder, name)

    monkeypatch.setattr(outside_scan, "open_below", replaced)
    found = look(searching(tmp_path / "in", "**"))
    assert paths(found) == ["a.csv"]
    assert bool(found.unseen) == (becomes != "nothing")


@needs_root
def test_a_folder_that_may_not_be_read_is_an_error(open_path: Path) -> None:
    """It is never "absent": Airflow's FileTrigger waits silently for ever."""
    plant(open_path, "d/a.csv")
    (open_path / "d").chmod(0o000)
    folder = f"{open_path}/d"
    denied = f"TargetAccessError cannot list '{folder}' as uid 65534: permission denied (mode 0000)\n"
    assert as_nobody("pattern", f"{folder}/*.csv") == denied
    denied = f"cannot read '{folder}/a.csv' as uid 65534: permission denied (mode 0000 of '{folder}')\n"
    assert as_nobody("path", f"{folder}/a.csv") == f"TargetAccessError {denied}"


@needs_root
def test_a_single_name_needs_no_right_to_list(open_path: Path) -> None:
    """A drop folder may let people pass only."""
    plant(open_path, "d/a.csv")
    (open_path / "d").chmod(0o711)
    assert as_nobody("path", f"{open_path}/d/a.csv") == "['a.csv'] {}\n"
    assert "cannot list" in as_nobody("pattern", f"{open_path}/d/*")


@needs_root
def test_a_folder_below_that_may_not_be_read_is_told(open_path: Path) -> None:
    """It hides something, but what is seen elsewhere is seen."""
    plant(open_path, "a.csv", "d/b.csv", "e/c.csv")
    (open_path / "d").chmod(0o000)
    (open_path / "e").chmod(0o744)  # names, but nothing about them
    told = as_nobody("pattern", f"{open_path}/**")
    assert told.startswith("['a.csv']")
    assert f"'d/': \"cannot list '{open_path}/d' as uid 65534: permission denied (mode 0000)\"" in told
    assert "'e/c.csv': \"cannot" in told


def test_a_folder_that_is_removed_meanwhile_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come back."""
    plant(tmp_path, "in/a.csv")

    def removed(folder: int, name: str) -> int:
        shutil.rmtree(tmp_path / "in")
        return open_below(folder, name)

    monkeypatch.setattr(outside_scan, "open_below", removed)
    assert paths(look(searching(tmp_path / "in", "*"))) == []


def test_a_fault_at_one_name_is_told_to_who_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others share the look, not the fault."""
    plant(tmp_path, "a.csv", "b.csv")

    def failing(path: Any, *, stat: Callable[..., Any] = os.stat, **more: Any) -> Any:
        if path == "a.csv":
            raise OSError(errno.EIO, "Input/output error")
        return stat(path, **more)

    monkeypatch.setattr(os, "stat", failing)
    bad, good = (Search.of(path=tmp_path / name) for name in ("a.csv", "b.csv"))
    found = scan(bad, good)
    assert isinstance(found[bad], StorageUnavailableError)
    assert isinstance(found[good], Look)


def test_who_writes_is_asked_of_the_kernel(tmp_path: Path) -> None:
    """By the path that was seen; of folders it cannot be."""
    plant(tmp_path, "d/a.csv", "d/_SUCCESS")
    found = look(searching(tmp_path, "*/*.csv"))
    assert found.objection(one(found)) is None
    with (tmp_path / "d/a.csv").open("ab"):
        assert found.objection(one(found)) == "somebody has it open for writing"
    folders = look(searching(tmp_path, "*/", done_file="_SUCCESS"))
    assert folders.objection(one(folders)) is None


def test_a_file_that_vanishes_from_a_folder_is_not_in_its_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the listing and the look at it."""
    plant(tmp_path, "d/a", "d/b", "d/_SUCCESS")

    def vanishing(path: Any, *, stat: Callable[..., Any] = os.stat, **more: Any) -> Any:
        if path == "a":
            (tmp_path / "d/a").unlink(missing_ok=True)
        return stat(path, **more)

    monkeypatch.setattr(os, "stat", vanishing)
    assert one(look(searching(tmp_path, "*/", done_file="_SUCCESS"))).size == 1


def test_a_passing_fault_below_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk has an error in one folder."""
    plant(tmp_path, "a.csv", "d/b.csv")

    def failing(folder: int, name: str) -> int:
        if name == "d":
            raise OSError(errno.EIO, "Input/output error")
        return open_below(folder, name)

    monkeypatch.setattr(outside_scan, "open_below", failing)
    found = look(searching(tmp_path, "**"))
    assert paths(found) == ["a.csv"]
    assert isinstance(found.unseen["d/"], StorageUnavailableError)


def test_few_of_many_faults_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event has room for a few."""
    plant(tmp_path, *(f"{number}.csv" for number in range(50)))

    def failing(path: Any, *, stat: Callable[..., Any] = os.stat, **more: Any) -> Any:
        if str(path).endswith(".csv"):
            raise OSError(errno.EIO, "Input/output error")
        return stat(path, **more)

    monkeypatch.setattr(os, "stat", failing)
    found = look(searching(tmp_path, "*.csv"))
    assert len(found.unseen) == 20


def test_too_many_names_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than part of the truth, or no memory left."""
    monkeypatch.setattr(outside_scan, "_MOST", 5)
    plant(tmp_path, *(f"d/{number}" for number in range(5)))
    answer = scan(search := searching(tmp_path, "**"))[search]
    assert isinstance(answer, ConfigError)
    assert str(answer) == f"there are more than 5 names below {str(tmp_path)!r}"


def test_folders_without_end_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outsiders may have made them on purpose; what lies higher is seen all the same."""
    monkeypatch.setattr(outside_scan, "_DEEPEST", 3)
    plant(tmp_path, "a", "1/2/3/b", "1/2/3/4/c")
    found = look(searching(tmp_path, "**"))
    assert paths(found) == ["1/2/3/b", "a"]
    assert [str(error) for error in found.unseen.values()] == [
        f"'{tmp_path}/1/2/3/4/' lies more than 3 folders deep"
    ]


def test_descriptors_are_closed(tmp_path: Path) -> None:
    """Whatever the look went through."""
    plant(tmp_path, "a.csv", "d/b.csv", "d/e/c.csv")
    before = held()
    for _ in range(20):
        scan(
            searching(tmp_path, "**"),
            searching(tmp_path, "*/", done_file="_SUCCESS"),
            Search.of(path=tmp_path / "x"),
        )
    assert_nothing_new(before)


async def test_a_look_is_one_hop_to_a_thread(tmp_path: Path) -> None:
    """What follows runs there too: to decide about 100,000 files would block the loop as well."""
    await asyncio.to_thread(plant, tmp_path, "a.csv")
    disk, search = OutsideDisk(str(tmp_path)), searching(tmp_path, "*")
    threads: list[threading.Thread] = []

    def then(answers: Mapping[Search, Answer]) -> list[str]:
        threads.append(threading.current_thread())
        return paths(answers[search])  # type: ignore[arg-type]

    assert await disk.look([search], then) == ["a.csv"]
    assert threads[0] is not threading.main_thread()
    disk.close()


async def test_errors_come_out_of_the_thread(tmp_path: Path) -> None:
    """Those of the look, and those of what follows."""
    await asyncio.to_thread(plant, tmp_path, "d")
    disk = OutsideDisk(str(tmp_path / "d"))
    with pytest.raises(TargetAccessError):
        await disk.look([searching(tmp_path, "d/*")], lambda answers: answers)
    disk = OutsideDisk(str(tmp_path))
    with pytest.raises(ZeroDivisionError):
        await disk.look([searching(tmp_path, "*")], lambda answers: 1 // 0)


async def test_a_disk_that_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread cannot be stopped, but it ends no process's end, and nobody waits for it."""
    monkeypatch.setattr(outside_disk, "_TIMEOUT", 0.05)
    answering = threading.Event()
    disk, search = OutsideDisk(str(tmp_path)), searching(tmp_path, "*")
    with pytest.raises(StorageUnavailableError, match=r"has not answered for 0\.05 s"):
        await disk.look([search], lambda _: answering.wait())
    [hung] = [thread for thread in threading.enumerate() if thread.name == "fileflow-outside"]
    assert hung.daemon
    answering.set()
    await asyncio.to_thread(hung.join)
    disk.close()


async def test_cancelling_a_look_ends_it_now(tmp_path: Path) -> None:
    """Although the disk may hang."""
    answering = threading.Event()
    disk, search = OutsideDisk(str(tmp_path)), searching(tmp_path, "*")
    task = asyncio.create_task(disk.look([search], lambda _: answering.wait()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    answering.set()
    disk.close()


async def test_a_look_in_time_returns_what_it_found(tmp_path: Path) -> None:
    """Once, for whoever has no disk open."""
    assert await look_in_time(str(tmp_path), lambda: 5) == 5


@pytest.mark.slow
async def test_a_folder_of_many_files_does_not_block_the_loop(tmp_path: Path) -> None:
    """Airflow's FileTrigger holds the loop for 75 ms a look where there are 100,000."""
    many = how_many(sample=20_000, normal=100_000, long=100_000)

    def fill() -> None:
        for number in range(many):
            os.close(os.open(tmp_path / f"{number:06}.csv", os.O_CREAT | os.O_WRONLY))

    await asyncio.to_thread(fill)
    disk, search = OutsideDisk(str(tmp_path)), searching(tmp_path, "*.csv")
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    ticking = asyncio.create_task(turn())
    count = await disk.look([search], lambda answers: len(answers[search].seen))  # type: ignore[union-attr]
    ticking.cancel()
    disk.close()
    assert count == many
    assert turns > many / 5000  # 100,000 take half a second; the rest is the interpreter's own lock


def test_unknown_errors_pass_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than under a name that means something else."""

    def failing(path: Any, **more: Any) -> Any:
        raise OSError(errno.ENOTTY, "Inappropriate")

    plant(tmp_path, "a.csv")
    monkeypatch.setattr(os, "stat", failing)
    with pytest.raises(OSError, match="Inappropriate") as caught:
        scan(Search.of(path=tmp_path / "a.csv"))
    assert not isinstance(caught.value, FileflowError)
