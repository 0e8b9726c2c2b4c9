"""Which storage driver is asked for."""

from fileflow_async.config import SECTION, configured
from fileflow_async.errors import ConfigError, quoted
from fileflow_async.storage_drivers.driver import StorageDriver
from fileflow_async.storage_drivers.file import FileStorageDriver
from fileflow_async.storage_drivers.s3 import S3StorageDriver

_ENVIRONMENTS = ("production", "qa", "development", "test")
_DEFAULTS = {
    "storage_type": "file",
    "storage_prefix": "storage",
    "environment": "production",
    "aws_bucket_name": "mybeautifulbucket",
}


def get_storage_driver(
    storage_type: str | None = None,
    storage_prefix: str | None = None,
    environment: str | None = None,
    aws_access_key_id: str | None = None,
    aws_secret_access_key: str | None = None,
    aws_bucket_name: str | None = None,
    *,
    conn_id: str | None = None,
) -> StorageDriver:
    """Return the driver that is asked for, or configured by the `[fileflow]` settings of the same names.

    Args:
        storage_type: `file` or `s3`.
        storage_prefix: Where files lie.
        environment: What the bucket's name ends in, without anything between them: qa, development or test;
            nothing for production.
        aws_access_key_id: With `aws_secret_access_key` the credentials for S3; without, the machine's own.
        aws_secret_access_key: See `aws_access_key_id`.
        aws_bucket_name: The bucket, but for its environment.
        conn_id: An Airflow connection of type `aws`, instead of credentials.

    Raises:
        ConfigError: There is no such type or environment.
    """
    kind = _setting("storage_type", storage_type)
    if kind == "file":
        return FileStorageDriver(prefix=_setting("storage_prefix", storage_prefix))
    if kind != "s3":
        raise ConfigError(f"unknown storage_type {quoted(kind)}; known: file, s3")
    bucket = _setting("aws_bucket_name", aws_bucket_name) + _suffix(_setting("environment", environment))
    if conn_id is not None:
        return S3StorageDriver(bucket_name=bucket, conn_id=conn_id)
    key_id = _setting("aws_access_key_id", aws_access_key_id)
    return S3StorageDriver(
        key_id, _setting("aws_secret_access_key", aws_secret_access_key), bucket_name=bucket
    )


def _setting(name: str, given: str | None) -> str:
    if given is None:
        given = configured(SECTION, name)
    return _DEFAULTS.get(name, "") if given is None else given


def _suffix(environment: str) -> str:
    if environment not in _ENVIRONMENTS:
        raise ConfigError(f"unknown environment {quoted(environment)}; known: {', '.join(_ENVIRONMENTS)}")
    return "" if environment == "production" else environment
