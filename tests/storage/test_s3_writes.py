"""What a server understands is found out once; what was written is told from what others wrote."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fileflow_async.errors import StorageUnavailableError, TargetAccessError, TargetSupersededError
from fileflow_async.storage.retry import Budget
from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.storage.s3_delete import BATCH, NotDeletedError
from tests.s3_servers.backdoor import Backdoor
from tests.s3_servers.proxy import (
    DENIED,
    HANGS_WHEN_DONE,
    INTERNAL_ERROR_WHEN_DONE,
    LOST_REPLY,
    PRECONDITION,
    SLOW_DOWN_WHEN_DONE,
    Fault,
    Proxy,
    Reply,
    Request,
    error,
)

QUICK = Budget(attempts=6, seconds=20, first=0.001, longest=0.01)
NOT_IMPLEMENTED = error("501 Not Implemented", "NotImplemented")
Open = Callable[..., Any]


@pytest.fixture
def opened(bucket: Backdoor, proxy: Proxy, s3_settings: Callable[..., S3Settings]) -> Open:
    @asynccontextmanager
    async def make(prefix: str = "ff", **more: Any) -> AsyncIterator[S3Storage]:
        settings = s3_settings(proxy.port, **{"read_timeout": 2} | more)
        async with S3Storage(bucket.bucket, prefix, settings, budget=QUICK) as storage:
            yield storage

    return make


def has(header: str) -> Callable[[Request], bool]:
    return lambda request: header in request.headers


# The probe.


async def test_the_first_write_finds_out_for_all(
    opened: Open, proxy: Proxy, bucket: Backdoor, logged: list[str]
) -> None:
    """By one empty object, which stays and is never listed."""
    async with opened() as storage, opened("gg") as other:
        await asyncio.gather(*(storage.put(f"{number}", b"") for number in range(5)), other.put("x", b""))
        assert [request.key for request in proxy.requests if request.body == b""][:2] == [
            "ff/.probe",
            "ff/.probe",
        ]
        assert sum(request.key.endswith(".probe") for request in proxy.requests) == 2
        assert [entry.key for entry in (await storage.list()).entries] == ["0", "1", "2", "3", "4"]
        assert [entry.key for entry in (await storage.list(shallow=True)).entries] == [
            "0",
            "1",
            "2",
            "3",
            "4",
        ]
    assert "ff/.probe" in await bucket.keys()
    proxy.reset()
    async with opened() as storage:  # a new client, and the object is there already
        await storage.put("5", b"")
    assert [request.key for request in proxy.requests] == ["ff/.probe", "ff/5"]
    assert logged == []


async def test_a_reader_does_not_write(opened: Open, proxy: Proxy, bucket: Backdoor) -> None:
    """It may not be allowed to."""
    await bucket.put("ff/x", b"1")
    async with opened() as storage:
        await storage.read("x")
        await storage.list()
        await storage.stat("x")
    assert "PutObject" not in proxy.counts


async def test_a_server_that_ignores_conditions(
    opened: Open, proxy: Proxy, bucket: Backdoor, logged: list[str]
) -> None:
    """Is told once in the log, and what stands in a place is looked for before."""
    proxy.drops = frozenset({"if-none-match"})
    await bucket.put("ff/old", b"old")
    async with opened() as storage:
        await storage.put("new", b"1")
        await storage.put("new", b"1")
        for key, data in (("old", b"new"), ("new", b"2")):
            with pytest.raises(TargetSupersededError, match="exists already with other bytes"):
                await storage.put(key, data)
            with pytest.raises(TargetSupersededError, match="exists already with other bytes"):
                async with storage.create(key) as sink:
                    await sink.write(data)
    assert await bucket.get("ff/old") == b"old"
    (line,) = logged
    assert line == (
        f"INFO s3://{bucket.bucket}/ff: its server ignores conditional writes, "
        "so nothing but names keeps writers apart"
    )
    assert not any(
        "if-none-match" in each.headers for each in proxy.requests if not each.key.endswith(".probe")
    )


@pytest.mark.parametrize(
    ("refused", "then"),
    [
        (["if-none-match"], ["x-amz-checksum-crc32"]),
        (["x-amz-checksum-crc32"], ["if-none-match"]),
        (["if-none-match", "x-amz-checksum-crc32"], []),
    ],
)
async def test_a_server_that_refuses_what_it_does_not_know(
    opened: Open, proxy: Proxy, bucket: Backdoor, refused: list[str], then: list[str], logged: list[str]
) -> None:
    """Each in its own words; it gets the most that it takes."""
    for header in refused:
        proxy.spoil(NOT_IMPLEMENTED, "PutObject", times=99, when=has(header))
    async with opened() as storage:
        await storage.put("x", b"1")
        await storage.put("y", b"1")
    for request in proxy.requests[-1:]:
        assert [each for each in ("if-none-match", "x-amz-checksum-crc32") if each in request.headers] == then
    assert await bucket.get("ff/x") == b"1"
    assert len(logged) == len(refused)


@pytest.mark.parametrize(
    ("checksums", "sent", "refused"),
    [("auto", True, False), ("crc32", True, True), ("when_required", False, False)],
)
async def test_the_connection_says_whether_checksums_are_sent(
    opened: Open, proxy: Proxy, bucket: Backdoor, checksums: str, sent: bool, refused: bool
) -> None:
    """`crc32` insists: a server that refuses them is not written to."""
    async with opened(checksums=checksums) as storage:
        await storage.put("x", b"1")
    assert has("x-amz-checksum-crc32")(proxy.requests[-1]) == sent
    proxy.spoil(NOT_IMPLEMENTED, times=99, when=has("x-amz-checksum-crc32"))
    async with opened(checksums=checksums) as storage:
        if refused:
            with pytest.raises(Exception, match="NotImplemented"):
                await storage.put("y", b"1")
        else:
            await storage.put("y", b"1")
    assert (await bucket.get("ff/y") is None) == refused


async def test_a_probe_that_is_forbidden_is_no_hindrance(
    opened: Open, proxy: Proxy, bucket: Backdoor
) -> None:
    """A policy may demand conditional writes, so they are sent."""
    proxy.spoil(DENIED, times=99, when=lambda request: request.key.endswith(".probe"))
    async with opened() as storage:
        await storage.put("x", b"1")
        await storage.put("y", b"1")
    assert proxy.counts["PutObject"] == 3
    assert "if-none-match" in proxy.requests[-1].headers
    assert await bucket.get("ff/x") == b"1"


async def test_a_probe_that_cannot_be_sent_is_sent_again(opened: Open, proxy: Proxy) -> None:
    """By the next write: nothing is known yet."""
    proxy.spoil(error("503 Slow Down", "SlowDown"), times=6)
    async with opened() as storage:
        with pytest.raises(
            StorageUnavailableError, match=r"cannot write .*/ff/\.probe; last error: 503 SlowDown"
        ):
            await storage.put("x", b"1")
        await storage.put("x", b"1")


async def test_what_is_no_answer_at_all_is_not_taken_for_a_refusal(
    opened: Open, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of ours must not be hidden by trying with less."""

    async def broken(data: bytes, can: Any) -> dict[str, str]:
        raise AttributeError("planted")

    monkeypatch.setattr("fileflow_async.storage.s3_abilities.checked", broken)
    async with opened() as storage:
        with pytest.raises(AttributeError, match="planted"):
            await storage.put("x", b"1")


# A put whose reply was lost.


@pytest.mark.parametrize(
    "fault",
    [LOST_REPLY, HANGS_WHEN_DONE, INTERNAL_ERROR_WHEN_DONE, SLOW_DOWN_WHEN_DONE],
    ids=lambda fault: fault.name,
)
async def test_an_unknown_outcome_is_read_back(
    opened: Open, proxy: Proxy, bucket: Backdoor, fault: Fault
) -> None:
    """The second try is refused: by what the first one did."""
    async with opened() as storage:
        await storage.put("warm", b"")
        proxy.reset()
        proxy.spoil(fault, "PutObject")
        entry = await storage.put("x", b"mine")
        assert entry == await storage.stat("x")
        assert proxy.counts["PutObject"] == 2
        assert await bucket.get("ff/x") == b"mine"


async def test_a_rival_that_came_meanwhile_is_told(opened: Open, proxy: Proxy, bucket: Backdoor) -> None:
    """Ours did not arrive, theirs did."""
    async with opened() as storage:
        await storage.put("warm", b"")
        proxy.spoil(Fault("never", passes=False, reply=lambda *_: None, reset=True), "PutObject", times=2)
        proxy.delay = 0.02
        task = asyncio.create_task(storage.put("x", b"mine"))
        await bucket.put("ff/x", b"them")
        with pytest.raises(TargetSupersededError, match="/ff/x' exists already with other bytes"):
            await task
        assert await bucket.get("ff/x") == b"them"


async def test_a_store_that_contradicts_itself_may_come_to_its_senses(
    opened: Open, proxy: Proxy, bucket: Backdoor
) -> None:
    """It says that an object exists, and that it does not: nothing was written, and to try again is right."""
    async with opened() as storage:
        await storage.put("warm", b"")
        proxy.spoil(PRECONDITION, "PutObject")
        with pytest.raises(StorageUnavailableError, match="was refused because it exists, which it does not"):
            await storage.put("x", b"mine")
        await storage.put("x", b"mine")


async def test_bytes_bent_on_their_way_are_sent_again(opened: Open, proxy: Proxy, bucket: Backdoor) -> None:
    """The store compares the CRC32; large bodies leave as a file would."""
    data = b"0123456789" * 200_000
    async with opened() as storage:
        await storage.put("warm", b"")
        proxy.reset()
        proxy.spoil(
            Fault("bent", bend=lambda it: Request(it.method, it.target, it.headers, b"X" + it.body[1:])),
            "PutObject",
        )
        await storage.put("x", data)
    assert proxy.counts["PutObject"] == 2
    assert await bucket.get("ff/x") == data
    assert "content-encoding" not in proxy.requests[-1].headers  # no aws-chunked


async def test_times_are_the_stores(opened: Open, proxy: Proxy) -> None:
    """By the `Date` of its answers; without one, by our own clock."""

    def dated(date: bytes) -> Fault:
        def reply(request: Request, reply: Reply | None) -> Reply:
            assert reply is not None
            lines = [line for line in reply.head.split(b"\r\n") if not line.lower().startswith(b"date:")]
            return Reply(
                b"\r\n".join([lines[0], *([b"Date: " + date] if date else []), *lines[1:]]), reply.body
            )

        return Fault("dated", reply=reply)

    async with opened() as storage:
        await storage.put("warm", b"")
        proxy.spoil(dated(b"Tue, 01 Jan 2030 00:00:00 GMT"), times=2)
        assert (await storage.put("x", b"")).modified == 1_893_456_000.0
        assert (await storage.list()).now == 1_893_456_000.0
        for number, date in enumerate((b"", b"nonsense")):
            proxy.spoil(dated(date), times=1)
            assert (await storage.put(f"y{number}", b"")).modified < 1_893_456_000.0


# delete.


async def test_records_go_before_data(opened: Open, proxy: Proxy, bucket: Backdoor) -> None:
    """A record whose data is gone would look damaged; by few requests all the same."""
    keys = [f"d/{number}{end}" for number in range(30) for end in (".csv", ".csv.ok")]
    for key in keys[:6]:
        await bucket.put(f"ff/{key}", b"1")
    async with opened() as storage:
        await storage.delete(keys)
    first, second = proxy.requests
    assert first.body.count(b".csv.ok</Key>") == first.body.count(b"<Key>") == 30
    assert second.body.count(b".csv</Key>") == second.body.count(b"<Key>") == 30
    assert await bucket.keys() == []


async def test_many_objects_go_in_batches(opened: Open, proxy: Proxy) -> None:
    """Of a thousand: S3's own limit."""
    async with opened() as storage:
        await storage.delete(f"d/{number:05d}" for number in range(2 * BATCH + 1))
        await storage.delete([])
    assert [request.body.count(b"<Key>") for request in proxy.requests] == [BATCH, BATCH, 1]


def refusing(code: str, *keys: str) -> Fault:
    """Return the fault that refuses some keys of many."""
    errors = "".join(
        f"<Error><Key>ff/{key}</Key><Code>{code}</Code><Message>no</Message></Error>" for key in keys
    )
    body = f"<?xml version='1.0'?><DeleteResult>{errors}</DeleteResult>".encode()
    return Fault(
        code, reply=lambda *_: Reply.made("200 OK", body, Content_Type="application/xml", x_amz_id_2="x")
    )


async def test_what_may_pass_is_tried_again_for_those_that_it_befell(opened: Open, proxy: Proxy) -> None:
    async with opened() as storage:
        proxy.spoil(refusing("InternalError", "b", "c"))
        proxy.spoil(refusing("SlowDown", "c"))
        await storage.delete(["a", "b", "c"])
    assert [request.body.count(b"<Key>") for request in proxy.requests] == [3, 2, 1]


async def test_a_key_that_may_not_be_deleted_is_named(opened: Open, proxy: Proxy, bucket: Backdoor) -> None:
    async with opened() as storage:
        proxy.spoil(refusing("AccessDenied", "b"))
        with pytest.raises(TargetAccessError) as caught:
            await storage.delete(["a", "b"])
        assert (
            str(caught.value) == f"access denied to delete s3://{bucket.bucket}/ff/b; needs s3:DeleteObject"
        )
        proxy.spoil(refusing("NeverHeardOf", "a"))
        with pytest.raises(NotDeletedError, match=r"cannot delete s3://.*/ff/a: NeverHeardOf"):
            await storage.delete(["a", "b"])
        proxy.spoil(refusing("NoSuchKey", "a"))
        await storage.delete(["a"])
    assert str(NotDeletedError("s3://lake/x", {"Code": "X"})) == "cannot delete s3://lake/x: X"


async def test_a_server_that_cannot_delete_many(opened: Open, proxy: Proxy, bucket: Backdoor) -> None:
    """Deletes them one by one: it wants another checksum than botocore's, or does not know how."""
    for code in ("NotImplemented", "MissingContentMD5"):
        proxy.reset()
        proxy.spoil(error("400 Bad Request", code), "DeleteObjects", times=9)
        for key in ("a", "b"):
            await bucket.put(f"ff/{key}", b"1")
        async with opened() as storage:
            await storage.delete(["a", "b", "none"])
        assert proxy.counts["DeleteObject"] == 3
        assert [key for key in await bucket.keys() if key != "ff/.probe"] == []


async def test_a_mistake_of_ours_is_not_taken_for_that(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: object, **more: object) -> None:
        raise AttributeError("planted")

    monkeypatch.setattr("fileflow_async.storage.s3_requests.Requests.ask", broken)
    async with opened() as storage:
        with pytest.raises(AttributeError, match="planted"):
            await storage.delete(["a"])
