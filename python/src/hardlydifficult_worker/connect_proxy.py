"""A TCP connection through an HTTP proxy, by CONNECT.

`websockets` can do this itself, but not with every password in every version.
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket

from .proxy import ProxyAddress

_MAX_HEAD_BYTES = 16 * 1024


class ProxyRefused(ConnectionError):
    """The proxy did not connect. Its text is the status, or what was wrong with the answer."""


async def connect_through(proxy: ProxyAddress, host: str, port: int) -> socket.socket:
    """Return a socket that is connected to a host by a proxy. Raises an OSError, ProxyRefused among them."""
    loop = asyncio.get_running_loop()
    connection = await _connect(proxy.host, proxy.port)
    try:
        await loop.sock_sendall(connection, connect_request(proxy, host, port))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            # Byte by byte: what follows the head is the server's.
            byte = await loop.sock_recv(connection, 1)
            head += byte
            if not byte or len(head) > _MAX_HEAD_BYTES:
                raise ProxyRefused("no HTTP answer")
        status = re.match(rb"HTTP/1\.[01] ([0-9]{3})[ \r]", head)
        if status is None:
            raise ProxyRefused("no HTTP answer")
        if not status[1].startswith(b"2"):
            raise ProxyRefused(f"HTTP {status[1].decode()}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_request(proxy: ProxyAddress, host: str, port: int) -> bytes:
    """Return the head of a CONNECT request."""
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if proxy.credentials is not None:
        credentials = base64.b64encode(":".join(proxy.credentials).encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    return "\r\n".join([*lines, "", ""]).encode()


async def _connect(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    error: OSError | None = None
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setblocking(False)
            await loop.sock_connect(connection, address)
        except OSError as failed:
            connection.close()
            error = failed
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise error or ProxyRefused("it has no address")
