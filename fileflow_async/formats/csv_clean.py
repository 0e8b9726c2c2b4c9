"""The lossy cleaning that the original fileflow did to frames."""

import csv
import logging
import os
from typing import IO, TYPE_CHECKING, Any

from fileflow_async.formats.packages import needed

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


def read_and_clean_csv_to_dataframe(
    filename_or_stream: str | os.PathLike[str] | IO[bytes] | IO[str], encoding: str = "utf-8"
) -> "pd.DataFrame":
    """Read csv into texts, with None for what is missing, is empty or says `None`.

    Blanks after a comma are dropped, and bytes that are not valid become U+FFFD.

    Args:
        filename_or_stream: Whatever pandas reads: a path, an open file, a URL.
        encoding: That of the text.
    """
    with needed("reading csv as fileflow did"):
        import pandas as pd

    frame = pd.read_csv(
        filename_or_stream,
        dtype=object,
        encoding=encoding,
        encoding_errors="replace",
        skipinitialspace=True,
        na_values=["None"],
    )
    frame = frame.where(frame.notna(), None)
    log.info("a frame of shape %s was read", frame.shape)
    return frame


def clean_and_write_dataframe_to_csv(
    data: "pd.DataFrame", filename: str | os.PathLike[str] | None
) -> str | None:
    """Write a frame as csv without its index, all quoted, with the text `None` for what is missing.

    Args:
        data: The frame; it is not changed.
        filename: Where to write it; None to return the text.
    """
    text = cleaned_text(data)
    log.info("a frame of shape %s was written", data.shape)
    if filename is None:
        return text
    with open(filename, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123
        file.write(text)
    return None


def cleaned_text(data: "pd.DataFrame") -> str:
    """Return a frame as csv; see `clean_and_write_dataframe_to_csv`."""
    # As objects, for pandas would make NaN of None again.
    cleaned: Any = data.astype(object)
    cleaned = cleaned.where(cleaned.notna(), "None")
    return str(cleaned.to_csv(index=False, quoting=csv.QUOTE_ALL, lineterminator="\n"))
