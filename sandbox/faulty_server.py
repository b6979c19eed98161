"""What the pretend billing platforms share: a real HTTP server on loopback whose answers can be spoiled after the work is done.

A platform gives its routes and its books; `spoil` is called with every answer to a change, when what was asked already stands.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Self

import orjson
from aiohttp import web

from .biller_faults import Faults

JSON = "application/json"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(Exception):
    """The platform says no: HTTP status and the body of its answer."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(status))
        self.status = status
        self.body = body
        self.headers = headers or {}


class FaultyServer(ABC):
    """One platform on loopback. Change `faults` while it runs; `requests` counts what came, `seen` has every change asked."""

    def __init__(self, *, faults: Faults | None = None, port: int = 0) -> None:
        self.faults = faults or Faults()
        self.requests: Counter[str] = Counter()
        self.seen: list[tuple[str, str, Any]] = []  # (method, path, body) of each change, as it was asked
        self.lose_only: frozenset[str] = frozenset()  # methods whose answers `lose_answer` loses; empty: all
        self.base_url = ""
        self._port = port
        self._runner: web.AppRunner | None = None

    @abstractmethod
    def routes(self, app: web.Application) -> None:
        """Add the platform's addresses."""

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """The platform's own count, and the auditor's findings under `violations`."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; `base_url` is set after it. A restart comes back at the same address, with the same books."""
        app = web.Application(middlewares=[self._guard], client_max_size=16 << 20)
        self.routes(app)
        app.router.add_get("/_sandbox/summary", self._summary)
        app.router.add_post("/_sandbox/faults", self._set_faults)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        host, port = self._runner.addresses[0][:2]
        self._port = int(port)
        self.base_url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return web.Response(
                status=refused.status, body=orjson.dumps(refused.body), content_type=JSON, headers=refused.headers
            )

    def busy(self) -> bool:
        """Whether this request is turned away before anything happens; counted."""
        if not self.faults.happens(self.faults.busy):
            return False
        self.requests["busy"] += 1
        return True

    def wait_header(self) -> dict[str, str]:
        """`Retry-After`, when the faults say so."""
        return {"Retry-After": self.faults.retry_after} if self.faults.retry_after else {}

    async def spoil(self, request: web.Request, status: int, document: Any) -> web.StreamResponse:
        """Give the answer, unless a fault spoils it. What was asked stands by now."""
        faults = self.faults
        if faults.answer_delay_seconds:
            await asyncio.sleep(faults.answer_delay_seconds)
        if (not self.lose_only or request.method in self.lose_only) and faults.happens(faults.lose_answer):
            self.requests["lost answers"] += 1
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if faults.happens(faults.error_after_commit):
            self.requests["errors after commit"] += 1
            return web.Response(status=500, text="Internal Server Error")
        if faults.happens(faults.html_answer):
            self.requests["web pages"] += 1
            return web.Response(text="<html><body>Sign in</body></html>", content_type="text/html")
        if faults.happens(faults.wrong_reference):
            self.requests["wrong references"] += 1
            document = self.misnamed(document)
        content = b"" if document is None else orjson.dumps(document)
        response = web.Response(status=status, body=content, content_type=JSON)
        if content and faults.happens(faults.answer_twice):
            await self._write_twice(request, response, status, content)
        return response

    def misnamed(self, document: Any) -> Any:
        """The answer as if it were about another charge."""
        return document

    async def _write_twice(self, request: web.Request, response: web.Response, status: int, content: bytes) -> None:
        self.requests["answered twice"] += 1
        await response.prepare(request)
        await response.write_eof()
        if request.transport is not None and not request.transport.is_closing():
            head = f"HTTP/1.1 {status} OK\r\nContent-Type: {JSON}\r\nContent-Length: {len(content)}\r\n\r\n"
            request.transport.write(head.encode() + content)

    async def _summary(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=orjson.dumps(self.summary()), content_type=JSON)

    async def _set_faults(self, request: web.Request) -> web.StreamResponse:
        wanted = await request.json()
        known = {name for name in Faults.__slots__ if not name.startswith("_")}
        if not isinstance(wanted, dict) or not wanted.keys() <= known:
            raise Refused(400, {"known": sorted(known)})
        self.faults = Faults(**wanted)
        return web.Response(body=orjson.dumps(wanted), content_type=JSON)
