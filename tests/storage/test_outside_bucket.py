"""Looking through buckets of outsiders."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import pytest

from fileflow_async.errors import ConfigError, StorageUnavailableError, TargetAccessError
from fileflow_async.storage import outside_bucket
from fileflow_async.storage.outside import Answer, Look, Seen
from fileflow_async.storage.outside_bucket import OutsideBucket
from fileflow_async.storage.protocol import Listing
from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.storage.search import Search
from fileflow_async.testing.clock import FakeClock
from fileflow_async.testing.memory import MemoryStorage
from tests.s3_servers.backdoor import Backdoor
from tests.s3_servers.proxy import Proxy


class Bucket(MemoryStorage):
    """A bucket in memory that notes what it was asked to list."""

    def __init__(self, *keys: str) -> None:
        super().__init__(clock=FakeClock())
        self.listed: list[tuple[str, int | None, bool]] = []
        self.plant(*keys)

    def plant(self, *keys: str, data: bytes = b"x", age: float = 100.0) -> None:
        for key in keys:
            self.objects[key] = (data, self.clock.time() - age)

    async def list(
        self, prefix: str = "", *, start_after: str = "", limit: int | None = None, shallow: bool = False
    ) -> Listing:
        self.listed.append((prefix, limit, shallow))
        return await super().list(prefix, start_after=start_after, limit=limit, shallow=shallow)


def path(text: str, **more: Any) -> Search:
    return Search.of(path=f"s3://lake/{text}", **more)


def pattern(text: str, **more: Any) -> Search:
    return Search.of(pattern=f"s3://lake/{text}", **more)


async def looks(bucket: Bucket | OutsideBucket, *searches: Search) -> Sequence[Look]:
    outside = bucket if isinstance(bucket, OutsideBucket) else OutsideBucket(bucket)

    def then(answers: Mapping[Search, Answer]) -> Sequence[Look]:
        return [answers[search] for search in searches]  # type: ignore[misc]

    return await outside.look(searches, then)


async def found(bucket: Bucket | OutsideBucket, search: Search) -> list[str]:
    return sorted(seen.path for seen in (await looks(bucket, search))[0].seen)


async def test_what_is_seen_of_an_object() -> None:
    """Its tag changes with its bytes."""
    bucket = Bucket("in/a.csv")
    [look] = await looks(bucket, path("in/a.csv"))
    entry = await bucket.stat("in/a.csv")
    assert look.seen == [Seen(path="a.csv", size=1, modified=entry.modified, etag=entry.etag)]
    assert look.now == bucket.clock.time()
    assert look.objection(look.seen[0]) is None


async def test_a_key_is_that_object_only() -> None:
    """Airflow's S3KeyTrigger also takes `k.csv.tmp` for it."""
    bucket = Bucket("in/rep[1].csv.tmp", "in/rep1.csv", "in/rep[1].csv/x", "in/rep[1].csvx")
    assert await found(bucket, path("in/rep[1].csv")) == []
    bucket.plant("in/rep[1].csv")
    assert await found(bucket, path("in/rep[1].csv")) == ["rep[1].csv"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in/*.csv", ["a.csv"]),
        ("in/*", ["a.csv", "b.txt"]),
        ("in/a*", ["a.csv"]),
        ("in/*/*.csv", ["d/a.csv"]),
        ("in/**/*.csv", ["a.csv", "d/a.csv", "d/e/a.csv"]),
        ("in/**", ["a.csv", "b.txt", "d/a.csv", "d/e/a.csv"]),
        ("in/d/**", ["a.csv", "e/a.csv"]),
        ("in/x*", []),
        ("other/*", []),
        ("*", ["top.csv"]),
    ],
)
async def test_a_pattern_finds_what_it_finds_on_disk(text: str, expected: list[str]) -> None:
    """By the same matcher, after a listing of what the keys have in common."""
    bucket = Bucket(
        "in/a.csv", "in/b.txt", "in/d/a.csv", "in/d/e/a.csv", "in/.h/a.csv", "in/_temporary/0/a.csv",
        "in/c.csv.tmp", "inner/a.csv", "top.csv", "in/dir/",
    )  # fmt: skip
    del bucket.objects["in/dir/"]  # consoles make such objects for folders; a storage leaves them out
    assert await found(bucket, pattern(text)) == expected


@pytest.mark.parametrize(
    ("searches", "listed"),
    [
        ([pattern("in/ord*.csv")], [("in/ord", True)]),
        ([pattern("in/*")], [("in/", True)]),
        ([pattern("in/d?/ord*.csv")], [("in/d", False)]),
        ([pattern("in/**")], [("in/", False)]),
        ([path("in/a.csv")], [("in/a.csv", True)]),
        ([path("in/a.csv", done_file="{name}.done")], [("in/a.csv", True)]),
        ([path("in/a.csv", done_file="_OK")], [("in/", True)]),
        ([path("in/d/", done_file="_SUCCESS")], [("in/d/", False)]),
        ([path("in/d/", done_file="{name}.done")], [("in/d", False)]),
        ([pattern("in/d*/", done_file="_SUCCESS")], [("in/d", False)]),
        ([pattern("in/a*", done_file="_{name}")], [("in/", True)]),
        ([pattern("in/a.b*", done_file="{stem}.ok")], [("in/a", True)]),
        ([pattern("in/a*/x", done_file="_{name}")], [("in/a", False)]),
        ([path("in/a1.csv"), path("in/a2.csv")], [("in/a", True)]),
        ([path("in/a1.csv"), pattern("in/a*")], [("in/a", True)]),
        ([path("in/a1.csv"), pattern("in/**")], [("in/", False)]),
    ],
    ids=str,
)
async def test_one_list_answers_all_that_is_asked(
    searches: list[Search], listed: list[tuple[str, bool]]
) -> None:
    """Of the longest beginning that all have in common, without folders where none is needed."""
    bucket = Bucket("in/a1.csv", "in/a2.csv")
    await looks(bucket, *searches)
    assert [(prefix, shallow) for prefix, _, shallow in bucket.listed] == listed


async def test_done_files_are_found_where_they_are() -> None:
    """Beside what they vouch for, whatever the prefix that had to be listed."""
    bucket = Bucket("in/a.csv", "in/b.csv")
    bucket.plant("in/a.csv.done", "in/a.ok", "in/_a.csv", "in/_OK", age=5.0)
    when = bucket.clock.time() - 5.0
    for template, expected in (
        ("{name}.done", {"a.csv": when, "b.csv": None}),
        ("{stem}.ok", {"a.csv": when, "b.csv": None}),
        ("_{name}", {"a.csv": when, "b.csv": None}),
        ("_OK", {"a.csv": when, "b.csv": when}),
    ):
        [look] = await looks(bucket, pattern("in/?.csv", done_file=template))
        assert {seen.path: seen.done for seen in look.seen} == expected, template
        [look] = await looks(bucket, path("in/a.csv", done_file=template))
        assert [seen.done for seen in look.seen] == [when], template


async def test_a_folder_is_the_sum_of_its_objects() -> None:
    """Without its done file and what is temporary; its tag changes with each of them."""
    bucket = Bucket("out/dt=1/p-0", "out/dt=1/h=2/p-1", "out/dt=1/p-2.tmp", "out/dt=10/p-0", "out/.dt/p-0")
    bucket.plant("out/dt=1/_SUCCESS", age=50.0)
    searches = [pattern("out/dt=*/", done_file="_SUCCESS"), path("out/dt=1/", done_file="_SUCCESS")]
    several, one = await looks(bucket, *searches)
    assert sorted((seen.path, seen.size) for seen in several.seen) == [("dt=1/", 2), ("dt=10/", 1)]
    [seen] = one.seen
    now = bucket.clock.time()
    assert (seen.path, seen.modified, seen.done) == ("dt=1/", now - 100.0, now - 50.0)
    tags = {seen.etag}
    for key, data in (("out/dt=1/p-0", b"y"), ("out/dt=1/p-3", b"z")):
        bucket.plant(key, data=data)
        tags.add((await looks(bucket, searches[1]))[0].seen[0].etag)
    assert len(tags) == 3


async def test_temporary_keys_are_only_mentioned() -> None:
    """A few of those that match, by what they are called now or may be called in the end."""
    bucket = Bucket(
        "in/a.csv.tmp", "in/.b.csv.part", "in/c.txt.tmp", "in/~", *(f"in/{n}.tmp" for n in range(9))
    )
    [csv, everything, one] = await looks(bucket, pattern("in/*.csv"), pattern("in/*"), path("in/a.csv"))
    assert sorted(csv.temporary) == [".b.csv.part", "a.csv.tmp"]
    assert len(everything.temporary) == 3
    assert one.temporary == ["a.csv.tmp"]
    assert [*csv.seen, *everything.seen, *one.seen] == []


async def test_what_lies_between_is_not_listed_when_that_is_dearer() -> None:
    """Two waiters must not cost the listing of the million keys between theirs."""
    bucket = Bucket("in/a.csv", "in/z.csv", *(f"in/m{n:04}" for n in range(2500)))
    outside = OutsideBucket(bucket)
    searches = [path("in/a.csv"), path("in/z.csv")]
    for _ in range(3):
        assert [seen.path for look in await looks(outside, *searches) for seen in look.seen] == [
            "a.csv",
            "z.csv",
        ]
    apart = [("in/a.csv", 1000, True), ("in/z.csv", 1000, True)]
    assert bucket.listed == [("in/", 2000, True), *apart, *apart, *apart]


async def test_many_more_waiters_are_worth_another_try() -> None:
    """What was dear for two may be cheap for ten."""
    bucket = Bucket(*(f"in/m{n:04}" for n in range(2500)))
    outside = OutsideBucket(bucket)
    await looks(outside, path("in/a.csv"), path("in/z.csv"))
    bucket.listed.clear()
    await looks(outside, *(path(f"in/{letter}.csv") for letter in "abcdyz"))
    assert bucket.listed == [("in/", 6000, True)]


async def test_a_key_that_begins_many_others_is_found_on_the_first_page() -> None:
    """It sorts in front of them; more than that is not listed."""
    bucket = Bucket("in/export", *(f"in/export-{n:04}" for n in range(1500)))
    assert await found(bucket, path("in/export")) == ["export"]
    assert bucket.listed == [("in/export", 1000, True)]


async def test_too_many_keys_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than part of the truth."""
    monkeypatch.setattr(outside_bucket, "_MOST", 5)
    bucket = Bucket(*(f"in/{n}" for n in range(6)))
    message = "there are more than 5 keys that begin with memory://store/in/"
    with pytest.raises(ConfigError, match=message):
        await looks(bucket, pattern("in/*"))


async def test_an_error_of_one_of_several_lists_comes_out_as_itself() -> None:
    """No group of errors around it."""
    bucket = Bucket(*(f"in/m{n:04}" for n in range(2500)))
    outside = OutsideBucket(bucket)
    searches = [path("in/a.csv"), path("in/z.csv")]
    await looks(outside, *searches)
    bucket.fault = StorageUnavailableError("503")
    with pytest.raises(StorageUnavailableError, match="503"):
        await looks(outside, *searches)


# The same on a server.


@pytest.fixture
async def lake(bucket: Backdoor, s3_settings: Callable[..., S3Settings]) -> AsyncIterator[OutsideBucket]:
    """The whole bucket, open."""
    async with S3Storage(bucket.bucket, "", s3_settings(bucket.port)) as storage:
        yield OutsideBucket(storage)


def searching(bucket: Backdoor, **given: Any) -> Search:
    return Search.of(
        **{word: text.replace("s3://lake", f"s3://{bucket.bucket}") for word, text in given.items()}
    )


async def test_a_server_gives_the_same(bucket: Backdoor, lake: OutsideBucket) -> None:
    """Literal keys, patterns, done files, empty objects, folder markers, odd names."""
    for key in ("in/rep[1].csv", "in/a b+é%.csv", "in/sub/c.csv", "in/a.csv.tmp", "in/rep[1].csv.done"):
        await bucket.put(key, b"abc")
    await bucket.put("in/empty.csv", b"")
    await bucket.put("in/marker/", b"")
    single = searching(bucket, path="s3://lake/in/rep[1].csv", done_file="{name}.done")
    flat = searching(bucket, pattern="s3://lake/in/*.csv")
    deep = searching(bucket, pattern="s3://lake/in/**")
    one, some, everything = await looks(lake, single, flat, deep)
    [seen] = one.seen
    assert (seen.size, seen.etag, seen.done is not None) == (3, "900150983cd24fb0d6963f7d28e17f72", True)
    assert sorted(each.path for each in some.seen) == ["a b+é%.csv", "empty.csv", "rep[1].csv"]
    assert sorted(each.path for each in everything.seen) == [
        "a b+é%.csv", "empty.csv", "rep[1].csv", "rep[1].csv.done", "sub/c.csv",
    ]  # fmt: skip
    assert some.temporary == ["a.csv.tmp"]
    assert abs(one.now - seen.modified) < 60
    assert flat.uri("a b+é%.csv") == f"s3://{bucket.bucket}/in/a b+é%.csv"


async def test_a_bucket_that_is_not_there_is_an_error(
    bucket: Backdoor, s3_settings: Callable[..., S3Settings]
) -> None:
    """Airflow's sensor waits for a key in it for ever."""
    async with S3Storage("no-such-bucket-here", "", s3_settings(bucket.port)) as storage:
        with pytest.raises(TargetAccessError, match="does not exist"):
            await looks(OutsideBucket(storage), Search.of(path="s3://no-such-bucket-here/a"))


async def test_cancelling_a_look_leaves_nothing(
    bucket: Backdoor, proxy: Proxy, s3_settings: Callable[..., S3Settings]
) -> None:
    """No task that goes on asking."""
    async with S3Storage(bucket.bucket, "", s3_settings(proxy.port)) as storage:
        outside, before = OutsideBucket(storage), asyncio.all_tasks()
        task = asyncio.create_task(looks(outside, searching(bucket, path="s3://lake/in/a")))
        await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() <= before
