"""`lineage`."""

from fileflow_async import Reference
from fileflow_async.cli.exits import Exit
from fileflow_async.manifest import Input
from tests.cli.conftest import Planted, Run

RAW, CLEAN, REPORT = (f"shop/20261120T000000Z/{task}/output" for task in ("raw", "clean", "report"))


def make(store: Planted, key: str, data: bytes, *inputs: Reference) -> Reference:
    made_from = [Input(target=each.target, data=each.data, sha256=each.sha256) for each in inputs]
    return store.put(data, key, inputs=made_from)


def test_the_tree_is_that_of_the_records(fileflow: Run, any_store: Planted) -> None:
    raw = make(any_store, RAW, b"raw")
    clean = make(any_store, CLEAN, b"clean", raw)
    report = make(any_store, REPORT, b"report", clean, raw)
    lines = fileflow("lineage", REPORT).out.splitlines()
    assert lines == [
        f"{REPORT}  {report.data}  {report.sha256[:12]}",
        f"├── {CLEAN}  {clean.data}  {clean.sha256[:12]}",
        f"│   └── {RAW}  {raw.data}  {raw.sha256[:12]}",
        f"└── {RAW}  {raw.data}  {raw.sha256[:12]}",
    ]
    payload = fileflow("lineage", REPORT, "--json").payload
    assert payload["inputs"][0]["inputs"][0]["data"] == raw.data
    assert fileflow("lineage", REPORT, "--depth", "0", "--json").payload["inputs"] == []


def test_inputs_that_have_changed_or_gone_are_marked(fileflow: Run, any_store: Planted) -> None:
    raw, clean = make(any_store, RAW, b"raw"), make(any_store, CLEAN, b"clean")
    make(any_store, REPORT, b"report", raw, clean)
    make(any_store, RAW, b"other")
    any_store.work(lambda opened: opened.delete(CLEAN))
    out = fileflow("lineage", REPORT).out
    assert f"{raw.sha256[:12]}  (changed since)" in out
    assert f"{clean.sha256[:12]}  (gone, or in another store)" in out
    make(any_store, RAW, b"raw")
    assert "(made anew since, with the same content)" in fileflow("lineage", REPORT).out


def test_the_lineage_of_an_older_version(fileflow: Run, any_store: Planted) -> None:
    raw = make(any_store, RAW, b"raw")
    first = make(any_store, REPORT, b"first", raw)
    make(any_store, REPORT, b"second")
    assert fileflow("lineage", REPORT, "--json").payload["inputs"] == []
    older = fileflow("lineage", REPORT, "--version", first.data, "--json").payload
    assert (older["fate"], older["inputs"][0]["data"]) == ("changed", raw.data)


def test_what_has_no_commit_has_no_lineage(fileflow: Run, any_store: Planted) -> None:
    assert fileflow("lineage", REPORT).code == Exit.NOT_FOUND
