"""`migrate`, from folders and buckets that the original has written."""

import asyncio
import hashlib
from datetime import date
from pathlib import Path

import pytest

from fileflow_async.cli.exits import Exit
from fileflow_async.storage_drivers import FileStorageDriver
from tests.cli.conftest import Planted, Run
from tests.s3_servers.backdoor import Backdoor

ORDERS = "shop/20160101T000000Z/orders/output"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """What the original leaves on a disk."""
    driver = FileStorageDriver(prefix=str(tmp_path / "old"))
    driver.write("shop", "orders", date(2016, 1, 1), "id\n1\n")
    driver.write("shop", "orders", date(2016, 1, 2), "id\n2\n")
    driver.write("the shop", "täsk", date(2016, 1, 1), "")
    return tmp_path / "old"


def test_it_is_a_dry_run_unless_told_otherwise(fileflow: Run, any_store: Planted, old: Path) -> None:
    """The date becomes the slot; what is new is copied once, with its hash."""
    ended = fileflow("migrate", str(old))
    assert ended.code == Exit.OK
    assert ended.out.endswith("3 files: 3 new\nthis was a dry run; --copy does it\n")
    assert fileflow("ls").out == ""
    copied = fileflow("migrate", str(old), "--copy", "--json", "--format", "csv").payload
    assert [(each["fate"], each["target"]) for each in copied["files"]] == [
        ("copied", ORDERS),
        ("copied", "shop/20160102T000000Z/orders/output"),
        ("copied", "the%20shop/20160101T000000Z/t%C3%A4sk/output"),
    ]
    assert copied["files"][0]["sha256"] == hashlib.sha256(b"id\n1\n").hexdigest()
    assert fileflow("cat", ORDERS).out == "id\n1\n"
    assert fileflow("head", ORDERS, "--json").payload["rows"] == [{"id": "1"}]
    assert (old / "shop/orders/2016-01-01").read_text() == "id\n1\n"


def test_it_can_be_run_again(fileflow: Run, any_store: Planted, old: Path) -> None:
    """What is there already is found by its hash; what is different there stays."""
    fileflow("migrate", str(old), "--copy")
    assert fileflow("migrate", str(old)).out.endswith("3 files: 3 present\n")  # nothing is left to be copied
    again = fileflow("migrate", str(old), "--copy")
    assert again.code == Exit.OK
    assert again.out.endswith("3 files: 3 present\n")
    (old / "shop/orders/2016-01-01").write_text("id\n9\n")
    ended = fileflow("migrate", str(old), "--copy")
    assert ended.code == Exit.NO
    assert ended.out.endswith("3 files: 2 present, 1 different\n")
    assert fileflow("cat", ORDERS).out == "id\n1\n"
    assert len(fileflow("show", ORDERS, "--json").payload["history"]) == 1


def test_what_is_not_the_originals_is_named(fileflow: Run, any_store: Planted, old: Path) -> None:
    """And nothing is made of it; files under way are passed over."""
    (old / "shop/orders/2016-02-31").write_text("x")
    (old / "notes.txt").write_text("x")
    (old / "shop/orders/.2016-01-03.part").write_text("x")
    payload = fileflow("migrate", str(old), "--copy", "--json").payload
    unknown = {each["source"]: each["why"] for each in payload["files"] if each["fate"] == "unknown"}
    assert unknown == {
        "notes.txt": "it is not <dag>/<task>/<YYYY-MM-DD>",
        "shop/orders/2016-02-31": "2016-02-31 is no day",
    }
    assert fileflow("migrate", str(old)).code == Exit.NO


def test_it_can_be_narrowed_and_given_a_time_of_day(
    fileflow: Run, any_store: Planted, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original had only the day; a path may be relative, as its storage_prefix was."""
    monkeypatch.chdir(old.parent)
    payload = fileflow("migrate", "old", "shop/orders/2016-01-02", "--at", "06:30", "--json").payload
    assert [each["target"] for each in payload["files"]] == ["shop/20160102T063000Z/orders/output"]
    assert fileflow("migrate", "old", "--at", "noon").code == Exit.USAGE


def test_a_bucket_may_be_both(fileflow: Run, bucket_of_store: Backdoor) -> None:
    """The original kept its objects at the top; what lies in targets is not taken for them."""
    asyncio.run(bucket_of_store.put("shop/orders/2016-01-01", b"id\n1\n"))
    bucket = f"s3://{bucket_of_store.bucket}"
    payload = fileflow("migrate", bucket, "--root", bucket, "--copy", "--json").payload
    assert [(each["source"], each["fate"]) for each in payload["files"]] == [
        ("shop/orders/2016-01-01", "copied")
    ]
    again = fileflow("migrate", bucket, "--root", bucket, "--copy")
    assert again.out.endswith("1 files: 1 present\n")


def test_a_source_that_is_not_there_is_an_error(fileflow: Run, store: Planted, tmp_path: Path) -> None:
    assert fileflow("migrate", str(tmp_path / "nothing")).code == Exit.UNAVAILABLE
