"""What the pretend billing platforms share: a real HTTP server on loopback whose answers can be spoiled after the work is done.

A platform gives its routes and its books; `spoil` is called with every answer to a change, when what was asked already stands.
`run` is its `main`: the platform as a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import fields
from typing import Any, Protocol, Self

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


class Counted(Protocol):
    """A charge or claim that stands, as its platform counts it."""

    @property
    def lines(self) -> int: ...

    @property
    def units(self) -> int: ...

    @property
    def amount_cents(self) -> int: ...


def reply(document: Any, status: int = 200, media_type: str = JSON) -> web.Response:
    """An answer in JSON, unspoiled."""
    return web.Response(status=status, body=orjson.dumps(document), content_type=media_type)


class FaultyServer(ABC):
    """One platform on loopback. Change `faults` while it runs; `requests` counts what came, `seen` has every change asked,
    `violations` what the auditor found: it stays empty at a platform that is fed well.
    """

    def __init__(self, *, faults: Faults | None = None, port: int = 0) -> None:
        self.faults = faults or Faults()
        self.requests: Counter[str] = Counter()
        self.seen: list[tuple[str, str, Any]] = []  # (method, path, body) of each change, as it was asked
        self.violations: list[str] = []
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

    def counted(self, live: Iterable[Counted]) -> dict[str, Any]:
        """The count of what stands, with requests and violations: what most summaries are."""
        standing = list(live)
        return {
            "charges": len(standing),
            "lines": sum(one.lines for one in standing),
            "units": sum(one.units for one in standing),
            "amount_cents": sum(one.amount_cents for one in standing),
            "requests": dict(self.requests),
            "violations": self.violations,
        }

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
            answer = reply(refused.body, refused.status)
            answer.headers.update(refused.headers)
            return answer

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
        return reply(self.summary())

    async def _set_faults(self, request: web.Request) -> web.StreamResponse:
        wanted = await request.json()
        known = fault_names(type(self.faults))
        if not isinstance(wanted, dict) or not wanted.keys() <= set(known):
            raise Refused(400, {"known": known})
        self.faults = type(self.faults)(**wanted)
        return reply(wanted)


def fault_names(kind: type[Faults] = Faults) -> list[str]:
    """The knobs, in alphabetical order."""
    return sorted(one.name for one in fields(kind) if one.init)


def run(kind: Callable[..., FaultyServer], what: str) -> None:
    """A platform's `main`: serve on `--port` until SIGTERM or SIGINT; everyone is let in."""
    parser = argparse.ArgumentParser(description=f"A pretend {what} on loopback.")
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(kind(port=parser.parse_args().port)))


async def serve(server: FaultyServer) -> None:
    """Listen, say `ready` and the address on standard output, and go on until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        sys.stdout.write(f"ready {server.base_url}\n")
        sys.stdout.flush()
        await stop.wait()
