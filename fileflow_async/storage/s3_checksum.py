"""The CRC32 that S3 checks data by."""

import zlib
from asyncio import to_thread
from base64 import b64encode

_INLINE = 256 * 1024  # bytes: 0.1 ms, as long as a hop to a thread takes


async def crc32(data: bytes | bytearray) -> str:
    """Return the checksum as S3 writes it."""
    return as_text(await update(data))


async def update(data: bytes | bytearray, value: int = 0) -> int:
    """Return the checksum of what `value` is that of, with `data` behind it; much data goes to a thread."""
    return zlib.crc32(data, value) if len(data) <= _INLINE else await to_thread(zlib.crc32, data, value)


def as_text(value: int) -> str:
    """Return a checksum as S3 writes it."""
    return b64encode(value.to_bytes(4, "big")).decode()
