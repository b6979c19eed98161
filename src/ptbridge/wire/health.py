"""`/healthz` on loopback: one word about a service, and nothing about its data. For a supervisor that asks over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

_PATH = "/healthz"
_LARGEST_REQUEST = 4096
_SECONDS = 5.0
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}

Word = Callable[[], str]  # "ok", or in a word or two what is not


class HealthServer:
    """Answers `GET /healthz`: 200 while the word is `ok`, 503 otherwise. Each connection gets one answer within 5 seconds."""

    def __init__(self, word: Word, port: int) -> None:
        self._word = word
        self._port = port
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen on 127.0.0.1 and return host:port. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self._port, limit=_LARGEST_REQUEST)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_SECONDS):
                writer.write(await self._response(reader))
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _response(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return _http(400, "not a request")
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        if rest.partition(b" ")[0].partition(b"?")[0] != _PATH.encode():
            return _http(404, "ask for /healthz")
        if method not in (b"GET", b"HEAD"):
            return _http(405, "ask with GET")
        word = self._word()
        return _http(200 if word == "ok" else 503, word, body=method == b"GET")


def _http(status: int, word: str, *, body: bool = True) -> bytes:
    content = json.dumps({"status": word}).encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (content if body else b"")
