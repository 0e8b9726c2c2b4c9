"""The formats that there are: ours, and those of users."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any, ClassVar

import pytest

from fileflow_async import formats
from fileflow_async.content import Content
from fileflow_async.errors import ConfigError
from fileflow_async.formats.format import Facts, Format
from fileflow_async.formats.kinds import Kind
from fileflow_async.testing.format_contract import FormatContract, written


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines(Format):
    """A user's own: numbers, one a line."""

    name: ClassVar[str] = "numbers"
    extensions: ClassVar[tuple[str, ...]] = ("num", "nums")
    content_type: ClassVar[str] = "text/x-numbers"
    kinds: ClassVar[tuple[Kind, ...]] = (Kind.RECORDS,)
    is_text: ClassVar[bool] = True

    base: int = 10

    def write(self, value: Any, file: IO[bytes]) -> None:
        for number in value:
            file.write(f"{number}\n".encode())

    def read(self, file: IO[bytes], kind: Any, facts: Facts) -> Any:
        return [int(line, self.base) for line in file]


@pytest.fixture(autouse=True)
def tidy() -> Iterator[None]:
    """Forget what a test registers."""
    yield
    for name in ("numbers", "csv"):
        formats.unregister(name)


class TestAFormatOfAUsersOwn(FormatContract):
    """The contract holds for it without its doing anything about streams, encodings or threads."""

    format = Lines()

    @pytest.fixture(autouse=True)
    def registered(self) -> None:
        formats.register(self.format)

    def samples(self) -> list[tuple[Any, Any]]:
        return [([1, 22, 333], list), ([], None)]


def test_every_format_keeps_the_contract() -> None:
    """A test fails when one has no subclass."""
    for module in ("text", "bytes", "json", "jsonl", "csv", "parquet"):
        import_module(f"tests.formats.test_{module}")

    def below(kind: type[FormatContract]) -> Iterator[type[FormatContract]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    tried = {each.format.name for each in below(FormatContract) if hasattr(each, "format")}
    assert set(formats.names()) <= tried


async def test_a_registered_format_is_known_to_drafts() -> None:
    """By its name they take extension and content type from it."""
    formats.register(Lines())
    content = Content.of("numbers", compression="gzip")
    assert (content.extension, content.content_type) == ("num.gz", "text/x-numbers")
    made = await written([1, 2], formats.get("numbers"))
    assert await formats.read(made.data, made.facts) == [1, 2]
    assert await formats.read(b"10\n", made.facts, base=2) == [2]


def test_a_format_of_that_name_or_extension_is_not_replaced_by_mistake() -> None:
    """Only when it is meant; a built-in one comes back."""
    formats.register(Lines())
    with pytest.raises(
        ConfigError, match=r"^there is a format 'numbers' already; pass replace=True to replace it$"
    ):
        formats.register(Lines())
    formats.register(Lines(base=2), replace=True)
    assert formats.get("numbers") == Lines(base=2)

    class Other(Lines):
        name: ClassVar[str] = "csv"

    with pytest.raises(ConfigError, match=r"^extension 'num' belongs to format 'numbers' already$"):
        formats.register(Other())
    formats.unregister("numbers")
    with pytest.raises(ConfigError, match=r"^there is a format 'csv' already"):
        formats.register(Other())
    formats.register(Other(), replace=True)
    assert formats.get("csv") == Other()
    formats.unregister("csv")
    assert type(formats.get("csv")).__name__ == "Csv"


@pytest.mark.parametrize("name", ["pickle", "PKL", "joblib", "dill", "cloudpickle", "marshal"])
def test_a_format_that_runs_what_is_in_it_is_refused_everywhere(name: str) -> None:
    """Row 57."""
    message = f"^format {name!r} is not supported \\(unsafe\\); use parquet, csv, json or bytes$"
    with pytest.raises(ConfigError, match=message):
        formats.get(name)
    with pytest.raises(ConfigError, match=message.replace(name, name.lower())):
        formats.of_extension(name)

    class Unsafe(Lines):
        pass

    Unsafe.name = name
    with pytest.raises(ConfigError, match=message):
        formats.register(Unsafe(), replace=True)
    Unsafe.name, Unsafe.extensions = "numbers", (name,)
    with pytest.raises(ConfigError, match=message):
        formats.register(Unsafe(), replace=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cvs",
            "unknown format 'cvs'; known: arrow, bytes, csv, json, jsonl, parquet, text. Did you mean 'csv'?",
        ),
        (
            "Parquet",
            (
                "unknown format 'Parquet'; known: arrow, bytes, csv, json, jsonl, parquet, text. "
                "Did you mean 'parquet'?"
            ),
        ),
        ("xml", "unknown format 'xml'; known: arrow, bytes, csv, json, jsonl, parquet, text."),
    ],
)
def test_an_unknown_format_names_those_that_are_known(name: str, message: str) -> None:
    """And the one that may be meant."""
    with pytest.raises(ConfigError) as caught:
        formats.get(name)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("extension", "name"),
    [
        ("csv", "csv"),
        (".CSV", "csv"),
        ("csv.gz", "csv"),
        ("x.jsonl.zst", "jsonl"),
        ("pq", "parquet"),
        ("log", "text"),
    ],
)
def test_a_format_is_found_by_the_end_of_a_name(extension: str, name: str) -> None:
    """Compressed or not."""
    assert formats.of_extension(extension).name == name


@pytest.mark.parametrize("extension", ["gz", "docx", "", "csv.bz2", ".gz"])
def test_an_extension_of_no_format_names_those_that_are_known(extension: str) -> None:
    """A compression's alone tells no format."""
    with pytest.raises(ConfigError, match=r"^unknown extension '\w*'; known: arrow, bin, csv, feather"):
        formats.of_extension(extension)


def test_a_format_can_be_given_itself_with_its_options() -> None:
    """Instead of its name."""
    assert formats.get(Lines(base=2)) == Lines(base=2)
    assert formats.get(Lines(base=2), base=8) == Lines(base=8)


@pytest.mark.parametrize("format", ["text", "bytes", "json", "jsonl", "csv", "parquet", "arrow"])
def test_nothing_heavy_is_imported_before_it_is_needed(format: str) -> None:
    """Not by the package, and not by looking a format up."""
    code = (
        f"import sys; from fileflow_async import formats; formats.get({format!r}); "
        "print(sorted({'pandas', 'polars', 'pyarrow', 'numpy', 'backports', 'airflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_modules_of_the_formats_are_there_once_they_are_asked_for() -> None:
    """`formats.csv` has the functions of the original."""
    code = (
        "import sys; from fileflow_async import formats; "
        "assert 'fileflow_async.formats.csv' not in sys.modules; "
        "print(formats.csv.clean_and_write_dataframe_to_csv.__name__, hasattr(formats, 'xml'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["clean_and_write_dataframe_to_csv", "False"]
