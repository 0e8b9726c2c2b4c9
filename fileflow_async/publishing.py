"""Make data the value of a target: the token, the fence, the record, and the word of it."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypeVar, Unpack, cast

from fileflow_async import codec, manifest
from fileflow_async.clock import Clock
from fileflow_async.content import Content, ContentOptions
from fileflow_async.draft import Draft
from fileflow_async.errors import FileflowError, TargetNameError, TargetSupersededError, TargetWriteError
from fileflow_async.feed import Feed
from fileflow_async.looking import Looking
from fileflow_async.manifest import Failure, Input, Manifest, Producer
from fileflow_async.status import FAILED_SUFFIX, Survey, token_of
from fileflow_async.storage.protocol import Storage
from fileflow_async.target import Attempt, Reference, milliseconds_of, token_at, token_milliseconds
from fileflow_async.target_set import everything_beside

_JSON = "application/json"
_SKEW = 60_000  # milliseconds by which the clocks of two schedulers may differ: ADR 0021

AnyDraft = TypeVar("AnyDraft", bound=Draft)

log = logging.getLogger(__name__)


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


class Publishing:
    """Begins attempts and commits them.

    Args:
        storage: An open storage; whoever opened it closes it.
        looking: Sees what lies in it.
        clock: Where the time comes from.
        feed: Where commits are announced; None for nowhere.
    """

    def __init__(self, storage: Storage, *, looking: Looking, clock: Clock, feed: Feed | None) -> None:
        self._storage = storage
        self._looking = looking
        self._clock = clock
        self._feed = feed

    @asynccontextmanager
    async def begin(
        self,
        kind: type[AnyDraft],
        key: str,
        *,
        producer: Producer | None = None,
        inputs: Sequence[Input] = (),
        interval: tuple[str, str] | None = None,
        **options: Unpack[ContentOptions],
    ) -> AsyncIterator[AnyDraft]:
        """Begin an attempt, and take back what it has written when the block ends without a commit."""
        content, producer = Content.of(**options), producer or Producer()
        opened = AsyncExitStack()
        draft = kind(
            key=key,
            slot=_slot(key),
            attempt=await self._attempt(key, producer, content.extension),
            content=content,
            producer=producer,
            storage=self._storage,
            clock=self._clock,
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

    async def commit(self, drafts: Sequence[Draft]) -> Sequence[Reference]:
        """Commit several drafts: all their data first, then all their records.

        Raises:
            TargetSupersededError: A newer attempt at one of them is committed; none of them is.
        """
        for draft in drafts:
            await draft.finish()
        # Once sent, a record stays as it was: only then a second try after a lost reply is no other commit.
        records = [(draft, draft.sent or draft.record()) for draft in drafts]
        stored = [record.to_bytes() for _, record in records]
        for draft in drafts:
            await self._fence(draft)
        published = dict[str, float]()
        try:
            for (draft, record), raw in zip(records, stored, strict=True):
                # Nothing in between: a crash there leaves only some of them.
                if draft.reference is None:
                    published[draft.key] = await self._publish(draft, record, raw)
        except FileflowError:
            await self._announce(published)
            raise
        await self._announce(published)
        return [cast(Reference, draft.reference) for draft in drafts]

    async def fail(self, key: str, *, error: str, producer: Producer) -> bool:
        """Tell those who wait that the producer has failed for good; return whether it was worth telling.

        It never hides a commit: where this try or a newer one has committed, nothing is written.
        """
        survey = await self._looking.survey(key)
        attempt = Attempt.begin(self._moment_of(producer), try_number=producer.try_number)
        if survey.record is not None and token_of(survey.record) >= attempt.token:
            return False
        record = Failure(error=error, producer=producer).to_bytes()
        entry = await self._storage.put(f"{key}/{attempt.stem}{FAILED_SUFFIX}", record, content_type=_JSON)
        await self._announce({key: entry.modified})
        return True

    async def _attempt(self, key: str, producer: Producer, extension: str | None) -> Attempt:
        """Take the token: this try's age, raised above all that was seen there, whatever the clocks say.

        But for an attempt under way that is much newer than this try: it is that one's successor.
        """  # ADR 0021
        survey = await self._looking.survey(key)
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
        status = await self._looking.commit(key, survey, survey.record)
        if status.manifest is None:  # damaged: whatever comes is better
            return
        theirs = milliseconds_of(status.manifest.producer.ti_id)
        if theirs is not None and theirs > mine:
            raise _superseded(survey.record.name)

    def _moment_of(self, producer: Producer) -> int:
        made = milliseconds_of(producer.ti_id)
        return int(self._clock.time() * 1000) if made is None else made

    async def _fence(self, draft: Draft) -> None:
        """Refuse to commit below a newer commit: a reader would never see it, and its task believe it had."""
        if draft.reference is not None:
            return
        survey = await self._looking.survey(draft.key)
        if survey.record is not None and survey.record.name > draft.attempt.name + manifest.SUFFIX:
            raise _superseded(survey.record.name)
        if draft.attempt.name not in survey.data:
            raise TargetWriteError(f"{draft.uri} was removed before its commit; nothing was published")
        mine = milliseconds_of(draft.producer.ti_id)
        if mine is not None and draft.attempt.token > token_at(mine):
            # Raised, maybe above a newer try that was under way and has committed since.
            await self._refuse_if_older(draft.key, survey, draft.producer)

    async def _publish(self, draft: Draft, record: Manifest, raw: bytes) -> float:
        """Store the record of a draft, and return when that was, by the store's clock."""
        draft.sent = record
        entry = await self._storage.put(draft.data_key + manifest.SUFFIX, raw, content_type=_JSON)
        draft.reference = record.reference(draft.key, self._storage.root)
        return entry.modified

    async def _announce(self, moments: Mapping[str, float]) -> None:
        """Say in the feed which targets have news, and since when, by the store's clock."""
        beside = {everything_beside(key): moment for key, moment in moments.items()}
        for key, moment in (*moments.items(), *beside.items()):
            if key is not None and self._feed is not None:
                await self._feed.append(key, moment)


class _NotCommittedError(Exception):
    """A block ended well, but without its commit."""


def _check_whole(draft: Draft) -> None:
    if not draft.is_whole:
        raise _NotCommittedError


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
