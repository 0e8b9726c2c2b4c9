"""Whether the newest commits of several outputs come from one try."""

import json
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings, strategies as st

from fileflow_async.errors import StorageUnavailableError, TargetCorruptError, TargetNotFoundError
from fileflow_async.manifest import SUFFIX, Producer, parse
from fileflow_async.status import State, Status
from fileflow_async.store import TargetStore
from fileflow_async.target import Slot, Target
from fileflow_async.target_set import TargetSet, named
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage

SLOT = Slot(run_id="r")
FOLDER = "shop/run=r/split"


class Died(BaseException):
    """A process ends here."""


def place(name: str) -> Target:
    return Target(dag_id="shop", task_id="split", slot=SLOT, name=name)


def all_of(*names: str) -> TargetSet:
    wanted = named(place("output"), names or "*")
    assert isinstance(wanted, TargetSet)
    return wanted


async def commit(
    store: TargetStore,
    names: Sequence[str],
    *,
    number: int = 1,
    dies_after: int | None = None,
    data: bytes = b"",
) -> None:
    """Publish outputs as one try does, which may die after so many of their records."""
    storage = store.storage
    assert isinstance(storage, MemoryStorage)
    left = len(names) if dies_after is None else dies_after

    async def put(key: str, *arguments: object, **options: object) -> object:
        nonlocal left
        if key.endswith(SUFFIX):
            if left == 0:
                raise Died
            left -= 1
        return await MemoryStorage.put(storage, key, *arguments, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "put", put)
        async with AsyncExitStack() as stack:
            drafts = []
            for name in names:
                begun = store.begin(place(name), producer=Producer(try_number=number))
                drafts.append(await stack.enter_async_context(begun))
                await drafts[-1].write(data or f"{name} of try {number}".encode())
            try:
                await store.commit_all(drafts)
            except Died:
                return


async def values(store: TargetStore, wanted: TargetSet) -> list[bytes]:
    return [await store.read(reference) for reference in await store.versions(wanted)]


async def test_outputs_that_were_published_together_are_a_set(store: TargetStore) -> None:
    """Each record names all of them, so that one of them is enough to know what belongs to it."""
    await commit(store, ["orders", "customers"])
    for name in ("orders", "customers"):
        record = (await store.state(place(name))).manifest
        assert record is not None
        assert record.output_set is not None
        assert record.output_set.names == ("orders", "customers")
        assert parse(record.to_bytes(), record.data + SUFFIX) == record
    for wanted in (all_of(), all_of("orders", "customers")):
        assert sorted(await values(store, wanted)) == [b"customers of try 1", b"orders of try 1"]
        status = await store.state(wanted)
        assert (status.state, status.reference, status.manifest) == (State.COMPLETE, None, None)
        assert [each.target for each in status.references] == [f"{FOLDER}/orders", f"{FOLDER}/customers"]
        assert "customers committed by try 1" in status.why


@pytest.mark.parametrize("wanted", [all_of(), all_of("orders", "customers")])
async def test_a_set_of_which_only_a_part_is_committed_is_waited_for(
    store: TargetStore, wanted: TargetSet
) -> None:
    """Newest wins: the set of before is whole, and is not handed out in place of the newer one."""
    await commit(store, ["orders", "customers"])
    await commit(store, ["orders", "customers"], number=2, dies_after=1)
    status = await store.state(wanted)
    assert (status.state, status.why) == (
        State.IN_PROGRESS,
        "partial set: orders from try 2, customers from try 1",
    )
    assert status.references == []
    with pytest.raises(TargetNotFoundError, match="has no committed version: partial set: orders from try 2"):
        await store.versions(wanted)
    await commit(store, ["orders", "customers"], number=3)
    assert sorted(await values(store, wanted)) == [b"customers of try 3", b"orders of try 3"]


async def test_tries_of_one_number_are_told_apart(store: TargetStore) -> None:
    """A run that was deleted and made anew begins again with try 1."""
    await commit(store, ["orders", "customers"])
    await commit(store, ["orders", "customers"], dies_after=1)
    assert " of 2" in (await store.state(all_of())).why


async def test_what_is_there_of_the_first_try_is_told(store: TargetStore, clock: FakeClock) -> None:
    """Nothing; data without a record, which may grow old; a record without its sister."""
    wanted = all_of("orders", "customers")
    assert (await store.state(wanted)).state is State.ABSENT
    await commit(store, ["orders", "customers"], dies_after=0)
    for each in (wanted, all_of()):
        status = await store.state(each)
        assert status.state is State.IN_PROGRESS
        assert "being written by try 1" in status.why
    await clock.advance(2 * 86_400)
    assert (await store.state(all_of())).state is State.ABANDONED
    await commit(store, ["orders", "customers"], number=2, dies_after=1)
    assert (
        "partial set: orders from try 2, customers being written by try 2" in (await store.state(wanted)).why
    )
    await clock.advance(2 * 86_400)
    status = await store.state(all_of())
    assert (status.state, status.writing is not None) == (State.ABANDONED, True)


async def test_an_output_that_is_no_longer_made_is_left_out(
    store: TargetStore, storage: MemoryStorage, clock: FakeClock
) -> None:
    """The newest record says what the set is, whatever lies in the task's folder besides, damaged or not."""
    await commit(store, ["orders", "rejected"])
    await clock.advance(1)
    await store.fail(place("rejected"), error="no", producer=Producer())
    await clock.advance(1)
    await commit(store, ["orders", "customers"], number=2)
    storage.objects[f"{FOLDER}/map=0/orders/x"] = storage.objects[f"{FOLDER}/strange, name/x"] = (b"", 0.0)
    assert sorted(await values(store, all_of())) == [b"customers of try 2", b"orders of try 2"]
    assert (await store.state(all_of())).state is State.COMPLETE
    assert (await store.state(all_of("orders", "rejected"))).state is State.FAILED


async def test_outputs_that_were_committed_one_by_one_belong_together_by_their_try(
    store: TargetStore,
) -> None:
    """Airflow gives each try an id; without one they are sets of their own, and never one."""
    for identity in (str(uuid.uuid4()), None):
        for name in ("orders", "customers"):
            async with store.write(place(name), producer=Producer(ti_id=identity)) as out:
                await out.write(b"x")
        status = await store.state(all_of("orders", "customers"))
        assert (status.state is State.COMPLETE) == (identity is not None)
        assert ((await store.state(all_of())).state is State.COMPLETE) == (identity is not None)


async def test_an_output_of_which_nothing_is_left_is_missing(store: TargetStore) -> None:
    """The others say that it was made."""
    await commit(store, ["orders", "customers"])
    await store.delete(place("customers"))
    assert (await store.state(all_of())).why == "partial set: orders from try 1, customers not there"


async def test_not_all_of_a_large_set_is_told(store: TargetStore) -> None:
    """Who reads a line of a log reads five names."""
    await commit(store, list("abcdefg"))
    assert (await store.state(all_of())).why.endswith(", e committed by try 1, 10 bytes and 2 more")


async def test_a_file_beside_the_outputs_is_none(store: TargetStore) -> None:
    """Nor does a set wait for it."""
    async with store.write(place("orders"), producer=Producer(ti_id=str(uuid.uuid4()))) as out:
        await out.write(b"x")
    await store.storage.put(f"{FOLDER}/stray", b"")
    assert (await store.state(all_of())).state is State.COMPLETE
    assert await values(store, all_of()) == [b"x"]


async def test_a_set_is_as_old_as_the_oldest_of_its_commits(store: TargetStore, clock: FakeClock) -> None:
    """Whoever wants newer ones wants all of them newer."""
    began, producer = clock.time(), Producer(ti_id=str(uuid.uuid4()))
    for name in ("orders", "customers"):
        async with store.write(place(name), producer=producer) as out:
            await out.write(b"x")
        await clock.advance(1)
    assert (await store.state(all_of("orders", "customers"))).committed == began


async def test_later_damage_of_an_output_outside_the_set_is_that_of_all(
    store: TargetStore, storage: MemoryStorage, clock: FakeClock
) -> None:
    """A try after the set's has made it; whether it has made the others, too, its record would tell."""
    await commit(store, ["orders"])
    await clock.advance(1)
    await commit(store, ["customers"], number=2)
    record = next(key for key in storage.objects if "/customers/" in key and key.endswith(SUFFIX))
    storage.objects[record] = (b"{", clock.time())
    assert (await store.state(all_of())).state is State.CORRUPT


async def test_an_abandoned_output_is_the_sets_state(store: TargetStore, clock: FakeClock) -> None:
    """Whoever looks for what is stuck finds it, though another output is under way."""
    for name in ("orders", "customers"):
        async with store.begin(place(name)) as draft:
            await draft.finish()
        await clock.advance(25 * 3600)
    async with store.begin(place("customers")) as draft:
        await draft.finish()
    assert (await store.state(place("customers"))).state is State.IN_PROGRESS
    for wanted in (all_of("customers", "orders"), all_of()):
        status = await store.state(wanted)
        assert (status.state, status.why[:7]) == (State.ABANDONED, "orders ")
        assert status.writing == (await store.state(place("orders"))).writing
        assert status.writing is not None


async def test_a_task_of_one_output_is_a_set_of_one(store: TargetStore) -> None:
    """However it was committed."""
    async with store.write(place("output")) as out:
        await out.write(b"x")
    assert await values(store, all_of()) == [b"x"]


async def test_an_empty_output_makes_an_empty_set(store: TargetStore) -> None:
    """What that means the waiter says."""
    await commit(store, ["orders"])
    async with store.begin(place("a")) as one, store.begin(place("b")) as other:
        await one.write(b"x")
        await store.commit_all([one, other])
    status = await store.state(all_of("a", "b"))
    assert (status.state, status.is_committed) == (State.EMPTY, True)
    assert status.why.startswith("b committed by try 1, 0 bytes")


async def test_a_failure_or_damage_of_one_output_is_the_sets(
    store: TargetStore, storage: MemoryStorage, clock: FakeClock
) -> None:
    """Whoever waits for all of them waits in vain."""
    await commit(store, ["orders", "customers"])
    await clock.advance(1)
    await store.fail(place("customers"), error="out of luck", producer=Producer(try_number=2))
    status = await store.state(all_of())
    assert (status.state, status.why) == (
        State.FAILED,
        "customers: its producer failed: try 2: out of luck",
    )
    of_one = await store.state(place("customers"))
    assert status.failure is not None
    assert (status.failure, status.failed) == (of_one.failure, clock.time())
    assert status.committed == of_one.committed
    assert len(await store.versions(all_of())) == 2  # what was committed can still be read
    record = next(key for key in storage.objects if "/orders/" in key and key.endswith(SUFFIX))
    storage.objects[record] = (b"{", clock.time())
    assert (await store.state(all_of())).state is State.FAILED  # which no other look puts right
    await commit(store, ["customers"], number=3)
    status = await store.state(all_of("orders", "customers"))
    assert (status.state, isinstance(status.error, TargetCorruptError)) == (State.CORRUPT, True)
    assert status.committed == clock.time()


async def test_a_later_failure_of_an_output_outside_the_set_is_that_of_all(
    store: TargetStore, clock: FakeClock
) -> None:
    """A task that names no outputs leaves its word at the one it was expected to make."""
    await commit(store, ["orders", "customers"])
    await clock.advance(1)
    await store.fail(place("output"), error="out of luck", producer=Producer(try_number=2))
    assert (await store.state(all_of())).state is State.FAILED
    assert (await store.state(all_of("orders", "customers"))).state is State.COMPLETE


async def test_what_cannot_be_seen_is_the_answer(store: TargetStore, storage: MemoryStorage) -> None:
    """Of the folder, and of one output: never that nothing is there."""
    down = StorageUnavailableError("down")

    async def refuse(folders: Sequence[str]) -> dict[str, StorageUnavailableError]:
        return dict.fromkeys(folders, down)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "list_each", refuse)
        for wanted in (all_of(), all_of("a", "b")):
            with pytest.raises(StorageUnavailableError, match="down"):
                await store.state(wanted)
        with pytest.raises(StorageUnavailableError, match="down"):
            await store.versions(all_of())


async def test_a_token_that_was_raised_makes_no_older_try_the_newest(
    store: TargetStore, clock: FakeClock
) -> None:
    """One output may have been written by a clock that is ahead: its next try begins above that."""
    ahead = FakeClock(clock.time() + 3600)
    await commit(TargetStore(store.storage, clock=ahead), ["customers"])
    await commit(store, ["customers", "orders"], number=2, dies_after=1)
    await commit(store, ["orders", "customers"], number=3, dies_after=1)
    assert (await store.state(all_of())).why.startswith(
        "partial set: orders from try 3, customers from try 2"
    )


async def test_a_set_is_as_new_as_the_newest_of_its_tokens(store: TargetStore, clock: FakeClock) -> None:
    """An older try's may have been raised above the others of its own."""
    ahead = FakeClock(clock.time() + 3600)
    await commit(TargetStore(store.storage, clock=ahead), ["customers"])
    await commit(store, ["customers"], number=2)
    await commit(store, ["orders", "customers"], number=3, dies_after=1)
    assert (await store.state(all_of())).why.startswith(
        "partial set: orders from try 3, customers from try 2"
    )


async def test_outputs_of_several_tasks_are_no_set(store: TargetStore) -> None:
    """Whoever commits them together, those of a task alone name each other."""
    other = Target(dag_id="shop", task_id="other", slot=SLOT, name="more")
    async with store.begin(place("orders")) as one, store.begin(other) as two:
        await store.commit_all([one, two])
    assert [reference.target for reference in await store.versions(all_of())] == [place("orders").key]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from("abc"), min_size=1), st.integers(min_value=0, max_value=3)),
        min_size=1,
        max_size=6,
    )
)
async def test_whatever_tries_leave_a_set_is_never_mixed(tries: list[tuple[set[str], int]]) -> None:
    """Each try publishes some outputs and dies after some records: a set is that of the newest, or none."""
    clock = FakeClock()
    store = TargetStore(MemoryStorage(clock=clock), clock=clock)
    newest: dict[str, int] = {}
    for number, (names, records) in enumerate(tries):
        await commit(store, sorted(names), number=number, dies_after=min(records, len(names)))
        await clock.advance(1)
        newest |= dict.fromkeys(sorted(names)[:records], number)
    last = max(newest.values(), default=None)
    wanted = tries[last][0] if last is not None else set()
    whole = last is not None and all(newest.get(name) == last for name in wanted)
    status = await store.state(all_of())
    assert status.is_committed == whole
    if whole:
        assert sorted(await values(store, all_of())) == [
            f"{name} of try {last}".encode() for name in sorted(wanted)
        ]
    two = await store.state(all_of("a", "b"))
    assert two.is_committed == ("a" in newest and newest.get("a") == newest.get("b"))
    assert isinstance(two, Status)


@pytest.mark.parametrize(
    "members",
    [
        {"id": "x"},
        {"names": ["a"]},
        {"id": 3, "names": ["a"]},
        {"id": "x", "names": []},
        {"id": "x", "names": "a"},
        {"id": "x", "names": ["a", 1]},
        ["a"],
        "a",
    ],
)
async def test_a_record_with_a_set_that_is_none_is_refused(store: TargetStore, members: object) -> None:
    """What belongs together must not be guessed."""
    await commit(store, ["a"])
    record = (await store.state(place("a"))).manifest
    assert record is not None
    raw = json.dumps({**json.loads(record.to_bytes()), "set": members}).encode()
    with pytest.raises(TargetCorruptError):
        parse(raw, record.data + SUFFIX)
