"""What a connection to S3 may say, and what it may not."""

from typing import Any

import pytest

from fileflow_async.errors import ConfigError, TargetNameError
from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.storage.s3_place import Place

KEYS: dict[str, Any] = {"access_key_id": "AKIA-planted", "secret_access_key": "secret-planted"}


def test_nothing_is_enough() -> None:
    """The default chain finds the rest."""
    assert S3Settings() == S3Settings(conn_id="aws_default")


def test_secrets_do_not_show() -> None:
    """Nor does the key's id, which names an account."""
    settings = S3Settings(**KEYS, session_token="token-planted", role_arn="arn:r", external_id="id-planted")
    assert "planted" not in repr(settings)
    assert "planted" not in str(settings)
    assert "planted" not in repr(S3Storage("lake", "ff", settings))
    assert "arn:r" in repr(settings)


def test_equal_settings_are_one_key() -> None:
    """The connection's name is no part of what a client is made of."""
    assert hash(S3Settings(**KEYS, conn_id="a")) == hash(S3Settings(**KEYS, conn_id="b"))
    assert S3Settings(**KEYS) != S3Settings(**KEYS | {"secret_access_key": "other"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"access_key_id": "x"}, "S3 needs access_key_id and secret_access_key together, or neither"),
        ({"secret_access_key": "x"}, "S3 needs access_key_id and secret_access_key together, or neither"),
        ({"session_token": "x"}, "an S3 session_token needs its access_key_id and secret_access_key"),
        ({"kms_key_id": "k"}, "kms_key_id needs sse 'aws:kms', got None"),
        ({"kms_key_id": "k", "sse": "AES256"}, "kms_key_id needs sse 'aws:kms', got 'AES256'"),
        ({"sse": "rot13"}, "sse must be one of 'AES256', 'aws:kms', got 'rot13'"),
        ({"addressing_style": "x"}, "addressing_style must be one of 'auto', 'path', 'virtual', got 'x'"),
        ({"checksums": "md5"}, "checksums must be one of 'auto', 'when_required', 'crc32', got 'md5'"),
        ({"max_connections": 0}, "max_connections must be at least 1, got 0"),
        ({"max_connections": True}, "max_connections must be at least 1, got True"),
        ({"read_timeout": 0}, "read_timeout must be a positive number of seconds, got 0"),
        ({"connect_timeout": float("inf")}, "connect_timeout must be a positive number of seconds, got inf"),
        ({"connect_timeout": "5"}, "connect_timeout must be a positive number of seconds, got '5'"),
        (
            {"endpoint_url": "minio:9000"},
            "endpoint_url 'minio:9000' is not a valid URL; expected http://host:port",
        ),
        ({"endpoint_url": "http://"}, "endpoint_url 'http://' is not a valid URL; expected http://host:port"),
        ({"endpoint_url": "http://h:0x"}, "endpoint_url is not a valid URL; expected http://host:port"),
        (
            {"endpoint_url": "http://h#x"},
            "endpoint_url 'http://h#x' is not a valid URL; expected http://host:port",
        ),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    """At once, in words that name it."""
    with pytest.raises(ConfigError) as caught:
        S3Settings(**given)
    assert str(caught.value) == message


@pytest.mark.parametrize("url", ["http://planted@h", "http://u:planted@h:9000", "http://h/?X-Amz-planted=1"])
def test_credentials_in_an_endpoint_are_refused_and_not_shown(url: str) -> None:
    """They would show in every message that names the endpoint."""
    with pytest.raises(ConfigError, match="credentials in endpoint_url are not accepted") as caught:
        S3Settings(endpoint_url=url)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("name", ["lake", "a.b", "my-lake.eu", "a" * 63, "0lake"])
def test_a_bucket(name: str) -> None:
    assert Place(name).root == f"s3://{name}"


@pytest.mark.parametrize(
    "name",
    [
        "My_Bucket",
        "ab",
        "a" * 64,
        "-lake",
        "lake-",
        "la..ke",
        "10.0.0.1",
        "lake/x",
        "",
        "LAKE",
        "lake.",
        "lake\n",
    ],
)
def test_what_is_no_bucket(name: str) -> None:
    """By AWS's own rules."""
    with pytest.raises(ConfigError) as caught:
        S3Storage(name)
    assert str(caught.value) == f"{name!r} is not a valid S3 bucket name"


@pytest.mark.parametrize("prefix", ["/ff", "ff/", "a//b", "a/../b", "a\nb"])
def test_what_is_no_prefix(prefix: str) -> None:
    with pytest.raises(ConfigError, match="is not a prefix: parts joined by single '/'"):
        S3Storage("lake", prefix)


def test_a_key_has_at_most_1024_bytes() -> None:
    """The bytes of UTF-8 count, and those of the prefix."""
    place = Place("lake", "ff/team=a")
    longest = "é" * 507
    assert len(place.key(longest).encode()) == 1024
    with pytest.raises(TargetNameError) as caught:
        place.key(f"{longest}x")
    assert (
        str(caught.value) == "S3 key would be 1025 bytes; the limit is 1024. Shorten the prefix 'ff/team=a/…'"
    )
    with pytest.raises(TargetNameError) as caught:
        Place("lake").key("x" * 1100)
    assert str(caught.value) == "S3 key would be 1100 bytes; the limit is 1024. Shorten its parts"


async def test_a_storage_works_within_its_block() -> None:
    storage = S3Storage("lake", "ff")
    with pytest.raises(RuntimeError, match="s3://lake/ff is not open"):
        await storage.read("x")
