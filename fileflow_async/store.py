"""Targets in a storage: begin, commit, look, read."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Unpack, cast

from fileflow_async.clock import Clock, SystemClock
from fileflow_async.draft import Draft, FileDraft, FolderDraft, bind
from fileflow_async.errors import FileflowError
from fileflow_async.feed import Feed
from fileflow_async.looking import Looking
from fileflow_async.manifest import Manifest, Producer
from fileflow_async.publishing import Publishing, WriteOptions
from fileflow_async.reading import Piece, Reading, Stream
from fileflow_async.status import Status, removable
from fileflow_async.storage.protocol import Storage
from fileflow_async.target import Reference, Target, check_key
from fileflow_async.target_set import SetKey, TargetSet, check_place

ABANDONED_AFTER = 86_400.0  # a day: longer than a task that still lives is silent


class TargetStore:
    """The targets in one storage, which it borrows.

    Args:
        storage: An open storage; whoever opened it closes it.
        clock: Where the time comes from.
        feed: Whether commits are announced to those who wait; see `feed`.
        abandoned_after: From what age on, in seconds, an attempt without a commit counts as abandoned.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        clock: Clock | None = None,
        feed: bool = True,
        abandoned_after: float = ABANDONED_AFTER,
    ) -> None:
        self.storage = storage
        self.clock = clock or SystemClock()
        self.feed = Feed(storage) if feed else None
        self.abandoned_after = abandoned_after
        self._looking = Looking(storage, abandoned_after=abandoned_after)
        self._publishing = Publishing(storage, looking=self._looking, clock=self.clock, feed=self.feed)

    @property
    def root(self) -> str:
        """The URI under which the targets lie."""
        return self.storage.root

    @asynccontextmanager
    async def write(self, target: Target | str, **options: Unpack[WriteOptions]) -> AsyncIterator[FileDraft]:
        """Write a target that is one file: a commit when the block ends well, nothing otherwise.

        Args:
            target: The place, or its key.
            options: See `WriteOptions`.

        Raises:
            TargetWriteError: The data could not be stored.
            TargetSupersededError: A newer attempt is committed; this one's result is not the value.
        """
        async with self.begin(target, **options) as draft:
            yield draft
            await self.commit(draft)

    @asynccontextmanager
    async def write_folder(
        self, target: Target | str, **options: Unpack[WriteOptions]
    ) -> AsyncIterator[FolderDraft]:
        """Write a target of several files: one commit for all of them when the block ends well."""
        async with self.begin_folder(target, **options) as draft:
            yield draft
            await self.commit(draft)

    @asynccontextmanager
    async def begin(self, target: Target | str, **options: Unpack[WriteOptions]) -> AsyncIterator[FileDraft]:
        """Begin an attempt that the caller commits, alone or together with others.

        A block that ends without a commit has published nothing.
        """
        async with self._publishing.begin(FileDraft, _key(target), **options) as draft:
            yield draft

    @asynccontextmanager
    async def begin_folder(
        self, target: Target | str, **options: Unpack[WriteOptions]
    ) -> AsyncIterator[FolderDraft]:
        """Begin an attempt at a target of several files; see `begin`."""
        async with self._publishing.begin(FolderDraft, _key(target), **options) as draft:
            yield draft

    async def commit(self, draft: Draft) -> Reference:
        """Make the data of a draft the value of its target, and return the version.

        Raises:
            TargetSupersededError: A newer attempt is committed; this one's result is not the value.
        """
        return (await self._publishing.commit([draft]))[0]

    async def commit_all(self, drafts: Sequence[Draft]) -> Sequence[Reference]:
        """Commit all outputs of one task: all their data first, then all their records.

        A crash between two records leaves some of them committed; the records tell which belong together, and
        the next try commits a whole new set. A `TargetSet` is what waits for that.

        Raises:
            TargetSupersededError: A newer attempt at one of them is committed; none of them is.
        """
        bind(drafts)
        return await self._publishing.commit(drafts)

    async def fail(self, target: Target | str, *, error: str, producer: Producer) -> bool:
        """Tell those who wait that the producer has failed for good; return whether it was worth telling.

        It never hides a commit: where this try or a newer one has committed, nothing is written.
        """
        return await self._publishing.fail(_key(target), error=error, producer=producer)

    async def state(self, target: Target | TargetSet | Reference | str) -> Status:
        """Look at a target, or at a set of them.

        Raises:
            StorageUnavailableError: It cannot be seen for now.
            TargetAccessError: It may not be seen.
        """
        key = target.key if isinstance(target, TargetSet) else _place(target)
        status = (await self.states([key]))[key]
        if isinstance(status, FileflowError):
            raise status
        return status

    async def states(self, keys: Collection[str]) -> Mapping[str, Status | FileflowError]:
        """Look at several targets in few requests; one that cannot be seen has its error in its place.

        A key may be that of a set, whose status is that of all its targets together.
        """
        return await self._looking.states(keys)

    async def history(self, target: Target | str) -> Sequence[Status]:
        """Return every commit of a target that is still kept, the newest first."""
        return await self._looking.history(_key(target))

    async def read(self, what: Target | Reference | str, *, part: str | None = None) -> bytes:
        """Return verified bytes: the newest version of a target, or just the one that a reference names.

        Args:
            what: A target, its key, or a reference.
            part: Which file, where the target is a folder.

        Raises:
            TargetNotFoundError: Nothing is committed, or the version is no longer kept.
            TargetCorruptError: What is there contradicts its record.
            FormatError: The target is a folder and no part is named, or the reverse.
        """
        return await self._reading(what, part).whole()

    @asynccontextmanager
    async def open(self, what: Target | Reference | str, *, part: str | None = None) -> AsyncIterator[Stream]:
        """Open a version for reading it in pieces, in bounded memory; see `read`.

        The stream raises TargetCorruptError at its end when what it handed out is not what was committed;
        its `record` says what that is.
        """
        async with self._reading(what, part).opened() as stream:
            yield stream

    async def version(self, what: Target | Reference | str) -> Status:
        """Return the newest commit of a target, or just the one that a reference names.

        Unlike `state` it looks through a failure of a later try: what was committed can still be read.

        Raises:
            TargetNotFoundError: Nothing is committed, or the version is no longer kept.
            TargetCorruptError: The record contradicts the data, or the reference.
            FormatError: The record is of a later version of this package.
        """
        return await self._looking.version(_key(what), what if isinstance(what, Reference) else None)

    async def versions(self, place: Target | TargetSet) -> Sequence[Reference]:
        """Return the newest commit of a target, or those of a set, when they come from one try.

        Raises:
            TargetNotFoundError: Nothing is committed, or of a set only a part.
            TargetCorruptError: What is there contradicts its record.
        """
        if isinstance(place, Target):
            return (await self.version(place)).references
        return await self._looking.versions(place.key, cast(SetKey, SetKey.parse(place.key)))

    async def delete(self, target: Target | str) -> None:
        """Remove a target with its history.

        The oldest goes first, each record before its data, so that whoever looks meanwhile never sees an
        older value or failure than before. An attempt under way stays, and may be committed later: without
        its data its record would be one of nothing. Once abandoned, it goes too.
        """
        folder = f"{_key(target)}/"
        await self.storage.delete(
            removable(folder, await self.storage.list(folder), abandoned_after=self.abandoned_after)
        )

    def _reading(self, what: Target | Reference | str, part: str | None) -> Reading:
        async def find() -> Piece:
            status = await self.version(what)
            found = cast(Manifest, status.manifest)  # what version() returns has one
            return Piece.of(status.key, found, part)

        return Reading(self.storage, self.clock, find)


def _place(what: Target | Reference | str) -> str:
    return check_place(what) if isinstance(what, str) else _key(what)


def _key(what: Target | Reference | str) -> str:
    if isinstance(what, Target):
        return what.key
    return check_key(what.target if isinstance(what, Reference) else what)
