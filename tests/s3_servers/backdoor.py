"""S3 by bare HTTP: what tests use to look behind a storage's back."""

import asyncio
import http.client
from collections.abc import Sequence
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

_XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"

_ANYBODY = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=anybody/20261120/us-east-1/s3/aws4_request, Signature=0"
}


class Backdoor:
    """One bucket of a server that does not check signatures."""

    def __init__(self, port: int, bucket: str) -> None:
        self.port = port
        self.bucket = bucket

    async def make(self) -> None:
        """Make the bucket."""
        await self._ask("PUT", "")

    async def put(self, key: str, data: bytes) -> None:
        """Store an object."""
        await self._ask("PUT", key, body=data)

    async def get(self, key: str) -> bytes | None:
        """Return an object, or None."""
        return await self._ask("GET", key)

    async def delete(self, key: str) -> None:
        """Remove an object."""
        await self._ask("DELETE", key)

    async def keys(self) -> Sequence[str]:
        """Return the keys of all objects."""
        found: list[str] = []
        after = ""
        while True:
            page = await self._xml({"list-type": "2", "start-after": after} if after else {"list-type": "2"})
            keys = [each.text or "" for each in page.iter(f"{_XML}Key")]
            found += keys
            if page.findtext(f"{_XML}IsTruncated") != "true":
                return found
            after = keys[-1]

    async def uploads(self) -> Sequence[str]:
        """Return the keys of all open multipart uploads."""
        page = await self._xml({"uploads": ""})
        return [each.text or "" for each in page.iter(f"{_XML}Key")]

    async def _xml(self, query: dict[str, str]) -> ET.Element:
        return ET.fromstring(await self._ask("GET", "", query=query) or b"")  # noqa: S314 - our own server

    async def _ask(
        self, method: str, key: str, *, body: bytes | None = None, query: dict[str, str] | None = None
    ) -> bytes | None:
        path = f"/{self.bucket}/{quote(key)}" + (f"?{urlencode(query)}" if query else "")
        status, data = 500, b""
        for _ in range(3):
            if status == 500:  # moto stumbles when an object goes while it is being read
                status, data = await asyncio.to_thread(self._ask_now, method, path, body)
        assert status < 300 or status == 404, (method, path, status, data[:200])
        return None if status == 404 else data

    def _ask_now(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, _ANYBODY)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
