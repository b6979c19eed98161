"""A treatment day as a FHIR R4 Claim that stands by itself: patient, coverage, payer and clinicians are contained in it.

Its names are those of `_fhir_claim_parts`. `created` is the service date: the bytes hold no clock. Where ChargeItems go with
it, each of its items points to its own as supporting information.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ptbridge.destinations._claim_facts import Gathered, lacks, missing, people_lack
from ptbridge.destinations._document import Document, present
from ptbridge.destinations._fhir_claim_parts import (
    ICD,
    TERMS,
    cents_of,
    clinic,
    clinician,
    coded,
    modifiers,
    money,
    named,
    person,
    procedure,
)
from ptbridge.model import Charge, Finding, Frequency, Provider

_PLACE = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
_FILING = "https://x12.org/codes/claim-filing-indicator-codes"
_RELATIONSHIPS = {"self": "self", "spouse": "spouse", "child": "child", "parent": "parent", "other": "other"}
_ACCIDENTS = {"employment": "WPA", "auto": "MVA", "other": "ACCIDENT"}
_ACTS = f"{TERMS}/v3-ActCode"
_ROLES = {"rendering": "primary", "supervising": "supervisor", "referring": "other"}
_GENDERS = frozenset({"male", "female", "other", "unknown"})
_EMR = "Complete it in the EMR; the day is judged again when it changes."
_OF_A_CLAIM = ("claims", "coverage", "billing_provider")  # where the facts stand that only a Claim tells


# ---------------------------------------------------------------- what is missing


def fhir_claim_lacks(facts: Gathered) -> list[Finding]:
    """What a Claim needs: what every claim needs, and what R4 wants beside it."""
    found = [*lacks(facts), *people_lack(facts, _GENDERS)]
    accident = facts.accident
    if accident is not None and accident.kind not in _ACCIDENTS:
        found.append(missing("an accident of employment, auto or other", "Mend the mapping.", "accident.kind"))
    elif accident is not None and accident.on is None:
        found.append(missing("the date of the accident", _EMR, "accident.on"))
    return found


def charge_items_lack(facts: Gathered) -> list[Finding]:
    """What ChargeItems by themselves need: who, when, by whom, what for and how much; neither payer nor coverage."""
    everything = [*lacks(facts), *people_lack(facts, _GENDERS)]
    found = [one for one in everything if not one.where.startswith(_OF_A_CLAIM)]
    for number, charge in enumerate(facts.priced.charges, start=1):
        if any(pointer > len(facts.diagnoses) for pointer in charge.line.diagnosis_pointers):
            found.append(missing("a diagnosis for each diagnosis pointer", _EMR, f"line {number}"))
    return found


# ---------------------------------------------------------------- the claim


def claim_document(
    facts: Gathered, *, system: str, reference: str, frequency: str, charge_items: Sequence[str] = ()
) -> Document:
    """The Claim. Facts that are not known are left out; the lacks have passed.

    `charge_items` are the addresses of the lines' ChargeItems, in the order of the lines; none where none go with it.
    """
    payer, coverage = facts.payer, facts.coverage
    assert payer is not None and coverage is not None
    team = {role: one for role, one in _team(facts).items() if one is not None and one.npi}
    day = facts.service_date.isoformat()
    claim: Document = {
        "resourceType": "Claim",
        "contained": [
            {"resourceType": "Patient", "id": "patient", **person(facts.patient)},
            _subscriber(facts),
            _coverage(facts),
            {"resourceType": "Organization", "id": "payer", "identifier": [{"value": payer.id}], "name": payer.name},
            clinic(facts),
            *(clinician(role, one) for role, one in team.items()),
        ],
        "status": "active",
        "type": coded(f"{TERMS}/claim-type", "professional"),
        "use": "claim",
        "patient": {"reference": "#patient"},
        "billablePeriod": {"start": day, "end": day},
        "created": day,
        "insurer": {"reference": "#payer"},
        "provider": {"reference": "#clinic"},
        "priority": coded(f"{TERMS}/processpriority", "normal"),
        "careTeam": [
            {
                "sequence": place,
                "provider": {"reference": f"#{role}"},
                "role": {**coded(f"{TERMS}/claimcareteamrole", _ROLES[role]), "text": role},
            }
            for place, role in enumerate(team, start=1)
        ],
        "diagnosis": [
            {"sequence": place, "diagnosisCodeableConcept": coded(ICD, code)}
            for place, code in enumerate(facts.diagnoses, start=1)
        ],
        "insurance": [
            {
                "sequence": 1,
                "focal": True,
                "coverage": {"reference": "#coverage"},
                "preAuthRef": _authorizations(facts),
            }
        ],
        "accident": _accident(facts),
        "supportingInfo": [_supporting(place, one) for place, one in enumerate(charge_items, start=1)] or None,
        "item": [
            {**_item(facts, charge, place), **({"informationSequence": [place]} if charge_items else {})}
            for place, charge in enumerate(facts.priced.charges, start=1)
        ],
        "total": money(facts.priced.amount_cents),
    }
    return _named(present(claim), system, reference, frequency)


def void_document(live: Mapping[str, Any], *, system: str, reference: str) -> Document:
    """The same Claim, cancelled."""
    return _named({**live, "status": "cancelled"}, system, reference, Frequency.VOID)


def _named(claim: Document, system: str, reference: str, frequency: str) -> Document:
    return named(claim, system=system, value=reference, frequency=Frequency(frequency).value)


def totals(claim: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """(lines, units, cents) of a Claim; None when it does not say all three."""
    try:
        units = [Decimal(str(item["quantity"]["value"])) for item in claim["item"]]
        return len(units), int(sum(units)), cents_of(claim["total"])
    except (KeyError, TypeError, ArithmeticError):
        return None


# ---------------------------------------------------------------- parts


def _team(facts: Gathered) -> dict[str, Provider | None]:
    return {"rendering": facts.rendering, "supervising": facts.supervising, "referring": facts.referring}


def _authorizations(facts: Gathered) -> list[str] | None:
    """Each authorization number of the day's visits once, in their order."""
    numbers = dict.fromkeys(visit.authorization_number for visit in facts.day.visits if visit.authorization_number)
    return list(numbers) or None


def _item(facts: Gathered, charge: Charge, place: int) -> Document:
    line = charge.line
    return {
        "sequence": place,
        "diagnosisSequence": list(line.diagnosis_pointers),
        "productOrService": procedure(line.procedure),
        "modifier": modifiers(line.modifiers) or None,
        "servicedDate": facts.service_date.isoformat(),
        "locationCodeableConcept": coded(_PLACE, facts.place_of_service),
        "quantity": {"value": line.units},
        "net": money(charge.amount_cents),
    }


def _supporting(place: int, charge_item: str) -> Document:
    category = coded(f"{TERMS}/claiminformationcategory", "info")
    return {"sequence": place, "category": category, "valueReference": {"reference": charge_item}}


def _coverage(facts: Gathered) -> Document:
    payer, coverage = facts.payer, facts.coverage
    assert payer is not None and coverage is not None and coverage.relationship is not None
    group = {"type": coded(f"{TERMS}/coverage-class", "group"), "value": coverage.group_number}
    return {
        "resourceType": "Coverage",
        "id": "coverage",
        "status": "active",
        "type": coded(_FILING, payer.filing),
        "subscriber": {"reference": "#subscriber" if facts.is_dependent else "#patient"},
        "subscriberId": coverage.member_id,
        "beneficiary": {"reference": "#patient"},
        "relationship": coded(f"{TERMS}/subscriber-relationship", _RELATIONSHIPS[coverage.relationship]),
        "payor": [{"reference": "#payer"}],
        "class": [group] if coverage.group_number else None,
    }


def _subscriber(facts: Gathered) -> Document | None:
    """Whose coverage it is, where it is another person's."""
    if not facts.is_dependent:
        return None
    return {
        "resourceType": "RelatedPerson",
        "id": "subscriber",
        "patient": {"reference": "#patient"},
        **person(facts.subscriber),
    }


def _accident(facts: Gathered) -> Document | None:
    accident = facts.accident
    if accident is None or accident.on is None:
        return None
    place = {"state": accident.state} if accident.state else None
    return {"date": accident.on.isoformat(), "type": coded(_ACTS, _ACCIDENTS[accident.kind]), "locationAddress": place}
