"""Requests: the four kinds of handlers, what they are given, and what becomes of what they return and yield."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from conftest import QUICK, Serve
from difficult_server import DifficultServer
from handlers import AsyncCallable, async_generator, coroutine, generator, plain
from hardlydifficult_worker import RequestContext, Worker

KINDS = [
    coroutine,
    plain,
    async_generator,
    generator,
    AsyncCallable(),
    functools.partial(coroutine),
    lambda payload, context: coroutine(payload, context),
    lambda payload, context: async_generator(payload, context),
    lambda payload, context: generator(payload, context),
]


@pytest.mark.parametrize("handler", KINDS)
def test_each_kind_of_handler_answers(serve: Serve, handler: Any) -> None:
    peer = serve(handler)
    peer.request(payload=["a", "b"])
    assert peer.receive() == {"type": "request_ack", "requestId": "r1", "attempt": 1}
    result = peer.receive()
    assert result == {"type": "request_result", "requestId": "r1", "attempt": 1, "data": {"got": ["a", "b"]}}
    assert list(result) == ["type", "requestId", "attempt", "data"]


@pytest.mark.parametrize(
    "handler", [async_generator, generator, lambda p, c: async_generator(p, c), lambda p, c: generator(p, c)]
)
def test_generators_stream_and_their_result_ends_it(serve: Serve, handler: Any) -> None:
    peer = serve(handler)
    peer.request(payload=["a", "b"], stream=True, attempt=3)
    peer.expect("request_ack", attempt=3)
    for seq, item in enumerate(["a", "b"]):
        chunk = peer.receive()
        assert chunk == {"type": "request_chunk", "requestId": "r1", "attempt": 3, "seq": seq, "data": item}
        assert list(chunk) == ["type", "requestId", "attempt", "seq", "data"]
    peer.expect("request_result", attempt=3, data={"got": ["a", "b"]})


@pytest.mark.parametrize("handler", [coroutine, plain])
def test_a_plain_value_is_the_result_of_a_stream_without_chunks(serve: Serve, handler: Any) -> None:
    peer = serve(handler)
    peer.request(payload=1, stream=True)
    peer.expect("request_ack")
    peer.expect("request_result", data={"got": 1})


def test_a_generator_without_a_result_ends_with_null(serve: Serve) -> None:
    async def handler(payload: Any, context: RequestContext) -> AsyncIterator[Any]:
        yield 1

    peer = serve(handler)
    peer.request(stream=True)
    peer.expect("request_ack")
    peer.expect("request_chunk", data=1)
    assert peer.expect("request_result")["data"] is None


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_async_handlers_run_on_the_programs_thread_and_plain_ones_on_threads_of_their_own(
    server: DifficultServer, kind: str
) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")
    worker = Worker(server.url, **QUICK)

    def look(payload: Any, context: RequestContext) -> Any:
        return [threading.current_thread().name, who.get()]

    async def look_on_loop(payload: Any, context: RequestContext) -> Any:
        return look(payload, context)

    worker.handler()(look if kind == "plain" else look_on_loop)

    async def program() -> None:
        who.set("the program")
        await worker.serve()

    thread = threading.Thread(target=asyncio.run, args=(program(),), name="the program's thread")
    thread.start()
    peer = server.accept()
    peer.register()
    peer.request()
    peer.expect("request_ack")
    name, told = peer.expect("request_result")["data"]
    assert (name == "the program's thread") is (kind == "async")
    assert told == "the program"
    worker.close()
    thread.join(15)


def test_a_context_tells_what_the_request_says(serve: Serve) -> None:
    async def handler(payload: Any, context: RequestContext) -> Any:
        return {
            "id": context.request_id,
            "attempt": context.attempt,
            "model": context.model,
            "category": context.category,
            "trace": context.trace,
            "cancelled": context.cancelled,
            "remaining": None if context.remaining == float("inf") else context.remaining,
        }

    peer = serve(handler)
    peer.request("full", attempt=2, model="m", category="c", timeoutMs=60_000, trace={"traceparent": "00-1"})
    peer.expect("request_ack")
    told = peer.expect("request_result")["data"]
    assert 50 < told.pop("remaining") <= 60
    assert told == {
        "id": "full",
        "attempt": 2,
        "model": "m",
        "category": "c",
        "trace": {"traceparent": "00-1"},
        "cancelled": False,
    }
    peer.request("bare")
    peer.expect("request_ack")
    told = peer.expect("request_result")["data"]
    assert told == {
        "id": "bare",
        "attempt": 1,
        "model": None,
        "category": None,
        "trace": None,
        "cancelled": False,
        "remaining": None,
    }


@pytest.mark.parametrize("in_thread", [False, True])
def test_progress_comes_before_the_result(serve: Serve, in_thread: bool) -> None:
    def work(payload: Any, context: RequestContext) -> str:
        context.progress({"percent": 50})
        with pytest.raises(TypeError):
            context.progress({1, 2})
        return "done"

    async def handler(payload: Any, context: RequestContext) -> str:
        return work(payload, context)

    peer = serve(work if in_thread else handler)
    peer.request()
    peer.expect("request_ack")
    progress = peer.expect("request_progress", attempt=1, data={"percent": 50})
    assert list(progress) == ["type", "requestId", "attempt", "data"]
    peer.expect("request_result", data="done")
