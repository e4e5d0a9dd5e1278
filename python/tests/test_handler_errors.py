"""Handlers that fail: what the server learns, and what it does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from conftest import Serve
from handlers import coroutine
from hardlydifficult_worker import RequestContext, RequestError


class TestErrors:
    @pytest.mark.parametrize("kind", ["coroutine", "plain", "async generator", "generator"])
    def test_what_a_handler_raises_is_the_requests_error(self, serve: Serve, kind: str) -> None:
        error = RequestError("out of memory", code="OOM", retryable=True, data={"status": 507})

        async def raising_coroutine(payload: Any, context: RequestContext) -> Any:
            raise error

        def raising(payload: Any, context: RequestContext) -> Any:
            raise error

        async def raising_async_generator(payload: Any, context: RequestContext) -> AsyncIterator[Any]:
            yield 1
            raise error

        def raising_generator(payload: Any, context: RequestContext) -> Iterator[Any]:
            yield 1
            raise error

        handlers = {
            "coroutine": raising_coroutine,
            "plain": raising,
            "async generator": raising_async_generator,
            "generator": raising_generator,
        }
        peer = serve(handlers[kind])
        peer.request(stream=True)
        peer.expect("request_ack")
        if "generator" in kind:
            peer.expect("request_chunk", data=1)
        assert peer.receive() == {
            "type": "request_error",
            "requestId": "r1",
            "attempt": 1,
            "error": {"message": "out of memory", "code": "OOM", "retryable": True, "data": {"status": 507}},
        }

    @pytest.mark.parametrize("value", [{1, 2}, b"bytes", float("nan"), object()])
    def test_so_is_a_value_that_json_cannot_hold(self, serve: Serve, value: Any) -> None:
        closed = threading.Event()

        async def handler(payload: Any, context: RequestContext) -> AsyncIterator[Any]:
            try:
                if payload == "chunk":
                    yield value
                context.set_result(value)
            finally:
                closed.set()

        peer = serve(handler)
        for payload in ("chunk", "result"):
            peer.request(payload, payload=payload, stream=True)
            peer.expect("request_ack")
            assert peer.expect("request_error", requestId=payload)["error"]["message"]
            assert closed.wait(5)

    def test_a_lone_surrogate_is_held(self, serve: Serve) -> None:
        peer = serve(coroutine)
        peer.request(payload="\ud800 ä")
        peer.expect("request_ack")
        peer.expect("request_result", data={"got": "\ud800 ä"})

    def test_an_error_holds_no_stack_and_the_log_does(self, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
        def handler(payload: Any, context: RequestContext) -> Any:
            raise ValueError("no such voice")

        peer = serve(handler)
        peer.request()
        peer.expect("request_ack")
        assert peer.expect("request_error")["error"] == {"message": "no such voice"}
        assert "Traceback" in caplog.text
        assert "no such voice" in caplog.text

    def test_a_handler_that_cancels_itself_has_failed(self, serve: Serve) -> None:
        async def handler(payload: Any, context: RequestContext) -> Any:
            raise asyncio.CancelledError

        peer = serve(handler)
        peer.request()
        peer.expect("request_ack")
        assert peer.expect("request_error")["error"] == {"message": "the handler was cancelled"}

    def test_a_thread_that_exits_has_failed(self, serve: Serve) -> None:
        def handler(payload: Any, context: RequestContext) -> Any:
            raise SystemExit(3)

        peer = serve(handler)
        peer.request()
        peer.expect("request_ack")
        assert peer.expect("request_error")["error"]["message"] == "3"
