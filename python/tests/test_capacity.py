"""How much a worker does at a time: its capacity, attempts of one request, and streams that nobody takes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from conftest import Serve
from handlers import coroutine
from hardlydifficult_worker import RequestContext

MIB = 1024 * 1024


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
