"""The error family, named after what the caller does about each: fix, wait, retry or inspect."""


class FileflowError(Exception):
    """Anything that fileflow_async raises on purpose.

    Args:
        message: What was found, with the full URI, and what was expected.
        hint: What to do next; shown below the traceback and kept in `__notes__`.
        errno: The operating system's number, where one stands behind an error that is an OSError too.
    """

    def __init__(self, message: str, *, hint: str | None = None, errno: int | None = None) -> None:
        super().__init__(message)
        if hint:
            self.add_note(hint)
        if errno is not None:
            object.__setattr__(self, "errno", errno)  # a member that only those of us have that are OSErrors

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError and OSError would both dress it up


class ConfigError(FileflowError, ValueError):
    """A setting, an argument or a connection is wrong: fix it."""


class TargetNameError(FileflowError, ValueError):
    """An id, a name or a key cannot be a place in a store: fix it."""


class DependencyError(FileflowError, KeyError):
    """A dependency is not declared, or cannot be one: fix the declaration."""


class FormatError(FileflowError, ValueError):
    """Data or a record is in a form that this version cannot read or write."""


class GateError(FileflowError):
    """A quality gate refused the data; nothing was published."""


class StorageError(FileflowError):
    """The store, or what lies in it, is the reason."""


StorageDriverError = StorageError  # the name that fileflow gave it


class TargetNotFoundError(StorageError, FileNotFoundError):
    """Nothing is committed there: wait for it."""


class TargetCorruptError(StorageError):
    """What is there contradicts its record: inspect it. Data that fails a check is never handed out."""


class TargetEmptyError(StorageError):
    """The target is complete but empty, and the policy forbids that."""


class TargetSupersededError(StorageError):
    """A newer attempt stands in the place: this one's result is not the value."""


class TargetTimeoutError(FileflowError, TimeoutError):
    """The deadline came before the targets did."""


class TargetAccessError(StorageError, PermissionError):
    """The store refuses, for good: fix its permissions."""


class TargetWriteError(StorageError, OSError):
    """The data could not be written; nothing was published."""


class StorageUnavailableError(StorageError, ConnectionError):
    """The store does not answer, for now: retry."""


class EndpointError(FileflowError):
    """A server of others, or what it answered, is the reason."""


class EndpointUnavailableError(EndpointError, ConnectionError):
    """The endpoint does not answer, or not yet: retry.

    Attributes:
        retry_after: In how many seconds it wants to be asked again, where it says so.
        is_untouched: Whether it has certainly done nothing, so that even what changes something can be sent
            again.
    """

    retry_after: float | None = None
    is_untouched: bool = False


class EndpointRefusedError(EndpointError, PermissionError):
    """The endpoint refuses, or may not be asked: fix the request or the connection."""


class EndpointAnswerError(EndpointError, ValueError):
    """The answer cannot be used: inspect it."""


def quoted(value: object) -> str:
    """Return the value's repr, cut to 120 characters, for use in a message."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:119]}…"
