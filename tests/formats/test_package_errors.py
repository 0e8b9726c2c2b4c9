"""What optional packages raise about data is an error of this family; nothing else becomes one."""

import asyncio
import sys

import polars.exceptions
import pyarrow as pa
import pytest

from fileflow_async.errors import FormatError
from fileflow_async.formats.package_errors import translated


class PanicException(BaseException):
    """A panic that has nothing to do with the data."""

    __module__ = "pyo3_runtime"


@pytest.mark.parametrize(
    "error",
    [
        pa.ArrowInvalid("odd"),
        polars.exceptions.ComputeError("odd\nand more"),
        polars.exceptions.PanicException("odd"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_package_says_of_data_is_a_format_error(error: BaseException) -> None:
    """A panic of polars too, which is no Exception; its first line is enough."""
    with (
        pytest.raises(FormatError, match=r"^'data\.csv' cannot be read: odd$") as caught,
        translated("'data.csv' cannot be read"),
    ):
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        SystemExit(1),
        PanicException("theirs"),
        ZeroDivisionError("a bug"),
        MemoryError(),
        pa.ArrowMemoryError("no memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_else_is_raised_passes_as_it_is(error: BaseException) -> None:
    """A cancellation, a signal, a mistake in somebody's code, a panic of another package."""
    with pytest.raises(type(error)) as caught, translated("'data.csv' cannot be read"):
        raise error
    assert caught.value is error


def test_without_polars_there_is_nothing_that_could_panic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is imported to find out."""
    monkeypatch.delitem(sys.modules, "polars.exceptions")
    with pytest.raises(KeyboardInterrupt), translated("x"):
        raise KeyboardInterrupt
    assert "polars.exceptions" not in sys.modules
