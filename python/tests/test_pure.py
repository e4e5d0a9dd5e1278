"""The parts without I/O: waits, the proxy, what is kept for a resume, overdue heartbeats, messages."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest

from hardlydifficult_worker import RequestError
from hardlydifficult_worker.backoff import Backoff, Loss, parse_retry_after
from hardlydifficult_worker.heartbeats import Heartbeats, interval_from_ms
from hardlydifficult_worker.proxy import ProxyAddress, bypasses_proxy, choose_proxy
from hardlydifficult_worker.replay import ReplayStore
from hardlydifficult_worker.wire import Malformed, decode, encode, error_message, parse_ack, parse_request, timestamp
from hardlydifficult_worker.within import within

KEY = ("r1", 1)


class TestBackoff:
    def test_the_wait_is_drawn_from_0_and_its_limit_doubles_up_to_the_longest(self) -> None:
        drawn: list[tuple[float, float]] = []

        def uniform(low: float, high: float) -> float:
            drawn.append((low, high))
            return high

        backoff = Backoff(1, 30, math.inf, uniform)
        delays = [backoff.next_delay(Loss()) for _ in range(7)]
        assert delays == [1, 2, 4, 8, 16, 30, 30]
        assert {low for low, _ in drawn} == {0}
        assert backoff.next_delay(Loss(registered=True)) == 1
        assert backoff.next_delay(Loss()) == 2
        for _ in range(5000):
            assert backoff.next_delay(Loss()) is not None

    def test_as_many_failures_in_a_row_as_allowed_end_it(self) -> None:
        backoff = Backoff(1, 30, 2)
        for _ in range(3):
            assert backoff.next_delay(Loss()) is not None
            assert backoff.next_delay(Loss(registered=True)) is not None
        assert backoff.next_delay(Loss()) is not None
        assert backoff.next_delay(Loss()) is None
        assert Backoff(1, 30, 0).next_delay(Loss(registered=True)) is None
        assert Backoff(1, 30, 0).next_delay(Loss()) is None

    def test_retry_after_is_the_least_and_a_drawn_time_is_what_is_waited(self) -> None:
        backoff = Backoff(1, 30, math.inf)
        assert 7 <= (backoff.next_delay(Loss(retry_after=7)) or 0) <= 8
        assert backoff.next_delay(Loss(code=1001, reconnect_after=1.83)) == 1.83

    @pytest.mark.parametrize(
        ("loss", "code"),
        [
            (Loss(4001, "Authentication failed"), 4001),
            (Loss(4002, "Invalid registration", "Invalid registration: models: missing"), 4002),
            (Loss(4003, "Replaced by new connection"), 4003),
            (Loss(1006, "", "Invalid authentication token"), 4001),
            (Loss(1006, "", "Invalid registration: models: missing"), 4002),
            (Loss(1006, "", "Id in use"), None),
            (Loss(4003, "Heartbeat timeout"), None),
            (Loss(4009, "Id in use"), None),
            (Loss(1001, "Server shutting down"), None),
            (Loss(1006), None),
        ],
    )
    def test_which_ends_are_final(self, loss: Loss, code: int | None) -> None:
        rejection = loss.rejection()
        assert (None if rejection is None else rejection.code) == code
        if rejection is not None:
            assert rejection.reason == loss.reason or loss.code == 1006
            assert loss.detail is None or loss.detail in str(rejection)
        assert not loss.let_go
        assert Loss(1000).let_go

    def test_retry_after_is_seconds_or_a_date(self) -> None:
        now = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
        assert parse_retry_after(" 30 ", now) == 30
        assert parse_retry_after("Sat, 31 Jan 2026 12:00:10 GMT", now) == 10
        assert parse_retry_after("Sat, 31 Jan 2026 11:00:00 GMT", now) == 0
        for wrong in (None, "", "soon", "-1", "1.5", "9" * 5000, "Sat, 99 Jan 2026 12:00:10 GMT"):
            assert parse_retry_after(wrong, now) is None


class TestProxy:
    ENV: ClassVar = {"HTTPS_PROXY": "http://secure:1", "HTTP_PROXY": "http://plain:2", "ALL_PROXY": "all:3"}

    @pytest.mark.parametrize(
        ("secure", "env", "expected"),
        [
            (True, ENV, ProxyAddress("secure", 1)),
            (False, ENV, ProxyAddress("plain", 2)),
            (True, {"ALL_PROXY": "all:3"}, ProxyAddress("all", 3)),
            (False, {"ALL_PROXY": "all:3"}, ProxyAddress("all", 3)),
            (True, {"HTTP_PROXY": "http://plain:2"}, None),
            (True, {**ENV, "https_proxy": "http://lower"}, ProxyAddress("lower", 80)),
            (True, {**ENV, "NO_PROXY": "gpu.example"}, None),
            (True, {}, None),
        ],
    )
    def test_what_the_environment_says(self, secure: bool, env: dict[str, str], expected: ProxyAddress | None) -> None:
        assert choose_proxy(secure, "gpu.example", 443, True, env) == expected

    def test_the_option_comes_before_the_environment(self) -> None:
        env = {**self.ENV, "NO_PROXY": "*"}
        other = ProxyAddress("other", 8, ("u", "p@"))
        assert choose_proxy(True, "a.example", 443, "http://u:p%40@other:8", env) == other
        assert choose_proxy(True, "a.example", 443, "http://u@[::1]", env) == ProxyAddress("::1", 80, ("u", ""))
        assert choose_proxy(True, "a.example", 443, False, self.ENV) is None
        assert choose_proxy(True, "a.example", 443, None, self.ENV) is None

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"])
    def test_loopback_never_goes_through_one(self, host: str) -> None:
        assert choose_proxy(True, host, 443, True, self.ENV) is None
        assert choose_proxy(True, host, 443, "http://proxy:1", {}) is None
        assert choose_proxy(True, "::ffff:127.0.0.1", 443, True, self.ENV) is None

    @pytest.mark.parametrize("value", ["socks5://p:1", "https://p:1", "ftp://p", "http://p:x", "http://"])
    def test_another_scheme_is_an_error_that_names_the_variable_and_no_secret(self, value: str) -> None:
        for secret in (value, value.replace("://", "://user:secret@")):
            with pytest.raises(TypeError, match="ALL_PROXY must be") as raised:
                choose_proxy(True, "a.example", 443, True, {"ALL_PROXY": secret})
            assert "secret" not in str(raised.value)

    @pytest.mark.parametrize(
        ("no_proxy", "bypassed"),
        [
            ("*", True),
            ("a.example", True),
            ("example", True),
            (".example", True),
            ("*.example", True),
            ("other, A.Example.", True),
            ("a.example:443", True),
            ("a.example:80", False),
            ("b.a.example", False),
            ("xample", False),
            ("", False),
            (",", False),
        ],
    )
    def test_no_proxy_by_name(self, no_proxy: str, bypassed: bool) -> None:
        assert bypasses_proxy("a.example", 443, no_proxy) is bypassed

    @pytest.mark.parametrize(
        ("host", "no_proxy", "bypassed"),
        [
            ("10.1.2.3", "10.0.0.0/8", True),
            ("11.1.2.3", "10.0.0.0/8", False),
            ("10.1.2.3", "10.1.2.3", True),
            ("10.1.2.3", "10.1.2.3:443", True),
            ("10.1.2.3", "2.3", False),
            ("fd00::1", "fd00::/8", True),
            ("fd00::1", "[fd00::1]:443", True),
            ("10.1.2.3", "10.0.0.0/99", False),
        ],
    )
    def test_no_proxy_by_address(self, host: str, no_proxy: str, bypassed: bool) -> None:
        assert bypasses_proxy(host, 443, no_proxy) is bypassed


class TestReplay:
    def test_chunks_go_on_from_where_the_server_is(self) -> None:
        store = ReplayStore()
        for frame in (b"0", b"1", b"2"):
            store.add_chunk(KEY, frame)
        assert store.chunks_from(KEY, 1) == [b"1", b"2"]
        assert store.chunks_from(KEY, 3) == []
        assert store.chunks_from(KEY, 4) is None
        assert store.chunks_from(("other", 1), 0) == []
        assert store.chunks_from(("other", 1), 1) is None

    def test_the_oldest_chunks_of_a_stream_make_room_for_its_newest(self) -> None:
        store = ReplayStore(max_stream_bytes=4)
        assert store.add_chunk(KEY, b"aa") == set()
        assert store.add_chunk(KEY, b"bb") == set()
        assert store.add_chunk(KEY, b"c") == {KEY}
        assert store.chunks_from(KEY, 0) is None
        assert store.chunks_from(KEY, 1) == [b"bb", b"c"]
        assert store.add_chunk(KEY, b"d") == set()
        assert store.chunks_from(KEY, 1) == [b"bb", b"c", b"d"]
        assert store.add_chunk(KEY, b"a chunk that is too large") == {KEY}
        assert store.chunks_from(KEY, 4) is None
        assert store.total_bytes == 0

    def test_all_streams_together_have_a_bound_and_the_largest_pays(self) -> None:
        store = ReplayStore(max_stream_bytes=100, max_total_bytes=10)
        for frame in (b"aaaa", b"aaaa"):
            store.add_chunk(KEY, frame)
        assert store.add_chunk(("r2", 1), b"bb") == set()
        assert store.add_chunk(("r2", 1), b"b") == {KEY}
        assert store.chunks_from(("r2", 1), 0) == [b"bb", b"b"]
        assert store.chunks_from(KEY, 0) is None
        assert store.total_bytes == 7
        store.forget(KEY)
        store.forget_all()
        assert store.total_bytes == 0

    def test_an_end_is_kept_until_it_is_settled_or_too_old(self) -> None:
        store = ReplayStore(keep_ends_seconds=300)
        store.add_end(KEY, b"end", now=0)
        store.add_end(("r2", 1), b"end", now=200)
        store.expire(299)
        assert store.unsettled() == [KEY, ("r2", 1)]
        store.expire(300)
        assert store.unsettled() == [("r2", 1)]
        store.forget(("r2", 1))
        assert store.unsettled() == []
        assert store.end_of(KEY) is None

    def test_an_end_that_needs_no_chunks_is_all_that_is_sent(self) -> None:
        store = ReplayStore()
        store.add_chunk(KEY, b"0")
        store.drop_chunks(KEY)
        store.add_end(KEY, b"end", now=0)
        assert store.chunks_from(KEY, 0) == []
        assert store.total_bytes == 0


class TestHeartbeats:
    def test_one_is_overdue_an_interval_after_it_was_sent_but_5_s_at_least(self) -> None:
        for interval, lateness in ((0.2, 5), (15, 15)):
            beats = Heartbeats(interval, now=0)
            beats.sent("a", now=1)
            beats.progress((1, 0), waiting=False, now=100)
            assert not beats.overdue(lateness + 0.9)
            assert beats.overdue(lateness + 1)

    def test_an_answer_is_for_all_that_was_sent_before(self) -> None:
        beats = Heartbeats(15, now=0)
        for at, name in enumerate("abc"):
            beats.sent(name, now=at)
        beats.progress((3, 0), waiting=False, now=1000)
        beats.acknowledged("b")
        assert beats.deadline() == 2 + 15
        beats.acknowledged(None)
        beats.acknowledged("nobody's")
        assert beats.deadline() == 1000 + 15

    def test_a_socket_that_takes_nothing_is_lost_although_no_heartbeat_could_be_sent(self) -> None:
        beats = Heartbeats(1, now=0)
        beats.progress((1, 500), waiting=True, now=1)
        beats.progress((1, 400), waiting=True, now=2)
        beats.progress((1, 400), waiting=True, now=3)
        assert not beats.overdue(6.9)
        assert beats.overdue(7)

    def test_time_in_which_the_process_did_not_run_does_not_count(self) -> None:
        beats = Heartbeats(1, now=0)
        beats.sent("a", now=0)
        beats.shift(60)
        assert not beats.overdue(64)
        assert beats.overdue(65)

    @pytest.mark.parametrize("value", [None, "15000", 0, -1, True, float("nan"), [], {}])
    def test_an_interval_that_is_none_is_the_default(self, value: Any) -> None:
        assert interval_from_ms(value) == 15

    def test_an_interval_is_in_seconds_and_never_spins(self) -> None:
        assert interval_from_ms(200) == 0.2
        assert interval_from_ms(1e-9) == 0.01
        assert interval_from_ms(10**400) == math.inf


class TestWire:
    def test_json_holds_what_javascript_reads(self) -> None:
        assert encode({"a": [1, "ä", None]}) == '{"a":[1,"ä",null]}'.encode()
        assert encode("\ud800") == b'"\\ud800"'
        for value in (float("nan"), float("inf"), {1, 2}, b"bytes", {(1, 2): 3}):
            with pytest.raises((TypeError, ValueError)):
                encode(value)
        cyclic: list[Any] = []
        cyclic.append(cyclic)
        with pytest.raises(ValueError, match="Circular"):
            encode(cyclic)

    def test_what_is_no_json_is_a_value_error(self) -> None:
        deep = "[" * 100_000
        for text in ("", "{", "NaN", '{"a":Infinity}', b"\xff", deep):
            with pytest.raises(ValueError):  # noqa: PT011
                decode(text)

    def test_timestamps_have_milliseconds_and_z(self) -> None:
        moment = datetime(2026, 1, 31, 12, 0, 0, 7_999, tzinfo=timezone.utc)
        assert timestamp(moment) == "2026-01-31T12:00:00.007Z"
        then = datetime.fromisoformat(timestamp().replace("Z", "+00:00"))
        assert abs(datetime.now(timezone.utc) - then) < timedelta(minutes=1)

    def test_a_request_needs_an_id_and_an_attempt_and_the_rest_may_be_missing_or_wrong(self) -> None:
        request = parse_request(
            {"requestId": "r", "attempt": 2, "timeoutMs": "1", "stream": 1, "model": 7, "trace": []}
        )
        assert request.key == ("r", 2)
        assert request.timeout == math.inf
        assert (request.stream, request.model, request.trace, request.payload) == (False, None, None, None)
        assert parse_request({"requestId": "r", "attempt": 1, "timeoutMs": 10**400}).timeout == math.inf
        assert parse_request({"requestId": "r", "attempt": 1, "trace": {"a": "b", "c": 1}}).trace == {"a": "b"}
        wrong_messages: list[tuple[dict[str, Any], str]] = [
            ({}, "requestId"),
            ({"requestId": 1, "attempt": 1}, "requestId"),
            *[({"requestId": "r", "attempt": wrong}, "attempt") for wrong in (None, 0, 1.5, True, "1")],
        ]
        for message, field in wrong_messages:
            with pytest.raises(Malformed, match=field):
                parse_request(message)

    def test_an_ack_counts_only_what_is_well_formed(self) -> None:
        ack = parse_ack({"success": True, "features": "request", "resumed": [7, {"requestId": "r"}]})
        assert (ack.features, ack.resumed, ack.session_id) == (frozenset(), {}, None)
        assert parse_ack({"success": 1}).success is False
        assert parse_ack({"features": ["resume"]}).features == frozenset()
        assert parse_ack({"features": ["request", "resume", "more"]}).features == {"request", "resume"}
        resumed = [{"requestId": "r", "attempt": 1, "nextSeq": 7}, {"requestId": "s", "attempt": 1, "nextSeq": -1}]
        assert parse_ack({"resumed": resumed}).resumed == {("r", 1): 7, ("s", 1): 0}

    def test_an_error_carries_what_its_exception_says_and_never_a_stack(self) -> None:
        def body(error: BaseException) -> Any:
            return json.loads(error_message(KEY, error))["error"]

        assert body(ValueError("no")) == {"message": "no"}
        assert body(KeyError()) == {"message": "KeyError"}
        rich = RequestError("no", code="X", retryable=True, data={"a": 1})
        assert body(rich) == {"message": "no", "code": "X", "retryable": True, "data": {"a": 1}}
        assert body(RequestError("no", data={1, 2})) == {"message": "no"}

        class CodedError(Exception):
            code = 7
            retryable = "yes"

            def __str__(self) -> str:
                raise RuntimeError

        assert body(CodedError()) == {"message": "CodedError"}


class TestWithin:
    def test_a_result_an_error_and_a_timeout(self) -> None:
        async def program() -> None:
            assert await within(5, asyncio.sleep(0, "result")) == "result"
            with pytest.raises(TimeoutError):
                await within(0.01, asyncio.sleep(60))

            async def fail() -> None:
                raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await within(5, fail())

        asyncio.run(program())

    def test_a_cancellation_is_not_swallowed_by_a_result_of_the_same_moment(self) -> None:
        discarded: list[str] = []

        async def program() -> None:
            arrived = asyncio.get_running_loop().create_future()

            async def result() -> str:
                await arrived
                return "a socket"

            task = asyncio.create_task(within(5, result(), discarded.append))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            arrived.set_result(None)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(program())
        assert discarded == ["a socket"]
