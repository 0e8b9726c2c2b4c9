"""What each failure of an S3 request means, as tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """What to do about a failure."""

    TRANSIENT = "try again"
    CONFLICT = "try again, a few times"
    EXPIRED = "get new credentials, then try again"
    DENIED = "let somebody change the permissions"
    NO_BUCKET = "let somebody make the bucket"
    ELSEWHERE = "let somebody correct the region"
    MISCONFIGURED = "let somebody correct the connection"
    ABSENT = "there is nothing"
    REPLACED = "a condition did not hold"
    OUT_OF_RANGE = "there is nothing so far behind"
    ABORTED = "somebody took the upload back"
    FULL = "there is no room"
    FOREIGN = "it was not S3 that answered; try again"
    UNKNOWN = "pass it on as it is"


PASSING = frozenset({Kind.TRANSIENT, Kind.CONFLICT, Kind.EXPIRED, Kind.FOREIGN})

# What S3 and its kin call it in the body of an error.
CODES: Mapping[str, Kind] = {
    "InternalError": Kind.TRANSIENT,
    "SlowDown": Kind.TRANSIENT,
    "SlowDownRead": Kind.TRANSIENT,  # MinIO's
    "SlowDownWrite": Kind.TRANSIENT,
    "ServiceUnavailable": Kind.TRANSIENT,
    "ServerBusy": Kind.TRANSIENT,
    "Busy": Kind.TRANSIENT,
    "Throttling": Kind.TRANSIENT,  # STS says it so
    "ThrottlingException": Kind.TRANSIENT,
    "TooManyRequests": Kind.TRANSIENT,
    "BandwidthLimitExceeded": Kind.TRANSIENT,
    "RequestLimitExceeded": Kind.TRANSIENT,
    "RequestTimeout": Kind.TRANSIENT,
    "RequestTimeoutException": Kind.TRANSIENT,
    "IDPCommunicationError": Kind.TRANSIENT,
    # The bytes were damaged on their way; the store noticed.
    "BadDigest": Kind.TRANSIENT,
    "IncompleteBody": Kind.TRANSIENT,
    "InvalidDigest": Kind.TRANSIENT,
    "InvalidPart": Kind.TRANSIENT,  # the list of parts, which is all that we say of them, was damaged
    "InvalidPartOrder": Kind.TRANSIENT,
    "MalformedXML": Kind.TRANSIENT,
    "XAmzContentSHA256Mismatch": Kind.TRANSIENT,
    "XAmzContentChecksumMismatch": Kind.TRANSIENT,
    "OperationAborted": Kind.CONFLICT,
    "ConditionalRequestConflict": Kind.CONFLICT,
    "ExpiredToken": Kind.EXPIRED,
    "ExpiredTokenException": Kind.EXPIRED,
    "InvalidToken": Kind.EXPIRED,
    "TokenRefreshRequired": Kind.EXPIRED,
    "AccessDenied": Kind.DENIED,
    "AccessDeniedException": Kind.DENIED,
    "AccountProblem": Kind.DENIED,
    "AllAccessDisabled": Kind.DENIED,
    "InvalidAccessKeyId": Kind.DENIED,
    "InvalidClientTokenId": Kind.DENIED,
    "InvalidObjectState": Kind.DENIED,  # archived: somebody must restore it
    "NotSignedUp": Kind.DENIED,
    "SignatureDoesNotMatch": Kind.DENIED,
    "UnauthorizedAccess": Kind.DENIED,
    "NoSuchBucket": Kind.NO_BUCKET,
    "PermanentRedirect": Kind.ELSEWHERE,
    "TemporaryRedirect": Kind.TRANSIENT,
    "AuthorizationHeaderMalformed": Kind.ELSEWHERE,
    "IllegalLocationConstraintException": Kind.ELSEWHERE,
    "InvalidBucketName": Kind.MISCONFIGURED,
    "RequestTimeTooSkewed": Kind.MISCONFIGURED,
    "NoSuchKey": Kind.ABSENT,
    "NoSuchVersion": Kind.ABSENT,
    "PreconditionFailed": Kind.REPLACED,
    "InvalidRange": Kind.OUT_OF_RANGE,
    "NoSuchUpload": Kind.ABORTED,
    "QuotaExceeded": Kind.FULL,
    "XMinioStorageFull": Kind.FULL,
    "EntityTooLarge": Kind.FULL,
}

# Answers without a body, and codes that nobody has heard of.
STATUSES: Mapping[int, Kind] = {
    301: Kind.ELSEWHERE,
    307: Kind.TRANSIENT,
    401: Kind.DENIED,
    403: Kind.DENIED,
    404: Kind.ABSENT,
    408: Kind.TRANSIENT,
    412: Kind.REPLACED,
    416: Kind.OUT_OF_RANGE,
    429: Kind.TRANSIENT,
    500: Kind.TRANSIENT,
    502: Kind.TRANSIENT,
    503: Kind.TRANSIENT,
    504: Kind.TRANSIENT,
    507: Kind.FULL,
}

# What is raised here in the place of an answer, by the name of its class or of one that it inherits from: so
# that this module does not import aiohttp and botocore, which takes a second.
EXCEPTIONS: Mapping[str, tuple[Kind, str]] = {
    "DamagedError": (Kind.TRANSIENT, "damaged on its way"),
    "ContradictionError": (Kind.TRANSIENT, "two answers that contradict each other"),
    "ResponseParserError": (Kind.FOREIGN, "not S3"),
    "ClientConnectorCertificateError": (Kind.MISCONFIGURED, "its certificate is not trusted"),
    "ClientConnectorDNSError": (Kind.TRANSIENT, "its name is not found"),
    "SSLError": (Kind.TRANSIENT, "TLS failed"),
    "EndpointConnectionError": (Kind.TRANSIENT, "cannot connect"),
    "ProxyConnectionError": (Kind.TRANSIENT, "cannot connect to the proxy"),
    "ConnectTimeoutError": (Kind.TRANSIENT, "cannot connect in time"),
    "ReadTimeoutError": (Kind.TRANSIENT, "no answer in time"),
    "ConnectionClosedError": (Kind.TRANSIENT, "connection lost"),
    "ResponseStreamingError": (Kind.TRANSIENT, "connection lost"),
    "IncompleteReadError": (Kind.TRANSIENT, "truncated"),
    "FlexibleChecksumError": (Kind.TRANSIENT, "damaged on its way"),
    "ClientPayloadError": (Kind.TRANSIENT, "truncated"),
    "ClientConnectionError": (Kind.TRANSIENT, "connection lost"),
    "ConnectionError": (Kind.TRANSIENT, "connection lost"),
    "TimeoutError": (Kind.TRANSIENT, "no answer in time"),
    "MetadataRetrievalError": (Kind.TRANSIENT, "no credentials from the machine"),
    "CredentialRetrievalError": (Kind.TRANSIENT, "no credentials from their provider"),
    "NoCredentialsError": (Kind.MISCONFIGURED, "there are no credentials"),
    "PartialCredentialsError": (Kind.MISCONFIGURED, "the credentials are not complete"),
    "ParamValidationError": (Kind.MISCONFIGURED, "botocore will not send that"),
    "ProfileNotFound": (Kind.MISCONFIGURED, "its profile does not exist"),
    "UnauthorizedSSOTokenError": (Kind.MISCONFIGURED, "its single sign-on has expired"),
}


_SILENT = ("400", "403", "404", "409")


class NotS3Error(Exception):
    """Something answered, but not S3: a captive portal, a proxy's page, half an XML document."""

    def __init__(self, content_type: str) -> None:
        super().__init__(content_type)
        self.content_type = content_type


class DamagedError(Exception):
    """Fewer or other bytes arrived than were announced."""


class ContradictionError(Exception):
    """Two answers to the same question are not alike."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure, once it is known what it means.

    Attributes:
        kind: What to do about it.
        text: What it is called: `503 SlowDown`, `connection lost`.
        code: S3's own word for it, or its HTTP status; empty where there was no answer.
        operation: The operation that failed: `AssumeRole` is not the one that was asked for.
        region: Where the bucket is, if the answer says so.
        came_as: The content type of what came in the place of an answer.
        uri: What it is about, where that is one of many.
    """

    kind: Kind
    text: str
    code: str = ""
    operation: str = ""
    region: str | None = None
    came_as: str = "broken XML"
    uri: str | None = None


def was_answered(error: Exception) -> bool:
    """Whether S3 itself refused the request."""
    return isinstance(getattr(error, "response", None), dict)


def is_silent(error: Exception) -> bool:
    """Whether S3 said no more than a status, as it does to a HEAD that it will not answer."""
    return was_answered(error) and diagnose(error).code in _SILENT


def diagnose(error: Exception) -> Fault:
    """Look an exception up in the tables; its text is never read."""
    if isinstance(error, NotS3Error):
        return Fault(Kind.FOREIGN, "not S3", came_as=error.content_type)
    if was_answered(error):
        return _answered(error)
    # botocore wraps what aiohttp raised, and keeps it as an argument; where that is known here, it says more.
    inner = type(getattr(error, "kwargs", {}).get("error"))
    for kind in (inner, *type(error).__mro__, *inner.__mro__):
        if known := EXCEPTIONS.get(kind.__name__):
            return Fault(*known)
    return Fault(Kind.UNKNOWN, type(error).__name__)


def _answered(refusal: Any) -> Fault:
    response: Mapping[str, Any] = refusal.response
    status = response["ResponseMetadata"].get("HTTPStatusCode", 0)
    error = response.get("Error", {})
    code = str(error.get("Code", ""))
    headers = response["ResponseMetadata"].get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region") or error.get("Region")
    kind = CODES.get(code) or STATUSES.get(status, Kind.UNKNOWN)
    text = str(status) if code in ("", str(status)) else f"{status} {code}"
    return Fault(kind, text, code, refusal.operation_name, region, uri=getattr(refusal, "uri", None))
