"""Compressed streams, within limits."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any, Protocol

from fileflow_async.errors import ConfigError, FormatError, quoted
from fileflow_async.formats.packages import needed

EXTENSIONS = {"gzip": "gz", "zstd": "zst"}  # compression -> extension

# What a few kilobytes may become: more is a bomb, or data that is better left uncompressed.
RATIO = 200
LARGEST = 10 * 1024**3
_STEP = 1024 * 1024  # bytes decompressed at a time, however large the piece that holds them
_GZIP = 31  # zlib's word for: the largest window, with gzip's header
_GZIP_LEVEL = 6  # gzip's own default
_ZSTD_LEVEL = 3  # zstd's own default


def check_compression(compression: str | None) -> str | None:
    """Return the compression when there is such a one.

    Raises:
        ConfigError: There is not.
    """
    if compression is not None and compression not in EXTENSIONS:
        raise ConfigError(f"unknown compression {quoted(compression)}; known: {', '.join(EXTENSIONS)}")
    return compression


class _Compressor(Protocol):
    def compress(self, data: Any, /) -> bytes: ...

    def flush(self) -> bytes: ...


class Packer:
    """Compresses what is written, and never further than a reader accepts.

    Data of nothing but zeros would be taken for a bomb: it gets some ballast, which every reader skips.

    Args:
        compression: gzip or zstd.
        give: Takes the compressed bytes.

    Raises:
        ConfigError: The package for it is not installed.
    """

    def __init__(self, compression: str, give: Callable[[bytes], object]) -> None:
        self._compressor, self._ballast = _PACKERS[compression]()
        self._give = give
        self._taken = self._given = 0

    def write(self, data: bytes) -> None:
        """Take more bytes.

        Raises:
            FormatError: They are more than a reader accepts.
        """
        self._taken += len(data)
        if self._taken > LARGEST:
            raise FormatError(
                f"there are more than {LARGEST} bytes to compress, which a reader would refuse",
                hint="Write them without compression, or in several parts.",
            )
        self._pass(self._compressor.compress(data))

    def finish(self) -> None:
        """Write what is left."""
        self._pass(self._compressor.flush())
        if (missing := -(-self._taken // RATIO) - self._given) > 0:
            self._pass(self._ballast(missing))

    def _pass(self, data: bytes) -> None:
        if data:
            self._given += len(data)
            self._give(data)


def _gzip_packer() -> tuple[_Compressor, Callable[[int], bytes]]:
    return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP), _gzip_ballast


def _gzip_ballast(size: int) -> bytes:
    """Return an empty member with a comment."""
    return b"\x1f\x8b\x08\x10\0\0\0\0\0\xff" + b"-" * size + b"\0" + b"\x03\0" + bytes(8)


def _zstd_packer() -> tuple[_Compressor, Callable[[int], bytes]]:
    return _zstd().ZstdCompressor(_ZSTD_LEVEL), _zstd_ballast


def _zstd_ballast(size: int) -> bytes:
    """Return a frame of the kind that is skipped."""
    return b"\x50\x2a\x4d\x18" + size.to_bytes(4, "little") + bytes(size)


_PACKERS = {"gzip": _gzip_packer, "zstd": _zstd_packer}


def _zstd() -> Any:
    """Return the module that Python has from 3.14 on, or its backport: the same code, and the same names."""
    try:
        return import_module("compression.zstd")
    except ImportError:
        with needed("zstd"):
            return import_module("backports.zstd")


class _Unpacker:
    """Decompresses one member or frame after another."""

    def __init__(self, make: Callable[[], Any], padding: bytes) -> None:
        self._make = make
        self._padding = padding
        self._codec = make()
        self._rest = b""

    @property
    def has_ended(self) -> bool:
        return bool(self._codec.eof)

    def take(self, piece: bytes) -> bytes:
        """Return a step of what is decompressed; nothing when it takes another piece to go on."""
        self._rest += piece
        while True:
            if self._codec.eof:
                self._rest = self._rest.lstrip(self._padding)
                if not self._rest:
                    return b""
                self._codec = self._make()
            data: bytes = self._codec.decompress(self._rest, _STEP)
            # zlib leaves what does not fit into a step, zstd keeps it to itself; both leave what is behind
            # the end.
            self._rest = getattr(self._codec, "unconsumed_tail", b"") or self._codec.unused_data
            if data or not self._rest:
                return data


def _gzip_unpacker() -> tuple[_Unpacker, type[Exception]]:
    return _Unpacker(lambda: zlib.decompressobj(_GZIP), padding=b"\0"), zlib.error


def _zstd_unpacker() -> tuple[_Unpacker, type[Exception]]:
    zstd = _zstd()
    return _Unpacker(zstd.ZstdDecompressor, padding=b""), zstd.ZstdError


_UNPACKERS = {"gzip": _gzip_unpacker, "zstd": _zstd_unpacker}


def unpacked(
    pieces: Iterable[bytes],
    compression: str,
    *,
    name: str,
    size: int | None = None,
    max_decoded: int | None = None,
) -> Iterator[bytes]:
    """Decompress a stream, a megabyte at a time.

    Args:
        pieces: The compressed bytes.
        compression: gzip or zstd.
        name: What messages call them.
        size: How many they are, where that is known; else those that have arrived count.
        max_decoded: How many bytes they may become; by default 200 times as many, and never more than 10 GiB.

    Raises:
        FormatError: They are damaged, cut short, or become too many.
        ConfigError: The package for it is not installed.
    """
    unpacker, damage = _UNPACKERS[compression]()
    arrived = decoded = 0
    for piece in pieces:
        arrived += len(piece)
        limit = min(LARGEST, RATIO * (size or arrived)) if max_decoded is None else max_decoded
        try:
            while data := unpacker.take(piece):
                decoded += len(data)
                if decoded > limit:
                    raise _bomb(name, limit)
                yield data
                piece = b""
        except damage as error:
            raise FormatError(f"{name!r} is not valid {compression}: {error}") from error
    if not unpacker.has_ended:
        raise FormatError(f"{name!r} is not valid {compression}: it is cut short")


def _bomb(name: str, limit: int) -> FormatError:
    return FormatError(
        f"{name!r} becomes more than {limit} bytes when it is decompressed; at most {RATIO} times its size "
        f"and {LARGEST} bytes are accepted",
        hint="If you trust whoever wrote it, read it with a higher max_decoded=.",
    )
