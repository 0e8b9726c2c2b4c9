"""What counts as arrived."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from fileflow_async.arrival import Arrival
from fileflow_async.arrival_rules import Rules
from fileflow_async.arrived import Arrived, ArrivedFile, Trust
from fileflow_async.errors import (
    ConfigError,
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetSupersededError,
)
from fileflow_async.outcome import Outcome
from fileflow_async.storage.outside import Look, Seen, nobody_writes
from fileflow_async.storage.search import Search

NOW = 1_790_000_000.0  # by the store's clock, at second 0 of each test
ONE = Search.of(path="/in/a.csv")
SOME = Search.of(pattern="/in/*.csv")
KEY = Search.of(path="s3://lake/in/a.csv")
KEYS = Search.of(pattern="s3://lake/in/*.csv")
DONE = Search.of(pattern="/in/*.csv", done_file="{name}.done")
FOLDERS = Search.of(pattern="/in/dt=*/", done_file="_SUCCESS")
_Moment = tuple[float, Look | Exception]
SETTLED = (0.0, 30.0, 60.0)  # looks that satisfy the rules as they are by default


def file(path: str = "a.csv", *, size: int = 5, age: float = 1000.0, **more: Any) -> Seen:
    """A file on disk, so old at second 0."""
    modified = NOW - age
    known = {"mtime_ns": round(modified * 1e9), "inode": 1}
    return Seen(path=path, size=size, modified=modified, **(known | more))


def key(path: str = "a.csv", *, size: int = 5, age: float = 1000.0, etag: str = "e", **more: Any) -> Seen:
    """An object, so old at second 0."""
    return Seen(path=path, size=size, modified=NOW - age, etag=etag, **more)


def shown(*seen: Seen, at: float = 0.0, **more: Any) -> Look:
    """What is seen at a second."""
    return Look(seen=seen, now=NOW + at, **more)


def watch(arrival: Arrival, looks: Iterable[_Moment]) -> list[Arrived | None]:
    return [arrival.decide(answer, at) for at, answer in looks]


def same(
    *seen: Seen, seconds: Iterable[float] = SETTLED, **more: Any
) -> list[tuple[float, Look | Exception]]:
    """The same seen at several seconds."""
    return [(at, shown(*seen, at=at, **more)) for at in seconds]


def outcome(event: Arrived | None) -> str | None:
    return None if event is None else str(event.outcome)


def whys(arrival: Arrival) -> dict[str, str]:
    return {each.target: each.why for each in arrival.timeout().missing}


def ready(event: Arrived | None) -> list[str]:
    assert event is not None
    assert event.outcome is Outcome.READY
    return [each.uri.rpartition("/in/")[2] for each in event.ready]


# Order of trust.


def test_one_object_of_s3_is_whole() -> None:
    """A PUT is atomic; neither looks nor an age are waited for."""
    event = Arrival(KEY, Rules()).decide(shown(key(age=0.0)), 0.0)
    assert ready(event) == ["a.csv"]
    assert event is not None
    assert event.ready[0] == ArrivedFile(
        uri="s3://lake/in/a.csv", size=5, modified=NOW, trust=Trust.ATOMIC, etag="e"
    )
    assert event.guess is None


def test_a_set_of_objects_needs_looks() -> None:
    """Each of them is whole, but nobody knows whether all are there."""
    events = watch(Arrival(KEYS, Rules()), same(key("a.csv"), key("b.csv")))
    assert [outcome(event) for event in events] == [None, None, "ready"]
    assert events[2] is not None
    assert [each.trust for each in events[2].ready] == [Trust.STABLE, Trust.STABLE]
    assert events[2].guess == "stability heuristic used: the same in 3 looks over 60 s, at least 60 s old"


def test_a_done_file_is_believed_at_once() -> None:
    """What has none is not waited for: its producer says what is whole."""
    look = shown(file("a.csv", age=0.0, done=NOW), file("b.csv"))
    event = Arrival(DONE, Rules()).decide(look, 0.0)
    assert ready(event) == ["a.csv"]
    assert event is not None
    assert (event.ready[0].trust, event.guess) == (Trust.DONE_FILE, None)
    assert [each.why for each in event.missing] == ["its done file '{name}.done' is not there"]


@pytest.mark.parametrize(
    ("after", "expected"), [(-5.0, "ready"), (0.0, "ready"), (2.0, "ready"), (2.1, None)]
)
def test_a_done_file_older_than_the_data_proves_nothing(after: float, expected: str | None) -> None:
    """It may be yesterday's; S3 counts whole seconds, so that two are forgiven."""
    arrival = Arrival(DONE, Rules())
    event = arrival.decide(shown(file(age=100.0, done=NOW - 100.0 - after)), 0.0)
    assert outcome(event) == expected
    if expected is None:
        assert whys(arrival) == {"file:///in/a.csv": "it was written to after its done file '{name}.done'"}


@pytest.mark.parametrize(
    ("template", "done"), [("{name}.done", "a.csv.done"), ("{stem}.ok", "a.ok"), ("_SUCCESS", "_SUCCESS")]
)
def test_a_done_file_is_no_data(template: str, done: str) -> None:
    """Although a wide pattern means it too, and it may vouch for itself."""
    search = Search.of(pattern="/in/*", done_file=template)
    look = shown(file(done=NOW), file(done, done=NOW))
    event = Arrival(search, Rules()).decide(look, 0.0)
    assert ready(event) == ["a.csv"]
    assert event is not None
    assert event.missing == ()
    assert Arrival(search, Rules(min_count=2)).decide(look, 0.0) is None


def test_many_files_are_confirmed_without_their_done_files() -> None:
    """Which the pattern means as well."""
    search = Search.of(pattern="/in/*", done_file="{name}.done")
    data = [file(f"{n:02}.csv", done=NOW) for n in range(60)]
    look = shown(*data, *(file(f"{seen.path}.done") for seen in data))
    event = Arrival(search, Rules()).decide(look, 0.0)
    assert event is not None
    assert event.ready_count == 60
    assert len(Arrival(search, Rules()).confirm(event, look)) == 60


def test_a_folder_counts_when_its_success_is_there() -> None:
    """With the sum of what is in it."""
    without = Seen(path="dt=1/", size=7, modified=NOW - 10.0, etag="t")
    arrival = Arrival(FOLDERS, Rules())
    assert arrival.decide(shown(without), 0.0) is None
    event = arrival.decide(shown(replace(without, done=NOW)), 1.0)
    assert event is not None
    assert event.ready == (
        ArrivedFile(uri="file:///in/dt=1/", size=7, modified=NOW - 10.0, trust=Trust.DONE_FILE, etag="t"),
    )


# Stability.


@pytest.mark.parametrize("search", [ONE, SOME, KEYS], ids=["path", "pattern", "keys"])
def test_what_stays_the_same_arrives(search: Search) -> None:
    """After so many looks, so far apart."""
    seen = key() if search is KEYS else file()
    events = watch(Arrival(search, Rules()), same(seen, seconds=[0, 29, 59.9, 60]))
    assert [outcome(event) for event in events] == [None, None, None, "ready"]


def test_looks_count_as_well_as_seconds() -> None:
    """One look after a long night shows nothing."""
    events = watch(Arrival(ONE, Rules()), same(file(), seconds=[0, 1000, 1001]))
    assert [outcome(event) for event in events] == [None, None, "ready"]
    [event] = watch(Arrival(ONE, Rules(looks=1)), same(file(), seconds=[0]))
    assert outcome(event) == "ready"


@pytest.mark.parametrize(
    "change",
    [
        {"size": 6},
        {"size": 4},
        {"mtime_ns": 7},
        {"inode": 2},
        {"modified": NOW - 999.0},
    ],
    ids=str,
)
def test_any_change_starts_the_count_again(change: dict[str, Any]) -> None:
    """Growing, cut short, written to, replaced by another."""
    arrival = Arrival(ONE, Rules())
    before, after = file(), replace(file(), **change)
    events = watch(arrival, [*same(before, seconds=[0, 30]), *same(after, seconds=[60, 90, 119, 120])])
    assert [outcome(event) for event in events] == [None] * 5 + ["ready"]


def test_an_object_stored_again_starts_the_count_again() -> None:
    """Also with the same bytes: somebody is at work. Airflow's S3KeysUnchangedSensor takes no notice."""
    arrival = Arrival(KEYS, Rules())
    looks = [(at, shown(key(age=-at), at=at)) for at in range(0, 300, 10)]
    assert watch(arrival, looks) == [None] * 30
    other = Arrival(KEYS, Rules(min_age=0))
    events = watch(other, [*same(key(), seconds=[0, 30]), (60.0, shown(key(etag="f"), at=60.0))])
    assert events[2] is None


def test_a_file_that_goes_and_comes_is_new() -> None:
    """Even if it looks the same."""
    arrival = Arrival(ONE, Rules())
    looks: list[_Moment] = same(file(), seconds=[0, 30])
    looks += [(45.0, shown(at=45.0)), *same(file(), seconds=[60, 90, 120])]
    assert [outcome(event) for event in watch(arrival, looks)] == [None] * 5 + ["ready"]


def test_looks_that_fail_neither_count_nor_start_again() -> None:
    """They say nothing about the file."""
    arrival = Arrival(ONE, Rules())
    fault = StorageUnavailableError("503")
    looks: list[_Moment] = [
        (0.0, shown(file())),
        (30.0, fault),
        (59.0, fault),
        *same(file(), seconds=[60, 61]),
    ]
    assert [outcome(event) for event in watch(arrival, looks)] == [None] * 4 + ["ready"]


@pytest.mark.parametrize(
    ("age", "seconds", "expected"),
    [
        (0.0, [0, 1, 2], None),
        (57.9, [0, 1, 2], None),
        (58.0, [0, 1, 2], "ready"),
        (-3600.0, [0, 1, 59], None),
        (-3600.0, [0, 1, 60], "ready"),
        (1e9, [0, 1, 2], "ready"),
    ],
)
def test_a_file_must_be_so_old(age: float, seconds: list[float], expected: str | None) -> None:
    """By the store's clock; where that is ahead, what was seen the same for so long is so old."""
    rules = Rules(looks=3, look_interval=1.0, min_age=60.0)
    arrival = Arrival(ONE, rules)
    event = watch(arrival, same(file(age=age), seconds=seconds))[-1]
    assert outcome(event) == expected
    if expected is None:
        assert list(whys(arrival).values()) == ["it is less than 60 s old"]


def test_a_file_that_somebody_has_open_is_left_alone() -> None:
    """It is asked last, and only when all else is well; the count goes on."""
    asked: list[str] = []
    answers: list[str | None] = ["somebody has it open for writing", None]

    def objection(seen: Seen) -> str | None:
        asked.append(seen.path)
        return answers.pop(0)

    arrival = Arrival(ONE, Rules())
    looks = same(file(), seconds=[0, 30, 60, 65], objection=objection)
    assert [outcome(event) for event in watch(arrival, looks)] == [None, None, None, "ready"]
    assert asked == ["a.csv", "a.csv"]


def test_who_has_it_open_is_not_asked_where_it_does_not_matter() -> None:
    """To ask is to open the file."""

    def objection(seen: Seen) -> str | None:
        raise AssertionError(seen)

    done = file(done=NOW)
    assert outcome(Arrival(DONE, Rules()).decide(shown(done, objection=objection), 0.0)) == "ready"
    few = watch(Arrival(SOME, Rules(min_count=2)), same(file(), objection=objection))
    assert few == [None] * 3


# Sets.


def test_what_still_arrives_is_waited_for() -> None:
    """There may be enough, but there is obviously more to come."""
    arrival = Arrival(SOME, Rules())
    growing = [file("b.csv", size=size) for size in (1, 2, 3)]
    looks = [(at, shown(file(), seen, at=at)) for at, seen in zip((0.0, 30.0, 60.0), growing, strict=True)]
    looks += [(at, shown(file(), growing[2], at=at)) for at in (90.0, 120.0)]
    events = watch(arrival, looks)
    assert [outcome(event) for event in events] == [None] * 4 + ["ready"]
    assert ready(events[-1]) == ["a.csv", "b.csv"]


def test_what_still_arrives_can_be_skipped() -> None:
    """Where files come without end; they are told as missing."""
    arrival = Arrival(SOME, Rules(on_arriving="skip"))
    events = watch(arrival, [(at, shown(file(), file("b.csv", size=round(at)), at=at)) for at in SETTLED])
    assert ready(events[-1]) == ["a.csv"]
    assert events[-1] is not None
    assert [each.target for each in events[-1].missing] == ["file:///in/b.csv"]
    assert (events[-1].ready_count, events[-1].missing_count) == (1, 1)


def test_an_open_file_of_several() -> None:
    """It is waited for, or skipped when there are enough without it."""
    busy = {"b.csv": "somebody has it open for writing"}
    looks = same(
        file(), file("b.csv", age=10.0), file("c.csv"),
        seconds=[0, 30, 60, 90], objection=lambda seen: busy.get(seen.path),
    )  # fmt: skip

    def events(**rules: Any) -> list[Arrived | None]:
        return watch(Arrival(SOME, Rules(**rules)), looks)

    assert events(min_count=2) == [None] * 4
    assert ready(events(min_count=2, on_arriving="skip")[2]) == ["a.csv", "c.csv"]
    assert events(min_count=3, on_arriving="skip") == [None] * 4


def test_one_open_file_is_enough_to_wait() -> None:
    """Of 100,000 files not all are opened at each look: the newest first."""
    asked: list[str] = []

    def objection(seen: Seen) -> str | None:
        asked.append(seen.path)
        return "somebody has it open for writing"

    many = [file(f"{n}.csv", age=1000.0 - n) for n in range(5)]
    watch(Arrival(SOME, Rules()), same(*many, objection=objection))
    assert asked == ["4.csv"]


@pytest.mark.parametrize(("count", "expected"), [(1, "ready"), (2, "ready"), (3, None)])
def test_so_many_must_have_arrived(count: int, expected: str | None) -> None:
    """Fewer are not enough, however stable."""
    arrival = Arrival(SOME, Rules(min_count=count))
    event = watch(arrival, same(file("a.csv"), file("b.csv")))[-1]
    assert outcome(event) == expected
    if expected is None:
        assert whys(arrival) == {"/in/*.csv": "2 of 3 files are there"}
        assert arrival.describe() == "2 arrived; missing /in/*.csv (2 of 3 files are there)"


# What never counts.


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (file(size=0), "it is empty"),
        (file(size=9), "it has 9 bytes, fewer than 10"),
        (file(problem="it is no file"), "it is no file"),
    ],
    ids=["empty", "small", "link"],
)
@pytest.mark.parametrize("search", [SOME, DONE, KEY], ids=["stable", "done", "atomic"])
def test_what_never_counts(seen: Seen, why: str, search: Search) -> None:
    """However long it stays, whoever vouches for it; nor is it waited for when there is enough else."""
    seen = replace(seen, done=NOW)
    arrival = Arrival(search, Rules(min_size=10))
    assert watch(arrival, same(seen, seconds=range(0, 600, 30))) == [None] * 20
    assert list(whys(arrival).values()) == [why]
    if search is not KEY:
        other = file("b.csv", size=10, done=NOW)
        assert ready(watch(Arrival(search, Rules(min_size=10)), same(seen, other))[-1]) == ["b.csv"]


def test_an_empty_file_counts_where_a_done_file_says_so() -> None:
    """If that is asked for."""
    assert outcome(Arrival(DONE, Rules(min_size=0)).decide(shown(file(size=0, done=NOW)), 0.0)) == "ready"
    assert Arrival(DONE, Rules()).decide(shown(file(size=0, done=NOW)), 0.0) is None


def test_a_small_file_may_still_grow() -> None:
    """As long as it is new or changes, a set waits for it; afterwards no more."""
    arrival = Arrival(SOME, Rules(min_size=5))
    events = watch(
        arrival, [(0.0, shown(file())), *same(file(), file("b.csv", size=1), seconds=[30, 60, 90])]
    )
    assert [outcome(event) for event in events] == [None, None, None, "ready"]


def test_only_temporary_names() -> None:
    """The status says so, in the words of the catalogue."""
    arrival = Arrival(SOME, Rules())
    assert arrival.decide(shown(temporary=["data.csv.tmp"]), 0.0) is None
    assert whys(arrival) == {"/in/*.csv": "only temporary names match: 'data.csv.tmp'"}
    arrival.decide(shown(temporary=["a.csv.tmp", "b.csv.part"]), 1.0)
    assert whys(arrival) == {"/in/*.csv": "only temporary names match: 'a.csv.tmp', 'b.csv.part'"}


def test_nothing_there() -> None:
    """With the reason where one is known."""
    arrival = Arrival(SOME, Rules())
    arrival.decide(shown(), 0.0)
    assert whys(arrival) == {"/in/*.csv": "nothing is there"}
    arrival.decide(shown(absent="'/in' does not exist"), 1.0)
    assert whys(arrival) == {"/in/*.csv": "'/in' does not exist"}
    assert arrival.timeout().missing[0].state == "ABSENT"


# What cannot be seen.


@pytest.mark.parametrize("error", [TargetAccessError("no"), ConfigError("no"), OSError("no")], ids=repr)
def test_a_refusal_that_lasts_ends_the_wait(error: Exception) -> None:
    """Not before 60 s and three looks, but never by waiting for ever."""
    arrival = Arrival(ONE, Rules())
    events = watch(arrival, [(at, error) for at in (0.0, 20.0, 40.0, 59.9, 60.0)])
    assert [outcome(event) for event in events] == [None] * 4 + ["unreadable"]
    seldom = [(at, error) for at in (0.0, 100.0, 101.0)]
    events = watch(Arrival(ONE, Rules()), seldom)
    assert [outcome(event) for event in events] == [None, None, "unreadable"]
    event = events[-1]
    assert event is not None
    assert event.missing[0].target == "/in/a.csv"
    assert event.missing[0].state == "UNREADABLE"
    assert "no" in event.missing[0].why


def test_a_refusal_that_passes_is_forgotten() -> None:
    """Rights come and go for a moment."""
    error = TargetAccessError("no")
    arrival = Arrival(ONE, Rules())
    looks: list[_Moment] = [(0.0, error), (30.0, error)]
    looks += [(45.0, shown(at=45.0)), (60.0, error), (90.0, error), (119.0, error)]
    assert watch(arrival, looks) == [None] * 6
    assert outcome(arrival.decide(error, 120.0)) == "unreadable"


def test_a_store_that_does_not_answer_is_waited_for() -> None:
    """For hours, if need be; it is no refusal."""
    arrival = Arrival(ONE, Rules())
    fault = StorageUnavailableError("503")
    assert watch(arrival, [(at, fault) for at in range(0, 7200, 60)]) == [None] * 120
    assert whys(arrival) == {"/in/a.csv": "503"}
    refused = [
        (0.0, TargetAccessError("no")),
        (30.0, fault),
        *((at, TargetAccessError("no")) for at in (40.0, 99.0)),
    ]
    assert watch(Arrival(ONE, Rules()), refused) == [None] * 4


def test_a_folder_that_refuses_hides_something() -> None:
    """What is seen elsewhere may be enough; if it is not, the refusal ends the wait."""
    unseen: dict[str, FileflowError] = {"d/": TargetAccessError("no")}
    deep = Search.of(pattern="/in/**/*.csv")
    events = watch(Arrival(deep, Rules()), same(file(), unseen=unseen))
    assert ready(events[-1]) == ["a.csv"]
    assert events[-1] is not None
    assert [(each.target, each.why) for each in events[-1].missing] == [("file:///in/d/", "no")]
    events = watch(Arrival(deep, Rules(min_count=2)), same(file(), unseen=unseen))
    assert [outcome(event) for event in events] == [None, None, "unreadable"]


def test_a_folder_with_a_passing_fault_may_hold_more() -> None:
    """It is waited for, like a file that still arrives."""
    unseen: dict[str, FileflowError] = {"d/": StorageUnavailableError("EIO")}
    deep = Search.of(pattern="/in/**/*.csv")
    arrival = Arrival(deep, Rules())
    events = watch(
        arrival, [*same(file(), unseen=unseen, seconds=[0, 30, 60, 90]), (95.0, shown(file(), at=95.0))]
    )
    assert [outcome(event) for event in events] == [None] * 4 + ["ready"]


# What is said.


def test_the_time_is_over() -> None:
    """What has arrived is told, and what has not."""
    arrival = Arrival(SOME, Rules(min_count=3))
    watch(arrival, [*same(file(), seconds=[0, 30]), (60.0, shown(file(), file("b.csv"), at=60.0))])
    event = arrival.timeout()
    assert (event.outcome, event.ready_count, event.missing_count) == (Outcome.TIMEOUT, 1, 2)
    assert [each.uri for each in event.ready] == ["file:///in/a.csv"]
    assert event.missing[0].target == "file:///in/b.csv"
    assert (event.guess, event.digest, event.newest) == (None, None, None)


def test_before_the_first_look_nothing_is_known() -> None:
    """And just that is said."""
    event = Arrival(ONE, Rules()).timeout()
    assert [(each.target, each.state, each.why) for each in event.missing] == [
        ("/in/a.csv", "UNREADABLE", "it could not be looked at yet")
    ]


def test_what_is_said_stays_the_same_while_nothing_happens() -> None:
    """So that the log has a line for each change only."""
    arrival = Arrival(SOME, Rules())
    texts = []
    for at, look in same(file(), seconds=range(0, 60, 5)):
        arrival.decide(look, at)
        texts.append(arrival.describe())
    why = "it is new or changes; it has to be the same in 3 looks over 60 s"
    assert set(texts) == {f"0 arrived; missing file:///in/a.csv ({why})"}


def test_what_is_about_to_arrive_is_told_first() -> None:
    """Of many only some are told, and those that never count say least."""
    others = [file(f"{n:03}.csv", problem="it is not a regular file") for n in range(100)]
    arrival = Arrival(SOME, Rules())
    arrival.decide(shown(*others, file("z.csv")), 0.0)
    event = arrival.timeout()
    assert (len(event.missing), event.missing_count) == (20, 101)
    assert event.missing[0].target == "file:///in/z.csv"
    assert arrival.describe().endswith("and 96 more")


def test_many_files_are_told_by_some_and_what_stands_for_all() -> None:
    """The first by name; a digest and the newest moment for the others."""
    many = [file(f"{n:03}.csv", age=1000.0 + n) for n in range(60)]
    event = watch(Arrival(SOME, Rules()), same(*reversed(many)))[-1]
    assert event is not None
    assert ready(event) == [f"{n:03}.csv" for n in range(20)]
    assert (event.ready_count, event.is_whole, event.newest) == (60, False, NOW - 1000.0)
    whole = watch(Arrival(SOME, Rules()), same(*many[:50]))[-1]
    assert whole is not None
    assert (len(whole.ready), whole.is_whole) == (50, True)


# Once more, by whoever goes on.


@pytest.mark.parametrize("count", [3, 60])
def test_what_has_not_changed_is_confirmed(count: int) -> None:
    """All of it, although the event may hold only some; what came later is left for later."""
    many = [file(f"{n:03}.csv", age=1000.0 + n) for n in range(count)]
    arrival = Arrival(SOME, Rules())
    event = watch(arrival, same(*many))[-1]
    assert event is not None
    later = [file("later.csv", age=-70.0), file("empty.csv", size=0), file("l.csv", problem="a link")]
    files = Arrival(SOME, Rules()).confirm(event, shown(*reversed(many), *later, at=70.0))
    assert [each.uri for each in files] == [f"file:///in/{n:03}.csv" for n in range(count)]
    assert {each.trust for each in files} == {Trust.STABLE}


@pytest.mark.parametrize("count", [3, 60])
@pytest.mark.parametrize(
    "change",
    [
        lambda seen: replace(seen, size=6),
        lambda seen: replace(seen, mtime_ns=1),
        lambda seen: replace(seen, inode=2),
        lambda seen: None,
    ],
    ids=["size", "mtime", "inode", "gone"],
)
def test_what_has_changed_is_not_confirmed(count: int, change: Callable[[Seen], Seen | None]) -> None:
    """The guess was wrong, or somebody came since."""
    many = [file(f"{n:03}.csv", age=1000.0 + n) for n in range(count)]
    arrival = Arrival(SOME, Rules())
    event = watch(arrival, same(*many))[-1]
    assert event is not None
    changed = [*many[:-1], change(many[-1])]
    with pytest.raises(TargetSupersededError, match=r"after (it|they) had arrived"):
        arrival.confirm(event, shown(*(seen for seen in changed if seen is not None), at=70.0))


def test_an_object_stored_again_with_the_same_bytes_is_confirmed() -> None:
    """Its tag says so."""
    event = Arrival(KEY, Rules()).decide(shown(key()), 0.0)
    assert event is not None
    assert Arrival(KEY, Rules()).confirm(event, shown(key(age=-50.0), at=60.0)) == event.ready
    with pytest.raises(TargetSupersededError, match=r"'s3://lake/in/a\.csv' changed"):
        Arrival(KEY, Rules()).confirm(event, shown(key(etag="f"), at=60.0))
    with pytest.raises(TargetSupersededError, match=r"'s3://lake/in/a\.csv' went away"):
        Arrival(KEY, Rules()).confirm(event, shown(at=60.0))


def test_many_files_with_some_that_had_not_arrived_are_confirmed() -> None:
    """What the event says is missing does not belong to it, however old."""
    many = [file(f"{n:03}.csv", done=NOW) for n in range(60)]
    undone = [file("x.csv", age=2000.0), file("y.csv", age=500.0, done=NOW - 600.0)]
    event = Arrival(DONE, Rules()).decide(shown(*many, *undone), 0.0)
    assert event is not None
    files = Arrival(DONE, Rules()).confirm(event, shown(*many, *undone, at=9.0))
    assert len(files) == 60
    skipping = Rules(on_arriving="skip")
    busy = file("busy.csv", age=5000.0)

    def objection(seen: Seen) -> str | None:
        return "somebody has it open for writing" if seen.path == "busy.csv" else None

    event = watch(Arrival(SOME, skipping), same(*many, busy, objection=objection))[-1]
    assert event is not None
    assert event.ready_count == 60
    assert len(Arrival(SOME, skipping).confirm(event, shown(*many, busy, at=70.0))) == 60


# Pace.


def test_what_arrives_is_looked_at_as_often_as_its_looks_need() -> None:
    """Otherwise as often as asked."""
    arrival = Arrival(SOME, Rules())
    assert arrival.pause(300.0) == 300.0
    arrival.decide(shown(), 0.0)
    assert (arrival.pause(300.0), arrival.is_in_doubt) == (300.0, False)
    arrival.decide(shown(file()), 1.0)
    assert (arrival.pause(300.0), arrival.pause(5.0), arrival.is_in_doubt) == (30.0, 5.0, True)
    watch(arrival, same(file(size=0), seconds=[300, 330, 360]))
    assert (arrival.pause(300.0), arrival.is_in_doubt) == (300.0, False)


def test_a_refusal_is_looked_at_often_enough_to_be_believed_in_time() -> None:
    """Within 90 s; a store that does not answer is asked as often as before."""
    arrival = Arrival(SOME, Rules())
    arrival.decide(TargetAccessError("no"), 0.0)
    assert (arrival.pause(300.0), arrival.is_in_doubt) == (20.0, True)
    arrival.decide(StorageUnavailableError("503"), 1.0)
    assert (arrival.pause(300.0), arrival.is_in_doubt) == (300.0, False)


# Rules.


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"looks": 0}, "looks must be an integer >= 1, got 0"),
        ({"looks": True}, "looks must be an integer >= 1, got True"),
        ({"looks": 2.0}, "looks must be an integer >= 1, got 2.0"),
        ({"look_interval": 0.5}, "look_interval must be at least 1 second, got 0.5"),
        ({"look_interval": None}, "look_interval must be a positive number of seconds, got None"),
        ({"min_age": -1}, "min_age must be a number of seconds >= 0, got -1"),
        ({"min_age": float("nan")}, "min_age must be a number of seconds >= 0, got nan"),
        ({"min_size": -1}, "min_size must be an integer >= 0, got -1"),
        ({"min_size": 0}, "min_size 0 needs a done_file that says when an empty file is whole"),
        ({"min_count": 0}, "min_count must be an integer >= 1, got 0"),
        ({"min_count": 2}, "min_count is 2, but '/in/a.csv' means one file only"),
        ({"on_arriving": "fail"}, "on_arriving must be one of 'wait', 'skip', got 'fail'"),
    ],
    ids=str,
)
def test_rules_that_cannot_be_meant_are_refused(rules: dict[str, Any], message: str) -> None:
    """With the argument's name and value."""
    with pytest.raises(ConfigError) as caught:
        Rules(**rules).check(ONE)
    assert str(caught.value) == message


def test_rules_that_can_be_meant_are_not() -> None:
    """What depends on the search is only checked with it."""
    Rules(min_count=2, min_size=0).check()
    Rules(min_count=2).check(SOME)
    Rules(min_size=0).check(DONE)
    Rules(min_age=0).check(ONE)


# Whatever happens.


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0.1, 40.0),
            st.dictionaries(st.sampled_from("ab"), st.tuples(st.integers(0, 2), st.integers(0, 1))),
        ),
        max_size=12,
    )
)
def test_nothing_arrives_that_did_not_stay_the_same(
    history: list[tuple[float, dict[str, tuple[int, int]]]],
) -> None:
    """Of every history: what is ready was seen the same at least three times over at least a minute."""
    arrival, now, seen_at = Arrival(SOME, Rules(min_age=0.0)), 0.0, []
    for step, files in history:
        now += step
        seen_at.append((now, files))
        look = shown(
            *(file(f"{n}.csv", size=size, inode=inode) for n, (size, inode) in files.items()), at=now
        )
        event = arrival.decide(look, now)
        if event is None:
            continue
        for each in event.ready:
            name = each.uri[-5]
            same_since = now
            times = 0
            for at, then in reversed(seen_at):
                if then.get(name) != files[name]:
                    break
                same_since, times = at, times + 1
            assert times >= 3
            assert now - same_since >= 60.0
            assert each.size > 0


def test_nobody_writes_to_an_object() -> None:
    """What every look says that has no kernel to ask."""
    assert nobody_writes(key()) is None
