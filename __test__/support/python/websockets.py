"""A minimal stand-in for the package `websockets`, so that the Python examples are tested where it isn't installed.

It has what the examples use: `connect(url)` as an asynchronous context manager, `send`, `recv`, iteration, and
`ConnectionClosed` with the close frame that was received as `rcvd`.
"""

import asyncio
import base64
import os
import struct
from urllib.parse import urlsplit


class Close:
    def __init__(self, code, reason):
        self.code = code
        self.reason = reason


class ConnectionClosed(Exception):
    def __init__(self, code, reason):
        super().__init__(f"{code} {reason}")
        self.rcvd = Close(code, reason)


class connect:
    def __init__(self, url):
        self.url = urlsplit(url)

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(self.url.hostname, self.url.port)
        key = base64.b64encode(os.urandom(16)).decode()
        self.writer.write(
            f"GET {self.url.path or '/'} HTTP/1.1\r\nHost: {self.url.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = await self.reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(head.decode())
        return self

    async def __aexit__(self, *_):
        if not self.writer.is_closing():
            self._frame(8, struct.pack("!H", 1000))
        self.writer.close()

    def _frame(self, opcode, payload):
        size = len(payload)
        if size < 126:
            length = struct.pack("!B", 128 | size)
        elif size < 65536:
            length = struct.pack("!BH", 128 | 126, size)
        else:
            length = struct.pack("!BQ", 128 | 127, size)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.writer.write(bytes([128 | opcode]) + length + mask + masked)

    async def send(self, text):
        self._frame(1, text.encode())
        await self.writer.drain()

    async def recv(self):
        while True:
            opcode, size = await self.reader.readexactly(2)
            if size == 126:
                size = struct.unpack("!H", await self.reader.readexactly(2))[0]
            elif size == 127:
                size = struct.unpack("!Q", await self.reader.readexactly(8))[0]
            payload = await self.reader.readexactly(size)
            if opcode == 0x81:
                return payload.decode()
            if opcode == 0x88:
                self._frame(8, payload[:2])
                self.writer.close()
                raise ConnectionClosed(struct.unpack("!H", payload[:2])[0] if payload else 1005, payload[2:].decode())
            if opcode == 0x89:
                self._frame(10, payload)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self.recv()
        except ConnectionClosed as closed:
            if closed.rcvd.code in (1000, 1001):
                raise StopAsyncIteration from None
            raise
