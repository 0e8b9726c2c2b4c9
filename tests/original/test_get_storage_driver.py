"""The original's tests of `get_storage_driver`: which driver, and the name of its bucket."""

import pytest

from fileflow_async.errors import ConfigError, FileflowError
from fileflow_async.storage_drivers import FileStorageDriver, S3StorageDriver, get_storage_driver
from tests.original.names import keeps


def bucket_in(environment: str) -> str:
    driver = get_storage_driver("s3", "", environment, "", "", "the_bucket")
    assert isinstance(driver, S3StorageDriver)
    return driver.bucket_name


@keeps("get_storage_driver", "test_s3_production")
def test_in_production_the_bucket_has_its_bare_name() -> None:
    """All arguments are positional: type, prefix, environment, key, secret, bucket."""
    assert bucket_in("production") == "the_bucket"


@keeps("get_storage_driver", "test_s3_qa")
def test_in_qa_the_environment_follows_without_a_separator() -> None:
    """So the buckets are called that are there."""
    assert bucket_in("qa") == "the_bucketqa"


@keeps("get_storage_driver", "test_s3_development")
def test_in_development_it_does_as_well() -> None:
    """So the buckets are called that are there."""
    assert bucket_in("development") == "the_bucketdevelopment"


@keeps("get_storage_driver", "test_s3_test_environment")
def test_in_test_it_does_as_well() -> None:
    """So the buckets are called that are there."""
    assert bucket_in("test") == "the_buckettest"


@keeps("get_storage_driver", "test_s3_bad_environment")
def test_an_unknown_environment_is_an_error() -> None:
    """Of the family, and a ValueError; the original's was neither a driver's error nor a builtin."""
    with pytest.raises(
        FileflowError, match="unknown environment 'bad_environment'; known: production"
    ) as caught:
        bucket_in("bad_environment")
    assert isinstance(caught.value, ConfigError | ValueError)


@keeps("get_storage_driver", "test_bad_storage_type")
def test_an_unknown_type_is_an_error() -> None:
    """Which names the known ones."""
    with pytest.raises(FileflowError, match="unknown storage_type 'bad_storage_type'; known: file, s3"):
        get_storage_driver("bad_storage_type", "", "", "", "")


@keeps("get_storage_driver", "test_file_driver")
def test_the_prefix_of_files_is_kept_as_it_is() -> None:
    """With its slash."""
    driver = get_storage_driver("file", "/the/prefix/", "", "", "")
    assert isinstance(driver, FileStorageDriver)
    assert driver.prefix == "/the/prefix/"
