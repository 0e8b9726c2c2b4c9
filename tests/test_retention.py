"""gc: what it removes, in which order, and what it never touches."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from fileflow_async.errors import ConfigError
from fileflow_async.feed import entry_key
from fileflow_async.retention import DAY, Doomed, Reason, Report, Rules, gc
from fileflow_async.status import State
from fileflow_async.store import TargetStore
from fileflow_async.target import token_at
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.conftest import AnyStore, MakeTarget
from tests.planting import kept, plant, put, record_for
from tests.tries import T0, made

FOLDER = "shop/20260921T000000Z/extract/output"


def name(days: float, *, nonce: str = "aaaaaaaaaaaa") -> str:
    """Return the name of an attempt that began so many days before the test."""
    return f"{token_at(T0 - int(days * DAY * 1000))}-t01-{nonce}.csv"


def commit(storage: MemoryStorage, days: float, *, folder: str = FOLDER, parts: Sequence[str] = ()) -> str:
    """Plant a commit of that age."""
    key = f"{folder}/{name(days)}"
    for part in parts:
        plant(storage, f"{key}/{part}", b"1", age=days * DAY)
    if not parts:
        plant(storage, key, b"1", age=days * DAY)
    plant(storage, f"{key}.ok", record_for(name(days), b"1"), age=days * DAY)
    return key


async def removed(store: TargetStore, **options: Any) -> dict[str, Reason]:
    """Run gc dry, then for good: both must say the same, and what they say must be what goes."""
    storage = store.storage
    assert isinstance(storage, MemoryStorage)
    before = set(storage.objects)
    dry = await gc(store, **options)
    assert dry.dry_run
    assert set(storage.objects) == before
    seen: list[Doomed] = []
    wet = await gc(store, dry_run=False, progress=seen.append, **options)
    assert (wet.doomed, wet.kept) == (dry.doomed, dry.kept)
    assert list(wet.doomed) == seen
    assert before - set(storage.objects) == {each.key for each in seen}
    assert wet.size == sum(each.size for each in seen)
    return {each.key: each.reason for each in seen}


class Uploads(MemoryStorage):
    """A storage in which writers have left uploads, and who asked for them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.begun: Sequence[str] = ()
        self.asked: list[tuple[float, str, bool]] = []

    async def abandon(self, *, before: float, prefix: str = "", dry_run: bool = True) -> Sequence[str]:
        self.asked.append((before, prefix, dry_run))
        return self.begun


class TestCommits:
    """The newest two of each target stay, and everything younger than seven days."""

    async def test_older_ones_go_record_first(self, store: TargetStore, storage: MemoryStorage) -> None:
        """The oldest first of all: a reader never meets a record without data for longer than a moment."""
        keys = [commit(storage, days) for days in (30, 20, 10, 9)]
        assert list(await removed(store)) == [
            f"{keys[0]}.ok",
            keys[0],
            f"{keys[1]}.ok",
            keys[1],
        ]
        assert kept(storage) == sorted([keys[2], f"{keys[2]}.ok", keys[3], f"{keys[3]}.ok"])

    async def test_all_younger_than_seven_days_stay(self, store: TargetStore, storage: MemoryStorage) -> None:
        """However many; references to them are still about."""
        for days in (6.99, 6, 5, 4):
            commit(storage, days)
        assert await removed(store) == {}
        old = commit(storage, 7.01)
        assert set(await removed(store)) == {old, f"{old}.ok"}

    async def test_the_newest_two_stay_however_old(self, store: TargetStore, storage: MemoryStorage) -> None:
        """By name, as a reader has it."""
        for days in (400, 300):
            commit(storage, days)
            commit(storage, days, folder=f"{FOLDER}2")
        assert await removed(store) == {}

    async def test_the_rules_can_be_changed(self, store: TargetStore, storage: MemoryStorage) -> None:
        """But the newest is never removed."""
        old, new = commit(storage, 3), commit(storage, 2)
        rules = Rules(commits=1, commits_for=0, orphans_for=0, feed_for=0)
        assert await removed(store, rules=rules) == {f"{old}.ok": Reason.OLD_COMMIT, old: Reason.OLD_COMMIT}
        assert kept(storage) == [new, f"{new}.ok"]

    async def test_attempts_without_a_commit_do_not_stand_in_for_it(
        self, store: TargetStore, storage: MemoryStorage
    ) -> None:
        """However many have come to nothing since: a reader has the last value still."""
        keys = [commit(storage, days) for days in (30, 20, 10)]
        for days in (0.3, 0.2):
            plant(storage, f"{FOLDER}/{name(days)}", b"1", age=days * DAY)
        plant(storage, f"{FOLDER}/{name(0.1)}.failed", b"{}", age=0.1 * DAY)
        assert set(await removed(store)) == {f"{keys[0]}.ok", keys[0]}

    async def test_a_damaged_newest_record_stays_and_counts(
        self, store: TargetStore, storage: MemoryStorage
    ) -> None:
        """It says that something is wrong; an older value must not stand in for it."""
        keys = [commit(storage, days) for days in (30, 20, 10)]
        plant(storage, f"{keys[2]}.ok", b"{", age=10 * DAY)
        del storage.objects[keys[2]]
        assert set(await removed(store)) == {f"{keys[0]}.ok", keys[0]}

    async def test_a_folder_goes_with_its_parts(self, store: TargetStore, storage: MemoryStorage) -> None:
        """After its record."""
        old = commit(storage, 30, parts=["a/0.csv", "b.csv"])
        commit(storage, 20, parts=["a/0.csv"])
        commit(storage, 10)
        assert list(await removed(store)) == [f"{old}.ok", f"{old}/a/0.csv", f"{old}/b.csv"]

    async def test_what_it_keeps_can_still_be_read(self, any_store: AnyStore, target: MakeTarget) -> None:
        """On every storage, whatever it removed beside it."""
        store = any_store.store
        references = [await put(store, target(), b"%d" % number) for number in range(4)]
        rules = Rules(commits_for=0, feed_for=0)
        while sum(each.reason is Reason.OLD_COMMIT for each in (await gc(store, rules=rules)).doomed) < 4:
            await asyncio.sleep(0.05)  # S3 counts whole seconds: until then all are 0 seconds old
        report = await gc(store, rules=rules, dry_run=False)
        assert {each.key for each in report.doomed if each.reason is Reason.OLD_COMMIT} == {
            f"{target().key}/{reference.data}{end}" for reference in references[:2] for end in ("", ".ok")
        }
        assert [status.reference for status in await store.history(target())] == references[:1:-1]
        assert await store.read(references[2]) == b"2"


class TestOrphans:
    """Attempts without a commit go after a day: their writer may be alive."""

    @pytest.mark.parametrize("form", ["{}", ".{}.part", ".{}.ok.part"])
    async def test_after_a_day_they_go(self, store: TargetStore, storage: MemoryStorage, form: str) -> None:
        """Whole, half-written, or with half a record; from when they last changed."""
        key = f"{FOLDER}/{form.format(name(5))}"
        plant(storage, key, b"123", age=0.99 * DAY)
        assert await removed(store) == {}
        plant(storage, key, b"123", age=1.01 * DAY)
        assert await removed(store) == {key: Reason.ORPHAN}

    async def test_a_folder_is_as_young_as_its_youngest_file(
        self, store: TargetStore, storage: MemoryStorage
    ) -> None:
        """Parts come one by one, some of them unfinished."""
        folder = f"{FOLDER}/{name(5)}"
        plant(storage, f"{folder}/a", b"1", age=3 * DAY)
        plant(storage, f"{folder}/.b.part", b"1", age=0.5 * DAY)
        assert await removed(store) == {}
        plant(storage, f"{folder}/.b.part", b"1", age=2 * DAY)
        assert set(await removed(store)) == {f"{folder}/a", f"{folder}/.b.part"}

    async def test_what_is_left_beside_a_commit_goes_alone(
        self, store: TargetStore, storage: MemoryStorage
    ) -> None:
        """Such as half a record of a try that was killed and whose commit came all the same."""
        key = commit(storage, 3)
        left = f"{FOLDER}/.{name(3)}.ok.part"
        plant(storage, left, b"{", age=0.5 * DAY)
        assert await removed(store) == {}
        plant(storage, left, b"{", age=2 * DAY)
        assert await removed(store) == {left: Reason.ORPHAN}
        assert kept(storage) == [key, f"{key}.ok"]

    async def test_one_that_is_committed_meanwhile_stays(self, clock: FakeClock) -> None:
        """The page that showed it without its record was old."""

        class Late(MemoryStorage):
            async def list(self, prefix: str = "", **options: Any) -> Any:
                listing = await super().list(prefix, **options)
                if not prefix:
                    commit(self, 5)
                return listing

        storage = Late(clock=clock)
        plant(storage, f"{FOLDER}/{name(5)}", b"1", age=5 * DAY)
        report = await gc(TargetStore(storage, clock=clock), dry_run=False)
        assert report.doomed == []
        assert kept(storage) == [f"{FOLDER}/{name(5)}", f"{FOLDER}/{name(5)}.ok"]

    async def test_a_writer_whose_data_it_took_is_told(
        self, store: TargetStore, storage: MemoryStorage, clock: FakeClock, target: MakeTarget
    ) -> None:
        """It was silent for more than a day; its commit must not be one of nothing."""
        async with store.begin_folder(target()) as draft:
            async with draft.create("a"):
                pass
            await clock.advance(2 * DAY)
            await gc(store, dry_run=False)
            with pytest.raises(Exception, match="was removed before its commit"):
                await store.commit(draft)
        assert (await store.state(target())).state is State.ABSENT


class TestTheRest:
    """Failures, feed entries, uploads; and what is not ours."""

    async def test_failures_stay_as_long_as_commits(self, store: TargetStore, storage: MemoryStorage) -> None:
        """Whoever waits still has to be told."""
        key = f"{FOLDER}/{name(0).removesuffix('.csv')}.failed"
        plant(storage, key, b"{}", age=6 * DAY)
        assert await removed(store) == {}
        plant(storage, key, b"{}", age=8 * DAY)
        assert await removed(store) == {key: Reason.OLD_FAILURE}

    async def test_feed_entries_go_after_a_day(self, store: TargetStore, storage: MemoryStorage) -> None:
        """By then every waiter has looked for itself."""
        young, old = (entry_key(FOLDER, T0 / 1000 - age * DAY) for age in (0.9, 1.1))
        plant(storage, young, b"", age=0.9 * DAY)
        plant(storage, old, b"", age=1.1 * DAY)
        assert await removed(store) == {old: Reason.OLD_FEED}
        assert await removed(store, rules=Rules(feed_for=0)) == {young: Reason.OLD_FEED}

    async def test_names_that_are_not_ours_stay(self, store: TargetStore, storage: MemoryStorage) -> None:
        """Wherever they lie and however old they are."""
        commit(storage, 3)
        for key in (
            "notes.txt",
            f"{FOLDER}/notes.txt",
            f"{FOLDER}/x.ok",
            f"{FOLDER}/sub/x.csv",
            f"{FOLDER}/{name(3)}-foreign/x",
            f".other/{FOLDER}",
        ):
            plant(storage, key, b"1", age=400 * DAY)
        assert await removed(store, rules=Rules(commits=1, commits_for=0, orphans_for=0)) == {}

    async def test_foreign_folders_between_our_files_confuse_nobody(
        self, store: TargetStore, storage: MemoryStorage
    ) -> None:
        """Their keys sort between a data file and its record."""
        keys = [commit(storage, days) for days in (30, 20, 10)]
        for key in keys:
            plant(storage, f"{key}-foreign/x", b"1", age=400 * DAY)
        rules = Rules(commits=1, commits_for=0, orphans_for=0)
        assert set(await removed(store, rules=rules)) == {
            f"{key}{end}" for key in keys[:2] for end in ("", ".ok")
        }

    async def test_only_what_begins_so(self, store: TargetStore, storage: MemoryStorage) -> None:
        """A prefix may end anywhere, in the middle of a target even."""
        mine = commit(storage, 30)
        other = commit(storage, 30, folder=f"other/{FOLDER}")
        for folder in (FOLDER, f"other/{FOLDER}"):
            for days in (20, 10):
                commit(storage, days, folder=folder)
        plant(storage, entry_key(FOLDER, 0.0), b"", age=400 * DAY)
        assert set(await removed(store, prefix="shop/")) == {mine, f"{mine}.ok"}
        assert set(await removed(store, prefix="other/")) == {other, f"{other}.ok"}
        for days in (60, 50, 40, 30):
            commit(storage, days)
        august = f"{FOLDER}/202608"
        assert {key[: len(august)] for key in await removed(store, prefix=august)} == {august}
        assert f"{FOLDER}/{name(60)}" in storage.objects

    async def test_more_than_a_page_is_no_matter(self, clock: FakeClock) -> None:
        """Targets are not cut where pages are, and no listing fills the memory."""
        limits: list[int | None] = []

        class Noting(MemoryStorage):
            async def list(self, prefix: str = "", **options: Any) -> Any:
                if not prefix:
                    limits.append(options.get("limit"))
                return await super().list(prefix, **options)

        storage = Noting(clock=clock)
        for number in range(1100):
            for days in (30, 20, 10):
                if number % 400 == 0 or days == 10:
                    commit(storage, days, folder=f"shop/run={number:04d}/t/output")
        assert len(await removed(TargetStore(storage, clock=clock))) == 6
        assert limits == [1000, 1000, 1000, 1] * 2

    async def test_ages_are_those_of_the_store(self, storage: MemoryStorage) -> None:
        """A machine whose clock is ahead takes nothing away too early, uploads of living writers included."""
        uploads = Uploads(clock=storage.clock)
        for days in (6, 5, 4):
            commit(uploads, days)
        plant(uploads, f"{FOLDER}/{name(0)}", b"1")
        ahead = TargetStore(uploads, clock=FakeClock(storage.clock.time() + 100 * DAY))
        assert (await gc(ahead, prefix="shop/")).doomed == []
        before = storage.clock.time() - DAY
        assert uploads.asked == [(before, "shop/", True)]

    async def test_of_uploads_only_ours_are_taken_back(self, storage: MemoryStorage) -> None:
        """Others may send their files to the same bucket, and take days for one."""
        ours = f"{FOLDER}/{name(3)}"
        uploads = Uploads(clock=storage.clock)
        uploads.begun = [ours, f"{FOLDER}/theirs.csv", "shop/a"]
        store, told = TargetStore(uploads, clock=storage.clock), list[Doomed]()
        expected = [Doomed(ours, 0, Reason.OLD_UPLOAD)]
        assert (await gc(store, prefix="shop/")).doomed == expected
        assert (await gc(store, dry_run=False, progress=told.append)).doomed == told == expected
        assert [(prefix, dry_run) for _, prefix, dry_run in uploads.asked] == [
            ("shop/", True),
            ("", True),
            (ours, False),
        ]

    async def test_nothing_is_a_report_too(self, store: TargetStore) -> None:
        """And a dry run is what one gets unless one says otherwise."""
        assert await gc(store) == Report([], 0, dry_run=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"commits": 0}, "the newest commit is never removed: commits must be at least 1, got 0"),
        ({"commits_for": -1}, "commits_for must not be negative, got -1"),
        ({"orphans_for": -0.1}, "orphans_for must not be negative, got -0.1"),
        ({"feed_for": -1}, "feed_for must not be negative, got -1"),
    ],
)
def test_rules_that_would_remove_too_much_are_refused(given: dict[str, Any], message: str) -> None:
    """Before anything goes."""
    with pytest.raises(ConfigError) as caught:
        Rules(**given)
    assert str(caught.value) == message


async def test_readers_and_writers_may_be_at_work_meanwhile(clock: FakeClock, target: MakeTarget) -> None:
    """Whoever reads gets whole, committed bytes, or is told that the version is gone."""
    storage = MemoryStorage(clock=clock)
    store = TargetStore(storage, clock=clock)
    rules = Rules(commits=1, commits_for=0, orphans_for=DAY, feed_for=0)
    for number in range(3):
        await put(store, target(), b"%d" % number, producer=made(T0 + number))
    done = asyncio.Event()

    async def write() -> None:
        for number in range(3, 40):
            await clock.advance(1)
            await put(store, target(), b"%d" % number, producer=made(T0 + number))
        done.set()

    async def clean() -> None:
        while not done.is_set():
            await gc(store, dry_run=False, rules=rules)

    async def read() -> list[int]:
        seen = []
        while not done.is_set():
            seen.append(int(await store.read(target())))
        return seen

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read()) for _ in range(3)]
        group.create_task(write())
        group.create_task(clean())
    for reader in readers:
        assert reader.result() == sorted(reader.result())
    assert await store.read(target()) == b"39"


async def test_how_long_commits_are_kept_is_a_setting(
    store: TargetStore, clock: FakeClock, target: MakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the caller gives no rules of its own."""
    monkeypatch.setenv("AIRFLOW__FILEFLOW__RETENTION_DAYS", "2")
    for number in range(3):
        async with store.write(target()) as out:
            await out.write(str(number).encode())
        await clock.advance(1)
    await clock.advance(1.9 * DAY)
    assert Reason.OLD_COMMIT not in {each.reason for each in (await gc(store)).doomed}
    await clock.advance(0.2 * DAY)
    assert Reason.OLD_COMMIT in {each.reason for each in (await gc(store)).doomed}
