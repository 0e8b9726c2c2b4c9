"""Promises about shapes and keys."""
# ruff: noqa: S101 - a contract asserts

import pytest

from fileflow_async.errors import TargetNameError
from fileflow_async.storage.protocol import Storage
from fileflow_async.testing.storage_contract.back_door import BackDoor
from fileflow_async.testing.storage_contract.calls import created, listed, streamed

# What the codec leaves as it is and what it makes; names that sort otherwise once a folder's "/" counts.
TRAPS = (
    "a-b/x",
    "a.b",
    "a/b",
    "a/bc",
    "a/bc-/x",
    "a/bc.d",
    "a=1/x",
    "a@b,c+d:e/x.csv",
    "a@b,c+d:e/x.csv.ok",
    "ab/-",
    "ab/.x.part",
    "b/c/d/e/f/g",
    "b/c/d/e/f0",
    "b/c/d0",
    "b~0123456789abcdef01234567/x",
    "%2E./x",
    "Z",
    "_/0",
    "run=manual__2026-11-20T10:15:02.123+00:00/t/map=0/output/x",
)
BAD_KEYS = ("", "/", "/a", "a/", "a//b", ".", "..", "../x", "a/./b", "a/../b", "a/..", "a\0b", "a\nb", "\x1f")


class KeyPromises(BackDoor):
    """What can be a key, and what cannot."""

    async def test_it_is_a_storage(self, storage: Storage) -> None:
        """All methods of the protocol are there."""
        assert isinstance(storage, Storage)

    async def test_a_uri_is_the_root_with_the_key_behind_it(self, storage: Storage) -> None:
        """People can put the two together, and find no credentials in either."""
        assert "://" in storage.root
        assert not storage.root.endswith("/")
        assert "@" not in storage.root
        assert storage.uri("a/b.csv") == f"{storage.root}/a/b.csv"

    @pytest.mark.parametrize("key", BAD_KEYS)
    async def test_a_key_that_could_leave_the_root_is_refused(self, storage: Storage, key: str) -> None:
        """Every method that takes a key checks it before it does anything."""
        for attempt in (
            lambda: storage.put(key, b"x"),
            lambda: created(storage, key, b"x"),
            lambda: storage.read(key),
            lambda: storage.read_range(key, 0, 1),
            lambda: streamed(storage, key),
            lambda: storage.stat(key),
            lambda: storage.delete([key]),
        ):
            with pytest.raises(TargetNameError):
                await attempt()
        assert await self.keys() == []

    async def test_a_bad_key_spoils_no_other(self, storage: Storage) -> None:
        """`read_each` puts the error in the place of the bytes."""
        await self.plant("a/b", b"x")
        found = await storage.read_each(["../a/b", "a/b"])
        assert isinstance(found["../a/b"], TargetNameError)
        assert found["a/b"] == b"x"

    async def test_every_key_that_the_codec_makes_works(self, storage: Storage) -> None:
        """All that it leaves as it is, `%` and `~` included, comes back as it went in."""
        for number, key in enumerate(TRAPS):
            entry = await storage.put(key, b"%d" % number)
            assert entry.key == key
        for number, key in enumerate(TRAPS):
            assert await self.peek(key) == b"%d" % number
            assert await storage.read(key) == b"%d" % number
        assert await listed(storage) == sorted(TRAPS)

    async def test_keys_beyond_ascii_work_or_are_refused(self, storage: Storage) -> None:
        """Either is fine, half of either is not; their order is that of UTF-8, not of UTF-16."""
        keys = ["données/é.csv", "données/～", "données/😀"]
        try:
            await storage.put(keys[0], b"0")
        except TargetNameError:
            assert await self.keys() == []
            return
        for key in keys[1:]:
            await storage.put(key, key.encode())
        assert await listed(storage) == sorted(keys, key=str.encode)
        assert await storage.read(keys[2]) == keys[2].encode()

    async def test_a_key_that_is_not_unicode_is_refused(self, storage: Storage) -> None:
        """A lone surrogate has no bytes, so that it cannot be a place."""
        with pytest.raises(TargetNameError):
            await storage.put("a/\ud800", b"x")
        assert await self.keys() == []
