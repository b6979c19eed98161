"""A pretend biller's FHIR R4 server on loopback: Claims, ChargeItems, transactions of both, and ClaimResponses.

In a test:      async with SandboxFhirClaims() as server: … server.base_url … server.decide("pt-…", …) … server.summary()
As a process:   python -m ptbridge_sandbox.fhir_claim_server --port 0      (prints `ready http://127.0.0.1:PORT`)

POST /_sandbox/status moves a Claim on, from another process too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web
from fhir.resources.R4B.claimresponse import ClaimResponse as R4ClaimResponse

from .biller_faults import Faults
from .faulty_server import FaultyServer, Handler, Refused, reply, run
from .fhir_claim_books import ClaimBooks, Document, Kept, has, judge_bundle, refused, token_of, valid, within

REFUSAL = ("business-rule", "refused by a sandbox fault")


@dataclass(slots=True, kw_only=True)
class TransactionFaults(Faults):
    """What servers get wrong of transactions, beside the rest. All off by default.

    `half_answer`: all of it stands, and the answer tells of the first half. `half_done`: each entry stands for itself, the last
    is refused (422) and the others stand. `half_lost`: the first half stands, then 500. `bare_answer`: the answer has no
    resources, whatever was preferred. `no_location`: the answer says where nothing is.
    """

    half_answer: float = 0.0
    half_done: float = 0.0
    half_lost: float = 0.0
    bare_answer: float = 0.0
    no_location: float = 0.0


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
        super().__init__(faults=faults or TransactionFaults(), port=port)
        self.books = ClaimBooks(clock, self.violations)
        self.responses: list[Document] = []
        self._token, self._page, self._clock = token, page, clock

    def routes(self, app: web.Application) -> None:
        """The FHIR interactions, below the root."""
        app.router.add_get("/metadata", self._metadata)
        app.router.add_post("/", self._transaction)
        app.router.add_post("/Claim", self._change(lambda request, claim: self.books.create(claim, _unless(request))))
        app.router.add_put("/Claim", self._change(lambda request, claim: self.books.update(claim, request.query_string)))
        app.router.add_get("/ClaimResponse", self._search_responses)
        app.router.add_get("/{kind:Claim|ChargeItem}", self._search)
        app.router.add_get("/{kind:Claim|ChargeItem}/{id}", self._read)
        app.router.add_post("/_sandbox/status", self._steer)

    def summary(self) -> dict[str, Any]:
        """Days that are for billing, lines, units and cents, requests, and the auditor's findings."""
        counted = self.counted(self.books.standing())
        return {**counted, "violations": [*self.violations, *self.books.disagreements()]}

    def misnamed(self, document: Any) -> Any:
        """Other resources in the answer."""
        other = {"identifier": [{"system": "urn:another", "value": "another"}]}
        if document["resourceType"] != "Bundle":
            return {**document, **other}
        return {**document, "entry": [{**row, "resource": {**row.get("resource", {}), **other}} for row in document["entry"]]}

    # ------------------------------------------------------------ writing

    def _change(self, work: Callable[[web.Request, Document], tuple[int, Kept]]) -> Handler:
        """One Claim."""

        async def handle(request: web.Request) -> web.StreamResponse:
            status, kept = work(request, await self._asked(request))
            if request.method == "POST" and status == 200:
                self.requests["matched creates"] += 1
            return await self.spoil(request, status, kept.resource)

        return handle

    async def _transaction(self, request: web.Request) -> web.StreamResponse:
        bundle = await self._asked(request)
        self.requests["transactions"] += 1
        entries = judge_bundle(bundle)
        faults = self.faults if isinstance(self.faults, TransactionFaults) else TransactionFaults()
        half = entries[: max(1, len(entries) // 2)]
        if faults.happens(faults.half_lost):
            self._done("half lost", half)
            return web.Response(status=500, text="Internal Server Error")
        if faults.happens(faults.half_done):
            return await self.spoil(request, 200, self._one_by_one(entries))
        rows = [_row(status, kept) for status, kept in self.books.transaction(entries)]
        if faults.happens(faults.half_answer):
            self.requests["half answers"] += 1
            rows = rows[: len(half)]
        if faults.happens(faults.bare_answer):
            rows = [{"response": row["response"]} for row in rows]
        if faults.happens(faults.no_location):
            rows = [{"response": {"status": row["response"]["status"]}} for row in rows]
        return await self.spoil(request, 200, {"resourceType": "Bundle", "type": "transaction-response", "entry": rows})

    def _done(self, word: str, entries: list[Document]) -> list[Document]:
        """A part of a transaction, as a server that is not atomic does it: what it points to stays as it was named."""
        self.requests[word] += 1
        return [_row(*self.books.entry(entry)) for entry in entries]

    def _one_by_one(self, entries: list[Document]) -> Document:
        """As a batch: the last entry is refused, the others stand."""
        rows = self._done("half done", entries[:-1])
        outcome = refused(422, *REFUSAL).body
        return {
            "resourceType": "Bundle",
            "type": "batch-response",
            "entry": [*rows, {"response": {"status": "422 Unprocessable Entity", "outcome": outcome}}],
        }

    async def _asked(self, request: web.Request) -> Document:
        self._admit(request)
        self.requests["writes"] += 1
        if self.busy():
            raise Refused(self.faults.busy_status, {"resourceType": "OperationOutcome"}, self.wait_header())
        document: Document = orjson.loads(await request.read())
        self.seen.append((request.method, request.path, document))
        if self.faults.refuses(document):
            self.requests["refused"] += 1
            raise refused(422, *REFUSAL)
        return document

    # ------------------------------------------------------------ what happens later

    def live_claim(self, reference: str) -> Document:
        """The active Claim of a reference. Raises StopIteration when there is none."""
        live = (one for one in self.books.all("Claim") if one.is_live)
        return next(one.resource for one in live if any(name.endswith(f"|{reference}") for name in one.names))

    def mark(self, reference: str, status: str = "billed") -> None:
        """The biller goes on with the live ChargeItems of a day: `billed`, `not-billable` or `aborted`."""
        for item in self.books.live_items(reference):
            self.books.write(item, status=status)

    def decide(self, reference: str, outcome: str, lines: Sequence[Document] = (), *, error: str = "") -> None:
        """A ClaimResponse: per line `paid` and `reasons` (CARC); `error` is the code of an outcome `error`."""
        claim = self.live_claim(reference)
        items = [_item(item, said) for item, said in zip(claim["item"], lines, strict=False)]
        response = {
            "resourceType": "ClaimResponse",
            "id": f"r{len(self.responses) + 1}",
            "meta": {"versionId": "1", "lastUpdated": self.books.now()},
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
        valid(R4ClaimResponse, response)
        self.responses.append(response)

    # ------------------------------------------------------------ reading

    async def _search(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        self.requests["searches"] += 1
        asked, kind = request.query, request.match_info["kind"]
        lag = self.faults.find_lag_seconds
        found = [one for one in self.books.all(kind) if self._clock() - one.kept_at >= lag]
        found = [one for one in found if has(one, asked.get("identifier", ""))]
        dates, own = ("created", "created") if kind == "Claim" else ("occurrence", "occurrenceDateTime")
        rows = [one.resource for one in found if within(asked.getall(dates, []), one.resource[own])]
        return self._page_of(request, _since(rows, asked.get("_lastUpdated", "")))

    async def _search_responses(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        self.requests["news"] += 1
        return self._page_of(request, _since(self.responses, request.query.get("_lastUpdated", "")))

    async def _read(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        self.requests["reads"] += 1
        found = self.books.kept[request.match_info["kind"]].get(request.match_info["id"])
        if found is None:
            raise refused(404, "not-found", "nothing stands there")
        return reply(found.resource)

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
        return reply(bundle)

    async def _metadata(self, request: web.Request) -> web.StreamResponse:
        rest = [{"mode": "server", "interaction": [{"code": "transaction"}]}]
        statement = {"fhirVersion": "4.0.1", "status": "active", "kind": "instance", "rest": rest}
        return reply({"resourceType": "CapabilityStatement", **statement})

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
        return reply(self.summary())


def _row(status: int, kept: Kept) -> Document:
    """One entry of a transaction's answer."""
    word = {200: "200 OK", 201: "201 Created"}[status]
    return {"resource": kept.resource, "response": {"status": word, "location": kept.location, "etag": f'W/"{kept.version}"'}}


def _unless(request: web.Request) -> str:
    """The search of a conditional create. Raises Refused where there is none: this server takes no other."""
    query = request.headers.get("If-None-Exist", "")
    token_of(query)
    return query


def _since(rows: list[Document], asked: str) -> list[Document]:
    moment = datetime.fromisoformat(asked[2:]) if asked else None
    return [one for one in rows if moment is None or datetime.fromisoformat(one["meta"]["lastUpdated"]) >= moment]


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


def main() -> None:
    """Serve until SIGTERM or SIGINT; everyone is let in."""
    run(SandboxFhirClaims, "FHIR claim server")


if __name__ == "__main__":
    main()
