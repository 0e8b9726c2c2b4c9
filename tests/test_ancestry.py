"""The tree of what a version was made from."""

import pytest

from fileflow_async.ancestry import Fate, ancestry
from fileflow_async.errors import StorageUnavailableError, TargetNotFoundError
from fileflow_async.manifest import Input
from fileflow_async.store import TargetStore
from fileflow_async.target import Reference
from fileflow_async.testing.memory import MemoryStorage
from tests.planting import put

RAW, CLEAN, REPORT = (f"shop/20261120T000000Z/{task}/output" for task in ("raw", "clean", "report"))


async def made(store: TargetStore, key: str, data: bytes, *inputs: Reference | Input) -> Reference:
    known = [Input(target=each.target, data=each.data, sha256=each.sha256) for each in inputs]
    return await put(store, key, data, inputs=known)


async def test_it_goes_back_to_what_was_made_from_nothing(store: TargetStore) -> None:
    raw = await made(store, RAW, b"raw")
    clean = await made(store, CLEAN, b"clean", raw)
    await made(store, REPORT, b"report", clean)
    tree = await ancestry(store, REPORT)
    (parent,) = tree.inputs
    (root,) = parent.inputs
    assert [each.data for each in (parent, root)] == [clean.data, raw.data]
    assert {each.fate for each in (tree, parent, root)} == {Fate.CURRENT}
    assert not root.inputs


async def test_it_follows_the_versions_that_were_read(store: TargetStore) -> None:
    """Not the newest ones: those may have been made from something else."""
    raw, other = await made(store, RAW, b"raw"), await made(store, f"{RAW}2", b"other")
    clean = await made(store, CLEAN, b"clean", raw)
    await made(store, REPORT, b"report", clean)
    await made(store, CLEAN, b"cleaner", other)
    (parent,) = (await ancestry(store, REPORT)).inputs
    assert (parent.fate, parent.is_kept) == (Fate.CHANGED, True)
    assert [each.data for each in parent.inputs] == [raw.data]


async def test_what_is_no_longer_kept_ends_a_branch(storage: MemoryStorage, store: TargetStore) -> None:
    raw = await made(store, RAW, b"raw")
    await made(store, REPORT, b"report", raw)
    await made(store, RAW, b"raw")
    await storage.delete([f"{RAW}/{raw.data}.ok", f"{RAW}/{raw.data}"])
    (parent,) = (await ancestry(store, REPORT)).inputs
    assert (parent.fate, parent.is_kept) == (Fate.REMADE, False)
    await store.delete(RAW)
    (parent,) = (await ancestry(store, REPORT)).inputs
    assert (parent.fate, parent.is_kept) == (Fate.GONE, False)


async def test_what_goes_in_circles_ends(store: TargetStore) -> None:
    """Each version's inputs are shown once, so that a diamond does not double with each generation."""
    raw = await made(store, RAW, b"raw")
    middle = [await made(store, f"{CLEAN}{number}", b"x", raw, raw) for number in range(3)]
    again = await made(store, CLEAN, b"y", *middle, *middle)
    await made(store, REPORT, b"report", again, again)
    first, second = (await ancestry(store, REPORT)).inputs
    assert (first.is_repeated, len(first.inputs)) == (False, 6)
    assert (second.is_repeated, len(second.inputs)) == (True, 0)
    assert [each.is_repeated for each in first.inputs] == [False] * 3 + [True] * 3


@pytest.mark.parametrize("target", ["../../etc/passwd", "", "a/b", "x" * 5000])
async def test_a_record_may_say_anything_of_its_inputs(target: str, store: TargetStore) -> None:
    """It is somebody's text: what is no target is not looked for."""
    await made(store, REPORT, b"report", Input(target=target, data="x", sha256="0" * 64))
    (parent,) = (await ancestry(store, REPORT)).inputs
    assert (parent.fate, parent.is_kept) == (Fate.UNKNOWN, False)


async def test_a_store_that_does_not_answer_is_an_error(
    storage: MemoryStorage, store: TargetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is said to be gone for it."""
    raw = await made(store, RAW, b"raw")
    await made(store, REPORT, b"report", raw)

    async def gone(*_: object) -> None:
        raise StorageUnavailableError("no answer")

    monkeypatch.setattr(TargetStore, "history", gone)
    with pytest.raises(StorageUnavailableError):
        await ancestry(store, REPORT)


async def test_nothing_has_no_ancestors(store: TargetStore) -> None:
    with pytest.raises(TargetNotFoundError):
        await ancestry(store, REPORT)


async def test_the_depth_is_bounded(store: TargetStore) -> None:
    last = await made(store, RAW, b"0")
    for number in range(5):
        last = await made(store, f"{CLEAN}{number}", b"x", last)
    payload = (await ancestry(store, last, depth=2)).to_payload()
    assert payload["inputs"][0]["inputs"][0]["inputs"] == []
    assert payload["inputs"][0]["inputs"][0]["kept"] is True
