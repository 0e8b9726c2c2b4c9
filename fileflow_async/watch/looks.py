"""Looks at the targets that somebody waits for."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import Never

from fileflow_async.clock import Clock
from fileflow_async.errors import FileflowError
from fileflow_async.feed import target_hash
from fileflow_async.status import State, Status, unreadable
from fileflow_async.target_set import SetKey
from fileflow_async.watch.alarms import Alarms
from fileflow_async.watch.asking import answer, explained
from fileflow_async.watch.inbox import Inbox
from fileflow_async.watch.source import Source
from fileflow_async.watch.unseen import Unseen
from fileflow_async.watch.watched import TICKS, Watched

PATIENCE = (
    90.0  # seconds until a request is given up; storages end theirs sooner, one that does not blocks a slot
)
_BATCH = 64  # targets answered by one look: what is done between two turns of the loop must take milliseconds
_LOOKS = 16  # looks in flight
_SLICE = 10  # waiters woken between two turns of the loop; each then runs for a tenth of a millisecond
_TICK = 5.0  # seconds: every target is rechecked in one of 120 ticks, those of a run in the same one
_BLIND_TICKS = 12  # in which all are rechecked while the feed cannot be read
_FOLLOW_UPS = (0.5, 2.0, 8.0, 30.0)  # seconds to the looks after a hint that showed nothing: a weak listing
_HEARD = sum(_FOLLOW_UPS)  # seconds that a hint is kept for whoever may come to wait for its target
_SECOND_LOOK = 2.0  # seconds: damage may be a clean-up seen half way
_ALMOST = 0.01  # seconds: an alarm may ring a rounding error too early

# What an entry of the feed stands for: a target that is still being written does not explain one.
_ANNOUNCED = frozenset({State.COMPLETE, State.EMPTY, State.CORRUPT, State.FAILED})

Count = Callable[[str, int], None]

log = logging.getLogger(__name__)


class Looks:
    """The targets of one watch: when each is looked at, and who is told.

    Args:
        clock: Where the time comes from.
        count: Told what happened, and how often.

    Attributes:
        unseen: Those that could not be looked at.
    """

    def __init__(self, clock: Clock, count: Count) -> None:
        self._clock = clock
        self._count = count
        self._targets: dict[str, Watched] = {}  # by hash
        self._sets: defaultdict[str, set[Watched]] = defaultdict(set)  # by the hashes that tell of them
        self._ticks: list[set[Watched]] = [set() for _ in range(TICKS)]
        self._tick = self._current_tick()
        self._heard: dict[str, float] = {}
        self._due: dict[Watched, None] = {}
        self._work = asyncio.Event()
        self._telling = asyncio.Lock()
        self._woken = 0
        self._alarms = Alarms(clock.monotonic, clock)
        self.unseen = Unseen(clock, self._look_soon)

    # Who waits.

    def add(self, key: str, inbox: Inbox, name: str) -> None:
        """Tell an inbox of a target, by that name, after a first look."""
        hash_ = target_hash(key)
        if (watched := self._targets.get(hash_)) is None:
            watched = self._targets[hash_] = Watched(key)
            self._ticks[watched.tick].add(watched)
            for other in _announced_by(key):
                self._sets[other].add(watched)
            if not self._heard.keys().isdisjoint((hash_, *_announced_by(key))):
                watched.hinted = len(_FOLLOW_UPS)  # the poll took the hint for nobody
        watched.inboxes[inbox] = name
        self._look_soon(watched)

    def remove(self, key: str, inbox: Inbox) -> None:
        """Tell it no longer."""
        hash_ = target_hash(key)
        watched = self._targets[hash_]
        del watched.inboxes[inbox]
        if not watched.inboxes:
            del self._targets[hash_]
            self._ticks[watched.tick].discard(watched)
            for other in _announced_by(key):
                self._sets[other].discard(watched)
                if not self._sets[other]:
                    del self._sets[other]
            self._due.pop(watched, None)
            self.unseen.forget(watched)
            if watched.alarm is not None:
                watched.alarm.cancel()

    async def refresh(self, keys: Collection[str]) -> None:
        """Look at targets that somebody waits for, and return when it has been done."""
        looked = [self._next_look(self._targets[target_hash(key)]) for key in keys]
        if looked:
            await asyncio.wait(looked)

    def _next_look(self, watched: Watched) -> asyncio.Future[None]:
        looked = asyncio.get_running_loop().create_future()
        watched.asked = watched.asked or []
        watched.asked.append(looked)
        self._look_soon(watched)
        return looked

    # When to look.

    def follow_all(self) -> None:
        """Look at every target: there is no feed."""
        for watched in self._targets.values():
            self._look_soon(watched)

    def follow(self, hashes: Collection[str]) -> None:
        """Look at the targets that the feed names."""
        until, followed = self._clock.monotonic() + _HEARD, 0
        for hash_ in hashes:
            if hash_ not in self._targets:
                self._heard[hash_] = until
            named = [self._targets[hash_]] if hash_ in self._targets else []
            named += self._sets.get(hash_, ())
            for watched in named:
                watched.hinted, watched.rechecked = len(_FOLLOW_UPS), False
                self._look_soon(watched)
            followed += bool(named)
        self._count("hints", followed)

    def recheck(self, *, blind: bool) -> None:
        """Look at those targets whose turn has come, whatever the feed says.

        To be called after each poll, so that what is found was not announced.
        """
        last, self._tick = self._tick, self._current_tick()
        period = _BLIND_TICKS if blind else TICKS
        turns = {tick % period for tick in range(max(last, self._tick - period) + 1, self._tick + 1)}
        for tick, targets in enumerate(self._ticks):
            for watched in targets if tick % period in turns else ():
                watched.rechecked = not (blind or watched.hinted)
                self._look_soon(watched)
        now = self._clock.monotonic()
        self._heard = {hash_: until for hash_, until in self._heard.items() if until > now}

    def _current_tick(self) -> int:
        return int(self._clock.monotonic() / _TICK)

    def _look_soon(self, watched: Watched) -> None:
        if watched.looking:
            watched.again = True  # one look at a time: an old answer must not overtake a new one
        elif watched.inboxes:
            self._due[watched] = None
            self._work.set()

    def _look_in(self, seconds: float, watched: Watched) -> None:
        """Set the target's one alarm, unless an earlier one is set: two chains of looks would never end."""
        moment = self._clock.monotonic() + seconds
        if watched.alarm is not None and watched.alarm.call is not None:
            if watched.alarm.moment <= moment:
                return
            watched.alarm.cancel()
        watched.alarm = self._alarms.at(moment, lambda: self._look_soon(watched))

    # Looking.

    async def run(self, source: Source) -> Never:
        """Look, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._alarms.run())
            tasks.create_task(self.unseen.run())
            await self._dispatch(source, tasks)

    async def lose(self, error: Exception) -> None:
        """Tell everybody that nothing can be seen; everything is looked at once it can."""
        for watched in list(self._targets.values()):
            await self._tell(watched, unreadable(watched.key, error))
            self._look_soon(watched)

    async def _dispatch(self, source: Source, tasks: asyncio.TaskGroup) -> Never:
        slots = asyncio.Semaphore(_LOOKS)
        while True:
            await self._work.wait()
            await asyncio.sleep(0)  # a burst of subscribers becomes one batch
            self._work.clear()
            due = sorted(self._due, key=attrgetter("key"))  # the targets of a run are answered together
            for start in range(0, len(due), _BATCH):
                await slots.acquire()
                task = tasks.create_task(self._look(source, due[start : start + _BATCH]))
                task.add_done_callback(lambda _: slots.release())

    async def _look(self, source: Source, due: Sequence[Watched]) -> None:
        batch = [watched for watched in due if watched in self._due]  # some wait no longer
        for watched in batch:
            del self._due[watched]
            watched.begin()
        try:
            answers = await self._ask(source, [watched.key for watched in batch]) if batch else {}
            async with self._telling:  # those of one look between two turns of the loop, not of sixteen
                for watched in batch:
                    await self._settle(watched, answers[watched.key])
        finally:
            for watched in batch:
                if watched.end():
                    self._look_soon(watched)

    async def _ask(self, source: Source, keys: Sequence[str]) -> Mapping[str, Status | Exception]:
        """Return an answer for each target, whatever the source does."""
        self._count("looks", len(keys))
        try:
            answers = await answer(source.look(keys), self._clock)
            return {key: answers[key] for key in keys}
        except (FileflowError, TimeoutError, ConnectionError) as error:
            return dict.fromkeys(keys, error)
        except Exception as error:
            if len(keys) > 1:  # it may be about one of them: that must not end the waits for all the others
                half = len(keys) // 2
                return {**await self._ask(source, keys[:half]), **await self._ask(source, keys[half:])}
            return {keys[0]: error}

    # What an answer leads to.

    async def _settle(self, watched: Watched, seen: Status | Exception) -> None:
        """Pass on what was seen, and decide when to look again."""
        if isinstance(seen, Exception):
            error = explained(seen)
            self._log_unforeseen(watched, error)
            self.unseen.note(watched, error)
            await self._tell(watched, unreadable(watched.key, error))
        else:
            self.unseen.note(watched, None)
            if not self._is_doubtful(watched, seen):
                self._follow_up(watched, seen)
                self._note_find(watched, seen)
                await self._tell(watched, seen)
        for looked in watched.answering or ():
            if not looked.done():
                looked.set_result(None)
                await self._breathe()

    def _log_unforeseen(self, watched: Watched, error: Exception) -> None:
        """Log where an error that is none of ours came from, when it is new."""
        known = watched.status is not None and watched.status.state is State.UNREADABLE
        if not known and not isinstance(error, FileflowError):
            log.warning("%s cannot be looked at", watched.key, exc_info=error)

    def _is_doubtful(self, watched: Watched, status: Status) -> bool:
        """Tell whether what is damaged must be seen once more before anybody is told."""
        if status.state is not State.CORRUPT:
            watched.suspected = None
            return False
        now = self._clock.monotonic()
        if watched.suspected is None:
            watched.suspected = now
        left = watched.suspected + _SECOND_LOOK - now
        if left > _ALMOST:
            self._look_in(left, watched)
        return left > _ALMOST

    def _follow_up(self, watched: Watched, status: Status) -> None:
        """After a hint that showed nothing look again a few times: some stores list late."""
        if status != watched.status and status.state in _ANNOUNCED:
            watched.hinted = 0
        elif watched.hinted:
            self._look_in(_FOLLOW_UPS[-watched.hinted], watched)
            watched.hinted -= 1

    def _note_find(self, watched: Watched, status: Status) -> None:
        """Count what the feed should have announced."""
        before, rechecked, watched.rechecked = watched.status, watched.rechecked, False
        seen = before is not None and before.state is not State.UNREADABLE
        if rechecked and seen and status != before and status.state in _ANNOUNCED:
            self._count("rechecks.found", 1)
            log.info("%s is %s, but the feed did not say so", watched.key, status.state)

    async def _tell(self, watched: Watched, status: Status) -> None:
        watched.status = status
        for inbox, name in list(watched.inboxes.items()):
            if inbox.put(name, status):
                await self._breathe()

    async def _breathe(self) -> None:
        """Let those run who were woken, when they are several."""
        self._woken += 1
        if self._woken % _SLICE == 0:
            await asyncio.sleep(0)


def _announced_by(key: str) -> Sequence[str]:
    """Return the hashes by which the feed tells of a set; none for a target, which has one of its own."""
    asked = SetKey.parse(key)
    return () if asked is None else [target_hash(each) for each in asked.announced_by]
