"""Where files of outsiders are looked for."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from fileflow_async.errors import ConfigError
from fileflow_async.storage.search import Search

TWO_MEANINGS = "must not contain '.', '..' or empty parts"
NO_DONE_FILE = "is not a file's name; it may have {name} or {stem} in it"


@pytest.mark.parametrize(
    ("given_", "store", "folder", "pattern", "folders"),
    [
        ({"path": "/in/a.csv"}, "file://", "/in", "a.csv", False),
        ({"path": "/a.csv"}, "file://", "/", "a.csv", False),
        ({"path": "/in/rep[1].csv"}, "file://", "/in", "rep[1].csv", False),
        ({"path": "/in/a*b?.csv"}, "file://", "/in", "a*b?.csv", False),
        ({"path": "/in*/x/a.csv"}, "file://", "/in*/x", "a.csv", False),
        ({"path": Path("/in/a.csv")}, "file://", "/in", "a.csv", False),
        ({"path": "file:///in/a%20b%2A.csv"}, "file://", "/in", "a b*.csv", False),
        ({"path": "file:///in/%FF.csv"}, "file://", "/in", "\udcff.csv", False),
        ({"path": "/in/100%25.csv"}, "file://", "/in", "100%25.csv", False),
        ({"path": "/in/dt=1/", "done_file": "_SUCCESS"}, "file://", "/in", "dt=1", True),
        ({"pattern": "/in/*.csv"}, "file://", "/in", "*.csv", False),
        ({"pattern": "/*.csv"}, "file://", "/", "*.csv", False),
        ({"pattern": "/in/a.csv"}, "file://", "/in", "a.csv", False),
        ({"pattern": "/in/d*/x/*.csv"}, "file://", "/in", "d*/x/*.csv", False),
        ({"pattern": "/in/x/**"}, "file://", "/in/x", "**", False),
        ({"pattern": "file:///in/a%20b*.csv"}, "file://", "/in", "a b*.csv", False),
        ({"pattern": "file:///in/%5B1%5d%2a%3F/*"}, "file://", "/in", "[[]1][*][?]/*", False),
        ({"pattern": "/in/dt=*/", "done_file": "_SUCCESS"}, "file://", "/in", "dt=*", True),
        ({"path": "s3://lake/in/a.csv"}, "s3://lake", "in/", "a.csv", False),
        ({"path": "s3://lake/a.csv"}, "s3://lake", "", "a.csv", False),
        ({"path": "s3://lake/in//rep[1]?x=%20.csv"}, "s3://lake", "in//", "rep[1]?x=%20.csv", False),
        ({"path": "s3://lake/out/", "done_file": "_SUCCESS"}, "s3://lake", "", "out", True),
        ({"pattern": "s3://lake/in/ord*.csv"}, "s3://lake", "in/", "ord*.csv", False),
        ({"pattern": "s3://lake/in/d?/ord*.csv"}, "s3://lake", "in/", "d?/ord*.csv", False),
        ({"pattern": "s3://lake/**/_done"}, "s3://lake", "", "**/_done", False),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_place_is_cut_where_it_may_vary(
    given_: dict[str, Any], store: str, folder: str, pattern: str, folders: bool
) -> None:
    """A path is literal throughout; a pattern begins to vary at its first wildcard."""
    search = Search.of(**given_)
    assert (search.store, search.folder, str(search.pattern), search.folders) == (
        store,
        folder,
        pattern,
        folders,
    )
    assert search.is_on_disk == (store == "file://")
    assert search.key == (store, folder)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({}, "neither path nor pattern given"),
        ({"path": "/a", "pattern": "/b"}, "both path and pattern given"),
        ({"path": ""}, "path is empty"),
        ({"pattern": ""}, "pattern is empty"),
        ({"path": 5}, "path must be a string, got int"),
        ({"path": b"/a"}, "path must be a string, got bytes"),
        ({"path": "in/a.csv"}, "path 'in/a.csv' must be absolute"),
        ({"path": "./a.csv"}, "path './a.csv' must be absolute"),
        ({"path": "ftp://h/a"}, "storage scheme 'ftp' is not supported; use file or s3"),
        ({"path": "s3:/lake/a"}, "root 's3:/lake/a' is not a valid URI; expected s3://bucket/prefix"),
        ({"path": "S3://lake/a"}, "root 'S3://lake/a' is not a valid URI; expected s3://bucket/prefix"),
        ({"path": "s3://lake"}, "path 's3://lake' is not a valid URI; expected s3://bucket/key"),
        ({"path": "s3://lake/"}, "path 's3://lake/' is not a valid URI; expected s3://bucket/key"),
        ({"path": "s3://My_Bucket/a"}, "'My_Bucket' is not a valid S3 bucket name"),
        ({"path": "file://host/a"}, "path 'file://host/a' is not a valid URI; expected file:///path"),
        ({"path": "file:/a"}, "path 'file:/a' is not a valid URI; expected file:///path"),
        ({"path": "file:///a%2"}, "path 'file:///a%2' is not a valid URI; expected file:///path"),
        ({"path": "/in/\udcff"}, "path '/in/\\udcff' is not valid Unicode text"),
        ({"path": "/in/a\0b"}, "path '/in/a\\x00b' must not contain a null character"),
        ({"path": "/in/../a"}, f"path '/in/../a' {TWO_MEANINGS}"),
        ({"path": "/in//a"}, f"path '/in//a' {TWO_MEANINGS}"),
        ({"path": "//a"}, f"path '//a' {TWO_MEANINGS}"),
        ({"path": "//in/a"}, f"path '//in/a' {TWO_MEANINGS}"),
        ({"path": "/in/."}, f"path '/in/.' {TWO_MEANINGS}"),
        ({"path": "/"}, f"path '/' {TWO_MEANINGS}"),
        ({"path": "file:///in/%2E%2E/a"}, f"path 'file:///in/%2E%2E/a' {TWO_MEANINGS}"),
        ({"pattern": "/in/*//a"}, f"pattern '/in/*//a' {TWO_MEANINGS}"),
        ({"pattern": "s3://lake/*/../a"}, f"pattern 's3://lake/*/../a' {TWO_MEANINGS}"),
        ({"path": "s3://lake/in//", "done_file": "x"}, f"path 's3://lake/in//' {TWO_MEANINGS}"),
        ({"path": "/in/a.tmp"}, "path '/in/a.tmp' means temporary files only, which never count"),
        ({"path": "/in/.a"}, "path '/in/.a' means temporary files only, which never count"),
        ({"pattern": "/in/*.part"}, "pattern '/in/*.part' means temporary files only, which never count"),
        ({"path": "/in/d/"}, "path '/in/d/' means a folder, which needs a done_file"),
        ({"path": "/in/a", "done_file": 1}, "done_file must be a string, got int"),
        ({"path": "/in/a", "done_file": "{name}"}, "done_file '{name}' is the file itself"),
        ({"path": "/in/a", "done_file": "../a"}, f"done_file '../a' {NO_DONE_FILE}"),
        ({"path": "/in/a", "done_file": "x\0"}, f"done_file 'x\\x00' {NO_DONE_FILE}"),
        ({"path": "/in/a", "done_file": ""}, f"done_file '' {NO_DONE_FILE}"),
        ({"path": "/in/a", "done_file": "{nam}.ok"}, f"done_file '{{nam}}.ok' {NO_DONE_FILE}"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(given_: dict[str, Any], message: str) -> None:
    """By a message that names what was given."""
    with pytest.raises(ConfigError) as caught:
        Search.of(**given_)
    assert str(caught.value) == message


def test_a_password_is_not_repeated() -> None:
    """Whatever else is wrong."""
    for path in ("s3://key:hush@lake/a", "ftp://me:hush@host/a"):
        with pytest.raises(ConfigError, match="use an Airflow connection") as caught:
            Search.of(path=path)
        assert "hush" not in str(caught.value)


def test_buckets_can_be_restricted() -> None:
    """As those of roots."""
    assert Search.of(path="s3://lake/a", allowed_buckets=["lake"]).store == "s3://lake"
    with pytest.raises(ConfigError, match="bucket 'sea' is not in allowed_buckets"):
        Search.of(path="s3://sea/a", allowed_buckets=["lake"])


@pytest.mark.parametrize(
    ("given_", "path", "done"),
    [
        ({"path": "/in/a.csv"}, "a.csv", None),
        ({"path": "/in/a.csv", "done_file": "{name}.done"}, "a.csv", "a.csv.done"),
        ({"path": "/in/a.csv", "done_file": "{stem}.ok"}, "a.csv", "a.ok"),
        ({"path": "/in/a", "done_file": "{stem}.ok"}, "a", "a.ok"),
        ({"path": "/in/a.csv", "done_file": "_{stem}_{name}_"}, "a.csv", "_a_a.csv_"),
        ({"path": "/in/{stem}.csv", "done_file": "{name}.ok"}, "{stem}.csv", "{stem}.csv.ok"),
        ({"pattern": "/in/**", "done_file": "{name}.done"}, "d/a.csv", "d/a.csv.done"),
        ({"pattern": "/in/**", "done_file": "_SUCCESS"}, "d/a.csv", "d/_SUCCESS"),
        ({"pattern": "/in/**", "done_file": "_SUCCESS"}, "a.csv", "_SUCCESS"),
        ({"pattern": "/in/*/", "done_file": "_SUCCESS"}, "dt=1", "dt=1/_SUCCESS"),
        ({"pattern": "/in/*/", "done_file": "{name}.done"}, "dt=1", "dt=1.done"),
        ({"pattern": "/in/*/*/", "done_file": "{name}.done"}, "x/dt=1", "x/dt=1.done"),
    ],
    ids=str,
)
def test_where_the_done_file_is(given_: dict[str, Any], path: str, done: str | None) -> None:
    """Beside what it vouches for; one without a placeholder is in the folder that it vouches for."""
    assert Search.of(**given_).done_path(path) == done


def test_uris_say_where_things_are() -> None:
    """Those of files are escaped; keys are taken as they are, as by the AWS command line."""
    assert Search.of(pattern="/in/*").uri("d/a b%.csv") == "file:///in/d/a%20b%25.csv"
    assert Search.of(pattern="/*").uri("a=1.csv") == "file:///a=1.csv"
    assert Search.of(pattern="s3://lake/in/*").uri("d/a b%.csv") == "s3://lake/in/d/a b%.csv"


@given(st.binary(min_size=1, max_size=20))
def test_the_uri_of_any_file_names_that_file(raw: bytes) -> None:
    """Bytes that are no text, wildcards and percent signs included."""
    name = (raw.replace(b"/", b"-").replace(b"\0", b"-") + b"x").decode(errors="surrogateescape")
    if name.startswith((".", "~")):
        return
    uri = Search.of(pattern="/in/*").uri(name)
    assert uri.isascii()
    assert Search.of(path=uri).pattern.single == name
    assert Search.of(pattern=uri).pattern.matches(name)


def test_only_a_flat_search_is_shallow() -> None:
    """A listing for it need not go into folders."""
    texts = ["/in/*", "/in/a*", "/in/**", "/in/*/a"]
    assert [Search.of(pattern=text).is_shallow for text in texts] == [True, True, False, False]
    assert not Search.of(path="/in/d/", done_file="_SUCCESS").is_shallow
