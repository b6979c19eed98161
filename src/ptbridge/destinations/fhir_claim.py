"""fhir_claim: a FHIR R4 server that takes Claims, ChargeItems or both, each named by an identifier of ours.

`resources: Claim` (the default) is one Claim a treatment day: an original is a conditional create (`If-None-Exist`), a
correction a conditional update of the same Claim, a withdrawal that with status `cancelled`. With `ChargeItem` a day goes as
one transaction, with a ChargeItem for each line. Servers differ in how well they keep two creates at once apart, and in what
they do of a transaction, so a lost or half answer is looked up before anything is sent again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta

from ptbridge.destinations import DestinationParts
from ptbridge.destinations import _fhir_claim_days as days
from ptbridge.destinations import _fhir_claim_items as items
from ptbridge.destinations._claim_facts import gather, missing
from ptbridge.destinations._document import Document
from ptbridge.destinations._fhir_claim_answers import answers_of, item_answers
from ptbridge.destinations._fhir_claim_api import MEDIA_TYPE, FhirClaimApi
from ptbridge.destinations._fhir_claim_bundle import CHARGE_ITEM, CLAIM, Naming, day_bundle, resources_of, void_bundle
from ptbridge.destinations._fhir_claim_document import (
    charge_items_lack,
    claim_document,
    fhir_claim_lacks,
    totals,
    void_document,
)
from ptbridge.destinations._fhir_claim_parts import identified, invalid_places, line_system, written
from ptbridge.destinations._listed import summed
from ptbridge.errors import ConfigError, OutcomeUnknown, PeerError, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition, Finding, Frequency, PricedDay, Stage, Submission
from ptbridge.ports import CLAIM_STATES, AnswerPage, Capabilities, DestinationInfo
from ptbridge.specs.clinic import BillingProviderSpec, ClaimsSpec

INFO = DestinationInfo(
    name="fhir_claim",
    summary="Keeps each treatment day as a Claim, ChargeItems or both on a FHIR R4 server, and reads what becomes of them.",
    needs=("base_url",),
    options={
        "resources": "what a day is there: Claim (default), ChargeItem, or both, as `Claim, ChargeItem`, in one transaction",
        "identifier_system": "the system of the identifier that names a day (default urn:ptbridge:charge)",
        "modifier_extension": f"the URL of the extension with a ChargeItem's modifiers (default {items.MODIFIER_EXTENSION})",
        "read_back": "yes: each day taken is looked up again and compared before it counts (default no)",
        "find_lag_seconds": "how long after a resource was taken a search may still not find it (default 60)",
        "overlap_seconds": "how far before the last change each search for news begins again (default 300)",
    },
    states=CLAIM_STATES,
)

_SYSTEM = "urn:ptbridge:charge"
_SEEN, _SEEN_ITEMS = "last_updated", "items_last_updated"


def build(parts: DestinationParts) -> FhirClaim:
    """A destination for one run (see `ptbridge.destinations`). Raises ConfigError for a missing base URL or a bad option."""
    http = parts.needed_http("the FHIR endpoint")
    INFO.refuse_unknown(parts.options)
    naming = Naming(
        kinds=_kinds(parts.options.get("resources", CLAIM)),
        system=_uri(parts.options, "identifier_system", _SYSTEM),
        modifier_extension=_uri(parts.options, "modifier_extension", items.MODIFIER_EXTENSION),
    )
    overlap = timedelta(seconds=INFO.number(parts.options, "overlap_seconds", 300))
    kind = FhirClaim if naming.kinds == (CLAIM,) else FhirCharges
    return kind(FhirClaimApi(http, naming), parts.billing, parts.claims, _capabilities(naming, parts.options), overlap)


def _capabilities(naming: Naming, options: Mapping[str, str]) -> Capabilities:
    """What the server can do. A ChargeItem is ours until the biller has billed it; a Claim of ours until it is decided."""
    alone = CLAIM not in naming.kinds
    return Capabilities(
        find=True,
        replace=True,
        void=True,
        find_lag_seconds=INFO.number(options, "find_lag_seconds", 60),
        open_until=Stage.RECEIVED if alone else Stage.REMITTANCE,
        task_after=Stage.RECEIVED if alone else None,
        read_back=INFO.yes(options, "read_back"),
    )


def _kinds(text: str) -> tuple[str, ...]:
    found = [one.strip() for one in text.split(",")]
    if sorted(found) not in ([CHARGE_ITEM], [CLAIM], [CHARGE_ITEM, CLAIM]):
        known = f"{CLAIM}; {CHARGE_ITEM}; {CLAIM}, {CHARGE_ITEM}"
        raise ConfigError(f"{text!r} is not what a day can be. Known: {known}.", where="destination.options.resources")
    return tuple(kind for kind in (CLAIM, CHARGE_ITEM) if kind in found)


def _uri(options: Mapping[str, str], name: str, default: str) -> str:
    text = options.get(name, default)
    if ":" not in text or any(character in text for character in "|, \t"):
        raise ConfigError(f"{text!r} is not a URI.", where=f"destination.options.{name}")
    return text


class FhirClaim:
    """One FHIR server that has a Claim of each day. `close` closes the client."""

    def __init__(
        self,
        api: FhirClaimApi,
        billing: BillingProviderSpec,
        claims: ClaimsSpec,
        capabilities: Capabilities,
        overlap: timedelta,
    ) -> None:
        self._api, self._naming = api, api.naming
        self._billing, self._claims = billing, claims
        self._capabilities, self._overlap = capabilities, overlap

    @property
    def capabilities(self) -> Capabilities:
        """What the server can do, after the clinic's options."""
        return self._capabilities

    def lacks(self, priced: PricedDay) -> list[Finding]:
        """A finding SB03 for each fact that the day cannot do without, then for each place where it would break R4."""
        facts = gather(priced, self._billing, self._claims)
        found = fhir_claim_lacks(facts) if CLAIM in self._naming.kinds else charge_items_lack(facts)
        if found:
            return found
        body, _ = self.encode(priced, reference="check", frequency=Frequency.ORIGINAL, original_id=None)
        advice = "Look at the field in the EMR or the mapping: its content is not what FHIR allows there."
        places = dict.fromkeys(place for one in resources_of(body) for place in invalid_places(one))
        return [missing(f"a valid {place.partition('.')[2]}", advice, place) for place in places]

    def encode(self, priced: PricedDay, *, reference: str, frequency: str, original_id: str | None) -> tuple[bytes, str]:
        """The Claim's JSON."""
        facts = gather(priced, self._billing, self._claims)
        claim = claim_document(facts, system=self._naming.system, reference=reference, frequency=frequency)
        return written(claim), MEDIA_TYPE

    def encode_void(self, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        """The same resources, taken back."""
        resources = resources_of(live)
        if [one["resourceType"] for one in resources] == [CLAIM] and self._naming.kinds == (CLAIM,):
            return written(void_document(resources[0], system=self._naming.system, reference=reference)), MEDIA_TYPE
        return written(void_bundle(self._naming, reference=reference, live=resources)), MEDIA_TYPE

    async def submit(self, submission: Submission) -> Acknowledgement:
        """Create or change the day's Claim, or all its resources at once. Accepted only when all stand there as sent."""
        way = days.submit_bundle if days.is_bundle(submission) else days.submit_claim
        try:
            return await way(self._api, submission)
        except OutcomeUnknown:
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="lost-answer")

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """What stands under our identifiers, if each is this submission's revision. Raises PeerError."""
        return await days.find(self._api, submission)

    async def list_references(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]] | None:
        """What is active of ours of those service dates: reference -> (units, cents).

        Where a day is both, the Claim counts; ChargeItems that say otherwise are listed beside it, as nobody's.
        """
        if self._naming.kinds == (CLAIM,):
            return await self._live_claims(service_dates)
        lines = await self._live_items(service_dates)
        if CLAIM not in self._naming.kinds:
            return lines
        live = await self._live_claims(service_dates)
        apart = {name: lines.get(name, (0, 0)) for name in live.keys() | lines.keys() if live.get(name) != lines.get(name)}
        return live | {f"{name}/{CHARGE_ITEM}": amounts for name, amounts in apart.items()}

    async def _live_claims(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]]:
        first, last = service_dates
        wanted = [("identifier", f"{self._naming.system}|"), ("created", f"ge{first}"), ("created", f"le{last}")]
        live = []
        for claim in await self._api.search(CLAIM, wanted):
            reference, _ = identified(claim, self._naming.system)
            day = str((claim.get("billablePeriod") or {}).get("start") or "")[:10]
            if not reference or claim.get("status") != "active" or not first <= day <= last:
                continue
            counted = totals(claim)
            if counted is None:
                raise PeerUnavailable("the server has a Claim of ours without totals.")
            live.append((claim.get("id"), reference, counted[1:]))
        return summed(live)

    async def _live_items(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]]:
        first, last = service_dates
        system = line_system(self._naming.system)
        wanted = [("identifier", f"{system}|"), ("occurrence", f"ge{first}"), ("occurrence", f"le{last}")]
        live = []
        for item in await self._api.search(CHARGE_ITEM, wanted):
            reference = identified(item, system)[0].rpartition("-")[0]
            if not reference or item.get("status") not in items.LIVE or not first <= items.day_of(item) <= last:
                continue
            amounts = items.amounts(item)
            if amounts is None:
                raise PeerUnavailable("the server has a ChargeItem of ours without a quantity or a price.")
            live.append((item.get("id"), reference, amounts))
        return summed(live)

    async def answers(self, cursor: Mapping[str, str]) -> AsyncIterator[AnswerPage]:
        """What changed since the cursor, less an overlap: servers are not exact about the order of changes."""
        seen = dict(cursor)
        if CLAIM in self._naming.kinds:
            async for changed in self._changed("ClaimResponse", [], seen, _SEEN):
                yield AnswerPage(answers=tuple(answer for one in changed for answer in answers_of(one)))
        if CHARGE_ITEM in self._naming.kinds:
            ours = [("identifier", f"{line_system(self._naming.system)}|")]
            async for changed in self._changed(CHARGE_ITEM, ours, seen, _SEEN_ITEMS):
                yield AnswerPage(answers=tuple(a for one in changed for a in item_answers(one, self._naming.system)))
        if seen:
            yield AnswerPage(cursor=seen)

    async def _changed(
        self, kind: str, wanted: list[tuple[str, str]], seen: dict[str, str], name: str
    ) -> AsyncIterator[list[Document]]:
        """Resources of a kind that changed since `seen[name]`, page by page; `seen[name]` moves with them."""
        since = seen.get(name, "")
        params = [*wanted, ("_lastUpdated", f"ge{self._since(since)}")] if since else wanted
        async for page in self._api.fhir.search(kind, params):
            changed = [entry.resource for entry in page.entries if entry.resource.get("resourceType") == kind]
            times = [str((one.get("meta") or {}).get("lastUpdated") or "") for one in changed]
            if newest := max([seen.get(name, ""), *times]):
                seen[name] = newest
            yield changed

    def _since(self, seen: str) -> str:
        try:
            return (datetime.fromisoformat(seen) - self._overlap).isoformat()
        except ValueError:
            return seen

    async def check(self) -> list[str]:
        """Read the server's capabilities, then look for a day that nobody has: needs our credential, changes nothing."""
        statement = await self._api.fhir.capability()
        for kind in self._naming.kinds:
            await self._api.search(kind, [("identifier", f"{self._naming.system}|none")])
        version = str(statement.get("fhirVersion") or "an unnamed version")
        return [
            f"the FHIR server at {self._api.http.origin} ({version}) answers and takes our credential",
            *self._transactions(statement),
            *await self._left_behind(),
        ]

    async def _left_behind(self) -> list[str]:
        """Where days go as Claims alone: whether ChargeItems stand that were sent when `resources` was another."""
        if CHARGE_ITEM in self._naming.kinds:
            return []
        try:
            async for page in self._api.fhir.search(CHARGE_ITEM, [("identifier", f"{line_system(self._naming.system)}|")]):
                if any(entry.resource.get("status") == "billable" for entry in page.entries):
                    return [
                        "ChargeItems stand there from when `resources` had ChargeItem, and Claims alone do not take them back: "
                        "have the biller enter them in error, or set `resources` as it was"
                    ]
        except PeerError:  # a server that knows no ChargeItem has none
            return []
        return []

    def _transactions(self, statement: Document) -> list[str]:
        """What it says of transactions, where the day goes as one."""
        if self._naming.kinds == (CLAIM,):
            return []
        rest = [row for row in statement.get("rest") or [] if isinstance(row, dict)]
        known = {str(one.get("code")) for row in rest for one in row.get("interaction") or [] if isinstance(one, dict)}
        if "transaction" in known:
            return ["it says that it takes transactions"]
        return ["it does not say that it takes transactions, which `resources` with ChargeItem needs: ask whoever runs it"]

    async def close(self) -> None:
        """Close the client."""
        await self._api.http.close()


class FhirCharges(FhirClaim):
    """One FHIR server that has a ChargeItem of each line, with the day's Claim or without: one transaction a day."""

    def encode(self, priced: PricedDay, *, reference: str, frequency: str, original_id: str | None) -> tuple[bytes, str]:
        """The transaction's JSON."""
        facts = gather(priced, self._billing, self._claims)
        return written(day_bundle(facts, self._naming, reference=reference, frequency=frequency)), MEDIA_TYPE

    def encode_replacement(
        self, priced: PricedDay, live: bytes, *, reference: str, original_id: str | None
    ) -> tuple[bytes, str]:
        """The transaction that makes of what was accepted last this day: lines changed, added and taken back."""
        facts = gather(priced, self._billing, self._claims)
        before = resources_of(live)
        bundle = day_bundle(facts, self._naming, reference=reference, frequency=Frequency.REPLACEMENT, live=before)
        return written(bundle), MEDIA_TYPE
