"""A treatment day as a FHIR R4 Claim that stands by itself: patient, coverage, payer and clinicians are contained in it.

Two identifiers are ours, below the system that the clinic chose:

    <system>              the reference: names the day, stays the same over corrections, and there is one Claim of it
    <system>/revision     the reference, `-`, frequency and 12 hexadecimal digits of the content: names what stands there now

`created` is the service date: the bytes hold no clock. Money is written as decimals with two places, never as floats. CPT codes
go without their words, which are the AMA's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from ptbridge.destinations._claim_facts import Gathered, missing, person_name
from ptbridge.model import Address, Charge, Finding, Frequency, Patient, Provider, Subscriber
from ptbridge.specs.clinic import AddressSpec

Document = dict[str, Any]

_TERMS = "http://terminology.hl7.org/CodeSystem"
_NPI = "http://hl7.org/fhir/sid/us-npi"
_TAX = "urn:oid:2.16.840.1.113883.4.4"  # US employer identification numbers
_ICD = "http://hl7.org/fhir/sid/icd-10-cm"
_CPT, _HCPCS = "http://www.ama-assn.org/go/cpt", "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
_PLACE = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
_FILING = "https://x12.org/codes/claim-filing-indicator-codes"
_RELATIONSHIPS = {"self": "self", "spouse": "spouse", "child": "child", "parent": "parent", "other": "other"}
_ACCIDENTS = {"employment": "WPA", "auto": "MVA", "other": "ACCIDENT"}
_ACTS = f"{_TERMS}/v3-ActCode"
_ROLES = {"rendering": "primary", "supervising": "supervisor", "referring": "other"}
_GENDERS = frozenset({"male", "female", "other", "unknown"})
_EMR = "Complete it in the EMR; the day is judged again when it changes."
_ENCODER = msgspec.json.Encoder(decimal_format="number", order="deterministic")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def written(document: Document) -> bytes:
    """The exact bytes: decimals keep their places."""
    return _ENCODER.encode(document)


def read(content: bytes) -> Document:
    """A resource back, its decimals exact. Raises ValueError (msgspec.DecodeError) for what is no JSON object."""
    found = _DECODER.decode(content)
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


# ---------------------------------------------------------------- what is missing


def fhir_claim_lacks(facts: Gathered) -> list[Finding]:
    """What a Claim needs beside what every claim needs."""
    found = []
    people = {"rendering": facts.rendering, "referring": facts.referring, "supervising": facts.supervising}
    for role, person in people.items():
        if person is not None and person.npi and person_name(person) is None:
            found.append(missing(f"the {role} provider's first and last name", _EMR, f"visit.{role}.name"))
    if facts.patient.sex and facts.patient.sex not in _GENDERS:
        found.append(missing("the patient's sex as male, female, other or unknown", "Mend the mapping.", "patient.sex"))
    accident = facts.accident
    if accident is not None and accident.kind not in _ACCIDENTS:
        found.append(missing("an accident of employment, auto or other", "Mend the mapping.", "accident.kind"))
    elif accident is not None and accident.on is None:
        found.append(missing("the date of the accident", _EMR, "accident.on"))
    return found


def invalid_places(document: Document) -> list[str]:
    """Where the Claim breaks the R4 definition, as paths; never with a value. Needs fhir.resources, loaded at first use."""
    from pydantic import ValidationError

    try:
        _claim_class().model_validate(document)
    except ValidationError as problem:
        return list(dict.fromkeys(".".join(map(str, error["loc"])) for error in problem.errors(include_input=False)))
    return []


@cache
def _claim_class() -> Any:
    from fhir.resources.R4B.claim import Claim  # the package's own `Claim` is R5's

    return Claim


# ---------------------------------------------------------------- the claim


def claim_document(facts: Gathered, *, system: str, reference: str, frequency: str) -> Document:
    """The Claim. Facts that are not known are left out; the lacks have passed."""
    payer, coverage = facts.payer, facts.coverage
    assert payer is not None and coverage is not None
    team = {role: person for role, person in _team(facts).items() if person is not None and person.npi}
    day = facts.service_date.isoformat()
    claim: Document = {
        "resourceType": "Claim",
        "contained": [
            {"resourceType": "Patient", "id": "patient", **_person(facts.patient)},
            _subscriber(facts),
            _coverage(facts),
            {"resourceType": "Organization", "id": "payer", "identifier": [{"value": payer.id}], "name": payer.name},
            _clinic(facts),
            *({"resourceType": "Practitioner", "id": role, **_clinician(person)} for role, person in team.items()),
        ],
        "status": "active",
        "type": _coded(f"{_TERMS}/claim-type", "professional"),
        "use": "claim",
        "patient": {"reference": "#patient"},
        "billablePeriod": {"start": day, "end": day},
        "created": day,
        "insurer": {"reference": "#payer"},
        "provider": {"reference": "#clinic"},
        "priority": _coded(f"{_TERMS}/processpriority", "normal"),
        "careTeam": [
            {
                "sequence": place,
                "provider": {"reference": f"#{role}"},
                "role": {**_coded(f"{_TERMS}/claimcareteamrole", _ROLES[role]), "text": role},
            }
            for place, role in enumerate(team, start=1)
        ],
        "diagnosis": [
            {"sequence": place, "diagnosisCodeableConcept": _coded(_ICD, code)}
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
        "item": [_item(facts, charge, place) for place, charge in enumerate(facts.priced.charges, start=1)],
        "total": _money(facts.priced.amount_cents),
    }
    return _named(_present(claim), system=system, reference=reference, frequency=frequency)


def void_document(live: Mapping[str, Any], *, system: str, reference: str) -> Document:
    """The same Claim, cancelled."""
    claim = {name: value for name, value in live.items() if name != "identifier"}
    return _named({**claim, "status": "cancelled"}, system=system, reference=reference, frequency="8")


def _named(claim: Document, *, system: str, reference: str, frequency: str) -> Document:
    digest = hashlib.sha256(written(claim)).hexdigest()[:12]
    revision = f"{reference}-{Frequency(frequency).value}{digest}"
    identifier = [{"system": system, "value": reference}, {"system": f"{system}/revision", "value": revision}]
    return {"resourceType": "Claim", "identifier": identifier, **claim}


def identified(claim: Mapping[str, Any], system: str) -> tuple[str, str]:
    """(reference, revision) of a Claim; empty where it has none of ours."""
    found = {row.get("system"): str(row.get("value") or "") for row in claim.get("identifier") or [] if isinstance(row, dict)}
    return found.get(system, ""), found.get(f"{system}/revision", "")


def totals(claim: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """(lines, units, cents) of a Claim; None when it does not say all three."""
    try:
        units = [Decimal(str(item["quantity"]["value"])) for item in claim["item"]]
        amount = Decimal(str(claim["total"]["value"])) * 100
        return len(units), int(sum(units)), int(amount)
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
        "productOrService": _coded(_CPT if line.procedure[:1].isdecimal() else _HCPCS, line.procedure),
        "modifier": [_coded(_HCPCS, modifier) for modifier in line.modifiers] or None,
        "servicedDate": facts.service_date.isoformat(),
        "locationCodeableConcept": _coded(_PLACE, facts.place_of_service),
        "quantity": {"value": line.units},
        "net": _money(charge.amount_cents),
    }


def _coverage(facts: Gathered) -> Document:
    payer, coverage = facts.payer, facts.coverage
    assert payer is not None and coverage is not None and coverage.relationship is not None
    group = {"type": _coded(f"{_TERMS}/coverage-class", "group"), "value": coverage.group_number}
    return {
        "resourceType": "Coverage",
        "id": "coverage",
        "status": "active",
        "type": _coded(_FILING, payer.filing),
        "subscriber": {"reference": "#subscriber" if facts.is_dependent else "#patient"},
        "subscriberId": coverage.member_id,
        "beneficiary": {"reference": "#patient"},
        "relationship": _coded(f"{_TERMS}/subscriber-relationship", _RELATIONSHIPS[coverage.relationship]),
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
        **_person(facts.subscriber),
    }


def _clinic(facts: Gathered) -> Document:
    billing = facts.billing
    return {
        "resourceType": "Organization",
        "id": "clinic",
        "identifier": [
            {"system": _NPI, "value": facts.day.billing_npi},
            *([{"system": _TAX, "value": billing.tax_id}] if billing.tax_id else []),
        ],
        "name": billing.name,
        "telecom": [{"system": "phone", "value": billing.phone}] if billing.phone else None,
        "address": [_address(billing.address)] if billing.address else None,
    }


def _clinician(person: Provider) -> Document:
    name = person_name(person)
    assert name is not None
    return {"identifier": [{"system": _NPI, "value": person.npi}], "name": [{"family": name[1], "given": [name[0]]}]}


def _person(person: Patient | Subscriber) -> Document:
    return {
        "name": [{"family": person.family, "given": [person.given]}],
        "gender": person.sex,
        "birthDate": person.birth_date.isoformat() if person.birth_date else None,
        "address": [_address(person.address)] if person.address and person.address.lines else None,
    }


def _address(address: Address | AddressSpec) -> Document:
    return {
        "line": list(address.lines),
        "city": address.city,
        "state": address.state,
        "postalCode": address.postal_code,
    }


def _accident(facts: Gathered) -> Document | None:
    accident = facts.accident
    if accident is None or accident.on is None:
        return None
    place = {"state": accident.state} if accident.state else None
    return {"date": accident.on.isoformat(), "type": _coded(_ACTS, _ACCIDENTS[accident.kind]), "locationAddress": place}


def _coded(system: str, code: str | None) -> Document:
    return {"coding": [{"system": system, "code": code}]}


def _money(amount_cents: int | None) -> Document:
    assert amount_cents is not None
    return {"value": Decimal(amount_cents).scaleb(-2), "currency": "USD"}


def _present(value: Any) -> Any:
    """Without what is None, at any depth."""
    if isinstance(value, dict):
        return {name: _present(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_present(item) for item in value if item is not None]
    return value
