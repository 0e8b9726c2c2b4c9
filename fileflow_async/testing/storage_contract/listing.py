"""Promises of `list` and `list_each`."""
# ruff: noqa: S101 - a contract asserts

import os
from collections.abc import Collection, Sequence

import pytest_asyncio
from hypothesis import HealthCheck, given, settings, strategies as st

from fileflow_async.errors import FileflowError, TargetNameError
from fileflow_async.storage.protocol import Listing, Storage
from fileflow_async.testing.storage_contract.back_door import BackDoor
from fileflow_async.testing.storage_contract.calls import listed
from fileflow_async.testing.storage_contract.keys import TRAPS
from fileflow_async.testing.storage_contract.patience import PATIENCE

_COMPONENTS = ("a", "a-b", "a.b", "a0", "ab", "b", "%2E", "~", "_", "a=b", "Z", "0", "é")
_EXAMPLES = settings(
    deadline=None,
    max_examples=60,
    # The storage outlives an example on purpose; each subclass runs the same examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
_FEW_EXAMPLES = settings(_EXAMPLES, max_examples=12)
Query = tuple[str, str, int | None, bool]


class ListPromises(BackDoor):
    """Finding what is there."""

    @pytest_asyncio.fixture
    async def tree(self, storage: Storage) -> Sequence[str]:
        """Plant the keys that are hard to list."""
        for key in TRAPS:
            await self.plant(key, key.encode())
        return TRAPS

    async def test_no_objects_is_an_empty_listing(self, storage: Storage) -> None:
        """Whatever the prefix, keys or not."""
        for prefix in (
            "",
            "a",
            "a/",
            "a/b",
            "/",
            "/a",
            "a//b",
            "..",
            "../",
            "../x",
            "a/../b",
            "./",
            "é",
            "a\0b/",
            "\ud800",
        ):
            for shallow in (False, True):
                listing = await storage.list(prefix, shallow=shallow)
                assert (list(listing.entries), listing.complete) == ([], True)

    async def test_a_listing_tells_sizes_and_times(self, storage: Storage) -> None:
        """Ages are counted by the store's own clock."""
        await self.plant("d/x", b"123")
        listing = await storage.list("d/")
        (entry,) = listing.entries
        assert (entry.key, entry.size, entry.is_folder) == ("d/x", 3, False)
        assert -2 < listing.now - entry.modified < PATIENCE + 1  # S3 cuts its times to seconds
        assert entry == await storage.stat("d/x")

    async def test_an_object_is_listed_once_put_returned(self, storage: Storage) -> None:
        """And no longer once `delete` did."""
        for number in range(5):
            await storage.put(f"d/{number}", b"")
            assert await listed(storage) == [f"d/{each}" for each in range(number + 1)]
        for number in range(5):
            await storage.delete([f"d/{number}"])
            assert await listed(storage) == [f"d/{each}" for each in range(number + 1, 5)]

    async def test_keys_are_listed_in_the_order_of_their_bytes(
        self, storage: Storage, tree: Sequence[str]
    ) -> None:
        """`a-b/` and `a.b` before `a/`, which a walk of folders gets wrong."""
        assert await listed(storage) == sorted(tree)
        assert (await listed(storage, shallow=True))[1:5] == ["Z", "_/", "a-b/", "a.b"]

    @_EXAMPLES
    @given(
        prefix=st.one_of(
            st.sampled_from(
                ["", "a", "a/", "a/b", "a/bc", "ab/.", "b", "b/c/d", "b/c/d/", "run=", "%", "none", "a//"]
            ),
            st.sampled_from(TRAPS).flatmap(lambda key: st.integers(0, len(key)).map(lambda end: key[:end])),
        ),
        start_after=st.one_of(
            st.sampled_from(["", "a", "a/", "a/zzz", "a0", "b/", "b/c/d/", "b/c/d0", "zzz", "~", "A"]),
            st.sampled_from(TRAPS),
        ),
        limit=st.one_of(st.none(), st.integers(1, 25)),
        shallow=st.booleans(),
    )
    async def test_a_listing_is_what_the_model_says(
        self,
        storage: Storage,
        tree: Sequence[str],
        prefix: str,
        start_after: str,
        limit: int | None,
        shallow: bool,
    ) -> None:
        """Prefix, start_after, limit and shallow, in every combination."""
        if _is_inside_object(prefix, tree):
            return  # a backend with real folders may refuse to look into a file
        await self._compare(storage, tree, (prefix, start_after, limit, shallow))

    @_FEW_EXAMPLES
    @given(
        data=st.data(),
        parts=st.lists(
            st.lists(st.sampled_from(_COMPONENTS), min_size=1, max_size=3).map("/".join),
            min_size=1,
            max_size=8,
            unique=True,
        ),
    )
    async def test_any_tree_is_listed_as_the_model_says(
        self, storage: Storage, data: st.DataObject, parts: Sequence[str]
    ) -> None:
        """Drawn trees, each with drawn queries."""
        case = f"case{os.urandom(6).hex()}/"  # its own folder: nothing to clean up between examples
        keys = [case + part for part in parts if not any(other.startswith(f"{part}/") for other in parts)]
        for key in keys:
            await self.plant(key, b"")
        for _ in range(4):
            prefix = case + data.draw(st.sampled_from(["", "a", "a/", "a/a", "b/", "é"]))
            start_after = data.draw(st.one_of(st.just(""), st.sampled_from(keys), st.just(f"{case}a/")))
            limit = data.draw(st.one_of(st.none(), st.integers(1, 9)))
            if not _is_inside_object(prefix, keys):
                await self._compare(storage, keys, (prefix, start_after, limit, data.draw(st.booleans())))

    async def _compare(self, storage: Storage, keys: Sequence[str], query: Query) -> None:
        prefix, start_after, limit, shallow = query
        listing = await storage.list(prefix, start_after=start_after, limit=limit, shallow=shallow)
        expected = _model(keys, query)
        assert [entry.key for entry in listing.entries] == expected[:limit]
        assert listing.complete == (len(expected) <= (len(expected) if limit is None else limit))
        for entry in listing.entries:
            if entry.is_folder:
                assert (entry.size, entry.modified) == (0, 0.0)

    async def test_pages_make_up_the_whole(self, storage: Storage, tree: Sequence[str]) -> None:
        """The last key of a page is where the next one starts, folders included."""
        for shallow in (False, True):
            found: list[str] = []
            complete = False
            while not complete:
                page = await storage.list(start_after=found[-1] if found else "", limit=3, shallow=shallow)
                found += [entry.key for entry in page.entries]
                complete = page.complete
                assert len(found) <= len(tree)
            assert found == await listed(storage, shallow=shallow)

    async def test_list_each_lists_each_folder(self, storage: Storage, tree: Sequence[str]) -> None:
        """As a shallow `list` would; one that does not exist is empty."""
        folders = ["a/", "a/bc-/", "b/c/", "none/", "none/none/", "ab/"]
        found = await storage.list_each(folders)
        assert list(found) == folders
        for folder in folders:
            listing = found[folder]
            assert isinstance(listing, Listing)
            assert listing.complete
            assert list(listing.entries) == list((await storage.list(folder, shallow=True)).entries)
        assert await storage.list_each([]) == {}

    async def test_a_folder_that_cannot_be_listed_spoils_no_other(
        self, storage: Storage, tree: Sequence[str]
    ) -> None:
        """Its error stands in the place of its listing."""
        spoilt = await self.spoil("b/c/")
        found = await storage.list_each(["a/", "b/c/", "ab/", "../", "a//b/"])
        for folder in ("a/", "ab/"):
            listing = found[folder]
            assert isinstance(listing, Listing)
            assert list(listing.entries) == list((await storage.list(folder, shallow=True)).entries)
        assert isinstance(found["b/c/"], FileflowError) == spoilt
        for folder in ("../", "a//b/"):
            listing = found[folder]
            assert isinstance(listing, TargetNameError) or not listing.entries  # type: ignore[union-attr]


def _model(keys: Sequence[str], query: Query) -> list[str]:
    prefix, start_after, _, shallow = query
    found = set()
    for key in keys:
        if key.startswith(prefix):
            head, folder, _ = key[len(prefix) :].partition("/")
            found.add(prefix + head + folder if shallow else key)
    return sorted((key for key in found if key.encode() > start_after.encode()), key=str.encode)


def _is_inside_object(prefix: str, keys: Collection[str]) -> bool:
    return any(prefix.startswith(f"{key}/") for key in keys)
