"""Remove many objects by few requests."""

from collections.abc import Iterable, Mapping
from typing import Any

from fileflow_async.errors import FileflowError, TargetWriteError
from fileflow_async.manifest import SUFFIX
from fileflow_async.storage.crew import crew
from fileflow_async.storage.s3_errors import was_answered
from fileflow_async.storage.s3_explain import DELETE
from fileflow_async.storage.s3_place import Place
from fileflow_async.storage.s3_requests import Requests

BATCH = 1000  # S3's own limit


class NotDeletedError(TargetWriteError):
    """One object of many could not be removed, for a reason of its own."""

    def __init__(self, uri: str, refusal: Mapping[str, Any]) -> None:
        super().__init__(f"cannot delete {uri}: {refusal.get('Code')}")
        self.uri = uri
        # As botocore tells of a whole request: so that the same tables apply.
        self.response = {
            "Error": {"Code": refusal.get("Code", "")},
            "ResponseMetadata": {"HTTPStatusCode": 200},
        }
        self.operation_name = "DeleteObjects"


async def delete(requests: Requests, place: Place, keys: Iterable[str]) -> None:
    """Remove objects.

    S3 removes a batch in any order, so commit records go before everything else: a record whose data is gone
    would look damaged.
    """
    known = list(keys)
    for wave in (
        [key for key in known if key.endswith(SUFFIX)],
        [key for key in known if not key.endswith(SUFFIX)],
    ):
        for start in range(0, len(wave), BATCH):
            await _Batch(requests, place, wave[start : start + BATCH]).remove()


class _Batch:
    def __init__(self, requests: Requests, place: Place, keys: list[str]) -> None:
        self._requests = requests
        self._place = place
        self._left = {place.key(key): place.uri(key) for key in keys}

    async def remove(self) -> None:
        try:
            await self._requests.run(DELETE, self._place.root, self._together)
        except FileflowError:
            raise
        except Exception as error:
            if not was_answered(error):
                raise
            # Not every server knows how, or what botocore sends as its checksum.
            async with crew() as workers:
                for job in [workers.start(self._alone, name, uri) for name, uri in self._left.items()]:
                    await job.result()

    async def _together(self, client: Any) -> None:
        wanted = {"Objects": [{"Key": name} for name in self._left], "Quiet": True}
        answer = await self._requests.ask(client, "delete_objects", Delete=wanted)
        refused = {each["Key"]: each for each in answer.get("Errors", ()) if each.get("Code") != "NoSuchKey"}
        self._left = {name: uri for name, uri in self._left.items() if name in refused}
        for name, uri in self._left.items():
            raise NotDeletedError(uri, refused[name])

    async def _alone(self, name: str, uri: str) -> None:
        await self._requests.call(DELETE, uri, "delete_object", Key=name)
