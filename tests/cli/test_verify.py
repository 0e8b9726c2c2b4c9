"""`verify`."""

from pathlib import Path

import pytest

from fileflow_async.cli.exits import Exit
from fileflow_async.store import TargetStore
from tests.cli.conftest import KEY, Planted, Run
from tests.planting import put

OTHER = "shop/20260920T000000Z/report/output"


def damage(path: Path, data: bytes) -> None:
    path.chmod(0o640)
    path.write_bytes(data)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the second look at what is damaged at once."""
    monkeypatch.setattr("fileflow_async.reading.SECOND_LOOK", 0.0)


def test_a_store_in_which_all_is_well(fileflow: Run, any_store: Planted) -> None:
    any_store.put(b"one")
    any_store.put(b"two, three", OTHER)
    ended = fileflow("verify")
    assert ended.code == Exit.OK
    assert ended.out == "2 versions of 2 targets read, 13 bytes; 0 without a commit; 0 damaged\n"


def test_what_is_damaged_is_listed(fileflow: Run, store: Planted) -> None:
    """Whatever the damage is: the bytes, their number, the data or the record."""
    keys = [f"shop/20261120T000000Z/task{number}/output" for number in range(5)]
    names = [store.put(b"right", key).data for key in keys]
    damage(store.folder / keys[0] / names[0], b"wrong")
    damage(store.folder / keys[1] / names[1], b"short"[:3])
    (store.folder / keys[2] / names[2]).unlink()
    damage(store.folder / keys[3] / f"{names[3]}.ok", b"{")
    ended = fileflow("verify")
    assert ended.code == Exit.NO
    assert "4 damaged" in ended.out
    payload = fileflow("verify", "--json").payload
    assert [each["target"] for each in payload["damaged"]] == keys[:4]
    for found, words in zip(
        payload["damaged"], ("its sha256", "3 bytes", "does not", "not valid JSON"), strict=True
    ):
        assert words in found["why"]
    assert (payload["targets"], payload["read"], payload["uncommitted"]) == (5, 1, 0)


def test_older_versions_are_read_when_asked_for(fileflow: Run, store: Planted) -> None:
    first = store.put(b"first")
    store.put(b"second")
    damage(store.folder / KEY / first.data, b"FIRST")
    assert fileflow("verify").code == Exit.OK
    ended = fileflow("verify", "--history")
    assert ended.code == Exit.NO
    assert first.data in ended.out


def test_what_has_no_commit_is_no_damage(fileflow: Run, any_store: Planted) -> None:
    """Nor is a failure behind a commit, which can still be read."""

    async def work(opened: TargetStore) -> None:
        from fileflow_async import Producer

        await opened.fail(KEY, error="boom", producer=Producer())
        await put(opened, OTHER, b"value")
        await opened.fail(OTHER, error="boom", producer=Producer())

    any_store.work(work)
    payload = fileflow("verify", "--json").payload
    assert (payload["read"], payload["uncommitted"], payload["damaged"]) == (1, 1, [])


def test_each_part_of_a_folder_is_read(fileflow: Run, store: Planted) -> None:
    async def work(opened: TargetStore) -> None:
        async with opened.write_folder(KEY) as out:
            for name in ("a", "b"):
                async with out.create(name) as part:
                    await part.write(b"right")

    store.work(work)
    assert fileflow("verify").code == Exit.OK
    (part,) = (store.folder / KEY).glob("*/b")
    damage(part, b"wrong")
    assert "'b' does not match its sha256" in fileflow("verify").out


def test_only_a_prefix_is_read(fileflow: Run, any_store: Planted) -> None:
    any_store.put(b"one")
    any_store.put(b"two", OTHER)
    assert fileflow("verify", "shop/2026112", "--json").payload["targets"] == 1
    assert fileflow("verify", "nothing/", "--json").payload["targets"] == 0


def test_a_store_that_stops_answering_ends_it(
    fileflow: Run, store: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, although many reads are under way."""
    from fileflow_async.errors import StorageUnavailableError

    for number in range(20):
        store.put(b"x", f"shop/20261120T000000Z/task{number}/output")

    async def gone(*_: object) -> None:
        raise StorageUnavailableError("the disk does not answer")

    monkeypatch.setattr(TargetStore, "version", gone)
    ended = fileflow("verify")
    assert (ended.code, ended.err) == (Exit.UNAVAILABLE, "fileflow: the disk does not answer\n")
