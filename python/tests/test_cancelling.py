"""Cancelling each kind of handler, by the server, by time, and by what becomes of the connection."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from conftest import QUICK, Run, Start
from difficult_server import DifficultServer, Peer
from hardlydifficult_worker import RequestContext, Worker


class Seen:
    """What a handler noticed of its cancellation."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.cancelled = threading.Event()
        self.release = threading.Event()


def handlers(seen: Seen) -> dict[str, Callable[..., Any]]:
    async def coroutine(payload: Any, context: RequestContext) -> str:
        seen.started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            assert context.cancelled
            seen.cancelled.set()
            raise
        return "not cancelled"

    async def async_generator(payload: Any, context: RequestContext) -> AsyncIterator[int]:
        seen.started.set()
        try:
            yield 0
            await asyncio.sleep(60)
        finally:
            assert context.cancelled
            seen.cancelled.set()

    def plain(payload: Any, context: RequestContext) -> str:
        seen.started.set()
        while not context.cancelled:
            time.sleep(0.01)
        seen.cancelled.set()
        return "too late"

    def generator(payload: Any, context: RequestContext) -> Iterator[int]:
        seen.started.set()
        try:
            number = 0
            while True:
                yield number
                number += 1
                time.sleep(0.01)
        finally:
            seen.cancelled.set()

    def returns_coroutine(payload: Any, context: RequestContext) -> Any:
        return coroutine(payload, context)

    return {
        "coroutine": coroutine,
        "async generator": async_generator,
        "plain": plain,
        "generator": generator,
        "returns coroutine": returns_coroutine,
    }


KINDS = ["coroutine", "async generator", "plain", "generator", "returns coroutine"]


def begin(server: DifficultServer, start: Start, handler: Any, features: list[str] | None = None) -> tuple[Peer, Run]:
    worker = Worker(server.url, **QUICK)
    worker.handler()(handler)
    run = start(worker)
    peer = server.accept()
    peer.register(features, interval=50)
    return peer, run


def last_word(peer: Peer) -> dict[str, Any]:
    while (message := peer.receive())["type"] in ("request_ack", "request_chunk"):
        pass
    return message


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancelled_handler_ends_and_the_last_word_is_cancelled(
    server: DifficultServer, start: Start, kind: str
) -> None:
    seen = Seen()
    peer, _ = begin(server, start, handlers(seen)[kind])
    peer.request(stream=True)
    assert seen.started.wait(5)
    peer.send({"type": "request_cancel", "requestId": "r1", "attempt": 1, "reason": "aborted"})
    assert seen.cancelled.wait(5)
    end = last_word(peer)
    assert (end["type"], end["requestId"], end["attempt"]) == ("request_error", "r1", 1)
    assert end["error"]["code"] == "CANCELLED"
    assert peer.silent_for(0.1)


def test_the_last_word_waits_until_the_handler_has_returned_and_keeps_its_slot(
    server: DifficultServer, start: Start
) -> None:
    seen = Seen()

    def stubborn(payload: Any, context: RequestContext) -> str:
        seen.started.set()
        seen.release.wait(15)
        return "a result nobody wants"

    peer, _ = begin(server, start, stubborn)
    peer.request()
    peer.expect("request_ack")
    assert seen.started.wait(5)
    peer.send({"type": "request_cancel", "requestId": "r1", "attempt": 1, "reason": "timeout"})
    peer.request("r2")
    peer.expect("request_reject", requestId="r2")
    while not peer.heartbeats.empty():
        peer.heartbeats.get()
    assert peer.heartbeats.get(timeout=5)["active"] == ["r1"]
    seen.release.set()
    assert peer.expect("request_error", requestId="r1")["error"]["code"] == "CANCELLED"


def test_nothing_is_streamed_after_the_cancellation(server: DifficultServer, start: Start) -> None:
    seen = Seen()

    async def stubborn(payload: Any, context: RequestContext) -> AsyncIterator[int]:
        try:
            yield 0
            seen.started.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            context.progress("late")
            yield 1
            context.set_result("late")

    peer, _ = begin(server, start, stubborn)
    peer.request(stream=True)
    peer.expect("request_ack")
    peer.expect("request_chunk")
    assert seen.started.wait(5)
    peer.send({"type": "request_cancel", "requestId": "r1", "attempt": 1, "reason": "aborted"})
    assert peer.expect("request_error")["error"]["code"] == "CANCELLED"


def test_another_attempts_cancellation_is_not_this_ones(server: DifficultServer, start: Start) -> None:
    seen = Seen()
    peer, _ = begin(server, start, handlers(seen)["coroutine"])
    peer.request(attempt=2)
    peer.expect("request_ack")
    peer.send({"type": "request_cancel", "requestId": "r1", "attempt": 1, "reason": "superseded"})
    assert not seen.cancelled.wait(0.2)
    peer.send({"type": "request_cancel", "requestId": "r1", "reason": "unknown"})
    assert seen.cancelled.wait(5), "without an attempt it means whichever runs"
    peer.expect("request_error", attempt=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_whose_time_is_up_is_cancelled(server: DifficultServer, start: Start, kind: str) -> None:
    seen = Seen()
    peer, _ = begin(server, start, handlers(seen)[kind])
    peer.request(stream=True, timeoutMs=200)
    assert seen.cancelled.wait(5)
    end = last_word(peer)
    if kind == "plain":
        assert (end["type"], end["data"]) == ("request_result", "too late"), "the server judges what came in time"
    else:
        assert (end["type"], end["error"]["code"]) == ("request_error", "TIMEOUT")


def test_cancelling_before_the_handler_could_start(server: DifficultServer, start: Start) -> None:
    called: list[Any] = []
    blocked = threading.Event()
    seen = Seen()
    worker = Worker(server.url, **QUICK)

    @worker.on_message("block")
    def block(message: dict[str, Any]) -> None:
        blocked.set()
        seen.release.wait(15)

    @worker.handler()
    async def handle(payload: Any, context: RequestContext) -> None:
        called.append(payload)

    start(worker)
    peer = server.accept()
    peer.register()
    peer.send({"type": "block"})
    assert blocked.wait(5)
    peer.request()
    peer.expect("request_ack")
    peer.send({"type": "request_cancel", "requestId": "r1", "attempt": 1, "reason": "aborted"})
    peer.send({"type": "worker_update_ack"})
    assert peer.silent_for(0.2)
    seen.release.set()
    assert peer.expect("request_error")["error"]["code"] == "CANCELLED"
    assert called == []


@pytest.mark.parametrize("kind", KINDS)
def test_without_resume_a_lost_connection_cancels_everything_and_nothing_is_kept(
    server: DifficultServer, start: Start, kind: str
) -> None:
    seen = Seen()
    peer, _ = begin(server, start, handlers(seen)[kind], features=["request"])
    peer.request(stream=True)
    assert seen.started.wait(5)
    peer.cut()
    assert seen.cancelled.wait(5)
    peer = server.accept()
    assert "resume" not in peer.register(["request"])
    assert peer.silent_for(0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_closing_cancels_everything(server: DifficultServer, start: Start, kind: str) -> None:
    seen = Seen()
    peer, run = begin(server, start, handlers(seen)[kind])
    peer.request(stream=True)
    assert seen.started.wait(5)
    run.worker.close()
    run.result()
    assert seen.cancelled.wait(5)
    assert peer.wait_closed() == (1000, "")


def test_run_ends_although_a_handler_will_not(server: DifficultServer, start: Start) -> None:
    seen = Seen()

    async def stubborn(payload: Any, context: RequestContext) -> None:
        seen.started.set()
        for _ in range(100):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if seen.release.is_set():
                    raise

    peer, run = begin(server, start, stubborn)
    peer.request()
    assert seen.started.wait(5)
    run.worker.close()
    # The task that is left behind may say so when it is collected.
    run.result(10)
    seen.release.set()


def test_cancelling_serve_closes_the_connection(server: DifficultServer) -> None:
    seen = Seen()
    worker = Worker(server.url, **QUICK)
    worker.handler()(handlers(seen)["coroutine"])
    states: list[str] = []

    async def program() -> None:
        task = asyncio.create_task(worker.serve())
        await asyncio.to_thread(seen.started.wait, 15)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        states.append(worker.state)

    thread = threading.Thread(target=asyncio.run, args=(program(),))
    thread.start()
    peer = server.accept()
    peer.register()
    peer.request()
    thread.join(15)
    assert seen.cancelled.is_set()
    assert states == ["closed"]
    assert peer.wait_closed() == (1000, "")
