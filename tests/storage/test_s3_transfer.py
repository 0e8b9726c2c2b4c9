"""Large objects: in parts, in bounded memory, whole or not at all."""

import asyncio
import logging
import os
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from fileflow_async.errors import (
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetSupersededError,
    TargetWriteError,
)
from fileflow_async.storage import s3_download, s3_multipart, s3_upload
from fileflow_async.storage.retry import Budget
from fileflow_async.storage.s3 import S3Settings, S3Storage
from fileflow_async.storage.s3_checksum import as_text, crc32, update
from fileflow_async.storage.s3_place import Place
from fileflow_async.storage.s3_upload import part_size
from fileflow_async.storage.s3_uploads import Upload, uploads
from tests.s3_servers.backdoor import Backdoor
from tests.s3_servers.proxy import (
    DENIED,
    LOST_REPLY,
    PRECONDITION,
    SHORTENED,
    SLOW_DOWN,
    TRUNCATED,
    Fault,
    Proxy,
    Reply,
    Request,
    error,
)

MIB = 1024 * 1024
PIECE = 20_000
DATA = os.urandom(5 * PIECE + 7)
QUICK = Budget(attempts=6, seconds=20, first=0.001, longest=0.01)
NO_UPLOAD = error("404 Not Found", "NoSuchUpload")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces are small, so that there are many."""
    monkeypatch.setattr(s3_upload, "PIECE", PIECE)
    monkeypatch.setattr(s3_upload, "SINGLE", 2 * PIECE)
    monkeypatch.setattr(s3_download, "PIECE", PIECE)
    monkeypatch.setattr(s3_download, "LARGE", 2 * PIECE)


@pytest.fixture
async def storage(
    proxy: Proxy, bucket: Backdoor, s3_settings: Callable[..., S3Settings]
) -> AsyncIterator[S3Storage]:
    async with S3Storage(bucket.bucket, "ff", s3_settings(proxy.port), budget=QUICK) as storage:
        await storage.put("warm", b"")
        proxy.reset()
        yield storage


async def create(storage: S3Storage, key: str, data: bytes = DATA, *, step: int = 9_000) -> None:
    async with storage.create(key, content_type="text/csv") as sink:
        for start in range(0, len(data), step):
            await sink.write(data[start : start + step])
    assert (sink.entry.key, sink.entry.size) == (key, len(data))


async def fail(storage: S3Storage, key: str) -> None:
    async with storage.create(key) as sink:
        await sink.write(DATA)
        raise ZeroDivisionError


async def stream(storage: S3Storage, key: str) -> list[bytes]:
    async with storage.stream(key) as pieces:
        return [piece async for piece in pieces]


# Parts.


def test_five_tebibytes_fit_into_ten_thousand_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3's own limits; the first 8 GiB go in parts of 8 MiB."""
    monkeypatch.undo()
    sizes = [part_size(number) for number in range(1, 10_001)]
    assert set(sizes[:1000]) == {8 * MIB}
    assert sum(sizes) >= 5 * 2**40
    assert max(sizes) <= 5 * 2**30
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    ("size", "requests"),
    [
        (2 * PIECE, {"PutObject": 1}),
        (2 * PIECE + 1, {"CreateMultipartUpload": 1, "UploadPart": 3, "CompleteMultipartUpload": 1}),
        (3 * PIECE, {"CreateMultipartUpload": 1, "UploadPart": 3, "CompleteMultipartUpload": 1}),
        (5 * PIECE + 7, {"CreateMultipartUpload": 1, "UploadPart": 6, "CompleteMultipartUpload": 1}),
    ],
)
async def test_what_is_large_goes_in_parts(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor, size: int, requests: dict[str, int]
) -> None:
    for step in (size, 1_999, PIECE):
        proxy.reset()
        await create(storage, f"x{step}", DATA[:size], step=step)
        assert await bucket.get(f"ff/x{step}") == DATA[:size]
        assert proxy.counts == requests


async def test_parts_carry_their_checksums_and_the_whole_its_own(storage: S3Storage, proxy: Proxy) -> None:
    """So that the store keeps one of the whole object, and compares."""
    await create(storage, "x")
    parts = [request for request in proxy.requests if request.operation == "UploadPart"]
    assert all(part.headers["x-amz-checksum-crc32"] == as_text(zlib.crc32(part.body)) for part in parts)
    complete = proxy.requests[-1]
    assert complete.headers["x-amz-checksum-crc32"] == as_text(zlib.crc32(DATA))
    assert complete.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert complete.headers["if-none-match"] == "*"
    assert complete.body.count(b"<ChecksumCRC32>") == len(parts)
    created = next(request for request in proxy.requests if request.operation == "CreateMultipartUpload")
    assert created.headers["content-type"] == "text/csv"
    assert created.headers["x-amz-checksum-type"] == "FULL_OBJECT"


@pytest.mark.parametrize("kept", ["COMPOSITE", None])
async def test_a_server_without_checksums_of_whole_objects(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor, kept: str | None
) -> None:
    """Says so when the upload begins; then those of the parts must do, or none."""

    def older(request: Request, reply: Reply | None) -> Reply:
        assert reply is not None
        lines = reply.head.split(b"\r\n")
        drop = b"x-amz-checksum-type" if kept else b"x-amz-checksum"
        body = reply.body.replace(b"FULL_OBJECT", b"")
        return Reply(b"\r\n".join(line for line in lines if not line.lower().startswith(drop)), body)

    proxy.drops = frozenset({"x-amz-checksum-type", *({"x-amz-checksum-algorithm"} if not kept else ())})
    proxy.spoil(Fault("older", reply=older), "CreateMultipartUpload")
    await create(storage, "x")
    assert await bucket.get("ff/x") == DATA
    assert "x-amz-checksum-crc32" not in proxy.requests[-1].headers
    parts = [request for request in proxy.requests if request.operation == "UploadPart"]
    assert all(("x-amz-checksum-crc32" in part.headers) == bool(kept) for part in parts)


async def test_four_parts_are_under_way(
    storage: S3Storage, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no more: that is what bounds the memory."""
    most, serving, real = 0, 0, Proxy._forward

    async def forward(self: Proxy, request: Request) -> Reply:
        nonlocal most, serving
        serving += 1
        most = max(most, serving)
        await asyncio.sleep(0.05)
        try:
            return await real(self, request)
        finally:
            serving -= 1

    monkeypatch.setattr(Proxy, "_forward", forward)
    await create(storage, "x", DATA * 3, step=10**6)
    assert most == 4
    most = 0
    assert b"".join(await stream(storage, "x")) == DATA * 3
    assert most == 4
    monkeypatch.setattr(s3_upload, "_STEADY", 0)
    monkeypatch.setattr(s3_upload, "_GROWTH", 2 * PIECE)  # parts of three, five, seven pieces
    most = 0
    await create(storage, "y", DATA * 3, step=10**6)
    assert most == 2  # one of them the last, of 21 bytes


async def test_a_large_object_has_the_options_of_the_connection(
    proxy: Proxy, bucket: Backdoor, s3_settings: Callable[..., S3Settings]
) -> None:
    """Encryption, the owner, no checksums where the connection says so."""
    settings = s3_settings(
        proxy.port,
        sse="aws:kms",
        kms_key_id="key-1",
        expected_bucket_owner="123456789012",
        checksums="when_required",
    )
    async with S3Storage(bucket.bucket, "ff", settings) as storage:
        await create(storage, "large")
        await storage.put("small", b"1")
        assert await storage.read("small") == b"1"
    for request in proxy.requests:
        assert request.headers["x-amz-expected-bucket-owner"] == "123456789012"
        assert "x-amz-checksum-crc32" not in request.headers
        if request.operation in ("PutObject", "CreateMultipartUpload"):
            assert request.headers["x-amz-server-side-encryption"] == "aws:kms"
            assert request.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"


async def test_checksums() -> None:
    """As S3 writes them; much data is summed in a thread."""
    large = os.urandom(600_000)
    assert await crc32(b"hello") == "NhCmhg=="
    assert await update(large, zlib.crc32(b"x")) == zlib.crc32(b"x" + large)


# What is taken back.


async def test_an_error_takes_the_parts_back(storage: S3Storage, proxy: Proxy, bucket: Backdoor) -> None:
    with pytest.raises(ZeroDivisionError):
        await fail(storage, "x")
    assert await bucket.uploads() == []
    assert await bucket.get("ff/x") is None
    assert proxy.counts["AbortMultipartUpload"] == 1


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
async def test_a_refusal_takes_the_parts_back(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor, operation: str
) -> None:
    proxy.spoil(DENIED, operation)
    with pytest.raises(TargetAccessError, match="access denied to write"):
        await create(storage, "x")
    assert await bucket.uploads() == []
    assert await bucket.get("ff/x") is None


async def test_who_goes_on_after_a_failed_write_publishes_nothing(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor
) -> None:
    """A part is missing, whatever the caller thinks."""
    proxy.spoil(DENIED, "UploadPart")
    with pytest.raises(TargetWriteError, match=r"a write to .*/ff/x' had failed; nothing was published"):  # noqa: PT012
        async with storage.create("x") as sink:
            for _ in range(9):
                with suppress(TargetAccessError):
                    await sink.write(DATA)
    assert await bucket.uploads() == []
    assert await bucket.get("ff/x") is None


async def test_nothing_is_written_behind_the_end(storage: S3Storage) -> None:
    async with storage.create("x") as sink:
        with pytest.raises(RuntimeError, match="has not ended well"):
            sink.entry  # noqa: B018
    with pytest.raises(TargetWriteError, match="/ff/x' was already committed"):
        await sink.write(b"1")


async def test_what_cannot_be_taken_back_is_logged(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor, logged: list[str]
) -> None:
    """The error that led there matters more."""
    proxy.spoil(DENIED, "AbortMultipartUpload", times=9)
    with pytest.raises(ZeroDivisionError):
        await fail(storage, "x")
    assert logged == [
        f"WARNING s3://{bucket.bucket}/ff/x: some of its parts may be left behind (TargetAccessError)"
    ]
    assert list(await storage.abandon(before=0)) == []
    assert list(await storage.abandon(before=4e9)) == ["x"]
    proxy.reset()
    assert await bucket.uploads() == ["ff/x"]
    assert list(await storage.abandon(before=4e9, dry_run=False)) == ["x"]
    assert await bucket.uploads() == []


async def test_uploads_of_others_are_left_alone(storage: S3Storage, bucket: Backdoor) -> None:
    """The bucket may be anybody's beyond our prefix."""
    for number in range(3):
        for folder in ("ff/", "gg/"):
            await bucket._ask("POST", f"{folder}{number}", query={"uploads": ""})
    assert await storage.abandon(before=4e9, prefix="1") == ["1"]
    assert sorted(await storage.abandon(before=4e9, dry_run=False)) == ["0", "1", "2"]
    assert sorted(await bucket.uploads()) == ["gg/0", "gg/1", "gg/2"]


async def test_uploads_are_listed_page_by_page() -> None:
    """A thousand a page; only those from before the moment are meant."""

    class Pages:
        asked: ClassVar[list[Any]] = []

        async def call(self, *args: Any, **asked: Any) -> dict[str, Any]:
            self.asked.append((asked.get("KeyMarker"), asked.get("UploadIdMarker")))
            number = len(self.asked)
            moment = datetime.fromtimestamp(number, UTC)
            return {
                "Bucket": "lake",
                "Uploads": [{"Key": f"ff/{number}", "UploadId": f"id{number}", "Initiated": moment}],
                "IsTruncated": number < 3,
                "NextKeyMarker": f"key{number}",
                "NextUploadIdMarker": f"id{number}",
            }

    found = await uploads(Pages(), Place("lake", "ff"), "ff/")  # type: ignore[arg-type]
    assert found == [Upload(f"ff/{number}", f"id{number}", number) for number in (1, 2, 3)]
    assert Pages.asked == [(None, None), ("key1", "id1"), ("key2", "id2")]


async def test_an_upload_whose_name_was_lost_is_found(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor
) -> None:
    """The reply that named it did not arrive; it would be paid for until somebody looks."""
    proxy.spoil(LOST_REPLY, "CreateMultipartUpload", times=2)
    await create(storage, "x")
    assert await bucket.get("ff/x") == DATA
    assert await bucket.uploads() == []


async def test_a_rival_for_the_same_key_is_left_alone(storage: S3Storage, bucket: Backdoor) -> None:
    """Whoever gives up takes back what is its own."""
    async with storage.create("x") as sink:
        await sink.write(DATA)
        with pytest.raises(ZeroDivisionError):
            await fail(storage, "x")
    assert await bucket.get("ff/x") == DATA


async def test_cancelled_anywhere_no_part_is_left(storage: S3Storage, proxy: Proxy, bucket: Backdoor) -> None:
    """At each request, before it is answered and after the server has done it."""
    clean = 2 + 7  # requests: what `create` takes
    for late in (False, True):
        for number in range(1, clean):
            proxy.reset()
            reached = asyncio.Event()

            def note(
                request: Request,
                reply: Reply | None = None,
                *,
                at: int = number,
                event: asyncio.Event = reached,
            ) -> Any:
                if len(proxy.requests) == at:
                    event.set()
                return reply or request

            proxy.spoil(Fault("note", reply=note) if late else Fault("note", bend=note), times=clean)
            proxy.delay = 0.01
            task = asyncio.create_task(create(storage, f"{late}{number}"))
            waiting = asyncio.create_task(reached.wait())
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert await bucket.uploads() == []
            assert await bucket.get(f"ff/{late}{number}") in (None, DATA)


async def test_an_upload_that_begins_late_is_waited_for(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor
) -> None:
    """Cancelled before the server had even begun it; nobody would ever learn its name."""
    proxy.spoil(Fault("late", late=0.3), "CreateMultipartUpload")
    task = asyncio.create_task(create(storage, "x"))
    while not proxy.counts["CreateMultipartUpload"]:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.5)
    assert await bucket.uploads() == []


async def test_cancelled_twice_no_part_is_left(storage: S3Storage, proxy: Proxy, bucket: Backdoor) -> None:
    """Whoever cancels the taking back waits for it all the same."""
    started = asyncio.Event()

    async def write() -> None:
        async with storage.create("x") as sink:
            await sink.write(DATA)
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await started.wait()
    proxy.spoil(SLOW_DOWN, "AbortMultipartUpload")  # so that it takes a second try
    proxy.delay = 0.05
    task.cancel()
    for _ in range(20):
        await asyncio.sleep(0.01)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await bucket.uploads() == []


async def test_taking_back_has_an_end(
    storage: S3Storage, proxy: Proxy, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that hangs does not hold up a task that is being killed."""
    monkeypatch.setattr(s3_upload, "_LAST_CALL", 0.2)
    monkeypatch.setattr(s3_multipart, "_TAKING_BACK", 0.2)
    proxy.spoil(Fault("hangs", passes=False, hangs=True), "AbortMultipartUpload", times=9)
    with pytest.raises(ZeroDivisionError):
        await fail(storage, "x")
    assert logged[0].endswith("(TimeoutError)")


@pytest.mark.parametrize(
    ("said", "heard"), [(b"<PartNumber>2", b"<PartNumber>9"), (b"<Part>", b"<Qart>")], ids=["part", "XML"]
)
async def test_a_list_of_parts_that_is_damaged_on_its_way_is_sent_again(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor, said: bytes, heard: bytes
) -> None:
    """No checksum covers it, but it makes no sense."""

    def bend(request: Request) -> Request:
        body = request.body.replace(said, heard, 1)
        assert body != request.body
        return Request(request.method, request.target, request.headers, body)

    proxy.spoil(Fault("damaged list", bend=bend), "CompleteMultipartUpload")
    await create(storage, "x")
    assert await bucket.get("ff/x") == DATA
    assert proxy.counts["CompleteMultipartUpload"] == 2


# A reply to the last request that did not arrive.


async def test_a_lost_reply_to_complete_is_resolved(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor
) -> None:
    """The second try hears that there is no such upload: because it is done."""
    for answer in (NO_UPLOAD, PRECONDITION):
        proxy.reset()
        proxy.spoil(LOST_REPLY, "CompleteMultipartUpload")
        proxy.spoil(answer, "CompleteMultipartUpload")
        key = f"x{answer.name}"
        await create(storage, key)
        assert await bucket.get(f"ff/{key}") == DATA
        assert await bucket.uploads() == []
        assert "AbortMultipartUpload" not in proxy.counts


@pytest.mark.parametrize(
    "data", [DATA[:-1] + bytes([DATA[-1] ^ 1]), DATA[:-1], b""], ids=["bent", "shorter", "empty"]
)
@pytest.mark.parametrize("answer", [NO_UPLOAD, PRECONDITION], ids=lambda fault: fault.name)
async def test_another_object_in_the_place_is_not_taken_for_ours(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor, answer: Fault, data: bytes
) -> None:
    proxy.spoil(answer, "CompleteMultipartUpload")
    with pytest.raises(TargetSupersededError, match="/ff/x' exists already with other bytes"):  # noqa: PT012
        async with storage.create("x") as sink:
            await sink.write(DATA)
            await bucket.put("ff/x", data)
    assert await bucket.get("ff/x") == data
    assert await bucket.uploads() == []
    assert ("GetObject" in proxy.counts) == (len(data) == len(DATA))  # the size alone tells, where it does


async def test_an_upload_that_somebody_took_back_is_no_success(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor
) -> None:
    """A clean-up that was too eager, or a store that contradicts itself."""
    for operation in ("UploadPart", "CompleteMultipartUpload"):
        proxy.reset()
        proxy.spoil(NO_UPLOAD, operation)
        with pytest.raises(TargetWriteError, match=r"the upload to .*/ff/x' was taken back by somebody"):
            await create(storage, "x")
    proxy.spoil(PRECONDITION, "CompleteMultipartUpload")
    with pytest.raises(StorageUnavailableError, match="was refused because it exists, which it does not"):
        await create(storage, "x")
    assert await bucket.get("ff/x") is None
    assert await bucket.uploads() == []


# Reading.


async def test_a_large_object_is_read_in_pieces_at_once(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor
) -> None:
    """One request would have one connection's speed, and its time."""
    await bucket.put("ff/x", DATA)
    assert await storage.read("x") == DATA
    asked = sorted(str(request.headers.get("range")) for request in proxy.requests)
    starts = [0, *range(PIECE, len(DATA), PIECE)]
    assert asked == sorted(["None", *(f"bytes={start}-{start + PIECE - 1}" for start in starts)])


async def test_what_breaks_off_goes_on_from_there(storage: S3Storage, proxy: Proxy, bucket: Backdoor) -> None:
    """Nothing is read twice, and the rest must be of the same object."""
    await bucket.put("ff/x", DATA[:PIECE])
    proxy.spoil(TRUNCATED, "GetObject", times=3)
    assert await storage.read("x") == DATA[:PIECE]
    asked = [request.headers.get("range") for request in proxy.requests]
    assert asked == [None, "bytes=10000-", "bytes=15000-", "bytes=17500-"]
    assert all("if-match" in request.headers for request in proxy.requests[1:])


async def test_an_answer_that_is_too_short_and_says_so(storage: S3Storage, proxy: Proxy) -> None:
    """Somebody in between cut it: a range tells the size of the whole, and the whole has a checksum."""
    await storage.put("x", DATA[:PIECE])
    calls: list[tuple[Awaitable[bytes], list[str | None]]] = [
        (storage.read("x"), [None] * 4),
        (storage.read_range("x", 0, PIECE), [f"bytes={start}-19999" for start in (0, 10000, 15000, 17500)]),
    ]
    for call, ranges in calls:
        proxy.reset()
        proxy.spoil(SHORTENED, "GetObject", times=3)
        assert await call == DATA[:PIECE]
        assert [request.headers.get("range") for request in proxy.requests] == ranges


async def test_what_was_replaced_while_it_broke_off_is_told(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor
) -> None:
    """Half of one object and half of another are worse than an error."""
    await bucket.put("ff/x", DATA[:PIECE])
    calls: list[Callable[[], Any]] = [
        lambda: storage.read("x"),
        lambda: storage.read_range("x", 0, PIECE),
        lambda: stream(storage, "x"),
    ]
    for call in calls:
        proxy.reset()
        await bucket.put("ff/x", DATA[:PIECE])
        proxy.spoil(TRUNCATED, "GetObject")
        proxy.delay = 0.05
        task = asyncio.create_task(call())
        while len(proxy.requests) < 2:
            await asyncio.sleep(0.001)
        await bucket.put("ff/x", DATA[PIECE : 2 * PIECE])
        with pytest.raises(TargetSupersededError, match="/ff/x' was replaced while it was read"):
            await task


async def test_a_server_that_ignores_conditions_is_seen_through(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor
) -> None:
    """The ETag is compared here as well."""
    proxy.drops = frozenset({"if-match"})
    await bucket.put("ff/x", b"new")
    with pytest.raises(TargetSupersededError, match="was replaced"):
        await storage.read_range("x", 0, 3, etag="0" * 32)


async def test_a_server_that_ignores_ranges_is_refused(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor
) -> None:
    """It would send the whole object for each piece, and the wrong bytes."""
    proxy.drops = frozenset({"range"})
    await bucket.put("ff/x", DATA)
    for call in (storage.read_range("x", 5, 5), storage.read_range("x", 0, 5), stream(storage, "x")):
        with pytest.raises(StorageUnavailableError, match="did not answer as S3"):
            await call
    await bucket.put("ff/small", b"12345")
    assert await storage.read_range("small", 0, 9) == b"12345"
    assert await stream(storage, "small") == [b"12345"]


async def test_bytes_bent_on_their_way_are_read_again(storage: S3Storage, proxy: Proxy) -> None:
    """By the CRC32 that the store keeps; without one, the SHA-256 of the record tells."""
    await storage.put("x", DATA[:PIECE])
    proxy.reset()

    def bent(request: Request, reply: Reply | None) -> Reply:
        assert reply is not None
        return Reply(reply.head, b"\0" + reply.body[1:])

    proxy.spoil(Fault("bent", reply=bent), "GetObject", times=3)
    assert await storage.read("x") == DATA[:PIECE]
    assert [request.headers.get("range") for request in proxy.requests] == [None] * 4
    proxy.spoil(Fault("bent", reply=bent), "GetObject", times=99)
    with pytest.raises(StorageUnavailableError, match="last error: damaged on its way, 6 attempts"):
        await storage.read("x")


@pytest.mark.parametrize(("start", "length"), [(-1, 5), (0, -1)])
async def test_a_range_that_is_none(storage: S3Storage, start: int, length: int) -> None:
    with pytest.raises(ValueError, match="a range needs start >= 0 and length >= 0"):
        await storage.read_range("x", start, length)


async def test_a_range_of_no_bytes(storage: S3Storage, bucket: Backdoor) -> None:
    """Tells whether the object is there."""
    await bucket.put("ff/x", b"1")
    assert await storage.read_range("x", 0, 0) == b""
    with pytest.raises(FileflowError, match="does not exist"):
        await storage.read_range("y", 0, 0)


async def test_an_error_in_a_later_piece_comes_out_once(
    storage: S3Storage, proxy: Proxy, bucket: Backdoor
) -> None:
    """As itself, and the pieces before it have been given."""
    await bucket.put("ff/x", DATA)
    proxy.spoil(DENIED, "GetObject", nth=3)
    got = []
    with pytest.raises(TargetAccessError, match="access denied to read"):  # noqa: PT012
        async with storage.stream("x") as pieces:
            async for piece in pieces:
                got.append(piece)  # noqa: PERF401 - those before the error count
    assert b"".join(got) == DATA[: 2 * PIECE]


# Memory.


@pytest.mark.slow
async def test_memory_is_bounded_whatever_the_size(
    bucket: Backdoor, s3_settings: Callable[..., S3Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 MiB up and down through less than 64: four pieces of 8 under way, one in hand, one being copied."""
    monkeypatch.undo()
    block = os.urandom(MIB)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(S3Storage(bucket.bucket, "ff", s3_settings(bucket.port)))
        await storage.put("warm", b"")
        tracemalloc.start()
        try:
            async with storage.create("x") as sink:
                for _ in range(200):
                    await sink.write(block)
            up = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            size = 0
            async with storage.stream("x") as pieces:
                async for piece in pieces:
                    size += len(piece)
                    await asyncio.sleep(0.02)  # a slow reader, so that all that may be read ahead is
            down = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert size == 200 * MIB
    assert up < 64 * MIB, up / MIB
    assert down < 64 * MIB, down / MIB
