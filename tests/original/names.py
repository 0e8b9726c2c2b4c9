"""The 45 tests of the original fileflow 0.0.3, by their names, and which test here keeps each of them."""

from collections.abc import Callable
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])

NAMES: dict[str, tuple[str, ...]] = {
    "get_storage_driver": (
        "test_s3_production",
        "test_s3_qa",
        "test_s3_development",
        "test_s3_test_environment",
        "test_s3_bad_environment",
        "test_bad_storage_type",
        "test_file_driver",
    ),
    "FileStorageDriver": (
        "test_get_filename",
        "test_get_path",
        "test_read",
        "test_get_read_stream_simple",
        "test_write",
        "test_write_from_stream",
        "test_list_filenames_in_path",
        "test_check_or_create_dir",
    ),
    "S3StorageDriver": (
        "test_get_filename",
        "test_get_path",
        "test_get_key_name",
        "test_read",
        "test_get_read_stream",
        "test_write",
        "test_write_from_stream",
        "test_list_filenames_in_path",
        "test_get_or_create_key",
    ),
    "TaskRunner": (
        "test_creation",
        "test_run",
        "test_write_timestamp_file",
        "test_get_input_filename",
        "test_get_output_filename",
        "test_get_upstream_stream",
        "test_read_upstream_file",
        "test_read_upstream_pandas_csv",
        "test_read_upstream_json",
        "test_write_file",
        "test_write_from_stream",
        "test_write_pandas_csv",
        "test_write_json",
    ),
    "pandas": (
        "test_read_and_clean_csv_to_dataframe_with_s3",
        "test_read_and_clean_csv_to_dataframe_with_s3_write_stream",
        "test_read_and_write",
        "test_read_convert_to_none",
        "test_read_convert_utf8",
        "test_read_and_clean_csv_with_empty_content",
        "test_write_convert_to_none",
        "test_write_utf8",
    ),
}


def keeps(group: str, *names: str) -> Callable[[Test], Test]:
    """Say which of the original's tests a test keeps."""

    def note(test: Test) -> Test:
        for name in names:
            assert name in NAMES[group], f"the original has no {group}.{name}"
        test.kept = {f"{group}.{name}" for name in names}  # type: ignore[attr-defined]
        return test

    return note
