"""What kind of data an attempt writes."""

from typing import Any

import pytest

from fileflow_async.content import Content
from fileflow_async.errors import ConfigError, TargetNameError
from fileflow_async.storage.protocol import BINARY


@pytest.mark.parametrize(
    ("given", "extension", "content_type"),
    [
        ({}, None, BINARY),
        ({"format": "csv"}, "csv", "text/csv"),
        ({"format": "text"}, "txt", "text/plain"),
        ({"format": "bytes"}, "bin", BINARY),
        ({"format": "jsonl", "compression": "gzip"}, "jsonl.gz", "application/x-ndjson"),
        ({"format": "csv", "compression": "zstd"}, "csv.zst", "text/csv"),
        ({"format": "avro"}, "avro", BINARY),
        ({"compression": "gzip"}, None, BINARY),
        ({"format": "csv", "extension": "tsv"}, "tsv", "text/csv"),
        ({"format": "csv", "compression": "gzip", "extension": "x"}, "x", "text/csv"),
        ({"format": "csv", "content_type": "text/tab-separated-values"}, "csv", "text/tab-separated-values"),
    ],
)
def test_what_is_left_out_follows_from_the_format(
    given: dict[str, Any], extension: str | None, content_type: str
) -> None:
    """And what is said goes before that."""
    content = Content.of(**given)
    assert (content.extension, content.content_type) == (extension, content_type)
    assert content.format == given.get("format")
    assert content.compression == given.get("compression")


@pytest.mark.parametrize("format", ["pickle", "Pickle", "PKL", "joblib", "dill", "cloudpickle"])
def test_a_format_that_runs_what_is_in_it_is_refused(format: str) -> None:
    """Whoever reads it would run the writer's code."""
    with pytest.raises(ConfigError) as caught:
        Content.of(format)
    assert str(caught.value) == (
        f"format {format!r} is not supported (unsafe); use parquet, csv, json or bytes"
    )


@pytest.mark.parametrize("encoding", ["utf-9", "", "hex", "base64", "rot13", "a\0b"])
def test_an_encoding_that_is_none_for_text_is_refused(encoding: str) -> None:
    """When the attempt begins, not at its first line."""
    with pytest.raises(ConfigError) as caught:
        Content.of("csv", encoding=encoding)
    assert str(caught.value) == f"unknown encoding {encoding!r}"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "cp1252", None])
def test_an_encoding_that_python_has_is_taken(encoding: str | None) -> None:
    """As it was written."""
    assert Content.of("csv", encoding=encoding).encoding == encoding


def test_an_unknown_compression_is_refused() -> None:
    """With those that are known."""
    with pytest.raises(ConfigError, match=r"^unknown compression 'rar'; known: gzip, zstd$"):
        Content.of("csv", compression="rar")


@pytest.mark.parametrize("given", [{"extension": "csv.ok"}, {"format": "part"}, {"format": "../x"}])
def test_an_extension_that_cannot_be_one_is_refused(given: dict[str, Any]) -> None:
    """Whether it was given or follows from a format of the user's own."""
    with pytest.raises(TargetNameError):
        Content.of(**given)
