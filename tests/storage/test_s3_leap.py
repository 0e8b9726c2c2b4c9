"""Many folders by few LISTs: what single listings give, and never for more of them."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from fileflow_async.clock import SystemClock
from fileflow_async.errors import FileflowError, StorageUnavailableError
from fileflow_async.storage.protocol import Entry, Listing
from fileflow_async.storage.s3_leap import list_each
from fileflow_async.storage.s3_listing import Lister
from fileflow_async.storage.s3_page import Page
from fileflow_async.storage.s3_place import Place

DATE = "Fri, 20 Nov 2026 10:15:09 GMT"


class Bucket:
    """What a LIST answers, from keys in memory: the `Requests` of a lister."""

    clock = SystemClock()

    def __init__(self, keys: list[str], *, ordered: bool = True, page: int = 1000) -> None:
        self.keys = sorted(keys)
        self.ordered = ordered
        self.page = page
        self.asked: list[dict[str, Any]] = []
        self.fails_at: int | None = None

    async def call(
        self, action: object, uri: str, operation: str, *, needs: str, **asked: Any
    ) -> dict[str, Any]:
        assert operation == "list_objects_v2"
        self.asked.append(asked)
        if len(self.asked) == self.fails_at:
            raise StorageUnavailableError("planted")
        prefix, after = asked["Prefix"], asked.get("ContinuationToken", asked.get("StartAfter", ""))
        found: dict[str, Entry] = {}
        for key in self.keys:
            if key.startswith(prefix) and key > after:
                head, slash, _ = key[len(prefix) :].partition("/")
                if "Delimiter" in asked and slash:
                    folder = f"{prefix}{head}/"
                    if folder > after and not after.startswith(folder):
                        found[folder] = Entry(folder, 0, 0.0)
                else:
                    found[key] = Entry(key, 1, 1.0, "e")
        size = min(asked["MaxKeys"], self.page)
        entries = list(found.values())[:size]
        more = len(found) > size
        if not self.ordered:
            entries.reverse()
        page = Page(entries, more, list(found)[size - 1] if more else None, self.ordered)
        return {"Page": page, "ResponseMetadata": {"HTTPHeaders": {"date": DATE}}}

    @property
    def lister(self) -> Lister:
        return Lister(self, Place("lake"))  # type: ignore[arg-type]


async def one_by_one(keys: list[str], folders: list[str]) -> dict[str, Listing | FileflowError]:
    lister = Bucket(keys).lister
    return {folder: await lister.list(folder, shallow=True) for folder in folders}


PARTS = st.sampled_from(["a", "b", "a-", "a.b", "a0", "map=0", "%2E", "~", "é", "x"])
PATHS = st.lists(PARTS, min_size=1, max_size=6).map("/".join)
FOLDERS = [
    f"{'/'.join(parts)}/"
    for length in range(1, 5)
    for parts in product(("a", "b", "a-", "map=0"), repeat=length)
]


@settings(max_examples=400, deadline=None)
@given(
    keys=st.lists(PATHS, max_size=40, unique=True),
    folders=st.lists(st.sampled_from(FOLDERS), max_size=12),
    page=st.integers(1, 50),
)
async def test_any_folders_of_any_tree(keys: list[str], folders: list[str], page: int) -> None:
    """Nested folders, folders that do not exist, folders twice; pages as small as they come."""
    bucket = Bucket(keys, page=page)
    assert await list_each(bucket.lister, folders) == await one_by_one(keys, folders)


@settings(max_examples=200, deadline=None)
@given(
    runs=st.lists(
        st.lists(
            st.tuples(st.integers(0, 12), st.integers(0, 3), st.integers(0, 60)), min_size=1, max_size=12
        ),
        min_size=1,
        max_size=3,
    ),
    data=st.data(),
)
async def test_targets_of_runs(runs: list[list[tuple[int, int, int]]], data: st.DataObject) -> None:
    """As many LISTs as there are folders at most, and one more for each sub-folder."""
    keys, folders, subfolders = [], [], 0
    for run, targets in enumerate(runs):
        for target, (files, deep, parts) in enumerate(targets):
            folder = f"dag/run={run}/task{target:02d}/output/"
            folders.append(folder)
            keys += [f"{folder}2026{number:04d}.csv" for number in range(files)]
            keys += [
                f"{folder}2026{number:04d}.d/part{part}" for number in range(deep) for part in range(parts)
            ]
            subfolders += deep if parts else 0
    wanted = data.draw(st.lists(st.sampled_from(folders), unique=True))
    bucket = Bucket(keys)
    assert await list_each(bucket.lister, wanted) == await one_by_one(keys, wanted)
    assert len(bucket.asked) <= len(wanted) + subfolders


async def test_a_thousand_targets_of_a_run_take_few_lists() -> None:
    """One LIST answers what its page covers."""
    folders = [f"dag/run/task{number:04d}/output/" for number in range(1000)]
    keys = [f"{folder}2026-{end}" for folder in folders for end in ("a.csv", "a.csv.ok")]
    bucket = Bucket(keys)
    found = await list_each(bucket.lister, folders)
    assert all(isinstance(each, Listing) and len(each.entries) == 2 for each in found.values())
    assert list(found) == folders
    assert len(bucket.asked) == 2


async def test_one_target_of_a_large_run_does_not_list_the_others() -> None:
    """A single folder is asked for alone, so that S3 folds it."""
    keys = [f"dag/run/task{number:04d}/output/x" for number in range(5000)]
    bucket = Bucket(keys)
    await list_each(bucket.lister, ["dag/run/task0777/output/"])
    assert [(asked["Prefix"], asked.get("Delimiter")) for asked in bucket.asked] == [
        ("dag/run/task0777/output/", "/")
    ]


async def test_folders_far_apart_cost_small_pages() -> None:
    """What lies between them is not read by the thousand."""
    keys = [f"dag/run/task{number:05d}/output/x" for number in range(20_000)]
    folders = [f"dag/run/task{number:05d}/output/" for number in range(0, 20_000, 1000)]
    bucket = Bucket(keys)
    await list_each(bucket.lister, folders)
    assert len(bucket.asked) <= len(folders)
    assert sum(asked["MaxKeys"] for asked in bucket.asked[1:-1]) <= 50 * len(folders)


async def test_a_target_of_many_files_is_leapt_over() -> None:
    """Ten thousand parts of one attempt cost one LIST more."""
    folders = [f"dag/run/task{number}/output/" for number in range(3)]
    keys = [f"{folder}2026.ok" for folder in folders]
    keys += [f"{folders[0]}2025/part-{number:05d}" for number in range(10_000)]
    bucket = Bucket(keys)
    found = await list_each(bucket.lister, folders)
    first = found[folders[0]]
    assert isinstance(first, Listing)
    assert [entry.key for entry in first.entries] == [f"{folders[0]}2025/", f"{folders[0]}2026.ok"]
    assert len(bucket.asked) <= 4


async def test_a_folder_of_many_files_is_read_by_large_pages() -> None:
    folders = ["dag/run/a/output/", "dag/run/b/output/", "dag/run/c/output/"]
    keys = [f"{folders[1]}{number:05d}" for number in range(6000)]
    bucket = Bucket(keys)
    assert await list_each(bucket.lister, folders) == await one_by_one(keys, folders)
    assert len(bucket.asked) == 8


async def test_folders_within_folders() -> None:
    """Each is listed for itself: what answers the outer one has gone beyond the inner."""
    folders = ["dag/run/a/", "dag/run/a/b/", "dag/run/a/b/c/", "dag/run/a0/", "dag/run/b/"]
    keys = [f"{folder}{name}" for folder in folders for name in ("1", "2", "x/y")]
    bucket = Bucket(keys)
    assert await list_each(bucket.lister, folders) == await one_by_one(keys, folders)


async def test_an_error_stands_for_what_is_not_answered_yet() -> None:
    """What was answered before stays."""
    folders = [f"dag/run/task{number:04d}/output/" for number in range(2000)]
    bucket = Bucket([f"{folder}x" for folder in folders])
    bucket.fails_at = 2
    found = await list_each(bucket.lister, [*folders, "other/run/t/output/"])
    kinds = [type(each) for each in found.values()]
    assert kinds.count(StorageUnavailableError) in (1, 1001)
    assert kinds.count(Listing) == len(kinds) - kinds.count(StorageUnavailableError)


async def test_unordered_keys_are_listed_one_folder_at_a_time() -> None:
    """S3 Express knows no StartAfter."""
    folders = ["dag/run/a/", "dag/run/b/", "dag/run/c/"]
    keys = [f"{folder}{number}" for folder in folders for number in range(3)]
    found = await list_each(Bucket(keys, ordered=False).lister, folders)
    assert found == await one_by_one(keys, folders)


async def test_no_folders() -> None:
    assert await list_each(Bucket([]).lister, []) == {}


@pytest.mark.parametrize("more", [{"limit": 2}, {"start_after": "a"}])
async def test_a_part_of_an_unordered_listing_cannot_be_had(more: dict[str, Any]) -> None:
    """It would leave keys out without a word."""
    lister = Bucket(["a", "b", "c"], ordered=False).lister
    assert [entry.key for entry in (await lister.list()).entries] == ["a", "b", "c"]
    with pytest.raises(FileflowError, match="s3://lake lists its keys out of order"):
        await lister.list(**more)
