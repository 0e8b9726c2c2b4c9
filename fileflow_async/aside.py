"""A thread for what blocks for a moment, which nobody else can fill."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async

P = ParamSpec("P")
R = TypeVar("R")


async def aside(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return what a function returns, which may block, without blocking the event loop.

    In a thread of its own that ends with it. The threads of the loop belong to everybody: when triggers of
    others hang in all of them, as on a mount that is gone, whoever needs one waits with them. A pool kept for
    this would not survive a fork.
    """  # ADR 0028
    thread = ThreadPoolExecutor(1, thread_name_prefix="fileflow-aside")
    try:
        return await sync_to_async(function, thread_sensitive=False, executor=thread)(*args, **kwargs)
    finally:
        thread.shutdown(wait=False)
