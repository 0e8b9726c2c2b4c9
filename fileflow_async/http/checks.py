"""Functions of a deployment that judge an answer."""

import asyncio
from collections.abc import Callable
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from fileflow_async.aside import aside
from fileflow_async.errors import EndpointAnswerError
from fileflow_async.http.answer import Answer
from fileflow_async.http.named import function_named

_PATIENCE = 30.0  # seconds that a check may take


class Check:
    """A function that gets an answer and tells whether it is the one.

    Args:
        path: Its dotted path; sync functions run in a thread.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._function: Callable[[Answer], Any] | None = None

    async def load(self) -> None:
        """Import it.

        Raises:
            ConfigError: It cannot be.
        """
        if self._function is None:
            self._function = await aside(function_named, self.path, "response_check")

    async def says_yes(self, answer: Answer) -> bool:
        """Ask it.

        Raises:
            EndpointAnswerError: It raises, or does not come to an end.
        """
        await self.load()
        try:
            async with asyncio.timeout(_PATIENCE):
                return bool(await self._ask(answer))
        except TimeoutError:
            raise EndpointAnswerError(
                f"response_check {self.path!r} took more than {_PATIENCE:g} s"
            ) from None
        except Exception as error:
            # Only its name: what an exception says is often what the answer held.
            raise EndpointAnswerError(
                f"response_check {self.path!r} raised {type(error).__name__}"
            ) from error

    async def _ask(self, answer: Answer) -> Any:
        function = self._function
        if function is None:
            raise RuntimeError("the check was not loaded")
        if iscoroutinefunction(function):
            return await function(answer)
        verdict = await aside(function, answer)
        return await verdict if isawaitable(verdict) else verdict
