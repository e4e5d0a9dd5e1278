"""Heartbeats: when they come, what they name, and what their silence means."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from conftest import QUICK, Start, echo_worker
from difficult_server import DifficultServer
from hardlydifficult_worker import Worker, session
from relay import Relay


class TestHeartbeats:
    def test_they_come_at_the_servers_interval_and_name_what_runs(self, server: DifficultServer, start: Start) -> None:
        release = threading.Event()
        worker = Worker(server.url, worker_id="w", concurrency=2, **QUICK)

        @worker.handler()
        def handle(payload: Any, context: Any) -> None:
            release.wait(15)

        start(worker)
        peer = server.accept()
        peer.register(interval=50)
        beat = peer.heartbeats.get(timeout=5)
        assert list(beat) == ["type", "workerId", "timestamp", "active"]
        assert (beat["workerId"], beat["active"]) == ("w", [])
        peer.request("r1")
        peer.request("r2")
        for _ in range(2):
            peer.expect("request_ack")
        while peer.heartbeats.get(timeout=5)["active"] != ["r1", "r2"]:
            pass
        release.set()
        for _ in range(2):
            peer.expect("request_result")
        while peer.heartbeats.get(timeout=5)["active"] != []:
            pass

    def test_a_server_that_does_not_know_the_feature_gets_plain_ones(
        self, server: DifficultServer, start: Start
    ) -> None:
        start(echo_worker(server.url))
        peer = server.accept()
        peer.register(features=[], interval=50)
        assert "active" not in peer.heartbeats.get(timeout=5)

    def test_nobody_who_answers_late_is_lost(self, server: DifficultServer, start: Start) -> None:
        start(echo_worker(server.url))
        peer = server.accept()
        peer.acknowledge = False
        peer.register(interval=100)
        deadline = time.monotonic() + 7
        while time.monotonic() < deadline:
            beat = peer.heartbeats.get(timeout=5)
            time.sleep(0.5)
            peer.send({"type": "heartbeat_ack", "timestamp": beat["timestamp"]})
            while peer.heartbeats.qsize() > 5:
                peer.heartbeats.get()
        assert server.nobody_comes_for(0.1)

    def test_a_connection_whose_heartbeats_fail_is_given_up(
        self, server: DifficultServer, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> str:
            raise RuntimeError("the clock is gone")

        monkeypatch.setattr(session, "timestamp", fail)
        start(echo_worker(server.url))
        server.accept().register(interval=50)
        server.accept().expect("worker_registration")
        assert "the clock is gone" in caplog.text

    def test_a_half_open_connection_is_given_up_after_5_s(self, server: DifficultServer, start: Start) -> None:
        start(echo_worker(server.url))
        peer = server.accept()
        peer.register(interval=100)
        peer.heartbeats.get(timeout=5)
        frozen_at = time.monotonic()
        peer.freeze()
        server.accept(timeout=12).register()
        assert time.monotonic() - frozen_at >= 4

    def test_a_result_that_takes_long_to_be_sent_over_a_slow_line_costs_no_connection(
        self, server: DifficultServer, start: Start
    ) -> None:
        relay = Relay(server.port, bytes_per_second=2_500_000)
        try:
            worker = Worker(f"ws://127.0.0.1:{relay.port}", models=["m"], **QUICK)
            worker.handler()(lambda payload, context: "x" * 25_000_000)
            start(worker)
            peer = server.accept()
            peer.register(interval=500)
            peer.request()
            peer.expect("request_ack")
            result = peer.receive(timeout=40)
            assert (result["type"], len(result["data"])) == ("request_result", 25_000_000)
            assert server.nobody_comes_for(0.1)
        finally:
            relay.close()
