"""Say in our own words why a request to S3 failed for good."""

from dataclasses import dataclass

from fileflow_async.errors import (
    ConfigError,
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetNotFoundError,
    TargetSupersededError,
    TargetWriteError,
)
from fileflow_async.storage.s3_errors import Fault, Kind
from fileflow_async.storage.s3_settings import S3Settings


@dataclass(frozen=True, slots=True)
class Action:
    """What is being done, and the permission that it takes."""

    verb: str
    permission: str


READ = Action("read", "s3:GetObject")
WRITE = Action("write", "s3:PutObject")
LIST = Action("list", "s3:ListBucket")
DELETE = Action("delete", "s3:DeleteObject")
ABORT = Action("abort uploads to", "s3:AbortMultipartUpload")
UPLOADS = Action("list the uploads below", "s3:ListBucketMultipartUploads")


class ReplacedError(TargetSupersededError):
    """A condition of the request did not hold."""


class AbortedError(TargetWriteError):
    """The multipart upload is no more."""


class OutOfRangeError(FileflowError):
    """The object ends before the range begins."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that failed for good, or too often.

    No message has anything of botocore's own: there are URLs, signatures and key ids in its exceptions.

    Args:
        fault: What went wrong the last time.
        action: What was being done.
        uri: Where.
        bucket: The bucket's name.
        endpoint: The server's address.
        region: The region that the request was sent to.
        settings: Those of the connection.
        attempts: How often it was tried.
        seconds: For how long.
    """

    fault: Fault
    action: Action
    uri: str
    bucket: str
    endpoint: str
    region: str
    settings: S3Settings
    attempts: int
    seconds: float

    def error(self) -> FileflowError:
        """Return what to raise."""
        match self.fault.kind:
            case Kind.DENIED:
                return self._denied()
            case Kind.EXPIRED:
                return self._expired()
            case Kind.NO_BUCKET:
                return TargetAccessError(f"bucket {self.bucket!r} does not exist{self._connection}")
            case Kind.ELSEWHERE:
                return self._elsewhere()
            case Kind.MISCONFIGURED:
                return ConfigError(
                    f"cannot {self.action.verb} {self.uri}: {self.fault.text}{self._connection}"
                )
            case Kind.ABSENT:
                return TargetNotFoundError(f"{self.uri!r} does not exist")
            case Kind.REPLACED:
                return ReplacedError(f"{self.uri!r} was replaced while it was read")
            case Kind.OUT_OF_RANGE:
                return OutOfRangeError(f"{self.uri!r} ends before that")
            case Kind.ABORTED:
                return AbortedError(
                    f"the upload to {self.uri!r} was taken back by somebody; nothing was published"
                )
            case Kind.FULL:
                return TargetWriteError(f"no room for {self.uri!r}: {self.fault.text}; nothing was published")
            case Kind.FOREIGN:
                return self._foreign()
        return StorageUnavailableError(f"cannot {self.action.verb} {self.uri}; {self._count}")

    @property
    def _connection(self) -> str:
        return f" (connection {self.settings.conn_id!r})" if self.settings.conn_id else ""

    @property
    def _count(self) -> str:
        attempts = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        return f"last error: {self.fault.text}, {attempts} in {self.seconds:.0f} s"

    def _denied(self) -> FileflowError:
        if self.fault.operation == "AssumeRole":
            return TargetAccessError(
                f"access denied to assume {self.settings.role_arn}; needs sts:AssumeRole"
            )
        denied = f"access denied to {self.action.verb} {self.uri}"
        if self.fault.code in ("AccessDenied", "403"):
            return TargetAccessError(f"{denied}; needs {self.action.permission}")
        return TargetAccessError(f"{denied}: {self.fault.text}{self._connection}")

    def _expired(self) -> FileflowError:
        return TargetAccessError(
            f"cannot {self.action.verb} {self.uri}: "
            f"the credentials have expired{self._connection}; {self._count}",
            hint="They were asked for again for five minutes, and no newer ones came.",
        )

    def _elsewhere(self) -> FileflowError:
        if self.fault.region:
            where = f"in {self.fault.region}, connection says {self.region}"
        else:
            where = f"not in {self.region}, as the connection says"
        return ConfigError(f"bucket {self.bucket!r} is {where}")

    def _foreign(self) -> FileflowError:
        return StorageUnavailableError(
            f"{self.endpoint} did not answer as S3 ({self.fault.came_as}); is a proxy in between?",
            hint=f"While it tried to {self.action.verb} {self.uri}; {self._count}.",
        )
