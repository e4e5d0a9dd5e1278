"""What a `Worker` is given, checked before anything happens. Pure, but for the process id in the default worker id."""

from __future__ import annotations

import math
import os
import re
import secrets
import signal
import socket
import ssl as ssl_module
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from .errors import OptionError
from .proxy import parse_proxy
from .wire import encode

Capabilities: TypeAlias = Mapping[str, Any]
CapabilitiesSource: TypeAlias = Capabilities | Callable[[], Capabilities | Awaitable[Capabilities]]
TokenSource: TypeAlias = str | Callable[[], str | Awaitable[str | None] | None]
Models: TypeAlias = Iterable[str | Mapping[str, Any]]

# What sets two processes apart that have the same number in two containers of one name.
_PROCESS_SUFFIX = secrets.token_hex(2)

_TOKEN_FOR_HEADER = re.compile(r"[\x21-\x7e]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")


def default_worker_id() -> str:
    """Return hostname-pid-xxxx, the last four random and the same as long as the process lives."""
    return f"{socket.gethostname()}-{os.getpid()}-{_PROCESS_SUFFIX}"


@dataclass(frozen=True)
class ServerUrl:
    """The server's URL, taken apart. Its text holds neither credentials nor a query."""

    secure: bool
    host: str
    port: int
    target: str = field(repr=False)
    """The URL to connect to, without credentials."""
    userinfo: tuple[str, str] | None = field(repr=False)
    shown: str

    def __str__(self) -> str:
        return self.shown


def parse_url(url: object) -> ServerUrl:
    """Check the URL of a server."""
    wrong = "url must be a ws:// or wss:// URL without a fragment"
    if not isinstance(url, str):
        raise OptionError(f"{wrong}, not {type(url).__name__}")
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        host = parts.hostname
    except ValueError:
        raise OptionError(wrong) from None
    if parts.scheme not in ("ws", "wss") or not host or parts.fragment:
        raise OptionError(wrong)
    if re.search(r"[\x00-\x20\x7f]", parts.netloc + parts.path + parts.query):
        raise OptionError(f"{wrong}, spaces or control characters")
    secure = parts.scheme == "wss"
    authority = f"[{host}]" if ":" in host else host
    if port is not None:
        authority += f":{port}"
    shown = f"{parts.scheme}://{authority}{parts.path}"
    userinfo = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
    target = f"{parts.scheme}://{authority}{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    return ServerUrl(secure, host, port or (443 if secure else 80), target, userinfo, shown)


def capabilities_models(models: Models) -> list[dict[str, Any]]:
    """Return the models of capabilities for ids or dicts."""
    wrong = "models must be a list of model ids or of dicts with a modelId"
    if isinstance(models, (str, bytes, Mapping)) or not isinstance(models, Iterable):
        raise OptionError(wrong)
    listed: list[dict[str, Any]] = []
    for model in models:
        if isinstance(model, str):
            listed.append({"modelId": model})
        elif isinstance(model, Mapping) and isinstance(model.get("modelId"), str):
            listed.append(dict(model))
        else:
            raise OptionError(wrong)
    return listed


def check_capabilities(value: object) -> dict[str, Any]:
    """Check that a worker can say this of itself. Whether it makes sense is the server's to judge."""
    if not isinstance(value, Mapping):
        raise OptionError("capabilities must be a dict with models and maxConcurrentRequests, or a function for one")
    capabilities = dict(value)
    try:
        encode(capabilities)
    except (TypeError, ValueError):
        raise OptionError("capabilities must be what JSON can hold") from None
    return capabilities


def capacity_of(capabilities: Mapping[str, Any]) -> float:
    """Return how many requests may run at the same time."""
    limit = capabilities.get("maxConcurrentRequests")
    return 0 if isinstance(limit, bool) or not isinstance(limit, (int, float)) else limit


def check_token(value: object) -> str | None:
    """Check a token, or what a function returned for one. The message never holds it."""
    if value is not None and not isinstance(value, str):
        raise OptionError(f"auth_token must be a string or a function that returns one, not {type(value).__name__}")
    return value


def bearer(token: str | None) -> str | None:
    """Return the Authorization header of a token, if it can stand in one. The registration carries it in any case."""
    return f"Bearer {token}" if token and _TOKEN_FOR_HEADER.fullmatch(token) else None


def _seconds(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise OptionError(f"{name} must be a number of seconds from 0")
    return float(value)


def _attempts(value: object) -> float:
    if value is None or value == math.inf:
        return math.inf
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise OptionError("reconnect_max_attempts must be a whole number from 0, or None for no limit")
    return value


def _headers(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise OptionError("headers must be a dict of strings")
    for name, text in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise OptionError("headers must have names that HTTP allows")
        if not isinstance(text, str) or not _HEADER_VALUE.fullmatch(text):
            raise OptionError(f"headers: the value of {name} must be a string without control characters")
    return dict(value)


def _signals(value: object) -> tuple[signal.Signals, ...]:
    try:
        return tuple(signal.Signals(each) for each in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise OptionError("handle_signals must be a sequence of signals, empty for none") from None


def _name(value: object, name: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise OptionError(f"{name} must be a string that isn't empty")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise OptionError(f"{name} must be well-formed Unicode") from None
    return value


@dataclass(frozen=True)
class Options:
    """The checked options of a worker."""

    url: ServerUrl
    worker_id: str
    worker_name: str
    auth_token: TokenSource | None = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    ssl: ssl_module.SSLContext | None
    proxy: bool | str | None = field(repr=False)
    capabilities: dict[str, Any] | Callable[[], Any]
    initial_delay: float
    max_delay: float
    max_attempts: float
    drain_timeout: float
    signals: tuple[signal.Signals, ...]


def check_options(
    url: object,
    *,
    worker_id: object,
    worker_name: object,
    auth_token: object,
    headers: object,
    ssl: object,
    proxy: object,
    capabilities: object,
    models: Models,
    concurrency: float,
    reconnect_initial_delay: object,
    reconnect_max_delay: object,
    reconnect_max_attempts: object,
    drain_timeout: object,
    handle_signals: object,
) -> Options:
    """Check each option, in the order of the signature."""
    server = parse_url(url)
    identity = _name(worker_id, "worker_id") or default_worker_id()
    name = _name(worker_name, "worker_name") or identity
    token: Any = auth_token if callable(auth_token) else check_token(auth_token)
    checked_headers = _headers(headers)
    if ssl is not None and not isinstance(ssl, ssl_module.SSLContext):
        raise OptionError("ssl must be an ssl.SSLContext")
    if ssl is not None and not server.secure:
        raise OptionError("ssl must not be given with a ws:// url")
    if not (proxy is None or isinstance(proxy, (bool, str))):
        raise OptionError("proxy must be True (as the environment says), False, or the URL of an HTTP proxy")
    if isinstance(proxy, str):
        parse_proxy(proxy, "proxy")
    listed = capabilities_models(models)
    if isinstance(concurrency, bool) or not isinstance(concurrency, (int, float)) or not 0 <= concurrency < math.inf:
        raise OptionError("concurrency must be a number from 0, and finite")
    source: Any = check_capabilities({"models": listed, "maxConcurrentRequests": concurrency})
    if capabilities is not None:
        if listed or concurrency != 1:
            raise OptionError("capabilities must not be given together with models or concurrency")
        source = capabilities if callable(capabilities) else check_capabilities(capabilities)
    return Options(
        url=server,
        worker_id=identity,
        worker_name=name,
        auth_token=token,
        headers=checked_headers,
        ssl=ssl,
        proxy=proxy,
        capabilities=source,
        initial_delay=_seconds(reconnect_initial_delay, "reconnect_initial_delay"),
        max_delay=_seconds(reconnect_max_delay, "reconnect_max_delay"),
        max_attempts=_attempts(reconnect_max_attempts),
        drain_timeout=_seconds(drain_timeout, "drain_timeout"),
        signals=_signals(handle_signals),
    )
