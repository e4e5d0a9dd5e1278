"""The messages between a worker and the server: JSON objects in text frames. Pure."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NoReturn

FEATURES = ("request", "resume")

REQUEST_TYPES = frozenset({"request", "request_cancel", "request_settled"})
SESSION_TYPES = frozenset({"worker_status_ack", "worker_update_ack", "server_draining"})

MAX_TIMEOUT_SECONDS = 10 * 365 * 86_400.0


def encode(value: Any) -> bytes:
    """Return a value as JSON text. Raises a TypeError or ValueError for what JSON can't hold."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise ValueError("the value is nested too deeply for JSON") from None
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A lone surrogate: JSON can hold it as an escape, UTF-8 can't.
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def decode(frame: str | bytes) -> Any:
    """Return the value of a JSON text. Raises a ValueError for anything else."""
    try:
        return json.loads(frame, parse_constant=_reject_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def timestamp(now: datetime | None = None) -> str:
    """Return the time as the protocol writes it: ISO 8601 with milliseconds and Z."""
    moment = now or datetime.now(timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


class Malformed(ValueError):
    """A message of the server lacks a field, or has a wrong one. Its text is the field's name."""


@dataclass(frozen=True)
class IncomingRequest:
    """A `request` message."""

    request_id: str
    attempt: int
    timeout: float
    """Seconds, `inf` without one."""
    model: str | None
    category: str | None
    stream: bool
    payload: Any = field(repr=False)
    trace: dict[str, str] | None = field(repr=False)

    @property
    def key(self) -> tuple[str, int]:
        """The id and the attempt."""
        return (self.request_id, self.attempt)


def parse_key(message: dict[str, Any]) -> tuple[str, int]:
    """Return the request's id and attempt that a message names."""
    request_id, attempt = message.get("requestId"), message.get("attempt")
    if not isinstance(request_id, str):
        raise Malformed("requestId")
    if isinstance(attempt, bool) or not isinstance(attempt, int) or attempt < 1:
        raise Malformed("attempt")
    return request_id, attempt


def parse_request(message: dict[str, Any]) -> IncomingRequest:
    """Take a `request` message apart."""
    request_id, attempt = parse_key(message)
    trace = message.get("trace")
    if isinstance(trace, dict):
        trace = {name: value for name, value in trace.items() if isinstance(value, str)}
    else:
        trace = None
    return IncomingRequest(
        request_id=request_id,
        attempt=attempt,
        timeout=seconds_from_ms(message.get("timeoutMs"), math.inf),
        model=_string_or_none(message.get("model")),
        category=_string_or_none(message.get("category")),
        stream=message.get("stream") is True,
        payload=message.get("payload"),
        trace=trace,
    )


def _string_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def seconds_from_ms(value: Any, default: float) -> float:
    """Return a duration of the protocol in seconds, or the default if it isn't one. Ten years are for ever."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        return default
    return math.inf if value > MAX_TIMEOUT_SECONDS * 1000 else value / 1000


@dataclass(frozen=True)
class Ack:
    """A `worker_registration_ack`."""

    success: bool
    error: str | None
    session_id: str | None
    heartbeat_interval_ms: Any
    features: frozenset[str]
    resumed: dict[tuple[str, int], int]
    """The next chunk that the server wants of each request that goes on."""


def parse_ack(message: dict[str, Any]) -> Ack:
    """Take the answer to a registration apart. What is malformed counts as missing."""
    features = message.get("features")
    names = frozenset(name for name in FEATURES if isinstance(features, list) and name in features)
    resumed: dict[tuple[str, int], int] = {}
    entries = message.get("resumed")
    for entry in entries if isinstance(entries, list) else []:
        try:
            key = parse_key(entry if isinstance(entry, dict) else {})
        except Malformed:
            continue
        next_seq = entry.get("nextSeq")
        usable = isinstance(next_seq, int) and not isinstance(next_seq, bool) and next_seq >= 0
        resumed[key] = next_seq if usable else 0
    return Ack(
        success=message.get("success") is True,
        error=_string_or_none(message.get("error")),
        session_id=_string_or_none(message.get("sessionId")),
        heartbeat_interval_ms=message.get("heartbeatIntervalMs"),
        # Resuming without requests means nothing.
        features=names if "request" in names else frozenset(),
        resumed=resumed,
    )


def request_message(kind: str, key: tuple[str, int], **fields: Any) -> bytes:
    """Return a message about an attempt, its fields in the protocol's order."""
    return encode({"type": kind, "requestId": key[0], "attempt": key[1], **fields})


def error_message(key: tuple[str, int], error: BaseException) -> bytes:
    """Return the `request_error` for what a handler raised: never its stack."""
    body: dict[str, Any] = {"message": _message_of(error)}
    code = _attribute(error, "code")
    if isinstance(code, str):
        body["code"] = code
    if _attribute(error, "retryable") is True:
        body["retryable"] = True
    data = _attribute(error, "data")
    if data is not None:
        try:
            return request_message("request_error", key, error={**body, "data": data})
        except (TypeError, ValueError):
            pass
    return request_message("request_error", key, error=body)


def coded_error_message(key: tuple[str, int], message: str, code: str) -> bytes:
    """Return a `request_error` that this package makes itself."""
    return request_message("request_error", key, error={"message": message, "code": code})


def _message_of(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:
        return type(error).__name__


def _attribute(error: BaseException, name: str) -> Any:
    try:
        return getattr(error, name, None)
    except Exception:
        return None
