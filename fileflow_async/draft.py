"""One attempt at a target while it is written."""

import codecs
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fileflow_async import codec
from fileflow_async.clock import Clock
from fileflow_async.content import Content
from fileflow_async.digest import Digest
from fileflow_async.errors import TargetNameError, TargetWriteError, quoted
from fileflow_async.manifest import Input, Manifest, OutputSet, Part, Producer, combined_sha256, timestamp
from fileflow_async.storage.protocol import Sink, Storage
from fileflow_async.target import Attempt, Reference
from fileflow_async.target_set import folder_of, name_of


@dataclass(kw_only=True)
class Draft(ABC):
    """One attempt at a target, from its beginning to its commit.

    `rows`, `columns`, `stats`, `checks` and `inputs` may be set until the commit: they go into the record.

    Attributes:
        reference: The version that was committed; None before.
        is_whole: Whether all the data is stored, so that only the commit record is missing.
        is_closed: Whether the block that began it has ended.
        sent: The commit record, once it may be stored.
        output_set: The outputs that are committed together with it, where these are all of its task's.
    """

    key: str
    attempt: Attempt
    content: Content
    producer: Producer
    storage: Storage
    clock: Clock
    slot: str | None = None
    interval: tuple[str, str] | None = None
    inputs: Sequence[Input] = ()
    rows: int | None = None
    columns: Sequence[tuple[str, str]] | None = None
    stats: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[Mapping[str, Any]] = ()
    reference: Reference | None = None
    is_whole: bool = False
    is_closed: bool = False
    sent: Manifest | None = None
    output_set: OutputSet | None = None
    _is_spoilt: bool = field(default=False, init=False, repr=False)
    _open: AsyncExitStack = field(repr=False)
    _started: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._started = self.clock.time()

    @property
    def data_key(self) -> str:
        """The key of the data."""
        return f"{self.key}/{self.attempt.name}"

    @property
    def uri(self) -> str:
        """Where the data will be."""
        return self.storage.uri(self.data_key)

    async def finish(self) -> None:
        """Store the rest of the data; it becomes the target's value only with the commit."""
        if self.is_whole:
            return
        if self._is_spoilt or self.is_closed:
            raise TargetWriteError("the data was not stored; nothing can be published")
        await self._finish()
        self._is_spoilt = True  # unless the storage says that it has all of it
        await self._open.aclose()
        await self._measure()
        self._is_spoilt = False
        self.is_whole = True

    def record(self) -> Manifest:
        """Return the commit record of the data as it is now."""
        return Manifest(
            data=self.attempt.name,
            **self._measured(),
            format=self.content.format,
            content_type=self.content.content_type,
            encoding=self.content.encoding,
            compression=self.content.compression,
            rows=self.rows,
            columns=self.columns,
            stats=self.stats,
            producer=self.producer,
            slot=self.slot,
            interval=self.interval,
            inputs=tuple(self.inputs),
            checks=tuple(self.checks),
            output_set=self.output_set,
            started=timestamp(self._started),
            committed=timestamp(self.clock.time()),
        )

    def check_open(self) -> None:
        """Refuse to take more data once there must be none.

        Raises:
            TargetWriteError: It is committed, closed or whole.
        """
        if self.reference is not None:
            raise TargetWriteError("target was already committed")
        if self.is_closed:
            raise TargetWriteError("target was closed without a commit")
        if self.is_whole:
            raise TargetWriteError("target was already finished; only its commit is missing")

    @abstractmethod
    async def open(self) -> None:
        """Begin to store data."""

    @abstractmethod
    async def _finish(self) -> None: ...

    @abstractmethod
    async def _measure(self) -> None: ...

    @abstractmethod
    def _measured(self) -> dict[str, Any]: ...


def bind(drafts: Sequence[Draft]) -> None:
    """Have the records of all outputs of a task name each other."""  # ADR 0024
    together = defaultdict[str, list[Draft]](list)
    for draft in drafts:
        together[folder_of(draft.key)].append(draft)
    for several in together.values():
        names = tuple(name_of(draft.key) for draft in several)
        bound = OutputSet(id=max(draft.attempt.stem for draft in several), names=names)
        for draft in several:
            draft.output_set = bound


class _Stream:
    """An object being written, hashed on the way."""

    def __init__(self, encoding: str | None) -> None:
        self._encoding = encoding
        # One for the whole text: a byte order mark stands at its start only.
        self._encoder = None if encoding is None else codecs.getincrementalencoder(encoding)()
        self._has_text = False
        self._is_open = True
        self._is_torn = False

    async def open(self, stack: AsyncExitStack, storage: Storage, key: str, content_type: str) -> None:
        self._digest = await stack.enter_async_context(Digest())
        self._sink: Sink = await stack.enter_async_context(storage.create(key, content_type=content_type))

    async def write(self, data: bytes | bytearray | memoryview | str) -> None:
        if not self._is_open:
            raise TargetWriteError("no more data can be written: the block that wrote has ended")
        await self._take(self._as_bytes(data))

    async def finish(self) -> None:
        # Without text there is nothing to end: the encoder would put its byte order mark behind the bytes.
        if self._encoder is not None and self._has_text and (rest := self._encoder.encode("", final=True)):
            await self._take(rest)
        self._check()
        self._is_open = False

    async def measure(self) -> None:
        """Wait for the hash; to be called once the object has ended, as both happen at the same time."""
        self.sha256 = await self._digest.hexdigest()
        self.size = self._digest.size

    async def _take(self, piece: bytes) -> None:
        self._check()
        self._is_torn = True  # unless all goes well, hash and object may differ from here on
        await self._digest.update(piece)
        await self._sink.write(piece)
        self._is_torn = False

    def _check(self) -> None:
        if self._is_torn:
            raise TargetWriteError(
                "an earlier write failed, was cancelled or is still under way; nothing can be published",
                hint="Write from one task at a time, and begin again after a write that failed.",
            )

    @property
    def etag(self) -> str | None:
        return self._sink.entry.etag

    def _as_bytes(self, data: bytes | bytearray | memoryview | str) -> bytes:
        if isinstance(data, str):
            if self._encoder is None:
                raise TargetWriteError("write() got str for a binary target; pass encoding=")
            self._has_text = True
            try:
                return self._encoder.encode(data)
            except UnicodeError as error:
                raise TargetWriteError(
                    f"write() got text that is not valid {self._encoding}: {error}"
                ) from error
        if isinstance(data, bytes):
            return data
        if isinstance(data, bytearray | memoryview):
            return bytes(data)  # the caller may change it while it is hashed and sent
        raise TargetWriteError(f"write() takes bytes, got {type(data).__name__}")


@dataclass(kw_only=True)
class FileDraft(Draft):
    """One attempt at a target that is one file."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._stream = _Stream(self.content.encoding)

    async def open(self) -> None:
        """Begin to store data."""
        await self._stream.open(self._open, self.storage, self.data_key, self.content.content_type)

    async def write(self, data: bytes | bytearray | memoryview | str) -> None:
        """Take more data, any number of times, in bounded memory.

        Raises:
            TargetWriteError: It cannot be stored, is text without an encoding, or comes after the commit.
        """
        self.check_open()
        await self._stream.write(data)

    async def _finish(self) -> None:
        await self._stream.finish()

    async def _measure(self) -> None:
        await self._stream.measure()

    def _measured(self) -> dict[str, Any]:
        return {"size": self._stream.size, "sha256": self._stream.sha256, "etag": self._stream.etag}


@dataclass(kw_only=True)
class FolderDraft(Draft):
    """One attempt at a target that is a folder of files."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._parts: dict[str, Part] = {}
        self._under_way: set[str] = set()

    async def open(self) -> None:
        """Begin to store data; the folder appears with its first part."""

    @asynccontextmanager
    async def create(self, name: str) -> AsyncIterator["PartDraft"]:
        """Open a new part for writing; several may be open at a time.

        Args:
            name: Its path inside the folder, such as `part-0.parquet` or `hour=07/part-0.parquet`.

        Raises:
            TargetNameError: The name cannot be one.
            TargetWriteError: There is a part of that name, or the data cannot be stored.
        """
        self.check_open()
        self._claim(name)
        stream = _Stream(self.content.encoding)
        try:
            async with AsyncExitStack() as stack:
                await stream.open(stack, self.storage, f"{self.data_key}/{name}", self.content.content_type)
                yield PartDraft(stream)
                await stream.finish()
            await stream.measure()
        except BaseException:
            self._under_way.discard(name)
            raise
        self._under_way.discard(name)
        self._parts[name] = Part(name=name, size=stream.size, sha256=stream.sha256)

    def _claim(self, name: str) -> None:
        parts = name.split("/")
        if any(not part or codec.encode(part, "part name") != part for part in parts):
            raise TargetNameError(
                f"part name {quoted(name)} may only contain letters, digits and '_=,@+:.-' "
                "in parts that do not begin with '.' or '-'"
            )
        if parts[-1].endswith(".part"):
            raise TargetNameError(f"part name {quoted(name)} ends in '.part', which marks unfinished files")
        for other in (*self._parts, *self._under_way):
            if name == other:
                raise TargetWriteError(f"there is a part {name!r} already")
            if name.startswith(f"{other}/") or other.startswith(f"{name}/"):
                file = min(name, other, key=len)
                raise TargetNameError(f"part {quoted(file)} cannot be a file and a folder at once")
        self._under_way.add(name)

    async def _finish(self) -> None:
        if self._under_way:
            raise TargetWriteError(f"parts are still being written: {', '.join(sorted(self._under_way))}")
        if not self._parts:
            raise TargetWriteError("a folder needs at least one part")

    async def _measure(self) -> None:
        """Do nothing: the parts are measured."""

    def _measured(self) -> dict[str, Any]:
        parts = tuple(self._parts[name] for name in sorted(self._parts))
        return {
            "size": sum(part.size for part in parts),
            "sha256": combined_sha256(parts),
            "etag": None,
            "parts": parts,
        }


class PartDraft:
    """One file of a folder while it is written."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    async def write(self, data: bytes | bytearray | memoryview | str) -> None:
        """Take more data, any number of times, in bounded memory."""
        await self._stream.write(data)
