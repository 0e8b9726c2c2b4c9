"""Import optional packages when they are needed, or say what to install."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from fileflow_async.errors import ConfigError

_EXTRAS = {"pandas": "pandas", "polars": "polars", "pyarrow": "arrow", "backports": "zstd"}


@contextmanager
def needed(purpose: str) -> Iterator[None]:
    """Say which extra to install when an import in the block fails.

    Args:
        purpose: What needs the package, as the beginning of a sentence.

    Raises:
        ConfigError: The package is not installed.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        raise ConfigError(
            f"{purpose} needs {error.name}, which is not installed: "
            f"pip install 'fileflow-async[{_EXTRAS[package]}]'"
        ) from error


def is_installed(package: str) -> bool:
    """Tell whether an optional package can be imported, by importing it."""
    try:
        import_module(package)
    except ImportError:
        return False
    return True
