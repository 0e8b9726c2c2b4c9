"""Names by pattern, matched part by part, so that a match is the same on every storage."""

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Self

from fileflow_async.errors import ConfigError, quoted

Positions = frozenset[int]  # which parts of a pattern may come next

_MAGIC = re.compile(r"[*?\[]")
_DEEP = "**"

# What programs append to, or put before, the name of a file that they have not finished.
_SUFFIXES = (".part", ".tmp", ".filepart", ".crdownload", "~")
_PREFIXES = (".", "~")  # hidden ones: `._` is macOS's, `.nfs` a deleted file that somebody still has open
UNFINISHED_FOLDER = "_temporary"  # where Hadoop and Spark keep what is not committed


def is_pattern(text: str) -> bool:
    """Tell whether a text has a character that a pattern gives a meaning to."""
    return _MAGIC.search(text) is not None


def finished_name(name: str) -> str | None:
    """Return what a temporary name may become in the end; None for a name that is not temporary.

    Case does not matter, so that `DATA.TMP` is one as well.
    """
    lower = name.lower()
    if not lower.endswith(_SUFFIXES) and not name.startswith(_PREFIXES):
        return None
    ending = next((suffix for suffix in _SUFFIXES if lower.endswith(suffix)), "")
    return name.removesuffix(name[len(name) - len(ending) :]).lstrip("".join(_PREFIXES))


def unfinished_names(name: str) -> Sequence[str]:
    """Return the names under which a file of that name may be written."""
    return [f"{name}{suffix}" for suffix in _SUFFIXES] + [f"{prefix}{name}" for prefix in _PREFIXES]


class Kind(Enum):
    """How a part of a pattern is compared with a name."""

    NAME = "the same"
    WILD = "as fnmatch does it"
    DEEP = "any number of folders, or any file at the end"


@dataclass(frozen=True, slots=True)
class Part:
    """What stands between two slashes of a pattern."""

    text: str
    kind: Kind

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the part that a text in a pattern is."""
        if text == _DEEP:
            return cls(text, Kind.DEEP)
        return cls(text, Kind.WILD if is_pattern(text) else Kind.NAME)

    def matches(self, name: str) -> bool:
        """Tell whether a name is meant."""
        if self.kind is Kind.WILD:
            return _expression(self.text).match(name) is not None
        return self.kind is Kind.DEEP or self.text == name

    def leads_into(self, folder: str) -> bool:
        """Tell whether a folder is meant: those that hide are only when they are spelt out."""
        if self.kind is Kind.NAME:
            return self.text == folder
        spelt = folder.startswith(".") and not self.text.startswith(".")
        return not spelt and folder != UNFINISHED_FOLDER and self.matches(folder)


@lru_cache(maxsize=1024)
def _expression(text: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(text))


@dataclass(frozen=True, slots=True)
class Pattern:
    """Some parts, of which names are the path: one by one from the first folder down.

    `*`, `?`, `[abc]` and `[!abc]` stand for characters of one name, never for `/`; `**` as a whole part
    stands for any number of folders, at the end for all files below. `[*]` is a star. Case counts.
    """

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not self.parts or any(part.text in ("", ".", "..") for part in self.parts):
            raise ConfigError(f"{quoted(str(self))} must not contain '.', '..' or empty parts")

    def __str__(self) -> str:
        return "/".join(part.text for part in self.parts)

    @property
    def start(self) -> Positions:
        """Where a walk begins."""
        return self._closed({0})

    @property
    def is_deep(self) -> bool:
        """Whether folders of any depth may hold a match."""
        return any(part.kind is Kind.DEEP for part in self.parts)

    @property
    def single(self) -> str | None:
        """The only path that matches; None where there may be several."""
        return str(self) if all(part.kind is Kind.NAME for part in self.parts) else None

    def into(self, positions: Positions, folder: str) -> Positions:
        """Return where the walk is in a folder; nowhere when nothing in there can match."""
        return self._closed(self._after(positions, folder))

    def ends(self, positions: Positions, name: str) -> bool:
        """Tell whether a name at the end of a path is meant."""
        last = len(self.parts) - 1
        return last in positions and self.parts[last].matches(name)

    def matches(self, path: str) -> bool:
        """Tell whether a whole path is meant."""
        *folders, name = path.split("/")
        positions = self.start
        for folder in folders:
            positions = self.into(positions, folder)
        return self.ends(positions, name)

    def _after(self, positions: Positions, folder: str) -> Iterator[int]:
        for position in positions:
            part = self.parts[position]
            if part.leads_into(folder):
                yield position if part.kind is Kind.DEEP else position + 1

    def _closed(self, positions: "set[int] | Iterator[int]") -> Positions:
        """Add what a `**` that stands for no folder leads to; what is behind the end leads nowhere."""
        closed = set()
        for position in positions:
            while position < len(self.parts):
                closed.add(position)
                if self.parts[position].kind is not Kind.DEEP:
                    break
                position += 1
        return frozenset(closed)
