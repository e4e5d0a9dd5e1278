"""request() and stream() of the real server with this worker, over lines that are cut."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

from conftest import QUICK, Listen, Run, Start
from hardlydifficult_worker import RequestContext, RequestError, Worker
from real_server import NodeServer, available
from relay import Relay

pytestmark = pytest.mark.skipif(not available, reason="needs Node and a checkout of the whole repository")

Begin = Callable[..., tuple[NodeServer, Relay, Run]]


@pytest.fixture
def begin(listen: Listen, start: Start) -> Iterator[Begin]:
    relays: list[Relay] = []

    def run(handler: Callable[..., Any], **options: Any) -> tuple[NodeServer, Relay, Run]:
        server = listen(heartbeatIntervalMs=50)
        relays.append(Relay(server.port))
        worker = Worker(f"ws://127.0.0.1:{relays[-1].port}", **{"worker_id": "w", **QUICK, **options})
        worker.handler()(handler)
        running = start(worker)
        server.expect("connected")
        return server, relays[-1], running

    yield run
    for relay in relays:
        relay.close()


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def next_of(server: NodeServer, *events: str) -> dict[str, Any]:
    """Return the next of these events, past those that come with every connection and request."""
    while True:
        told = server.next()
        if told["event"] not in ("connected", "disconnected", "request started", "updated") or told["event"] in events:
            assert told["event"] in events, told
            return told


def test_a_request_gets_its_result_its_progress_and_its_errors(begin: Begin) -> None:
    async def handler(payload: Any, context: RequestContext) -> Any:
        if payload == "fail":
            raise RequestError("no", code="E_NO", data=5)
        context.progress("half")
        return {"payload": payload, "model": context.model, "timed": context.remaining < 600}

    server, _, _ = begin(handler, models=["m"])
    server.tell("request", name="a", payload=1, options={"model": "m"})
    assert next_of(server, "progress")["data"] == "half"
    assert next_of(server, "result")["data"] == {"payload": 1, "model": "m", "timed": True}
    server.tell("request", name="b", payload="fail")
    failed = next_of(server, "failed")
    assert (failed["code"], failed["message"]) == ("WORKER_ERROR", "no")
    assert failed["data"] == {"message": "no", "code": "E_NO", "data": 5}


@pytest.mark.parametrize("kind", ["coroutine", "thread"])
def test_an_abort_reaches_the_handler_and_its_slot_is_free_when_it_has_returned(begin: Begin, kind: str) -> None:
    running = threading.Event()
    cancelled = threading.Event()

    async def coroutine(payload: Any, context: RequestContext) -> Any:
        if payload == "hang":
            running.set()
            try:
                await asyncio.sleep(60)
            finally:
                cancelled.set()
        return payload

    def plain(payload: Any, context: RequestContext) -> Any:
        if payload == "hang":
            running.set()
            wait_for(lambda: context.cancelled)
            cancelled.set()
        return payload

    server, _, _ = begin(coroutine if kind == "coroutine" else plain)
    server.tell("request", name="hanging", payload="hang")
    # A worker acknowledges a request before its handler runs, and a task that is cancelled before it runs never does.
    assert running.wait(10)
    server.tell("abort", name="hanging")
    assert next_of(server, "failed")["message"] == "mine"
    server.tell("request", name="next", payload="next")
    assert next_of(server, "result")["data"] == "next"
    assert cancelled.is_set()


@pytest.mark.parametrize("kind", ["async", "thread"])
def test_a_stream_over_a_line_that_is_cut_arrives_whole_once_and_in_order(begin: Begin, kind: str) -> None:
    calls = 0

    async def async_numbers(payload: Any, context: RequestContext) -> AsyncIterator[int]:
        nonlocal calls
        calls += 1
        for number in range(120):
            await asyncio.sleep(0.002)
            yield number
        context.set_result("end")

    def numbers(payload: Any, context: RequestContext) -> Generator[int, None, str]:
        nonlocal calls
        calls += 1
        for number in range(120):
            time.sleep(0.002)
            yield number
        return "end"

    server, relay, _ = begin(async_numbers if kind == "async" else numbers)
    server.tell("stream", name="s", payload={})
    received = []
    while (told := next_of(server, "chunk", "result"))["event"] == "chunk":
        received.append(told["chunk"])
        if told["chunk"] % 40 == 20:
            relay.cut()
    assert received == list(range(120))
    assert told["data"] == "end"
    assert calls == 1


def test_a_result_that_is_ready_while_the_line_is_cut_arrives(begin: Begin) -> None:
    release = threading.Event()
    calls: list[Any] = []

    def handler(payload: Any, context: RequestContext) -> Any:
        calls.append(payload)
        release.wait(15)
        return 42

    server, relay, _ = begin(handler)
    server.tell("request", name="a", payload=1)
    wait_for(lambda: calls == [1])
    relay.cut()
    release.set()
    assert next_of(server, "result")["data"] == 42
    assert calls == [1]


def test_more_than_the_capacity_waits_and_each_is_done_once(begin: Begin) -> None:
    most = running = 0
    lock = threading.Lock()

    def handler(payload: Any, context: RequestContext) -> Any:
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return payload

    server, _, _ = begin(handler, concurrency=3)
    for number in range(30):
        server.tell("request", name=f"r{number}", payload=number)
    assert sorted(next_of(server, "result")["data"] for _ in range(30)) == list(range(30))
    assert most == 3


def test_an_update_changes_what_the_server_knows_or_raises_its_words(begin: Begin) -> None:
    server, _, run = begin(lambda payload, context: payload)
    asyncio.run(run.worker.update(models=["new"], concurrency=3))
    capabilities = {"models": [{"modelId": "new"}], "maxConcurrentRequests": 3}
    assert next_of(server, "updated")["worker"]["capabilities"] == capabilities
    with pytest.raises(ValueError, match=r"^Invalid update: capabilities\.models"):
        asyncio.run(run.worker.update({"models": "none", "maxConcurrentRequests": 3}))
    server.tell("workers")
    assert next_of(server, "workers")["workers"][0]["capabilities"] == capabilities


def test_a_worker_that_drains_finishes_what_it_has_and_leaves(begin: Begin) -> None:
    release = threading.Event()

    def handler(payload: Any, context: RequestContext) -> Any:
        release.wait(15)
        return "done"

    server, _, run = begin(handler)
    server.tell("request", name="a", payload=1)
    next_of(server, "request started")
    drained = threading.Thread(target=asyncio.run, args=(run.worker.drain(),))
    drained.start()
    assert next_of(server, "updated")["worker"]["status"] == "draining"
    release.set()
    assert next_of(server, "result")["data"] == "done"
    run.result()
    drained.join(15)


def test_a_worker_that_the_server_lets_go_does_not_come_back(begin: Begin) -> None:
    server, _, run = begin(lambda payload, context: payload)
    server.tell("disconnect", id="w")
    run.result()
