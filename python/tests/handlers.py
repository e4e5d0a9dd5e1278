"""Handlers of each kind: they answer with what they were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any

from hardlydifficult_worker import RequestContext


async def coroutine(payload: Any, context: RequestContext) -> Any:
    await asyncio.sleep(0)
    return {"got": payload}


def plain(payload: Any, context: RequestContext) -> Any:
    return {"got": payload}


async def async_generator(payload: Any, context: RequestContext) -> AsyncIterator[Any]:
    for item in payload:
        await asyncio.sleep(0)
        yield item
    context.set_result({"got": payload})


def generator(payload: Any, context: RequestContext) -> Generator[Any, None, Any]:
    yield from payload
    return {"got": payload}


class AsyncCallable:
    async def __call__(self, payload: Any, context: RequestContext) -> Any:
        return {"got": payload}
