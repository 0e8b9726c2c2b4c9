"""Find out once what a server understands."""

import logging
from itertools import product
from typing import Any

from fileflow_async.errors import FileflowError, TargetAccessError
from fileflow_async.storage.s3_checksum import crc32
from fileflow_async.storage.s3_client import Abilities
from fileflow_async.storage.s3_errors import was_answered
from fileflow_async.storage.s3_explain import WRITE, ReplacedError
from fileflow_async.storage.s3_place import PROBE, Place
from fileflow_async.storage.s3_requests import Requests
from fileflow_async.storage.s3_settings import S3Settings

log = logging.getLogger(__name__)


async def abilities(requests: Requests, place: Place) -> Abilities:
    """Return what the server of a bucket understands, which the first to ask finds out for all."""
    shared = requests.shared
    if place.bucket not in shared.abilities:
        async with shared.probing:
            if place.bucket not in shared.abilities:
                shared.abilities[place.bucket] = await _Probe(requests, place).find()
    return shared.abilities[place.bucket]


def encryption(settings: S3Settings) -> dict[str, Any]:
    """Return the parameters that encrypt an object."""
    wanted = {"ServerSideEncryption": settings.sse, "SSEKMSKeyId": settings.kms_key_id}
    return {name: value for name, value in wanted.items() if value}


async def checked(data: bytes, can: Abilities) -> dict[str, Any]:
    """Return the parameters by which the store checks the data that it gets."""
    return {"ChecksumAlgorithm": "CRC32", "ChecksumCRC32": await crc32(data)} if can.checksums else {}


def only_new(can: Abilities) -> dict[str, Any]:
    """Return the parameters of a write that replaces nothing."""
    return {"IfNoneMatch": "*"} if can.conditional else {}


class _Probe:
    """Writes one empty object, always the same, with all that a server may not know; then with less.

    Nothing that is right depends on it: a server that silently overwrites loses us the bonus that two writers
    of the same attempt are told apart by the store itself.
    """

    def __init__(self, requests: Requests, place: Place) -> None:
        self._requests = requests
        self._place = place

    async def find(self) -> Abilities:
        """Return the most that the server understands."""
        candidates = self._candidates()
        for can in candidates:
            if (found := await self._try(can)) is not None:
                self._tell(found)
                return found
        return candidates[-1]  # it refuses everything: the write itself will say why

    def _candidates(self) -> list[Abilities]:
        checksums = {"auto": (True, False), "crc32": (True,), "when_required": (False,)}
        wished = checksums[self._requests.shared.settings.checksums]
        return [Abilities(conditional, summed) for conditional, summed in product((True, False), wished)]

    async def _try(self, can: Abilities) -> Abilities | None:
        try:
            return Abilities(await self._heeds(can), can.checksums)
        except TargetAccessError:
            return can  # a policy forbids the probe; perhaps the one that demands conditional writes
        except FileflowError:
            raise
        except Exception as error:
            if not was_answered(error):
                raise
            return None  # "not implemented", "invalid argument": every server says it in its own way

    async def _heeds(self, can: Abilities) -> bool:
        for _ in range(2 if can.conditional else 1):  # the first may be the one that makes it
            try:
                await self._put(can)
            except ReplacedError:
                return True
        return False

    async def _put(self, can: Abilities) -> None:
        await self._requests.call(
            WRITE,
            self._place.uri(PROBE),
            "put_object",
            needs="ETag",
            Key=self._place.key(PROBE),
            Body=b"",
            **encryption(self._requests.shared.settings),
            **await checked(b"", can),
            **only_new(can),
        )

    def _tell(self, found: Abilities) -> None:
        if not found.conditional:
            log.info(
                "%s: its server ignores conditional writes, so nothing but names keeps writers apart",
                self._place.root,
            )
        if not found.checksums and self._requests.shared.settings.checksums == "auto":
            log.info("%s: its server refuses checksums, so none are sent", self._place.root)
