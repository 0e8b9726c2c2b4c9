"""What the command's exit codes mean."""

from enum import IntEnum

from fileflow_async.errors import (
    ConfigError,
    DependencyError,
    FileflowError,
    StorageUnavailableError,
    TargetAccessError,
    TargetNameError,
    TargetNotFoundError,
    TargetTimeoutError,
)


class Exit(IntEnum):
    """How a command ended, for scripts."""

    OK = 0
    NO = 1  # the answer is no, or something is wrong with what was looked at
    USAGE = 2  # an argument or a setting is wrong; argparse uses it too
    NOT_FOUND = 3
    UNAVAILABLE = 4
    REFUSED = 5
    TIMEOUT = 124  # as that of timeout(1)
    INTERRUPTED = 130  # as a shell says of SIGINT
    PIPE_CLOSED = 141  # as a shell says of SIGPIPE


_OF_ERRORS: tuple[tuple[type[FileflowError], Exit], ...] = (
    (ConfigError, Exit.USAGE),
    (TargetNameError, Exit.USAGE),
    (DependencyError, Exit.USAGE),
    (TargetNotFoundError, Exit.NOT_FOUND),
    (StorageUnavailableError, Exit.UNAVAILABLE),
    (TargetAccessError, Exit.REFUSED),
    (TargetTimeoutError, Exit.TIMEOUT),
)


def exit_of(error: FileflowError) -> Exit:
    """Return how a command ends that meets this error."""
    return next((code for kind, code in _OF_ERRORS if isinstance(error, kind)), Exit.NO)
