"""Messages that are no requests: those of the application, and malformed ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import QUICK, Serve, Start
from difficult_server import DifficultServer
from handlers import coroutine
from hardlydifficult_worker import RequestContext, Worker


class TestMessages:
    def test_other_types_reach_their_handlers_and_answers_go_back(
        self, server: DifficultServer, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = Worker(server.url, **QUICK)

        @worker.on_message("add")
        def add(message: dict[str, Any]) -> None:
            worker.send({"type": "sum", "sum": message["a"] + message["b"]})

        @worker.on_message("add")
        async def add_later(message: dict[str, Any]) -> None:
            await asyncio.sleep(0.05)
            worker.send({"type": "sum later", "sum": message["a"] + message["b"]})

        @worker.on_message("break")
        def break_(message: dict[str, Any]) -> None:
            raise RuntimeError("broken at once")

        @worker.on_message("break")
        async def break_later(message: dict[str, Any]) -> None:
            raise RuntimeError("broken later")

        start(worker)
        peer = server.accept()
        peer.register()
        peer.send({"type": "break"})
        peer.send({"type": "nobody's"})
        peer.send({"type": "add", "a": 1, "b": 2})
        peer.expect("sum", sum=3)
        peer.expect("sum later", sum=3)
        assert "broken at once" in caplog.text
        assert "broken later" in caplog.text

    def test_request_is_the_applications_type_where_the_server_knows_no_features(
        self, server: DifficultServer, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = Worker(server.url, **QUICK)
        worker.handler()(coroutine)

        @worker.on_message("request")
        def own(message: dict[str, Any]) -> None:
            worker.send({"type": "own", "n": message["n"]})

        start(worker)
        for _ in range(2):
            peer = server.accept()
            peer.register(features=[])
            peer.send({"type": "request", "n": 1, "requestId": "r1", "attempt": 1})
            peer.expect("own", n=1)
            peer.cut()
        assert caplog.text.count("will not be called") == 1

    def test_send_is_false_unless_registered_and_raises_what_json_raises(
        self, server: DifficultServer, start: Start
    ) -> None:
        worker = Worker(server.url, **QUICK)
        assert worker.send({"type": "a"}) is False
        start(worker)
        peer = server.accept()
        peer.expect("worker_registration")
        assert worker.send({"type": "a"}) is False
        peer.send({"type": "worker_registration_ack", "success": True})
        while not worker.send({"type": "b"}):
            time.sleep(0.01)
        peer.expect("b")
        with pytest.raises(TypeError):
            worker.send({"type": {1, 2}})
        peer.cut()
        server.accept().expect("worker_registration")
        assert worker.send({"type": "c"}) is False

    def test_messages_leave_in_the_order_in_which_they_were_sent(self, serve: Serve) -> None:
        def handler(payload: Any, context: RequestContext) -> Iterator[int]:
            yield 1
            context.progress(2)
            yield 3

        peer = serve(handler)
        peer.request(stream=True)
        kinds = [peer.receive()["type"] for _ in range(5)]
        assert kinds == ["request_ack", "request_chunk", "request_progress", "request_chunk", "request_result"]


@pytest.mark.parametrize(
    "message",
    [
        "no json",
        "[]",
        "null",
        '{"type":7}',
        "[" * 50_000,
        b"\xff\xfe",
        {"type": "request"},
        {"type": "request", "requestId": 7, "attempt": 1},
        {"type": "request", "requestId": "r", "attempt": 0},
        {"type": "request", "requestId": "r", "attempt": "1"},
        {"type": "request_cancel"},
        {"type": "request_cancel", "requestId": "nobody's", "attempt": 1, "reason": 7},
        {"type": "request_settled", "requestId": "nobody's"},
        {"type": "request_settled", "requestId": "nobody's", "attempt": 1},
        {"type": "heartbeat_ack"},
        {"type": "worker_update_ack"},
        {"type": "worker_status_ack", "status": 7},
        {"type": "server_draining", "reconnectAfterMs": "soon"},
        {"type": "worker_registration_ack", "success": False},
    ],
)
def test_malformed_messages_do_no_harm(serve: Serve, server: DifficultServer, message: Any) -> None:
    peer = serve(coroutine)
    peer.send(message)
    peer.request("after", payload=1)
    peer.expect("request_ack", requestId="after")
    peer.expect("request_result", data={"got": 1})
    assert server.nobody_comes_for(0.05)


@pytest.mark.parametrize(
    "ack",
    [
        {"heartbeatIntervalMs": None},
        {"heartbeatIntervalMs": "often"},
        {"features": "request"},
        {"features": [1, None]},
        {"sessionId": 7},
        {"resumed": 7, "dropped": 7},
    ],
)
def test_malformed_acknowledgements_do_no_harm(server: DifficultServer, start: Start, ack: dict[str, Any]) -> None:
    worker = Worker(server.url, **QUICK)
    worker.handler()(coroutine)
    start(worker)
    for _ in range(2):
        peer = server.accept()
        peer.send("nonsense before the answer")
        peer.register(**ack)
        while not worker.send({"type": "still here"}):
            time.sleep(0.01)
        peer.expect("still here")
        peer.cut()
