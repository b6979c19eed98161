"""A pretend Candid on loopback: tokens, charge captures v1, encounters v4 with diagnoses and lines, bundles, events.

In a test:      async with SandboxCandid() as candid: … candid.base_url … candid.books.make_claim("pt-…") … candid.summary()
As a process:   python -m ptbridge_sandbox.candid --port 0      (prints `ready http://127.0.0.1:PORT`)

Field names, errors and answers are those of the SDK's types, 1.37.0; what no document says (that a PATCH merges) is the
harsher reading. POST /_sandbox/claim-status moves a claim on, from another process too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from .biller_faults import Faults
from .candid_books import CandidBooks
from .candid_words import Document, Wrong
from .faulty_server import FaultyServer, Handler, Refused, reply, run

REFUSAL = ("UnprocessableEntityError", "refused by a sandbox fault")
_EVENT_DAYS = 30


class SandboxCandid(FaultyServer):
    """One organization at Candid. `client` (id, secret) None lets everyone in; `token_busy` token requests get a 429 first."""

    def __init__(
        self,
        *,
        client: tuple[str, str] | None = None,
        faults: Faults | None = None,
        port: int = 0,
        strict: bool = True,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(faults=faults, port=port)
        self.books = CandidBooks(clock=clock, wall=wall, strict=strict)
        self.token_busy = 0
        self.list_fault = ""  # repeat: every page leads to itself; empty: an object without items; error: 500
        self.expires_in = 18_000
        self._client = client
        self._tokens: set[str] = set()
        self._clock, self._wall = clock, wall

    def summary(self) -> dict[str, Any]:
        """Candid's own count: live charges, lines, units and cents, requests, and the auditor's findings."""
        counts = dict(self.books.counts)
        return {**self.books.totals(), "events": counts, "requests": dict(self.requests), "violations": self.books.violations}

    def misnamed(self, document: Any) -> Any:
        """Another charge's or encounter's name in the answer."""
        return {**document, "charge_external_id": "other", "external_id": "other"} if isinstance(document, dict) else document

    def forget_tokens(self) -> None:
        """Every token given so far is answered 401 from now on."""
        self._tokens.clear()

    def routes(self, app: web.Application) -> None:
        """Candid's addresses."""
        books, add = self.books, app.router
        add.add_post("/api/auth/v2/token", self._token)
        charges, encounters = "/api/charge_captures/v1", "/api/encounters/v4"
        add.add_get(charges, self._list(self._charges))
        add.add_post(charges, self._change(lambda request, body: books.create_charge(body)))
        add.add_patch(charges + "/{id}", self._change(lambda request, body: books.change_charge(_id(request), body)))
        add.add_get("/api/charge_capture_claim_creation/v1", self._list(self._bundles))
        add.add_get("/api/charge_capture_claim_creation/v1/all/summary", self._waiting)
        add.add_get(encounters, self._list(self._encounters))
        add.add_post(encounters, self._change(lambda request, body: books.create_encounter(body)))
        add.add_get(encounters + "/{id}", self._encounter)
        add.add_patch(encounters + "/{id}", self._change(lambda request, body: books.change_encounter(_id(request), body)))
        diagnoses, lines = "/api/diagnoses/v2", "/api/service-lines/v2"
        add.add_post(diagnoses, self._change(lambda request, body: books.add_diagnosis(body)))
        add.add_patch(diagnoses + "/{id}", self._change(lambda request, body: books.change_diagnosis(_id(request), body)))
        add.add_delete(diagnoses + "/{id}", self._change(lambda request, body: books.drop_diagnosis(_id(request))))
        add.add_put(lines + "/external-id/{id}", self._change(lambda request, body: books.put_line(_id(request), body)))
        add.add_delete(lines + "/{id}", self._change(lambda request, body: books.drop_line(_id(request))))
        add.add_get("/api/events/v1/", self._list(self._events))
        add.add_post("/_sandbox/claim-status", self._steer)

    # ------------------------------------------------------------ the door

    async def _token(self, request: web.Request) -> web.StreamResponse:
        self.requests["tokens"] += 1
        if self.token_busy:
            self.token_busy -= 1
            raise _error(Wrong("TooManyRequestsError", 429, {"message": "reuse your token"}), self.wait_header())
        asked = await request.json()
        if self._client is not None and (asked.get("client_id"), asked.get("client_secret")) != self._client:
            raise _error(Wrong("UnauthorizedError", 403, {"message": "unknown client"}))
        token = f"token-{self.requests['tokens']}"
        self._tokens.add(token)
        return reply({"access_token": token, "expires_in": self.expires_in, "token_type": "Bearer"})

    def _admit(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._client is not None and given not in self._tokens:
            self.requests["unauthorized"] += 1
            raise _error(Wrong("UnauthorizedError", 401, {"message": "the token is missing, wrong or too old"}))

    def _change(self, work: Callable[[web.Request, Document], Document | None]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._admit(request)
            self.requests["changes"] += 1
            body = orjson.loads(await request.read() or b"{}")
            if self.busy():
                raise _error(Wrong("TooManyRequestsError", self.faults.busy_status), self.wait_header())
            self.seen.append((request.method, request.path, body))
            if self.faults.refuses(body):
                self.requests["refused"] += 1
                raise _error(Wrong(REFUSAL[0], 422, {"message": REFUSAL[1]}))
            try:
                document = work(request, body)
            except Wrong as wrong:
                raise _error(wrong) from None
            return await self.spoil(request, 204 if document is None else 200, document)

        return handle

    # ------------------------------------------------------------ lists

    def _list(self, choose: Callable[[web.Request], list[Document]]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self._admit(request)
            self.requests["lists"] += 1
            rows = choose(request)
            first, limit = int(request.query.get("page_token", "0")), int(request.query.get("limit", "100"))
            page: Document = {"items": rows[first : first + limit], "item_count": len(rows)}
            if self.list_fault == "error":
                raise Refused(500, {})
            if self.list_fault:
                return reply({"next_page_token": "0", **page} if self.list_fault == "repeat" else {"item_count": 0})
            if first + limit < len(rows):
                page["next_page_token"] = str(first + limit)
            return reply(page)

        return handle

    def _visible(self, row: Document) -> bool:
        taken_at = self.books.taken_at[str(row.get("id") or row.get("encounter_id"))]
        return self._clock() - taken_at >= self.faults.find_lag_seconds

    def _charges(self, request: web.Request) -> list[Document]:
        asked = request.query
        rows = [row for row in self.books.charges.values() if self._visible(row)]
        rows = [row for row in rows if asked.get("charge_external_id", row["charge_external_id"]) == row["charge_external_id"]]
        rows = [row for row in rows if asked.get("status", row["status"]) == row["status"]]
        wanted = asked.getall("claim_creation_ids", [])
        rows = [row for row in rows if not wanted or row.get("claim_creation_id") in wanted]
        return _of_dates(request, [row for row in rows if _billed_by(request, row["charge_capture_data"])])

    def _encounters(self, request: web.Request) -> list[Document]:
        asked = request.query
        rows = [row for row in self.books.encounters.values() if self._visible(row)]
        rows = [row for row in rows if asked.get("external_id", row["external_id"]) == row["external_id"]]
        rows = [row for row in rows if asked.get("billable_status", row["billable_status"]) == row["billable_status"]]
        return _of_dates(request, [row for row in rows if _billed_by(request, row)])

    def _bundles(self, request: web.Request) -> list[Document]:
        status = request.query.get("claim_creation_status")
        return [row for row in self.books.bundles.values() if status in (None, row["status"])]

    def _events(self, request: web.Request) -> list[Document]:
        after = max(request.query.get("created_after", ""), "")
        kinds = request.query.getall("event_types", [])
        oldest = self._wall() - _EVENT_DAYS * 86_400
        rows = [row for row in reversed(self.books.events) if not kinds or row["event_type"] in kinds]
        return [row for row in rows if _seconds(row["created_at"]) >= max(oldest, _seconds(after) if after else 0)]

    async def _waiting(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        charges = self.books.charges.values()
        statuses = [bundle["status"] for bundle in self.books.bundles.values()]
        return reply(
            {
                "charge_capture_charges_not_linked_to_claims_count": sum(not row.get("claim_creation_id") for row in charges),
                "charge_capture_claim_creations_not_started_count": statuses.count("not-started"),
                "charge_capture_held_claim_creations_count": statuses.count("held"),
                "charge_capture_claim_creations_in_error_count": statuses.count("in-error"),
                "charge_capture_unresolved_change_count": sum(
                    not update["resolved"] for row in charges for update in row["updates"]
                ),
            }
        )

    async def _encounter(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        self.requests["look-ups"] += 1
        if _id(request) not in self.books.encounters:
            raise _error(Wrong("EntityNotFoundError", 404, {"id": _id(request)}))
        return reply(self.books.encounters[_id(request)])

    async def _steer(self, request: web.Request) -> web.StreamResponse:
        """{"reference": …, "status": …, "payer_claim_id": …}: makes the claim of a charge first, when there is none."""
        asked = await request.json()
        reference, status = asked.pop("reference"), asked.pop("status")
        try:
            self.books.encounter_of(reference)
        except StopIteration:
            self.books.make_claim(reference)
        self.books.set_status(reference, status, **asked)
        return reply(self.summary())


def _id(request: web.Request) -> str:
    return request.match_info["id"]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _billed_by(request: web.Request, data: Document) -> bool:
    wanted = request.query.getall("billing_provider_npis", [])
    return not wanted or data["billing_provider"]["npi"] in wanted


def _of_dates(request: web.Request, rows: list[Document]) -> list[Document]:
    first, last = request.query.get("date_of_service_min", ""), request.query.get("date_of_service_max", "9999")
    return [row for row in rows if first <= str(row["date_of_service"]) <= last]


def _error(wrong: Wrong, headers: dict[str, str] | None = None) -> Refused:
    return Refused(wrong.status, {"errorName": wrong.name, "content": wrong.content}, headers)


def main() -> None:
    """Serve until SIGTERM or SIGINT; everyone is let in."""
    run(SandboxCandid, "Candid")


if __name__ == "__main__":
    main()
