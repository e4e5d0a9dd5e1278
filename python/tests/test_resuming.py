"""What is kept when the connection is lost, and how it goes on."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Generator
from random import Random
from typing import Any

import pytest

from conftest import QUICK, Run, Start
from difficult_server import DifficultServer, Peer
from hardlydifficult_worker import RequestContext, Worker

MIB = 1024 * 1024


class Tap:
    """A handler that streams and returns what the test puts in."""

    def __init__(self) -> None:
        self.items: queue.Queue[Any] = queue.Queue()
        self.cancelled = threading.Event()

    def stream(self, payload: Any, context: RequestContext) -> Generator[Any, None, Any]:
        try:
            while (item := self._next(context)) != "end":
                yield item
            return "the result"
        finally:
            if context.cancelled:
                self.cancelled.set()

    def answer(self, payload: Any, context: RequestContext) -> Any:
        return self._next(context)

    def _next(self, context: RequestContext) -> Any:
        while True:
            try:
                return self.items.get(timeout=0.02)
            except queue.Empty:
                if context.cancelled:
                    self.cancelled.set()
                    return "end"


def begin(server: DifficultServer, start: Start, handler: Any, **options: Any) -> tuple[Peer, Run]:
    worker = Worker(server.url, **{**QUICK, **options})
    worker.handler()(handler)
    run = start(worker)
    peer = server.accept()
    peer.register()
    return peer, run


def resumed(*entries: tuple[str, int, int]) -> list[dict[str, Any]]:
    return [{"requestId": name, "attempt": attempt, "nextSeq": seq} for name, attempt, seq in entries]


def test_a_stream_goes_on_from_where_the_server_is(server: DifficultServer, start: Start) -> None:
    tap = Tap()
    peer, _ = begin(server, start, tap.stream)
    peer.request(stream=True)
    peer.expect("request_ack")
    for number in range(3):
        tap.items.put(number)
        peer.expect("request_chunk", seq=number)
    peer.cut()
    tap.items.put(3)
    again = server.accept()
    registration = again.register(resumed=resumed(("r1", 1, 1)))
    assert registration["resume"] == {
        "sessionId": peer.session_id,
        "requests": [{"requestId": "r1", "attempt": 1, "done": False}],
    }
    tap.items.put("end")
    for number in range(1, 4):
        again.expect("request_chunk", seq=number, data=number)
    again.expect("request_result", data="the result")


def test_an_end_is_sent_again_until_it_is_settled(server: DifficultServer, start: Start) -> None:
    tap = Tap()
    peer, _ = begin(server, start, tap.stream)
    peer.request(stream=True)
    peer.expect("request_ack")
    tap.items.put("a")
    tap.items.put("end")
    peer.expect("request_chunk")
    peer.expect("request_result")
    for _ in range(2):
        peer.cut()
        session_id = peer.session_id
        peer = server.accept()
        registration = peer.register(resumed=resumed(("r1", 1, 0)))
        assert registration["resume"]["sessionId"] == session_id
        assert registration["resume"]["requests"] == [{"requestId": "r1", "attempt": 1, "done": True}]
        peer.expect("request_chunk", seq=0, data="a")
        peer.expect("request_result", data="the result")
    peer.settle()
    peer.send({"type": "request", "requestId": "r2", "attempt": 1})
    peer.expect("request_ack")
    peer.cut()
    assert server.accept().register()["resume"]["requests"] == [{"requestId": "r2", "attempt": 1, "done": False}]


def test_what_ended_while_there_was_no_connection_is_delivered(server: DifficultServer, start: Start) -> None:
    tap = Tap()
    peer, _ = begin(server, start, tap.answer, concurrency=2)
    for name in ("r1", "r2"):
        peer.request(name)
        peer.expect("request_ack")
    server.refuse(503, Retry_After="1")
    peer.cut()
    server.refused.get(timeout=5)
    tap.items.put("one")
    tap.items.put("two")
    again = server.accept()
    requests = again.register(resumed=resumed(("r1", 1, 0), ("r2", 1, 0)))["resume"]["requests"]
    assert sorted(entry["requestId"] for entry in requests) == ["r1", "r2"]
    assert [entry["done"] for entry in requests] == [True, True]
    assert sorted(again.expect("request_result")["data"] for _ in range(2)) == ["one", "two"]


def test_an_end_between_registration_and_acknowledgement_is_not_lost(server: DifficultServer, start: Start) -> None:
    tap = Tap()
    peer, _ = begin(server, start, tap.answer)
    peer.request()
    peer.expect("request_ack")
    peer.cut()
    again = server.accept()
    registration = again.expect("worker_registration")
    assert registration["resume"]["requests"][0]["done"] is False
    tap.items.put("meanwhile")
    again.silent_for(0.2)
    again.send(
        {
            "type": "worker_registration_ack",
            "success": True,
            "sessionId": "new",
            "features": ["request", "resume"],
            "resumed": resumed(("r1", 1, 0)),
            "dropped": [],
        }
    )
    again.expect("request_result", data="meanwhile")


@pytest.mark.parametrize("ack", [{"dropped": ["r1"]}, {}, {"features": ["request"]}, {"features": []}])
def test_what_the_server_does_not_resume_is_cancelled_and_forgotten(
    server: DifficultServer, start: Start, ack: dict[str, Any]
) -> None:
    tap = Tap()
    peer, run = begin(server, start, tap.stream)
    peer.request(stream=True)
    peer.expect("request_ack")
    tap.items.put(0)
    peer.expect("request_chunk")
    peer.cut()
    again = server.accept()
    again.register(**ack)
    assert tap.cancelled.wait(5)
    assert again.silent_for(0.2)
    again.cut()
    last = server.accept().register()
    assert last.get("resume", {"requests": []})["requests"] == []
    assert run.running


def test_the_old_session_is_named_although_nothing_runs(server: DifficultServer, start: Start) -> None:
    peer, _ = begin(server, start, Tap().answer)
    peer.cut()
    again = server.accept()
    assert again.register()["resume"] == {"sessionId": peer.session_id, "requests": []}


def test_only_the_last_8_mib_are_kept(server: DifficultServer, start: Start) -> None:
    tap = Tap()
    peer, _ = begin(server, start, tap.stream)
    peer.request(stream=True)
    peer.expect("request_ack")
    for number in range(12):
        tap.items.put("x" * MIB)
        peer.expect("request_chunk", seq=number)
    peer.cut()
    again = server.accept()
    again.register(resumed=resumed(("r1", 1, 5)))
    for number in range(5, 12):
        again.expect("request_chunk", seq=number)
    again.cut()
    last = server.accept()
    last.register(resumed=resumed(("r1", 1, 4)))
    assert last.expect("request_error")["error"]["code"] == "RESUME_OVERFLOW"
    assert tap.cancelled.wait(5)
    assert last.silent_for(0.2)


def test_a_next_seq_beyond_what_was_sent_ends_the_request_as_well(server: DifficultServer, start: Start) -> None:
    tap = Tap()
    peer, _ = begin(server, start, tap.stream)
    peer.request(stream=True)
    peer.expect("request_ack")
    tap.items.put("a")
    peer.expect("request_chunk")
    peer.cut()
    again = server.accept()
    again.register(resumed=resumed(("r1", 1, 5)))
    assert again.expect("request_error")["error"]["code"] == "RESUME_OVERFLOW"
    assert tap.cancelled.wait(5)


def test_an_overflow_without_a_connection_ends_that_request_alone(server: DifficultServer, start: Start) -> None:
    overflowed = threading.Event()
    gone = threading.Event()

    async def handler(payload: Any, context: RequestContext) -> AsyncIterator[Any]:
        if payload == "small":
            await asyncio.to_thread(overflowed.wait, 15)
            yield "small"
            return
        try:
            yield "first"
            await asyncio.to_thread(gone.wait, 15)
            while True:
                yield "x" * MIB
        finally:
            overflowed.set()

    peer, _ = begin(server, start, handler, concurrency=2)
    peer.request("big", payload="big", stream=True)
    peer.expect("request_ack")
    peer.expect("request_chunk")
    peer.request("small", payload="small", stream=True)
    peer.expect("request_ack")
    server.refuse(503, Retry_After="1")
    peer.cut()
    server.refused.get(timeout=5)
    gone.set()
    assert overflowed.wait(5)
    again = server.accept()
    requests = again.register(resumed=resumed(("big", 1, 1), ("small", 1, 0)))["resume"]["requests"]
    assert {"requestId": "big", "attempt": 1, "done": True} in requests
    ends: dict[str, dict[str, Any]] = {}
    while len(ends) < 2:
        message = again.receive()
        assert message["type"] != "request_chunk" or message["requestId"] == "small"
        if message["type"] in ("request_error", "request_result"):
            ends[message["requestId"]] = message
    assert ends["big"]["error"]["code"] == "RESUME_OVERFLOW"
    assert ends["small"]["type"] == "request_result"


def test_a_request_that_was_cancelled_is_not_named(server: DifficultServer, start: Start) -> None:
    release = threading.Event()

    def stubborn(payload: Any, context: RequestContext) -> None:
        release.wait(15)

    peer, _ = begin(server, start, stubborn)
    peer.request()
    peer.expect("request_ack")
    peer.send({"type": "request_cancel", "requestId": "r1", "attempt": 1, "reason": "aborted"})
    peer.request("r2")
    peer.expect("request_reject")
    peer.cut()
    again = server.accept()
    assert again.register()["resume"]["requests"] == []
    again.request("r2")
    again.expect("request_reject", requestId="r2")
    again.request("r1")
    again.expect("request_reject", requestId="r1")
    release.set()
    assert again.silent_for(0.2), "the session it belonged to is gone"
    again.request("r1")
    again.expect("request_ack")


def test_many_cuts_in_a_stream_lose_and_double_nothing(server: DifficultServer, start: Start) -> None:
    async def handler(payload: Any, context: RequestContext) -> AsyncIterator[int]:
        for number in range(2000):
            yield number
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        context.set_result("done")

    peer, _ = begin(server, start, handler)
    peer.request(stream=True)
    peer.expect("request_ack")
    received: list[int] = []
    while True:
        message = peer.receive()
        if message["type"] == "request_result":
            break
        assert message["seq"] == len(received)
        received.append(message["data"])
        if len(received) % 300 == 0:
            peer.cut()
            peer = server.accept()
            peer.register(resumed=resumed(("r1", 1, len(received))))
    assert received == list(range(2000))


@pytest.mark.parametrize("kind", ["result", "chunk"])
def test_a_message_that_the_server_finds_too_big_is_not_sent_again(
    server: DifficultServer, start: Start, kind: str
) -> None:
    tap = Tap()
    peer, _ = begin(server, start, tap.answer if kind == "result" else tap.stream, concurrency=2)
    peer.request("big", stream=True)
    peer.expect("request_ack")
    tap.items.put("x" * MIB)
    peer.receive()
    peer.close(1009, "too big")
    again = server.accept()
    registration = again.register(resumed=resumed(("big", 1, 0)))
    assert registration["resume"]["requests"] == [{"requestId": "big", "attempt": 1, "done": True}]
    assert again.expect("request_error")["error"]["code"] == "MESSAGE_TOO_BIG"
    again.settle("big")
    again.request("r2", stream=True)
    again.expect("request_ack")


def test_a_session_without_an_id_cannot_be_resumed(server: DifficultServer, start: Start) -> None:
    tap = Tap()
    worker = Worker(server.url, **QUICK)
    worker.handler()(tap.stream)
    start(worker)
    peer = server.accept()
    peer.register(sessionId=None)
    peer.request(stream=True)
    peer.expect("request_ack")
    peer.cut()
    assert tap.cancelled.wait(5)
    assert "resume" not in server.accept().register()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_at_most_once_holds_through_cuts_at_random(server: DifficultServer, start: Start, seed: int) -> None:
    random = Random(seed)
    calls: list[str] = []
    kinds = ["async", "thread"]

    async def stream_async(payload: Any, context: RequestContext) -> AsyncIterator[Any]:
        calls.append(context.request_id)
        for number in range(payload):
            yield number
            await asyncio.sleep(0.001)
        context.set_result(payload)

    def stream(payload: Any, context: RequestContext) -> Generator[Any, None, Any]:
        calls.append(context.request_id)
        for number in range(payload):
            yield number
            time.sleep(0.001)
        return payload

    peer, _ = begin(server, start, stream_async if kinds[seed % 2] == "async" else stream, concurrency=8)
    waiting = {f"r{number}": random.randrange(60) for number in range(40)}
    sizes = dict(waiting)
    received: dict[str, int] = {}
    ended: set[str] = set()

    def send_more() -> None:
        while waiting and len(received) - len(ended) < 8:
            name, size = waiting.popitem()
            received[name] = 0
            peer.request(name, payload=size, stream=True)

    send_more()
    until_cut = random.randrange(1, 200)
    while len(ended) < 40:
        message = peer.receive()
        name = message["requestId"]
        if message["type"] == "request_chunk":
            # What comes twice after a resume is the server's to drop.
            assert message["seq"] <= received[name]
            assert message["data"] == message["seq"]
            received[name] = max(received[name], message["seq"] + 1)
        elif message["type"] == "request_result":
            assert message["data"] == received[name] == sizes[name]
            ended.add(name)
            peer.settle(name)
            send_more()
        else:
            assert message["type"] == "request_ack"
        until_cut -= 1
        if until_cut == 0:
            until_cut = random.randrange(1, 200)
            peer.cut()
            peer = server.accept()
            registration = peer.expect("worker_registration")
            named = {entry["requestId"] for entry in registration["resume"]["requests"]}
            running = set(received) - ended
            peer.send(
                {
                    "type": "worker_registration_ack",
                    "success": True,
                    "sessionId": peer.session_id,
                    "features": ["request", "resume"],
                    "resumed": resumed(*((each, 1, received[each]) for each in running & named)),
                    "dropped": sorted(named - running),
                }
            )
            # Requests that never arrived are lost to their callers: they would be sent again as another attempt.
            for lost in running - named:
                ended.add(lost)
                assert lost not in calls
            send_more()
    assert len(calls) == len(set(calls))
