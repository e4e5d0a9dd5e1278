"""No line and no error holds a token, or a URL's credentials or query."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import QUICK, Start
from difficult_server import DifficultServer
from hardlydifficult_worker import RequestContext, Worker, WorkerRejected
from hardlydifficult_worker.log import Log, silent_logger

TOKEN = "t0ken-of-the-worker"
SECRETS = (TOKEN, "passw0rd", "qu3ry")


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.LogCaptureFixture]:
    """All lines of all loggers, at the level at which most is written."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    for name in ("", "websockets", "websockets.client", "asyncio", "hardlydifficult_worker"):
        caplog.set_level(logging.DEBUG, logger=name)
    yield caplog
    formatter = logging.Formatter("%(name)s %(message)s")
    # The difficult server's own lines are of its logger: it is on the other side.
    lines = [formatter.format(record) for record in caplog.get_records("call") if record.name != "websockets.server"]
    assert lines
    for secret in SECRETS:
        assert not [line for line in lines if secret in line]


def secret_worker(server: DifficultServer, **options: Any) -> Worker:
    url = server.url.replace("://", "://user:passw0rd@") + "/?key=qu3ry"
    worker = Worker(url, **{"auth_token": TOKEN, **QUICK, **options})

    @worker.handler()
    async def handle(payload: Any, context: RequestContext) -> Any:
        raise RuntimeError(f"a program that writes {TOKEN} into its errors")

    return worker


def no_secret(error: BaseException) -> None:
    text = "".join(traceback.format_exception(error)) + repr(error) + repr(error.args)
    for secret in SECRETS:
        assert secret not in text


def test_a_whole_life_at_debug(server: DifficultServer, start: Start, everything: pytest.LogCaptureFixture) -> None:
    server.refuse(503)
    run = start(secret_worker(server))
    peer = server.accept()
    assert peer.register()["authToken"] == TOKEN
    peer.request()
    peer.expect("request_ack")
    peer.expect("request_error")
    peer.cut()
    peer = server.accept()
    peer.register()
    peer.send("nonsense")
    peer.close(4009, f"who are you, {TOKEN}?")
    peer = server.accept()
    peer.register()
    run.worker.close()
    run.result()


def test_a_rejection_that_repeats_the_token(
    server: DifficultServer, start: Start, everything: pytest.LogCaptureFixture
) -> None:
    run = start(secret_worker(server))
    peer = server.accept()
    peer.expect("worker_registration")
    peer.send({"type": "worker_registration_ack", "success": False, "error": f"bad token {TOKEN}"})
    peer.close(4001, f"bad token {TOKEN}")
    with pytest.raises(WorkerRejected) as raised:
        run.result()
    no_secret(raised.value)
    assert raised.value.reason == "bad token ***"
    logging.getLogger("hardlydifficult_worker").info("the end")


def test_a_token_function_that_fails(
    server: DifficultServer, start: Start, everything: pytest.LogCaptureFixture
) -> None:
    tokens = iter([TOKEN])

    def token() -> str:
        for each in tokens:
            return each
        raise RuntimeError(f"{TOKEN} has expired")

    run = start(secret_worker(server, auth_token=token, reconnect_max_attempts=1))
    peer = server.accept()
    peer.register()
    peer.cut()
    with pytest.raises(ConnectionError) as raised:
        run.result()
    no_secret(raised.value)


def test_refusals_and_lost_connections(
    server: DifficultServer, start: Start, everything: pytest.LogCaptureFixture
) -> None:
    server.refuse(302, Location=f"http://elsewhere/?{TOKEN}")
    run = start(secret_worker(server, reconnect_max_attempts=0))
    error = run.error()
    assert error is not None
    no_secret(error)
    for close in ("cut", "close"):
        run = start(secret_worker(server, reconnect_max_attempts=0))
        peer = server.accept()
        peer.register()
        if close == "cut":
            peer.cut()
        else:
            peer.close(4008, f"Slow consumer {TOKEN}")
        error = run.error()
        assert isinstance(error, ConnectionError)
        no_secret(error)
    logging.getLogger("hardlydifficult_worker").info("the end")


def test_the_logger_of_websockets_cannot_be_switched_on() -> None:
    logger = silent_logger()
    logging.getLogger().setLevel(logging.DEBUG)
    assert not logger.isEnabledFor(logging.DEBUG)
    assert not logger.isEnabledFor(logging.CRITICAL)
    assert logger.name not in logging.root.manager.loggerDict


def test_an_exception_that_cannot_be_shown_is_named(caplog: pytest.LogCaptureFixture) -> None:
    class HiddenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    log = Log(logging.getLogger("test"))
    log.error("It failed", error=HiddenError())
    assert "HiddenError" in caplog.text
