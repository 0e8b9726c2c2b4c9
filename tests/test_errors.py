"""One family, named after what the caller does."""

import copy
import errno
import pickle

import pytest

from fileflow_async import errors
from fileflow_async.errors import FileflowError, StorageError, quoted

KINDS: dict[str, type[Exception] | None] = {
    "ConfigError": ValueError,
    "DependencyError": KeyError,
    "EndpointAnswerError": ValueError,
    "EndpointError": None,
    "EndpointRefusedError": PermissionError,
    "EndpointUnavailableError": ConnectionError,
    "FormatError": ValueError,
    "GateError": None,
    "StorageError": None,
    "StorageUnavailableError": ConnectionError,
    "TargetAccessError": PermissionError,
    "TargetCorruptError": None,
    "TargetEmptyError": None,
    "TargetNameError": ValueError,
    "TargetNotFoundError": FileNotFoundError,
    "TargetSupersededError": None,
    "TargetTimeoutError": TimeoutError,
    "TargetWriteError": OSError,
}
OF_THE_STORE = {
    "StorageError",
    "StorageUnavailableError",
    "TargetAccessError",
    "TargetCorruptError",
    "TargetEmptyError",
    "TargetNotFoundError",
    "TargetSupersededError",
    "TargetWriteError",
}


def kind_of(name: str) -> type[FileflowError]:
    kind: type[FileflowError] = getattr(errors, name)
    assert issubclass(kind, FileflowError)
    return kind


@pytest.mark.parametrize("name", KINDS)
def test_each_is_also_what_python_calls_it(name: str) -> None:
    """Whoever knows only Python catches it too."""
    builtin = KINDS[name]
    assert builtin is None or issubclass(kind_of(name), builtin)
    assert issubclass(kind_of(name), StorageError) == (name in OF_THE_STORE)


@pytest.mark.parametrize("name", KINDS)
def test_each_says_its_message_and_nothing_else(name: str) -> None:
    """KeyError would quote it, OSError would put a number before it."""
    error = kind_of(name)("what it is", hint="what to do", errno=errno.ENOSPC)
    assert str(error) == "what it is"
    assert error.__notes__ == ["what to do"]
    assert error.__dict__.get("errno", getattr(error, "errno", None)) == errno.ENOSPC


@pytest.mark.parametrize("name", KINDS)
def test_each_survives_a_copy(name: str) -> None:
    """Airflow and process pools hand exceptions on."""
    error = kind_of(name)("what it is", hint="what to do", errno=errno.ENOSPC)
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert type(twin) is type(error)
        assert str(twin) == "what it is"
        assert twin.__notes__ == ["what to do"]


def test_without_a_hint_there_is_no_note() -> None:
    """And without a number none is made up."""
    assert not hasattr(FileflowError("x"), "__notes__")
    assert errors.TargetWriteError("x").errno is None
    assert str(FileflowError.__new__(FileflowError)) == ""


def test_no_error_is_forgotten_here() -> None:
    """A new one comes with its row above."""
    known = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, FileflowError) and kind is not FileflowError
    }
    assert known == {*KINDS, "StorageDriverError"}
    assert errors.StorageDriverError is StorageError


def test_a_value_in_a_message_is_cut() -> None:
    """So that no record, key or query floods a log."""
    assert quoted("a\nb") == r"'a\nb'"
    assert quoted("x" * 118) == repr("x" * 118)
    assert quoted("x" * 119) == "'" + "x" * 118 + "…"
    assert len(quoted(["x" * 1000])) == 120
