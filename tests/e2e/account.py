"""The account of a run: what was checked, with counts, as it goes."""

import time

_LONGEST = 2000  # characters of a message: states of a hundred tasks are more than anybody reads


class FailedCheckError(AssertionError):
    """What should be so is not."""


class Account:
    """Prints what has been achieved, and counts it."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.checked = 0

    def begin(self, text: str) -> None:
        """Announce what is tried next."""
        self._print(text)

    def note(self, text: str) -> None:
        """Tell something that may be so or otherwise."""
        self._print(f"    {text}")

    def check(self, is_so: bool, text: str, *, else_: object = "") -> None:
        """Tell something that has to be so.

        Raises:
            FailedCheckError: It is not; the message has what is so instead.
        """
        if not is_so:
            raise FailedCheckError(f"not so: {text}{f'; but {else_}'[:_LONGEST] if else_ else ''}")
        self.checked += 1
        self._print(f"  ✓ {text}")

    def _print(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)
