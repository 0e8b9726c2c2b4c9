"""Connections of type `aws`: every word of the Amazon provider that we understand, refuse or ignore aloud."""

import json
import logging
import re
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st

from fileflow_async.errors import ConfigError
from fileflow_async.hooks import aws_extra
from fileflow_async.hooks.aws_extra import bucket_of, settings_of
from fileflow_async.hooks.connection import ConnectionDetails
from fileflow_async.storage.s3_settings import S3Settings

KEYS = {"login": "AKIA-planted", "password": "s3cret-planted"}
MINE = {"access_key_id": "AKIA-planted", "secret_access_key": "s3cret-planted"}


def lake(extra: Mapping[str, Any] | None = None, **fields: Any) -> ConnectionDetails:
    return ConnectionDetails(conn_id="lake", **{"conn_type": "aws", **fields}, extra=extra or {})


UNDERSTOOD: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({}, {}, {}),
    (KEYS, {}, MINE),
    ({}, {"aws_access_key_id": "AKIA-planted", "aws_secret_access_key": "s3cret-planted"}, MINE),
    (KEYS, {"aws_access_key_id": "AKIA-planted", "aws_secret_access_key": "s3cret-planted"}, MINE),
    (KEYS, {"aws_session_token": "token-planted"}, {**MINE, "session_token": "token-planted"}),
    ({}, {"region_name": " eu-west-1 "}, {"region": "eu-west-1"}),
    ({}, {"config_kwargs": {"region_name": "eu-west-1"}}, {"region": "eu-west-1"}),
    ({}, {"region_name": "x", "config_kwargs": {"region_name": "x"}}, {"region": "x"}),
    ({}, {"endpoint_url": "http://minio:9000"}, {"endpoint_url": "http://minio:9000"}),
    (
        {},
        {"endpoint_url": "https://aws", "service_config": {"s3": {"endpoint_url": "http://minio:9000"}}},
        {"endpoint_url": "http://minio:9000"},
    ),
    ({}, {"verify": False}, {"verify": False}),
    ({}, {"verify": "False"}, {"verify": False}),
    ({}, {"verify": "true"}, {"verify": True}),
    ({}, {"verify": "/etc/ssl/own.pem"}, {"verify": "/etc/ssl/own.pem"}),
    ({}, {"role_arn": "arn:r", "external_id": "x"}, {"role_arn": "arn:r", "external_id": "x"}),
    (
        {},
        {
            "role_arn": "arn:r",
            "assume_role_method": "assume_role",
            "assume_role_kwargs": {"ExternalId": "x", "RoleSessionName": "y"},
        },
        {"role_arn": "arn:r", "external_id": "x", "role_session_name": "y"},
    ),
    ({}, {"config_kwargs": {"s3": {"addressing_style": "path"}}}, {"addressing_style": "path"}),
    (
        {},
        {"config_kwargs": {"connect_timeout": 1, "read_timeout": 2.5, "max_pool_connections": 8.0}},
        {"connect_timeout": 1.0, "read_timeout": 2.5, "max_connections": 8},
    ),
    ({}, {"config_kwargs": {"connect_timeout": "", "max_pool_connections": "8"}}, {"max_connections": 8}),
    (
        {},
        {"config_kwargs": {"request_checksum_calculation": "when_required"}},
        {"checksums": "when_required"},
    ),
    ({}, {"config_kwargs": {"request_checksum_calculation": "when_supported"}}, {"checksums": "auto"}),
    ({}, {"config_kwargs": {"signature_version": "s3v4"}}, {}),
    ({}, {"extra_args": {"ServerSideEncryption": "AES256"}}, {"sse": "AES256"}),
    ({}, {"sse_kms_key_id": "k"}, {"sse": "aws:kms", "kms_key_id": "k"}),
    (
        {},
        {"extra_args": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"}},
        {"sse": "aws:kms", "kms_key_id": "k"},
    ),
    ({}, {"expected_bucket_owner": "123456789012"}, {"expected_bucket_owner": "123456789012"}),
]


@pytest.mark.parametrize(("fields", "extra", "expected"), UNDERSTOOD)
def test_the_amazon_providers_words_are_understood(
    fields: dict[str, Any], extra: dict[str, Any], expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """As JSON, and as the texts that the URI of a connection is made of; nothing understood is warned of."""
    texts = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in extra.items()}
    assert settings_of(lake(extra, **fields)) == S3Settings(**expected)
    assert settings_of(lake(texts, **fields)) == S3Settings(**expected)
    assert settings_of(lake(extra, **fields)).conn_id == "lake"
    assert not caplog.records


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"login": "AKIA-planted"}, {}, "login and password must be given together, or neither"),
    ({"password": "s3cret-planted"}, {}, "login and password must be given together, or neither"),
    (
        {},
        {"aws_secret_access_key": "s3cret-planted"},
        "S3 needs access_key_id and secret_access_key together, or neither",
    ),
    (KEYS, {"aws_access_key_id": "planted"}, "login and aws_access_key_id contradict each other"),
    (KEYS, {"aws_secret_access_key": "planted"}, "password and aws_secret_access_key contradict each other"),
    (
        {},
        {"aws_session_token": "token-planted"},
        "an S3 session_token needs its access_key_id and secret_access_key",
    ),
    ({}, {"profile_name": "planted"}, "profile_name is not supported"),
    ({}, {"session_kwargs": {"aws_session_token": "planted"}}, "session_kwargs is not supported"),
    ({}, {"s3_config_file": "planted"}, "s3_config_file is not supported"),
    ({}, {"assume_role_method": "assume_role_with_saml"}, "assume_role_method must be 'assume_role'"),
    ({}, {"external_id": "planted"}, "there is an external_id, but no role_arn that asks for it"),
    (
        {},
        {"role_arn": "r", "external_id": "planted", "assume_role_kwargs": {"ExternalId": "planted2"}},
        "external_id and assume_role_kwargs.ExternalId contradict each other",
    ),
    (
        {},
        {"region_name": "a", "config_kwargs": {"region_name": "b"}},
        "region_name and config_kwargs.region_name contradict each other",
    ),
    (
        {},
        {"sse_kms_key_id": "planted", "extra_args": {"SSEKMSKeyId": "planted2"}},
        "sse_kms_key_id and extra_args.SSEKMSKeyId contradict each other",
    ),
    (
        {},
        {"sse_kms_key_id": "planted", "extra_args": {"ServerSideEncryption": "AES256"}},
        "extra_args.ServerSideEncryption is AES256, which has no key of KMS",
    ),
    (
        {},
        {"extra_args": {"ServerSideEncryption": "planted"}},
        "extra_args.ServerSideEncryption must be 'AES256' or 'aws:kms'",
    ),
    (
        {},
        {"config_kwargs": {"signature_version": "unsigned"}},
        "config_kwargs.signature_version 'unsigned' is not supported",
    ),
    (
        {},
        {"config_kwargs": {"s3": {"addressing_style": "planted"}}},
        "config_kwargs.s3.addressing_style must be 'auto' or 'path' or 'virtual'",
    ),
    ({}, {"config_kwargs": {"read_timeout": "planted"}}, "config_kwargs.read_timeout must be a number"),
    ({}, {"config_kwargs": {"read_timeout": ["planted"]}}, "config_kwargs.read_timeout must be a number"),
    (
        {},
        {"config_kwargs": {"max_pool_connections": 1.5}},
        "max_connections must be at least 1, got 1.5",
    ),
    ({}, {"config_kwargs": "planted"}, "config_kwargs must be a JSON object"),
    ({}, {"config_kwargs": "[" * 100_000}, "config_kwargs must be a JSON object"),
    ({}, {"config_kwargs": '["planted"]'}, "config_kwargs must be a JSON object"),
    ({}, {"config_kwargs": ["planted"]}, "config_kwargs must be a JSON object"),
    ({}, {"service_config": {"s3": "planted"}}, "service_config.s3 must be a JSON object"),
    ({}, {"region_name": {"planted": 1}}, "region_name must be a text"),
    ({}, {"verify": 5}, "verify must be a text"),
]
REFUSED += [
    ({}, {"endpoint_url": url}, "endpoint_url must be http://host:port, without credentials")
    for url in (
        "http://me:planted@minio",
        "me:planted@minio",
        "https://x?token=planted",
        "planted",
        "ftp://x",
    )
]


@pytest.mark.parametrize(("fields", "extra", "message"), REFUSED)
def test_contradictions_are_refused_without_a_value(
    fields: dict[str, Any], extra: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The error names the connection and the keys; what they hold may be secret."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ConfigError) as caught:
        settings_of(lake(extra, **fields))
    assert str(caught.value) == f"connection 'lake': {message}"
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
    assert "planted" not in shown
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_connection_of_another_type_is_refused() -> None:
    """Its login would be sent to AWS."""
    with pytest.raises(ConfigError) as caught:
        settings_of(ConnectionDetails(conn_id="lake", conn_type="http"))
    assert str(caught.value) == "connection 'lake' is of type 'http', S3 needs 'aws'"


def test_what_is_not_understood_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """In one warning a process; services other than S3 are not our matter, empty values nobody's."""
    details = lake(
        {
            "region_name": "eu-west-1",
            "aws_account_id": "planted",
            "empty": "",
            "config_kwargs": {"proxies": {"http": "planted"}, "s3": {"use_accelerate_endpoint": True}},
            "service_config": {"s3": {"bucket_name": "b", "x": 1}, "sts": {"x": "planted"}, "emr": {"x": 1}},
            "extra_args": '{"ACL": "planted"}',
        },
        host="planted",
    )
    for _ in range(3):
        settings_of(details)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    names = (
        "aws_account_id, config_kwargs.proxies, config_kwargs.s3.use_accelerate_endpoint, extra_args.ACL, "
        "host, service_config.s3.x, service_config.sts"
    )
    assert caplog.messages == [f"connection 'lake': fileflow_async makes no use of {names}"]
    assert "planted" not in caplog.text


def test_settings_do_not_show_a_secret() -> None:
    """They end up in messages and in debuggers."""
    extra = {"aws_session_token": "token-planted", "role_arn": "r", "external_id": "external-planted"}
    assert "planted" not in repr(settings_of(lake(extra, **KEYS)))


def test_a_connection_may_name_its_bucket() -> None:
    """Which is what a test of it looks at."""
    assert bucket_of(lake()) is None
    assert bucket_of(lake({"service_config": {"s3": {"bucket_name": "lake"}}})) == "lake"
    assert bucket_of(lake({"service_config": '{"s3": {"bucket_name": "lake"}}'})) == "lake"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
WORDS = st.sampled_from(
    re.findall(
        r"\w+",
        "aws_access_key_id aws_secret_access_key aws_session_token region_name endpoint_url verify role_arn "
        "external_id assume_role_kwargs config_kwargs extra_args service_config profile_name sse_kms_key_id "
        "s3 ExternalId connect_timeout addressing_style",
    )
)


@given(st.dictionaries(WORDS, st.dictionaries(WORDS, JSON, max_size=3) | JSON, max_size=6))
def test_any_extra_is_understood_or_a_config_error(extra: dict[str, Any]) -> None:
    """A triggerer survives whatever somebody typed into a form."""
    aws_extra._warn_once.cache_clear()
    with suppress(ConfigError):
        assert settings_of(lake(extra, **KEYS)).access_key_id == "AKIA-planted"
