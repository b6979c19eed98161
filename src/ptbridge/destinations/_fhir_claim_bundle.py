"""A treatment day as one FHIR R4 transaction: its Claim, a ChargeItem a line, or both; and what the answer says of each entry.

An entry's `fullUrl` is made from our identifier, so the same day has the same bytes, and the Claim points to its ChargeItems by
it. What is new is a conditional create on our identifier, what may stand there a conditional update.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from ptbridge.destinations import _fhir_claim_items as items
from ptbridge.destinations._claim_facts import Gathered
from ptbridge.destinations._document import Document
from ptbridge.destinations._fhir_claim_document import claim_document, void_document
from ptbridge.destinations._fhir_claim_parts import identified, own_system, read
from ptbridge.model import Frequency

CLAIM, CHARGE_ITEM = "Claim", "ChargeItem"
_LOCATION = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[^/]+)?")
_DONE = frozenset({"200", "201"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How a clinic's resources are named, and which of them a day is."""

    kinds: tuple[str, ...]  # of CLAIM and CHARGE_ITEM
    system: str
    modifier_extension: str

    def name(self, resource: Mapping[str, Any]) -> str:
        """`system|value` of the identifier that names a resource of ours."""
        system = own_system(resource, self.system)
        return f"{system}|{identified(resource, system)[0]}"

    def full_url(self, resource: Mapping[str, Any]) -> str:
        """The address of a resource within its transaction."""
        return f"urn:uuid:{uuid5(NAMESPACE_URL, self.name(resource))}"


# ---------------------------------------------------------------- what is sent


def day_bundle(facts: Gathered, naming: Naming, *, reference: str, frequency: str, live: Sequence[Document] = ()) -> Document:
    """The transaction that makes a day, or makes of `live`, the resources that were accepted last, this day.

    What `live` does not have is created; with frequency 7 and no `live` everything is an update. What of `live` the day has no
    longer is taken back in it.
    """
    before = [one for one in live if one["resourceType"] == CHARGE_ITEM]
    now = _charge_items(facts, naming, reference, before)
    kept = {naming.name(one) for one in now}
    gone = [items.withdrawn(one, naming.system) for one in before if naming.name(one) not in kept]
    if CLAIM in naming.kinds:
        at = [naming.full_url(one) for one in now]
        claims = [claim_document(facts, system=naming.system, reference=reference, frequency=frequency, charge_items=at)]
    else:  # the day was sent as a Claim before the clinic chose ChargeItems alone
        claims = _cancelled(naming, reference, live)
    makes = frequency == Frequency.ORIGINAL or bool(live)
    known = {naming.name(one) for one in live}
    return _transaction(naming, [*claims, *now, *gone], lambda one: makes and naming.name(one) not in known)


def void_bundle(naming: Naming, *, reference: str, live: Sequence[Document]) -> Document:
    """The transaction that takes back all that `live` has."""
    charge_items = [items.withdrawn(one, naming.system) for one in live if one["resourceType"] == CHARGE_ITEM]
    return _transaction(naming, [*_cancelled(naming, reference, live), *charge_items], lambda one: False)


def updating(bundle: Document) -> Document:
    """The same resources, each made to be what stands there under its name, whatever that is."""
    return {**bundle, "entry": [{**entry, "request": _update(entry)} for entry in bundle["entry"]]}


def resources_of(body: bytes) -> list[Document]:
    """What a submission's bytes hold: the resources of a transaction, or the one Claim. Raises ValueError."""
    document = read(body)
    if document.get("resourceType") != "Bundle":
        return [document]
    return [entry["resource"] for entry in document["entry"]]


def _charge_items(facts: Gathered, naming: Naming, reference: str, before: Sequence[Document]) -> list[Document]:
    if CHARGE_ITEM not in naming.kinds:
        return []
    charges = facts.priced.charges
    system, extension = naming.system, naming.modifier_extension
    return [
        items.charge_item(facts, charge, system=system, reference=reference, number=number, extension=extension)
        for charge, number in zip(charges, items.numbers(charges, before, system), strict=True)
    ]


def _cancelled(naming: Naming, reference: str, live: Sequence[Document]) -> list[Document]:
    claims = (one for one in live if one["resourceType"] == CLAIM)
    return [void_document(one, system=naming.system, reference=reference) for one in claims]


def _transaction(naming: Naming, resources: Sequence[Document], is_new: Callable[[Document], bool]) -> Document:
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(naming, one, create=is_new(one)) for one in resources],
    }


def _entry(naming: Naming, resource: Document, *, create: bool) -> Document:
    kind, query = resource["resourceType"], f"identifier={quote(naming.name(resource), safe='')}"
    if create:
        request = {"method": "POST", "url": kind, "ifNoneExist": query}
    else:
        request = {"method": "PUT", "url": f"{kind}?{query}"}
    return {"fullUrl": naming.full_url(resource), "resource": resource, "request": request}


def _update(entry: Document) -> Document:
    request = entry["request"]
    query = request.get("ifNoneExist")
    return {"method": "PUT", "url": f"{request['url']}?{query}"} if query else request


# ---------------------------------------------------------------- what is answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the answer says of one entry. `id` is empty where it names no place of that kind."""

    status: str  # the three digits
    id: str = ""
    resource: Document | None = field(default=None, repr=False)
    issues: tuple[Document, ...] = field(default=(), repr=False)

    @property
    def is_done(self) -> bool:
        """Created, updated or already there."""
        return self.status in _DONE

    @property
    def is_refused(self) -> bool:
        """The entry itself was turned away, for a reason that stays."""
        return self.status[:1] == "4" and self.status not in ("408", "425", "429")


def answered(answer: Mapping[str, Any], sent: Sequence[Document]) -> list[Said]:
    """Entry by entry, in the order of what was sent; empty for what is no answer to all of it."""
    rows = answer.get("entry")
    if answer.get("resourceType") != "Bundle" or not isinstance(rows, list) or len(rows) != len(sent):
        return []
    return [
        _said(row if isinstance(row, dict) else {}, entry["resource"]["resourceType"])
        for row, entry in zip(rows, sent, strict=True)
    ]


def _said(row: Mapping[str, Any], kind: str) -> Said:
    response = row.get("response")
    response = response if isinstance(response, dict) else {}
    resource = row.get("resource")
    place = _LOCATION.fullmatch(str(response.get("location") or ""))
    outcome = response.get("outcome")
    issues = outcome.get("issue") if isinstance(outcome, dict) else None
    return Said(
        status=str(response.get("status") or "")[:3],
        id=place[2] if place and place[1] == kind else "",
        resource=resource if isinstance(resource, dict) and resource.get("resourceType") == kind else None,
        issues=tuple(one for one in issues or () if isinstance(one, dict)),
    )
