"""What the wait for files of outsiders says in the end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Self

from fileflow_async.config import is_number
from fileflow_async.outcome import Missing, Outcome, common, reading, shrunk
from fileflow_async.storage.outside import Seen

_TOLD = 5  # missing files in one line


class Trust(StrEnum):
    """Why a file is taken to be whole, best first."""

    DONE_FILE = "done_file"
    ATOMIC = "atomic"
    STABLE = "stable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedFile:
    """A file, an object or a folder that has arrived.

    Attributes:
        uri: Where it is; that of a folder ends in `/`.
        size: Its bytes.
        modified: When it was last written to, in seconds since 1970 by the store's clock.
        trust: Why it is taken to be whole.
        etag: What changes with its bytes, in S3 or for a folder.
        mtime_ns: The same moment as `modified` to the nanosecond, on disk.
        inode: Which file it is, on disk.
    """

    uri: str
    size: int
    modified: float
    trust: Trust
    etag: str | None = None
    mtime_ns: int | None = None
    inode: int | None = None

    @classmethod
    def of(cls, seen: Seen, uri: str, trust: Trust) -> Self:
        """Return what was seen as having arrived."""
        return cls(
            uri=uri,
            size=seen.size,
            modified=seen.modified,
            trust=trust,
            etag=seen.etag,
            mtime_ns=seen.mtime_ns,
            inode=seen.inode,
        )

    @property
    def version(self) -> tuple[object, ...]:
        """What is equal as long as its bytes are, as far as the store tells."""
        return self.size, self.etag, self.mtime_ns, self.inode

    def to_payload(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        fields = {**asdict(self), "trust": str(self.trust)}
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Read one back.

        Raises:
            TypeError: It has a field that there is not, or lacks one, or one is of the wrong type.
            ValueError: Its trust is none.
        """
        found = cls(**{**payload, "trust": Trust(payload["trust"])})
        numbers = (found.size, found.mtime_ns or 0, found.inode or 0)
        texts = (found.uri, found.etag or "")
        if not all(isinstance(text, str) for text in texts) or not is_number(found.modified):
            raise TypeError("a field is of the wrong type")
        if any(type(number) is not int for number in numbers):
            raise TypeError("a field is not an integer")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """How a wait for files of outsiders ended.

    Attributes:
        outcome: In one word: ready, timeout or unreadable.
        ready: What has arrived; of much only the first, see `ready_count`.
        missing: What has not; of much only the first, see `missing_count`.
        ready_count: How many have arrived.
        missing_count: How many have not.
        guess: On what grounds they are taken to be whole, where nobody says so.
        newest: When the last of what has arrived was written to.
        digest: What stands for the versions of all that has arrived, since `ready` may not hold all.
    """

    outcome: Outcome
    ready: Sequence[ArrivedFile] = ()
    missing: Sequence[Missing] = ()
    ready_count: int = 0
    missing_count: int = 0
    guess: str | None = None
    newest: float | None = None
    digest: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all that has arrived is in it."""
        return len(self.ready) == self.ready_count

    def to_payload(self) -> dict[str, Any]:
        """Return the event as a JSON object of a few kB."""
        return shrunk(self, guess=self.guess, newest=self.newest, digest=self.digest)

    @classmethod
    def from_payload(cls, payload: object) -> Self:
        """Read an event back.

        Raises:
            FormatError: It is not one.
        """
        with reading(payload, "an arrival") as fields:
            event = cls(
                **common(fields, ArrivedFile.from_payload),
                guess=fields.get("guess"),
                newest=fields.get("newest"),
                digest=fields.get("digest"),
            )
            if event.ready_count < max(len(event.ready), event.outcome is Outcome.READY):
                raise ValueError("it says that less is ready than it holds")
        return event

    def describe(self) -> str:
        """Return what has arrived and what has not, in one line for people."""
        return described(self.ready_count, self.missing, self.missing_count)


def described(ready_count: int, missing: Sequence[Missing], missing_count: int) -> str:
    """Return how much has arrived and what has not, in one line for people."""
    line = f"{ready_count} arrived"
    if missing:
        told = [f"{each.target} ({each.why})" for each in missing[:_TOLD]]
        line += f"; missing {', '.join(told)}"
        if missing_count > len(told):
            line += f" and {missing_count - len(told)} more"
    return line


def digest_of(files: Iterable[ArrivedFile]) -> str:
    """Return what stands for the versions of some files, in whatever order they come."""
    total = 0
    # A sum: sorting 100,000 of them would hold the interpreter, and with it the event loop.
    for file in files:
        total += int.from_bytes(sha256(f"{file.uri} {file.version}".encode()).digest()[:16])
    return f"{total % 2**128:032x}"
