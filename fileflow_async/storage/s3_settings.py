"""What an S3 connection says."""

from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import urlsplit

from fileflow_async.errors import ConfigError, quoted

AddressingStyle = Literal["auto", "path", "virtual"]
Encryption = Literal["AES256", "aws:kms"]
Checksums = Literal["auto", "when_required", "crc32"]


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """How to reach S3 and as whom; with nothing given, AWS's own default chain finds it out.

    Two storages with equal settings share one client. Secrets are not shown.

    Args:
        endpoint_url: Another server than AWS: `http://minio:9000`.
        region: The bucket's region.
        access_key_id: With `secret_access_key` and perhaps `session_token` the credentials; without, the
            default chain finds some.
        secret_access_key: See `access_key_id`.
        session_token: See `access_key_id`.
        role_arn: A role to assume by these credentials, again before each session of it expires.
        external_id: What the role's owner asks for.
        role_session_name: What the role's owner sees in the log.
        addressing_style: Where the bucket goes: `path` for most servers that are not AWS.
        verify: A file of certificates to trust, or False for any; None for `AWS_CA_BUNDLE`, or the usual.
        sse: How the store encrypts what is written; None for the bucket's own choice.
        kms_key_id: The key for `aws:kms`; None for the account's own.
        checksums: `auto` sends a CRC32 with all data unless the server refuses it, `crc32` always,
            `when_required` only where S3 insists.
        expected_bucket_owner: The account that must own the bucket, or every request is refused.
        max_connections: Requests at once.
        connect_timeout: Seconds.
        read_timeout: Seconds of silence; a request as a whole gets as many, and more for its bytes.
        conn_id: The Airflow connection that says all this; only for messages.
    """

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    role_arn: str | None = None
    external_id: str | None = field(default=None, repr=False)
    role_session_name: str = "fileflow"
    addressing_style: AddressingStyle = "auto"
    verify: bool | str | None = None
    sse: Encryption | None = None
    kms_key_id: str | None = None
    checksums: Checksums = "auto"
    expected_bucket_owner: str | None = None
    max_connections: int = 32
    connect_timeout: float = 5.0
    read_timeout: float = 20.0
    conn_id: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_numbers()
        _check_endpoint(self.endpoint_url)
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ConfigError("S3 needs access_key_id and secret_access_key together, or neither")
        if self.session_token and not self.access_key_id:
            raise ConfigError("an S3 session_token needs its access_key_id and secret_access_key")
        if self.kms_key_id and self.sse != "aws:kms":
            raise ConfigError(f"kms_key_id needs sse 'aws:kms', got {quoted(self.sse)}")

    def _check_choices(self) -> None:
        for name, allowed in (
            ("addressing_style", get_args(AddressingStyle)),
            ("sse", (None, *get_args(Encryption))),
            ("checksums", get_args(Checksums)),
        ):
            if (value := getattr(self, name)) not in allowed:
                expected = ", ".join(repr(each) for each in allowed if each)
                raise ConfigError(f"{name} must be one of {expected}, got {quoted(value)}")

    def _check_numbers(self) -> None:
        if type(self.max_connections) is not int or self.max_connections < 1:
            raise ConfigError(f"max_connections must be at least 1, got {quoted(self.max_connections)}")
        for name in ("connect_timeout", "read_timeout"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise ConfigError(f"{name} must be a positive number of seconds, got {quoted(value)}")


def _check_endpoint(url: str | None) -> None:
    if url is None:
        return
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise ConfigError("endpoint_url is not a valid URL; expected http://host:port") from None
    if parts.username is not None or parts.password is not None or parts.query:
        raise ConfigError(
            "credentials in endpoint_url are not accepted; put them into the connection's own fields"
        )
    if not whole or parts.fragment:
        raise ConfigError(f"endpoint_url {quoted(url)} is not a valid URL; expected http://host:port")
