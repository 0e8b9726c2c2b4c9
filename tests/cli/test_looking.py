"""`ls`, `show`, `cat` and `head`."""

import gzip
import json
from typing import Any

import pytest

from fileflow_async import Producer, formats
from fileflow_async.cli.exits import Exit
from fileflow_async.manifest import Input
from fileflow_async.status import State
from fileflow_async.store import TargetStore
from tests.cli.conftest import KEY, Planted, Run

ORDERS = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": None}]
REPORT = "shop/20261120T000000Z/report/output"
BAD = "shop/20261121T000000Z/bad/output"
PRODUCER = Producer(dag_id="shop", task_id="extract", run_id="manual__1", try_number=2)


def write(store: Planted, value: Any, key: str = KEY, **options: Any) -> None:
    """Commit a value in a format."""

    async def work(opened: TargetStore) -> None:
        async with opened.write(key, **options) as out:
            await formats.write(out, value)

    store.work(work)


def fail(store: Planted, key: str = BAD) -> None:
    store.work(lambda opened: opened.fail(key, error="boom\x1b[2J", producer=PRODUCER))


def begin(store: Planted, key: str) -> None:
    """Leave an attempt without a commit, as a writer does that was killed."""

    async def work(opened: TargetStore) -> None:
        await opened.storage.put(f"{key}/20261120T101502123Z-t03-7c9e1f02ab44.csv", b"a,b\n")

    store.work(work)


def test_ls_shows_each_target_with_its_state(fileflow: Run, any_store: Planted) -> None:
    """In a line: size, rows, when, and who made it."""
    write(any_store, ORDERS, format="csv", producer=PRODUCER)
    any_store.put(b"", REPORT)
    fail(any_store)
    ended = fileflow("ls")
    assert ended.code == Exit.OK
    header, *lines = ended.out.splitlines()
    assert header.split() == ["TARGET", "STATE", "SIZE", "ROWS", "WHEN", "PRODUCER"]
    assert [line.split()[:2] for line in lines] == [[KEY, "COMPLETE"], [REPORT, "EMPTY"], [BAD, "FAILED"]]
    assert lines[0].endswith("try 2 of manual__1")
    assert lines[0].split()[3] == "3"


def test_ls_as_json_is_a_line_a_target(fileflow: Run, any_store: Planted) -> None:
    """With names that stay."""
    write(any_store, ORDERS, format="csv", producer=PRODUCER)
    (found,) = fileflow("ls", "--json").payloads
    assert (found["target"], found["state"], found["rows"], found["format"]) == (KEY, "COMPLETE", 3, "csv")
    assert found["producer"]["run_id"] == "manual__1"
    assert set(found) == {
        *("target", "state", "why", "when", "size", "rows", "data", "sha256", "format", "producer", "writing")
    }


def test_ls_can_be_narrowed(fileflow: Run, any_store: Planted) -> None:
    """To a prefix, to states, to so many."""
    any_store.put(b"x", KEY)
    any_store.put(b"x", REPORT)
    fail(any_store)

    def found(*arguments: str) -> list[str]:
        return [each["target"] for each in fileflow("ls", "--json", *arguments).payloads]

    assert found("shop/20261120T000000Z/") == [KEY, REPORT]
    assert found("shop/2026112") == [KEY, REPORT, BAD]
    assert found("nothing/") == []
    assert found("--state", "failed") == [BAD]
    assert found("--state", "failed", "--state", "complete", "--limit", "2") == [KEY, REPORT]
    assert found("--limit", "0") == []
    assert {state.lower() for state in State} >= {"complete", "failed"}


def test_ls_of_nothing_prints_nothing(fileflow: Run, any_store: Planted) -> None:
    assert fileflow("ls") == type(fileflow("ls"))(0, "", "")


def test_show_tells_all_that_the_record_says(fileflow: Run, any_store: Planted) -> None:
    """Inputs, checks, columns and the versions that are kept."""
    first = any_store.put(b"id\n1\n", KEY, format="csv")
    write(any_store, ORDERS, format="csv", producer=PRODUCER)
    made_from = [Input(target=KEY, data=first.data, sha256=first.sha256)]

    async def checked(opened: TargetStore) -> None:
        async with opened.write(REPORT, inputs=made_from) as out:
            out.checks = [
                {"name": "not_empty", "passed": False, "blocking": False, "message": "there are none"}
            ]
            await out.write(b"report")

    any_store.work(checked)
    ended = fileflow("show", KEY)
    assert ended.code == Exit.OK
    assert ended.out.startswith(f"{any_store.root}/{KEY}\n")
    for words in ("state      COMPLETE", "columns    id int64, name string", "task       shop.extract"):
        assert words in ended.out
    assert [line for line in ended.out.splitlines() if line.startswith(first.data)]
    report = fileflow("show", REPORT)
    assert f"{KEY}  {first.data}  {first.sha256[:12]}" in report.out
    assert "not_empty  no      no      there are none" in report.out
    payload = fileflow("show", REPORT, "--json").payload
    assert payload["record"]["inputs"] == [{"target": KEY, "data": first.data, "sha256": first.sha256}]
    assert payload["record"]["checks"][0]["message"] == "there are none"
    versions = fileflow("show", KEY, "--json").payload["history"]
    assert [each["rows"] for each in versions] == [3, None]
    assert versions[1]["data"] == first.data


def test_show_tells_which_try_writes_since_when(fileflow: Run, any_store: Planted) -> None:
    begin(any_store, KEY)
    ended = fileflow("show", KEY)
    assert ended.code == Exit.OK
    assert "20261120T101502123Z-t03-7c9e1f02ab44.csv    3  2026-11-20T10:15:02.123Z     4" in ended.out
    (attempt,) = fileflow("show", KEY, "--json").payload["unfinished"]
    assert (attempt["try"], attempt["since"], attempt["size"]) == (3, "2026-11-20T10:15:02.123Z", 4)


def test_what_others_wrote_cannot_command_the_terminal(fileflow: Run, any_store: Planted) -> None:
    """An error text, a cell, a line: escape sequences are shown, not obeyed."""
    fail(any_store)
    write(any_store, [{"id": "\x1b]0;owned\x07"}], format="jsonl")
    any_store.put(b"\x1b[31mred\n", REPORT, format="text")
    for arguments in (("show", BAD), ("ls",), ("head", KEY), ("head", REPORT)):
        ended = fileflow(*arguments)
        assert "\x1b" not in ended.out, arguments
        assert "\x07" not in ended.out
    assert r"boom\x1b[2J" in fileflow("show", BAD).out


def test_show_says_what_is_not_there_and_what_is_damaged(fileflow: Run, any_store: Planted) -> None:
    """By its exit code, too."""
    assert fileflow("show", KEY).code == Exit.NOT_FOUND
    reference = any_store.put(b"x")
    any_store.work(lambda opened: opened.storage.delete([f"{KEY}/{reference.data}"]))
    ended = fileflow("show", KEY)
    assert ended.code == Exit.NO
    assert "CORRUPT" in ended.out


def test_show_lists_the_parts_of_a_folder(fileflow: Run, any_store: Planted) -> None:
    async def work(opened: TargetStore) -> None:
        async with opened.write_folder(KEY) as out:
            for name in ("a.csv", "b.csv"):
                async with out.create(name) as part:
                    await part.write(name.encode())

    any_store.work(work)
    assert [part["name"] for part in fileflow("show", KEY, "--json").payload["record"]["parts"]] == [
        "a.csv",
        "b.csv",
    ]
    assert "a.csv     5" in fileflow("show", KEY).out
    assert fileflow("cat", KEY, "--part", "b.csv").out == "b.csv"
    ended = fileflow("cat", KEY)
    assert ended.code == Exit.NO
    assert "name one with part=" in ended.err


def test_a_target_may_be_named_by_its_uri(fileflow: Run, any_store: Planted) -> None:
    """As logs and the page of a bucket show it, and as a shell completes a folder."""
    any_store.put(b"x")
    assert fileflow("cat", f"{any_store.root}/{KEY}").out == "x"
    assert fileflow("cat", f"{any_store.root}/{KEY}/", "--root", "/elsewhere").out == "x"
    assert fileflow("cat", f"{KEY}/").out == "x"
    assert fileflow("cat", "shop/extract").code == Exit.USAGE


def test_cat_writes_the_bytes_as_they_are(fileflow: Run, any_store: Planted) -> None:
    data = bytes(range(128)) * 1000
    any_store.put(data)
    assert fileflow("cat", KEY).out.encode() == data


def test_cat_reads_older_versions(fileflow: Run, any_store: Planted) -> None:
    """By the names that `show` gives."""
    first = any_store.put(b"first")
    any_store.put(b"second")
    assert fileflow("cat", KEY).out == "second"
    assert fileflow("cat", KEY, "--version", first.data).out == "first"
    ended = fileflow("cat", KEY, "--version", "none")
    assert (ended.code, ended.out) == (Exit.NOT_FOUND, "")
    assert f"`fileflow show {KEY}`" in ended.err


def test_cat_of_what_is_damaged_ends_in_an_error(fileflow: Run, store: Planted) -> None:
    """What was printed before is not to be trusted then."""
    reference = store.put(b"right")
    (store.folder / KEY / reference.data).chmod(0o640)
    (store.folder / KEY / reference.data).write_bytes(b"wrong")
    ended = fileflow("cat", KEY)
    assert ended.code == Exit.NO
    assert "does not match its sha256" in ended.err


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet", "arrow"])
def test_head_shows_rows_with_the_types_of_their_columns(
    format: str, fileflow: Run, any_store: Planted
) -> None:
    write(any_store, ORDERS, format=format)
    header, *rows = fileflow("head", "-n", "2", KEY).out.splitlines()
    assert header.split("  ")[0] == "id (int64)"
    assert "name (string)" in header
    assert [row.split() for row in rows] == [["1", "a"], ["2", "b"]]
    payload = fileflow("head", KEY, "--json").payload
    assert payload == {
        "format": format,
        "columns": [["id", "int64"], ["name", "string"]],
        "rows": ORDERS,
    }


def test_head_of_what_is_no_table(fileflow: Run, any_store: Planted) -> None:
    """Lines of text, of JSON, and bytes as a dump."""
    any_store.put(b"one\ntwo\nthree\n", format="text")
    assert fileflow("head", "-n", "2", KEY).out == "one\ntwo\n"
    any_store.put(gzip.compress(b"one\ntwo\n"), format="text", compression="gzip")
    assert fileflow("head", KEY, "--json").payload == {"format": "text", "lines": ["one", "two"]}
    any_store.put(json.dumps({"a": [1]}).encode(), format="json")
    assert fileflow("head", "-n", "2", KEY).out == '{\n  "a": [\n'
    assert fileflow("head", KEY, "--json").payload == {"format": "json", "value": {"a": [1]}}
    any_store.put(b"\x00AB" * 20)
    assert fileflow("head", "-n", "1", KEY).out.split("  ", 1)[0] == "00000000"
    assert fileflow("head", "-n", "1", KEY).out.count("\n") == 1
    assert fileflow("head", "-n", "1", KEY, "--json").payload["hex"] == (b"\x00AB" * 20)[:16].hex()


def test_head_reads_as_it_is_told_what_has_no_format(fileflow: Run, any_store: Planted) -> None:
    """As data has none that the original wrote."""
    any_store.put(b"id\n1\n")
    assert fileflow("head", KEY, "--format", "csv", "--json").payload["rows"] == [{"id": "1"}]
    assert fileflow("head", KEY, "--format", "pickle").code == Exit.USAGE


def test_head_of_a_huge_json_value_is_refused(
    fileflow: Run, any_store: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be read whole."""
    monkeypatch.setattr("fileflow_async.cli.head._JSON", 3)
    any_store.put(b"[1, 2]", format="json")
    ended = fileflow("head", KEY)
    assert ended.code == Exit.USAGE
    assert "use `fileflow cat`" in ended.err
