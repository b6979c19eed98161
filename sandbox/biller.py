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
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any

import jsonschema_rs
import orjson
from aiohttp import web

from .biller_books import ORIGINAL, REPLACEMENT, VOID, Books, Refusal
from .biller_faults import Faults
from .biller_news import News, which
from .biller_pages import day, limit
from .faulty_server import JSON, FaultyServer, Handler, fault_names, reply, serve

CONTRACT = files("ptbridge.destinations").joinpath("charge_api.openapi.json").read_bytes()
_PROBLEM = "application/problem+json"


@dataclass(slots=True)
class _Key:
    """An idempotency key: which bytes it came with, and the answer once there is one (None: in progress)."""

    sha256: bytes
    answer: dict[str, Any] | None = None


def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    contract = orjson.loads(CONTRACT)
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": contract["components"]}, validate_formats=True
    )


class SandboxBiller(FaultyServer):
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
        super().__init__(faults=faults, port=port)
        self.books = Books(clock=clock, strict=strict)
        self.news = News()
        self.arrivals: list[float] = []  # of submissions, monotonic seconds
        self._token, self._clock = token, clock
        self._keys: dict[str, _Key] = {}
        self._charge, self._void = _validator("Charge"), _validator("Void")

    def routes(self, app: web.Application) -> None:
        """The contract's addresses."""
        app.router.add_get("/openapi.json", self._contract)
        app.router.add_get("/v1/charges", self._list)
        app.router.add_post("/v1/charges", self._submission(ORIGINAL))
        app.router.add_get("/v1/charges/{reference}", self._find)
        app.router.add_put("/v1/charges/{reference}", self._submission(REPLACEMENT))
        app.router.add_post("/v1/charges/{reference}/void", self._submission(VOID))
        app.router.add_get("/v1/charges/{reference}/answers", self._answers_about)
        app.router.add_get("/v1/answers", self._answers)
        app.router.add_post("/_sandbox/adjudicate", self._adjudicate)

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
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The token, and every refusal as a problem."""
        try:
            if request.path != "/openapi.json" and not self._admits(request):
                self.requests["unauthorized"] += 1
                raise Refusal(401, "unauthorized", "The token is missing or wrong.")
            return await super()._guard(request, handler)
        except Refusal as refusal:
            return _problem(refusal, self.wait_header() if refusal.code == "busy" else {})

    def _admits(self, request: web.Request) -> bool:
        if self._token is None:
            return True
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode())

    # ------------------------------------------------------------ submissions

    def _submission(self, frequency: str) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.requests["submissions"] += 1
            self.arrivals.append(self._clock())
            body = await request.read()
            self._turn_away()
            key = request.headers.get("Idempotency-Key", "")
            if not key:
                raise Refusal(400, "no-key", "Idempotency-Key is missing.")
            known = self._keys.get(key)
            if known is not None:
                return await self._again(request, known, body)
            entry = self._keys[key] = _Key(sha256(body).digest())
            try:
                status, answer = self._work(request, frequency, key, body)
            except Refusal:
                del self._keys[key]
                raise
            try:
                return await self.spoil(request, status, answer)
            finally:
                entry.answer = answer
                if self.faults.forget_keys:
                    del self._keys[key]

        return handle

    async def _again(self, request: web.Request, known: _Key, body: bytes) -> web.StreamResponse:
        self.requests["replays"] += 1
        if known.sha256 != sha256(body).digest():
            raise Refusal(422, "key-reused", "This Idempotency-Key came with other bytes before.")
        if known.answer is None:
            raise Refusal(409, "in-progress", "This key is being worked on.")
        return await self.spoil(request, 200, known.answer)

    def _work(self, request: web.Request, frequency: str, key: str, body: bytes) -> tuple[int, dict[str, Any]]:
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
        return status, standing.answer()

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

    def _turn_away(self) -> None:
        """Raises Refusal where the faults say that nobody has time."""
        if self.busy():
            raise Refusal(self.faults.busy_status, "busy", "Come back later.")

    def misnamed(self, document: Any) -> Any:
        """Another charge's name in the answer."""
        return {**document, "reference": "another-charge"}

    # ------------------------------------------------------------ looking

    async def _find(self, request: web.Request) -> web.StreamResponse:
        self.requests["look-ups"] += 1
        standing = self.books.latest.get(request.match_info["reference"])
        if standing is None or self._clock() - standing.taken_at < self.faults.find_lag_seconds:
            raise Refusal(404, "unknown-reference", "Nothing was ever taken under this reference.")
        return reply(standing.answer())

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self.requests["lists"] += 1
        first, last = (day(request, name) for name in ("service_date_from", "service_date_to"))
        charges, after = self.books.page(first, last, request.query.get("after", ""), limit(request))
        return reply({"charges": [charge.answer() for charge in charges], **({"next_after": after} if after else {})})

    async def _answers(self, request: web.Request) -> web.StreamResponse:
        self.requests["feeds"] += 1
        self._turn_away()
        if self.faults.happens(self.faults.html_answer):
            return web.Response(text="<html><body>Sign in</body></html>", content_type="text/html")
        page = self.news.page(request.query.get("after", ""), limit(request))
        if self.faults.happens(self.faults.answer_twice):
            page["answers"] = [answer for answer in page["answers"] for _ in range(2)]
        return reply(page)

    async def _answers_about(self, request: web.Request) -> web.StreamResponse:
        self.requests["answers looked up"] += 1
        reference = request.match_info["reference"]
        if reference not in self.books.latest:
            raise Refusal(404, "unknown-reference", "Nothing was ever taken under this reference.")
        return reply(self.news.about(reference))

    async def _adjudicate(self, request: web.Request) -> web.StreamResponse:
        """Let the payers decide now: {"reject": …, "deny": …}, each a share of the charges or a list of references."""
        wanted = await request.json()
        return reply(self.news.adjudicate(reject=which(wanted.get("reject", 0)), deny=which(wanted.get("deny", 0))))

    async def _contract(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=CONTRACT, content_type=JSON)


# ---------------------------------------------------------------- small parts


def _problem(refusal: Refusal, headers: dict[str, str]) -> web.Response:
    answer = reply(refusal.problem, refusal.status, _PROBLEM)
    answer.headers.update(headers)
    return answer


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
    for name in fault_names():
        flag, default = "--" + name.replace("_", "-"), getattr(defaults, name)
        if isinstance(default, bool):
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, type=type(default), default=default)
    return parser.parse_args()


def main() -> None:
    """Serve until SIGTERM or SIGINT. The token comes from PTBRIDGE_SANDBOX_TOKEN; without it everyone is let in."""
    arguments = _arguments()
    faults = Faults(**{name: getattr(arguments, name) for name in fault_names()})
    token = os.environ.get("PTBRIDGE_SANDBOX_TOKEN") or None
    asyncio.run(serve(SandboxBiller(token=token, faults=faults, port=arguments.port, strict=not arguments.lax)))


if __name__ == "__main__":
    main()
