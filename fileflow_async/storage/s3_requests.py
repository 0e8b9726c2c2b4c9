"""Send requests to S3 until they are answered, refused or out of time."""

import io
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from fileflow_async.clock import Clock
from fileflow_async.storage.retry import Budget, Trial
from fileflow_async.storage.s3_client import SharedClient
from fileflow_async.storage.s3_errors import PASSING, Fault, Kind, NotS3Error, diagnose
from fileflow_async.storage.s3_explain import Action, Failure
from fileflow_async.storage.s3_reply import content_type, headers_of

T = TypeVar("T")

SLOWEST = 256 * 1024  # bytes a second: a request that moves data slower is given up and tried again
GRACE = 300.0  # seconds in which whoever gives out credentials may replace expired ones
_CONFLICTS = 6
_INLINE = 1024 * 1024  # aiohttp sends more than this in one go only under protest


class _Body(io.BytesIO):
    """Bytes that aiohttp sends in small pieces, without a copy of them all.

    It asks a BytesIO for its buffer to know how long it is, and with that each would get bytes of its own.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = data

    def getbuffer(self) -> memoryview:
        return memoryview(self._data)


class Requests:
    """The requests to one bucket: each capped, tried again, and explained when it fails.

    Args:
        bucket: Its name.
        shared: Whose client to use.
        clock: What pauses and deadlines go by.
        budget: How long a fault that may pass is waited out.
    """

    def __init__(self, bucket: str, shared: SharedClient, *, clock: Clock, budget: Budget) -> None:
        self.bucket = bucket
        self.shared = shared
        self.clock = clock
        self.budget = budget
        self._expired_since: float | None = None

    def with_budget(self, budget: Budget) -> "Requests":
        """Return the same with another patience."""
        return Requests(self.bucket, self.shared, clock=self.clock, budget=budget)

    async def call(
        self,
        action: Action,
        uri: str,
        operation: str,
        *,
        size: int = 0,
        needs: str | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Call an operation of the client and return its answer.

        Args:
            action: What it does, for messages.
            uri: Where it does it, for messages.
            operation: The client's method.
            size: The bytes that it moves; they have their time on top.
            needs: What S3 always answers; without it, something else answered.
            parameters: Those of the operation; bucket and owner are added.
        """

        async def once(client: Any) -> dict[str, Any]:
            return await self.ask(client, operation, needs=needs, **parameters)

        return await self.run(action, uri, once, size=size)

    async def ask(
        self, client: Any, operation: str, *, needs: str | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """Call an operation once; see `call`."""
        parameters["Bucket"] = self.bucket
        if owner := self.shared.settings.expected_bucket_owner:
            parameters["ExpectedBucketOwner"] = owner
        if len(body := parameters.get("Body", b"")) > _INLINE:
            parameters["Body"] = _Body(body)
        answer: dict[str, Any] = await getattr(client, operation)(**parameters)
        if needs and not answer.get(needs):
            raise NotS3Error(content_type(headers_of(answer)))
        return answer

    async def run(self, action: Action, uri: str, work: Callable[[Any], Awaitable[T]], *, size: int = 0) -> T:
        """Do some work with the client, again and again while what fails may pass.

        Raises:
            StorageUnavailableError: It did not pass; the message has the count and the last fault.
            FileflowError: What the tables say about the fault.
            Exception: The fault is in none of the tables; botocore's own exception, as it is.
        """
        trial = Trial(self.budget, self.clock)
        while True:
            client = None
            try:
                async with self.shared.borrowed() as client, self.clock.timeout(self._cap(size)):
                    result = await work(client)
            except Exception as error:
                fault = diagnose(error)
                if fault.kind is Kind.UNKNOWN:
                    raise
            else:
                self._expired_since = None
                return result
            # Not within the `except`: botocore's exceptions have secrets in them, and must not hang on ours.
            if not await self._overcome(fault, trial, client):
                raise self._failure(fault, client, action=action, uri=uri, trial=trial).error()

    def _cap(self, size: int) -> float:
        return self.shared.settings.read_timeout + size / SLOWEST

    async def _overcome(self, fault: Fault, trial: Trial, client: Any) -> bool:
        """Do what may help, and pause; return False when the fault is for good, or time is up."""
        trial.failures += 1
        if fault.kind is Kind.EXPIRED:
            if self._is_out_of_grace():
                return False
            await self.shared.renew(client)
        return fault.kind in PASSING and await trial.pause(
            at_most=_CONFLICTS if fault.kind is Kind.CONFLICT else None
        )

    def _is_out_of_grace(self) -> bool:
        now = self.clock.monotonic()
        if self._expired_since is None:
            self._expired_since = now
        return now - self._expired_since > GRACE

    def _failure(self, fault: Fault, client: Any, *, action: Action, uri: str, trial: Trial) -> Failure:
        if fault.kind is Kind.EXPIRED and not self._is_out_of_grace():
            fault = replace(fault, kind=Kind.TRANSIENT)  # it is this call that gives up, not yet everybody
        meta = client.meta if client else None
        return Failure(
            fault=fault,
            action=action,
            uri=fault.uri or uri,
            bucket=self.bucket,
            endpoint=meta.endpoint_url if meta else "",
            region=(meta.region_name if meta else "").replace("aws-global", "us-east-1"),
            settings=self.shared.settings,
            attempts=trial.failures,
            seconds=trial.seconds,
        )
