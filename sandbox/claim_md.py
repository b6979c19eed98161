"""A pretend Claim.MD on loopback: upload of JSON claims, the response feed, remittances. Nothing is idempotent here.

In a test:      async with SandboxClaimMd() as claim_md: … claim_md.base_url … claim_md.pay("pt-…") … claim_md.summary()
As a process:   python -m ptbridge_sandbox.claim_md --port 0      (prints `ready http://127.0.0.1:PORT`)

A file is taken whole, each claim in it accepted or rejected, HTTP 200 either way. The same file again makes the same claims
again, as at the real one with its duplicate check off; the auditor then finds the double. POST /_sandbox/status moves a
claim on, from another process too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
from aiohttp import web

from .biller_faults import Faults
from .faulty_server import FaultyServer, Refused, reply, run

Document = dict[str, Any]
REFUSAL = ("SBX1", "charge: refused by a sandbox fault")
_SENDER = "CLAIMMD"
_NEEDED = (
    "claim_form payerid pcn remote_claimid total_charge pat_name_f pat_name_l pat_dob pat_sex pat_rel ins_number bill_npi "
    "bill_taxid bill_name bill_addr_1 bill_city bill_state bill_zip prov_npi prov_name_l diag_1 accept_assign charge"
)


@dataclass(slots=True)
class Claim:
    """One claim as it stands. `live`: it stands at the payer or on its way there; a void itself never does."""

    id: str
    body: Document = field(repr=False)
    filename: str
    live: bool
    taken_at: float
    icn: str = ""

    @property
    def reference(self) -> str:
        """Our name of the day, out of `remote_claimid`."""
        return str(self.body["remote_claimid"]).rpartition("-")[0]

    @property
    def lines(self) -> int:
        """How many."""
        return len(self.body["charge"])

    @property
    def units(self) -> int:
        """Over all lines."""
        return sum(int(line["units"]) for line in self.body["charge"])

    @property
    def amount_cents(self) -> int:
        """Over all lines."""
        return int(Decimal(self.body["total_charge"]) * 100)


class SandboxClaimMd(FaultyServer):
    """One account. `key` None lets everyone in; `page` is how many rows of the feed one answer holds."""

    def __init__(
        self,
        *,
        key: str | None = None,
        faults: Faults | None = None,
        port: int = 0,
        page: int = 20_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(faults=faults, port=port)
        self.claims: list[Claim] = []
        self.feed: list[Document] = []  # rows, oldest first; their message holds the ResponseID
        self.eras: list[Document] = []
        self.feed_fault = ""  # stuck: says that there is more and gives the same; number: a last id that is none; error: 500
        self._named: dict[str, list[Claim]] = {}  # reference -> its claims
        self._key, self._page, self._clock = key, page, clock
        self._fed_at: list[float] = []

    def routes(self, app: web.Application) -> None:
        """Claim.MD's services."""
        app.router.add_post("/services/upload/", self._upload)
        app.router.add_post("/services/response/", self._response)
        app.router.add_post("/services/uploadlist/", self._uploads)
        app.router.add_post("/services/eralist/", self._era_list)
        app.router.add_post("/services/eradata/", self._era_data)
        app.router.add_post("/_sandbox/status", self._steer)

    def summary(self) -> dict[str, Any]:
        """Live claims, lines, units and cents, requests, and the auditor's findings."""
        return self.counted(claim for claim in self.claims if claim.live)

    def misnamed(self, document: Any) -> Any:
        """Another claim's name in the answer."""
        renamed = [{**row, "remote_claimid": "another-claim"} for row in document["claim"]]
        return {**document, "claim": renamed}

    # ------------------------------------------------------------ uploads

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        self.requests["uploads"] += 1
        fields, content, filename = await _form(request)
        self._admit(fields)
        if self.busy():
            raise Refused(self.faults.busy_status, {"error": {"error_code": "busy"}}, self.wait_header())
        try:
            body = orjson.loads(content)
        except orjson.JSONDecodeError:
            raise Refused(200, {"error": {"error_code": "unreadable", "error_mesg": "The file is no JSON."}}) from None
        self.seen.append((request.method, request.path, body))
        rows = [self._take(claim, filename) for claim in body["claim"]]
        return await self.spoil(request, 200, {"messages": f"Received {len(rows)} claims in file: {filename}", "claim": rows})

    def _take(self, body: Document, filename: str) -> Document:
        """One claim: what is wrong with it rejects it, and it never reaches a payer."""
        wrong = self._wrong(body)
        frequency = body.get("frequency_code", "1")
        claim = Claim(str(len(self.claims) + 1), body, filename, not wrong and frequency != "8", self._clock())
        self.claims.append(claim)
        self._named.setdefault(claim.reference, []).append(claim)
        if not wrong and frequency in ("7", "8"):
            was = next(one for one in self.claims if one.live and one is not claim and one.icn == body["icn_dcn_1"])
            was.live = False
        self._audit(claim.reference)
        return self._say(claim, "R" if wrong else "A", *wrong or ("ACK", "Claim received"))

    def _wrong(self, body: Document) -> tuple[str, str] | None:
        """The first thing wrong with a claim: message id, and field with words."""
        if self.faults.refuses(body):
            self.requests["refused"] += 1
            return REFUSAL
        missing = [name for name in _NEEDED.split() if not body.get(name)]
        if missing:
            return "REQ", f"{missing[0]}: is required"
        if sum(Decimal(line["charge"]) for line in body["charge"]) != Decimal(body["total_charge"]):
            return "SUM", "total_charge: is not the sum of the lines"
        ids = [line["remote_chgid"] for line in body["charge"]]
        if len(set(ids)) != len(ids) or any(len(one) > 12 for one in ids) or len(body["pcn"]) > 20:
            return "IDS", "remote_chgid: not unique, or too long"
        if any(f"diag_{ord(letter) - 64}" not in body for line in body["charge"] for letter in line["diag_ref"]):
            return "DXR", "diag_ref: points past the diagnoses"
        if body.get("frequency_code", "1") in ("7", "8") and not any(
            one.live and one.icn and one.icn == body.get("icn_dcn_1") for one in self.claims
        ):
            return "ICN", "icn_dcn_1: names no claim of the payer"
        return None

    def _audit(self, reference: str) -> None:
        """Contract D2, on every request: at most one live claim of a reference."""
        count = sum(claim.live for claim in self._named[reference])
        if count > 1:
            self.violations.append(f"{reference}: {count} live claims")

    # ------------------------------------------------------------ what happens later

    def live_claim(self, reference: str) -> Claim:
        """The claim that stands. Raises StopIteration when there is none."""
        return next(claim for claim in self._named.get(reference, []) if claim.live)

    def payer_accepts(self, reference: str) -> str:
        """The payer takes it and gives it a number, which is returned."""
        claim = self.live_claim(reference)
        claim.icn = f"ICN{claim.id}"
        self._say(claim, "A", "PYR", "Accepted for processing", by_payer=True)
        return claim.icn

    def payer_rejects(self, reference: str, code: str, words: str) -> None:
        """The payer turns it away at its door: the claim is gone."""
        claim = self.live_claim(reference)
        claim.live = False
        self._say(claim, "R", code, words, by_payer=True)

    def pay(self, reference: str, charges: list[Document], *, status_code: str = "1") -> None:
        """A remittance: per line `paid` and `adjustment` rows, amounts as text."""
        claim = self.live_claim(reference)
        lines = [{**_echo(line), **said} for line, said in zip(claim.body["charge"], charges, strict=True)]
        total = sum((Decimal(str(line["paid"])) for line in lines), Decimal())
        self.eras.append(
            {
                "eraid": str(len(self.eras) + 1),
                "paid_date": "2026-11-20",
                "claim": {  # a list of one comes as the thing itself
                    "pcn": claim.body["pcn"],
                    "payer_icn": claim.icn,
                    "status_code": status_code,
                    "total_charge": claim.body["total_charge"],
                    "total_paid": str(total),
                    "charge": lines,
                },
            }
        )

    def _say(self, claim: Claim, status: str, code: str, words: str, *, by_payer: bool = False) -> Document:
        """A row of the feed, which is also the row of an upload's answer."""
        field_name, _, said = words.rpartition(": ")
        message = {"mesgid": code, "message": said, "status": status, "fields": field_name}
        row = {
            "claimmd_id": claim.id,
            "remote_claimid": claim.body["remote_claimid"],
            "pcn": claim.body["pcn"],
            "payerid": claim.body["payerid"],
            "filename": claim.filename,
            "fdos": claim.body["charge"][0]["from_date"],
            "total_charge": claim.body["total_charge"],
            "status": status,
            "senderid": claim.body["payerid"] if by_payer else _SENDER,
            "sender_icn": claim.icn if by_payer else f"CMD{claim.id}",
            "response_time": f"2026-11-02T08:00:{len(self.feed) % 60:02d}",
            "messages": {**message, "responseid": str(len(self.feed) + 1)},
        }
        self.feed.append(row)
        self._fed_at.append(self._clock())
        return row

    # ------------------------------------------------------------ reading

    async def _response(self, request: web.Request) -> web.StreamResponse:
        self.requests["feed"] += 1
        asked = await self._asked(request)
        lag = self.faults.find_lag_seconds
        after, seen = int(asked["ResponseID"]), sum(self._clock() - at >= lag for at in self._fed_at)
        rows = self.feed[:seen][after : after + self._page]
        if self.feed_fault == "error":
            raise Refused(500, {})
        if self.feed_fault:
            last = str(after + 1) if self.feed_fault == "stuck" else "soon"
            return reply({"result": {"last_responseid": last, "claim": self.feed[:1]}})
        return reply({"result": {"last_responseid": str(max(after, after + len(rows))), "claim": rows}})

    async def _uploads(self, request: web.Request) -> web.StreamResponse:
        await self._asked(request)
        return reply({"result": {"file": []}})

    async def _era_list(self, request: web.Request) -> web.StreamResponse:
        after = int((await self._asked(request)).get("ERAID", "0"))
        return reply({"result": {"era": [{"eraid": era["eraid"]} for era in self.eras if int(era["eraid"]) > after]}})

    async def _era_data(self, request: web.Request) -> web.StreamResponse:
        wanted = (await self._asked(request))["eraid"]
        return reply(next(era for era in self.eras if era["eraid"] == wanted))

    async def _asked(self, request: web.Request) -> dict[str, str]:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self._admit(form)
        return form

    def _admit(self, form: dict[str, str]) -> None:
        if self._key is not None and form.get("AccountKey") != self._key:
            self.requests["unauthorized"] += 1
            raise Refused(200, {"error": {"error_code": "AccountKey", "error_mesg": "The account key is not known."}})

    async def _steer(self, request: web.Request) -> web.StreamResponse:
        """{"reference": …, "do": "accept" | "reject" | "pay" | "deny"}."""
        asked = await request.json()
        reference, lines = asked["reference"], self.live_claim(asked["reference"]).body["charge"]
        match asked["do"]:
            case "accept":
                self.payer_accepts(reference)
            case "reject":
                self.payer_rejects(reference, asked.get("code", "A7"), asked.get("words", "rejected by the payer"))
            case "pay":
                self.pay(reference, [{"paid": line["charge"]} for line in lines])
            case _:
                self.pay(reference, [_denied(line) for line in lines], status_code="4")
        return reply(self.summary())


def _denied(line: Document) -> Document:
    return {"paid": "0.00", "adjustment": {"group": "CO", "code": "97", "amount": line["charge"]}}


def _echo(line: Document) -> Document:
    return {name: line[name] for name in ("remote_chgid", "proc_code", "charge", "units")}


async def _form(request: web.Request) -> tuple[dict[str, str], bytes, str]:
    """The fields of a multipart upload, its file and the file's name."""
    fields: dict[str, str] = {}
    content, filename = b"", ""
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            content, filename = value.file.read(), value.filename
        else:
            fields[name] = str(value)
    return fields, content, filename


def main() -> None:
    """Serve until SIGTERM or SIGINT; everyone is let in."""
    run(SandboxClaimMd, "Claim.MD")


if __name__ == "__main__":
    main()
