"""JSON: one value."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, ClassVar, NoReturn, cast

from fileflow_async.errors import FormatError
from fileflow_async.formats.chunks import columns_of, names_of
from fileflow_async.formats.format import Facts, Format
from fileflow_async.formats.json_rows import as_json, rows_of
from fileflow_async.formats.kinds import Kind, kind_of_value
from fileflow_async.formats.tables import of_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Json(Format):
    """Any value that JSON has: dicts with texts as keys, lists, texts, numbers, truths and None.

    A table is written as a list of dicts, and can be read from one.

    Attributes:
        allow_nan: Whether NaN and the infinities are written and read, which JSON does not have.
        indent: How many spaces lines are indented by; None for one line.
    """

    name: ClassVar[str] = "json"
    extensions: ClassVar[tuple[str, ...]] = ("json",)
    content_type: ClassVar[str] = "application/json"
    kinds: ClassVar[tuple[Kind, ...]] = (
        Kind.ANY,
        Kind.MAPPING,
        Kind.RECORDS,
        Kind.PANDAS,
        Kind.POLARS,
        Kind.ARROW,
    )
    is_text: ClassVar[bool] = True

    allow_nan: bool = False
    indent: int | None = None

    def write(self, value: Any, file: IO[bytes]) -> None:
        """Write a value.

        Raises:
            FormatError: JSON does not have it.
        """
        kind = kind_of_value(value)
        if kind is not None and kind.is_frame:
            value = [row for rows in rows_of(kind, value, self.name) for row in rows]
            file.write(self._text(value, default=as_json).encode())
        else:
            file.write(self._text(value).encode())

    def _text(self, value: Any, default: Callable[[Any], Any] | None = None) -> str:
        separators = (",", ":") if self.indent is None else None
        try:
            return json.dumps(
                value,
                allow_nan=self.allow_nan,
                ensure_ascii=False,
                indent=self.indent,
                separators=separators,
                default=default,
            )
        except (TypeError, ValueError, RecursionError) as error:
            raise FormatError(f"this cannot be written as JSON: {error}") from error

    def read(self, file: IO[bytes], kind: Any, facts: Facts) -> Any:
        """Return the value.

        Raises:
            FormatError: It is not valid JSON, or not of the kind that is asked for.
        """
        value = Loader(facts.name, allow_nan=self.allow_nan).load(file.read().decode())
        if kind is Kind.ANY:
            return value
        wanted = dict if kind is Kind.MAPPING else list
        if not isinstance(value, wanted):
            raise FormatError(
                f"{facts.name!r} holds a JSON {type(value).__name__}; expected a {wanted.__name__}"
            )
        return table_of(cast(list[Any], value), kind, facts.name) if kind.is_frame else value


def table_of(records: list[Any], kind: Kind, name: str) -> Any:
    """Return JSON objects as a table.

    Raises:
        FormatError: There is something else among them, or values that no column can hold together.
    """
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise FormatError(
                f"{name!r} has a JSON {type(record).__name__} as record {number}; expected an object"
            )
    return of_columns(columns_of(records, names_of(records)), {}, kind, name)


class Loader:
    """Parses JSON texts.

    Args:
        name: What messages call the data.
        allow_nan: Whether NaN and the infinities are accepted.
    """

    def __init__(self, name: str, *, allow_nan: bool) -> None:
        self._name = name
        # One for all texts: json.loads makes a new one for each.
        self._decode = json.JSONDecoder(parse_constant=float if allow_nan else _refuse).decode

    def load(self, text: str, *, line: int | None = None) -> Any:
        """Return the value that a text stands for; a mark of the byte order may precede it.

        Raises:
            FormatError: It is not valid JSON.
        """
        try:
            return self._decode(text.removeprefix("\ufeff"))
        except (ValueError, RecursionError) as error:
            where = f" in line {line}" if line else ""
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
            raise FormatError(f"{self._name!r} is not valid JSON{where}: {reason}") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number; allow_nan=True accepts it")
