"""The books of the pretend FHIR server: Claims and ChargeItems by conditional create and update, in transactions or not.

Every resource is judged by the R4B classes of fhir.resources before it is kept. A transaction is all or nothing: it is worked
on a copy, which becomes the books when every entry is done. The auditor counts what stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from fhir.resources.R4B.bundle import Bundle as R4Bundle
from fhir.resources.R4B.chargeitem import ChargeItem as R4ChargeItem
from fhir.resources.R4B.claim import Claim as R4Claim
from pydantic import ValidationError

from .faulty_server import Refused

Document = dict[str, Any]
_EPOCH = datetime(2026, 11, 2, 8, tzinfo=UTC)
_CLASSES = {"Claim": R4Claim, "ChargeItem": R4ChargeItem}
# Required value sets; fhir.resources lets every code pass.
_STATUSES = {
    "Claim": frozenset({"active", "cancelled", "draft", "entered-in-error"}),
    "ChargeItem": frozenset(
        {"planned", "billable", "not-billable", "aborted", "billed", "entered-in-error", "unknown"},
    ),
}
_LIVE = {"Claim": frozenset({"active"}), "ChargeItem": frozenset({"billable", "billed"})}


@dataclass(slots=True)
class Kept:
    """One resource and how often it was written."""

    id: str
    resource: Document = field(repr=False)
    version: int
    kept_at: float

    @property
    def kind(self) -> str:
        """Its resource type."""
        return str(self.resource["resourceType"])

    @property
    def is_live(self) -> bool:
        """It is for billing, or billed."""
        return self.resource["status"] in _LIVE[self.kind]

    @property
    def names(self) -> list[str]:
        """Its identifiers as search tokens."""
        return [f"{row.get('system', '')}|{row.get('value', '')}" for row in self.resource.get("identifier", [])]

    @property
    def location(self) -> str:
        """Where this version stands."""
        return f"{self.kind}/{self.id}/_history/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands of one treatment day."""

    lines: int
    units: int
    amount_cents: int


@dataclass(slots=True)
class ClaimBooks:
    """What the server has. `violations` is what the auditor found on the way."""

    clock: Callable[[], float]
    violations: list[str]
    kept: dict[str, dict[str, Kept]] = field(default_factory=lambda: {kind: {} for kind in _CLASSES})
    moments: int = 0

    def now(self) -> str:
        """The server's time: one second on at each call."""
        self.moments += 1
        return f"{_EPOCH + timedelta(seconds=self.moments):%Y-%m-%dT%H:%M:%S.000+00:00}"

    def all(self, kind: str) -> list[Kept]:
        """Every resource of a kind, oldest first."""
        return list(self.kept[kind].values())

    def fitting(self, kind: str, token: str) -> list[Kept]:
        """Those with this identifier. Raises Refused for more than one (412)."""
        found = [one for one in self.all(kind) if token in one.names]
        if len(found) > 1:
            raise refused(412, "multiple-matches", "more than one fits")
        return found

    # ------------------------------------------------------------ changes

    def create(self, resource: Document, query: str) -> tuple[int, Kept]:
        """Conditional create: none fits, it is made; one does, that one is given back. Raises Refused."""
        judge(resource)
        found = self.fitting(resource["resourceType"], token_of(query))
        return (200, found[0]) if found else (201, self._keep(None, resource))

    def update(self, resource: Document, query: str) -> tuple[int, Kept]:
        """Conditional update: the one that fits becomes this, or it is made. Raises Refused."""
        judge(resource)
        found = self.fitting(resource["resourceType"], token_of(query))
        return (200 if found else 201), self._keep(found[0] if found else None, resource)

    def transaction(self, entries: list[Document]) -> list[tuple[int, Kept]]:
        """All of them or none, in the order given; references between them become real ones. Raises Refused."""
        copy = ClaimBooks(self.clock, [], {kind: dict(found) for kind, found in self.kept.items()}, self.moments)
        done = [copy.entry(entry) for entry in entries]
        ids = [(kept.kind, kept.id) for _, kept in done]
        if len(set(ids)) != len(ids):
            raise refused(400, "invalid", "two entries are one resource")
        known = {entry["fullUrl"]: f"{kept.kind}/{kept.id}" for entry, (_, kept) in zip(entries, done, strict=True)}
        for entry, (_, kept) in zip(entries, done, strict=True):
            if kept.resource.get("identifier") == entry["resource"].get("identifier"):
                kept.resource = _pointing(kept.resource, known)
        self.kept, self.moments = copy.kept, copy.moments
        self.violations += copy.violations
        return done

    def entry(self, entry: Document) -> tuple[int, Kept]:
        request = entry["request"]
        if request["method"] == "POST" and request["url"] == entry["resource"]["resourceType"]:
            return self.create(entry["resource"], request.get("ifNoneExist", ""))
        kind, _, query = request["url"].partition("?")
        if request["method"] == "PUT" and kind == entry["resource"]["resourceType"] and query:
            return self.update(entry["resource"], query)
        raise refused(400, "not-supported", "this server creates and updates Claims and ChargeItems")

    def write(self, kept: Kept, **fields: Any) -> None:
        """Somebody at the biller changes a resource."""
        self._keep(kept, {**kept.resource, **fields})

    def _keep(self, before: Kept | None, resource: Document) -> Kept:
        kind = resource["resourceType"]
        id_ = before.id if before else str(len(self.kept[kind]) + 1)
        version = before.version + 1 if before else 1
        meta = {"versionId": str(version), "lastUpdated": self.now()}
        kept = Kept(id_, {**resource, "id": id_, "meta": meta}, version, before.kept_at if before else self.clock())
        self.kept[kind][id_] = kept
        count = sum(one.is_live and kept.names[0] in one.names for one in self.all(kind))
        if count > 1:
            self.violations.append(f"{kept.names[0]}: {count} live {kind}s")
        return kept

    # ------------------------------------------------------------ what stands

    def live_items(self, reference: str) -> list[Kept]:
        """The live ChargeItems of a reference."""
        return [one for one in self.all("ChargeItem") if one.is_live and _reference(one) == reference]

    def standing(self) -> list[Standing]:
        """Each day that is for billing, by its Claim where it has one, else by its ChargeItems."""
        claims, items = self._claims(), self._items()
        return list((items | claims).values())

    def disagreements(self) -> list[str]:
        """Days whose Claim and ChargeItems are not the same, at a server that has both."""
        claims, items = self._claims(), self._items()
        if not claims or not items:
            return []
        return [
            f"{day}: Claim and ChargeItems differ" for day in claims.keys() | items.keys() if claims.get(day) != items.get(day)
        ]

    def _claims(self) -> dict[str, Standing]:
        live = (one for one in self.all("Claim") if one.is_live)
        return {
            one.names[0].rpartition("|")[2]: Standing(
                lines=len(one.resource["item"]),
                units=sum(item["quantity"]["value"] for item in one.resource["item"]),
                amount_cents=_cents(one.resource["total"]),
            )
            for one in live
        }

    def _items(self) -> dict[str, Standing]:
        days: dict[str, list[Document]] = {}
        for one in self.all("ChargeItem"):
            if one.is_live:
                days.setdefault(_reference(one), []).append(one.resource)
        return {
            day: Standing(
                lines=len(found),
                units=sum(item["quantity"]["value"] for item in found),
                amount_cents=sum(_cents(item["priceOverride"]) for item in found),
            )
            for day, found in days.items()
        }


def refused(status: int, code: str, words: str) -> Refused:
    """An OperationOutcome."""
    issue = {"severity": "error", "code": code, "details": {"text": words}}
    return Refused(status, {"resourceType": "OperationOutcome", "issue": [issue]})


def token_of(query: str) -> str:
    """`system|value` of the one parameter `identifier`. Raises Refused for any other search."""
    name, _, value = query.partition("=")
    if name != "identifier" or "|" not in unquote(value):
        raise refused(412, "not-supported", "this server looks for identifiers alone")
    return unquote(value)


def has(kept: Kept, asked: str) -> bool:
    """`system|value`, several of them parted by commas, or `system|` for any value of the system."""
    return any(
        name == token or (token.endswith("|") and name.startswith(token)) for token in asked.split(",") for name in kept.names
    )


def judge(resource: Document) -> None:
    """R4, and what its classes leave out. Raises Refused (422)."""
    kind = resource["resourceType"]
    if kind not in _CLASSES:
        raise refused(422, "not-supported", f"no {kind} here")
    valid(_CLASSES[kind], resource)
    wrong = resource["status"] not in _STATUSES[kind]
    if kind == "Claim":
        sequences = [item["sequence"] for item in resource["item"]]
        total = sum(Decimal(str(item["net"]["value"])) for item in resource["item"])
        wrong |= total != Decimal(str(resource["total"]["value"])) or len(set(sequences)) != len(sequences)
        told = {one["sequence"] for one in resource.get("supportingInfo", [])}
        wrong |= any(not set(item.get("informationSequence", ())) <= told for item in resource["item"])
    if wrong:
        raise refused(422, "invariant", "status, total or sequences")


def judge_bundle(bundle: Document) -> list[Document]:
    """The entries of a transaction. Raises Refused for what R4 does not let one be."""
    valid(R4Bundle, bundle)
    entries: list[Document] = bundle.get("entry", [])
    addresses = [entry.get("fullUrl") for entry in entries]
    if bundle["type"] != "transaction" or len(set(addresses)) != len(addresses):
        raise refused(400, "invalid", "no transaction, or one address twice")
    return entries


def valid(kind: Any, resource: Document) -> None:
    """Judged by a class of fhir.resources. Raises Refused (422) with the place."""
    try:
        kind.model_validate(resource)
    except ValidationError as problem:
        places = ".".join(map(str, problem.errors()[0]["loc"]))
        raise refused(422, "structure", f"not R4 at {places}") from None


def _pointing(value: Any, known: dict[str, str]) -> Any:
    """With the addresses of the transaction replaced by real ones. Raises Refused for one that it does not have."""
    if isinstance(value, dict):
        at = value.get("reference")
        if isinstance(at, str) and at.startswith("urn:uuid:"):
            if at not in known:
                raise refused(400, "invalid", "a reference that is no entry's address")
            return {**value, "reference": known[at]}
        return {name: _pointing(part, known) for name, part in value.items()}
    return [_pointing(part, known) for part in value] if isinstance(value, list) else value


def _reference(item: Kept) -> str:
    """The day that a ChargeItem is a line of, out of its first identifier."""
    return item.names[0].rpartition("|")[2].rpartition("-")[0]


def _cents(money: Document) -> int:
    return int(Decimal(str(money["value"])) * 100)


def within(bounds: Iterable[str], day: str) -> bool:
    """`ge2026-11-01` and `le2026-11-30`, all of them."""
    return all(day >= one[2:] if one.startswith("ge") else day <= one[2:] for one in bounds)
