"""Arrow's own file format."""

import io
from typing import Any

import polars as pl
import pytest

from fileflow_async import formats
from fileflow_async.errors import FormatError

FACTS = formats.Facts(format="arrow")


@pytest.mark.parametrize("has_pyarrow", [True, False])
@pytest.mark.parametrize(
    "column",
    [
        pl.Series([1, None], dtype=pl.Int8),
        pl.Series([1, 2**100], dtype=pl.Int128),
        pl.Series(["a", None]),
        pl.Series(["a", "b"], dtype=pl.Categorical),
        pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"])),
        pl.Series([[1], None]),
        pl.Series([{"a": 1}, None]),
        pl.Series([None, None]),
    ],
    ids=lambda column: str(column.dtype),
)
async def test_a_frame_of_polars_comes_back_as_polars_itself_would_read_it(
    column: pl.Series, has_pyarrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads it: pyarrow, which copies nothing, does not know all of its types."""
    monkeypatch.setattr("fileflow_async.formats.arrow.is_installed", lambda name: has_pyarrow)
    frame, file = pl.DataFrame({"a": column}), io.BytesIO()
    frame.write_ipc(file)
    read = await formats.read(file.getvalue(), FACTS, pl.DataFrame)
    assert read.schema == frame.schema
    assert read.equals(frame)


@pytest.mark.parametrize("kind", [pl.DataFrame, list])
async def test_what_is_damaged_is_an_error_of_ours(kind: Any) -> None:
    """Not one of the package that read it."""
    with pytest.raises(FormatError):
        await formats.read(b"ARROW1 and no more", FACTS, kind)
