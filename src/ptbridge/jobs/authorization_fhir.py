"""Authorizations out of FHIR R4: what a payer answered (ClaimResponse), asked for by an order, under a coverage.

`ClaimResponse` of a preauthorization gives number, dates, and in `addItem` how many of what. Where it names no items, the
`ServiceRequest` that names it under `insurance` says what was asked for; it counts only when the answer certifies all of it:
HL7 Da Vinci PAS's review action, X12 306 code A1 (`outcome` complete says that it was processed, not that it was approved).
`Coverage` tells which payer that is, by the clinic's own routes. R4's Coverage has no visits; a plan's limit in a
CoverageEligibilityResponse is named and left out: it is the plan's (`visit_limits` of the payer's policy).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from ptbridge.errors import ConfigError
from ptbridge.policy.history import Authorization

Resource = Mapping[str, Any]
KeyOf = Callable[[str, str], str | None]  # patient id, record number -> patient key
PayerOf = Callable[[str | None, str | None], str | None]  # payer's id, payer's name at the source -> policy name
_COUNTS = {"visit": "visits", "vs": "visits", "unit": "units", "un": "units", "day": "days", "dy": "days", "d": "days"}
CERTIFIED_IN_TOTAL = "A1"  # X12 306
_CODE = re.compile(r"[0-9A-Z]{5}")


@dataclass(slots=True)
class FhirAuthorizations:
    """(patient key, authorization) of every answer that can be used, and what was left out with the reason."""

    found: list[tuple[str, Authorization]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def read_fhir(text: str, path: Path, key_of: KeyOf, payer_of: PayerOf) -> FhirAuthorizations:
    """Read NDJSON, a Bundle or one resource. Raises ConfigError with file:line for what is not FHIR; it names no patient."""
    resources = list(_resources(text, path))
    record = _Record(resources, payer_of)
    out = FhirAuthorizations()
    for number, resource in enumerate(resources, 1):
        kind = resource.get("resourceType")
        if kind == "ClaimResponse" and resource.get("use") == "preauthorization":
            _take(resource, f"ClaimResponse {number}", record, key_of, out)
        elif kind == "CoverageEligibilityResponse" and _limits_visits(resource):
            out.left_out.append(f"{kind} {number}: limits the plan's visits; write them as visit_limits of the payer's policy")
    return out


def _resources(text: str, path: Path) -> Iterator[Resource]:
    """The resources of NDJSON, of a Bundle, or the one resource."""
    documents = text.splitlines() if path.suffix.lower() == ".ndjson" else [text]
    for line, document in enumerate(documents, 1):
        if not document.strip():
            continue
        try:
            resource = msgspec.json.decode(document)
        except msgspec.DecodeError:
            raise ConfigError("is not JSON; nothing was imported", where=f"{path}:{line}") from None
        if not isinstance(resource, dict):
            raise ConfigError("is not a FHIR resource; nothing was imported", where=f"{path}:{line}")
        entries = resource.get("entry") or () if resource.get("resourceType") == "Bundle" else ({"resource": resource},)
        yield from (entry["resource"] for entry in entries if isinstance(entry.get("resource"), dict))


class _Record:
    """What stands beside the answers in the file: coverages and organizations by reference, orders by the answer they name."""

    def __init__(self, resources: list[Resource], payer_of: PayerOf) -> None:
        self._payer_of = payer_of
        self._by_name = {f"{one.get('resourceType')}/{one.get('id')}": one for one in resources if one.get("id")}
        self._orders: dict[str, list[Resource]] = {}
        for one in resources:
            if one.get("resourceType") == "ServiceRequest" and one.get("status") in ("active", "completed"):
                for reference in one.get("insurance") or ():
                    self._orders.setdefault(_local(reference), []).append(one)

    def orders(self, answer: Resource) -> list[Resource]:
        """The orders that name this answer as theirs."""
        return self._orders.get(f"ClaimResponse/{answer.get('id')}", [])

    def payer(self, answer: Resource) -> str | None:
        """The policy of the payer that answered: by the coverage, else by the insurer itself; None when no route has it."""
        for insurance in answer.get("insurance") or ():
            coverage = self._by_name.get(_local(insurance.get("coverage")), {})
            for payor in coverage.get("payor") or ():
                if (policy := self._policy(payor)) is not None:
                    return policy
        return self._policy(answer.get("insurer"))

    def _policy(self, reference: Any) -> str | None:
        if not isinstance(reference, dict):
            return None
        organization = self._by_name.get(_local(reference), {})
        ids = [reference.get("identifier") or {}, *(organization.get("identifier") or ())]
        names = [reference.get("display"), organization.get("name")]
        found = [self._payer_of(one.get("value"), None) for one in ids] + [self._payer_of(None, name) for name in names]
        return next((policy for policy in found if policy is not None), None)


def _local(reference: Any) -> str:
    """`Coverage/c1` of any spelling of a reference; empty when it names nothing."""
    written = str(reference.get("reference") or "") if isinstance(reference, dict) else ""
    return "/".join(written.split("/_history/")[0].split("/")[-2:])


def _take(answer: Resource, name: str, record: _Record, key_of: KeyOf, out: FhirAuthorizations) -> None:
    """One answer. What lacks its number, its patient, its approval or its count is left out, and said."""
    number = answer.get("preAuthRef")
    patient = _local(answer.get("patient")).partition("Patient/")[2]
    key = key_of(patient, "") if patient else None
    if answer.get("status") != "active" or answer.get("outcome") not in ("complete", "partial"):
        out.left_out.append(f"{name}: status and outcome do not say that it is approved")
    elif not number or key is None:
        out.left_out.append(f"{name}: has no preAuthRef, or no patient")
    else:
        for item in _items(answer, record):
            one = _authorization(item, str(number), record.payer(answer))
            if one is None:
                out.left_out.append(f"{name}: says not how many visits, units or days; write it into a CSV")
            else:
                out.found.append((key, one))


def _items(answer: Resource, record: _Record) -> list[Resource]:
    """Quantity, code and period of what was allowed: the answer's own items, else the orders that it approves whole."""
    period = answer.get("preAuthPeriod")
    own = [item for item in answer.get("addItem") or () if isinstance(item, dict)]
    if own:
        return [{"quantity": one.get("quantity"), "code": one.get("productOrService"), "period": period} for one in own]
    orders = record.orders(answer) if _certified_in_total(answer) else []
    asked: list[Resource] = [
        {
            "quantity": one.get("quantityQuantity"),
            "code": one.get("code"),
            "period": period or one.get("occurrencePeriod"),
        }
        for one in orders
    ]
    return asked or [{}]


def _certified_in_total(answer: Resource) -> bool:
    """Whether every review action in the answer is A1; an answer without one does not say."""
    codes = list(_review_codes(answer.get("item")))
    return bool(codes) and all(code == CERTIFIED_IN_TOTAL for code in codes)


def _review_codes(node: Any) -> Iterator[str]:
    """The review action codes anywhere below: PAS has moved the extension from the item to its adjudication."""
    if isinstance(node, list):
        for one in node:
            yield from _review_codes(one)
    elif isinstance(node, dict):
        if str(node.get("url") or "").endswith("reviewActionCode"):
            yield from (str(one.get("code")) for one in (node.get("valueCodeableConcept") or {}).get("coding") or ())
        for one in node.values():
            yield from _review_codes(one)


def _authorization(item: Resource, number: str, payer: str | None) -> Authorization | None:
    quantity, period = item.get("quantity") or {}, item.get("period") or {}
    word = str(quantity.get("code") or quantity.get("unit") or "").strip("{}").lower()
    counts = _COUNTS.get(word) or _COUNTS.get(word.removesuffix("s"))
    value = quantity.get("value")
    if counts is None or not isinstance(value, int | float) or value != int(value):
        return None
    coding = (item.get("code") or {}).get("coding") or ()
    return Authorization(
        number=number,
        payer=payer,
        counts=counts,
        allowed=int(value),
        codes=frozenset(code for one in coding if _CODE.fullmatch(code := str(one.get("code") or "").upper())),
        valid_from=_day(period.get("start")),
        valid_to=_day(period.get("end")),
    )


def _limits_visits(answer: Resource) -> bool:
    items = [item for insurance in answer.get("insurance") or () for item in insurance.get("item") or ()]
    return any("allowedUnsignedInt" in benefit for item in items for benefit in item.get("benefit") or ())


def _day(text: object) -> date | None:
    return date.fromisoformat(str(text)[:10]) if text and len(str(text)) >= 10 else None
