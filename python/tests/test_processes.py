"""Workers as processes: signals, suspension, and handlers that hold the event loop or the GIL.

The handlers hold for a few seconds; WORKER_HOLD_SECONDS=60 makes it the minute that the documentation speaks of.
"""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from difficult_server import DifficultServer

CHILD = pathlib.Path(__file__).with_name("child.py")
HOLD_SECONDS = float(os.environ.get("WORKER_HOLD_SECONDS", "3"))

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")


class Child:
    def __init__(self, server: DifficultServer, kind: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD), server.url, kind], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.peer = server.accept()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for the process, and return its exit status and what it had left to say."""
        out, _ = self.process.communicate(timeout=15)
        return self.process.returncode, out


Spawn = Callable[[str], Child]


@pytest.fixture
def spawn(server: DifficultServer) -> Iterator[Spawn]:
    children: list[Child] = []

    def begin(kind: str) -> Child:
        children.append(Child(server, kind))
        return children[-1]

    yield begin
    for child in children:
        if child.process.poll() is None:
            child.process.kill()
        child.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_the_process_ends_by_itself(spawn: Spawn, number: signal.Signals) -> None:
    child = spawn("sleep")
    child.peer.register()
    child.peer.request(payload=0.5)
    child.peer.expect("request_ack")
    assert child.line() == "started"
    child.signal(number)
    child.peer.expect("worker_status", status="draining", reason=number.name)
    child.peer.send({"type": "worker_status_ack", "status": "draining"})
    child.peer.expect("request_result", data="slept")
    assert child.peer.wait_closed() == (1000, "")
    assert child.end() == (0, "listeners left\nreturned closed\n")


def test_a_second_signal_closes_at_once(spawn: Spawn) -> None:
    child = spawn("sleep")
    child.peer.register()
    child.peer.request(payload=60)
    assert child.line() == "started"
    child.signal(signal.SIGTERM)
    child.peer.expect("request_ack")
    child.peer.expect("worker_status")
    child.signal(signal.SIGINT)
    assert child.end() == (0, "cancelled\nlisteners left\nreturned closed\n")
    assert child.peer.wait_closed() == (1000, "")


def test_signals_are_heard_while_a_handler_holds_the_event_loop(spawn: Spawn) -> None:
    child = spawn("loop")
    child.peer.register()
    child.peer.request(payload=2)
    child.peer.expect("request_ack")
    assert child.line() == "started"
    child.signal(signal.SIGTERM)
    child.peer.expect("worker_status", status="draining")
    child.peer.send({"type": "worker_status_ack", "status": "draining"})
    child.peer.expect("request_result", data="held")
    assert child.end()[0] == 0


@pytest.mark.parametrize("kind", ["loop", "gil"])
def test_a_handler_that_holds_the_loop_or_the_gil_misses_no_heartbeat(spawn: Spawn, kind: str) -> None:
    child = spawn(kind)
    child.peer.register(interval=200)
    child.peer.request(payload=HOLD_SECONDS)
    child.peer.expect("request_ack")
    assert child.line() == "started"
    while child.peer.heartbeats.get(timeout=4)["active"] != ["r1"]:
        pass
    beats = 1
    # A server would call the worker unhealthy after some intervals without one.
    while child.peer.heartbeats.get(timeout=4)["active"] == ["r1"]:
        beats += 1
    assert beats >= HOLD_SECONDS / 3
    child.peer.expect("request_result", data="held")


def test_a_connection_that_is_lost_while_the_loop_is_held_comes_back(spawn: Spawn, server: DifficultServer) -> None:
    child = spawn("loop")
    child.peer.register()
    child.peer.request(payload=3)
    child.peer.expect("request_ack")
    assert child.line() == "started"
    child.peer.cut()
    again = server.accept(timeout=2)
    again.register(resumed=[{"requestId": "r1", "attempt": 1, "nextSeq": 0}])
    again.expect("request_result", data="held")


def test_a_suspended_process_finds_its_connection_alive(spawn: Spawn, server: DifficultServer) -> None:
    child = spawn("sleep")
    child.peer.register(interval=100)
    child.peer.request(payload=8)
    child.peer.expect("request_ack")
    child.peer.heartbeats.get(timeout=5)
    # Nobody answers the heartbeat under way before the process stops, so its answer is overdue when it wakes up.
    child.peer.acknowledge = False
    time.sleep(0.3)
    child.signal(signal.SIGSTOP)
    time.sleep(6)
    child.peer.acknowledge = True
    child.signal(signal.SIGCONT)
    child.peer.expect("request_result", data="slept")
    assert server.nobody_comes_for(0.1)


def test_a_process_that_was_suspended_for_too_long_comes_back(spawn: Spawn, server: DifficultServer) -> None:
    child = spawn("sleep")
    child.peer.register(interval=100)
    child.signal(signal.SIGSTOP)
    child.peer.cut()
    time.sleep(0.5)
    child.signal(signal.SIGCONT)
    server.accept().register()
