"""`gc`, on the rules of `retention`."""

from fileflow_async.cli.exits import Exit
from fileflow_async.store import TargetStore
from tests.cli.conftest import KEY, Planted, Run

OTHER = "till/20261120T000000Z/extract/output"


def data_in(store: Planted) -> list[str]:
    """Return the names of what lies in a target."""

    async def work(opened: TargetStore) -> list[str]:
        return [entry.name for entry in (await opened.storage.list(f"{KEY}/")).entries]

    found: list[str] = store.work(work)
    return found


def test_it_is_a_dry_run_unless_told_otherwise(fileflow: Run, store: Planted) -> None:
    """What it says it would remove is what it removes then."""
    first = store.put(b"first")
    second = store.put(b"second")
    ended = fileflow("gc", "--keep", "1", "--keep-for", "0s")
    assert ended.code == Exit.OK
    assert f"{KEY}/{first.data}.ok" in ended.out
    assert "2 objects would be removed" in ended.out
    assert ended.out.endswith("this was a dry run; --delete does it\n")
    assert len(data_in(store)) == 4
    said = fileflow("gc", "--keep", "1", "--keep-for", "0s", "--json").payload
    done = fileflow("gc", "--keep", "1", "--keep-for", "0s", "--json", "--delete").payload
    assert said.pop("dry_run") is True
    assert done.pop("dry_run") is False
    assert said == done
    assert [each["key"] for each in done["removed"]] == [f"{KEY}/{first.data}.ok", f"{KEY}/{first.data}"]
    assert {each["reason"] for each in done["removed"]} == {"an old commit"}
    assert data_in(store) == [second.data, f"{second.data}.ok"]


def test_the_rules_are_the_configured_ones(fileflow: Run, store: Planted) -> None:
    """Two commits, and all of a week."""
    for _ in range(3):
        store.put(b"x")
    assert fileflow("gc", "--json").payload["removed"] == []
    assert fileflow("gc").out == "0 objects would be removed, 0 bytes; 9 kept\n"
    assert len(fileflow("gc", "--json", "--keep-for", "0").payload["removed"]) == 2


def test_only_a_prefix_is_cleaned(fileflow: Run, store: Planted) -> None:
    for key in (KEY, OTHER):
        store.put(b"first", key)
        store.put(b"second", key)
    removed = fileflow("gc", "till/", "--keep", "1", "--keep-for", "0", "--json").payload["removed"]
    assert {each["key"].split("/")[0] for each in removed} == {"till"}


def test_the_newest_commit_is_never_given_up(fileflow: Run, store: Planted) -> None:
    assert fileflow("gc", "--keep", "0").code == Exit.USAGE
