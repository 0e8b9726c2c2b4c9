"""Targets in a storage: begin, commit, look, read."""

import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypedDict, TypeVar, Unpack, cast

from fileflow_async import codec, manifest
from fileflow_async.clock import Clock, SystemClock
from fileflow_async.content import Content
from fileflow_async.draft import Draft, FileDraft, FolderDraft, bind
from fileflow_async.errors import (
    FileflowError,
    TargetCorruptError,
    TargetNameError,
    TargetNotFoundError,
    TargetSupersededError,
    TargetWriteError,
)
from fileflow_async.feed import Feed
from fileflow_async.manifest import Failure, Input, Manifest, Producer
from fileflow_async.reading import Piece, Reading
from fileflow_async.set_status import judge_set, members_of
from fileflow_async.status import (
    FAILED_SUFFIX,
    Status,
    Survey,
    folder_in_question,
    judge,
    judge_folder,
    only,
    removable,
    token_of,
    wanted,
)
from fileflow_async.storage.protocol import Storage
from fileflow_async.target import (
    Attempt,
    Reference,
    Target,
    check_key,
    milliseconds_of,
    token_at,
    token_milliseconds,
)
from fileflow_async.target_set import SetKey, TargetSet, check_place, everything_beside

ABANDONED_AFTER = 86_400.0  # a day: longer than a task that still lives is silent
_JSON = "application/json"
_SKEW = 60_000  # milliseconds by which the clocks of two schedulers may differ: ADR 0021

AnyDraft = TypeVar("AnyDraft", bound=Draft)

log = logging.getLogger(__name__)


class ContentOptions(TypedDict, total=False):
    """What may be said of the data of an attempt when it begins; all of it is optional.

    Attributes:
        format: What the data is: text, bytes, json, jsonl, csv, parquet, arrow, or a word of your own.
        extension: The end of the data's name; by default the format's.
        content_type: Its media type; by default the format's.
        encoding: How text given to `write` becomes bytes.
        compression: How the data given is compressed already: gzip or zstd.
    """

    format: str | None
    extension: str | None
    content_type: str | None
    encoding: str | None
    compression: str | None


class WriteOptions(ContentOptions, total=False):
    """What may be said of an attempt when it begins; all of it is optional.

    Attributes:
        producer: Which try of which task writes; by default nobody known.
        inputs: The versions that it was made from.
        interval: The first and the last moment that the data is about, in ISO 8601.
    """

    producer: Producer | None
    inputs: Sequence[Input]
    interval: tuple[str, str] | None


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
        async with self._begin(FileDraft, target, **options) as draft:
            yield draft

    @asynccontextmanager
    async def begin_folder(
        self, target: Target | str, **options: Unpack[WriteOptions]
    ) -> AsyncIterator[FolderDraft]:
        """Begin an attempt at a target of several files; see `begin`."""
        async with self._begin(FolderDraft, target, **options) as draft:
            yield draft

    async def commit(self, draft: Draft) -> Reference:
        """Make the data of a draft the value of its target, and return the version.

        Raises:
            TargetSupersededError: A newer attempt is committed; this one's result is not the value.
        """
        return (await self._commit([draft]))[0]

    async def commit_all(self, drafts: Sequence[Draft]) -> Sequence[Reference]:
        """Commit all outputs of one task: all their data first, then all their records.

        A crash between two records leaves some of them committed; the records tell which belong together, and
        the next try commits a whole new set. A `TargetSet` is what waits for that.

        Raises:
            TargetSupersededError: A newer attempt at one of them is committed; none of them is.
        """
        bind(drafts)
        return await self._commit(drafts)

    async def _commit(self, drafts: Sequence[Draft]) -> Sequence[Reference]:
        for draft in drafts:
            await draft.finish()
        # Once sent, a record stays as it was: only then a second try after a lost reply is no other commit.
        records = [(draft, draft.sent or draft.record().to_bytes()) for draft in drafts]
        for draft in drafts:
            await self._fence(draft)
        published = dict[str, float]()
        try:
            for draft, record in records:  # nothing in between: a crash there leaves only some of them
                if draft.reference is None:
                    published[draft.key] = await self._publish(draft, record)
        except FileflowError:
            await self._announce(published)
            raise
        await self._announce(published)
        return [cast(Reference, draft.reference) for draft in drafts]

    async def fail(self, target: Target | str, *, error: str, producer: Producer) -> bool:
        """Tell those who wait that the producer has failed for good; return whether it was worth telling.

        It never hides a commit: where this try or a newer one has committed, nothing is written.
        """
        key = _key(target)
        survey = await self._survey(key)
        attempt = Attempt.begin(self._moment_of(producer), try_number=producer.try_number)
        if survey.record is not None and token_of(survey.record) >= attempt.token:
            return False
        record = Failure(error=error, producer=producer).to_bytes()
        entry = await self.storage.put(f"{key}/{attempt.stem}{FAILED_SUFFIX}", record, content_type=_JSON)
        await self._announce({key: entry.modified})
        return True

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
        sets = {key: asked for key in keys if (asked := SetKey.parse(key)) is not None}
        if not sets:
            return await self._states(keys)
        members = await self._members(sets)
        wanted = {
            each for found in members.values() if not isinstance(found, FileflowError) for each in found
        }
        seen = await self._states(wanted.union(keys).difference(sets))
        return {
            key: seen[key]
            if key not in sets
            else found
            if isinstance(found := members[key], FileflowError)
            else judge_set(key, sets[key], {each: seen[each] for each in found})
            for key in keys
        }

    async def _states(self, keys: Collection[str]) -> Mapping[str, Status | FileflowError]:
        listings = await self.storage.list_each([f"{key}/" for key in keys])
        seen: dict[str, Survey | FileflowError] = {
            key: listing if isinstance(listing := listings[f"{key}/"], FileflowError) else Survey.of(listing)
            for key in keys
        }
        raw = await self.storage.read_each(
            [record for survey in seen.values() if isinstance(survey, Survey) for record in wanted(survey)]
        )
        return {
            key: await self._sure(self._judge(key, survey, raw)) if isinstance(survey, Survey) else survey
            for key, survey in seen.items()
        }

    async def history(self, target: Target | str) -> Sequence[Status]:
        """Return every commit of a target that is still kept, the newest first."""
        key = _key(target)
        survey = await self._survey(key)
        newest_first = sorted(survey.records, key=lambda entry: entry.name, reverse=True)
        raw = await self.storage.read_each(
            [name for each in newest_first for name in wanted(only(survey, each))]
        )
        statuses = []
        for each in newest_first:
            if isinstance(raw.get(each.key), TargetNotFoundError):
                continue  # cleaned up since it was listed
            status = self._judge(key, only(survey, each), raw)
            if isinstance(status, FileflowError):
                raise status
            statuses.append(status)
        return statuses

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
    async def open(
        self, what: Target | Reference | str, *, part: str | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a version for reading it in pieces, in bounded memory; see `read`.

        The stream raises TargetCorruptError at its end when what it handed out is not what was committed.
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
        key = _key(what)
        survey = await self._survey(key)
        record = survey.record
        if isinstance(what, Reference):
            name = what.data + manifest.SUFFIX
            record = next((entry for entry in survey.records if entry.name == name), None)
        if record is None:
            raise _absent(what, self.storage.uri(key), await self.state(key))
        seen = only(survey, record)
        status = self._judge(key, seen, await self.storage.read_each(wanted(seen)))
        if isinstance(status, FileflowError):
            raise status
        if status.error is not None:
            raise status.error
        if isinstance(what, Reference) and not _is_of(what, status.manifest):
            raise TargetCorruptError(f"{record.name!r} is not the record that the reference names")
        return status

    async def versions(self, place: Target | TargetSet) -> Sequence[Reference]:
        """Return the newest commit of a target, or those of a set, when they come from one try.

        Raises:
            TargetNotFoundError: Nothing is committed, or of a set only a part.
            TargetCorruptError: What is there contradicts its record.
        """
        if isinstance(place, Target):
            return (await self.version(place)).references
        asked, seen = cast(SetKey, SetKey.parse(place.key)), dict[str, Status | FileflowError]()
        found = (await self._members({place.key: asked}))[place.key]
        if isinstance(found, FileflowError):
            raise found
        for key in found:
            with suppress(TargetNotFoundError):
                seen[key] = await self.version(key)
        status = judge_set(place.key, asked, seen)
        if isinstance(status, Status) and status.is_committed:
            return status.references
        why = status.why if isinstance(status, Status) else status
        raise TargetNotFoundError(f"{self.storage.uri(place.key)} has no committed version: {why}")

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
            return Piece.of(
                status.key, cast(Manifest, status.manifest), part
            )  # what version() returns has one

        return Reading(self.storage, self.clock, find)

    @asynccontextmanager
    async def _begin(
        self,
        kind: type[AnyDraft],
        target: Target | str,
        *,
        format: str | None = None,
        extension: str | None = None,
        content_type: str | None = None,
        encoding: str | None = None,
        compression: str | None = None,
        producer: Producer | None = None,
        inputs: Sequence[Input] = (),
        interval: tuple[str, str] | None = None,
    ) -> AsyncIterator[AnyDraft]:
        content = Content.of(
            format,
            extension=extension,
            content_type=content_type,
            encoding=encoding,
            compression=compression,
        )
        key, producer = _key(target), producer or Producer()
        opened = AsyncExitStack()
        draft = kind(
            key=key,
            slot=_slot(key),
            attempt=await self._attempt(key, producer, content.extension),
            content=content,
            producer=producer,
            storage=self.storage,
            clock=self.clock,
            interval=interval,
            inputs=inputs,
            _open=opened,
        )
        try:
            with suppress(_NotCommittedError):
                async with opened:
                    await draft.open()
                    yield draft
                    _check_whole(draft)  # else what was written so far is taken back
        finally:
            draft.is_closed = True
        if draft.reference is None:
            log.warning("%s: closed without commit(); nothing was published", draft.uri)

    async def _attempt(self, key: str, producer: Producer, extension: str | None) -> Attempt:
        """Take the token: this try's age, raised above all that was seen there, whatever the clocks say.

        But for an attempt under way that is much newer than this try: it is that one's successor.
        """  # ADR 0021
        survey = await self._survey(key)
        moment, made = self._moment_of(producer), milliseconds_of(producer.ti_id)
        highest = survey.highest(under_way_until=None if made is None else token_at(made + _SKEW))
        if highest and (seen := token_milliseconds(highest)) >= moment:
            await self._refuse_if_older(key, survey, producer)
            moment = seen + 1
        return Attempt.begin(moment, try_number=producer.try_number, extension=extension)

    async def _refuse_if_older(self, key: str, survey: Survey, producer: Producer) -> None:
        """Refuse a try that begins only now although a newer one is committed."""  # ADR 0015
        mine = milliseconds_of(producer.ti_id)
        if mine is None or survey.record is None:
            return
        seen = only(survey, survey.record)
        status = self._judge(key, seen, await self.storage.read_each(wanted(seen)))
        if isinstance(status, FileflowError):
            raise status
        if status.manifest is None:  # damaged: whatever comes is better
            return
        theirs = milliseconds_of(status.manifest.producer.ti_id)
        if theirs is not None and theirs > mine:
            raise _superseded(survey.record.name)

    def _moment_of(self, producer: Producer) -> int:
        made = milliseconds_of(producer.ti_id)
        return int(self.clock.time() * 1000) if made is None else made

    async def _fence(self, draft: Draft) -> None:
        """Refuse to commit below a newer commit: a reader would never see it, and its task believe it had."""
        if draft.reference is not None:
            return
        survey = await self._survey(draft.key)
        if survey.record is not None and survey.record.name > draft.attempt.name + manifest.SUFFIX:
            raise _superseded(survey.record.name)
        if draft.attempt.name not in survey.data:
            raise TargetWriteError(f"{draft.uri} was removed before its commit; nothing was published")
        mine = milliseconds_of(draft.producer.ti_id)
        if mine is not None and draft.attempt.token > token_at(mine):
            # Raised, maybe above a newer try that was under way and has committed since.
            await self._refuse_if_older(draft.key, survey, draft.producer)

    async def _members(self, sets: Mapping[str, SetKey]) -> Mapping[str, Sequence[str] | FileflowError]:
        """Return the keys of the targets of each set; of all outputs of a task those that have a folder."""
        folders = {key: f"{asked.folder}/" for key, asked in sets.items() if not asked.names}
        listings = await self.storage.list_each(list(dict.fromkeys(folders.values())))
        return {
            key: members_of(listings[folders[key]]) if key in folders else asked.keys()
            for key, asked in sets.items()
        }

    async def _publish(self, draft: Draft, record: bytes) -> float:
        """Store the record of a draft, and return when that was, by the store's clock."""
        draft.sent = record
        entry = await self.storage.put(draft.data_key + manifest.SUFFIX, record, content_type=_JSON)
        committed = manifest.parse(record, entry.name)
        draft.reference = Reference(
            target=draft.key,
            data=committed.data,
            size=committed.size,
            sha256=committed.sha256,
            rows=committed.rows,
            format=committed.format,
            root=self.root,
        )
        return entry.modified

    async def _announce(self, moments: Mapping[str, float]) -> None:
        """Say in the feed which targets have news, and since when, by the store's clock."""
        beside = {everything_beside(key): moment for key, moment in moments.items()}
        for key, moment in (*moments.items(), *beside.items()):
            if key is not None and self.feed is not None:
                await self.feed.append(key, moment)

    async def _survey(self, key: str) -> Survey:
        return Survey.of(await self.storage.list(f"{key}/", shallow=True))

    async def _sure(self, status: Status | FileflowError) -> Status | FileflowError:
        """Look into a folder where the state hangs on what is in it."""
        if isinstance(status, FileflowError) or (folder := folder_in_question(status)) is None:
            return status
        try:
            inside = await self.storage.list(folder)
        except FileflowError as error:
            return error
        return judge_folder(status, inside, abandoned_after=self.abandoned_after)

    def _judge(
        self, key: str, survey: Survey, raw: Mapping[str, bytes | FileflowError]
    ) -> Status | FileflowError:
        try:
            return judge(key, survey, raw, abandoned_after=self.abandoned_after, root=self.root)
        except FileflowError as error:
            return error


class _NotCommittedError(Exception):
    """A block ended well, but without its commit."""


def _check_whole(draft: Draft) -> None:
    if not draft.is_whole:
        raise _NotCommittedError


def _place(what: Target | Reference | str) -> str:
    return check_place(what) if isinstance(what, str) else _key(what)


def _key(what: Target | Reference | str) -> str:
    if isinstance(what, Target):
        return what.key
    return check_key(what.target if isinstance(what, Reference) else what)


def _is_of(reference: Reference, record: Manifest | None) -> bool:
    """Whether a record is the one that a reference names: rows and format may be left out of a reference."""
    return record is not None and (record.size, record.sha256) == (reference.size, reference.sha256)


def _slot(key: str) -> str | None:
    try:
        return codec.decode(key.split("/")[1])
    except TargetNameError:  # it was too long to be kept whole
        return None


def _superseded(record: str) -> TargetSupersededError:
    return TargetSupersededError(
        f"a newer attempt already committed {record.removesuffix(manifest.SUFFIX)}; "
        "this attempt's result was not published"
    )


def _absent(what: Target | Reference | str, uri: str, status: Status) -> TargetNotFoundError:
    if isinstance(what, Reference):
        return TargetNotFoundError(
            f"{uri} no longer keeps the version {what.data}",
            hint="It was cleaned up or deleted; run the task that made it again.",
        )
    return TargetNotFoundError(f"{uri} has no committed version: {status.why}")
