"""Wrong options are errors at once, by name, without a secret."""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl
from typing import Any

import pytest

from hardlydifficult_worker import OptionError, Worker
from hardlydifficult_worker.options import bearer, check_options, parse_url

URL = "ws://127.0.0.1:1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("worker_id", 7),
        ("worker_id", ""),
        ("worker_id", "\ud800"),
        ("worker_name", b"name"),
        ("auth_token", 7),
        ("headers", ["a"]),
        ("headers", {"a b": "c"}),
        ("headers", {"a": "b\r\nc: d"}),
        ("headers", {"a": 1}),
        ("ssl", True),
        ("ssl", ssl.create_default_context()),
        ("proxy", 7),
        ("proxy", "socks5://proxy.example"),
        ("proxy", "https://proxy.example"),
        ("proxy", "http://"),
        ("capabilities", 7),
        ("capabilities", [("models", [])]),
        ("capabilities", {"models": [], "maxConcurrentRequests": 2, "metadata": {1, 2}}),
        ("models", "llama"),
        ("models", [7]),
        ("models", [{"displayName": "no id"}]),
        ("models", 7),
        ("concurrency", -1),
        ("concurrency", float("nan")),
        ("concurrency", float("inf")),
        ("concurrency", None),
        ("reconnect_initial_delay", -1),
        ("reconnect_initial_delay", "1"),
        ("reconnect_initial_delay", True),
        ("reconnect_max_delay", float("nan")),
        ("reconnect_max_attempts", -1),
        ("reconnect_max_attempts", 1.5),
        ("drain_timeout", None),
        ("handle_signals", 2),
        ("handle_signals", ["SIGTERM"]),
        ("logger", print),
    ],
)
def test_a_wrong_option_is_named(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=re.escape(name)) as raised:
        Worker(URL, **{name: value})
    assert isinstance(raised.value, TypeError)
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    "url", [None, 7, "", "http://a", "ws://", "ws:///a", "ws://a:70000", "ws://a b", "ws://[::1", "ws://a#b"]
)
def test_a_wrong_url_is_named(url: Any) -> None:
    with pytest.raises(OptionError, match="url must be a ws:// or wss:// URL"):
        Worker(url)


def test_no_message_holds_a_token_a_password_or_a_query() -> None:
    for url, options in [
        ("http://user:secret@a/?key=secret", {}),
        (URL, {"auth_token": ["secret"]}),
        (URL, {"headers": {"Authorization": "secret\n"}}),
        (URL, {"proxy": "socks5://user:secret@a/?key=secret"}),
    ]:
        with pytest.raises(OptionError) as raised:
            Worker(url, **options)  # type: ignore[arg-type]
        assert "secret" not in str(raised.value)


def test_capabilities_exclude_their_short_forms() -> None:
    capabilities = {"models": [], "maxConcurrentRequests": 2}
    with pytest.raises(OptionError, match="models or concurrency"):
        Worker(URL, capabilities=capabilities, models=["m"])
    with pytest.raises(OptionError, match="models or concurrency"):
        Worker(URL, capabilities=capabilities, concurrency=2)


def test_durations_may_be_infinite_and_zero() -> None:
    Worker(URL, drain_timeout=float("inf"), reconnect_initial_delay=0, reconnect_max_delay=2**40)


def test_the_default_id_is_the_same_for_the_whole_process() -> None:
    names: dict[str, Any] = {"worker_name": None, "auth_token": None, "headers": None, "ssl": None, "proxy": True}
    rest: dict[str, Any] = {
        "capabilities": None,
        "models": (),
        "concurrency": 1,
        "reconnect_initial_delay": 1,
        "reconnect_max_delay": 1,
        "reconnect_max_attempts": None,
        "drain_timeout": 1,
        "handle_signals": (),
    }
    first, second = (check_options(URL, worker_id=None, **names, **rest) for _ in range(2))
    assert re.fullmatch(rf"{re.escape(socket.gethostname())}-{os.getpid()}-[0-9a-f]{{4}}", first.worker_id)
    assert first.worker_id == second.worker_id == first.worker_name


def test_a_url_is_shown_without_credentials_and_query() -> None:
    url = parse_url("wss://user:pass@Example.com:8443/workers?key=1")
    assert str(url) == "wss://example.com:8443/workers"
    assert url.target == "wss://example.com:8443/workers?key=1"
    assert url.userinfo == ("user", "pass")
    assert (parse_url("wss://a").port, parse_url("ws://[::1]").port, parse_url("ws://[::1]").host) == (443, 80, "::1")


def test_a_token_that_no_header_can_hold_stays_out_of_the_upgrade() -> None:
    assert bearer("abc.DEF-123") == "Bearer abc.DEF-123"
    for token in (None, "", "a b", "ä", "a\nb"):
        assert bearer(token) is None


def test_a_second_handler_is_an_error() -> None:
    worker = Worker(URL)
    worker.handler()(lambda payload, context: payload)
    with pytest.raises(RuntimeError, match="handler already"):
        worker.handler(lambda payload, context: payload)
    with pytest.raises(OptionError, match="handler"):
        Worker(URL).handler()(7)  # type: ignore[type-var]


def test_a_logger_adapter_is_a_logger() -> None:
    Worker(URL, logger=logging.LoggerAdapter(logging.getLogger("test"), {}))
