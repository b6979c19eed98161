"""A pretend Stedi on loopback: claims in JSON with idempotency keys, the list and the poll of transactions, 277CA and 835.

In a test:      async with SandboxStedi() as stedi: … stedi.base_url … stedi.pay("pt-…") … stedi.summary()
As a process:   python -m ptbridge_sandbox.stedi --port 0      (prints `ready http://127.0.0.1:PORT`)

A key is remembered with its body and its answer until `forget()` or the fault `forget_keys`; the same key with another body is
422, while it is worked on 409. What is taken becomes an outbound 837 and Stedi's own 277CA; `payer_accepts`, `payer_rejects`
and `pay` add the payer's. POST /_sandbox/status does the same from another process. With a `hook`, each transaction that
comes in is told by a signed webhook.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import orjson
from aiohttp import web

from .biller_faults import Faults
from .faulty_server import FaultyServer, Refused, reply, run
from .stedi_hooks import Hook
from .stedi_words import Document, denied, remittance, report_277, wrong_with

REFUSAL = ("33", "Refused by a sandbox fault. Please Correct and Resubmit")
_EPOCH = datetime(2027, 1, 4, 8, tzinfo=UTC)  # after every service date of the sandbox's EMR


@dataclass(slots=True)
class Claim:
    """One claim as it stands. `live`: it stands at the payer or on its way there; a void itself never does."""

    id: str
    body: Document = field(repr=False)
    live: bool
    icn: str = ""

    @property
    def information(self) -> Document:
        """Loop 2300."""
        found: Document = self.body["claimInformation"]
        return found

    @property
    def control(self) -> str:
        """The patient control number."""
        return str(self.information["patientControlNumber"])

    @property
    def day(self) -> str:
        """What the auditor takes for the day: the part of the control number that stays over revisions."""
        return self.control[:12]

    @property
    def lines(self) -> int:
        """How many."""
        return len(self.information["serviceLines"])

    @property
    def units(self) -> int:
        """Over all lines."""
        return sum(int(line["professionalService"]["serviceUnitCount"]) for line in self.information["serviceLines"])

    @property
    def amount_cents(self) -> int:
        """Over all lines."""
        return int(Decimal(self.information["claimChargeAmount"]) * 100)


@dataclass(slots=True)
class Kept:
    """What a key is remembered with."""

    body: bytes = field(repr=False)
    status: int = 0
    answer: Document = field(default_factory=dict, repr=False)
    done: bool = False


class SandboxStedi(FaultyServer):
    """One account. `key` None lets everyone in; `page` is how many transactions one answer holds at most."""

    def __init__(
        self,
        *,
        key: str | None = None,
        faults: Faults | None = None,
        port: int = 0,
        page: int = 100,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(faults=faults, port=port)
        self.claims: list[Claim] = []
        self.transactions: list[Document] = []  # as the list gives them, oldest first
        self.reports: dict[str, Document] = {}
        self.work_seconds = 0.0  # how long a claim is worked on: the same key meanwhile is 409
        self.refused_tokens: set[str] = set()
        self.hook: Hook | None = None
        self._telling: set[asyncio.Task[int]] = set()
        self._keys: dict[str, Kept] = {}
        self._key, self._page, self._clock = key, page, clock
        self._listed_at: list[float] = []

    def routes(self, app: web.Application) -> None:
        """Stedi's addresses, both APIs below one."""
        app.router.add_post("/change/medicalnetwork/professionalclaims/v3/submission", self._submission)
        app.router.add_get("/change/medicalnetwork/reports/v2/{id}/{kind}", self._report)
        app.router.add_get("/transactions", self._list)
        app.router.add_get("/polling/transactions", self._poll)
        app.router.add_post("/_sandbox/status", self._steer)

    def summary(self) -> dict[str, Any]:
        """Live claims, lines, units and cents, requests, and the auditor's findings."""
        return self.counted(claim for claim in self.claims if claim.live)

    def misnamed(self, document: Any) -> Any:
        """Another claim's number in the answer."""
        return {**document, "claimReference": {**document.get("claimReference", {}), "patientControlNumber": "ANOTHER"}}

    def forget(self) -> None:
        """24 hours later: no key is remembered."""
        self._keys.clear()

    # ------------------------------------------------------------ claims

    async def _submission(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        self.requests["claims"] += 1
        if self.busy():
            raise Refused(self.faults.busy_status, {"message": "Too many requests"}, self.wait_header())
        content, key = await request.read(), request.headers.get("Idempotency-Key", "")
        kept = self._keys.get(key) if key and not self.faults.forget_keys else None
        if kept is not None:
            self.requests["repeated keys"] += 1
            if kept.body != content:
                raise Refused(422, {"message": "The idempotency key was used with another request."})
            if not kept.done:
                raise Refused(409, {"message": "A request with this key is in progress."}, {"Retry-After": "1"})
            return await self.spoil(request, kept.status, kept.answer)
        kept = Kept(content)
        if key:
            self._keys[key] = kept
        if self.work_seconds:
            await asyncio.sleep(self.work_seconds)
        kept.status, kept.answer = self._take(request, content)
        kept.done = True
        return await self.spoil(request, kept.status, kept.answer)

    def _take(self, request: web.Request, content: bytes) -> tuple[int, Document]:
        """One claim: the first edit that it fails rejects it, and it never reaches a payer."""
        body = orjson.loads(content)
        self.seen.append((request.method, request.path, body))
        wrong = self._wrong(body)
        if wrong:
            self.requests["refused"] += 1
            return 400, {"status": "ERROR", "errors": [wrong], "httpStatusCode": "400 BAD_REQUEST"}
        information = body["claimInformation"]
        frequency = information["claimFrequencyCode"]
        claim = Claim(f"01J{len(self.claims):023d}", body, frequency != "8")
        if frequency != "1":
            self._named_by(information).live = False
        self.claims.append(claim)
        self._audit(claim)
        self._add("837", claim, None)
        self._add("277", claim, report_277(claim, [("A1", "19"), ("A2", "20")], by_payer=False))
        lines = [{"lineItemControlNumber": line["providerControlNumber"]} for line in information["serviceLines"]]
        reference = {
            "correlationId": claim.id,
            "rhclaimNumber": claim.id,
            "patientControlNumber": claim.control,
            "serviceLines": lines,
        }
        return 200, {"status": "SUCCESS", "claimReference": reference, "errors": [], "httpStatusCode": "200 OK"}

    def _wrong(self, body: Document) -> Document | None:
        """The first edit that the claim fails."""
        if self.faults.refuses(body):
            said, _, todo = REFUSAL[1].partition(". ")
            return {"code": REFUSAL[0], "description": f"{said}.", "followupAction": todo}
        wrong = wrong_with(body)
        if wrong is None and body["claimInformation"]["claimFrequencyCode"] != "1":
            number = body["claimInformation"].get("claimSupplementalInformation", {}).get("claimControlNumber")
            if not any(one.live and one.icn and one.icn == number for one in self.claims):
                wrong = ("claimControlNumber", "names no claim of the payer")
        return {"code": "33", "field": wrong[0], "description": wrong[1]} if wrong else None

    def _named_by(self, information: Document) -> Claim:
        number = information["claimSupplementalInformation"]["claimControlNumber"]
        return next(one for one in self.claims if one.live and one.icn == number)

    def _audit(self, claim: Claim) -> None:
        """Contract D2, on every request: at most one live claim of a day, and of a line."""
        count = sum(one.live for one in self.claims if one.day == claim.day)
        if count > 1:
            self.violations.append(f"{claim.day}: {count} live claims")

    # ------------------------------------------------------------ what happens later

    def live_claim(self, reference: str) -> Claim:
        """The claim that stands for a reference of ours or a control number. Raises StopIteration when there is none."""
        return next(one for one in self.claims if one.live and one.control[:12] == _day_part(reference))

    def payer_accepts(self, reference: str) -> str:
        """The payer takes it and gives it a number, which is returned."""
        claim = self.live_claim(reference)
        claim.icn = f"ICN{claim.id[-6:]}"
        self._add("277", claim, report_277(claim, [("A2", "20")], by_payer=True))
        return claim.icn

    def payer_rejects(self, reference: str, category: str, code: str) -> None:
        """The payer turns it away at its door: the claim is gone."""
        claim = self.live_claim(reference)
        claim.live = False
        self._add("277", claim, report_277(claim, [(category, code)], by_payer=True))

    def pay(self, reference: str, lines: list[Document], *, status_code: str = "1") -> None:
        """A remittance: per line `paid` as text, and `adjustments` as (group, reason, amount)."""
        claim = self.live_claim(reference)
        self._add("835", claim, remittance(claim, lines, status_code))

    def _add(self, kind: str, claim: Claim, report: Document | None) -> None:
        """A transaction, with its report where it has one."""
        number = len(self.transactions)
        name = str(uuid5(NAMESPACE_OID, f"{kind}-{number}"))
        if report is not None:
            self.reports[name] = report
        self.transactions.append(
            {
                "transactionId": name,
                "status": "succeeded",
                "direction": "OUTBOUND" if kind == "837" else "INBOUND",
                "mode": "test" if claim.body["usageIndicator"] == "T" else "production",
                "processedAt": f"{_EPOCH + timedelta(seconds=number):%Y-%m-%dT%H:%M:%S.000Z}",
                "x12": {"metadata": {"transaction": {"transactionSetIdentifier": kind, "controlNumber": str(number)}}},
                "businessIdentifiers": [{"element": "CLM01", "value": claim.control}],
            }
        )
        self._listed_at.append(self._clock())
        if self.hook is not None and kind != "837":
            task = asyncio.get_running_loop().create_task(self.hook.tell(self.transactions[-1]))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    # ------------------------------------------------------------ reading

    def _visible(self) -> list[Document]:
        lag = self.faults.find_lag_seconds
        return [one for one, at in zip(self.transactions, self._listed_at, strict=True) if self._clock() - at >= lag]

    async def _list(self, request: web.Request) -> web.StreamResponse:
        """Newest first."""
        self._admit(request)
        self.requests["lists"] += 1
        asked = request.query
        found = [one for one in reversed(self._visible()) if _fits(one, asked)]
        start = int(asked.get("pageToken", "0"))
        page = found[start : start + min(self._page, int(asked.get("pageSize", "100")))]
        token = str(start + len(page)) if start + len(page) < len(found) else None
        return reply({"items": page, **({"nextPageToken": token} if token else {})})

    async def _poll(self, request: web.Request) -> web.StreamResponse:
        """Oldest first, always with a token for what follows."""
        self._admit(request)
        self.requests["polls"] += 1
        token = request.query.get("pageToken")
        if token in self.refused_tokens:
            raise Refused(400, {"message": "The page token is not valid."})
        visible = self._visible()
        since = request.query.get("startDateTime", "")
        start = int(token) if token else sum(one["processedAt"] <= since for one in visible)
        page = visible[start : start + min(self._page, int(request.query.get("pageSize", "100")))]
        return reply({"items": page, "nextPageToken": str(start + len(page))})

    async def _report(self, request: web.Request) -> web.StreamResponse:
        self._admit(request)
        self.requests["reports"] += 1
        found = self.reports.get(request.match_info["id"])
        if found is None:
            raise Refused(404, {"message": "not found"})
        return reply(found)

    def _admit(self, request: web.Request) -> None:
        if self._key is not None and request.headers.get("Authorization") != self._key:
            self.requests["unauthorized"] += 1
            raise Refused(401, {"message": "Unauthorized"})

    async def _steer(self, request: web.Request) -> web.StreamResponse:
        """{"reference": …, "do": "accept" | "reject" | "pay" | "deny"}."""
        asked = await request.json()
        reference = asked["reference"]
        lines = self.live_claim(reference).information["serviceLines"]
        match asked["do"]:
            case "accept":
                self.payer_accepts(reference)
            case "reject":
                self.payer_rejects(reference, asked.get("category", "A7"), asked.get("code", "164"))
            case "pay":
                self.pay(reference, [{"paid": line["professionalService"]["lineItemChargeAmount"]} for line in lines])
            case _:
                self.pay(reference, [denied(line) for line in lines], status_code="4")
        return reply(self.summary())


def _day_part(reference: str) -> str:
    """The beginning of the control numbers of a day, from ptbridge's reference: how its page on Stedi says it."""
    if not reference.startswith("pt-"):
        return reference[:12]
    number, text = int(reference[3:17], 16), ""
    while number:
        number, digit = divmod(number, 36)
        text = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + text
    return f"P{text:0>11}"


def _fits(transaction: Document, asked: Any) -> bool:
    wanted = asked.get("businessIdentifier")
    kind = transaction["x12"]["metadata"]["transaction"]["transactionSetIdentifier"]
    return (
        (wanted is None or any(one["value"] == wanted for one in transaction["businessIdentifiers"]))
        and asked.get("direction", transaction["direction"]) == transaction["direction"]
        and asked.get("transactionSetIdentifier", kind) == kind
        and asked.get("from", "") <= transaction["processedAt"]
    )


def main() -> None:
    """Serve until SIGTERM or SIGINT; everyone is let in."""
    run(SandboxStedi, "Stedi")


if __name__ == "__main__":
    main()
