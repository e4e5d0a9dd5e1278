"""A time limit for a coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(
    seconds: float, coroutine: Coroutine[Any, Any, T], discard: Callable[[T], object] = lambda result: None
) -> T:
    """Return the coroutine's result, or raise a TimeoutError.

    As `asyncio.wait_for`, but a cancellation is never swallowed because the coroutine ended at the same moment, as it
    is up to Python 3.11: then its result goes to `discard`.
    """
    task = asyncio.get_running_loop().create_task(coroutine)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise TimeoutError
    except BaseException:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and task.exception() is None:
            discard(task.result())
        raise
    return task.result()
