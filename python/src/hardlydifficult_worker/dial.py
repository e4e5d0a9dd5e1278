"""Opening the WebSocket: headers, proxy, time limit, and errors that hold no secret."""

from __future__ import annotations

import base64
import os
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from .backoff import Loss, parse_retry_after
from .connect_proxy import ProxyRefused, connect_through
from .log import silent_logger
from .options import Options, bearer
from .proxy import ProxyAddress, choose_proxy
from .within import within

OPEN_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0


class _Connect(connect):
    """Follows no redirect: it would carry the token to wherever it points."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class DialError(Exception):
    """The WebSocket could not be opened."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(str(loss.error))
        self.loss = loss


async def dial(options: Options, token: str | None) -> ClientConnection:
    """Open a WebSocket to the server. Raises a DialError, or an OptionError for a proxy that can't be used."""
    url = options.url
    proxy = choose_proxy(url.secure, url.host, url.port, options.proxy, os.environ)
    try:
        return await within(OPEN_TIMEOUT, _open(options, token, proxy), discard=lambda socket: socket.transport.abort())
    except TimeoutError:
        error: Exception = TimeoutError(f"{url} did not answer within {OPEN_TIMEOUT:g} s")
        raise DialError(Loss(error=error)) from None
    except ProxyRefused as refused:
        error = ConnectionError(f"the proxy refused to connect to {url}: {refused}")
        raise DialError(Loss(error=error)) from None
    except InvalidStatus as refused:
        status = refused.response.status_code
        wait = parse_retry_after(refused.response.headers.get("Retry-After")) if status in (429, 503) else None
        error = ConnectionError(f"{url} refused the connection: HTTP {status}")
        raise DialError(Loss(error=error, retry_after=wait)) from None
    except (InvalidHandshake, EOFError) as failed:
        error = ConnectionError(f"{url} did not answer as a WebSocket server: {type(failed).__name__}")
        raise DialError(Loss(error=error)) from None
    except OSError as failed:
        raise DialError(Loss(error=failed)) from None


async def _open(options: Options, token: str | None, proxy: ProxyAddress | None) -> ClientConnection:
    url = options.url
    arguments: dict[str, Any] = {"ssl": options.ssl} if options.ssl is not None else {}
    if proxy is None:
        return await _upgrade(options, token, arguments)
    connection = await connect_through(proxy, url.host, url.port)
    try:
        return await _upgrade(options, token, {**arguments, "sock": connection})
    except BaseException:
        connection.close()
        raise


async def _upgrade(options: Options, token: str | None, arguments: dict[str, Any]) -> ClientConnection:
    return await _Connect(
        options.url.target,
        additional_headers=upgrade_headers(options, token),
        # The proxy's part was done before.
        proxy=None,
        # No extension is negotiated, and heartbeats take the place of pings.
        compression=None,
        ping_interval=None,
        # The caller's limit is for all of it, the proxy's part included.
        open_timeout=None,
        close_timeout=CLOSE_TIMEOUT,
        max_size=None,
        logger=silent_logger(),
        **arguments,
    )


def upgrade_headers(options: Options, token: str | None) -> dict[str, str]:
    """Return the headers of the upgrade. Of several Authorizations the option `headers` has the first say."""
    headers = dict(options.headers)
    if not any(name.lower() == "authorization" for name in headers):
        authorization = bearer(token) or _basic(options.url.userinfo)
        if authorization is not None:
            headers["Authorization"] = authorization
    return headers


def _basic(userinfo: tuple[str, str] | None) -> str | None:
    if userinfo is None:
        return None
    return "Basic " + base64.b64encode(":".join(userinfo).encode()).decode()
