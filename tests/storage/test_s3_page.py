"""Our reader of LIST answers sees what botocore's does, and refuses what is none."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import RestXMLParser
from hypothesis import given, strategies as st

from fileflow_async.storage.protocol import Entry
from fileflow_async.storage.s3_errors import NotS3Error
from fileflow_async.storage.s3_page import Page, parse, take_over

MODEL = ServiceModel(Loader().load_service_model("s3", "service-2"))
SHAPE = MODEL.operation_model("ListObjectsV2").output_shape
TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    str.strip
)


def answer(
    objects: list[tuple[str, int, int]], folders: list[str], *, encoding: str, pretty: bool, more: bool
) -> str:
    """Write an answer as a server would."""
    space = "\n  " if pretty else ""
    encodings: dict[str, Callable[[str], str]] = {"plus": quote_plus, "percent": quote, "none": str}
    encode = encodings[encoding]

    def xml(key: str) -> str:
        return escape(encode(key), {'"': "&quot;", "'": "&#39;"})

    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    ]
    parts.append(f"{space}<Name>lake</Name>{space}<Prefix></Prefix>{space}<KeyCount>1</KeyCount>")
    parts.append(f"{space}<IsTruncated>{str(more).lower()}</IsTruncated>")
    if encoding != "none":
        parts.append(f"{space}<EncodingType>url</EncodingType>")
    if more:
        parts.append(f"{space}<NextContinuationToken>1/a&amp;b==</NextContinuationToken>")
    for key, size, seconds in objects:
        moment = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.000Z}"
        parts.append(
            f"{space}<Contents>{space}<Key>{xml(key)}</Key>{space}<LastModified>{moment}</LastModified>"
        )
        parts.append(
            f"{space}<ETag>&quot;{size:032x}&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm>"
        )
        parts.append(f"{space}<Size>{size}</Size><Owner><ID>x</ID></Owner>{space}</Contents>")
    parts += [
        f"{space}<CommonPrefixes>{space}<Prefix>{xml(each)}</Prefix></CommonPrefixes>" for each in folders
    ]
    return "".join([*parts, "\n</ListBucketResult>\n"])


def by_botocore(text: str) -> dict[str, Any]:
    response = {"status_code": 200, "headers": {}, "body": text.encode()}
    parsed: dict[str, Any] = RestXMLParser().parse(response, SHAPE)
    return parsed


@given(
    objects=st.lists(
        st.tuples(TEXT, st.integers(0, 2**40), st.integers(0, 2**31)),
        max_size=8,
        unique_by=lambda each: each[0],
    ),
    folders=st.lists(TEXT.map(lambda text: f"{text}/"), max_size=4, unique=True),
    encoding=st.sampled_from(["plus", "percent", "none"]),
    pretty=st.booleans(),
    more=st.booleans(),
)
def test_a_page_is_what_botocore_reads(
    objects: list[tuple[str, int, int]], folders: list[str], encoding: str, pretty: bool, more: bool
) -> None:
    """Keys of any characters, in either encoding and in none; entities; white space; further elements."""
    text = answer(objects, folders, encoding=encoding, pretty=pretty, more=more)
    page, theirs = parse(text), by_botocore(text)
    assert {entry.key for entry in page.entries} == {key for key, _, _ in objects} | set(folders)
    assert (page.more, page.token) == (theirs["IsTruncated"], theirs.get("NextContinuationToken"))
    assert page.entries == sorted(page.entries, key=lambda entry: entry.key) or not page.ordered
    if encoding == "none":
        expected = [
            Entry(each["Key"], each["Size"], each["LastModified"].timestamp(), each["ETag"].strip('"'))
            for each in theirs.get("Contents", ())
        ]
        assert sorted(expected, key=repr) == sorted((e for e in page.entries if e.etag), key=repr)


def test_an_empty_listing() -> None:
    assert parse(answer([], [], encoding="plus", pretty=False, more=False)) == Page([], False, None, True)


@pytest.mark.parametrize("keys", [["b", "a"], ["a", "B"]])
def test_keys_out_of_order_are_told(keys: list[str]) -> None:
    """S3 Express lists so."""
    assert not parse(
        answer([(key, 1, 1) for key in keys], [], encoding="plus", pretty=False, more=False)
    ).ordered
    assert not parse(
        answer([], [f"{key}/" for key in keys], encoding="plus", pretty=False, more=False)
    ).ordered


WHOLE = answer([("a", 1, 1)], ["f/"], encoding="plus", pretty=False, more=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html><body>ListBucketResult</body></html>",
        "<ListBucketResultX></ListBucketResultX>",
        "<ListBucketResult></ListBucketResult>",
        *(WHOLE[:length] for length in range(0, len(WHOLE) - 20, 7)),
        WHOLE.replace("<Size>1</Size>", ""),
        WHOLE.replace("<Size>1</Size>", "<Size>one</Size>"),
        WHOLE.replace("<Key>a</Key>", ""),
        WHOLE.replace("1970-", "197O-"),
        WHOLE.replace("<Prefix>f", "<Prefix><b>f"),
        "<Error><Code>x</Code></Error>",
    ],
)
def test_what_is_not_a_whole_listing_is_refused(text: str) -> None:
    """Half a listing would be a listing without the other half."""
    with pytest.raises(ValueError):  # noqa: PT011 - whichever
        parse(text)


def test_a_listing_takes_botocores_place() -> None:
    """It gets an empty one to read."""
    response = {"status_code": 200, "headers": {}, "body": WHOLE.encode()}
    customized: dict[str, Any] = {}
    take_over(response_dict=response, customized_response_dict=customized, operation_model=None)
    assert [entry.key for entry in customized["Page"].entries] == ["a", "f/"]
    assert response["body"] == b"<ListBucketResult/>"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<?xml version='1.0'?>\n<Error><Code>x</Code></Error>"),
        (200, b"<Error xmlns='x'/>"),
        (404, b"x"),
    ],
)
def test_an_error_is_left_to_botocore(status: int, body: bytes) -> None:
    """S3 may answer 200 and put an error into the body."""
    customized: dict[str, Any] = {}
    response = {"status_code": status, "headers": {}, "body": body}
    take_over(response_dict=response, customized_response_dict=customized)
    assert (customized, response["body"]) == ({}, body)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"hello", WHOLE.encode()[:-3]])
def test_something_else_is_not_s3(body: bytes) -> None:
    response = {"status_code": 200, "headers": {"content-type": "text/plain; x=y"}, "body": body}
    with pytest.raises(NotS3Error) as caught:
        take_over(response_dict=response, customized_response_dict={})
    assert caught.value.content_type == "text/plain"
    assert caught.value.__suppress_context__
