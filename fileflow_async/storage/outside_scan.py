"""One look through a folder of outsiders."""

import os
import stat
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress

from fileflow_async.errors import ConfigError, FileflowError, TargetNotFoundError
from fileflow_async.pattern import UNFINISHED_FOLDER, Positions, finished_name, unfinished_names
from fileflow_async.storage.lease import open_writer
from fileflow_async.storage.local_errors import translated
from fileflow_async.storage.local_root import open_below, opened
from fileflow_async.storage.local_threads import Pulse
from fileflow_async.storage.outside import SAMPLE, Answer, FolderSum, Look, Seen
from fileflow_async.storage.search import Search

_MOST = 1_000_000  # names in one look: seconds of a thread, hundreds of megabytes
_DEEPEST = 100  # folders in each other: outsiders may have made them without end
_BASE = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC  # links on the way are followed

_MOST_UNSEEN = 20  # folders and files that are told


class _TooManyError(ConfigError):
    """The look has to be given up as a whole."""


class _Found:
    """What is found for one search."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.seen: list[Seen] = []
        self.temporary: list[str] = []
        self.unseen: dict[str, FileflowError] = {}

    def look(self, now: float) -> Look:
        """Return it as an answer."""
        return Look(
            seen=self.seen,  # not sorted: that would hold the interpreter, and with it the event loop
            now=now,
            temporary=sorted(self.temporary),
            unseen=self.unseen,
            objection=_objection_in(self.search.folder),
        )


Walkers = Mapping[_Found, Positions]


class OutsideScan:
    """One look, which blocks: it belongs on a thread.

    Args:
        folder: The folder of all the searches.
        pulse: Shows that the disk answers.
    """

    def __init__(self, folder: str, pulse: Pulse) -> None:
        self._folder = folder
        self._pulse = pulse
        self._now = time.time()  # before the look: nothing must seem older than it is
        self._count = 0

    def answers(self, searches: Collection[Search]) -> Mapping[Search, Answer]:
        """Return what each search found.

        Raises:
            FileflowError: The folder cannot be entered.
        """
        try:
            with translated(self._folder, "", "list"), opened(os.open(self._folder, _BASE)) as here:
                return self._single_answers(here, searches) | self._walked_answers(here, searches)
        except TargetNotFoundError as error:
            return {search: Look(seen=(), now=self._now, absent=str(error)) for search in searches}

    def _single_answers(self, here: int, searches: Collection[Search]) -> dict[Search, Answer]:
        """Look at single names without listing the folder, which may be long, or forbidden."""
        answers: dict[Search, Answer] = {}
        for search in searches:
            if (name := search.pattern.single) is not None:
                try:
                    with translated(self._folder, name, "read"):
                        answers[search] = self._single(_Found(search), here, name)
                except FileflowError as error:
                    answers[search] = error
        return answers

    def _single(self, found: _Found, here: int, name: str) -> Look:
        self._meet(found, here, "", name)
        if not found.seen:
            names = unfinished_names(name)
            found.temporary += [each for each in names if _status(each, here) is not None][:SAMPLE]
        return found.look(self._now)

    def _walked_answers(self, here: int, searches: Collection[Search]) -> dict[Search, Answer]:
        walkers = {_Found(each): each.pattern.start for each in searches if each.pattern.single is None}
        if not walkers:
            return {}
        try:
            with translated(self._folder, "", "list"), opened(open_below(here, ".")) as folder:
                self._walk(folder, "", walkers)
        except FileflowError as error:
            return {found.search: error for found in walkers}
        return {found.search: found.look(self._now) for found in walkers}

    def _walk(self, here: int, base: str, walkers: Walkers) -> None:
        """Go through a folder, then through those in it where something may be meant."""
        below: dict[str, dict[_Found, Positions]] = {}
        with closing(self._items(here, base)) as items:
            for item in items:
                is_folder = item.is_dir(follow_symlinks=False)
                for found, positions in walkers.items():
                    if found.search.folders == is_folder:
                        self._note(found, here, base, item.name, positions)
                    if is_folder and (inside := found.search.pattern.into(positions, item.name)):
                        below.setdefault(item.name, {})[found] = inside
        for name, inner in below.items():
            path = f"{base}{name}/"
            with self._seeing(path, inner), opened(open_below(here, name)) as folder:
                self._walk(folder, path, inner)

    def _items(self, here: int, base: str) -> Generator["os.DirEntry[str]"]:
        if base.count("/") > _DEEPEST:
            raise ConfigError(f"'{self._folder}/{base}' lies more than {_DEEPEST} folders deep")
        with os.scandir(here) as items:
            for item in items:
                self._pulse.beat()
                self._count += 1
                if self._count > _MOST:
                    raise _TooManyError(
                        f"there are more than {_MOST} names below {self._folder!r}",
                        hint="Name a folder further down, or a pattern with fewer folders.",
                    )
                yield item

    def _note(self, found: _Found, here: int, base: str, name: str, positions: Positions) -> None:
        finished, pattern = finished_name(name), found.search.pattern
        if finished is None:
            if pattern.ends(positions, name):
                self._meet_listed(found, here, base, name)
        elif len(found.temporary) < SAMPLE and any(pattern.ends(positions, n) for n in (name, finished)):
            found.temporary.append(f"{base}{name}")

    def _meet_listed(self, found: _Found, here: int, base: str, name: str) -> None:
        try:
            self._meet(found, here, base, name)
        except (OSError, FileflowError):  # seldom; a context for each of 100,000 names would take long
            with self._seeing(f"{base}{name}", (found,)):
                raise

    def _meet(self, found: _Found, here: int, base: str, name: str) -> None:
        """Note what has that name, unless it has gone away since it was listed."""
        if (status := _status(name, here)) is None:
            return
        path, done = f"{base}{name}", self._done(found.search, here, base, name)
        if found.search.folders and stat.S_ISDIR(status.st_mode):
            found.seen.append(self._sum(found.search, here, path, done))
            return
        found.seen.append(
            Seen(
                path=path,
                size=status.st_size,
                modified=status.st_mtime,
                mtime_ns=status.st_mtime_ns,
                inode=status.st_ino,
                done=done,
                problem="it is not a folder" if found.search.folders else _problem(status.st_mode),
            )
        )

    def _done(self, search: Search, here: int, base: str, name: str) -> float | None:
        if (path := search.done_path(f"{base}{name}")) is None:
            return None
        status = _status(path.removeprefix(base), here)
        return status.st_mtime if status is not None and stat.S_ISREG(status.st_mode) else None

    def _sum(self, search: Search, here: int, path: str, done: float | None) -> Seen:
        total = FolderSum(search)
        problems: list[str] = []
        with opened(open_below(here, path.rpartition("/")[2])) as folder:
            self._add(folder, f"{path}/", "", total, problems)
        return Seen(
            path=f"{path}/",
            size=total.size,
            modified=total.modified,
            etag=total.etag,
            done=done,
            problem=min(problems, default=None),
        )

    def _add(self, here: int, base: str, inner: str, total: FolderSum, problems: list[str]) -> None:
        with closing(self._items(here, base + inner)) as items:
            for item in items:
                path = f"{inner}{item.name}"
                if item.is_dir(follow_symlinks=False):
                    if item.name != UNFINISHED_FOLDER:
                        with suppress(FileNotFoundError), opened(open_below(here, item.name)) as folder:
                            self._add(folder, base, f"{path}/", total, problems)
                elif (status := _status(item.name, here)) is not None:
                    if (problem := _problem(status.st_mode)) is not None:
                        problems.append(f"{path!r} in it: {problem}")
                    total.add(path, status.st_size, status.st_mtime, (status.st_mtime_ns, status.st_ino))

    @contextmanager
    def _seeing(self, path: str, searchers: Collection[_Found]) -> Iterator[None]:
        """Note what cannot be looked at: it hides something, but only from those who search in there."""
        try:
            with suppress(TargetNotFoundError), translated(self._folder, path.rstrip("/"), "list"):
                yield
        except _TooManyError:
            raise
        except FileflowError as error:
            for found in searchers:
                if len(found.unseen) < _MOST_UNSEEN:
                    found.unseen[path] = error


def _status(name: str, here: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=here, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _problem(mode: int) -> str | None:
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISLNK(mode):
        return "it is a symbolic link; links are not followed"
    return "it is a folder" if stat.S_ISDIR(mode) else "it is not a regular file"


def _objection_in(folder: str) -> Callable[[Seen], str | None]:
    def objection(seen: Seen) -> str | None:
        if seen.mtime_ns is None or seen.inode is None:
            return None
        path = f"{folder.rstrip('/')}/{seen.path}"
        return open_writer(path, size=seen.size, mtime_ns=seen.mtime_ns, inode=seen.inode)

    return objection
