"""A proxy in front of an S3 server that breaks the requests it is told to.

    async with Proxy.to(port) as proxy:
        proxy.spoil(LOST_REPLY, "PutObject")              # the first one: done, but nobody hears of it
        proxy.spoil(SLOW_DOWN, "UploadPart", nth=2, times=3)
        ... S3Settings(endpoint_url=proxy.url) ...
        assert proxy.counts["PutObject"] == 2

`FAULTS` has them all by name, to try each with each request. The proxy checks the CRC32 that a request
announces, and the hash of the body that it signs, as S3 does and moto does not. It holds whole bodies, and
closes each connection behind its answer.
"""

import asyncio
import hashlib
import socket
import struct
import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """What the client sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def key(self) -> str:
        """The path behind the bucket."""
        return unquote(urlsplit(self.target).path).lstrip("/").partition("/")[2]

    @property
    def operation(self) -> str:
        """What S3 calls it."""
        query = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        if not self.key:
            return self._bucket_operation(query)
        names = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
        if "uploadId" in query:
            names = {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}
        if "uploads" in query:
            names = {"POST": "CreateMultipartUpload"}
        return names[self.method]

    def _bucket_operation(self, query: Mapping[str, list[str]]) -> str:
        for name, operation in _OF_BUCKETS.items():
            if name in query:
                return operation
        return {"PUT": "CreateBucket", "HEAD": "HeadBucket", "POST": "AssumeRole"}.get(
            self.method, "ListBuckets"
        )


_OF_BUCKETS = {"list-type": "ListObjectsV2", "uploads": "ListMultipartUploads", "delete": "DeleteObjects"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answered."""

    head: bytes
    body: bytes

    @classmethod
    def made(cls, status: str, body: bytes = b"", **headers: str) -> "Reply":
        """Make one up."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return cls("\r\n".join(lines).encode() + b"\r\n\r\n", body)

    def without_body(self) -> "Reply":
        """Return what a HEAD gets."""
        return Reply(self.head, b"")


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a request.

    Args:
        name: For messages.
        passes: Whether the server sees the request.
        reply: What is made of the server's reply (None where it saw nothing); None to break the connection.
        bend: What is made of the request before.
        late: Seconds until the server sees the request.
        cut: How much of the reply's body is sent before the connection ends; 1.0 for all.
        reset: Whether it ends by a reset.
        hangs: Whether there is never an answer.
        drips: Whether the answer never ends, a blank every now and then.
    """

    name: str
    passes: bool = True
    reply: Callable[[Request, Reply | None], Reply | None] = lambda request, reply: reply
    bend: Callable[[Request], Request] = lambda request: request
    late: float = 0.0
    cut: float = 1.0
    reset: bool = False
    hangs: bool = False
    drips: bool = False


def error(status: str, code: str, *, passes: bool = False, more: str = "", **headers: str) -> Fault:
    """Return the fault that S3 answers so; `passes` when it does the work nevertheless."""
    body = (
        f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>planted</Message>{more}</Error>".encode()
    )
    made = Reply.made(status, body, Content_Type="application/xml", x_amz_request_id="planted", **headers)
    return Fault(f"{status[:3]} {code}{' when done' if passes else ''}", passes, lambda *_: made)


def page(status: str = "200 OK", kind: str = "text/html; charset=utf-8") -> Fault:
    """Return the fault that a web page answers."""
    body = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><p>Welcome<br>guest</body></html>"
    return Fault(f"page {status}", passes=False, reply=lambda *_: Reply.made(status, body, Content_Type=kind))


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if data else data


def _shorter(reply: Reply) -> Reply:
    body = reply.body[: len(reply.body) // 2]
    lines = [line for line in reply.head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    head = b"\r\n".join([lines[0], b"Content-Length: %d" % len(body), *lines[1:]])
    return Reply(head, body)


def _bent(request: Request) -> Request:
    return Request(request.method, request.target, request.headers, _flipped(request.body))


NOTHING = Fault("nothing")
LOST_REPLY = Fault("lost reply", reply=lambda *_: None, reset=True)
CLOSED = Fault("closed before", passes=False, reply=lambda *_: None)
RESET = Fault("reset before", passes=False, reply=lambda *_: None, reset=True)
RESET_MIDWAY = Fault("reset midway", cut=0.5, reset=True)
TRUNCATED = Fault("truncated", cut=0.5)
SHORTENED = Fault("shortened", reply=lambda _, reply: reply and _shorter(reply))
CORRUPTED = Fault("corrupted", reply=lambda _, reply: reply and Reply(reply.head, _flipped(reply.body)))
CORRUPTED_REQUEST = Fault("corrupted request", bend=_bent)
HANGS = Fault("hangs", passes=False, hangs=True)
HANGS_WHEN_DONE = Fault("hangs when done", hangs=True)
DRIPS = Fault("drips", passes=False, drips=True)
INTERNAL_ERROR = error("500 Internal Server Error", "InternalError")
INTERNAL_ERROR_WHEN_DONE = error("500 Internal Server Error", "InternalError", passes=True)
BAD_GATEWAY = page("502 Bad Gateway")
SLOW_DOWN = error("503 Slow Down", "SlowDown")
SLOW_DOWN_WHEN_DONE = error("503 Slow Down", "SlowDown", passes=True)
TOO_MANY = error("429 Too Many Requests", "TooManyRequests")
CONFLICT = error("409 Conflict", "ConditionalRequestConflict")
PRECONDITION = error("412 Precondition Failed", "PreconditionFailed")
ERROR_200 = error("200 OK", "InternalError")
PAGE = page()
PAGE_404 = page("404 Not Found")
GARBAGE = Fault(
    "garbage", False, lambda *_: Reply.made("200 OK", b"<ListBucketResult><Name>x", x_amz_id_2="x")
)
EXPIRED = error("400 Bad Request", "ExpiredToken")
DENIED = error("403 Forbidden", "AccessDenied")
NO_BUCKET = error("404 Not Found", "NoSuchBucket")

FAULTS = {
    fault.name: fault
    for fault in (
        LOST_REPLY,
        CLOSED,
        RESET,
        RESET_MIDWAY,
        TRUNCATED,
        SHORTENED,
        CORRUPTED,
        CORRUPTED_REQUEST,
        HANGS,
        HANGS_WHEN_DONE,
        INTERNAL_ERROR,
        INTERNAL_ERROR_WHEN_DONE,
        BAD_GATEWAY,
        SLOW_DOWN,
        SLOW_DOWN_WHEN_DONE,
        TOO_MANY,
        CONFLICT,
        PRECONDITION,
        ERROR_200,
        PAGE,
        PAGE_404,
        GARBAGE,
        EXPIRED,
        DENIED,
    )
}


@dataclass(slots=True)
class _Rule:
    fault: Fault
    matches: Callable[[Request], bool]
    skip: int
    left: float


@dataclass(slots=True)
class Proxy:
    """A running proxy; see the module.

    Attributes:
        requests: All that came, in their order.
        counts: How many there were of each operation.
        delay: Seconds that each request takes longer.
        drops: Headers, in lower case, that the server does not get to see: it is one that does not know them.
    """

    upstream: int
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    delay: float = 0.0
    drops: frozenset[str] = frozenset()
    _rules: list[_Rule] = field(default_factory=list)
    _open: set["asyncio.Task[None]"] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator[Self]:
        """Run a proxy in front of the server on a port of this machine."""
        proxy = cls(port)
        server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            for task in proxy._open:
                task.cancel()
            await asyncio.gather(*proxy._open, return_exceptions=True)
            await server.wait_closed()

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"http://127.0.0.1:{self.port}"

    def spoil(
        self,
        fault: Fault,
        operation: str | None = None,
        *,
        nth: int = 1,
        times: float = 1,
        when: Callable[[Request], bool] = lambda request: True,
    ) -> None:
        """Break the nth request of an operation (any by default), and as many after it as `times` says."""
        self._rules.append(
            _Rule(fault, lambda it: operation in (None, it.operation) and when(it), nth - 1, times)
        )

    def reset(self) -> None:
        """Forget all rules and counts."""
        self._rules.clear()
        self.requests.clear()
        self.counts.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(
                ConnectionError, asyncio.IncompleteReadError, ValueError
            ):  # ValueError: it is not HTTP
                await self._serve(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _read(reader, writer)
        self.requests.append(request)
        self.counts[request.operation] += 1
        fault = self._fault(request)
        await asyncio.sleep(self.delay)
        bent = fault.bend(request)
        await asyncio.sleep(fault.late)
        reply = await self._forward(bent) if fault.passes else None
        if fault.drips:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\nx-amz-request-id: planted\r\n\r\n")
            while not reader.at_eof():
                writer.write(b" ")
                await asyncio.sleep(0.05)
            return
        if fault.hangs:
            await reader.read()  # until the client gives up
            return
        reply = fault.reply(request, reply)
        if reply is not None:
            body = b"" if request.method == "HEAD" else reply.body
            writer.write(reply.head + body[: int(len(body) * fault.cut)])
            await writer.drain()
        if fault.reset:
            await asyncio.sleep(0.01)  # or the reset would overtake what was sent
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def _fault(self, request: Request) -> Fault:
        for rule in self._rules:
            if rule.left > 0 and rule.matches(request):
                if rule.skip:
                    rule.skip -= 1
                    continue
                rule.left -= 1
                return rule.fault
        return NOTHING

    async def _forward(self, request: Request) -> Reply:
        if damage := _damage(request):
            return damage
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            left_out = self.drops | {"connection", "expect"}
            lines = [f"{name}: {value}" for name, value in request.headers.items() if name not in left_out]
            head = "\r\n".join([f"{request.method} {request.target} HTTP/1.1", *lines, "connection: close"])
            writer.write(head.encode() + b"\r\n\r\n" + request.body)
            head_bytes = await reader.readuntil(b"\r\n\r\n")
            body = b"" if request.method == "HEAD" else await reader.read()
            return Reply(head_bytes, body)
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("expect") == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body)


def _damage(request: Request) -> Reply | None:
    announced = request.headers.get("x-amz-checksum-crc32")
    if request.operation == "CompleteMultipartUpload":
        announced = None  # it is that of the object
    if announced is not None and int.from_bytes(b64decode(announced), "big") != zlib.crc32(request.body):
        return error("400 Bad Request", "BadDigest").reply(request, None)
    signed = request.headers.get("x-amz-content-sha256", "")
    if len(signed) == 64 and signed != hashlib.sha256(request.body).hexdigest():  # else it says: not signed
        return error("400 Bad Request", "XAmzContentSHA256Mismatch").reply(request, None)
    return None
