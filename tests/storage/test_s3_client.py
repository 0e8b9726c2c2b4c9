"""One client for all, no credentials twice, nothing left open."""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from blockbuster import blockbuster

from fileflow_async.errors import ConfigError, StorageUnavailableError, TargetAccessError
from fileflow_async.storage import s3_client, s3_session
from fileflow_async.storage.retry import Budget
from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.storage.s3_client import SharedClient, shared_client
from fileflow_async.testing.clock import FakeClock
from tests.crash.tally import how_many
from tests.s3_servers.backdoor import Backdoor
from tests.s3_servers.proxy import DENIED, EXPIRED, Proxy, Reply, Request, error

QUICK = Budget(attempts=40, seconds=20, first=0.001, longest=0.01)
ROLE = "arn:aws:iam::123456789012:role/lake"
MakeSettings = Callable[..., S3Settings]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened to clients, in order."""
    events: list[str] = []
    real = s3_session.client

    @asynccontextmanager
    async def client(settings: S3Settings) -> AsyncIterator[Any]:
        events.append("made")
        async with real(settings) as one:
            yield one
        events.append("closed")

    monkeypatch.setattr(s3_session, "client", client)
    return events


async def test_equal_settings_share_a_client(
    made: list[str], bucket: Backdoor, s3_settings: MakeSettings
) -> None:
    """The first request makes it, the last to leave closes it."""
    async with S3Storage(bucket.bucket, "a", s3_settings(bucket.port)) as one:
        async with S3Storage(bucket.bucket, "b", s3_settings(bucket.port, conn_id="x")) as other:
            assert made == []
            await one.put("x", b"1")
            await other.put("x", b"2")
            assert made == ["made"]
        await one.put("y", b"1")
        assert made == ["made"]
    assert made == ["made", "closed"]
    assert not s3_client._clients.get(asyncio.get_running_loop())


async def test_who_asks_is_said_without_being_put_together_anew(
    monkeypatch: pytest.MonkeyPatch, bucket: Backdoor, s3_settings: MakeSettings
) -> None:
    """Botocore would do so twice a request, and it takes longer than all that is ours."""
    from botocore.useragent import UserAgentString

    async with shared_client(s3_settings(bucket.port)) as shared, shared.borrowed() as client:
        said: list[str] = []
        client.meta.events.register(
            "before-send.s3", lambda request, **_: said.append(request.headers["User-Agent"])
        )
        monkeypatch.setattr(UserAgentString, "_build_sdk_metadata", lambda _: pytest.fail("it was"))
        await client.list_objects_v2(Bucket=bucket.bucket)
    assert len(said) == 1
    assert "Botocore/" in str(said)
    assert str(said).count("fileflow-async") == 1


async def test_other_settings_have_another_client(
    made: list[str], bucket: Backdoor, s3_settings: MakeSettings
) -> None:
    async with (
        S3Storage(bucket.bucket, "a", s3_settings(bucket.port)) as one,
        S3Storage(bucket.bucket, "a", s3_settings(bucket.port, secret_access_key="other")) as other,
    ):
        await one.put("x", b"1")
        await other.put("x", b"1")
        assert made == ["made", "made"]
    assert made == ["made", "made", "closed", "closed"]


async def test_who_comes_first_makes_it_for_all(
    made: list[str], bucket: Backdoor, s3_settings: MakeSettings
) -> None:
    """Twenty at once."""

    async def one(number: int) -> None:
        async with S3Storage(bucket.bucket, "a", s3_settings(bucket.port)) as storage:
            await storage.put(f"{number}", b"1")
            await everybody.wait()

    everybody = asyncio.Barrier(20)
    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(one(number))
    assert made == ["made", "closed"]


async def test_when_the_first_is_cancelled_the_next_makes_it(
    made: list[str], bucket: Backdoor, s3_settings: MakeSettings
) -> None:
    async def one() -> bytes:
        async with S3Storage(bucket.bucket, "a", s3_settings(bucket.port)) as storage:
            return await storage.read("x")

    await bucket.put("a/x", b"1")
    first, second = asyncio.create_task(one()), asyncio.create_task(one())
    while not made:
        await asyncio.sleep(0)
    first.cancel()
    assert await second == b"1"
    assert first.cancelled()
    assert made == ["made", "made", "closed"]


async def test_cancelled_anywhere_nothing_stays(
    made: list[str], bucket: Backdoor, s3_settings: MakeSettings
) -> None:
    """At each step of opening, asking and closing."""
    await bucket.put("a/x", b"1")

    async def one() -> None:
        async with S3Storage(bucket.bucket, "a", s3_settings(bucket.port)) as storage:
            await storage.read("x")

    done = False
    steps = 0
    while not done:
        task = asyncio.create_task(one())
        for _ in range(steps):
            await asyncio.sleep(0)
            await asyncio.sleep(0.0005 if steps % 3 else 0)
        done = task.done()
        task.cancel()
        with_result = await asyncio.gather(task, return_exceptions=True)
        assert with_result[0] is None or isinstance(with_result[0], asyncio.CancelledError)
        assert not s3_client._clients.get(asyncio.get_running_loop())
        steps += 1
    assert steps > 5
    assert made.count("closed") >= 1
    gc.collect()  # an open session would warn, which is an error


async def test_each_event_loop_has_its_own(
    made: list[str], bucket: Backdoor, s3_settings: MakeSettings
) -> None:
    """Four loops in four threads at the same time."""
    together = threading.Barrier(4)

    async def one(number: int) -> None:
        async with S3Storage(bucket.bucket, "a", s3_settings(bucket.port)) as storage:
            await storage.put(f"{number}", b"1")
            await asyncio.to_thread(together.wait, 20)

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, one(number)) for number in range(4)))
    assert sorted(made) == ["closed"] * 4 + ["made"] * 4


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_many_rounds_leave_nothing_open(s3_settings: MakeSettings, s3_port: int) -> None:
    """No descriptor, thread or entry in a table."""
    settings = s3_settings(s3_port)

    async def one() -> None:
        async with shared_client(settings) as shared, shared.borrowed():
            pass

    for _ in range(5):
        await one()
    descriptors, threads = await asyncio.to_thread(os.listdir, "/proc/self/fd"), threading.active_count()
    for _ in range(how_many(sample=100, normal=1000, long=1000)):
        await one()
    assert len(await asyncio.to_thread(os.listdir, "/proc/self/fd")) <= len(descriptors) + 2
    assert threading.active_count() <= threads + 8  # those of the loop's pool
    assert not s3_client._clients.get(asyncio.get_running_loop())


async def test_models_are_shared_and_credentials_are_not(s3_settings: MakeSettings, s3_port: int) -> None:
    async with (
        shared_client(s3_settings(s3_port)) as one,
        shared_client(s3_settings(s3_port, access_key_id="AKIAOTHER")) as other,
        one.borrowed() as first,
        other.borrowed() as second,
    ):
        assert first._loader is second._loader
        keys = [each._get_credentials().access_key for each in (first, second)]
        assert keys == ["AKIAPLANTED", "AKIAOTHER"]


async def test_no_more_requests_at_once_than_connections(
    bucket: Backdoor, proxy: Proxy, s3_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait for one do not run out of time while they do."""
    most, serving, real = 0, 0, Proxy._forward

    async def forward(self: Proxy, request: Request) -> Reply:
        nonlocal most, serving
        serving += 1
        most = max(most, serving)
        await asyncio.sleep(0.6)
        serving -= 1
        return await real(self, request)

    monkeypatch.setattr(Proxy, "_forward", forward)
    settings = s3_settings(proxy.port, max_connections=3, read_timeout=1.7)
    async with S3Storage(bucket.bucket, "a", settings, budget=Budget(attempts=1)) as storage:
        await asyncio.gather(*(storage.list(f"{number}/") for number in range(12)))
    assert most == 3


class TestRenewal:
    """When credentials expire."""

    @pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden"])
    @pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException", "InvalidToken"])
    async def test_new_ones_are_asked_for(
        self,
        made: list[str],
        bucket: Backdoor,
        proxy: Proxy,
        s3_settings: MakeSettings,
        status: str,
        code: str,
    ) -> None:
        """And the request goes on with them."""
        proxy.spoil(error(status, code), "GetObject", times=3)
        await bucket.put("a/x", b"1")
        async with S3Storage(bucket.bucket, "a", s3_settings(proxy.port), budget=QUICK) as storage:
            assert await storage.read("x") == b"1"
        assert made.count("made") == 4
        assert made.count("closed") == 4

    async def test_a_head_is_not_told_and_finds_out(
        self, made: list[str], bucket: Backdoor, proxy: Proxy, s3_settings: MakeSettings
    ) -> None:
        """S3 answers it a bare 400 or 403, and a GET the reason."""
        await bucket.put("a/x", b"1")
        for status in ("400 Bad Request", "403 Forbidden"):
            proxy.reset()
            proxy.spoil(error(status, "ExpiredToken"), times=4)
            async with S3Storage(bucket.bucket, "a", s3_settings(proxy.port), budget=QUICK) as storage:
                assert (await storage.stat("x")).size == 1
            assert proxy.counts == {"HeadObject": 3, "GetObject": 2}

    async def test_one_renewal_serves_all(
        self, made: list[str], bucket: Backdoor, proxy: Proxy, s3_settings: MakeSettings
    ) -> None:
        """Twenty requests fail by the same stale client."""
        await bucket.put("a/x", b"1")
        async with S3Storage(bucket.bucket, "a", s3_settings(proxy.port), budget=QUICK) as storage:
            await storage.read("x")
            proxy.spoil(EXPIRED, "GetObject", times=20)
            proxy.delay = 0.2  # so that all are under way before the first is answered
            found = await storage.read_each(["x"] * 1 + [f"n{number}" for number in range(19)])
            assert found["x"] == b"1"
        assert made.count("made") == 2

    async def test_requests_under_way_keep_the_old_client(
        self, s3_settings: MakeSettings, s3_port: int
    ) -> None:
        """It is closed behind the last of them."""
        async with shared_client(s3_settings(s3_port)) as shared:
            async with shared.borrowed() as old, shared.borrowed() as same:
                assert same is old
                await shared.renew(old)
                async with shared.borrowed() as new:
                    assert new is not old
                await old.list_buckets()
                await shared.renew(old)  # somebody did so already
                async with shared.borrowed() as still:
                    assert still is new
            with pytest.raises(Exception, match="HTTP Client raised"):
                await old.list_buckets()
            await new.list_buckets()

    async def test_after_five_minutes_it_is_for_good(
        self, bucket: Backdoor, proxy: Proxy, s3_settings: MakeSettings, clock: FakeClock
    ) -> None:
        """Until then whoever asks again is told to wait."""
        proxy.spoil(EXPIRED, times=1e9)
        budget = Budget(attempts=1)
        settings = s3_settings(proxy.port, conn_id="aws_x")
        async with S3Storage(bucket.bucket, "a", settings, clock=clock, budget=budget) as storage:
            with pytest.raises(
                StorageUnavailableError, match="last error: 400 ExpiredToken, 1 attempt in 0 s"
            ):
                await storage.read("x")
            await clock.advance(290)
            with pytest.raises(StorageUnavailableError):
                await storage.read("x")
            await clock.advance(20)
            with pytest.raises(TargetAccessError) as caught:
                await storage.read("x")
            assert str(caught.value).startswith(
                f"cannot read s3://{bucket.bucket}/a/x: the credentials have expired (connection 'aws_x'); "
            )
            proxy.reset()
            await bucket.put("a/x", b"1")
            assert await storage.read("x") == b"1"
            proxy.spoil(EXPIRED)
            with pytest.raises(StorageUnavailableError):  # it begins anew
                await storage.read("x")


class _Always:
    @property
    def value(self) -> bool:
        return True

    @value.setter
    def value(self, value: bool) -> None:
        pass


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set environment variables, without any of the machine's own that concern AWS."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")

    def run(main: Coroutine[Any, Any, None]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                blockbuster, "_skip", _Always()
            )  # a loop of its own, where the chain may read its files
            real(main)

    real = asyncio.run
    monkeypatch.setattr(asyncio, "run", run)

    def setenv(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return setenv


class TestIdentity:
    """As whom."""

    async def test_the_default_chain_finds_credentials(
        self, environment: Callable[..., None], bucket: Backdoor, proxy: Proxy
    ) -> None:
        environment(AWS_ACCESS_KEY_ID="AKIACHAIN", AWS_SECRET_ACCESS_KEY="x", AWS_REGION="eu-west-1")
        settings = S3Settings(endpoint_url=proxy.url, addressing_style="path")
        async with S3Storage(bucket.bucket, "a", settings) as storage:
            await storage.put("x", b"1")
        assert "AKIACHAIN" in proxy.requests[0].headers["authorization"]

    async def test_no_credentials_are_a_matter_of_configuration(
        self, environment: Callable[..., None], bucket: Backdoor, proxy: Proxy
    ) -> None:
        settings = S3Settings(endpoint_url=proxy.url, region="us-east-1", conn_id="aws_x")
        async with S3Storage(bucket.bucket, "a", settings) as storage:
            with pytest.raises(ConfigError) as caught:
                await storage.read("x")
        assert str(caught.value) == (
            f"cannot read s3://{bucket.bucket}/a/x: there are no credentials (connection 'aws_x')"
        )

    async def test_a_missing_profile_is_told(self, environment: Callable[..., None], proxy: Proxy) -> None:
        environment(AWS_PROFILE="nobody")
        async with S3Storage("lake", "a", S3Settings(endpoint_url=proxy.url)) as storage:
            with pytest.raises(ConfigError, match="its profile does not exist"):
                await storage.read("x")

    async def test_a_role_is_assumed(
        self, environment: Callable[..., None], bucket: Backdoor, proxy: Proxy, s3_settings: MakeSettings
    ) -> None:
        """By the connection's own keys, with what its owner asks for; once, until it is about to expire."""
        environment(AWS_ENDPOINT_URL_STS=proxy.url)
        settings = s3_settings(proxy.port, role_arn=ROLE, external_id="id-planted", role_session_name="me")
        async with S3Storage(bucket.bucket, "a", settings) as storage:
            await storage.put("x", b"1")
            await storage.put("y", b"1")
        assert proxy.counts["AssumeRole"] == 1
        asked = proxy.requests[0]
        assert asked.operation == "AssumeRole"
        for part in (
            b"RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Flake",
            b"ExternalId=id-planted",
            b"=me",
        ):
            assert part in asked.body
        assert "AKIAPLANTED" in asked.headers["authorization"]
        assert all("AKIAPLANTED" not in each.headers["authorization"] for each in proxy.requests[1:])
        assert all("x-amz-security-token" in each.headers for each in proxy.requests[1:])

    async def test_a_role_that_may_not_be_assumed(
        self, environment: Callable[..., None], bucket: Backdoor, proxy: Proxy, s3_settings: MakeSettings
    ) -> None:
        environment(AWS_ENDPOINT_URL_STS=proxy.url)
        sts = Reply.made(
            "403 Forbidden",
            b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>planted</Message></Error></ErrorResponse>",
            Content_Type="text/xml",
        )
        proxy.spoil(DENIED.__class__("sts", False, lambda *_: sts), "AssumeRole", times=9)
        async with S3Storage(bucket.bucket, "a", s3_settings(proxy.port, role_arn=ROLE)) as storage:
            with pytest.raises(TargetAccessError) as caught:
                await storage.read("x")
        assert str(caught.value) == f"access denied to assume {ROLE}; needs sts:AssumeRole"

    async def test_a_role_needs_somebody_to_assume_it(
        self, environment: Callable[..., None], proxy: Proxy
    ) -> None:
        async with S3Storage("lake", "a", S3Settings(endpoint_url=proxy.url, role_arn=ROLE)) as storage:
            with pytest.raises(ConfigError, match="cannot read s3://lake/a/x: there are no credentials"):
                await storage.read("x")


async def test_the_loop_runs_on_while_a_client_is_made(s3_settings: MakeSettings, s3_port: int) -> None:
    """The 4 ms that are left are ours; a fresh session would take 60 to 130."""
    settings = s3_settings(s3_port)
    async with shared_client(settings) as shared, shared.borrowed():
        pass
    loop, longest = asyncio.get_running_loop(), 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(0)
            longest = max(longest, loop.time() - before)

    watcher = asyncio.create_task(watch())
    shortest = 1.0
    for _ in range(5):
        longest = 0.0
        async with shared_client(settings) as shared, shared.borrowed():
            pass
        shortest = min(shortest, longest)
    watcher.cancel()
    assert shortest < 0.05


def test_a_shared_client_shows_no_secrets(s3_settings: MakeSettings) -> None:
    assert "planted" not in repr(SharedClient(s3_settings(1))).lower()
