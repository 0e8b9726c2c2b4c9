"""What fails for good says so in words of ours, at once; what may pass is waited out, for a time."""

import asyncio
import re
import socket
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import botocore.exceptions
import botocore.handlers
import botocore.parsers
import pytest

from fileflow_async.errors import (
    ConfigError,
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetNotFoundError,
    TargetSupersededError,
    TargetWriteError,
)
from fileflow_async.storage import s3_errors
from fileflow_async.storage.retry import BRIEF, Budget, Trial
from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.storage.s3_errors import CODES, EXCEPTIONS, PASSING, STATUSES, Kind, diagnose
from fileflow_async.testing.clock import FakeClock
from tests.s3_servers.backdoor import Backdoor
from tests.s3_servers.proxy import DRIPS, HANGS, PAGE, RESET, SLOW_DOWN, Fault, Proxy, Reply, error, page

ONCE = Budget(attempts=1)
QUICK = Budget(attempts=4, seconds=20, first=0.001, longest=0.01)
Open = Callable[..., Any]


@pytest.fixture
def opened(bucket: Backdoor, proxy: Proxy, s3_settings: Callable[..., S3Settings]) -> Open:
    """Open a storage behind the proxy, by the connection aws_x."""

    @asynccontextmanager
    async def make(
        *, name: str = bucket.bucket, budget: Budget = QUICK, **more: Any
    ) -> AsyncIterator[S3Storage]:
        settings = s3_settings(proxy.port, **{"conn_id": "aws_x"} | more)
        async with S3Storage(name, "ff", settings, budget=budget) as storage:
            yield storage

    return make


# The catalogue of bad inputs.


async def test_row_8_a_key_that_is_too_long(opened: Open) -> None:
    async with opened() as storage:
        with pytest.raises(FileflowError) as caught:
            await storage.put("x" * 1097, b"")
    assert str(caught.value) == "S3 key would be 1100 bytes; the limit is 1024. Shorten the prefix 'ff/…'"


async def test_row_42_no_such_bucket(opened: Open, bucket: Backdoor) -> None:
    """Whatever is asked of it; a HEAD alone could not tell it from a missing object."""
    message = "bucket 'nobodys-lake' does not exist (connection 'aws_x')"
    async with opened(name="nobodys-lake") as storage:
        for call in (storage.list, storage.stat, storage.read, storage.delete):
            with pytest.raises(TargetAccessError) as caught:
                await call({"delete": ["x"]}.get(call.__name__, "x"))
            assert str(caught.value) == message
        assert str((await storage.list_each(["d/"]))["d/"]) == message
        with pytest.raises(TargetAccessError) as caught:
            await storage.put("x", b"1")
        assert str(caught.value) == message
    async with opened(name="nobodys-lake", conn_id=None) as storage:
        with pytest.raises(TargetAccessError) as caught:
            await storage.read("x")
    assert str(caught.value) == "bucket 'nobodys-lake' does not exist"


@pytest.mark.parametrize(
    ("operation", "call", "what"),
    [
        ("ListObjectsV2", lambda s: s.list("sales/"), "list s3://{}/ff/sales/; needs s3:ListBucket"),
        ("GetObject", lambda s: s.read("a/x"), "read s3://{}/ff/a/x; needs s3:GetObject"),
        ("HeadObject", lambda s: s.stat("a/x"), "read s3://{}/ff/a/x; needs s3:GetObject"),
        ("PutObject", lambda s: s.put("a/x", b""), "write s3://{}/ff/a/x; needs s3:PutObject"),
        ("DeleteObjects", lambda s: s.delete(["a/x"]), "delete s3://{}/ff; needs s3:DeleteObject"),
        (
            "ListMultipartUploads",
            lambda s: s.abandon(before=1e10),
            "list the uploads below s3://{}/ff; needs s3:ListBucketMultipartUploads",
        ),
    ],
)
async def test_row_43_access_denied(
    opened: Open, proxy: Proxy, bucket: Backdoor, operation: str, call: Callable[[S3Storage], Any], what: str
) -> None:
    """At once, with the permission that is missing."""
    proxy.spoil(error("403 Forbidden", "AccessDenied"), times=99)
    async with opened() as storage:
        with pytest.raises(TargetAccessError) as caught:
            await call(storage)
    assert str(caught.value) == f"access denied to {what.format(bucket.bucket)}"
    assert proxy.counts[operation] == 1 + (operation == "PutObject")


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", "application/xhtml+xml"])
async def test_row_44_a_page_instead_of_s3(opened: Open, proxy: Proxy, bucket: Backdoor, kind: str) -> None:
    """Of a captive portal, which says 200 to whatever it is asked, or 404."""
    for status in ("200 OK", "404 Not Found", "403 Forbidden"):
        proxy.reset()
        proxy.spoil(page(status, kind), times=999)
        async with opened() as storage:
            for call in (storage.list, storage.read, storage.stat):
                with pytest.raises(StorageUnavailableError) as caught:
                    await call("x")
                assert str(caught.value) == (
                    f"{proxy.url} did not answer as S3 ({kind.partition(';')[0]}); is a proxy in between?"
                )
                assert "4 attempts" in caught.value.__notes__[0]


async def test_botocore_does_not_parse_a_listing(
    opened: Open, bucket: Backdoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would do so twice, at 71 ms for 1,000 keys."""
    seen: list[bytes] = []
    real = botocore.handlers._looks_like_special_case_error

    def look(status: int, body: bytes) -> Any:
        seen.append(body)
        return real(status, body)

    monkeypatch.setattr(botocore.handlers, "_looks_like_special_case_error", look)
    await bucket.put("ff/x", b"1")
    async with opened() as storage:
        assert [entry.key for entry in (await storage.list()).entries] == ["x"]
    assert seen == [b"<ListBucketResult/>"]


async def test_half_an_xml_document_is_not_s3(opened: Open, proxy: Proxy) -> None:
    body = b"<?xml version='1.0'?><ListBucketResult><Name>x"
    half = Fault("half", False, lambda *_: Reply.made("200 OK", body, Content_Type="application/xml"))
    proxy.spoil(half, times=999)
    async with opened() as storage:
        with pytest.raises(StorageUnavailableError, match=r"did not answer as S3 \(application/xml\)"):
            await storage.list()


@pytest.mark.parametrize(
    ("status", "code", "more"),
    [
        ("301 Moved Permanently", "PermanentRedirect", ""),
        ("400 Bad Request", "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
        ("400 Bad Request", "IllegalLocationConstraintException", ""),
    ],
)
async def test_row_45_another_region(
    opened: Open, proxy: Proxy, bucket: Backdoor, status: str, code: str, more: str
) -> None:
    """Botocore would follow, and pay for it; the connection is to say the truth."""
    told = error(status, code, more=more) if more else error(status, code, x_amz_bucket_region="eu-west-1")
    proxy.spoil(told, times=999)
    async with opened() as storage:
        for call in (storage.list, storage.read, storage.stat):
            with pytest.raises(ConfigError) as caught:
                await call("x")
            assert str(caught.value) == f"bucket '{bucket.bucket}' is in eu-west-1, connection says us-east-1"
    assert proxy.counts["ListObjectsV2"] == 1
    assert "HeadBucket" not in proxy.counts


async def test_another_region_that_nobody_tells(opened: Open, proxy: Proxy, bucket: Backdoor) -> None:
    proxy.spoil(error("301 Moved Permanently", "PermanentRedirect"))
    async with opened() as storage:
        with pytest.raises(ConfigError) as caught:
            await storage.list()
    assert str(caught.value) == f"bucket '{bucket.bucket}' is not in us-east-1, as the connection says"


# The tables.


def answered(status: int, code: str = "", **more: Any) -> botocore.exceptions.ClientError:
    response = {
        "Error": {"Code": code or str(status)},
        "ResponseMetadata": {"HTTPStatusCode": status, **more},
    }
    return botocore.exceptions.ClientError(response, "GetObject")


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_known_with_any_status(code: str) -> None:
    for status in (200, 400, 403, 503):
        assert diagnose(answered(status, code)).kind is CODES[code]


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_known_without_a_code(status: int) -> None:
    assert diagnose(answered(status)).kind is STATUSES[status]
    assert diagnose(answered(status, "NeverHeardOf")).kind is STATUSES[status]
    assert diagnose(answered(status)).text == str(status)
    assert diagnose(answered(status, "NeverHeardOf")).text == f"{status} NeverHeardOf"


@pytest.mark.parametrize("status", [400, 405, 418, 501])
def test_what_is_unknown_is_left_as_it_is(status: int) -> None:
    assert diagnose(answered(status, "NeverHeardOf")).kind is Kind.UNKNOWN


def test_every_name_in_the_table_is_the_name_of_something() -> None:
    """Of ours, Python's, botocore's, aiobotocore's or aiohttp's."""
    import builtins

    import aiobotocore.response
    import aiohttp.client_exceptions

    places = (
        s3_errors,
        builtins,
        botocore.exceptions,
        botocore.parsers,
        aiohttp.client_exceptions,
        aiobotocore.response,
    )
    for name in EXCEPTIONS:
        assert any(hasattr(place, name) for place in places), name


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (TimeoutError(), Kind.TRANSIENT),
        (asyncio.IncompleteReadError(b"", 1), Kind.TRANSIENT),
        (ConnectionResetError(), Kind.TRANSIENT),
        (aiohttp.ServerDisconnectedError(), Kind.TRANSIENT),
        (aiohttp.ClientPayloadError(), Kind.TRANSIENT),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="x"), Kind.TRANSIENT),
        (botocore.exceptions.SSLError(endpoint_url="x", error="reset"), Kind.TRANSIENT),
        (botocore.exceptions.HTTPClientError(error=ConnectionResetError()), Kind.TRANSIENT),
        (botocore.exceptions.HTTPClientError(error=ValueError()), Kind.UNKNOWN),
        (botocore.exceptions.NoCredentialsError(), Kind.MISCONFIGURED),
        (RuntimeError(), Kind.UNKNOWN),
        (KeyError("error"), Kind.UNKNOWN),
    ],
)
def test_what_is_raised_in_the_place_of_an_answer(failure: Exception, kind: Kind) -> None:
    assert diagnose(failure).kind is kind


def test_a_certificate_that_is_not_trusted_is_no_passing_fault() -> None:
    """As a reset during the handshake is, though both are SSLErrors of botocore's."""

    class ClientConnectorCertificateError(aiohttp.ClientSSLError):
        def __init__(self) -> None:
            pass

        def __str__(self) -> str:
            return "planted"

    failure = botocore.exceptions.SSLError(endpoint_url="x", error=ClientConnectorCertificateError())
    assert diagnose(failure).kind is Kind.MISCONFIGURED


@pytest.mark.parametrize(
    ("status", "code", "kind", "message"),
    [
        ("404 Not Found", "NoSuchKey", TargetNotFoundError, "'s3://{}/ff/x' does not exist"),
        (
            "412 Precondition Failed",
            "PreconditionFailed",
            TargetSupersededError,
            "'s3://{}/ff/x' was replaced",
        ),
        (
            "404 Not Found",
            "NoSuchUpload",
            TargetWriteError,
            "the upload to 's3://{}/ff/x' was taken back by somebody",
        ),
        (
            "507 Insufficient Storage",
            "XMinioStorageFull",
            TargetWriteError,
            "no room for 's3://{}/ff/x': 507 XMinio",
        ),
        (
            "400 Bad Request",
            "InvalidBucketName",
            ConfigError,
            "cannot read s3://{}/ff/x: 400 InvalidBucketName (conn",
        ),
        (
            "403 Forbidden",
            "InvalidAccessKeyId",
            TargetAccessError,
            "access denied to read s3://{}/ff/x: 403 InvalidAcc",
        ),
        (
            "403 Forbidden",
            "SignatureDoesNotMatch",
            TargetAccessError,
            "access denied to read s3://{}/ff/x: 403 Signatu",
        ),
        (
            "403 Forbidden",
            "NeverHeardOf",
            TargetAccessError,
            "access denied to read s3://{}/ff/x: 403 NeverHeardOf",
        ),
    ],
)
async def test_what_is_for_good_is_raised_at_once(
    opened: Open, proxy: Proxy, bucket: Backdoor, status: str, code: str, kind: type[Exception], message: str
) -> None:
    """By one request, as an error that says what to do."""
    proxy.spoil(error(status, code), times=999)
    async with opened() as storage:
        with pytest.raises(kind) as caught:
            await storage.read("x")
    assert str(caught.value).startswith(message.format(bucket.bucket))
    assert len(proxy.requests) == 1


async def test_an_unknown_answer_comes_out_untouched(opened: Open, proxy: Proxy) -> None:
    """As botocore's own exception: nobody could say it better."""
    proxy.spoil(error("400 Bad Request", "NeverHeardOf"))
    async with opened() as storage:
        with pytest.raises(botocore.exceptions.ClientError, match="NeverHeardOf"):
            await storage.read("x")
    assert len(proxy.requests) == 1


# Patience.


async def test_what_may_pass_is_waited_out_with_a_count(opened: Open, proxy: Proxy, bucket: Backdoor) -> None:
    proxy.spoil(SLOW_DOWN, times=999)
    async with opened() as storage:
        with pytest.raises(StorageUnavailableError) as caught:
            await storage.list("d/")
    message, _, seconds = str(caught.value).rpartition(" in ")
    assert message == f"cannot list s3://{bucket.bucket}/ff/d/; last error: 503 SlowDown, 4 attempts"
    assert re.fullmatch(r"\d+ s", seconds)
    assert len(proxy.requests) == 4


async def test_conflicts_are_tried_six_times(opened: Open, proxy: Proxy) -> None:
    proxy.spoil(error("409 Conflict", "OperationAborted"), times=999)
    async with opened(budget=Budget(attempts=30, first=0.001, longest=0.01)) as storage:
        with pytest.raises(StorageUnavailableError, match="last error: 409 OperationAborted, 6 attempts"):
            await storage.read("x")


async def test_a_server_that_hangs_is_given_up(opened: Open, proxy: Proxy) -> None:
    """After the time that one request has."""
    proxy.spoil(HANGS, times=999)
    async with opened(read_timeout=0.2, budget=Budget(attempts=2, first=0.001)) as storage:
        with pytest.raises(StorageUnavailableError, match="last error: no answer in time, 2 attempts"):
            await storage.list()


async def test_a_server_that_drips_is_given_up(opened: Open, proxy: Proxy) -> None:
    """A byte now and then is no silence, but the request as a whole has its time too."""
    proxy.spoil(DRIPS, times=999)
    async with opened(read_timeout=0.3, budget=ONCE) as storage:
        with pytest.raises(StorageUnavailableError, match="no answer in time, 1 attempt in"):
            await storage.list()


@pytest.mark.parametrize(
    ("host", "text"), [("127.0.0.1:9", "cannot connect"), ("nowhere.invalid:80", "its name is not found")]
)
async def test_nobody_there(s3_settings: Callable[..., S3Settings], host: str, text: str) -> None:
    """A refused connection, a name that is not found: both may pass."""
    settings = s3_settings(1, endpoint_url=f"http://{host}")
    async with S3Storage("lake", "ff", settings, budget=QUICK) as storage:
        with pytest.raises(StorageUnavailableError) as caught:
            await storage.list()
    assert f"cannot list s3://lake/ff/; last error: {text}, 4 attempts" in str(caught.value)


async def test_tls_to_somebody_who_has_none(s3_settings: Callable[..., S3Settings], proxy: Proxy) -> None:
    settings = s3_settings(1, endpoint_url=f"https://127.0.0.1:{proxy.port}", connect_timeout=0.5)
    async with S3Storage("lake", "ff", settings, budget=ONCE) as storage:
        with pytest.raises(
            StorageUnavailableError, match=r"last error: (TLS failed|connection lost|cannot connect)"
        ):
            await storage.list()


async def test_a_budget_ends_by_count_or_by_time() -> None:
    clock = FakeClock()
    trial = Trial(BRIEF, clock)
    trial.failures = 2
    pause = asyncio.create_task(trial.pause())
    await clock.advance(1)
    assert await pause
    trial.failures = 3
    assert not await trial.pause()
    late = Trial(Budget(attempts=99), clock)
    late.failures = 1
    await clock.advance(121)
    assert not await late.pause()
    assert late.seconds == 121


async def test_pauses_grow_and_are_drawn() -> None:
    """Full jitter, up to the longest."""

    class Noting(FakeClock):
        async def sleep(self, seconds: float) -> None:
            pauses.append(seconds)

    pauses: list[float] = []
    trial = Trial(Budget(attempts=10_000, first=0.1, longest=8), Noting())
    for failures in list(range(1, 12)) * 50 + [5000]:
        trial.failures = failures
        assert await trial.pause()
    assert max(pauses) <= 8
    assert max(pauses[:-1:11]) <= 0.1
    assert len({round(pause, 6) for pause in pauses}) > 500
    assert max(pauses) > 6


# Nothing that is secret.

SECRETS = ["AKIAPLANTED", "secret-planted", "token-planted", "external-planted"]


async def test_no_secret_shows(
    proxy: Proxy, s3_settings: Callable[..., S3Settings], logged: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """In no message, note, cause, repr or line of a log, whatever the server sends back."""
    echo = "".join(f"<StringToSign>{each}</StringToSign>" for each in SECRETS)
    faults = [
        error(status, code, more=echo)
        for status, code in [
            ("403 Forbidden", "SignatureDoesNotMatch"),
            ("403 Forbidden", "InvalidAccessKeyId"),
            ("403 Forbidden", "AccessDenied"),
            ("400 Bad Request", "ExpiredToken"),
            ("503 Slow Down", "SlowDown"),
            ("404 Not Found", "NoSuchBucket"),
        ]
    ]
    settings = s3_settings(proxy.port, session_token="token-planted", external_id="external-planted")
    shown = [repr(settings)]
    for fault in [*faults, PAGE, RESET, HANGS]:
        async with S3Storage("lake", "ff", settings, budget=ONCE) as storage:
            calls = [
                storage.read("x"),
                storage.stat("x"),
                storage.list("x"),
                storage.put("x", b""),
                storage.delete(["x"]),
            ]
            for call in calls if fault is not HANGS else calls[:0]:
                proxy.reset()
                proxy.spoil(fault, times=99)
                with pytest.raises(FileflowError) as caught:
                    await call
                assert caught.value.__cause__ is None
                assert caught.value.__context__ is None
                shown += traceback.format_exception(caught.value)
                shown += [repr(caught.value), str(caught.value), repr(storage)]
            for call in calls if fault is HANGS else []:
                call.close()
    for secret in SECRETS:
        assert not any(secret in each for each in [*shown, *logged, caplog.text])
    assert not any("authorization" in each.lower() or "x-amz-signature" in each.lower() for each in shown)


def test_the_kinds_that_pass_are_few() -> None:
    assert {kind.name for kind in PASSING} == {"TRANSIENT", "CONFLICT", "EXPIRED", "FOREIGN"}


def test_the_loopback_has_a_free_port() -> None:
    """What `test_nobody_there` relies on: nobody listens on port 9."""
    with socket.socket() as nobody, pytest.raises(ConnectionRefusedError):
        nobody.connect(("127.0.0.1", 9))
