"""A disk that has lost its power: what may be on it, given what was synced before and what was not.

The weakest disk that POSIX allows. A file's bytes are sure only after its fsync, a name only after that of
its folder; whatever else was done may be there or not, in any combination. A rename happens whole or not at
all.
"""

import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fileflow_async.storage import local_hidden

Tree = tuple[tuple[str, bytes], ...]  # files by their path below the root; folders without any are nothing
Change = dict[str, int | None]  # names of one folder that become a node, or go
_MOST = 4000  # combinations a moment; beyond them as many are drawn at random


class KilledError(BaseException):
    """The process is gone: nothing more of what it does reaches the disk."""


@dataclass
class _Folder:
    names: dict[str, int] = field(default_factory=dict)
    sure: dict[str, int] = field(default_factory=dict)
    unsure: list[Change] = field(default_factory=list)


@dataclass
class _File:
    data: bytes = b""
    sure: bytes = b""


class Disk:
    """What the calls of the operating system have made of a folder, and of what may be left of it.

    Attributes:
        syncs: What was synced, by its path, in order.
        changes: How many calls changed something.
        forgets: The number of the sync that does not happen, from 1; 0 for none.
        dies_at: The change at which the process dies; it is not done.
        trees: All that a loss of power may have left at any moment so far.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.syncs: list[str] = []
        self.changes = 0
        self.forgets = 0
        self.dies_at: int | None = None
        self.trees: set[Tree] = set()
        self._nodes: dict[int, _Folder | _File] = {0: _Folder()}
        self._numbers = itertools.count(1)
        self._paths = {str(root): 0}  # of what is there now
        self._is_dead = False

    def revive(self) -> None:
        """Let another process begin."""
        self._is_dead, self.dies_at = False, None

    def check_alive(self) -> None:
        """Raise if the process is dead, or dies now."""
        self.changes += 1
        if self._is_dead or self.changes == self.dies_at:
            self._is_dead = True
            raise KilledError

    def made(self, path: str, node: _Folder | _File) -> None:
        if not self._is_ours(path) or path in self._paths:
            return
        number = next(self._numbers)
        self._nodes[number] = node
        self._paths[path] = number
        self._change(os.path.dirname(path), {os.path.basename(path): number})

    def renamed(self, old: str, new: str) -> None:
        if self._is_ours(old):
            number = self._paths[new] = self._paths.pop(old)
            names: Change = {os.path.basename(old): None, os.path.basename(new): number}
            self._change(os.path.dirname(old), names)

    def removed(self, path: str) -> None:
        if self._is_ours(path):
            del self._paths[path]
            self._change(os.path.dirname(path), {os.path.basename(path): None})

    def synced(self, path: str) -> None:
        if not self._is_ours(path):
            return
        self.note()  # behind the sync less is possible, and nothing else
        self.syncs.append(os.path.relpath(path, self.root))
        if len(self.syncs) == self.forgets:
            return
        node = self._nodes[self._paths[path]]
        if isinstance(node, _File):
            node.sure = node.data
        else:
            node.sure, node.unsure = dict(node.names), []

    def _is_ours(self, path: str) -> bool:
        below = os.path.relpath(path, self.root)
        return not below.startswith(("..", ".feed"))  # the feed is a hint, which may be lost

    def _change(self, folder: str, names: Change) -> None:
        self.note()  # what was written since the last change
        node = self._nodes[self._paths[folder]]
        assert isinstance(node, _Folder)
        node.unsure.append(names)
        _apply(node.names, names)

    def _look(self) -> None:
        """See what was written meanwhile."""
        for path, number in self._paths.items():
            node = self._nodes[number]
            if isinstance(node, _File) and os.path.exists(path):
                with open(path, "rb") as file:
                    node.data = file.read()

    def note(self) -> None:
        """Keep what a loss of power would leave at this moment."""
        self.trees.update(self.left())

    def left(self) -> set[Tree]:
        """Return every tree that may be left if the power goes now."""
        self._look()
        unsure = [
            (number, change)
            for number, node in self._nodes.items()
            if isinstance(node, _Folder)
            for change in node.unsure
        ]
        torn = [n for n, node in self._nodes.items() if isinstance(node, _File) and node.data != node.sure]
        choices = [[False, True]] * len(unsure) + [[0, 1, 2]] * len(torn)
        count = 2 ** len(unsure) * 3 ** len(torn)
        drawn: Any = itertools.product(*choices)
        if count > _MOST:
            drawn = ([random.choice(each) for each in choices] for _ in range(_MOST))
        trees = set()
        for choice in drawn:
            taken = [change for change, is_there in zip(unsure, choice, strict=False) if is_there]
            states = dict(zip(torn, choice[len(unsure) :], strict=True))
            trees.add(tuple(sorted(self._files(0, "", taken, states))))
        return trees

    def _files(
        self, number: int, path: str, taken: list[tuple[int, Change]], states: dict[int, int]
    ) -> Iterator[tuple[str, bytes]]:
        node = self._nodes[number]
        if isinstance(node, _File):
            data = [node.sure, node.data[: len(node.data) // 2], node.data]
            yield path, data[states.get(number, 0)]
            return
        names = dict(node.sure)
        for folder, change in taken:
            if folder == number:
                _apply(names, change)
        for name, below in names.items():
            yield from self._files(below, f"{path}/{name}".lstrip("/"), taken, states)


def _apply(names: dict[str, int], change: Change) -> None:
    for name, number in change.items():
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number


@contextmanager
def watched(root: Path) -> Iterator[Disk]:
    """Watch what the threads of this process do below `root` while the block lasts."""
    disk = Disk(root)
    main = threading.get_ident()
    patch = pytest.MonkeyPatch()

    def instead(name: str, after: Callable[..., None], *, changes: bool = True, module: Any = os) -> None:
        real = getattr(module, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if threading.get_ident() == main:
                return real(*arguments, **options)
            is_change = changes or bool(arguments[1] & os.O_CREAT)
            if is_change:
                disk.check_alive()
            result = real(*arguments, **options)
            if is_change:
                after(result, *arguments, **options)
            return result

        patch.setattr(module, name, call)

    def at(path: str, folder: int | None) -> str:
        return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path) if folder is not None else path

    instead("mkdir", lambda _, path, mode=0, dir_fd=None: disk.made(at(path, dir_fd), _Folder()))
    instead(
        "open",
        lambda _, path, flags, mode=0, dir_fd=None: disk.made(at(path, dir_fd), _File()),
        changes=False,
    )
    instead(
        "open_straight",
        lambda descriptor, path, flags, mode: None if descriptor is None else disk.made(path, _File()),
        module=local_hidden,
    )
    instead(
        "rename",
        lambda _, old, new, src_dir_fd, dst_dir_fd: disk.renamed(at(old, src_dir_fd), at(new, dst_dir_fd)),
    )
    instead(
        "rename_new",
        lambda done, folder, old, new: disk.renamed(at(old, folder), at(new, folder)) if done else None,
        module=local_hidden,
    )
    instead("unlink", lambda _, path, dir_fd=None: disk.removed(at(path, dir_fd)))
    instead("rmdir", lambda _, path, dir_fd=None: disk.removed(at(path, dir_fd)))
    instead("fsync", lambda _, descriptor: disk.synced(os.readlink(f"/proc/self/fd/{descriptor}")))
    try:
        yield disk
    finally:
        patch.undo()
