"""A pretend biller's FHIR R4 server on loopback: Claims by conditional create and update, ClaimResponses by `_lastUpdated`.

In a test:      async with SandboxFhirClaims() as server: … server.base_url … server.decide("pt-…", …) … server.summary()
As a process:   python -m ptbridge_sandbox.fhir_claim_server --port 0      (prints `ready http://127.0.0.1:PORT`)

Every Claim is judged by the R4B classes of fhir.resources before it is kept. POST /_sandbox/status moves one on, from another
process too.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
from aiohttp import web
from fhir.resources.R4B.claim import Claim as R4Claim
from fhir.resources.R4B.claimresponse import ClaimResponse as R4ClaimResponse
from pydantic import ValidationError

from .biller_faults import Faults
from .faulty_server import JSON, FaultyServer, Refused

Document = dict[str, Any]
REFUSAL = ("business-rule", "refused by a sandbox fault")
_STATUSES = frozenset({"active", "cancelled", "draft", "entered-in-error"})  # required value set; fhir.resources lets all pass
_EPOCH = datetime(2026, 11, 2, 8, tzinfo=UTC)


@dataclass(slots=True)
class Kept:
    """One Claim and how often it was written."""

    id: str
    claim: Document = field(repr=False)
    version: int
    kept_at: float


class SandboxFhirClaims(FaultyServer):
    """The server. `token` None lets everyone in; `page` is how many entries one page of a search holds."""

    def __init__(
        self,
        *,
        token: str | None = None,
        faults: Faults | None = None,
        port: int = 0,
        page: int = 50,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(faults=faults, port=port)
        self.claims: dict[str, Kept] = {}
        self.responses: list[Document] = []
        self.violations: list[str] = []
        self._token, self._page, self._clock = token, page, clock

    def routes(self, app: web.Application) -> None:
        """The FHIR interactions, below the root."""
        app.router.add_get("/metadata", self._metadata)
        app.router.add_post("/Claim", self._create)
        app.router.add_put("/Claim", self._update)
        app.router.add_get("/Claim", self._search)
        app.router.add_get("/ClaimResponse", self._search_responses)
        app.router.add_post("/_sandbox/status", self._steer)

    def summary(self) -> dict[str, Any]:
        """Active Claims, lines, units and cents, requests, and the auditor's findings."""
        live = [one.claim for one in self.claims.values() if one.claim["status"] == "active"]
        return {
            "charges": len(live),
            "lines": sum(len(claim["item"]) for claim in live),
            "units": sum(item["quantity"]["value"] for claim in live for item in claim["item"]),
            "amount_cents": sum(int(Decimal(str(claim["total"]["value"])) * 100) for claim in live),
            "requests": dict(self.requests),
            "violations": self.violations,
        }

    def misnamed(self, document: Any) -> Any:
        """Another Claim in the answer."""
        return {**document, "identifier": [{"system": "urn:another", "value": "another"}]}

    # ------------------------------------------------------------ writing

    async def _create(self, request: web.Request) -> web.StreamResponse:
        """Conditional create: none fits, it is made; one does, that one is given back; more, 412."""
        claim = await self._read(request)
        found = self._fitting(request.headers.get("If-None-Exist", "").partition("identifier=")[2])
        if len(found) == 1:
            self.requests["matched creates"] += 1
            return await self.spoil(request, 200, found[0].claim)
        if found:
            raise _refused(412, "multiple-matches", "more than one fits")
        return await self.spoil(request, 201, self._keep(None, claim))

    async def _update(self, request: web.Request) -> web.StreamResponse:
        claim = await self._read(request)
        found = self._fitting(request.query.get("identifier", ""))
        if len(found) > 1:
            raise _refused(412, "multiple-matches", "more than one fits")
        kept = self._keep(found[0] if found else None, claim)
        return await self.spoil(request, 200 if found else 201, kept)

    async def _read(self, request: web.Request) -> Document:
        self._admit(request)
        self.requests["writes"] += 1
        if self.busy():
            raise Refused(self.faults.busy_status, {"resourceType": "OperationOutcome"}, self.wait_header())
        claim: Document = orjson.loads(await request.read())
        self.seen.append((request.method, request.path, claim))
        if self.faults.refuses(claim):
            self.requests["refused"] += 1
            raise _refused(422, *REFUSAL)
        try:
            R4Claim.model_validate(claim)
        except ValidationError as problem:
            places = ".".join(map(str, problem.errors()[0]["loc"]))
            raise _refused(422, "structure", f"not R4 at {places}") from None
        total = sum(Decimal(str(item["net"]["value"])) for item in claim["item"])
        sequences = [item["sequence"] for item in claim["item"]]
        if claim["status"] not in _STATUSES or total != Decimal(str(claim["total"]["value"])):
            raise _refused(422, "invariant", "status or total")
        if len(set(sequences)) != len(sequences):
            self.violations.append("two items of one sequence")
        return claim

    def _keep(self, before: Kept | None, claim: Document) -> Document:
        version = before.version + 1 if before else 1
        id_ = before.id if before else str(len(self.claims) + 1)
        whole = {**claim, "id": id_, "meta": {"versionId": str(version), "lastUpdated": self._now()}}
        self.claims[id_] = Kept(id_, whole, version, before.kept_at if before else self._clock())
        name = _names(whole)[0]
        count = sum(one.claim["status"] == "active" and name in _names(one.claim) for one in self.claims.values())
        if count > 1:
            self.violations.append(f"{name}: {count} active Claims")
        return whole

    def _fitting(self, token: str) -> list[Kept]:
        wanted = token.replace("%7C", "|").replace("%3A", ":")
        return [one for one in self.claims.values() if wanted in _names(one.claim)] if wanted else []

    def _now(self) -> str:
        seconds = sum(self.requests.values()) + len(self.responses)
        return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.000+00:00}"

    # ------------------------------------------------------------ what happens later

    def live_claim(self, reference: str) -> Document:
        """The active Claim of a reference. Raises StopIteration when there is none."""
        every = (one.claim for one in self.claims.values())
        return next(one for one in every if one["status"] == "active" and any(n.endswith(f"|{reference}") for n in _names(one)))

    def decide(self, reference: str, outcome: str, lines: Sequence[Document] = (), *, error: str = "") -> None:
        """A ClaimResponse: per line `paid` and `reasons` (CARC); `error` is the code of an outcome `error`."""
        claim = self.live_claim(reference)
        items = [_item(item, said) for item, said in zip(claim["item"], lines, strict=False)]
        response = {
            "resourceType": "ClaimResponse",
            "id": f"r{len(self.responses) + 1}",
            "meta": {"versionId": "1", "lastUpdated": self._now()},
            "identifier": [{"system": "urn:sandbox:payer", "value": f"ICN{claim['id']}"}],
            "status": "active",
            "type": claim["type"],
            "use": "claim",
            "patient": {"display": "as claimed"},
            "created": "2026-11-20",
            "insurer": {"display": "as claimed"},
            "request": {"reference": f"Claim/{claim['id']}"},
            "outcome": outcome,
            **({"item": items} if items else {}),
            **({"error": [{"code": {"coding": [{"code": error}]}}]} if error else {}),
        }
        R4ClaimResponse.model_validate(response)
        self.responses.append(response)

    # ------------------------------------------------------------ reading

    async def _search(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        self.requests["searches"] += 1
        asked = request.query
        visible = [one for one in self.claims.values() if self._clock() - one.kept_at >= self.faults.find_lag_seconds]
        wanted = asked.get("identifier", "")
        found = [one.claim for one in visible if _has(one.claim, wanted)]
        for bound in asked.getall("created", []):
            day = bound[2:]
            found = [one for one in found if (one["created"] >= day if bound.startswith("ge") else one["created"] <= day)]
        return self._page_of(request, found)

    async def _search_responses(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        self.requests["news"] += 1
        since = request.query.get("_lastUpdated", "ge")[2:]
        moment = datetime.fromisoformat(since) if since else _EPOCH
        found = [one for one in self.responses if datetime.fromisoformat(one["meta"]["lastUpdated"]) >= moment]
        return self._page_of(request, found)

    def _page_of(self, request: web.Request, found: list[Document]) -> web.Response:
        start = int(request.query.get("_start", "0"))
        page = found[start : start + self._page]
        bundle: Document = {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [{"resource": one, "search": {"mode": "match"}} for one in page],
        }
        if start + self._page < len(found):
            following = request.url.update_query({"_start": str(start + self._page)})
            bundle["link"] = [{"relation": "next", "url": str(following)}]
        return _json(bundle)

    async def _metadata(self, request: web.Request) -> web.StreamResponse:
        return _json({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "status": "active", "kind": "instance"})

    def _admit(self, request: web.Request) -> None:
        if self._token is not None and request.headers.get("Authorization") != f"Bearer {self._token}":
            self.requests["unauthorized"] += 1
            raise Refused(401, {"resourceType": "OperationOutcome"})

    async def _steer(self, request: web.Request) -> web.StreamResponse:
        """{"reference": …, "do": "accept" | "reject" | "pay" | "deny"}."""
        asked = await request.json()
        reference = asked["reference"]
        items = self.live_claim(reference)["item"]
        match asked["do"]:
            case "accept":
                self.decide(reference, "queued")
            case "reject":
                self.decide(reference, "error", error=asked.get("code", "a001"))
            case "pay":
                self.decide(reference, "complete", [{"paid": item["net"]["value"]} for item in items])
            case _:
                self.decide(reference, "complete", [{"paid": 0, "reasons": ["97"]} for _ in items])
        return _json(self.summary())


def _item(item: Document, said: Document) -> Document:
    """One adjudicated line."""
    rows: list[Document] = [
        {"category": {"coding": [{"code": "submitted"}]}, "amount": item["net"]},
        {"category": {"coding": [{"code": "benefit"}]}, "amount": {"value": said["paid"], "currency": "USD"}},
    ]
    rows += [
        {"category": {"coding": [{"code": "eligible"}]}, "reason": {"coding": [{"code": code}]}}
        for code in said.get("reasons", ())
    ]
    return {"itemSequence": item["sequence"], "adjudication": rows}


def _names(claim: Document) -> list[str]:
    """Its identifiers as search tokens."""
    return [f"{row.get('system', '')}|{row.get('value', '')}" for row in claim.get("identifier", [])]


def _has(claim: Document, token: str) -> bool:
    """`system|value`, or `system|` for any value of the system."""
    return any(name == token or (token.endswith("|") and name.startswith(token)) for name in _names(claim))


def _refused(status: int, code: str, words: str) -> Refused:
    issue = {"severity": "error", "code": code, "details": {"text": words}}
    return Refused(status, {"resourceType": "OperationOutcome", "issue": [issue]})


def _json(document: Any) -> web.Response:
    return web.Response(body=orjson.dumps(document), content_type=JSON)


async def _serve(port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with SandboxFhirClaims(port=port) as server:
        sys.stdout.write(f"ready {server.base_url}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Serve until SIGTERM or SIGINT; everyone is let in."""
    parser = argparse.ArgumentParser(prog="ptbridge_sandbox.fhir_claim_server", description="A pretend FHIR claim server.")
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
