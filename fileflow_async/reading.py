"""Hand out the bytes of one version, checked against its record."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Self, TypeVar

from fileflow_async.clock import Clock
from fileflow_async.digest import Digest
from fileflow_async.errors import (
    FormatError,
    StorageError,
    TargetCorruptError,
    TargetNotFoundError,
    TargetSupersededError,
    quoted,
)
from fileflow_async.formats.filling import Filling
from fileflow_async.manifest import SUFFIX, Manifest
from fileflow_async.storage.protocol import Storage

Used = TypeVar("Used")
SECOND_LOOK = 2.0  # seconds: a record whose data is gone may be a clean-up seen half way


@dataclass(frozen=True, slots=True)
class Piece:
    """One object of a version, and what it must be."""

    key: str
    size: int
    sha256: str
    etag: str | None
    record: Manifest

    @property
    def name(self) -> str:
        """How errors call it."""
        return self.key.rpartition("/")[2]

    @classmethod
    def of(cls, key: str, record: Manifest, part: str | None) -> "Piece":
        """Return the object that is asked for.

        Raises:
            FormatError: The version is a folder and no part of it is asked for, or the reverse.
        """
        data = f"{key}/{record.data}"
        if record.parts is None:
            if part is not None:
                raise FormatError(f"{record.data!r} is one file; it has no part {quoted(part)}")
            return cls(data, record.size, record.sha256, record.etag, record)
        found = next((each for each in record.parts if each.name == part), None)
        if found is None:
            names = ", ".join(repr(each.name) for each in record.parts[:5])
            more = "" if len(record.parts) <= 5 else f" and {len(record.parts) - 5} more"
            asked = "name one with part=" if part is None else f"it has no part {quoted(part)}"
            raise FormatError(f"{record.data!r} is a folder of {names}{more}; {asked}")
        return cls(f"{data}/{found.name}", found.size, found.sha256, None, record)

    def check(self, size: int, sha256: str) -> None:
        """Compare what was read with what was committed.

        Raises:
            TargetCorruptError: They differ.
        """
        if size != self.size:
            raise TargetCorruptError(f"{self.name!r} has {size} bytes; the manifest says {self.size}")
        if sha256 != self.sha256:
            raise TargetCorruptError(
                f"{self.name!r} does not match its sha256 (read {sha256[:12]}…, manifest {self.sha256[:12]}…)"
            )


class Stream:
    """The bytes of one version, which raise TargetCorruptError at their end when they are not its.

    A read that failed or was cancelled may have lost some: no other follows then, nor is one the end.

    Attributes:
        record: What was committed; it goes along, so that nobody has to look for it again.
    """

    def __init__(self, piece: Piece, pieces: AsyncIterator[bytes], digest: Digest) -> None:
        self.record = piece.record
        self._piece = piece
        self._pieces = pieces
        self._digest = digest
        self._is_whole = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        with self._unbroken():
            data = await anext(self._pieces, None)
            await self._take(data)
        if data is None:
            raise StopAsyncIteration
        return data

    def close(self) -> None:
        """Give out nothing more."""
        self._is_whole = False

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        if not self._is_whole:
            raise StorageError(
                f"{self._piece.name!r} cannot be read on: an earlier read failed, was cancelled or is still "
                "going on, or the block that opened it has ended",
                hint="Open it again.",
            )
        self._is_whole = False  # until this has gone well
        yield
        self._is_whole = True

    async def _take(self, data: bytes | memoryview | None) -> None:
        if data is None:
            self._piece.check(self._digest.size, await self._digest.hexdigest())
        else:
            await self._digest.update(data)


class FillingStream(Stream):
    """One that can be read into memory, too."""

    def __init__(self, piece: Piece, pieces: Filling, digest: Digest) -> None:
        super().__init__(piece, pieces, digest)
        self._filling = pieces

    async def readinto(self, room: memoryview) -> int:
        """Read the next bytes into memory, as many as suit; return how many, none at the end.

        The memory stays in use for a while, as the hash is made beside.
        """
        with self._unbroken():
            count = await self._filling.readinto(room)
            await self._take(room[:count] if count else None)
        return count


@dataclass(frozen=True, slots=True)
class Reading:
    """How one version is read: what is lost or damaged is looked for once more.

    Attributes:
        find: Finds the object to read; called again for the second look.
    """

    storage: Storage
    clock: Clock
    find: Callable[[], Awaitable[Piece]]

    async def whole(self) -> bytes:
        """Return all the bytes, once they have passed every check."""
        return await self._twice(self._read)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Stream]:
        """Open the bytes as a stream."""
        async with AsyncExitStack() as stack:
            piece, pieces = await self._twice(lambda piece: self._open(stack, piece))
            digest = await stack.enter_async_context(Digest())
            if isinstance(pieces, Filling):
                stream: Stream = FillingStream(piece, pieces, digest)
            else:
                stream = Stream(piece, pieces, digest)
            stack.callback(stream.close)
            yield stream

    async def _twice(self, use: Callable[[Piece], Awaitable[Used]]) -> Used:
        try:
            return await use(await self.find())
        except (TargetCorruptError, TargetSupersededError):
            await self.clock.sleep(SECOND_LOOK)
        try:
            return await use(await self.find())
        except TargetSupersededError as error:
            raise TargetSupersededError(f"{error}; retried once") from error

    async def _read(self, piece: Piece) -> bytes:
        with _data_of_a_record(piece):
            data = await self.storage.read(piece.key)
        async with Digest() as digest:
            await digest.update(data)
            piece.check(digest.size, await digest.hexdigest())
        return data

    async def _open(self, stack: AsyncExitStack, piece: Piece) -> tuple[Piece, AsyncIterator[bytes]]:
        with _data_of_a_record(piece):
            stream = self.storage.stream(piece.key, etag=piece.etag)
            return piece, await stack.enter_async_context(stream)


@contextmanager
def _data_of_a_record(piece: Piece) -> Iterator[None]:
    """Say of data that is not there what that means: its record promises it."""
    try:
        yield
    except TargetNotFoundError as error:
        record = piece.record.data + SUFFIX
        raise TargetCorruptError(f"{record!r} exists but its data {piece.name!r} does not") from error
