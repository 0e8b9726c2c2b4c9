"""Roots: what is accepted, the exact text of what is not, and that no password ever shows."""

import asyncio
import re
import stat
import subprocess
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from fileflow_async.errors import ConfigError, StorageUnavailableError, TargetNameError
from fileflow_async.storage.resolve import LocalRoot, S3Root, open_storage, parse_root, target_of_uri
from fileflow_async.target import Slot, Target

UNCLEAN = "root must not contain '..', empty parts or '?'"
CREDENTIALS = "credentials in the root URI are not accepted; use an Airflow connection"
UNSET = "[fileflow] root is not set (or AIRFLOW__FILEFLOW__ROOT)"

ACCEPTED = [
    ("/data/ff", LocalRoot("/data/ff"), "file:///data/ff"),
    ("/data/ff/", LocalRoot("/data/ff"), "file:///data/ff"),
    ("/data/a b%20#é", LocalRoot("/data/a b%20#é"), "file:///data/a%20b%2520%23%C3%A9"),
    ("file:///data/ff", LocalRoot("/data/ff"), "file:///data/ff"),
    ("file:///data/a%20b%25%3F", LocalRoot("/data/a b%?"), "file:///data/a%20b%25%3F"),
    ("file:///data/u:p@x", LocalRoot("/data/u:p@x"), "file:///data/u:p@x"),
    ("s3://lake", S3Root("lake"), "s3://lake"),
    ("s3://lake/", S3Root("lake"), "s3://lake"),
    ("s3://lake/ff/team=a/", S3Root("lake", "ff/team=a"), "s3://lake/ff/team=a"),
    ("s3://lake/a b%20#é@x", S3Root("lake", "a b%20#é@x"), "s3://lake/a b%20#é@x"),
    (
        "s3://my.bucket-1--x-s3/..a/b..",
        S3Root("my.bucket-1--x-s3", "..a/b.."),
        "s3://my.bucket-1--x-s3/..a/b..",
    ),
]


@pytest.mark.parametrize(("text", "root", "uri"), ACCEPTED)
def test_a_root_has_one_value_and_one_uri(text: str, root: LocalRoot | S3Root, uri: str) -> None:
    """Its URI names the same root again."""
    assert parse_root(text) == root
    assert str(root) == uri
    assert parse_root(uri) == root


def test_a_path_object_is_a_path() -> None:
    """So that tests can give their tmp_path."""
    assert parse_root(Path("/data/ff")) == LocalRoot("/data/ff")


REFUSED = [
    ("", UNSET),  # row 12
    (None, UNSET),
    (b"/data", "root must be a string, got bytes"),
    ("data", "root 'data' must be absolute"),  # row 13
    ("~/data", "root '~/data' must be absolute"),
    ("C:\\data", "root 'C:\\\\data' must be absolute"),
    ("s3:/b/k", "root 's3:/b/k' is not a valid URI; expected s3://bucket/prefix"),  # row 14
    ("S3://", "root 'S3://' is not a valid URI; expected s3://bucket/prefix"),
    ("S3://lake/ff", "root 'S3://lake/ff' is not a valid URI; expected s3://bucket/prefix"),
    ("s3://", "root 's3://' is not a valid URI; expected s3://bucket/prefix"),
    ("s3:///ff", "root 's3:///ff' is not a valid URI; expected s3://bucket/prefix"),
    ("file:/data", "root 'file:/data' is not a valid URI; expected file:///path"),
    ("FILE:///data", "root 'FILE:///data' is not a valid URI; expected file:///path"),
    ("file://", "root 'file://' is not a valid URI; expected file:///path"),
    ("file:///a%2", "root 'file:///a%2' is not a valid URI; expected file:///path"),
    ("file:///a%FF", "root 'file:///a%FF' is not a valid URI; expected file:///path"),
    ("file://nas/ff", "root 'file://nas/ff' names the host 'nas'; expected file:///path"),
    ("ftp://host/ff", "storage scheme 'ftp' is not supported; use file or s3"),  # row 15
    ("gs://lake", "storage scheme 'gs' is not supported; use file or s3"),
    ("s3://My_Bucket", "'My_Bucket' is not a valid S3 bucket name"),  # row 16
    ("s3://ab/k", "'ab' is not a valid S3 bucket name"),
    ("s3://-lake", "'-lake' is not a valid S3 bucket name"),
    ("s3://lake-", "'lake-' is not a valid S3 bucket name"),
    ("s3://la..ke", "'la..ke' is not a valid S3 bucket name"),
    ("s3://10.0.0.1/k", "'10.0.0.1' is not a valid S3 bucket name"),
    ("s3://minio:9000/lake", "'minio:9000' is not a valid S3 bucket name"),
    (f"s3://{'x' * 64}", f"'{'x' * 64}' is not a valid S3 bucket name"),
    ("s3://lake/a/../b", UNCLEAN),  # row 18
    ("s3://lake//b", UNCLEAN),
    ("s3://lake/./b", UNCLEAN),
    ("s3://lake/b//", UNCLEAN),
    ("s3://lake/b?versionId=1", UNCLEAN),
    ("/data/../etc", UNCLEAN),
    ("//data", UNCLEAN),
    ("/data?x", UNCLEAN),
    ("file:///data/%2E%2E/etc", UNCLEAN),
    ("file:///data%2F%2Fx", UNCLEAN),
    ("s3://AKIA:secret@lake/ff", CREDENTIALS),  # row 19
    ("s3://AKIA@lake/ff", CREDENTIALS),
    ("s3://AKIA:se/cr/et@lake/ff", CREDENTIALS),
    ("s3://AKIA:secret/ff", CREDENTIALS),
    ("s3:/AKIA:secret@lake", CREDENTIALS),
    ("file://me:secret@nas/ff", CREDENTIALS),
    ("me:secret@nas", CREDENTIALS),
    ("me:se/cret@nas", CREDENTIALS),
    ("/", "root is the whole file system; name a folder in it"),
    ("file:///", "root is the whole file system; name a folder in it"),
    ("/a\nb", "root 'a\\nb' must not contain control characters"),
    ("file:///a%00b", "root 'a\\x00b' must not contain control characters"),
    ("s3://lake/a\tb", "root 'a\\tb' must not contain control characters"),
    ("/\ud800", "root is not valid Unicode text"),
    ("x" * 200, f"root '{'x' * 118}… must be absolute"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_no_root_is_refused_in_these_words(text: Any, message: str) -> None:
    """Rows 12 to 16, 18 and 19 of the catalogue of bad inputs."""
    with pytest.raises(ConfigError) as caught:
        parse_root(text)
    assert str(caught.value) == message


def test_only_allowed_buckets_may_be_named() -> None:
    """Row 17 of the catalogue of bad inputs; with nothing allowed by name, everything is."""
    assert parse_root("s3://lake/ff", allowed_buckets=["lake"]) == S3Root("lake", "ff")
    assert parse_root("/data", allowed_buckets=["lake"]) == LocalRoot("/data")
    with pytest.raises(ConfigError) as caught:
        parse_root("s3://other/ff", allowed_buckets=["lake"])
    assert str(caught.value) == "bucket 'other' is not in allowed_buckets"


SNIPPETS = st.sampled_from(
    ["s3", "file", "S3", "ftp", ":", "/", "//", "///", "..", ".", "@", "?", "#", "%", "%2F", "x"]
)
TEXTS = st.one_of(st.text(), st.lists(SNIPPETS, max_size=12).map("".join), st.text().map("s3://{}".format))


@given(TEXTS)
@example("file:///%")
@example("s3://[")
def test_any_text_is_a_clean_root_or_a_config_error(text: str) -> None:
    """No text escapes: what is accepted is absolute, without a part that means something else."""
    try:
        root = parse_root(text)
    except ConfigError:
        return
    where = root.directory if isinstance(root, LocalRoot) else f"/{root.prefix}"
    parts = where.removeprefix("/").split("/")
    assert where.startswith("/")
    assert where == "/" or not {"", ".", ".."} & set(parts)
    assert "\0" not in where
    assert parse_root(str(root)) == root


WRAPPINGS = st.sampled_from(
    [
        "s3://{}@lake/ff",
        "s3:/{}@lake",
        "s3:{}@lake/..",
        "S3://{}@x",
        "file://{}@nas/x",
        "ftp://{}@h",
        "{}@host/x",
    ]
)
LOGINS = st.text(st.sampled_from("abcAKIA019_.%-"), min_size=1, max_size=8)


@given(wrapping=WRAPPINGS, login=LOGINS, password=st.text(max_size=30))
def test_no_password_is_ever_echoed(wrapping: str, login: str, password: str) -> None:
    """Whatever scheme, slashes and signs it is wrapped in; traceback and notes included."""
    password = f"hunter2{password}"
    uri = wrapping.format(f"{login}:{password}")
    for use in (parse_root, target_of_uri):
        for text in (uri, f"{uri}/dag/slot/task/output"):
            with pytest.raises((ConfigError, TargetNameError)) as caught:
                use(text)
            shown = [str(caught.value), repr(caught.value)]
            shown += traceback.format_exception_only(caught.value)
            assert not any("hunter2" in each for each in shown), shown


TARGET_IDS = st.text(min_size=1, max_size=200).filter(
    lambda text: text.isprintable() and not re.match(r"map=\d", text)
)


@given(
    root=st.sampled_from([uri for *_, uri in ACCEPTED]),
    dag_id=TARGET_IDS,
    task_id=TARGET_IDS,
    run_id=TARGET_IDS,
    map_index=st.integers(min_value=-1, max_value=10_000),
)
def test_the_uri_of_a_target_names_its_root_and_its_key(
    root: str, dag_id: str, task_id: str, run_id: str, map_index: int
) -> None:
    """Whatever the ids are: the key in it is not decoded."""
    target = Target(dag_id=dag_id, task_id=task_id, slot=Slot(run_id=run_id), map_index=map_index)
    assert target_of_uri(f"{root}/{target.key}") == (root, target.key)


def test_a_target_below_a_plain_path_has_the_uri_of_its_root() -> None:
    """So that one store is one store, however it is written."""
    key = Target(dag_id="a", task_id="b", slot=Slot(logical_date=datetime(2026, 11, 20, tzinfo=UTC))).key
    assert target_of_uri(f"/data/x y/{key}") == ("file:///data/x%20y", key)


NO_URI = "{!r} is not the URI of a target: <root>/<dag>/<slot>/<task>[/map=<i>]/<name>"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (5, "the URI of a target must be a string, got int"),
        ("", NO_URI),
        ("dag/slot/task/output", NO_URI),
        ("s3://lake/slot/task/output", NO_URI),
        ("file:///dag/slot/task/output", NO_URI),
        ("s3://lake/dag/slot/task/out put", "target name 'out put' may only contain letters, digits"),
        ("s3://lake/dag/sl ot/task/output", "'dag/sl ot/task/output' has the part 'sl ot', which is not"),
        ("s3://lake/dag/slot/task/map=01/output", "'dag/slot/task/map=01/output' is not the key of a target"),
    ],
)
def test_what_is_no_target_is_refused(uri: Any, message: str) -> None:
    """By the part that is wrong."""
    with pytest.raises(TargetNameError) as caught:
        target_of_uri(uri)
    assert str(caught.value).startswith(message.format(uri))


def test_a_target_in_a_bad_root_is_a_config_error() -> None:
    """The root is judged as any other."""
    with pytest.raises(ConfigError, match="scheme 'ftp'"):
        target_of_uri("ftp://host/dag/slot/task/output")


async def test_a_folder_is_opened_with_what_was_asked_for(tmp_path: Path) -> None:
    """A parsed root will do as well as its text."""
    async with open_storage(str(tmp_path), durability="none") as storage:
        await storage.put("a/b", b"c")
    async with open_storage(LocalRoot(str(tmp_path)), durability="none") as storage:
        assert await storage.read("a/b") == b"c"
        assert storage.root == str(LocalRoot(str(tmp_path)))


async def test_a_missing_folder_is_made_only_when_asked_to(tmp_path: Path) -> None:
    """Row 21: it is more often a share that is not mounted."""
    missing = tmp_path / "a" / "b"
    with pytest.raises(StorageUnavailableError, match="does not exist"):
        async with open_storage(str(missing)):
            pass
    for _ in range(2):
        async with open_storage(str(missing), create=True) as storage:
            await storage.put("a", b"b")
    mode = (await asyncio.to_thread(missing.stat)).st_mode
    assert stat.S_IMODE(mode) & 0o007 == 0  # nobody else's business


async def test_a_file_in_the_place_of_the_folder_is_a_config_error(tmp_path: Path) -> None:
    """Row 22, although it was to be made."""
    file = tmp_path / "file"
    await asyncio.to_thread(file.touch)
    with pytest.raises(ConfigError, match="is not a directory"):
        async with open_storage(str(file), create=True):
            pass


def test_nothing_heavy_is_imported() -> None:
    """A DAG file pays for none of it."""
    code = (
        "import sys, fileflow_async.config, fileflow_async.storage.resolve, fileflow_async.hooks.store;"
        "heavy = {'airflow', 'aiobotocore', 'botocore', 'aiofiles', 'pandas', 'pyarrow'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
