"""A small S3 server in memory that is fast enough not to be what is measured; it counts its requests.

    .venv/bin/python bench/s3_stub.py PORT

One bucket, path style: PUT, GET (of ranges too), HEAD, DELETE, LIST (version 2) and uploads in parts, as far
as the benchmarks ask. `GET /-/counts` tells how many requests of each kind there were, `POST /-/reset` begins
anew, `POST /-/empty` forgets all objects.

An ETag is no digest of the bytes: to make one would cost more than all the rest.
"""

import asyncio
import bisect
import itertools
import json
import re
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
        self.parts: dict[str, dict[int, bytes]] = {}  # by upload
        self.numbers = itertools.count(1)

    def put(self, key: str, data: bytes) -> str:
        if key not in self.objects:
            bisect.insort(self.keys, key)
        etag = self.etag()
        self.objects[key] = data, time.time(), etag
        return etag

    def etag(self) -> str:
        return f'"{next(self.numbers):032x}"'

    def delete(self, key: str) -> None:
        if self.objects.pop(key, None) is not None:
            del self.keys[bisect.bisect_left(self.keys, key)]

    def begin(self) -> str:
        upload = f"upload-{next(self.numbers)}"
        self.parts[upload] = {}
        return upload

    def complete(self, key: str, upload: str) -> str:
        parts = self.parts.pop(upload)
        return self.put(key, b"".join(parts[number] for number in sorted(parts)))

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
XML = "application/xml"


class Connection(asyncio.Protocol):
    """Parses what HTTP clients send, one request after another."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.needed = 0  # bytes until the request is whole, as far as is known

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= self.needed and (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head, *lines = self.buffer[:end].decode("latin-1").split("\r\n")
            headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
            start = end + 4
            size = int(headers.get("content-length", 0))
            if "100-continue" in headers.get("expect", "") and not self.needed:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # type: ignore[attr-defined]
            self.needed = start + size
            if len(self.buffer) < self.needed:
                return
            body = bytes(memoryview(self.buffer)[start : self.needed])
            self.buffer, self.needed = self.buffer[self.needed :], 0
            method, target, _ = head.split(" ")
            self.answer(method, target, headers, body)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        path, _, text = target.partition("?")
        _, bucket, key = (unquote(path) + "/").split("/", 2)
        key, query = key.rstrip("/"), dict(parse_qsl(text, keep_blank_values=True))
        if bucket == "-":
            return self.administer(key)
        kind = "LIST" if method == "GET" and not key else method
        BUCKET.counts[kind] = BUCKET.counts.get(kind, 0) + 1
        if headers.get("content-encoding") == "aws-chunked":
            body = unchunked(body)
        if kind == "LIST" and "location" in query:
            return self.reply(200, b"<LocationConstraint/>", kind=XML)
        if kind == "LIST":
            return self.reply(200, BUCKET.list(query), kind=XML)
        if kind == "POST":
            return self.post(key, query)
        if kind == "PUT":
            return self.put(key, query, headers, body)
        if kind == "DELETE":
            BUCKET.delete(key)
            return self.reply(204, b"")
        if not key:
            return self.reply(200, b"")
        if key not in BUCKET.objects:
            return self.reply(404, b"" if method == "HEAD" else error("NoSuchKey"), kind=XML)
        return self.get(key, headers, without_body=method == "HEAD")

    def administer(self, word: str) -> None:
        if word == "reset":
            BUCKET.counts.clear()
        if word == "empty":
            BUCKET.objects.clear()
            BUCKET.keys.clear()
            BUCKET.parts.clear()
        self.reply(200, json.dumps(BUCKET.counts).encode())

    def put(self, key: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> None:
        if not key:
            self.reply(200, b"")
        elif "uploadId" in query:
            BUCKET.parts[query["uploadId"]][int(query["partNumber"])] = body
            self.reply(200, b"", etag=BUCKET.etag())
        elif headers.get("if-none-match") == "*" and key in BUCKET.objects:
            self.reply(412, error("PreconditionFailed"), kind=XML)
        else:
            self.reply(200, b"", etag=BUCKET.put(key, body))

    def post(self, key: str, query: dict[str, str]) -> None:
        if "uploads" in query:
            kind, told = "Initiate", f"<UploadId>{BUCKET.begin()}</UploadId>"
        else:
            kind, told = "Complete", f"<ETag>{escape(BUCKET.complete(key, query['uploadId']))}</ETag>"
        self.reply(
            200, f"<{kind}MultipartUploadResult>{told}</{kind}MultipartUploadResult>".encode(), kind=XML
        )

    def get(self, key: str, headers: dict[str, str], *, without_body: bool) -> None:
        data, modified, etag = BUCKET.objects[key]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        if wanted is None or without_body:
            return self.reply(200, data, etag=etag, modified=modified, without_body=without_body)
        first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        if first > last:
            return self.reply(416, error("InvalidRange"), kind=XML)
        piece = memoryview(data)[first : last + 1]
        return self.reply(206, piece, etag=etag, modified=modified, range=f"{first}-{last}/{len(data)}")

    def reply(
        self,
        status: int,
        body: bytes | memoryview,
        *,
        kind: str = "application/octet-stream",
        etag: str | None = None,
        modified: float | None = None,
        range: str | None = None,
        without_body: bool = False,
    ) -> None:
        head = (
            f"HTTP/1.1 {status} X\r\nx-amz-request-id: 1\r\nDate: {formatdate(usegmt=True)}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        )
        head += f"ETag: {etag}\r\n" if etag else ""
        head += f"Last-Modified: {formatdate(modified, usegmt=True)}\r\n" if modified else ""
        head += f"Content-Range: bytes {range}\r\n" if range else ""
        self.transport.writelines([f"{head}\r\n".encode(), b"" if without_body else body])  # type: ignore[attr-defined]


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
