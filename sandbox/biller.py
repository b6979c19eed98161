"""A pretend biller that speaks the charge_api contract for real: server, books, auditor, and knobs for faults.

In a test:      async with SandboxBiller(token="t") as biller: … biller.base_url … biller.summary()
As a process:   PTBRIDGE_SANDBOX_TOKEN=t python -m ptbridge_sandbox.biller --port 0      (prints `ready http://127.0.0.1:PORT`)

Beside the contract it answers GET /_sandbox/summary, POST /_sandbox/faults and POST /_sandbox/adjudicate (same token), so that
another process can count, break things and let the payers decide.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any, Self

import jsonschema_rs
import orjson
from aiohttp import web

from .biller_books import ORIGINAL, REPLACEMENT, VOID, Books, Refusal
from .biller_faults import Faults
from .biller_news import News
from .biller_pages import day, limit

CONTRACT = files("ptbridge.destinations").joinpath("charge_api.openapi.json").read_bytes()
_JSON = "application/json"
_PROBLEM = "application/problem+json"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class _Key:
    """An idempotency key: which bytes it came with, and the answer once there is one (None: in progress)."""

    sha256: bytes
    answer: bytes | None = None


def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    contract = orjson.loads(CONTRACT)
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": contract["components"]}, validate_formats=True
    )


class SandboxBiller:
    """One biller on loopback. `token` None lets everyone in. Change `faults` while it runs; read `books` and `summary()`."""

    def __init__(
        self,
        *,
        token: str | None = None,
        faults: Faults | None = None,
        port: int = 0,
        strict: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.faults = faults or Faults()
        self.books = Books(clock=clock, strict=strict)
        self.news = News()
        self.requests: Counter[str] = Counter()
        self.arrivals: list[float] = []  # of submissions, monotonic seconds
        self.base_url = ""
        self._token = token
        self._port = port
        self._clock = clock
        self._keys: dict[str, _Key] = {}
        self._charge, self._void = _validator("Charge"), _validator("Void")
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen on loopback; `base_url` is set after it."""
        app = web.Application(middlewares=[self._guard], client_max_size=4 << 20)
        app.router.add_get("/openapi.json", self._contract)
        app.router.add_get("/v1/charges", self._list)
        app.router.add_post("/v1/charges", self._submission(ORIGINAL))
        app.router.add_get("/v1/charges/{reference}", self._find)
        app.router.add_put("/v1/charges/{reference}", self._submission(REPLACEMENT))
        app.router.add_post("/v1/charges/{reference}/void", self._submission(VOID))
        app.router.add_get("/v1/charges/{reference}/answers", self._answers_about)
        app.router.add_get("/v1/answers", self._answers)
        app.router.add_get("/_sandbox/summary", self._summary)
        app.router.add_post("/_sandbox/adjudicate", self._adjudicate)
        app.router.add_post("/_sandbox/faults", self._set_faults)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self._port = int(port)  # a restart comes back at the same address
        self.base_url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening; the books stay readable, and `start` opens again at the same address."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def summary(self) -> dict[str, Any]:
        """The biller's own count: live charges, lines, units and cents, events, requests, and the auditor's findings."""
        return {
            **self.books.totals(),
            "events": dict(self.books.events),
            "requests": dict(self.requests),
            "peak_per_second": self.peak_per_second(),
            "violations": list(self.books.violations),
        }

    def peak_per_second(self) -> int:
        """The most submissions that arrived within any one second."""
        peak, first = 0, 0
        for index, at in enumerate(self.arrivals):
            while self.arrivals[first] <= at - 1.0:
                first += 1
            peak = max(peak, index - first + 1)
        return peak

    # ------------------------------------------------------------ the door

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """The token, and every refusal as a problem."""
        try:
            if request.path != "/openapi.json" and not self._admits(request):
                self.requests["unauthorized"] += 1
                raise Refusal(401, "unauthorized", "The token is missing or wrong.")
            return await handler(request)
        except Refusal as refusal:
            return _problem(refusal)

    def _admits(self, request: web.Request) -> bool:
        if self._token is None:
            return True
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())

    # ------------------------------------------------------------ submissions

    def _submission(self, frequency: str) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.requests["submissions"] += 1
            self.arrivals.append(self._clock())
            body = await request.read()
            if self.faults.happens(self.faults.busy):
                return self._busy()
            key = request.headers.get("Idempotency-Key", "")
            if not key:
                raise Refusal(400, "no-key", "Idempotency-Key is missing.")
            known = self._keys.get(key)
            if known is not None:
                return await self._again(request, known, body)
            entry = self._keys[key] = _Key(sha256(body).digest())
            try:
                status, content = self._work(request, frequency, key, body)
            except Refusal:
                del self._keys[key]
                raise
            try:
                return await self._answer(request, status, content)
            finally:
                entry.answer = content
                if self.faults.forget_keys:
                    del self._keys[key]

        return handle

    async def _again(self, request: web.Request, known: _Key, body: bytes) -> web.StreamResponse:
        self.requests["replays"] += 1
        if known.sha256 != sha256(body).digest():
            raise Refusal(422, "key-reused", "This Idempotency-Key came with other bytes before.")
        if known.answer is None:
            raise Refusal(409, "in-progress", "This key is being worked on.")
        return await self._answer(request, 200, known.answer)

    def _work(self, request: web.Request, frequency: str, key: str, body: bytes) -> tuple[int, bytes]:
        """Read, validate and take the charge; HTTP status and the answer. Raises Refusal."""
        document = self._read(frequency, body)
        reference = document["reference"]
        if frequency != ORIGINAL and request.match_info["reference"] != reference:
            raise Refusal(422, "reference-differs", "The address and the document name different references.")
        if self.faults.refuses(document):
            self.requests["refused"] += 1
            raise Refusal(422, "not-billable", "The biller does not take this charge.", detail="refused by a sandbox fault")
        standing, status = self.books.take(frequency, reference, document, key)
        self.news.taken(frequency, standing, document)
        if self.faults.forget_keys and self.faults.happens(self.faults.process_twice):
            self._take_again(frequency, reference, document, key)
        return status, orjson.dumps(standing.answer())

    def _take_again(self, frequency: str, reference: str, document: dict[str, Any], key: str) -> None:
        """The repeated request of a proxy; nobody hears its answer. Remembered keys stop it before it gets here."""
        self.requests["processed twice"] += 1
        try:
            self.books.take(frequency, reference, document, key)
        except Refusal:
            self.requests["second processing refused"] += 1

    def _read(self, frequency: str, body: bytes) -> dict[str, Any]:
        """The document, valid under the contract. Raises Refusal naming places and broken rules, never values."""
        try:
            document: dict[str, Any] = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise Refusal(400, "not-json", "The body is not JSON.") from None
        validator = self._void if frequency == VOID else self._charge
        errors = [
            {"where": "/" + "/".join(map(str, error.instance_path)), "message": f"breaks `{error.schema_path[-1]}`"}
            for error in validator.iter_errors(document)
        ]
        if not errors and document["frequency"] != frequency:
            errors.append({"where": "/frequency", "message": f"this address takes {frequency}"})
        if not errors and frequency != VOID:
            errors = _arithmetic(document)
        if errors:
            raise Refusal(422, "invalid-charge", "The charge breaks the contract.", errors=errors)
        return document

    # ------------------------------------------------------------ answers, right and wrong

    def _busy(self) -> web.StreamResponse:
        self.requests["busy"] += 1
        refusal = Refusal(self.faults.busy_status, "busy", "Come back later.")
        headers = {"Retry-After": self.faults.retry_after} if self.faults.retry_after else {}
        return _problem(refusal, headers)

    async def _answer(self, request: web.Request, status: int, content: bytes) -> web.StreamResponse:
        """Give the answer, unless a fault spoils it. The charge stands by now."""
        faults = self.faults
        if faults.answer_delay_seconds:
            await asyncio.sleep(faults.answer_delay_seconds)
        if faults.happens(faults.lose_answer):
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
            content = orjson.dumps({**orjson.loads(content), "reference": "another-charge"})
        response = web.Response(status=status, body=content, content_type=_JSON)
        if faults.happens(faults.answer_twice):
            await self._write_twice(request, response, status, content)
        return response

    async def _write_twice(self, request: web.Request, response: web.Response, status: int, content: bytes) -> None:
        self.requests["answered twice"] += 1
        await response.prepare(request)
        await response.write_eof()
        if request.transport is not None and not request.transport.is_closing():
            head = f"HTTP/1.1 {status} OK\r\nContent-Type: {_JSON}\r\nContent-Length: {len(content)}\r\n\r\n"
            request.transport.write(head.encode() + content)

    # ------------------------------------------------------------ looking

    async def _find(self, request: web.Request) -> web.StreamResponse:
        self.requests["look-ups"] += 1
        standing = self.books.latest.get(request.match_info["reference"])
        if standing is None or self._clock() - standing.taken_at < self.faults.find_lag_seconds:
            raise Refusal(404, "unknown-reference", "Nothing was ever taken under this reference.")
        return _json(standing.answer())

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self.requests["lists"] += 1
        first, last = (day(request, name) for name in ("service_date_from", "service_date_to"))
        charges, after = self.books.page(first, last, request.query.get("after", ""), limit(request))
        return _json({"charges": [charge.answer() for charge in charges], **({"next_after": after} if after else {})})

    async def _answers(self, request: web.Request) -> web.StreamResponse:
        self.requests["feeds"] += 1
        if self.faults.happens(self.faults.busy):
            return self._busy()
        if self.faults.happens(self.faults.html_answer):
            return web.Response(text="<html><body>Sign in</body></html>", content_type="text/html")
        page = self.news.page(request.query.get("after", ""), limit(request))
        if self.faults.happens(self.faults.answer_twice):
            page["answers"] = [answer for answer in page["answers"] for _ in range(2)]
        return _json(page)

    async def _answers_about(self, request: web.Request) -> web.StreamResponse:
        self.requests["answers looked up"] += 1
        reference = request.match_info["reference"]
        if reference not in self.books.latest:
            raise Refusal(404, "unknown-reference", "Nothing was ever taken under this reference.")
        return _json(self.news.about(reference))

    async def _adjudicate(self, request: web.Request) -> web.StreamResponse:
        """Let the payers decide now: {"reject": share, "deny": share}."""
        wanted = await request.json()
        return _json(self.news.adjudicate(reject=float(wanted.get("reject", 0)), deny=float(wanted.get("deny", 0))))

    async def _contract(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=CONTRACT, content_type=_JSON)

    async def _summary(self, request: web.Request) -> web.StreamResponse:
        return _json(self.summary())

    async def _set_faults(self, request: web.Request) -> web.StreamResponse:
        wanted = await request.json()
        known = {name for name in Faults.__slots__ if not name.startswith("_")}
        if not isinstance(wanted, dict) or not wanted.keys() <= known:
            raise Refusal(400, "bad-fault", f"Known faults: {', '.join(sorted(known))}.")
        self.faults = Faults(**wanted)
        return _json(wanted)


# ---------------------------------------------------------------- small parts


def _json(document: Any) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type=_JSON)


def _problem(refusal: Refusal, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=refusal.status, body=orjson.dumps(refusal.problem), content_type=_PROBLEM, headers=headers or {})


def _arithmetic(document: dict[str, Any]) -> list[dict[str, str]]:
    """What the schema cannot say: totals equal the sums, line ids differ, pointers point at a diagnosis."""
    lines, totals = document["lines"], document["totals"]
    sums = {
        "lines": len(lines),
        "units": sum(line["units"] for line in lines),
        "amount_cents": sum(line["amount_cents"] for line in lines),
    }
    errors = [
        {"where": f"/totals/{name}", "message": f"the lines add up to {value}"}
        for name, value in sums.items()
        if totals[name] != value
    ]
    if len({line["line_id"] for line in lines}) != len(lines):
        errors.append({"where": "/lines", "message": "two lines have one line_id"})
    if any(pointer > len(document["diagnoses"]) for line in lines for pointer in line["diagnosis_pointers"]):
        errors.append({"where": "/lines", "message": "a diagnosis pointer points past the diagnoses"})
    return errors


# ---------------------------------------------------------------- as a process


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ptbridge_sandbox.biller", description="A pretend biller on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--lax", action="store_true", help="take a second original for a live reference")
    defaults = Faults()
    for name in sorted(name for name in Faults.__slots__ if not name.startswith("_")):
        flag, default = "--" + name.replace("_", "-"), getattr(defaults, name)
        if isinstance(default, bool):
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, type=type(default), default=default)
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    faults = Faults(**{name: getattr(arguments, name) for name in Faults.__slots__ if not name.startswith("_")})
    token = os.environ.get("PTBRIDGE_SANDBOX_TOKEN") or None
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with SandboxBiller(token=token, faults=faults, port=arguments.port, strict=not arguments.lax) as biller:
        sys.stdout.write(f"ready {biller.base_url}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Serve until SIGTERM or SIGINT. The token comes from PTBRIDGE_SANDBOX_TOKEN; without it everyone is let in."""
    asyncio.run(_serve(_arguments()))


if __name__ == "__main__":
    main()
