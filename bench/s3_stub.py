"""A small S3 server in memory that is fast enough not to be what is measured; it counts its requests.

    .venv/bin/python bench/s3_stub.py PORT

One bucket, path style: PUT, GET, HEAD and LIST (version 2) as far as the benchmarks ask. `GET /-/counts`
tells how many requests of each kind there were, `POST /-/reset` begins anew.
"""

import asyncio
import bisect
import hashlib
import json
import sys
import time
from email.utils import formatdate
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

import uvloop


class Bucket:
    """Objects by key, with the keys in order."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.objects: dict[str, tuple[bytes, float, str]] = {}
        self.counts: dict[str, int] = {}

    def put(self, key: str, data: bytes) -> str:
        if key not in self.objects:
            bisect.insort(self.keys, key)
        etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        self.objects[key] = data, time.time(), etag
        return etag

    def list(self, query: dict[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after, limit = (
            query.get("continuation-token") or query.get("start-after", ""),
            int(query.get("max-keys", 1000)),
        )
        found: list[str] = []
        last, folder = "", ""
        index = max(bisect.bisect_right(self.keys, after), bisect.bisect_left(self.keys, prefix))
        while index < len(self.keys) and len(found) < limit and self.keys[index].startswith(prefix):
            key = self.keys[index]
            head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            index += 1
            if cut:
                folder, last = f"{prefix}{head}{cut}", key
                if folder > after:
                    found.append(f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>")
                while index < len(self.keys) and self.keys[index].startswith(folder):
                    last, index = self.keys[index], index + 1
                continue
            data, modified, etag = self.objects[key]
            when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(modified))
            last = key
            found.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>{when}</LastModified>"
                f"<ETag>{escape(etag)}</ETag><Size>{len(data)}</Size></Contents>"
            )
        more = index < len(self.keys) and self.keys[index].startswith(prefix) and bool(found)
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if more else ""
        return (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<KeyCount>{len(found)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(found)}"
            "</ListBucketResult>"
        ).encode()


BUCKET = Bucket()


class Connection(asyncio.Protocol):
    """Parses what HTTP clients send, one request after another."""

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
            headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
            start = end + 4
            if "100-continue" in headers.get("expect", ""):
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # type: ignore[attr-defined]
            size = int(headers.get("content-length", 0))
            if len(self.buffer) < start + size:
                return
            body, self.buffer = self.buffer[start : start + size], self.buffer[start + size :]
            method, target, _ = head.split(" ")
            self.answer(method, target, headers, body)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        path, _, query = target.partition("?")
        _, bucket, key = (unquote(path) + "/").split("/", 2)
        key = key.rstrip("/")
        if bucket == "-":
            if key == "reset":
                BUCKET.counts.clear()
            self.reply(200, json.dumps(BUCKET.counts).encode())
            return
        kind = "LIST" if method == "GET" and not key else method
        BUCKET.counts[kind] = BUCKET.counts.get(kind, 0) + 1
        if kind == "LIST":
            self.reply(
                200, BUCKET.list(dict(parse_qsl(query, keep_blank_values=True))), kind="application/xml"
            )
        elif kind == "PUT":
            if headers.get("content-encoding") == "aws-chunked":
                body = unchunked(body)
            if headers.get("if-none-match") == "*" and key in BUCKET.objects:
                self.reply(412, error("PreconditionFailed"), kind="application/xml")
            else:
                self.reply(200, b"", etag=BUCKET.put(key, body))
        elif not key:
            self.reply(200, b"")
        elif key not in BUCKET.objects:
            self.reply(404, b"" if method == "HEAD" else error("NoSuchKey"), kind="application/xml")
        else:
            data, modified, etag = BUCKET.objects[key]
            self.reply(200, data, etag=etag, modified=modified, without_body=method == "HEAD")

    def reply(
        self,
        status: int,
        body: bytes,
        *,
        kind: str = "application/octet-stream",
        etag: str | None = None,
        modified: float | None = None,
        without_body: bool = False,
    ) -> None:
        head = (
            f"HTTP/1.1 {status} X\r\nx-amz-request-id: 1\r\nDate: {formatdate(usegmt=True)}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        )
        head += f"ETag: {etag}\r\n" if etag else ""
        head += f"Last-Modified: {formatdate(modified, usegmt=True)}\r\n" if modified else ""
        self.transport.write(f"{head}\r\n".encode() + (b"" if without_body else body))  # type: ignore[attr-defined]


def unchunked(body: bytes) -> bytes:
    """Return what a body of AWS's chunks carries."""
    data = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if not length:
            break
        data, body = data + body[:length], body[length + 2 :]
    return data


def error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
