"""fhir_claim: a FHIR R4 server that takes Claims. One Claim a treatment day, named by an identifier of ours.

An original is a conditional create (`If-None-Exist`), a correction a conditional update of the same Claim, a withdrawal that
with status `cancelled`. Servers differ in how well they keep two creates at once apart, so a lost answer is looked up before
anything is sent again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from ptbridge.destinations._claim_facts import gather, lacks, missing
from ptbridge.destinations._fhir_claim_answers import answers_of
from ptbridge.destinations._fhir_claim_document import (
    Document,
    claim_document,
    fhir_claim_lacks,
    identified,
    invalid_places,
    read,
    totals,
    void_document,
    written,
)
from ptbridge.errors import ConfigError, OutcomeUnknown, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition, Finding, Frequency, PricedDay, Submission
from ptbridge.ports import AnswerPage, Capabilities, DestinationInfo
from ptbridge.specs.clinic import NO_CLAIMS, BillingProviderSpec, ClaimsSpec, DestinationSpec
from ptbridge.wire.fhir import FhirClient
from ptbridge.wire.http import HttpClient, Response

INFO = DestinationInfo(
    name="fhir_claim",
    summary="Keeps one Claim for each treatment day on a FHIR R4 server, and reads its ClaimResponses.",
    needs=("base_url",),
    options={
        "identifier_system": "the system of the identifier that names a day (default urn:ptbridge:charge)",
        "find_lag_seconds": "how long after a Claim was taken a search may still not find it (default 60)",
        "overlap_seconds": "how far before the last ClaimResponse each search begins again (default 300)",
    },
)

_MEDIA_TYPE = "application/fhir+json"
_SYSTEM = "urn:ptbridge:charge"
_BUSY = frozenset({408, 425, 429, 503})
_SEEN = "last_updated"


def build(
    spec: DestinationSpec,
    *,
    clinic: str,
    http: HttpClient | None,
    billing: BillingProviderSpec,
    folder: Path | None,
    run_id: str,
    claims: ClaimsSpec = NO_CLAIMS,
) -> FhirClaim:
    """A destination for one run (see `ptbridge.destinations`). Raises ConfigError for a missing base URL or a bad option."""
    if http is None:
        raise ConfigError("destination fhir_claim needs `base_url`: the FHIR endpoint.", where="destination")
    INFO.refuse_unknown(spec.options)
    for name in ("find_lag_seconds", "overlap_seconds"):
        if not spec.options.get(name, "0").isdecimal():
            raise ConfigError(f"{spec.options[name]!r} is not a number.", where=f"destination.options.{name}")
    system = spec.options.get("identifier_system", _SYSTEM)
    if ":" not in system or any(character in system for character in "|, \t"):
        raise ConfigError(f"{system!r} is not a URI.", where="destination.options.identifier_system")
    return FhirClaim(http, billing, claims, spec.options)


class FhirClaim:
    """One FHIR server. `close` closes the client."""

    def __init__(self, http: HttpClient, billing: BillingProviderSpec, claims: ClaimsSpec, options: Mapping[str, str]) -> None:
        self._http, self._fhir = http, FhirClient(http, http.base_url)
        self._billing, self._claims, self._options = billing, claims, options
        self._system = options.get("identifier_system", _SYSTEM)

    @property
    def capabilities(self) -> Capabilities:
        """What the server can do, after the clinic's options."""
        lag_seconds = float(self._options.get("find_lag_seconds", "60"))
        return Capabilities(find=True, replace=True, void=True, find_lag_seconds=lag_seconds)

    def lacks(self, priced: PricedDay) -> list[Finding]:
        """A finding SB03 for each fact that the Claim cannot do without, then for each place where it would break R4."""
        facts = gather(priced, self._billing, self._claims)
        found = [*lacks(facts), *fhir_claim_lacks(facts)]
        if found:
            return found
        claim = claim_document(facts, system=self._system, reference="check", frequency="1")
        advice = "Look at the field in the EMR or the mapping: its content is not what FHIR allows there."
        return [missing(f"a valid {place}", advice, f"Claim.{place}") for place in invalid_places(claim)]

    def encode(self, priced: PricedDay, *, reference: str, frequency: str, original_id: str | None) -> tuple[bytes, str]:
        """The Claim's JSON."""
        facts = gather(priced, self._billing, self._claims)
        return written(claim_document(facts, system=self._system, reference=reference, frequency=frequency)), _MEDIA_TYPE

    def encode_void(self, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        """The same Claim, cancelled."""
        return written(void_document(read(live), system=self._system, reference=reference)), _MEDIA_TYPE

    async def submit(self, submission: Submission) -> Acknowledgement:
        """Create or update the one Claim of the day. The answer counts only when it is that Claim, as it was sent."""
        original = submission.frequency is Frequency.ORIGINAL
        try:
            response = await (self._create(submission) if original else self._update(submission))
            if original and response.status == 200 and _status(response) == "cancelled":  # billed again after it was taken back
                response = await self._update(submission)
        except OutcomeUnknown:
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="lost-answer")
        return self._acknowledged(response, submission)

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """The Claim of the day, if what stands there now is this submission's revision. Raises PeerError."""
        ours = identified(read(submission.body), self._system)
        for claim in await self._search([("identifier", f"{self._system}|{submission.reference}")]):
            if identified(claim, self._system) == ours:
                return _taken(claim, submission)
        return None

    async def list_references(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]] | None:
        """Active Claims of ours of those service dates: reference -> (units, cents)."""
        first, last = service_dates
        found = await self._search([("identifier", f"{self._system}|"), ("created", f"ge{first}"), ("created", f"le{last}")])
        live: dict[str, tuple[int, int]] = {}
        for claim in found:
            reference, _ = identified(claim, self._system)
            day = str((claim.get("billablePeriod") or {}).get("start") or "")[:10]
            if not reference or claim.get("status") != "active" or not first <= day <= last:
                continue
            counted = totals(claim)
            if counted is None or reference in live:
                raise PeerUnavailable("the server has a Claim of ours without totals, or two of one day.")
            live[reference] = counted[1:]
        return live

    async def answers(self, cursor: Mapping[str, str]) -> AsyncIterator[AnswerPage]:
        """ClaimResponses that changed since the cursor, less an overlap: servers are not exact about the order of changes."""
        seen = cursor.get(_SEEN, "")
        params = [("_lastUpdated", f"ge{self._since(seen)}")] if seen else []
        async for page in self._fhir.search("ClaimResponse", params):
            responses = [entry.resource for entry in page.entries if entry.resource.get("resourceType") == "ClaimResponse"]
            times = [str((one.get("meta") or {}).get("lastUpdated") or "") for one in responses]
            seen = max([seen, *times])
            yield AnswerPage(answers=tuple(answer for one in responses for answer in answers_of(one)))
        if seen:
            yield AnswerPage(cursor={_SEEN: seen})

    async def check(self) -> list[str]:
        """Read the server's capabilities, then look for a Claim that nobody has: needs our credential, changes nothing."""
        statement = await self._fhir.capability()
        await self._search([("identifier", f"{self._system}|none")])
        version = str(statement.get("fhirVersion") or "an unnamed version")
        return [f"the FHIR server at {self._http.origin} ({version}) answers and takes our credential"]

    async def close(self) -> None:
        """Close the client."""
        await self._http.close()

    # ------------------------------------------------------------ asking

    async def _create(self, submission: Submission) -> Response:
        return await self._send("POST", "Claim", submission.body, {"if-none-exist": self._named(submission)})

    async def _update(self, submission: Submission) -> Response:
        return await self._send("PUT", f"Claim?{self._named(submission)}", submission.body, {})

    async def _send(self, method: str, path: str, body: bytes, more: Mapping[str, str]) -> Response:
        headers = {"content-type": _MEDIA_TYPE, "accept": _MEDIA_TYPE, "prefer": "return=representation", **more}
        return await self._http.request(method, path, headers=headers, content=body, retry=False)

    def _named(self, submission: Submission) -> str:
        return f"identifier={quote(f'{self._system}|{submission.reference}', safe='')}"

    async def _search(self, params: list[tuple[str, str]]) -> list[Document]:
        pages = [page async for page in self._fhir.search("Claim", params)]
        every = [entry.resource for page in pages for entry in page.entries]
        return [one for one in every if one.get("resourceType") == "Claim"]

    def _since(self, seen: str) -> str:
        overlap = timedelta(seconds=int(self._options.get("overlap_seconds", "300")))
        try:
            return (datetime.fromisoformat(seen) - overlap).isoformat()
        except ValueError:
            return seen

    def _acknowledged(self, response: Response, submission: Submission) -> Acknowledgement:
        """200 and 201 with our Claim: taken. Busy: not taken. Other 4xx with issues, a 412 for two Claims too: rejected."""
        answer = _object(response)
        if response.status in (200, 201):
            there, ours = identified(answer, self._system), identified(read(submission.body), self._system)
            if there == ours:
                return _taken(answer, submission)
            if response.status == 200 and there[0] == ours[0]:
                text = "the server has another Claim under our reference"
                return Acknowledgement(disposition=Disposition.REJECTED, native_code="reference-exists", native_text=text)
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="mismatched-answer")
        if response.status in _BUSY:
            code, wait = str(response.status), response.retry_after_seconds
            return Acknowledgement(disposition=Disposition.RETRY, native_code=code, retry_after_seconds=wait)
        issues = [row for row in answer.get("issue") or [] if isinstance(row, dict)]
        if 400 <= response.status < 500 and issues:
            codes = ",".join(dict.fromkeys(str(row.get("code") or "unknown") for row in issues))
            return Acknowledgement(disposition=Disposition.REJECTED, native_code=codes, native_text=_words(issues))
        return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code=str(response.status))


def _taken(claim: Document, submission: Submission) -> Acknowledgement:
    """It is there under our revision; only the whole of it, with the totals that were sent, is an acceptance."""
    if totals(claim) != totals(read(submission.body)):
        text = "the Claim stands at the server under our identifier with other totals than we sent"
        return Acknowledgement(disposition=Disposition.REJECTED, native_code="totals-differ", native_text=text)
    id_ = str(claim.get("id") or "") or None
    return Acknowledgement(disposition=Disposition.ACCEPTED, destination_id=id_, native_code=str(claim.get("status")))


def _words(issues: list[Document]) -> str:
    """The server's words for a person; `diagnostics`, which may quote the whole resource, are left out."""
    return "; ".join(str(row["details"]["text"]) for row in issues if (row.get("details") or {}).get("text"))


def _status(response: Response) -> str:
    return str(_object(response).get("status") or "")


def _object(response: Response) -> Document:
    try:
        return read(response.content)
    except ValueError:
        return {}
