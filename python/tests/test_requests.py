"""Requests: the four kinds of handlers, what they are given, and what becomes of what they return, yield and raise."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

from conftest import QUICK, Start
from difficult_server import DifficultServer, Peer
from hardlydifficult_worker import RequestContext, RequestError, Worker

MIB = 1024 * 1024


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


@pytest.fixture
def serve(server: DifficultServer, start: Start) -> Callable[..., Peer]:
    """Start a worker with this handler, and return its connection, registered."""

    def begin(handler: Callable[..., Any], *, features: list[str] | None = None, **options: Any) -> Peer:
        worker = Worker(server.url, **{**QUICK, **options})
        worker.handler()(handler)
        start(worker)
        peer = server.accept()
        peer.register(features)
        return peer

    return begin


Serve = Callable[..., Peer]

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


class TestCapacity:
    @pytest.mark.parametrize("in_thread", [False, True])
    def test_beyond_it_requests_are_rejected_as_busy(self, serve: Serve, in_thread: bool) -> None:
        release = threading.Event()
        most = 0
        running = 0
        lock = threading.Lock()

        def enter(by: int) -> None:
            nonlocal most, running
            with lock:
                running += by
                most = max(most, running)

        def work(payload: Any, context: RequestContext) -> None:
            enter(1)
            release.wait(15)
            enter(-1)

        async def handler(payload: Any, context: RequestContext) -> None:
            enter(1)
            while not release.is_set():
                await asyncio.sleep(0.01)
            enter(-1)

        peer = serve(work if in_thread else handler, concurrency=2)
        for number in range(4):
            peer.request(f"r{number}")
        for number in range(2):
            peer.expect("request_ack", requestId=f"r{number}")
        for number in (2, 3):
            assert peer.receive() == {
                "type": "request_reject",
                "requestId": f"r{number}",
                "attempt": 1,
                "reason": "busy",
            }
        release.set()
        for _ in range(2):
            peer.expect("request_result")
        peer.request("r2", attempt=2)
        peer.expect("request_ack")
        peer.expect("request_result")
        assert most == 2

    def test_none_means_none(self, serve: Serve) -> None:
        peer = serve(coroutine, concurrency=0)
        peer.request()
        peer.expect("request_reject")

    def test_half_a_slot_is_none(self, serve: Serve) -> None:
        peer = serve(coroutine, concurrency=0.5)
        peer.request()
        peer.expect("request_reject")

    def test_the_same_attempt_again_is_ignored(self, serve: Serve) -> None:
        release = threading.Event()
        calls: list[Any] = []

        def handler(payload: Any, context: RequestContext) -> None:
            calls.append(payload)
            release.wait(15)

        peer = serve(handler, concurrency=5)
        peer.request(attempt=2)
        peer.expect("request_ack")
        peer.request(attempt=2)
        peer.request(attempt=1)
        assert peer.silent_for(0.2)
        release.set()
        peer.expect("request_result", attempt=2)
        peer.request(attempt=2)
        assert peer.silent_for(0.2), "it has ended, and the server has not settled it yet"
        assert len(calls) == 1

    def test_an_id_may_be_used_again_once_it_is_settled(self, serve: Serve) -> None:
        peer = serve(coroutine)
        for payload in (1, 2):
            peer.request(payload=payload)
            peer.expect("request_ack")
            peer.expect("request_result", data={"got": payload})
            peer.settle()

    def test_without_resume_it_may_be_used_again_at_once(self, serve: Serve) -> None:
        peer = serve(coroutine, features=["request"])
        for payload in (1, 2):
            peer.request(payload=payload)
            peer.expect("request_ack")
            peer.expect("request_result", data={"got": payload})

    def test_a_higher_attempt_is_a_request_of_its_own_and_aborts_the_old_one(self, serve: Serve) -> None:
        started, aborted = threading.Event(), threading.Event()

        async def handler(payload: Any, context: RequestContext) -> Any:
            if context.attempt == 2:
                return "second"
            started.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                aborted.set()
                raise

        peer = serve(handler, concurrency=2)
        peer.request(attempt=1)
        peer.expect("request_ack", attempt=1)
        assert started.wait(5)
        peer.request(attempt=2)
        peer.expect("request_ack", attempt=2)
        assert aborted.wait(5)
        ends = sorted((peer.receive() for _ in range(2)), key=lambda message: message["attempt"])
        assert [(end["type"], end["attempt"]) for end in ends] == [("request_error", 1), ("request_result", 2)]
        assert ends[0]["error"]["code"] == "SUPERSEDED"


class TestBackpressure:
    @pytest.mark.parametrize("kind", ["async", "thread"])
    def test_a_generator_is_asked_for_more_only_while_less_than_1_mib_waits(self, serve: Serve, kind: str) -> None:
        asked = 0
        chunk = "x" * (MIB // 16)

        async def async_handler(payload: Any, context: RequestContext) -> AsyncIterator[str]:
            nonlocal asked
            for _ in range(1024):
                asked += 1
                yield chunk

        def handler(payload: Any, context: RequestContext) -> Iterator[str]:
            nonlocal asked
            for _ in range(1024):
                asked += 1
                yield chunk

        peer = serve(async_handler if kind == "async" else handler)
        peer.freeze()
        peer.request(stream=True)
        before = -1
        while before != asked or asked == 0:
            before = asked
            time.sleep(0.3)
        # What the kernel buffers on both sides is not known, but it is far from 64 MiB.
        assert asked < 512
        peer.thaw()
        peer.expect("request_ack")
        for seq in range(1024):
            peer.expect("request_chunk", seq=seq)
        peer.expect("request_result")
        assert asked == 1024

    def test_a_generator_that_never_waits_leaves_the_loop_to_others(self, serve: Serve) -> None:
        async def handler(payload: Any, context: RequestContext) -> AsyncIterator[int]:
            number = 0
            while payload == "endless":
                number += 1
                yield number

        peer = serve(handler, concurrency=2)
        peer.request("endless", payload="endless")
        peer.expect("request_ack")
        peer.request("quick", payload="quick")
        peer.expect("request_ack", requestId="quick")
        peer.expect("request_result", requestId="quick")


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
