"""S3 through connections of type `aws`, on a real server on loopback."""

import json
import logging
import socket
import traceback
from typing import Any

import pytest
from airflow.sdk import BaseHook
from botocore.exceptions import ClientError

from fileflow_async.errors import ConfigError, TargetAccessError
from fileflow_async.hooks.s3 import S3StorageHook
from fileflow_async.hooks.store import open_store
from fileflow_async.storage.s3_settings import S3Settings
from tests.conftest import MakeTarget
from tests.hooks.conftest import AsyncComms
from tests.s3_servers.backdoor import Backdoor


async def test_a_store_in_s3_is_opened_by_its_connection(
    comms: AsyncComms, aws: dict[str, Any], bucket: Backdoor, target: MakeTarget
) -> None:
    """From connection to committed data, with nothing else configured."""
    comms.connections["lake"] = aws
    async with open_store(f"s3://{bucket.bucket}/ff", "lake") as store:
        assert store.root == f"s3://{bucket.bucket}/ff"
        async with store.write(target(), format="text") as out:
            await out.write(b"hello")
        assert await store.read(target()) == b"hello"
    assert comms.asked == ["lake"]


async def test_settings_are_what_the_connection_says(
    comms: AsyncComms, aws: dict[str, Any], s3_port: int
) -> None:
    """And say where they come from, for messages."""
    comms.connections["lake"] = aws
    settings = await S3StorageHook("lake").settings()
    assert settings.conn_id == "lake"
    assert settings == S3Settings(
        endpoint_url=f"http://127.0.0.1:{s3_port}",
        region="us-east-1",
        access_key_id="AKIA-planted",
        secret_access_key="s3cret-planted",
        addressing_style="path",
    )


async def test_only_roots_in_s3_are_opened(comms: AsyncComms, aws: dict[str, Any]) -> None:
    """A root on disk has no use for such a connection."""
    comms.connections["lake"] = aws
    with pytest.raises(ConfigError) as caught:
        async with S3StorageHook("lake").open_storage("/data"):
            pass
    assert str(caught.value) == "connection 'lake' is of type 'aws', which does not open file:///data"


async def test_no_secret_shows_when_something_fails(
    comms: AsyncComms, aws: dict[str, Any], target: MakeTarget, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the error, its causes or any log; only botocore's debugging shows the key's id."""
    caplog.set_level(logging.DEBUG)
    comms.connections["lake"] = aws
    with pytest.raises(TargetAccessError, match="bucket 'absent' does not exist") as caught:
        async with open_store("s3://absent/ff", "lake") as store:
            await store.state(target())
    shown = "".join(traceback.format_exception(caught.value))
    assert "planted" not in shown.replace('"planted"', "")
    assert "s3cret-planted" not in caplog.text
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("fileflow_async")]
    assert "planted" not in "".join(ours)


def configured(monkeypatch: pytest.MonkeyPatch, value: dict[str, Any], **extra: object) -> None:
    merged = json.loads(value["extra"]) | extra
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({**value, "extra": merged}))


def test_the_button_test_lists_all_buckets(monkeypatch: pytest.MonkeyPatch, aws: dict[str, Any]) -> None:
    """Where the connection names none."""
    configured(monkeypatch, aws)
    ok, message = S3StorageHook().test_connection()
    assert ok
    assert message.endswith(" buckets can be seen")


async def test_the_button_test_lists_the_connections_own_bucket(
    monkeypatch: pytest.MonkeyPatch, aws: dict[str, Any], bucket: Backdoor
) -> None:
    """Which is what least privilege allows."""
    from fileflow_async.hooks.s3 import _try

    configured(monkeypatch, aws, service_config={"s3": {"bucket_name": bucket.bucket}})
    assert await _try("aws_default") == f"bucket {bucket.bucket!r} can be listed"


def test_the_button_test_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch, aws: dict[str, Any]) -> None:
    """In one line, without a secret; a server that is away is no reason to wait for minutes."""
    answers = []
    configured(monkeypatch, aws, service_config={"s3": {"bucket_name": "absent"}})
    answers.append(S3StorageHook().test_connection())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{free.getsockname()[1]}"
        configured(monkeypatch, aws, endpoint_url=away)
        answers.append(S3StorageHook().test_connection())
        configured(monkeypatch, aws, endpoint_url=away, service_config={"s3": {"bucket_name": "lake"}})
        ok, message = S3StorageHook().test_connection()
        assert not ok
        assert "cannot connect" in message  # after a few tries
    configured(monkeypatch, aws, role_arn=5)
    answers.append(S3StorageHook().test_connection())
    assert answers == [
        (False, "bucket 'absent' does not exist (connection 'aws_default')"),
        (False, "connection 'aws_default': S3 cannot be used: cannot connect"),
        (False, "connection 'aws_default': role_arn must be a text"),
    ]


def test_settings_that_make_no_client_are_wrong(monkeypatch: pytest.MonkeyPatch, aws: dict[str, Any]) -> None:
    """The storage's own words pass: a role that nobody can assume, for one."""

    def refuse(_: S3Settings) -> None:
        raise ConfigError("cannot assume arn:role: there are no credentials to do it with")

    configured(monkeypatch, aws)
    monkeypatch.setattr("fileflow_async.storage.s3_client.shared_client", refuse)
    answer = S3StorageHook().test_connection()
    assert answer == (False, "cannot assume arn:role: there are no credentials to do it with")


@pytest.mark.parametrize(
    ("code", "ok", "message"),
    [
        ("AccessDenied", True, "the credentials are good, but may not list buckets"),
        ("InvalidAccessKeyId", False, "connection 'aws_default': S3 cannot be used: 403 InvalidAccessKeyId"),
    ],
)
def test_credentials_that_may_do_little_are_good_ones(
    monkeypatch: pytest.MonkeyPatch, aws: dict[str, Any], code: str, ok: bool, message: str
) -> None:
    """S3 tells keys that it does not know from those that may not list buckets."""

    async def denied(*_: object, **__: object) -> None:
        answer = {"ResponseMetadata": {"HTTPStatusCode": 403}, "Error": {"Code": code}}
        raise ClientError(answer, "ListBuckets")

    configured(monkeypatch, aws)
    monkeypatch.setattr("aiobotocore.client.AioBaseClient._make_api_call", denied)
    answer = S3StorageHook().test_connection()
    assert answer[0] is ok
    assert answer[1].startswith(message)


def test_the_button_test_ends(monkeypatch: pytest.MonkeyPatch, aws: dict[str, Any]) -> None:
    """Although the server says nothing at all."""
    monkeypatch.setattr("fileflow_async.hooks.s3._PATIENCE", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        configured(monkeypatch, aws, endpoint_url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert S3StorageHook().test_connection() == (False, "S3 did not answer within 0.2 s")


def test_airflow_finds_what_it_needs_on_the_hook() -> None:
    """The names by which forms and `get_hook` go."""
    assert issubclass(S3StorageHook, BaseHook)
    assert S3StorageHook(**{S3StorageHook.conn_name_attr: "x"}).conn_id == "x"
    assert S3StorageHook().conn_id == S3StorageHook.default_conn_name == "aws_default"
    assert (S3StorageHook.conn_type, S3StorageHook.hook_name) == ("aws", "Amazon Web Services")
    assert set(S3StorageHook.get_ui_field_behaviour()) == {"hidden_fields", "relabeling", "placeholders"}
