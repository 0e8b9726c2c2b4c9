"""What an Airflow connection of type `aws` says about S3."""

import json
import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from fileflow_async.errors import ConfigError
from fileflow_async.hooks.connection import ConnectionDetails
from fileflow_async.storage.s3_settings import S3Settings

_TRUTH = {"true": True, "false": False}
_ENDPOINT = re.compile(r"https?://[^@?#\s]+")
# They say who we are: left out, we would silently be somebody else.
_REFUSED = ("profile_name", "session_kwargs", "s3_config_file")

log = logging.getLogger(__name__)


def settings_of(details: ConnectionDetails) -> S3Settings:
    """Return what a connection of type `aws` says about S3, in the words of Airflow's Amazon provider.

    Understood are the login with the password, and in the extra `aws_access_key_id`, `aws_secret_access_key`,
    `aws_session_token`, `region_name`, `endpoint_url`, `verify`, `role_arn`, `external_id`,
    `assume_role_kwargs`, `config_kwargs` (addressing style, timeouts, connections, checksums), `extra_args`
    (encryption), `service_config` for `s3`; beyond that `sse_kms_key_id` and `expected_bucket_owner`.

    Raises:
        ConfigError: It is of another type or contradicts itself. The message never holds a secret.
    """
    details.require("aws", "S3")
    extra = _Extra(details.conn_id, details.extra)
    for key in _REFUSED:
        if extra.take(key):
            raise extra.error(f"{key} is not supported")
    settings = {
        **_identity(details, extra),
        **_role(extra),
        **_encryption(extra),
        **_endpoint(extra),
        **_client(extra),
        "expected_bucket_owner": extra.text("expected_bucket_owner"),
        "conn_id": details.conn_id,
    }
    _warn_once(details.conn_id, (*extra.unread(), *(("host",) if details.host else ())))
    try:
        return S3Settings(**{name: value for name, value in settings.items() if value is not None})
    except ConfigError as error:
        raise extra.error(str(error)) from None


def bucket_of(details: ConnectionDetails) -> str | None:
    """Return the bucket that the connection names for itself, if it does."""
    return _Extra(details.conn_id, details.extra).object("service_config").object("s3").text("bucket_name")


class _Extra:
    """The extra of a connection, or an object in it, which knows what of it nobody asked for.

    Values may be JSON, or texts as in the URI of a connection.
    """

    def __init__(self, conn_id: str, values: Mapping[str, Any], path: str = "") -> None:
        self._conn_id = conn_id
        self._values = values
        self._path = path
        self._read: set[str] = set()
        self._objects: list[_Extra] = []

    def error(self, what: str) -> ConfigError:
        return ConfigError(f"connection {self._conn_id!r}: {what}")

    def wrong(self, key: str, expected: str) -> ConfigError:
        return self.error(f"{self._path}{key} must be {expected}")

    def take(self, key: str) -> Any:
        self._read.add(key)
        return self._values.get(key)

    def text(self, key: str) -> str | None:
        value = self.take(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, "a text")
        return value.strip() or None if value else None

    def choice(self, key: str, *choices: str) -> str | None:
        value = self.text(key)
        if value is not None and value not in choices:
            raise self.wrong(key, " or ".join(repr(each) for each in choices))
        return value

    def number(self, key: str) -> float | None:
        value = self.take(key)
        if value in (None, ""):
            return None
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise self.wrong(key, "a number") from None
        return int(number) if number.is_integer() else number

    def flag_or_text(self, key: str) -> bool | str | None:
        value = self.take(key)
        if isinstance(value, bool):
            return value
        text = self.text(key)
        return _TRUTH.get(text.lower(), text) if text else None

    def object(self, key: str) -> "_Extra":
        value = self.take(key)
        if isinstance(value, str) and value:
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                raise self.wrong(key, "a JSON object") from None
        if not isinstance(value or {}, dict):
            raise self.wrong(key, "a JSON object")
        inner = _Extra(self._conn_id, value or {}, f"{self._path}{key}.")
        self._objects.append(inner)
        return inner

    def unread(self) -> list[str]:
        mine = [key for key, value in self._values.items() if value and key not in self._read]
        return [self._path + key for key in mine] + [name for each in self._objects for name in each.unread()]

    def ignore_all_but(self, key: str) -> None:
        self._read.update(other for other in self._values if other != key)


def _agreed(extra: _Extra, values: Mapping[str, str | None]) -> str | None:
    """Return what all say that say anything; the names of the places are for the error."""
    said = {name: value for name, value in values.items() if value}
    if len(set(said.values())) > 1:
        raise extra.error(f"{' and '.join(said)} contradict each other")
    return next(iter(said.values()), None)


def _identity(details: ConnectionDetails, extra: _Extra) -> dict[str, Any]:
    key_id, secret = extra.text("aws_access_key_id"), extra.text("aws_secret_access_key")
    if bool(details.login) != bool(details.password):
        raise extra.error("login and password must be given together, or neither")
    return {
        "access_key_id": _agreed(extra, {"login": details.login, "aws_access_key_id": key_id}),
        "secret_access_key": _agreed(extra, {"password": details.password, "aws_secret_access_key": secret}),
        "session_token": extra.text("aws_session_token"),
    }


def _role(extra: _Extra) -> dict[str, Any]:
    role, more = extra.text("role_arn"), extra.object("assume_role_kwargs")
    extra.choice("assume_role_method", "assume_role")
    inner = more.text("ExternalId")
    external_id = _agreed(
        extra, {"external_id": extra.text("external_id"), "assume_role_kwargs.ExternalId": inner}
    )
    if external_id and not role:
        raise extra.error("there is an external_id, but no role_arn that asks for it")
    return {"role_arn": role, "external_id": external_id, "role_session_name": more.text("RoleSessionName")}


def _encryption(extra: _Extra) -> dict[str, Any]:
    arguments = extra.object("extra_args")
    sse, inner = arguments.choice("ServerSideEncryption", "AES256", "aws:kms"), arguments.text("SSEKMSKeyId")
    key = _agreed(extra, {"sse_kms_key_id": extra.text("sse_kms_key_id"), "extra_args.SSEKMSKeyId": inner})
    if key and sse == "AES256":
        raise extra.error("extra_args.ServerSideEncryption is AES256, which has no key of KMS")
    return {"sse": "aws:kms" if key else sse, "kms_key_id": key}


def _endpoint(extra: _Extra) -> dict[str, Any]:
    services, endpoint = extra.object("service_config"), extra.text("endpoint_url")
    services.ignore_all_but("sts")  # other services are not ours; this one we would need to assume a role
    s3 = services.object("s3")
    s3.text("bucket_name")  # see bucket_of
    endpoint = s3.text("endpoint_url") or endpoint  # the service's goes first, as in the Amazon provider
    if endpoint and not _ENDPOINT.fullmatch(endpoint):
        raise extra.error("endpoint_url must be http://host:port, without credentials")
    return {"endpoint_url": endpoint, "verify": extra.flag_or_text("verify")}


def _client(extra: _Extra) -> dict[str, Any]:
    config, region = extra.object("config_kwargs"), extra.text("region_name")
    if config.text("signature_version") == "unsigned":
        raise extra.error("config_kwargs.signature_version 'unsigned' is not supported")
    checksums = config.choice("request_checksum_calculation", "when_required", "when_supported")
    inner = config.text("region_name")
    return {
        "region": _agreed(extra, {"region_name": region, "config_kwargs.region_name": inner}),
        "addressing_style": config.object("s3").choice("addressing_style", "auto", "path", "virtual"),
        "connect_timeout": config.number("connect_timeout"),
        "read_timeout": config.number("read_timeout"),
        "max_connections": config.number("max_pool_connections"),
        "checksums": "auto" if checksums == "when_supported" else checksums,  # our word for botocore's
    }


@lru_cache(maxsize=256)  # once a process for what is ignored: a store is opened for every task and wait
def _warn_once(conn_id: str, ignored: tuple[str, ...]) -> None:
    if ignored:
        log.warning("connection %r: fileflow_async makes no use of %s", conn_id, ", ".join(sorted(ignored)))
